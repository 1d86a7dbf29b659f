/** Queries of `event_txn_ids`. */
import { sql } from 'kysely'
import type { EventId, UserId } from '@myelin/protocol/ids/ids.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import { anyOf } from '#platform/db/dialect.ts'
import { buildersFor, prepare, type Prepared } from '#platform/db/query.ts'
import type { EventTxnIdsTable, Tables } from '#schema/tables.gen.ts'

type OwnTables = Pick<Tables, 'event_txn_ids'>

export class TransactionIdsStore {
  readonly #database: Database
  readonly #find: Prepared<{ userId: UserId; device: string; key: string }, { event_id: EventId }>
  readonly #ofEvents: Prepared<{ nids: readonly number[] }, { event_nid: number; device: string; txn_key: string }>
  readonly #insert: Prepared<EventTxnIdsTable, unknown>
  readonly #oldest: Prepared<{ limit: number }, { event_nid: number; received_ts: number }>
  readonly #deleteUpTo: Prepared<{ nid: number }, unknown>

  constructor(database: Database) {
    this.#database = database
    const db = buildersFor<OwnTables>(database.dialect)
    this.#find = prepare('transactionIds.find', ({ userId, device, key }) =>
      db.selectFrom('event_txn_ids').select('event_id').where('user_id', '=', userId).where('device', '=', device).where('txn_key', '=', key))
    this.#ofEvents = prepare('transactionIds.ofEvents', ({ nids }) =>
      db.selectFrom('event_txn_ids').select(['event_nid', 'device', 'txn_key']).where(anyOf(database.dialect, sql.ref('event_nid'), nids)))
    this.#insert = prepare('transactionIds.insert', (row) => db.insertInto('event_txn_ids').values({
      event_nid: row.event_nid, user_id: row.user_id, device: row.device, txn_key: row.txn_key, event_id: row.event_id, received_ts: row.received_ts,
    }).onConflict((conflict) => conflict.doNothing()))
    this.#oldest = prepare('transactionIds.oldest', ({ limit }) =>
      db.selectFrom('event_txn_ids').select(['event_nid', 'received_ts']).orderBy('event_nid').limit(limit))
    this.#deleteUpTo = prepare('transactionIds.deleteUpTo', ({ nid }) => db.deleteFrom('event_txn_ids').where('event_nid', '<=', nid))
  }

  async find(userId: UserId, device: string, key: string): Promise<EventId | undefined> {
    return (await this.#find.first(this.#database, { userId, device, key }))?.event_id
  }

  ofEvents(nids: readonly number[]): Promise<{ event_nid: number; device: string; txn_key: string }[]> {
    return this.#ofEvents.all(this.#database, { nids })
  }

  async insert(tx: Tx, row: EventTxnIdsTable): Promise<void> {
    await this.#insert.run(tx, row)
  }

  /** The oldest transactions, in the order of their events. */
  oldest(limit: number): Promise<{ event_nid: number; received_ts: number }[]> {
    return this.#oldest.all(this.#database, { limit })
  }

  async deleteUpTo(tx: Tx, nid: number): Promise<void> {
    await this.#deleteUpTo.run(tx, { nid })
  }
}
