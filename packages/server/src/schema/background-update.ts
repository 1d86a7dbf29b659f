/** What a background update is: slow work on the database that runs in small batches while the server answers. */
import type { Tx } from '#platform/db/database.ts'
import type { Runner } from '#platform/db/query.ts'

/** Where an update stands: any JSON object, empty at the beginning. */
export type Cursor = Readonly<Record<string, unknown>>

/** What one batch did. */
export interface Batch {
  /** Items that it processed. */
  readonly items: number
  /** Where the next batch goes on; undefined when nothing is left. */
  readonly cursor: Cursor | undefined
}

interface Named {
  /** Name in `background_updates.update_name`. */
  readonly name: string
  /** Update that must be finished before. */
  readonly dependsOn?: string
  /** Items altogether, 0 where that is not known; the tables may be missing. */
  readonly total: (runner: Runner) => Promise<number>
  /** Takes back what it did; idempotent, whatever part of it has run. */
  readonly undo: (tx: Tx) => Promise<void>
}

/** Work in batches. Cursor and effect are committed together, so that a crash neither repeats nor loses a batch. */
export interface BatchUpdate extends Named {
  readonly kind: 'batches'
  readonly batch: (tx: Tx, cursor: Cursor, size: number) => Promise<Batch>
}

/** An index that is built in one go beside reads and writes. */
export interface IndexUpdate extends Named {
  readonly kind: 'index'
  readonly index: string
  /** What follows the index's name: `ON table (columns)`. */
  readonly on: string
}

export type BackgroundUpdate = BatchUpdate | IndexUpdate

/** Declares an index that is built while the server runs. */
export function indexUpdate(declaration: {
  readonly name: string
  readonly index: string
  readonly on: string
  readonly dependsOn?: string
  readonly total: (runner: Runner) => Promise<number>
}): IndexUpdate {
  return {
    ...declaration,
    kind: 'index',
    undo: async (tx) => {
      await tx.rows(`DROP INDEX IF EXISTS ${declaration.index}`, [])
    },
  }
}
