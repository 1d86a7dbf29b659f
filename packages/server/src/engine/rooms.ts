/** Which rooms this server knows. */
import { refuse } from '@myelin/protocol/errors.ts'
import type { RoomId } from '@myelin/protocol/ids/ids.ts'
import { getRoomVersion, type RoomVersion } from '@myelin/protocol/rooms/versions.ts'
import type { CacheBudget, Cache } from '#platform/cache/cache.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import type { LastNumbers } from './last-numbers.ts'
import type { Room } from './room.ts'
import { RoomsStore, type RoomRow } from './rooms.store.ts'

export class Rooms {
  readonly #store: RoomsStore
  readonly #byId: Cache<string, Room>
  readonly #byNid: Cache<number, Room>
  /** Rooms that are being deleted. */
  readonly #hidden = new Set<RoomId>()
  #last: number

  private constructor(needs: { readonly database: Database; readonly caches: CacheBudget; readonly last: number }) {
    this.#store = new RoomsStore(needs.database)
    this.#byId = needs.caches.cache('rooms_by_id', () => 200)
    this.#byNid = needs.caches.cache('rooms_by_nid', () => 64)
    this.#last = needs.last
  }

  /** Opens the rooms of a database. */
  static async open(needs: { readonly database: Database; readonly caches: CacheBudget; readonly lastNumbers: LastNumbers }): Promise<Rooms> {
    const [row] = await needs.database.rows<{ last: number | null }>('SELECT max(room_nid) AS last FROM rooms', [])
    return new Rooms({ ...needs, last: await needs.lastNumbers.above('rooms', row?.last) })
  }

  /** The room of an id, or undefined where this server never heard of it. */
  async get(roomId: string): Promise<Room | undefined> {
    const cached = this.#byId.get(roomId)
    if (cached || roomId.includes('\0')) return this.#shown(cached)
    const row = await this.#store.byId(roomId)
    return this.#shown(row && this.#remember(row))
  }

  /** The room of an id. @throws M_NOT_FOUND where this server never heard of it */
  async require(roomId: string): Promise<Room> {
    const room = await this.get(roomId)
    if (!room) throw refuse('M_NOT_FOUND', 'This server does not know that room; check the room id.')
    return room
  }

  /** The room behind a number that came out of the database. */
  async byNid(nid: number): Promise<Room> {
    const room = this.#byNid.get(nid) ?? (await this.byNids([nid])).get(nid)
    if (!room) throw new Error(`Room number ${nid} is referenced and does not exist`)
    return room
  }

  /** Rooms behind many numbers. */
  async byNids(nids: readonly number[]): Promise<Map<number, Room>> {
    const found = new Map<number, Room>()
    const missing: number[] = []
    for (const nid of nids) {
      const room = this.#byNid.get(nid)
      if (room) found.set(nid, room)
      else missing.push(nid)
    }
    if (missing.length > 0) for (const row of await this.#store.byNids(missing)) found.set(row.room_nid, this.#remember(row))
    return found
  }

  /** Rooms behind a number, in the order of their numbers: a page of all that there are. */
  async page(after: number, limit: number): Promise<Room[]> {
    return (await this.#store.page(after, limit)).map((row) => this.#byNid.get(row.room_nid) ?? this.#remember(row))
  }

  /** Those of some rooms that a user has made, oldest first. */
  async createdBy(creatorNid: number, rooms: readonly Room[]): Promise<Room[]> {
    const byNid = new Map(rooms.map((room) => [room.nid, room]))
    const nids = byNid.size === 0 ? [] : await this.#store.createdBy(creatorNid, [...byNid.keys()])
    return nids.flatMap((nid) => byNid.get(nid) ?? [])
  }

  /** A room that does not exist yet; it does once `insert` has committed. @throws M_NOT_FOUND while a room of that id is being deleted */
  draft(id: RoomId, version: RoomVersion): Room {
    if (this.#hidden.has(id)) throw refuse('M_NOT_FOUND', 'This server is just deleting what it had of that room; try again in a while.')
    return { nid: ++this.#last, id, version }
  }

  /** Writes a drafted room. */
  async insert(tx: Tx, room: Room, creatorNid: number, ts: number): Promise<void> {
    await this.#store.insert(tx, { nid: room.nid, roomId: room.id, version: room.version.id, creatorNid, ts })
    tx.afterCommit(() => this.#keep(room))
  }

  /** Nobody finds a room any more, because it is being deleted; its number can still be read. */
  hide(room: Room): void {
    this.#hidden.add(room.id)
  }

  /** Forgets a room that was deleted; one of its id may be made again. */
  forget(room: Room): void {
    this.#hidden.delete(room.id)
    this.#byId.delete(room.id)
    this.#byNid.delete(room.nid)
  }

  #shown(room: Room | undefined): Room | undefined {
    return room && this.#hidden.has(room.id) ? undefined : room
  }

  #remember(row: RoomRow): Room {
    const version = getRoomVersion(row.room_version)
    if (!version) throw refuse('M_UNSUPPORTED_ROOM_VERSION', `This server does not support the room's version ${row.room_version}.`)
    return this.#keep({ nid: row.room_nid, id: row.room_id, version })
  }

  #keep(room: Room): Room {
    this.#byId.set(room.id, room)
    this.#byNid.set(room.nid, room)
    return room
  }
}
