/** Queries of `rooms`. */
import { sql } from 'kysely'
import type { Database, Tx } from '#platform/db/database.ts'
import { anyOf } from '#platform/db/dialect.ts'
import { buildersFor, prepare, type Prepared } from '#platform/db/query.ts'
import type { RoomId } from '@myelin/protocol/ids/ids.ts'
import type { Tables } from '#schema/tables.gen.ts'

type RoomTables = Pick<Tables, 'rooms'>

/** Identity of a room as it is stored. */
export interface RoomRow {
  readonly room_nid: number
  readonly room_id: RoomId
  readonly room_version: string
}

export class RoomsStore {
  readonly #database: Database
  readonly #byId: Prepared<{ roomId: string }, RoomRow>
  readonly #byNids: Prepared<{ nids: readonly number[] }, RoomRow>
  readonly #page: Prepared<{ after: number; limit: number }, RoomRow>
  readonly #createdBy: Prepared<{ creatorNid: number; nids: readonly number[] }, { room_nid: number }>
  readonly #insert: Prepared<{ nid: number; roomId: RoomId; version: string; creatorNid: number; ts: number }, unknown>

  constructor(database: Database) {
    this.#database = database
    const db = buildersFor<RoomTables>(database.dialect)
    const select = db.selectFrom('rooms').select(['room_nid', 'room_id', 'room_version'])
    this.#byId = prepare('rooms.byId', ({ roomId }) => select.where(sql.ref('room_id'), '=', roomId))
    this.#byNids = prepare('rooms.byNids', ({ nids }) => select.where(anyOf(database.dialect, sql.ref('room_nid'), nids)))
    this.#page = prepare('rooms.page', ({ after, limit }) => select.where('room_nid', '>', after).orderBy('room_nid').limit(limit))
    this.#createdBy = prepare('rooms.createdBy', ({ creatorNid, nids }) =>
      db.selectFrom('rooms').select('room_nid').where('creator_nid', '=', creatorNid).where(anyOf(database.dialect, sql.ref('room_nid'), nids)).orderBy('room_nid'))
    this.#insert = prepare('rooms.insert', ({ nid, roomId, version, creatorNid, ts }) =>
      db.insertInto('rooms').values({ room_nid: nid, room_id: roomId, room_version: version, creator_nid: creatorNid, created_ts: ts }))
  }

  byId(roomId: string): Promise<RoomRow | undefined> {
    return this.#byId.first(this.#database, { roomId })
  }

  byNids(nids: readonly number[]): Promise<RoomRow[]> {
    return this.#byNids.all(this.#database, { nids })
  }

  /** Rooms behind a number, in the order of their numbers. */
  page(after: number, limit: number): Promise<RoomRow[]> {
    return this.#page.all(this.#database, { after, limit })
  }

  /** Those of some rooms that a user has made, in the order of their numbers. */
  async createdBy(creatorNid: number, nids: readonly number[]): Promise<number[]> {
    return (await this.#createdBy.all(this.#database, { creatorNid, nids })).map((row) => row.room_nid)
  }

  async insert(tx: Tx, row: { readonly nid: number; readonly roomId: RoomId; readonly version: string; readonly creatorNid: number; readonly ts: number }): Promise<void> {
    await this.#insert.run(tx, row)
  }
}
