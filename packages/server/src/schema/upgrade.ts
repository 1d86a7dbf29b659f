/** Brings a database to the schema of this program, and back; keeps the books as operators know them. */
import { ddl, lockAlone, tableExists } from '#platform/db/dialect.ts'
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

/** Only one process changes the schema at a time. */
const schemaLock = 7_310_101

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

/** The schema's books of a database, and what this program would apply to it. Writes nothing. */
export async function schemaStatus(runner: Runner, migrations: readonly Migration[]): Promise<SchemaStatus> {
  if (!(await tableExists(runner, 'schema_version'))) return { version: 0, compatVersion: 0, applied: new Set(), pending: migrations }
  const [version] = await runner.rows<{ version: number }>('SELECT version FROM schema_version', [])
  const [compat] = await runner.rows<{ compat_version: number }>('SELECT compat_version FROM schema_compat_version', [])
  const rows = await runner.rows<{ file: string }>('SELECT file FROM applied_schema_deltas', [])
  const current = version?.version ?? 0
  const applied = new Set(rows.map((row) => row.file))
  const pending = migrations.filter((step) => step.version > current || !applied.has(step.name))
  return { version: current, compatVersion: compat?.compat_version ?? 0, applied, pending }
}

/**
 * Applies every migration that is not marked as applied, one transaction each, so that a crash leaves whole steps only.
 * @param report is told each step before it starts
 * @throws SchemaError where the database belongs to a newer program
 */
export async function upgradeSchema(database: Database, migrations: readonly Migration[], report: (step: Migration) => void): Promise<void> {
  const status = await schemaStatus(database, migrations)
  assertCompatible(status, migrations)
  if (status.pending.length === 0) return
  await database.transaction((tx) => prepareBooks(tx))
  for (const step of status.pending) {
    report(step)
    await database.transaction((tx) => apply(tx, step, migrations))
  }
}

/** Refuses a database that this program must not touch. @throws SchemaError */
export function assertCompatible(status: SchemaStatus, migrations: readonly Migration[]): void {
  const newest = newestOf(migrations)
  if (status.compatVersion <= newest) return
  throw new SchemaError(
    `The database has schema version ${status.version} and needs a program that knows version ${status.compatVersion}; this one knows ${newest}. ` +
      `Install the newer program again, or undo the schema with it first: myelin db rollback --to ${newest}`,
  )
}

/** Refuses a database that the main process has not upgraded yet: what a worker asks before it starts. @throws SchemaError */
export async function assertUpgraded(database: Database, migrations: readonly Migration[]): Promise<void> {
  const status = await schemaStatus(database, migrations)
  assertCompatible(status, migrations)
  const [first] = status.pending
  if (first) throw new SchemaError(`The schema is not up to date: ${first.name} is pending. Start the main process first, or run: myelin db upgrade`)
}

/**
 * Undoes migrations down to a version, newest first.
 * @param target version that the schema shall have afterwards
 * @param report is told each step before it is undone
 */
export async function rollbackSchema(database: Database, migrations: readonly Migration[], target: number, report: (step: Migration) => void): Promise<void> {
  for (const step of await stepsAbove(database, migrations, target)) {
    report(step)
    await database.transaction((tx) => undo(tx, step, migrations))
  }
}

/** The applied steps above a version, newest first. @throws SchemaError where the database has steps that this program does not know */
export async function stepsAbove(database: Database, migrations: readonly Migration[], target: number): Promise<readonly Migration[]> {
  const status = await schemaStatus(database, migrations)
  if (status.version > newestOf(migrations)) {
    throw new SchemaError(
      `The database has schema version ${status.version}, and this program knows ${newestOf(migrations)}. Roll back with the program that upgraded it: myelin db rollback --to ${target}`,
    )
  }
  return [...migrations].reverse().filter((step) => step.version > target && status.applied.has(step.name))
}

/** What each pending migration would cost. Writes nothing. */
export async function estimatePending(database: Database, migrations: readonly Migration[]): Promise<{ step: Migration; estimate: Estimate }[]> {
  const status = await schemaStatus(database, migrations)
  assertCompatible(status, migrations)
  const estimates: { step: Migration; estimate: Estimate }[] = []
  for (const step of status.pending) estimates.push({ step, estimate: await step.estimate(database) })
  return estimates
}

async function prepareBooks(tx: Tx): Promise<void> {
  await lockAlone(tx, schemaLock)
  for (const statement of books) await tx.rows(ddl(tx.dialect, statement), [])
}

async function apply(tx: Tx, step: Migration, migrations: readonly Migration[]): Promise<void> {
  await lockAlone(tx, schemaLock)
  const status = await schemaStatus(tx, migrations)
  // Another process may have been faster.
  if (!status.pending.includes(step)) return
  await step.up(tx, tx.dialect)
  await tx.rows('DELETE FROM applied_schema_deltas WHERE file = $1', [step.name])
  await tx.rows('INSERT INTO applied_schema_deltas (version, file) VALUES ($1, $2)', [step.version, step.name])
  for (const update of step.background ?? []) {
    const row = [update.name, '{}', update.dependsOn ?? null, step.version]
    await tx.rows('INSERT INTO background_updates (update_name, progress_json, depends_on, ordering) VALUES ($1, $2, $3, $4) ON CONFLICT (update_name) DO NOTHING', row)
  }
  await setVersion(tx, Math.max(status.version, step.version), Math.max(status.compatVersion, step.compat))
}

async function undo(tx: Tx, step: Migration, migrations: readonly Migration[]): Promise<void> {
  await lockAlone(tx, schemaLock)
  for (const update of [...(step.background ?? [])].reverse()) {
    await update.undo(tx)
    await tx.rows('DELETE FROM background_updates WHERE update_name = $1', [update.name])
  }
  await step.down(tx, tx.dialect)
  await tx.rows('DELETE FROM applied_schema_deltas WHERE file = $1', [step.name])
  const remaining = migrations.slice(0, migrations.indexOf(step))
  await setVersion(tx, newestOf(remaining), Math.max(0, ...remaining.map(({ compat }) => compat)))
}

function newestOf(migrations: readonly Migration[]): number {
  return migrations.at(-1)?.version ?? 0
}

async function setVersion(tx: Tx, version: number, compat: number): Promise<void> {
  await tx.rows('DELETE FROM schema_version', [])
  await tx.rows('INSERT INTO schema_version (version, upgraded) VALUES ($1, 1)', [version])
  await tx.rows('DELETE FROM schema_compat_version', [])
  await tx.rows('INSERT INTO schema_compat_version (compat_version) VALUES ($1)', [compat])
}
