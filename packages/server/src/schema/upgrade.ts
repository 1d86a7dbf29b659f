/** Brings a database to the schema of this program, and back; keeps the books as operators know them. */
import { MatrixError } from '@myelin/protocol/errors.ts'
import { ddl } from '#platform/db/dialect.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import type { Runner } from '#platform/db/query.ts'
import type { Estimate, Migration } from './migration.ts'

const books = [
  'CREATE TABLE IF NOT EXISTS schema_version (lock TEXT NOT NULL DEFAULT \'X\' PRIMARY KEY, version BIGINT NOT NULL, upgraded SMALLINT NOT NULL DEFAULT 1)',
  'CREATE TABLE IF NOT EXISTS schema_compat_version (lock TEXT NOT NULL DEFAULT \'X\' PRIMARY KEY, compat_version BIGINT NOT NULL)',
  'CREATE TABLE IF NOT EXISTS applied_schema_deltas (version BIGINT NOT NULL, file TEXT NOT NULL, PRIMARY KEY (version, file))',
  `CREATE TABLE IF NOT EXISTS background_updates (update_name TEXT NOT NULL PRIMARY KEY, progress_json TEXT NOT NULL DEFAULT '{}',
    depends_on TEXT, ordering BIGINT NOT NULL DEFAULT 0)`,
]

/** The database does not fit this program; the message says how to mend it. */
export class SchemaError extends Error {
  override readonly name = 'SchemaError'
}

/** What a database says about its schema. */
export interface SchemaStatus {
  readonly version: number
  readonly compatVersion: number
  readonly applied: ReadonlySet<string>
  readonly pending: readonly Migration[]
}

/** The schema's books of a database, and what this program would apply to it. */
export async function schemaStatus(database: Database, migrations: readonly Migration[]): Promise<SchemaStatus> {
  await database.transaction((tx) => prepareBooks(tx))
  return readStatus(database, migrations)
}

/**
 * Applies every migration that is not marked as applied, one transaction each, so that a crash leaves whole steps only.
 * @param report is told each step before it starts
 * @throws SchemaError where the database belongs to a newer program
 */
export async function upgradeSchema(database: Database, migrations: readonly Migration[], report: (step: Migration) => void): Promise<void> {
  const status = await schemaStatus(database, migrations)
  const newest = migrations.at(-1)?.version ?? 0
  if (status.compatVersion > newest) {
    throw new SchemaError(
      `The database has schema version ${status.version} and needs a program that knows version ${status.compatVersion}; this one knows ${newest}. ` +
        `Install the newer program again, or undo the schema with it first: myelin db rollback --to ${newest}`,
    )
  }
  for (const step of status.pending) {
    report(step)
    await database.transaction((tx) => apply(tx, step))
  }
}

/**
 * Undoes migrations down to a version, newest first.
 * @param target version that the schema shall have afterwards
 */
export async function rollbackSchema(database: Database, migrations: readonly Migration[], target: number, report: (step: Migration) => void): Promise<void> {
  const status = await schemaStatus(database, migrations)
  const unknown = status.version > (migrations.at(-1)?.version ?? 0)
  if (unknown) throw new SchemaError(`The database has schema version ${status.version}, newer than this program; roll back with the program that made it.`)
  for (const step of [...migrations].reverse()) {
    if (step.version <= target || !status.applied.has(step.name)) continue
    report(step)
    await database.transaction((tx) => undo(tx, step, migrations))
  }
}

/** What each pending migration would cost. */
export async function estimatePending(database: Database, migrations: readonly Migration[]): Promise<{ step: Migration; estimate: Estimate }[]> {
  const { pending } = await schemaStatus(database, migrations)
  const rollBack = new MatrixError(500, 'M_UNKNOWN', 'estimate')
  const estimates: { step: Migration; estimate: Estimate }[] = []
  try {
    await database.transaction(async (tx) => {
      for (const step of pending) {
        estimates.push({ step, estimate: await step.estimate(tx) })
        await step.up(tx, tx.dialect)
      }
      throw rollBack
    })
  } catch (error) {
    if (error !== rollBack) throw error
  }
  return estimates
}

async function prepareBooks(tx: Tx): Promise<void> {
  for (const statement of books) await tx.rows(ddl(tx.dialect, statement), [])
}

async function readStatus(runner: Runner, migrations: readonly Migration[]): Promise<SchemaStatus> {
  const [version] = await runner.rows<{ version: number }>('SELECT version FROM schema_version', [])
  const [compat] = await runner.rows<{ compat_version: number }>('SELECT compat_version FROM schema_compat_version', [])
  const rows = await runner.rows<{ file: string }>('SELECT file FROM applied_schema_deltas', [])
  const current = version?.version ?? 0
  const applied = new Set(rows.map((row) => row.file))
  const pending = migrations.filter((step) => step.version > current || !applied.has(step.name))
  return { version: current, compatVersion: compat?.compat_version ?? 0, applied, pending }
}

async function apply(tx: Tx, step: Migration): Promise<void> {
  await step.up(tx, tx.dialect)
  await tx.rows('DELETE FROM applied_schema_deltas WHERE file = $1', [step.name])
  await tx.rows('INSERT INTO applied_schema_deltas (version, file) VALUES ($1, $2)', [step.version, step.name])
  const [row] = await tx.rows<{ version: number }>('SELECT version FROM schema_version', [])
  await setVersion(tx, Math.max(row?.version ?? 0, step.version), step.compat)
}

async function undo(tx: Tx, step: Migration, migrations: readonly Migration[]): Promise<void> {
  await step.down(tx, tx.dialect)
  await tx.rows('DELETE FROM applied_schema_deltas WHERE file = $1', [step.name])
  const previous = migrations[migrations.indexOf(step) - 1]
  await setVersion(tx, previous?.version ?? 0, previous?.compat ?? 0)
}

async function setVersion(tx: Tx, version: number, compat: number): Promise<void> {
  await tx.rows('DELETE FROM schema_version', [])
  await tx.rows('INSERT INTO schema_version (version, upgraded) VALUES ($1, 1)', [version])
  await tx.rows('DELETE FROM schema_compat_version', [])
  await tx.rows('INSERT INTO schema_compat_version (compat_version) VALUES ($1)', [compat])
}
