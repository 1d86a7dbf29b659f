/** Queries of `sticky_events`. */
import { sql } from 'kysely'
import { BulkInsert } from '#platform/db/bulk-insert.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import { anyOf } from '#platform/db/dialect.ts'
import { buildersFor, prepare, type Prepared } from '#platform/db/query.ts'
import type { StickyEventsTable, Tables } from '#schema/tables.gen.ts'

export class StickyEventsStore {
  readonly #database: Database
  readonly #unexpired: Prepared<{ now: number }, StickyEventsTable>
  readonly #delete: Prepared<{ nids: readonly number[] }, unknown>
  readonly #expire: Prepared<{ now: number }, unknown>
  readonly #insert = new BulkInsert<StickyEventsTable>('stickyEvents.insert', 'sticky_events', [
    ['event_nid', 'BIGINT'], ['room_nid', 'BIGINT'], ['stream_ordering', 'BIGINT'], ['expires_ts', 'BIGINT'],
  ], '(event_nid) DO NOTHING')

  constructor(database: Database) {
    this.#database = database
    const db = buildersFor<Pick<Tables, 'sticky_events'>>(database.dialect)
    this.#unexpired = prepare('stickyEvents.unexpired', ({ now }) => db.selectFrom('sticky_events').selectAll().where('expires_ts', '>', now).orderBy('stream_ordering'))
    this.#delete = prepare('stickyEvents.delete', ({ nids }) => db.deleteFrom('sticky_events').where(anyOf(database.dialect, sql.ref('event_nid'), nids)))
    this.#expire = prepare('stickyEvents.expire', ({ now }) => db.deleteFrom('sticky_events').where('expires_ts', '<=', now))
  }

  /** What is sticky, in the order of the stream. */
  unexpired(now: number): Promise<StickyEventsTable[]> {
    return this.#unexpired.all(this.#database, { now })
  }

  async insert(tx: Tx, rows: readonly StickyEventsTable[]): Promise<void> {
    await this.#insert.run(tx, rows)
  }

  async delete(tx: Tx, nids: readonly number[]): Promise<void> {
    await this.#delete.run(tx, { nids })
  }

  async expire(tx: Tx, now: number): Promise<void> {
    await this.#expire.run(tx, { now })
  }
}
