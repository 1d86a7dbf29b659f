/** Queries of `receipts`. */
import { sql, type Selectable } from 'kysely'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import { anyOf } from '#platform/db/dialect.ts'
import { PagedDelete } from '#platform/db/paged-delete.ts'
import { buildersFor, prepare, type Prepared, type Runner } from '#platform/db/query.ts'
import type { ReceiptsTable, Tables } from '#schema/tables.gen.ts'

/** A row of `receipts`. */
export type StoredReceipt = Selectable<ReceiptsTable>

/** `thread_id` of an unthreaded receipt. */
export const unthreaded = ''

export class ReceiptsStore {
  readonly #database: Database
  readonly #ofUser: Prepared<{ userId: UserId; roomNid: number }, StoredReceipt>
  readonly #ofRoom: Prepared<{ roomNid: number; reader: string }, StoredReceipt>
  readonly #changes: Prepared<{ roomNids: readonly number[]; after: number; upTo: number }, StoredReceipt>
  readonly #ofEvents: Prepared<{ eventIds: readonly string[]; reader: string }, StoredReceipt>
  readonly #ofUserInRooms: Prepared<{ userId: string; roomNids: readonly number[] }, StoredReceipt>
  readonly #set: Prepared<StoredReceipt, unknown>
  readonly #deleteRoom = new PagedDelete('receipts.deleteRoom', 'receipts', 'room_nid', ['user_id', 'receipt_type', 'thread_id'])
  readonly #deleteOldest: Prepared<{ userId: UserId; roomNid: number; type: string; keep: number }, unknown>

  constructor(database: Database) {
    this.#database = database
    const db = buildersFor<Pick<Tables, 'receipts'>>(database.dialect)
    const receipts = db.selectFrom('receipts').selectAll()
    this.#ofUser = prepare('receipts.ofUser', ({ userId, roomNid }) => receipts.where('user_id', '=', userId).where('room_nid', '=', roomNid))
    this.#ofRoom = prepare('receipts.ofRoom', ({ roomNid, reader }) =>
      receipts.where('room_nid', '=', roomNid).where(({ or, eb }) => or([eb('receipt_type', '=', 'm.read'), sql<boolean>`user_id = ${reader}`])))
    this.#changes = prepare('receipts.changes', ({ roomNids, after, upTo }) =>
      receipts.where(anyOf(database.dialect, sql.ref('room_nid'), roomNids)).where('stream_id', '>', after).where('stream_id', '<=', upTo)
        .orderBy('stream_id'))
    this.#ofEvents = prepare('receipts.ofEvents', ({ eventIds, reader }) =>
      receipts.where(anyOf(database.dialect, sql.ref('event_id'), eventIds))
        .where(({ or, eb }) => or([eb('receipt_type', '=', 'm.read'), sql<boolean>`user_id = ${reader}`])))
    this.#ofUserInRooms = prepare('receipts.ofUserInRooms', ({ userId, roomNids }) =>
      receipts.where(sql<boolean>`user_id = ${userId}`).where(anyOf(database.dialect, sql.ref('room_nid'), roomNids)))
    this.#set = prepare('receipts.set', ({ user_id, room_nid, receipt_type, thread_id, event_id, event_stream, receipt_ts, stream_id }) =>
      db.insertInto('receipts').values({ user_id, room_nid, receipt_type, thread_id, event_id, event_stream, receipt_ts, stream_id })
        .onConflict((conflict) => conflict.columns(['user_id', 'room_nid', 'receipt_type', 'thread_id'])
          .doUpdateSet({ event_id, event_stream, receipt_ts, stream_id }).where('receipts.event_stream', '<', event_stream)))
    this.#deleteOldest = prepare('receipts.deleteOldest', ({ userId, roomNid, type, keep }) => {
      const mine = db.selectFrom('receipts').select('stream_id')
        .where('user_id', '=', userId).where('room_nid', '=', roomNid).where('receipt_type', '=', type)
      return db.deleteFrom('receipts').where('user_id', '=', userId).where('room_nid', '=', roomNid).where('receipt_type', '=', type)
        .where('stream_id', 'in', mine.orderBy('stream_id', 'desc').limit(sql<number>`1000000`).offset(sql<number>`${keep}`))
    })
  }

  /** All receipts of a user in a room. */
  ofUser(userId: UserId, roomNid: number, runner: Runner = this.#database): Promise<StoredReceipt[]> {
    return this.#ofUser.all(runner, { userId, roomNid })
  }

  /** Receipts of a room that `reader` may see. */
  ofRoom(roomNid: number, reader: string): Promise<StoredReceipt[]> {
    return this.#ofRoom.all(this.#database, { roomNid, reader })
  }

  /** Receipts for some events that `reader` may see. */
  ofEvents(eventIds: readonly string[], reader: string): Promise<StoredReceipt[]> {
    return this.#ofEvents.all(this.#database, { eventIds, reader })
  }

  /** Receipts of a user in some rooms. */
  ofUserInRooms(userId: string, roomNids: readonly number[]): Promise<StoredReceipt[]> {
    return this.#ofUserInRooms.all(this.#database, { userId, roomNids })
  }

  changes(roomNids: readonly number[], after: number, upTo: number): Promise<StoredReceipt[]> {
    return this.#changes.all(this.#database, { roomNids, after, upTo })
  }

  /** Stores a receipt unless one further ahead is there. */
  async set(tx: Tx, row: StoredReceipt): Promise<void> {
    await this.#set.run(tx, row)
  }

  /** Keeps the `keep` newest receipts of a type of a user in a room. */
  /** Deletes at most `limit` receipts of a room. @returns whether there may be more */
  async deleteRoom(tx: Tx, roomNid: number, limit: number): Promise<boolean> {
    return (await this.#deleteRoom.run(tx, roomNid, limit)).length === limit
  }

  async deleteOldest(tx: Tx, userId: UserId, roomNid: number, type: string, keep: number): Promise<void> {
    await this.#deleteOldest.run(tx, { userId, roomNid, type, keep })
  }
}
