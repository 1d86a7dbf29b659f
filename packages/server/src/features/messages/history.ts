/**
 * Reading a room's history: pages, the surroundings of an event, the event nearest to a time.
 *
 * Spec: client-server API, "Getting events for a room", "Event Context".
 */
import { refuse } from '@myelin/protocol/errors.ts'
import type { EventId, RoomId } from '@myelin/protocol/ids/ids.ts'
import { allEvents, type EventFilter, type RelatedBy } from '@myelin/protocol/filters/event-filter.ts'
import type { ClientEvents, Reader } from '#engine/client-events.ts'
import type { Events } from '#engine/events.ts'
import type { Position } from '#engine/room-point.ts'
import type { RoomAccess, RoomReadView } from '#engine/room-access.ts'
import { formatRoomPoint, parseRoomPoint, pointAfter, pointBefore, requireRoomPoint } from '#engine/room-point.ts'
import type { RoomStates } from '#engine/room-states.ts'
import type { Room } from '#engine/room.ts'
import type { RoomWriter } from '#engine/room-writer.ts'
import type { Rooms } from '#engine/rooms.ts'
import type { StoredEvent } from '#engine/stored-event.ts'
import type { Visibility, VisibleEvent } from '#engine/visibility.ts'
import type { Requester } from '#platform/http/requester.ts'
import { hasPowerToRedact } from './messages.ts'
import type { RelationTypeFilter } from './relation-type-filter.ts'

/** Users whose events a user does not want to see. */
export interface IgnoredUsers {
  ignoredBy(userId: string): Promise<ReadonlySet<string>>
}

/** Which events relate to others, for the filters `related_by_senders` and `related_by_rel_types`. */
export interface RelatedEvents {
  /** Reads the relations of a page at once; gives the filter's question for each event by number. */
  lookUp(room: Room, events: readonly StoredEvent[]): Promise<(nid: number) => RelatedBy>
}

/** Redacted events as they were. */
export interface Originals {
  originalOf(event: StoredEvent): Promise<StoredEvent | undefined>
}

/** Fetches history that this server does not have. */
export interface MissingHistory {
  /** @returns whether there is more now than before */
  fill(room: Room, events: readonly StoredEvent[]): Promise<boolean>
}

interface Needs {
  readonly relatedTo: RelatedEvents
  readonly rooms: Rooms
  readonly events: Events
  readonly states: RoomStates
  readonly access: RoomAccess
  readonly visibility: Visibility
  readonly clientEvents: ClientEvents
  readonly ignoredUsers: IgnoredUsers
  readonly writer: Pick<RoomWriter, 'view'>
  readonly originals: Originals
  readonly backfill: MissingHistory
  /** Place in the events stream of a token of `/sync`, or undefined where the text is none. */
  readonly syncPosition: (token: string) => number | undefined
  /** The persisted position of the events stream. */
  readonly position: () => number
}

/** A page of history as a client asks for it. */
export interface HistoryRequest {
  readonly from: string | undefined
  readonly to: string | undefined
  readonly direction: 'forward' | 'backward'
  readonly limit: number
  readonly filter: EventFilter
  /** Undefined for all. */
  readonly relationTypes?: RelationTypeFilter | undefined
}

/** A page of history; events are JSON texts. */
export interface HistoryPage {
  readonly start: string
  /** Absent at the end of the room. */
  readonly end: string | undefined
  readonly chunk: readonly string[]
  /** Members who speak in the page, with lazy loading. */
  readonly state: readonly string[] | undefined
}

/** What came before and after an event, nearest first, with the tokens from which reading goes on. */
export interface Surroundings {
  readonly before: readonly VisibleEvent[]
  readonly after: readonly VisibleEvent[]
  readonly start: string
  readonly end: string
}

/** How many events are wanted around one. */
export interface Reach {
  readonly before: number
  readonly after: number
}

/** The surroundings of an event; events are JSON texts. */
export interface EventContext {
  readonly start: string
  readonly end: string
  readonly event: string
  readonly before: readonly string[]
  readonly after: readonly string[]
  readonly state: readonly string[]
}

const maxLimit = 1000
/** Pages that one request reads before it gives a token back, however little was visible. */
const maxRounds = 20

function readerOf(requester: Requester): Reader {
  return { userId: requester.userId, deviceId: requester.deviceId }
}

export class History {
  readonly #needs: Needs

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /** A page of a room. @throws M_FORBIDDEN, M_NOT_FOUND, M_INVALID_PARAM */
  async page(requester: Requester, roomId: RoomId, request: HistoryRequest): Promise<HistoryPage> {
    const room = await this.#needs.rooms.require(roomId)
    await this.#needs.access.assertReadable(room, requester.userId)
    const from = await this.#point(room, request.from)
    const to = request.to === undefined ? undefined : await this.#point(room, request.to)
    const limit = Math.min(maxLimit, Math.max(1, request.limit))
    const { visible, next } = await this.#read(requester, room, { ...request, limit }, from, to)
    const reader = readerOf(requester)
    return {
      start: formatRoomPoint(from ?? (await this.#edge(room, request.direction))),
      end: next && formatRoomPoint(next),
      chunk: await this.#needs.clientEvents.format(reader, visible),
      state: request.filter.lazyLoadMembers ? await this.#senders(reader, room, visible) : undefined,
    }
  }

  /** One event with what came before and after it. @throws M_NOT_FOUND */
  async context(requester: Requester, roomId: RoomId, eventId: EventId, limit: number, filter: EventFilter): Promise<EventContext> {
    const room = await this.#needs.rooms.require(roomId)
    const view = await this.#needs.access.assertReadable(room, requester.userId)
    const shown = await this.#visibleEvent(requester, room, eventId)
    const half = Math.floor(Math.min(maxLimit, Math.max(0, limit)) / 2)
    const { before, after, start, end } = await this.around(requester, shown.event, { before: half, after: half }, filter)
    const reader = readerOf(requester)
    const last = after.at(-1)?.event ?? shown.event
    return {
      start,
      end,
      event: await this.#needs.clientEvents.formatOne(reader, shown),
      before: await this.#needs.clientEvents.format(reader, before),
      after: await this.#needs.clientEvents.format(reader, after),
      state: await this.#stateAt(reader, view, last, [...before, shown, ...after], filter),
    }
  }

  /** What the requester may read around an event; whether the event itself may be read is the caller's. */
  async around(requester: Requester, event: StoredEvent, reach: Reach, filter: EventFilter = allEvents): Promise<Surroundings> {
    const read = (direction: 'forward' | 'backward', limit: number): Promise<{ visible: readonly VisibleEvent[]; next: Position | undefined }> | undefined =>
      limit === 0 ? undefined : this.#read(requester, event.room, { from: undefined, to: undefined, limit, filter, direction }, step(event, direction), undefined)
    const before = await read('backward', reach.before)
    const after = await read('forward', reach.after)
    return {
      before: before?.visible ?? [],
      after: after?.visible ?? [],
      start: formatRoomPoint(before?.next ?? pointBefore(before?.visible.at(-1)?.event ?? event)),
      end: formatRoomPoint(after?.next ?? pointAfter(after?.visible.at(-1)?.event ?? event)),
    }
  }

  /** One event as JSON text. @throws M_NOT_FOUND where it is unknown or invisible */
  async event(requester: Requester, roomId: RoomId, eventId: EventId): Promise<string> {
    const room = await this.#needs.rooms.get(roomId)
    if (!room) throw refuse('M_NOT_FOUND', 'There is no such event, or you may not see it.')
    return this.#needs.clientEvents.formatOne(readerOf(requester), await this.#visibleEvent(requester, room, eventId))
  }

  /**
   * One event as it was before it was redacted, for those who may redact (MSC2815).
   * @throws M_NOT_FOUND, M_FORBIDDEN, FI.MAU.MSC2815_UNREDACTED_CONTENT_DELETED where the server no longer has it
   */
  async unredacted(requester: Requester, roomId: RoomId, eventId: EventId): Promise<string> {
    const { rooms, writer, originals, clientEvents } = this.#needs
    const room = await rooms.require(roomId)
    const shown = await this.#visibleEvent(requester, room, eventId)
    if (!requester.isAdmin && !(await hasPowerToRedact(await writer.view(room), requester.userId))) {
      throw refuse('M_FORBIDDEN', 'Only who may redact events of others may read what was redacted.')
    }
    if (!shown.event.redactedBecause) return clientEvents.formatOne(readerOf(requester), shown)
    const event = await originals.originalOf(shown.event)
    if (!event) throw refuse('FI.MAU.MSC2815_UNREDACTED_CONTENT_DELETED', 'The content of the event was deleted for good.')
    return clientEvents.formatOne(readerOf(requester), { ...shown, event })
  }

  /** The visible event nearest to a time. @throws M_NOT_FOUND, M_FORBIDDEN */
  async nearest(requester: Requester, roomId: RoomId, ts: number, direction: 'forward' | 'backward'): Promise<StoredEvent> {
    const room = await this.#needs.rooms.require(roomId)
    await this.#needs.access.assertReadable(room, requester.userId)
    const candidates = await this.#needs.events.nearest(room, ts, direction, 100)
    const [found] = await this.#needs.visibility.filter(requester.userId, candidates)
    if (!found) throw refuse('M_NOT_FOUND', `No event ${direction === 'forward' ? 'after' : 'before'} that time can be seen in the room.`)
    return found.event
  }

  /** The point of a token: of history, or of `/sync`. */
  async #point(room: Room, token: string | undefined): Promise<Position | undefined> {
    if (token === undefined || token === '') return undefined
    const point = parseRoomPoint(token)
    if (point) return point
    const stream = this.#needs.syncPosition(token)
    if (stream === undefined) return requireRoomPoint(token)
    const [last] = (await this.#needs.events.roomTail(room, Number.MIN_SAFE_INTEGER, stream, 1)).slice(-1)
    return last ? pointAfter(last) : { topological: 0, stream: 0 }
  }

  async #edge(room: Room, direction: 'forward' | 'backward'): Promise<Position> {
    if (direction === 'forward') return { topological: 0, stream: 0 }
    const [last] = await this.#needs.events.roomTail(room, Number.MIN_SAFE_INTEGER, this.#needs.position(), 1)
    return last ? pointAfter(last) : { topological: 0, stream: 0 }
  }

  /** Reads on until enough is visible, the room ends, or a bounded number of pages was read. */
  async #read(
    requester: Requester, room: Room, request: HistoryRequest, from: Position | undefined, to: Position | undefined,
  ): Promise<{ visible: VisibleEvent[]; next: Position | undefined }> {
    const { direction, limit, filter, relationTypes } = request
    const ignored = await this.#needs.ignoredUsers.ignoredBy(requester.userId)
    const visible: VisibleEvent[] = []
    // Only an empty page is the last one, as clients of Synapse know it: so a reader of new events has a token to go on from.
    let point = from
    for (let round = 0; round < maxRounds; round += 1) {
      const size = Math.max(limit - visible.length, 20)
      const maxStream = this.#needs.position()
      const events = await this.#needs.events.page({ roomNid: room.nid, from: point, to, direction, limit: size, maxStream })
      if (direction === 'backward' && (await this.#needs.backfill.fill(room, events.length > 0 ? events : await this.#behind(room, point)))) continue
      const related = filter.needsRelations ? await this.#needs.relatedTo.lookUp(room, events) : undefined
      const wanted = events.filter(({ event, nid }) =>
        filter.matches(event, related?.(nid)) && relationTypes?.matches(event.content) !== false && (event.stateKey !== undefined || !ignored.has(event.sender)))
      for (const item of await this.#needs.visibility.filter(requester.userId, wanted)) {
        visible.push(item)
        if (visible.length === limit) return { visible, next: step(item.event, direction) }
      }
      const last = events.at(-1)
      point = last ? step(last, direction) : point
      if (!last || events.length < size) return { visible, next: visible.length > 0 ? point : undefined }
    }
    return { visible, next: point }
  }

  /** The oldest events behind a point at which there is nothing more before. */
  async #behind(room: Room, point: Position | undefined): Promise<StoredEvent[]> {
    return this.#needs.events.page({ roomNid: room.nid, from: point, to: undefined, direction: 'forward', limit: 10, maxStream: this.#needs.position() })
  }

  async #visibleEvent(requester: Requester, room: Room, eventId: EventId): Promise<VisibleEvent> {
    const event = await this.#needs.events.get(room, eventId)
    const [shown] = event ? await this.#needs.visibility.filter(requester.userId, [event]) : []
    const ignored = await this.#needs.ignoredUsers.ignoredBy(requester.userId)
    if (!shown || (shown.event.event.stateKey === undefined && ignored.has(shown.event.event.sender))) {
      throw refuse('M_NOT_FOUND', 'There is no such event, or you may not see it.')
    }
    return shown
  }

  /**
   * Membership events of the senders, each as it was after the sender's first event in the page: a client that shows the page from its beginning
   * has the right name at once, and learns of changes from the page itself.
   */
  async #senders(reader: Reader, room: Room, shown: readonly VisibleEvent[]): Promise<string[]> {
    const firsts = new Map<string, StoredEvent>()
    // Who makes a room is no member yet when it begins.
    for (const { event } of shown) if (event.event.type !== 'm.room.create' && !firsts.has(event.event.sender)) firsts.set(event.event.sender, event)
    const members: StoredEvent[] = []
    for (const [sender, event] of firsts) {
      const root = await this.#needs.states.rootAfter(event)
      const member = root === undefined ? undefined : await this.#needs.states.get(room, root, 'm.room.member', sender)
      if (member) members.push(member)
    }
    return this.#needs.clientEvents.format(reader, members.map((event) => ({ event })))
  }

  /** The state at the end of a context; with lazy loading, only the members who speak in it. */
  async #stateAt(reader: Reader, view: RoomReadView, last: StoredEvent, shown: readonly VisibleEvent[], filter: EventFilter): Promise<string[]> {
    const root = (await this.#needs.states.rootAfter(last)) ?? view.root
    const senders = new Set<string>(shown.map((item) => item.event.event.sender))
    const state = (await this.#needs.states.all(view.room, root)).filter(({ event }) =>
      !filter.lazyLoadMembers || event.type !== 'm.room.member' || senders.has(event.stateKey ?? ''))
    return this.#needs.clientEvents.format(reader, state.map((event) => ({ event })))
  }
}

/** The point from which reading goes on behind an event. */
function step(event: StoredEvent, direction: 'forward' | 'backward'): Position {
  return direction === 'forward' ? pointAfter(event) : pointBefore(event)
}
