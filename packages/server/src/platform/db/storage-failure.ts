/** Tells failures of the storage from mistakes in a query, and says how to mend them. */
import { StorageError } from './database.ts'

/** SQLite's primary result codes that speak of the storage; https://sqlite.org/rescode.html. */
const sqliteAdvice: ReadonlyMap<number, string> = new Map([
  [5, 'Another program holds the database locked; end it (a shell, a backup, a second server).'],
  [6, 'Another program holds the database locked; end it (a shell, a backup, a second server).'],
  [7, 'The machine has no memory left for the database; free some.'],
  [8, 'The database is read-only; give the server write permission to the file and its folder, and look whether the disk was remounted read-only.'],
  [10, 'The disk of the database does not read or write; look at the kernel\'s log and at the free space.'],
  [11, 'The file of the database is damaged; stop the server and restore a backup.'],
  [13, 'The disk of the database is full; free space on it, the server goes on by itself.'],
  [14, 'The file of the database cannot be opened; look whether its folder exists and belongs to the server\'s user.'],
  [26, 'The file of the database is not an SQLite database; look at the configured path.'],
])

const sqliteBusy = 5

/** PostgreSQL's error codes, whole or by class; https://www.postgresql.org/docs/current/errcodes-appendix.html. */
const postgresAdvice: readonly (readonly [string, string])[] = [
  ['53100', 'The disk of PostgreSQL is full; free space on it, the server goes on by itself.'],
  ['53300', 'PostgreSQL takes no further connections; raise its max_connections or lower cp_max.'],
  ['53', 'PostgreSQL lacks a resource; look at its log.'],
  ['08', 'The connection to PostgreSQL was lost; the server connects again by itself.'],
  ['57P', 'PostgreSQL is stopping or starting; the server connects again by itself.'],
  ['57014', 'PostgreSQL cancelled the query; look whether its statement_timeout is too short.'],
  ['58', 'PostgreSQL cannot read or write its files; look at its log.'],
  ['XX001', 'PostgreSQL found damaged data; look at its log.'],
  ['XX002', 'PostgreSQL found a damaged index; look at its log, and REINDEX it.'],
  ['25006', 'PostgreSQL takes no writes: it is a standby or default_transaction_read_only is set. Connect to the primary.'],
  ['40', 'Transactions were in each other\'s way; try again.'],
  ['55P03', 'A lock in PostgreSQL was held too long; look in pg_stat_activity who holds it.'],
  ['28', 'PostgreSQL does not accept the configured user or password; look at database.args and pg_hba.conf.'],
  ['3D000', 'The configured database does not exist; create it: createdb --encoding=UTF8 --locale=C --template=template0 NAME'],
]

const networkCodes = new Set(['ECONNREFUSED', 'ECONNRESET', 'ENOENT', 'EPIPE', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH', 'ENOTFOUND', 'EAI_AGAIN', 'EACCES'])
const driverLostIt = /^(Connection terminated|timeout exceeded|timeout expired|Client has encountered a connection error|Client was closed|The server does not support)/

/** The failure of the storage behind an error of SQLite's driver; undefined where the query itself was wrong. */
export function sqliteFailure(error: unknown): StorageError | undefined {
  if (error instanceof StorageError) return error
  const advice = sqliteAdvice.get(primaryCode(error))
  return advice === undefined ? undefined : new StorageError(advice, { cause: error })
}

/** Whether SQLite refused because somebody else holds the lock. */
export function isBusy(error: unknown): boolean {
  return primaryCode(error) === sqliteBusy
}

function primaryCode(error: unknown): number {
  return error instanceof Error && 'errcode' in error && typeof error.errcode === 'number' ? error.errcode & 0xff : -1
}

/** The failure of the storage behind an error of PostgreSQL's driver; undefined where the query itself was wrong. */
export function postgresFailure(error: unknown): StorageError | undefined {
  if (!(error instanceof Error) || error instanceof StorageError) return error instanceof StorageError ? error : undefined
  const code = 'code' in error && typeof error.code === 'string' ? error.code : ''
  if (networkCodes.has(code) || driverLostIt.test(error.message)) {
    return new StorageError('The database cannot be reached; look whether PostgreSQL runs at the configured host and port.', { cause: error })
  }
  const found = postgresAdvice.find(([prefix]) => code.length === 5 && code.startsWith(prefix))
  return found && new StorageError(found[1], { cause: error })
}

/** Whether the server itself refused the statement and goes on; otherwise nobody knows whether it was carried out. */
export function isCertain(error: unknown): boolean {
  return error instanceof Error && 'severity' in error && error.severity === 'ERROR'
}
