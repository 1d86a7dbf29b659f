/** What a migration is: one step of the schema, in both directions. */
import { ddl, tableExists, type Dialect } from '#platform/db/dialect.ts'
import type { Tx } from '#platform/db/database.ts'
import type { Runner } from '#platform/db/query.ts'
import type { BackgroundUpdate } from './background-update.ts'

/** What a migration will cost, asked before it runs. */
export interface Estimate {
  /** Rows that it touches. */
  readonly rows: number
  /** Additional disk that it needs while it runs, in bytes. */
  readonly diskBytes: number
  /** How long it takes, in seconds; the server does not answer meanwhile. */
  readonly seconds: number
}

/** One step of the schema. */
export interface Migration {
  /** Version of the schema after it. */
  readonly version: number
  /** Name in `applied_schema_deltas.file`, `NNNN-name`. */
  readonly name: string
  /** Lowest schema version whose code still runs on the database after it. */
  readonly compat: number
  /** Changes nothing; tables of earlier steps may be missing still. */
  readonly estimate: (runner: Runner) => Promise<Estimate>
  /** Idempotent: an operator may un-mark it and it runs again over its own result. */
  readonly up: (tx: Tx, dialect: Dialect) => Promise<void>
  /** Undoes it; idempotent as well. */
  readonly down: (tx: Tx, dialect: Dialect) => Promise<void>
  /** Slow work that follows while the server runs. */
  readonly background?: readonly BackgroundUpdate[]
}

/** Declares a migration. */
export function migration(step: Migration): Migration {
  return Object.freeze(step)
}

/** The estimate of a step that only makes tables. */
export async function instant(): Promise<Estimate> {
  return { rows: 0, diskBytes: 0, seconds: 0 }
}

/**
 * The estimate of a step that rewrites a table, or reads it for an index.
 * @param cost what one row needs: bytes on disk, and rows that one second does
 */
export function rows(table: string, cost: { readonly bytesPerRow: number; readonly rowsPerSecond: number }): (runner: Runner) => Promise<Estimate> {
  return async (runner) => {
    const count = await countRows(runner, table)
    return { rows: count, diskBytes: count * cost.bytesPerRow, seconds: count / cost.rowsPerSecond }
  }
}

/** Number of rows of a table, 0 where it does not exist yet. */
export async function countRows(runner: Runner, table: string): Promise<number> {
  if (!(await tableExists(runner, table))) return 0
  const [row] = await runner.rows<{ count: number }>(`SELECT count(*) AS count FROM ${table}`, [])
  return row?.count ?? 0
}

interface Place {
  readonly version: number
  readonly name: string
  readonly compat: number
  readonly background?: readonly BackgroundUpdate[]
}

/**
 * A migration that makes new tables and indexes and removes them again.
 * @param step its place in the schema
 * @param statements idempotent statements (`IF NOT EXISTS`), in the neutral words of `ddl`
 */
export function creates(step: Place, statements: readonly string[]): Migration {
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
