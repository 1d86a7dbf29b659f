/** Which version of the policy a user has agreed to and when, and for which one the server has asked by a notice. */
import { columnExists, ddl, type Dialect } from '#platform/db/dialect.ts'
import type { Tx } from '#platform/db/database.ts'
import { instant, migration } from '../migration.ts'

const columns: readonly (readonly [name: string, type: string])[] = [['consent_version', 'TEXT'], ['consent_ts', 'BIGINT'], ['consent_server_notice_sent', 'TEXT']]

async function add(tx: Tx, dialect: Dialect): Promise<void> {
  for (const [name, type] of columns) {
    if (!(await columnExists(tx, 'users', name))) await tx.rows(ddl(dialect, `ALTER TABLE users ADD COLUMN ${name} ${type}`), [])
  }
}

async function remove(tx: Tx, dialect: Dialect): Promise<void> {
  for (const [name] of columns) {
    if (await columnExists(tx, 'users', name)) await tx.rows(ddl(dialect, `ALTER TABLE users DROP COLUMN ${name}`), [])
  }
}

export const consent = migration({ version: 16, name: '0016-consent', compat: 1, estimate: instant, up: add, down: remove })
