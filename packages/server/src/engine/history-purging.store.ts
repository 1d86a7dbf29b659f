/** Queries that take events of the past out of `events`. */
import { sql } from 'kysely'
import type { EventId } from '@myelin/protocol/ids/ids.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import { anyOf } from '#platform/db/dialect.ts'
import { buildersFor, prepare, type Prepared } from '#platform/db/query.ts'
import type { Tables } from '#schema/tables.gen.ts'

/** What is known of an event that may have to go. */
export interface PastEvent {
  readonly event_nid: number
  readonly event_id: EventId
  readonly stream_ordering: number
  readonly received_ts: number
  readonly state_key_nid: number | null
  readonly type_nid: number
}

export class HistoryPurgingStore {
  readonly #database: Database
  readonly #page: Prepared<{ roomNid: number; after: number; limit: number }, PastEvent>
  readonly #delete: Prepared<{ nids: readonly number[] }, unknown>

  constructor(database: Database) {
    this.#database = database
    const db = buildersFor<Pick<Tables, 'events'>>(database.dialect)
    this.#page = prepare('historyPurging.page', ({ roomNid, after, limit }) =>
      db.selectFrom('events')
        .select([sql<EventId>`event_id`.as('event_id'), 'event_nid', sql<number>`stream_ordering`.as('stream_ordering'), 'received_ts', 'state_key_nid', 'type_nid'])
        .where('room_nid', '=', roomNid).where(sql<boolean>`rejected = 0 AND soft_failed = 0`).where('stream_ordering', '>', after)
        .orderBy('stream_ordering').limit(limit))
    this.#delete = prepare('historyPurging.delete', ({ nids }) => db.deleteFrom('events').where(anyOf(database.dialect, sql.ref('event_nid'), nids)))
  }

  /** Events of a room after a place of the stream, oldest first. */
  page(roomNid: number, after: number, limit: number): Promise<PastEvent[]> {
    return this.#page.all(this.#database, { roomNid, after, limit })
  }

  async delete(tx: Tx, nids: readonly number[]): Promise<void> {
    await this.#delete.run(tx, { nids })
  }
}
