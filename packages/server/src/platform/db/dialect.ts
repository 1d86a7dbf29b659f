/** Everything in which the two database engines differ, in one place. */
import { sql, type Expression, type RawBuilder, type SqlBool } from 'kysely'
import type { Dialect, Placeholder, Runner } from './query.ts'

export type { Dialect }

/**
 * Translates table definitions into the engine's words. Definitions are written with the types TEXT, BIGINT, SMALLINT, BOOLEAN, DOUBLE and BLOB; text is
 * compared by bytes on both engines, and SQLite tables are STRICT.
 * @param statement one `CREATE TABLE`, `CREATE INDEX`, `ALTER TABLE` or `DROP` statement
 */
export function ddl(dialect: Dialect, statement: string): string {
  if (dialect === 'postgres') {
    return statement
      .replace(/\s+WITHOUT ROWID\b/g, '')
      .replace(/\bTEXT\b/g, 'TEXT COLLATE "C"')
      .replace(/\bBLOB\b/g, 'BYTEA')
      .replace(/\bDOUBLE\b/g, 'DOUBLE PRECISION')
  }
  const types = statement.replace(/\b(BIGINT|SMALLINT|BOOLEAN)\b/g, 'INTEGER').replace(/\bDOUBLE\b/g, 'REAL')
  if (!/^\s*CREATE TABLE/i.test(types)) return types
  return /\bWITHOUT ROWID\s*$/.test(types) ? `${types.trimEnd()}, STRICT` : `${types.trimEnd()} STRICT`
}

/**
 * `column IN (…)` with the whole list as one parameter, so that the statement's text does not depend on the list's length.
 * @param list the values, or a placeholder for them in a prepared query
 */
export function anyOf<Value extends string | number>(
  dialect: Dialect,
  column: Expression<unknown> | RawBuilder<unknown>,
  list: readonly Value[] | Placeholder,
): RawBuilder<SqlBool> {
  return dialect === 'postgres' ? sql<SqlBool>`${column} = ANY(${list})` : sql<SqlBool>`${column} IN (SELECT value FROM json_each(${list}))`
}

/**
 * A table of pairs of text with the columns `first` and `second`, for joins: two `anyOf` would ask for every combination.
 * @param list what `pairsText` gives, or the placeholder of a prepared query that brings it
 */
export function pairs(dialect: Dialect, list: Placeholder | string): RawBuilder<{ first: string; second: string }> {
  return dialect === 'postgres'
    ? sql`(SELECT pair->>0 AS first, pair->>1 AS second FROM jsonb_array_elements(${list}::text::jsonb) AS pair)`
    : sql`(SELECT value->>0 AS first, value->>1 AS second FROM json_each(${list}))`
}

/**
 * A list of numbers as a table with the one column `number`, for a query that looks something up for each.
 * @param list the numbers, or a placeholder for them in a prepared query
 */
export function numbersIn(dialect: Dialect, list: readonly number[] | Placeholder): RawBuilder<{ number: number }> {
  return dialect === 'postgres'
    ? sql<{ number: number }>`(SELECT unnest(${list}::bigint[]) AS number)`
    : sql<{ number: number }>`(SELECT value AS number FROM json_each(${list}))`
}

/** A text column as a JSON string, quotes included. */
export function jsonString(dialect: Dialect, column: Expression<unknown> | RawBuilder<unknown>): RawBuilder<string> {
  return dialect === 'postgres' ? sql<string>`to_json(${column})::text` : sql<string>`json_quote(${column})`
}

/** Pairs on their way to `pairs`. Those with a NUL character are left out: no text in a database has one, so they match nothing. */
export function pairsText(list: readonly (readonly [string, string])[]): string {
  return JSON.stringify(list.filter(([first, second]) => !first.includes('\0') && !second.includes('\0')))
}

/** Whether an error of the driver says that a unique constraint or a primary key was violated. */
export function isUniqueViolation(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  if ('code' in error && error.code === '23505') return true
  return 'errcode' in error && (error.errcode === 1555 || error.errcode === 2067)
}

/** Whether the database has a table of this name. */
export async function tableExists(runner: Runner, table: string): Promise<boolean> {
  const text = runner.dialect === 'postgres'
    ? 'SELECT 1 AS found FROM information_schema.tables WHERE table_schema = ANY(current_schemas(false)) AND table_name = $1'
    : "SELECT 1 AS found FROM sqlite_master WHERE type = 'table' AND name = $1"
  return (await runner.rows(text, [table])).length > 0
}

/** Whether a table has a column of this name. */
export async function columnExists(runner: Runner, table: string, column: string): Promise<boolean> {
  const text = runner.dialect === 'postgres'
    ? 'SELECT 1 AS found FROM information_schema.columns WHERE table_schema = ANY(current_schemas(false)) AND table_name = $1 AND column_name = $2'
    : 'SELECT 1 AS found FROM pragma_table_info($1) WHERE name = $2'
  return (await runner.rows(text, [table, column])).length > 0
}

/**
 * Waits until no other process is in a transaction with the same lock; held to the end of the transaction. SQLite has one writer anyway.
 * @param key any number that nothing else locks by
 */
export async function lockAlone(tx: Runner, key: number): Promise<void> {
  if (tx.dialect === 'postgres') await tx.rows('SELECT pg_advisory_xact_lock($1)', [key])
}

/** What runs transactions. */
interface Transactional extends Runner {
  transaction<Result>(work: (tx: Runner) => Promise<Result>): Promise<Result>
}

/**
 * Builds an index while the table is in use. PostgreSQL does it beside reads and writes; SQLite has one writer, which waits.
 * @param index its name
 * @param on what follows the name: `ON table (columns)`
 */
export async function buildIndex(database: Transactional, index: string, on: string): Promise<void> {
  if (database.dialect === 'sqlite') {
    await database.transaction((tx) => tx.rows(`CREATE INDEX IF NOT EXISTS ${index} ${on}`, []))
    return
  }
  // A build that was cut off leaves an index that is kept up to date but never used.
  const broken = 'SELECT 1 AS found FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid WHERE relname = $1 AND NOT indisvalid AND pg_table_is_visible(pg_class.oid)'
  if ((await database.rows(broken, [index])).length > 0) await database.rows(`DROP INDEX CONCURRENTLY IF EXISTS ${index}`, [])
  await database.rows(`CREATE INDEX CONCURRENTLY IF NOT EXISTS ${index} ${on}`, [])
}
