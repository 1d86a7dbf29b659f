/** Queries of `received_transactions` and `federation_inbound_events_staging`. */
import type { Selectable } from 'kysely'
import { BulkInsert } from '#platform/db/bulk-insert.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import { PagedDelete } from '#platform/db/paged-delete.ts'
import { buildersFor, prepare, type Prepared } from '#platform/db/query.ts'
import type { FederationInboundEventsStagingTable, ReceivedTransactionsTable, Tables } from '#schema/tables.gen.ts'

type InboxTables = Pick<Tables, 'received_transactions' | 'federation_inbound_events_staging'>

/** An event that waits to be taken in. */
export type StagedEvent = Selectable<FederationInboundEventsStagingTable>

export class InboxStore {
  readonly #database: Database
  readonly #response: Prepared<{ origin: string; txnId: string }, { response_json: string }>
  readonly #record: Prepared<Selectable<ReceivedTransactionsTable>, unknown>
  readonly #forget: Prepared<{ before: number }, unknown>
  readonly #nextOf: Prepared<{ roomNid: number; after: number; limit: number }, StagedEvent>
  readonly #waiting: Prepared<Record<string, never>, { room_nid: number }>
  readonly #delete: Prepared<{ nid: number }, unknown>
  readonly #deleteRoom = new PagedDelete('inbox.deleteRoom', 'federation_inbound_events_staging', 'room_nid', ['staging_nid'])
  readonly #stage = new BulkInsert<StagedEvent>('inbox.stage', 'federation_inbound_events_staging', [
    ['staging_nid', 'BIGINT'], ['room_nid', 'BIGINT'], ['origin', 'TEXT'], ['received_ts', 'BIGINT'], ['event_json', 'TEXT'],
  ])

  constructor(database: Database) {
    this.#database = database
    const db = buildersFor<InboxTables>(database.dialect)
    this.#response = prepare('inbox.response', ({ origin, txnId }) =>
      db.selectFrom('received_transactions').select('response_json').where('origin', '=', origin).where('transaction_id', '=', txnId))
    this.#record = prepare('inbox.record', (row) =>
      db.insertInto('received_transactions').values({ origin: row.origin, transaction_id: row.transaction_id, ts: row.ts, response_json: row.response_json })
        .onConflict((conflict) => conflict.doNothing()))
    this.#forget = prepare('inbox.forget', ({ before }) => db.deleteFrom('received_transactions').where('ts', '<', before))
    this.#nextOf = prepare('inbox.nextOf', ({ roomNid, after, limit }) =>
      db.selectFrom('federation_inbound_events_staging').selectAll().where('room_nid', '=', roomNid).where('staging_nid', '>', after).orderBy('staging_nid').limit(limit))
    this.#waiting = prepare('inbox.waiting', () => db.selectFrom('federation_inbound_events_staging').select('room_nid').distinct())
    this.#delete = prepare('inbox.delete', ({ nid }) => db.deleteFrom('federation_inbound_events_staging').where('staging_nid', '=', nid))
  }

  /** Highest number that an event waits under. */
  static async last(database: Database): Promise<number> {
    const [row] = await database.rows<{ last: number | null }>('SELECT max(staging_nid) AS last FROM federation_inbound_events_staging', [])
    return row?.last ?? 0
  }

  /** What a transaction was answered. */
  async response(origin: string, txnId: string): Promise<string | undefined> {
    return (await this.#response.first(this.#database, { origin, txnId }))?.response_json
  }

  async record(tx: Tx, row: Selectable<ReceivedTransactionsTable>): Promise<void> {
    await this.#record.run(tx, row)
  }

  async forget(tx: Tx, before: number): Promise<void> {
    await this.#forget.run(tx, { before })
  }

  async stage(tx: Tx, events: readonly StagedEvent[]): Promise<void> {
    await this.#stage.run(tx, events)
  }

  /** The oldest events that wait for a room, behind a number. */
  nextOf(roomNid: number, after: number, limit: number): Promise<StagedEvent[]> {
    return this.#nextOf.all(this.#database, { roomNid, after, limit })
  }

  /** Numbers of the rooms for which events wait. */
  async waiting(): Promise<number[]> {
    return (await this.#waiting.all(this.#database, {})).map((row) => row.room_nid)
  }

  /** Deletes at most `limit` events that wait for a room. @returns whether there may be more */
  async deleteRoom(tx: Tx, roomNid: number, limit: number): Promise<boolean> {
    return (await this.#deleteRoom.run(tx, roomNid, limit)).length === limit
  }

  async delete(tx: Tx, nid: number): Promise<void> {
    await this.#delete.run(tx, { nid })
  }
}
