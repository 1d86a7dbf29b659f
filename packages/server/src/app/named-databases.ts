/** The option `databases`: of databases by name, the one that everything is stored in. */
import type { Findings, Place } from '#platform/config/fault.ts'
import type { ReadConfig } from './config.ts'

/**
 * The values with the database of `databases` that has the data store `main` in the place of `database`.
 * @param isDatabaseWritten whether the option `database` is set as well, which is a fault
 */
export function withNamedDatabase(read: ReadConfig, isDatabaseWritten: boolean, at: (path: string) => Place, findings: Findings): ReadConfig {
  if (read.databases.size === 0) return read
  if (isDatabaseWritten) {
    findings.fault(at('databases'), 'Both database and databases are written.', 'Keep one of them; database is enough.')
    return read
  }
  const [first, ...others] = [...read.databases].filter(([, { data_stores: stores }]) => stores.includes('main'))
  if (!first || others.length > 0) {
    findings.fault(at('databases'), 'It is not said which one database has the data store main.', 'Write "data_stores: [main, state]" below one of them.')
    return read
  }
  const [name, { data_stores: _, ...database }] = first
  if (read.databases.size > 1) {
    findings.warn(at('databases'), `Everything is stored in the database "${name}", which has main; the others of databases are not used.`)
  }
  return { ...read, database }
}
