/**
 * The list of what a user was notified of, newest first. It is made on demand from the events of the rooms that the user has joined,
 * evaluated with the rules of now, so that nothing has to be stored for it and a redacted event is shown redacted.
 *
 * Spec: client-server API, "Listing Notifications".
 */
import { refuse } from '@myelin/protocol/errors.ts'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import type { PushAction } from '@myelin/protocol/push/rules.ts'
import type { ClientEvents, Reader } from '#engine/client-events.ts'
import type { Events } from '#engine/events.ts'
import type { Memberships } from '#engine/memberships.ts'
import type { Room } from '#engine/room.ts'
import type { EventsRow, StoredEvent } from '#engine/stored-event.ts'
import type { Visibility } from '#engine/visibility.ts'
import type { ReadPosition, Receipts } from '#features/receipts/receipts.ts'
import type { Stream } from '#platform/streams/stream.ts'
import type { Notifications } from './notifications.ts'
import type { Evaluate } from './room-evaluation.ts'

interface Needs {
  readonly events: Events
  readonly memberships: Memberships
  readonly visibility: Visibility
  readonly clientEvents: ClientEvents
  readonly eventsStream: Stream<EventsRow>
  readonly receipts: Receipts
  readonly notifications: Notifications
}

/** A notification that is found. */
interface Found {
  readonly event: StoredEvent
  readonly actions: readonly PushAction[]
  readonly read: boolean
}

/** What the search keeps of a room. */
interface RoomSearch {
  readonly room: Room
  readonly evaluate: Evaluate
  readonly position: ReadPosition
  /** Threads in which the user has sent something newer than what is looked at. */
  readonly answered: Set<string>
}

const maxPageSize = 100
const defaultPageSize = 20
/** Events that are read of each room at once. */
const chunkSize = 20
/** One request looks at about this many events; the next page goes on from there. */
const scanLimit = 5_000
const token = /^\d{1,15}$/

export class NotificationList {
  readonly #needs: Needs

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /**
   * A page of notifications.
   * @param from `next_token` of the page before; undefined for the newest
   * @returns the reply, JSON text
   * @throws M_INVALID_PARAM for a token that this server did not give
   */
  async page(reader: Reader, from: string | undefined, limit: number = defaultPageSize, onlyHighlights: boolean = false): Promise<string> {
    if (from !== undefined && !token.test(from)) throw refuse('M_INVALID_PARAM', 'The parameter from is not a next_token of this endpoint.')
    const upTo = from === undefined ? this.#needs.eventsStream.position : Number(from)
    const wanted = Math.max(1, Math.min(limit, maxPageSize))
    const { found, next } = await this.#search(reader.userId, upTo, wanted, onlyHighlights)
    const texts = await Promise.all(found.map((each) => this.#format(reader, each)))
    const nextToken = next > 0 ? `,"next_token":"${next}"` : ''
    return `{"notifications":[${texts.join(',')}]${nextToken}}`
  }

  /** Looks back through all rooms at once, window by window. */
  async #search(userId: UserId, upTo: number, wanted: number, onlyHighlights: boolean): Promise<{ found: Found[]; next: number }> {
    const rooms = new Map<number, RoomSearch>()
    for (const room of await this.#needs.memberships.joinedRooms(userId)) rooms.set(room.nid, await this.#roomSearch(userId, room))
    const found: Found[] = []
    let [end, scanned] = [upTo, 0]
    while (end > 0 && scanned < scanLimit && rooms.size > 0) {
      const window = await this.#window([...rooms.values()], end)
      for (const event of window.events) {
        scanned += 1
        const notification = await this.#notificationOf(userId, event, rooms.get(event.room.nid), onlyHighlights)
        if (notification) found.push(notification)
        if (found.length === wanted) return { found, next: (event.streamOrdering ?? 0) - 1 }
      }
      end = window.from - 1
    }
    return { found, next: rooms.size > 0 ? Math.max(0, end) : 0 }
  }

  async #roomSearch(userId: UserId, room: Room): Promise<RoomSearch> {
    const { notifications, receipts } = this.#needs
    const [evaluate, position] = await Promise.all([notifications.evaluationOf(userId, room), receipts.positionOf(userId, room)])
    return { room, evaluate, position, answered: new Set() }
  }

  /** The newest events of all rooms up to `end`, newest first, and the place from which on none is missing among them. */
  async #window(rooms: readonly RoomSearch[], end: number): Promise<{ events: StoredEvent[]; from: number }> {
    const events: StoredEvent[] = []
    let from = 1
    for (const { room } of rooms) {
      const chunk = await this.#needs.events.roomTail(room, 0, end, chunkSize)
      if (chunk.length === chunkSize) from = Math.max(from, chunk[0]?.streamOrdering ?? 1)
      events.push(...chunk)
    }
    const complete = events.filter((event) => (event.streamOrdering ?? 0) >= from)
    return { events: complete.sort((a, b) => (b.streamOrdering ?? 0) - (a.streamOrdering ?? 0)), from }
  }

  async #notificationOf(userId: UserId, event: StoredEvent, search: RoomSearch | undefined, onlyHighlights: boolean): Promise<Found | undefined> {
    if (!search) return undefined
    const { receipts, visibility } = this.#needs
    if (event.event.sender === userId && event.event.type !== 'm.room.member') search.answered.add(await receipts.threadOf(event))
    const outcome = search.evaluate(event)
    if (!outcome?.notify || (onlyHighlights && !outcome.highlight)) return undefined
    if (event.stateRoot === undefined || (await visibility.membershipIn(event.room, event.stateRoot, userId)) !== 'join') return undefined
    const thread = await receipts.threadOf(event)
    const read = search.answered.has(thread) || (event.streamOrdering ?? 0) <= search.position.in(thread)
    return { event, actions: outcome.actions, read }
  }

  async #format(reader: Reader, { event, actions, read }: Found): Promise<string> {
    const text = await this.#needs.clientEvents.formatOne(reader, { event }, { roomId: false })
    const roomId = JSON.stringify(event.room.id)
    return `{"actions":${JSON.stringify(actions)},"event":${text},"read":${read},"room_id":${roomId},"ts":${event.event.originServerTs}}`
  }
}
