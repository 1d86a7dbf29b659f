/** Everything in which the two database engines differ, in one place. */
import { sql, type Expression, type RawBuilder, type SqlBool } from 'kysely'
import type { Placeholder } from './query.ts'

/** The engine behind a connection. */
export type Dialect = 'sqlite' | 'postgres'

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

/** Whether an error of the driver says that a unique constraint or a primary key was violated. */
export function isUniqueViolation(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  if ('code' in error && error.code === '23505') return true
  return 'errcode' in error && (error.errcode === 1555 || error.errcode === 2067)
}
