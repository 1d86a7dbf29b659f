/**
 * The rooms that a request is about: those that its lists show, most recently active first, and those that it subscribes to.
 *
 * Spec: MSC4186, "Lists", "Subscriptions", "Combining room configs", `SlidingRoomFilter`.
 */
import { isObject, own, type JsonObject } from '@myelin/protocol/json/json.ts'
import type { Membership } from '#engine/memberships.ts'
import type { RoomActivity } from '#engine/room-activity.ts'
import { wasJoined } from '../past-memberships.ts'
import type { SyncSources } from '../sources.ts'
import { upToDate, type ConnectionState } from './connection-state.ts'
import { factsOf, type RoomFacts, type RoomFactsReader } from './room-facts.ts'
import type { RoomMarks } from './room-marks.ts'
import type { ListWish, RoomFilters, RoomWish, SlidingRequest } from './sliding-request.ts'

/** A room that the request is about. */
export interface WantedRoom {
  readonly membership: Membership
  readonly wish: RoomWish
  /** Names of the lists that show it. */
  readonly lists: readonly string[]
  readonly isSubscribed: boolean
}

/** The rooms that a request is about. */
export interface WantedRooms {
  /** Number of rooms of each list, whatever its ranges. */
  readonly counts: ReadonlyMap<string, number>
  /** By room number, most recently active first, then those that are only subscribed to. */
  readonly rooms: ReadonlyMap<number, WantedRoom>
}

/** For whom, and what the client knows. */
export interface ListContext {
  readonly request: SlidingRequest
  readonly memberships: ReadonlyMap<number, Membership>
  readonly ignored: ReadonlySet<string>
  readonly state: ConnectionState
  /** Place of the events stream up to which the client knows what `state` tells; undefined for a new connection. */
  readonly since: number | undefined
}

/** A room of a list with what filters ask. */
interface Candidate {
  readonly membership: Membership
  readonly facts: RoomFacts | undefined
}

interface Needs {
  readonly sources: SyncSources
  readonly activity: RoomActivity
  readonly facts: RoomFactsReader
  readonly marks: RoomMarks
}

export class RoomLists {
  readonly #needs: Needs

  constructor(needs: Needs) {
    this.#needs = needs
  }

  async of(context: ListContext): Promise<WantedRooms> {
    const { request } = context
    const counts = new Map<string, number>()
    const wanted = new Map<number, { membership: Membership; wish: RoomWish; lists: string[]; isSubscribed: boolean }>()
    const add = (membership: Membership, wish: RoomWish, list: string | undefined): void => {
      const known = wanted.get(membership.room.nid)
      const lists = list === undefined ? [] : [list]
      if (!known) wanted.set(membership.room.nid, { membership, wish, lists, isSubscribed: list === undefined })
      else wanted.set(membership.room.nid, { membership, wish: both(known.wish, wish), lists: [...known.lists, ...lists], isSubscribed: known.isSubscribed || list === undefined })
    }
    if (request.lists.size > 0) {
      const sorted = await this.#sorted(context)
      for (const [name, list] of request.lists) {
        const rooms = await this.#filtered(context, sorted, list)
        counts.set(name, rooms.length)
        for (const membership of inRanges(rooms, list.ranges)) add(membership, list, name)
      }
    }
    for (const [roomId, wish] of request.subscriptions) {
      const room = await this.#needs.sources.rooms.get(roomId)
      const membership = room && context.memberships.get(room.nid)
      if (membership && this.#isShown(context, membership)) add(membership, wish, undefined)
    }
    return { counts, rooms: wanted }
  }

  /** Whether the user may know of the room at all. */
  #isShown({ ignored }: ListContext, membership: Membership): boolean {
    if (membership.forgotten || this.#needs.sources.options.excludedRooms.has(membership.room.id)) return false
    return membership.membership !== 'invite' || !ignored.has(membership.sender)
  }

  /** All rooms that a list without filters has, most recently active first. */
  async #sorted(context: ListContext): Promise<Membership[]> {
    const rooms: Membership[] = []
    for (const membership of context.memberships.values()) {
      if (this.#isShown(context, membership) && (await this.#isListed(context, membership))) rooms.push(membership)
    }
    const places = await this.#needs.activity.lastOf(rooms.filter((room) => room.membership === 'join').map(({ room }) => room.nid))
    // Whoever is not in the room must not learn when something happens there.
    const placeOf = ({ membership, room, streamOrdering }: Membership): number => (membership === 'join' ? (places.get(room.nid) ?? streamOrdering) : streamOrdering)
    return rooms.map((room) => ({ room, place: placeOf(room) })).sort((a, b) => b.place - a.place).map(({ room }) => room)
  }

  async #isListed({ request, state, since }: ListContext, membership: Membership): Promise<boolean> {
    switch (membership.membership) {
      case 'join':
      case 'invite':
      case 'knock':
        return true
      default: {
        const record = state.rooms.get(membership.room.nid)
        // The client knows the room and not yet that it is over.
        if (record) return record.events !== upToDate || membership.streamOrdering > (since ?? 0) || this.#isSentAway(membership, request)
        return this.#isSentAway(membership, request) && wasJoined(this.#needs.sources, membership)
      }
    }
  }

  #isSentAway(membership: Membership, { userId }: SlidingRequest): boolean {
    return membership.membership === 'ban' || membership.sender !== userId
  }

  async #filtered(context: ListContext, sorted: readonly Membership[], { filters }: ListWish): Promise<readonly Membership[]> {
    let rooms = sorted
    if (filters.is_invite !== undefined) rooms = rooms.filter((room) => (room.membership === 'invite') === filters.is_invite)
    if (filters.is_dm !== undefined) {
      const direct = await this.#needs.marks.directOf(context.request.userId)
      rooms = rooms.filter(({ room }) => direct.has(room.id) === filters.is_dm)
    }
    rooms = await this.#byTags(context, rooms, filters)
    if (filters.spaces !== undefined) {
      const children = await this.#childrenOf(context, filters.spaces)
      rooms = rooms.filter(({ room }) => children.has(room.id))
    }
    return this.#byFacts(rooms, filters)
  }

  async #byTags({ request }: ListContext, rooms: readonly Membership[], { tags: wanted, not_tags: unwanted }: RoomFilters): Promise<readonly Membership[]> {
    if (wanted === undefined && unwanted === undefined) return rooms
    const tags = await this.#needs.marks.tagsOf(request.userId)
    const hasAny = (roomId: string, names: readonly string[]): boolean => names.some((name) => tags.get(roomId)?.has(name))
    return rooms.filter(({ room }) => (wanted === undefined || hasAny(room.id, wanted)) && (unwanted === undefined || !hasAny(room.id, unwanted)))
  }

  /** Children of those of the spaces that the user has joined. */
  async #childrenOf({ memberships }: ListContext, spaces: readonly string[]): Promise<ReadonlySet<string>> {
    const children = new Set<string>()
    for (const roomId of new Set(spaces)) {
      const room = await this.#needs.sources.rooms.get(roomId)
      if (!room || memberships.get(room.nid)?.membership !== 'join') continue
      for (const child of await this.#needs.facts.childrenOf(room)) children.add(child)
    }
    return children
  }

  async #byFacts(rooms: readonly Membership[], filters: RoomFilters): Promise<readonly Membership[]> {
    const { is_encrypted: encrypted, room_types: types, not_room_types: otherTypes, room_name_like: name } = filters
    if (encrypted === undefined && types === undefined && otherTypes === undefined && name === undefined) return rooms
    const text = name?.toLowerCase()
    const isWanted = ({ facts }: Candidate): boolean => {
      // Of a room of which too little is known neither can be said; it stays out of what asks for either.
      if (!facts) return false
      if (encrypted !== undefined && facts.isEncrypted !== encrypted) return false
      if ((types !== undefined || otherTypes !== undefined) && facts.type === undefined) return false
      if (types !== undefined && !types.includes(facts.type ?? null)) return false
      if (otherTypes?.includes(facts.type ?? null)) return false
      return text === undefined || facts.name?.toLowerCase().includes(text) === true
    }
    return (await this.#withFacts(rooms)).filter(isWanted).map(({ membership }) => membership)
  }

  async #withFacts(rooms: readonly Membership[]): Promise<Candidate[]> {
    const now = await this.#needs.facts.of(rooms.filter((room) => room.membership === 'join').map(({ room }) => room.nid))
    const candidates: Candidate[] = []
    for (const membership of rooms) {
      const facts = membership.membership === 'join' ? now.get(membership.room.nid) : await this.#factsOutside(membership)
      candidates.push({ membership, facts })
    }
    return candidates
  }

  /** What the user may know of a room without being in it: what an invite shows, or the state of the time when the user left. */
  async #factsOutside(membership: Membership): Promise<RoomFacts | undefined> {
    const { events, prejoinState, states } = this.#needs.sources
    const event = await events.byNid(membership.eventNid)
    if (event?.stateRoot === undefined) return undefined
    const contents = new Map<string, JsonObject>()
    if (membership.membership === 'invite' || membership.membership === 'knock' || !(await wasJoined(this.#needs.sources, membership))) {
      for (const text of await prejoinState.of(event)) {
        const stripped: unknown = JSON.parse(text)
        const content = isObject(stripped) ? own(stripped, 'content') : undefined
        if (isObject(stripped) && isObject(content) && own(stripped, 'state_key') === '') contents.set(String(own(stripped, 'type')), content)
      }
      return factsOf(contents)
    }
    for (const type of ['m.room.create', 'm.room.encryption', 'm.room.name', 'm.room.canonical_alias']) {
      const found = await states.get(membership.room, event.stateRoot, type, '')
      if (found) contents.set(type, found.event.content)
    }
    return factsOf(contents)
  }
}

/** What either of two wishes asks for. */
function both(one: RoomWish, other: RoomWish): RoomWish {
  return { timelineLimit: Math.max(one.timelineLimit, other.timelineLimit), requiredState: one.requiredState.with(other.requiredState) }
}

function inRanges(rooms: readonly Membership[], ranges: ListWish['ranges']): Iterable<Membership> {
  if (ranges === undefined) return rooms
  const found = new Set<Membership>()
  for (const [from, to] of ranges) for (const membership of rooms.slice(from, to + 1)) found.add(membership)
  return found
}
