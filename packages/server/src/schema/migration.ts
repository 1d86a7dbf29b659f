/** What a migration is: one step of the schema, in both directions. */
import { ddl, type Dialect } from '#platform/db/dialect.ts'
import type { Tx } from '#platform/db/database.ts'

/** What a migration will cost, asked before it runs. */
export interface Estimate {
  /** Rows that it touches. */
  readonly rows: number
  /** Additional disk that it needs while it runs, in bytes. */
  readonly diskBytes: number
  /** What to expect: below a second, seconds to minutes, or longer. */
  readonly duration: 'instant' | 'short' | 'long'
}

/** One step of the schema. */
export interface Migration {
  /** Version of the schema after it. */
  readonly version: number
  /** Name in `applied_schema_deltas.file`, `NNNN-name`. */
  readonly name: string
  /** Lowest schema version whose code still runs on the database after it. */
  readonly compat: number
  readonly estimate: (tx: Tx) => Promise<Estimate>
  /** Idempotent: an operator may un-mark it and it runs again over its own result. */
  readonly up: (tx: Tx, dialect: Dialect) => Promise<void>
  /** Undoes it; idempotent as well. */
  readonly down: (tx: Tx, dialect: Dialect) => Promise<void>
}

/** Declares a migration. */
export function migration(step: Migration): Migration {
  return Object.freeze(step)
}

/** The estimate of a step that only makes tables. */
export async function instant(): Promise<Estimate> {
  return { rows: 0, diskBytes: 0, duration: 'instant' }
}

/**
 * A migration that makes new tables and indexes and removes them again.
 * @param step its place in the schema
 * @param statements idempotent statements (`IF NOT EXISTS`), in the neutral words of `ddl`
 */
export function creates(step: { readonly version: number; readonly name: string; readonly compat: number }, statements: readonly string[]): Migration {
  return migration({
    ...step,
    estimate: instant,
    up: async (tx, dialect) => {
      for (const statement of statements) await tx.rows(ddl(dialect, statement), [])
    },
    down: async (tx) => {
      for (const statement of [...statements].reverse()) {
        const created = /^\s*CREATE (TABLE|(?:UNIQUE )?INDEX) IF NOT EXISTS (\w+)/.exec(statement)
        if (!created) throw new Error(`Migration ${step.name}: a statement is not of the form CREATE … IF NOT EXISTS`)
        await tx.rows(`DROP ${created[1] === 'TABLE' ? 'TABLE' : 'INDEX'} IF EXISTS ${created[2]}`, [])
      }
    },
  })
}
