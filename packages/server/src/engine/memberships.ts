/** Who is in which room: the current memberships of rooms and of users, kept in memory while they are in use. */
import type { ServerName, UserId } from '@myelin/protocol/ids/ids.ts'
import { serverOf } from '@myelin/protocol/ids/user-id.ts'
import type { Cache, CacheBudget } from '#platform/cache/cache.ts'
import type { Clock } from '#platform/clock.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import { MembershipsStore, type MembershipRow } from './memberships.store.ts'
import type { Names } from './names.ts'
import type { RoomPurgeParticipant } from './room-purging.ts'
import type { Room } from './room.ts'
import type { Rooms } from './rooms.ts'
import type { StoredEvent } from './stored-event.ts'

/** The values of `content.membership`. */
export type MembershipState = 'join' | 'invite' | 'knock' | 'leave' | 'ban'

/** A user's current membership of a room. */
export interface Membership {
  readonly room: Room
  readonly userId: UserId
  readonly membership: MembershipState
  /** The membership event. */
  readonly eventNid: number
  /** Who sent it. */
  readonly sender: UserId
  /** Its place in the events stream. */
  readonly streamOrdering: number
  readonly forgotten: boolean
}

const states: readonly string[] = ['join', 'invite', 'knock', 'leave', 'ban']

/** `content.membership` of an event, where it is one of the known values. */
export function membershipOf(event: StoredEvent): MembershipState | undefined {
  const value = Object.hasOwn(event.event.content, 'membership') ? event.event.content['membership'] : undefined
  return isMembershipState(value) ? value : undefined
}

function isMembershipState(value: unknown): value is MembershipState {
  return typeof value === 'string' && states.includes(value)
}

export class Memberships implements RoomPurgeParticipant {
  readonly #store: MembershipsStore
  readonly #names: Names
  readonly #rooms: Rooms
  readonly #serverName: string
  readonly #clock: Clock
  readonly #byUser: Cache<string, Map<number, Membership>>
  readonly #byRoom: Cache<number, Map<string, Membership>>
  readonly #servers: Cache<number, Map<ServerName, number>>
  readonly #loadingRooms = new Map<number, Promise<Map<string, Membership>>>()
  readonly #loadingUsers = new Map<string, Promise<Map<number, Membership>>>()
  #generation = 0

  constructor(needs: {
    readonly database: Database
    readonly caches: CacheBudget
    readonly clock: Clock
    readonly names: Names
    readonly rooms: Rooms
    readonly serverName: string
  }) {
    this.#store = new MembershipsStore(needs.database)
    this.#names = needs.names
    this.#rooms = needs.rooms
    this.#serverName = needs.serverName
    this.#clock = needs.clock
    this.#byUser = needs.caches.cache('memberships_by_user', (map) => 200 + map.size * 120)
    this.#servers = needs.caches.cache('room_servers', (servers) => 64 + servers.size * 64)
    this.#byRoom = needs.caches.cache('memberships_by_room', (map) => 200 + map.size * 120)
  }

  /** A user's current membership of a room; undefined where there never was one. */
  async of(room: Room, userId: string): Promise<Membership | undefined> {
    const members = this.#byRoom.get(room.nid)
    if (members) return members.get(userId)
    return (await this.ofUser(userId)).get(room.nid)
  }

  /** All current memberships of a user, by room number. */
  async ofUser(userId: string): Promise<ReadonlyMap<number, Membership>> {
    return this.#byUser.get(userId) ?? this.#load(this.#loadingUsers, userId, () => this.#loadUser(userId))
  }

  /** All current memberships of a room, by user id. */
  async ofRoom(room: Room): Promise<ReadonlyMap<string, Membership>> {
    return this.#byRoom.get(room.nid) ?? this.#load(this.#loadingRooms, room.nid, () => this.#loadRoom(room))
  }

  /** The servers of those who have joined a room, with how many they are. */
  async serversOf(room: Room): Promise<ReadonlyMap<ServerName, number>> {
    const known = this.#servers.get(room.nid)
    if (known) return known
    const members = await this.ofRoom(room)
    const servers = new Map<ServerName, number>()
    for (const member of members.values()) if (member.membership === 'join') count(servers, serverOf(member.userId), 1)
    if (this.#byRoom.get(room.nid) === members) this.#servers.set(room.nid, servers)
    return servers
  }

  /** The rooms that a user has joined. */
  async joinedRooms(userId: string): Promise<Room[]> {
    const memberships = await this.ofUser(userId)
    return [...memberships.values()].filter((entry) => entry.membership === 'join').map((entry) => entry.room)
  }

  /** Whether a user is joined to a room now. */
  async isJoined(room: Room, userId: string): Promise<boolean> {
    return (await this.of(room, userId))?.membership === 'join'
  }

  /** Users who share a joined room with a user, the user excluded. */
  async sharingRoomWith(userId: string): Promise<Set<string>> {
    const users = new Set<string>()
    for (const room of await this.joinedRooms(userId)) {
      for (const entry of (await this.ofRoom(room)).values()) if (entry.membership === 'join') users.add(entry.userId)
    }
    users.delete(userId)
    return users
  }

  /** Whether two users have joined one room. */
  async shareRoom(one: string, other: string): Promise<boolean> {
    const [left, right] = [await this.ofUser(one), await this.ofUser(other)]
    const [few, many] = left.size < right.size ? [left, right] : [right, left]
    for (const [nid, entry] of few) if (entry.membership === 'join' && many.get(nid)?.membership === 'join') return true
    return false
  }

  /** Whether a user id belongs to this server. */
  isLocal(userId: string): boolean {
    return userId.endsWith(`:${this.#serverName}`) && userId.length > this.#serverName.length + 1 && userId.indexOf(':') === userId.length - this.#serverName.length - 1
  }

  /**
   * Writes the memberships that hold from now on.
   * @param at place in the stream since when, for events that have no place of their own there
   */
  async write(tx: Tx, events: readonly StoredEvent[], at: number): Promise<void> {
    const latest = new Map<string, { entry: Membership; row: MembershipRow }>()
    for (const event of events) {
      const change = await this.#change(event, at)
      if (change) latest.set(`${event.room.nid} ${change.entry.userId}`, change)
    }
    const changes = [...latest.values()]
    await this.#store.set(tx, changes.map((change) => change.row))
    tx.afterCommit(() => {
      for (const { entry } of changes) this.#apply(entry)
    })
  }

  /** Removes a membership that no longer is in the room's state. */
  async remove(tx: Tx, room: Room, userId: string): Promise<void> {
    const userNid = await this.#names.find(userId)
    if (userNid === undefined) return
    await this.#store.delete(tx, userNid, room.nid)
    tx.afterCommit(() => {
      this.#generation += 1
      this.#byUser.get(userId)?.delete(room.nid)
      this.#recount(room, userId as UserId, undefined)
      this.#byRoom.get(room.nid)?.delete(userId)
    })
  }

  /** Hides a room that the user has left from the user's history. */
  async forget(tx: Tx, room: Room, userId: string): Promise<void> {
    const userNid = await this.#names.find(userId)
    const entry = (await this.ofUser(userId)).get(room.nid)
    if (userNid === undefined || !entry) return
    await this.#store.setForgotten(tx, userNid, room.nid, this.#clock.now())
    tx.afterCommit(() => this.#apply({ ...entry, forgotten: true }))
  }

  /** Rooms that every local user who ever was in them has forgotten, the last of them by a time; a page in the order of their numbers. */
  async forgottenRooms(before: number, after: number, limit: number): Promise<Room[]> {
    const nids = await this.#store.forgotten(before, after, limit)
    const rooms = await this.#rooms.byNids(nids)
    return nids.map((nid) => rooms.get(nid)).filter((room) => room !== undefined)
  }

  /** Whether `forgottenRooms` would give a room. */
  async isForgotten(room: Room, before: number): Promise<boolean> {
    return !(await this.#store.isRemembered(room.nid, before))
  }

  /** Lets the time begin now for rooms that were forgotten before times were kept. */
  async noteForgotten(tx: Tx): Promise<void> {
    await this.#store.noteForgotten(tx, this.#clock.now())
  }

  async roomPurged(tx: Tx, room: Room, limit: number): Promise<boolean> {
    const userNids = await this.#store.deleteRoom(tx, room.nid, limit)
    const userIds = [...(await this.#names.strings(userNids)).values()]
    tx.afterCommit(() => {
      this.#generation += 1
      this.#byRoom.delete(room.nid)
      this.#servers.delete(room.nid)
      for (const userId of userIds) this.#byUser.get(userId)?.delete(room.nid)
    })
    return userNids.length === limit
  }

  async #change(event: StoredEvent, at: number): Promise<{ entry: Membership; row: MembershipRow } | undefined> {
    const { type, stateKey, sender } = event.event
    const membership = membershipOf(event)
    if (type !== 'm.room.member' || stateKey === undefined || !membership) return undefined
    const userId = stateKey as UserId
    const streamOrdering = event.streamOrdering !== undefined && event.streamOrdering > 0 ? event.streamOrdering : at
    return {
      entry: { room: event.room, userId, membership, eventNid: event.nid, sender, streamOrdering, forgotten: false },
      row: {
        user_nid: await this.#names.intern(stateKey),
        room_nid: event.room.nid,
        membership,
        event_nid: event.nid,
        sender_nid: await this.#names.intern(sender),
        stream_ordering: streamOrdering,
        is_local: this.isLocal(stateKey) ? 1 : 0,
        forgotten: 0,
      },
    }
  }

  #apply(entry: Membership): void {
    this.#generation += 1
    this.#byUser.get(entry.userId)?.set(entry.room.nid, entry)
    this.#recount(entry.room, entry.userId, entry.membership)
    this.#byRoom.get(entry.room.nid)?.set(entry.userId, entry)
  }

  /** Keeps the count of servers; called before the members of the room change. */
  #recount(room: Room, userId: UserId, after: MembershipState | undefined): void {
    const servers = this.#servers.get(room.nid)
    const members = this.#byRoom.get(room.nid)
    if (!servers) return
    if (!members) {
      this.#servers.delete(room.nid)
      return
    }
    const change = Number(after === 'join') - Number(members.get(userId)?.membership === 'join')
    if (change !== 0) count(servers, serverOf(userId), change)
  }

  /** Loads once for all who ask, and again where a change was committed while the rows were read. */
  async #load<Key, Value>(loading: Map<Key, Promise<Value>>, key: Key, load: () => Promise<Value>): Promise<Value> {
    const running = loading.get(key)
    if (running) return running
    const promise = this.#loadStable(load)
    loading.set(key, promise)
    try {
      return await promise
    } finally {
      loading.delete(key)
    }
  }

  async #loadStable<Value>(load: () => Promise<Value>): Promise<Value> {
    for (;;) {
      const generation = this.#generation
      const value = await load()
      if (generation === this.#generation) return value
    }
  }

  async #loadUser(userId: string): Promise<Map<number, Membership>> {
    const generation = this.#generation
    const map = new Map<number, Membership>()
    const userNid = await this.#names.find(userId)
    if (userNid !== undefined) {
      const rows = await this.#store.ofUser(userNid)
      const rooms = await this.#rooms.byNids(rows.map((row) => row.room_nid))
      const senders = await this.#names.strings(rows.map((row) => row.sender_nid))
      for (const row of rows) {
        const room = rooms.get(row.room_nid)
        if (room) map.set(room.nid, this.#entry(row, room, userId as UserId, senders))
      }
    }
    if (generation === this.#generation) this.#byUser.set(userId, map)
    return map
  }

  async #loadRoom(room: Room): Promise<Map<string, Membership>> {
    const generation = this.#generation
    const rows = await this.#store.ofRoom(room.nid)
    const senders = await this.#names.strings(rows.map((row) => row.sender_nid))
    const map = new Map(rows.map((row) => [row.user_id, this.#entry(row, room, row.user_id as UserId, senders)]))
    if (generation === this.#generation) this.#byRoom.set(room.nid, map)
    return map
  }

  #entry(row: MembershipRow, room: Room, userId: UserId, senders: ReadonlyMap<number, string>): Membership {
    return {
      room,
      userId,
      membership: isMembershipState(row.membership) ? row.membership : 'leave',
      eventNid: row.event_nid,
      sender: (senders.get(row.sender_nid) ?? userId) as UserId,
      streamOrdering: row.stream_ordering,
      forgotten: row.forgotten === 1,
    }
  }
}

function count(servers: Map<ServerName, number>, server: ServerName, change: number): void {
  const after = (servers.get(server) ?? 0) + change
  if (after > 0) servers.set(server, after)
  else servers.delete(server)
}
