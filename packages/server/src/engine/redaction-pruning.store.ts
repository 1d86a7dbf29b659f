/** Queries of `unpruned_redactions`, and the one that overwrites the text of an event. */
import { sql } from 'kysely'
import { BulkInsert } from '#platform/db/bulk-insert.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import { anyOf } from '#platform/db/dialect.ts'
import { buildersFor, prepare, type Prepared } from '#platform/db/query.ts'
import type { Tables, UnprunedRedactionsTable } from '#schema/tables.gen.ts'

type PruningTables = Pick<Tables, 'unpruned_redactions' | 'events'>

export class RedactionPruningStore {
  readonly #database: Database
  readonly #insert = new BulkInsert<UnprunedRedactionsTable>(
    'redactionPruning.insert', 'unpruned_redactions', [['event_nid', 'BIGINT'], ['redacted_ts', 'BIGINT']], '(event_nid) DO NOTHING',
  )
  readonly #due: Prepared<{ before: number; limit: number }, { event_nid: number }>
  readonly #overwrite: Prepared<{ nid: number; json: string }, unknown>
  readonly #done: Prepared<{ nids: readonly number[] }, unknown>
  readonly #isWaiting: Prepared<{ nid: number }, { event_nid: number }>

  constructor(database: Database) {
    this.#database = database
    const db = buildersFor<PruningTables>(database.dialect)
    this.#due = prepare('redactionPruning.due', ({ before, limit }) =>
      db.selectFrom('unpruned_redactions').select('event_nid').where('redacted_ts', '<=', before).orderBy('redacted_ts').limit(limit))
    this.#overwrite = prepare('redactionPruning.overwrite', ({ nid, json }) => db.updateTable('events').set({ json }).where('event_nid', '=', nid))
    this.#isWaiting = prepare('redactionPruning.isWaiting', ({ nid }) => db.selectFrom('unpruned_redactions').select('event_nid').where('event_nid', '=', nid))
    this.#done = prepare('redactionPruning.done', ({ nids }) => db.deleteFrom('unpruned_redactions').where(anyOf(database.dialect, sql.ref('event_nid'), nids)))
  }

  async insert(tx: Tx, rows: readonly UnprunedRedactionsTable[]): Promise<void> {
    await this.#insert.run(tx, rows)
  }

  /** Events that were redacted up to a time. */
  async due(before: number, limit: number): Promise<number[]> {
    return (await this.#due.all(this.#database, { before, limit })).map((row) => row.event_nid)
  }

  /** Whether the original of a redacted event is still there. */
  async isWaiting(nid: number): Promise<boolean> {
    return (await this.#isWaiting.first(this.#database, { nid })) !== undefined
  }

  async overwrite(tx: Tx, nid: number, json: string): Promise<void> {
    await this.#overwrite.run(tx, { nid, json })
  }

  async done(tx: Tx, nids: readonly number[]): Promise<void> {
    await this.#done.run(tx, { nids })
  }
}
