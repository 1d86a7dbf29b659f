/** What a database must be before anything is stored in it: version, encoding, collation. */
import type { Database } from './database.ts'

const oldestPostgres = 13

/** The database cannot be used as it is; the message has the command that mends it. */
export class UnsuitableDatabaseError extends Error {
  override readonly name = 'UnsuitableDatabaseError'
}

/** What PostgreSQL says about itself and the database. */
export interface Facts {
  /** First part of its version. */
  readonly version: number
  readonly encoding: string
  readonly collation: string
  readonly ctype: string
  readonly provider: string
  readonly database: string
  readonly owner: string
}

/** Locales that compare by bytes. */
const byteWise = new Set(['C', 'POSIX', 'C.UTF-8', 'C.UTF8'])

/**
 * Refuses a database that would lose or corrupt text.
 * @param options.allowUnsafeLocale lets another collation pass; text columns carry `COLLATE "C"` of their own
 * @throws UnsuitableDatabaseError with the mending command
 */
export async function assertSuitable(database: Database, options: { readonly allowUnsafeLocale: boolean }): Promise<void> {
  if (database.dialect === 'sqlite') return assertSuitableFile(database)
  const [version] = await database.rows<{ version: number }>("SELECT current_setting('server_version_num')::int AS version", [])
  const fault = faultOf(await factsOf(database, Math.floor((version?.version ?? 0) / 10_000)), options)
  if (fault !== undefined) throw new UnsuitableDatabaseError(fault)
}

/** What is wrong with a PostgreSQL database and how to mend it; undefined where nothing is. */
export function faultOf(facts: Facts, options: { readonly allowUnsafeLocale: boolean }): string | undefined {
  const { version, encoding, provider, collation, ctype, database } = facts
  if (version < oldestPostgres) {
    return `PostgreSQL ${version} is too old: version ${oldestPostgres} or newer is needed. Upgrade the cluster, for instance with: pg_upgradecluster ${version} main`
  }
  if (encoding !== 'UTF8') return `The database ${database} has the encoding ${encoding}, it must be UTF8. ${mending(facts)}`
  const isSafe = provider !== 'i' && byteWise.has(collation) && byteWise.has(ctype)
  if (isSafe || options.allowUnsafeLocale) return undefined
  return `The database ${database} has the collation ${collation} and the character type ${ctype}${provider === 'i' ? ' of ICU' : ''}; both must be C, ` +
    `because an update of the operating system's locales would corrupt its indexes. ${mending(facts)} ` +
    'To start nevertheless, set allow_unsafe_locale: true below database.'
}

async function factsOf(database: Database, major: number): Promise<Facts> {
  const provider = major >= 15 ? 'datlocprovider::text' : "'c'"
  const [facts] = await database.rows<Facts>(
    `SELECT $1::int AS version, pg_encoding_to_char(encoding) AS encoding, datcollate::text AS collation, datctype::text AS ctype, ${provider} AS provider,
       datname::text AS database, pg_get_userbyid(datdba)::text AS owner FROM pg_database WHERE datname = current_database()`, [major])
  if (!facts) throw new UnsuitableDatabaseError('PostgreSQL does not list the database in pg_database.')
  return facts
}

/** The command line that copies a database into one that is right. */
function mending({ database, owner }: Facts): string {
  const copy = `${database}_c`
  return `Make a right one and copy the data: createdb --encoding=UTF8 --locale=C --template=template0 --owner=${owner} ${copy} && pg_dump ${database} | psql ${copy}; ` +
    `then name ${copy} in database.args.dbname.`
}

async function assertSuitableFile(database: Database): Promise<void> {
  const [row] = await database.rows<{ encoding: string }>('PRAGMA encoding', [])
  if (row?.encoding === 'UTF-8') return
  throw new UnsuitableDatabaseError(
    `The file has the encoding ${row?.encoding ?? 'unknown'}, it must be UTF-8. Copy it: sqlite3 old.db .dump | sqlite3 new.db`,
  )
}
