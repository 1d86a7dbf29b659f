/**
 * What other servers of a room are told of it: events, states, what authorises them, what lies between.
 *
 * Spec: server-server API, "Backfilling and retrieving missing events", "Retrieving events", "Retrieving event authorisation information".
 */
import { createIdOf } from '@myelin/protocol/auth/auth-events.ts'
import { refuse } from '@myelin/protocol/errors.ts'
import type { EventId, ServerName } from '@myelin/protocol/ids/ids.ts'
import type { Events } from '#engine/events.ts'
import type { RoomServers } from '#engine/room-servers.ts'
import type { RoomStates } from '#engine/room-states.ts'
import type { RoomWriter } from '#engine/room-writer.ts'
import type { Room } from '#engine/room.ts'
import type { Rooms } from '#engine/rooms.ts'
import { emptyRoot } from '#engine/trie.ts'
import type { StoredEvent } from '#engine/stored-event.ts'
import type { ServerVisibility } from './server-visibility.ts'

interface Needs {
  readonly rooms: Rooms
  readonly events: Events
  readonly states: RoomStates
  readonly writer: Pick<RoomWriter, 'currentRoot'>
  readonly roomServers: RoomServers
  readonly visibility: ServerVisibility
}

/** Which events lie between some that a server has and some that it was told of. */
export interface MissingRange {
  readonly earliest: readonly EventId[]
  readonly latest: readonly EventId[]
  readonly limit: number
  readonly minDepth: number
}

const mostBackfilled = 100
const mostMissing = 20

export class RoomAnswers {
  readonly #needs: Needs

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /**
   * A room that a server may ask about: it is in the room, or was when the events happened that it asks about, its own removal for instance.
   * @throws M_NOT_FOUND, M_FORBIDDEN
   */
  async roomFor(origin: ServerName, roomId: string, about: readonly EventId[]): Promise<Room> {
    const { rooms, roomServers } = this.#needs
    const room = await rooms.get(roomId)
    if (!room || !(await roomServers.hasUs(room))) throw refuse('M_NOT_FOUND', 'This server is not in that room.')
    if (!(await roomServers.allows(room, origin))) throw refuse('M_FORBIDDEN', `The access control list of the room does not let ${origin} take part.`)
    if (!(await roomServers.has(room, origin)) && !(await this.#wasThere(origin, room, about))) throw refuse('M_FORBIDDEN', `${origin} is not in the room.`)
    return room
  }

  /** One event, wherever it is. @throws M_NOT_FOUND, M_FORBIDDEN */
  async event(origin: ServerName, eventId: EventId): Promise<StoredEvent> {
    const room = await this.#needs.events.roomOf(eventId)
    if (!room) throw refuse('M_NOT_FOUND', 'This server does not have that event.')
    await this.roomFor(origin, room.id, [eventId])
    const [shown] = await this.#needs.visibility.shown(origin, [await this.#require(room, eventId)])
    if (!shown) throw refuse('M_NOT_FOUND', 'This server does not have that event.')
    return shown
  }

  /** The state before an event. @throws M_NOT_FOUND where this server does not have it */
  async state(room: Room, eventId: EventId): Promise<StoredEvent[]> {
    const { stateRoot } = await this.#require(room, eventId)
    if (stateRoot === undefined) throw refuse('M_NOT_FOUND', 'This server does not know the state of the room at that event.')
    return stateRoot === emptyRoot ? [] : this.#needs.states.all(room, stateRoot)
  }

  /** The auth chains of events, the events themselves left out. */
  async authChain(room: Room, events: readonly StoredEvent[]): Promise<StoredEvent[]> {
    const chain = new Map<EventId, StoredEvent>()
    let open = [...new Set(events.flatMap(({ event }) => authIdsOf(room, event)))]
    while (open.length > 0) {
      const found = await this.#needs.events.byIds(room, open)
      for (const event of found) chain.set(event.event.eventId, event)
      open = [...new Set(found.flatMap(({ event }) => authIdsOf(room, event)))].filter((eventId) => !chain.has(eventId))
    }
    return [...chain.values()]
  }

  /** The auth chain of an event of a room. @throws M_NOT_FOUND */
  async authChainOf(room: Room, eventId: EventId): Promise<StoredEvent[]> {
    return this.authChain(room, [await this.#require(room, eventId)])
  }

  /** Events from some on backwards, those included, as a server may see them; the newest first. */
  async backfill(origin: ServerName, room: Room, from: readonly EventId[], limit: number): Promise<StoredEvent[]> {
    const found = new Map<EventId, StoredEvent>()
    let open = await this.#placed(room, from)
    while (open.length > 0 && found.size < Math.min(limit, mostBackfilled)) {
      const [newest, ...rest] = open.sort((a, b) => b.event.depth - a.event.depth)
      if (!newest) break
      found.set(newest.event.eventId, newest)
      const previous = newest.event.prevEventIds.filter((eventId) => !found.has(eventId) && rest.every((event) => event.event.eventId !== eventId))
      open = [...rest, ...(await this.#placed(room, previous))]
    }
    return this.#needs.visibility.shown(origin, [...found.values()])
  }

  /** The event nearest to a time that a server may see. @throws M_NOT_FOUND */
  async nearest(origin: ServerName, room: Room, ts: number, direction: 'forward' | 'backward'): Promise<StoredEvent> {
    const candidates = (await this.#needs.events.nearest(room, ts, direction, mostBackfilled)).filter((event) => event.stateRoot !== undefined && !event.rejected && !event.softFailed)
    const shown = await this.#needs.visibility.shown(origin, candidates)
    const found = candidates.find((event, i) => shown[i] === event)
    if (!found) throw refuse('M_NOT_FOUND', `This server has no event from that time ${direction === 'forward' ? 'on' : 'backwards'}.`)
    return found
  }

  /** How much it is to take part in a room, as Synapse reckons: 1 for 500 events of state. */
  async complexity(room: Room): Promise<number> {
    return (await this.#needs.states.entries(room, await this.#needs.writer.currentRoot(room))).length / 500
  }

  /** Events that lie between, oldest first. */
  async missing(origin: ServerName, room: Room, { earliest, latest, limit, minDepth }: MissingRange): Promise<StoredEvent[]> {
    const known = new Set(earliest)
    const found = new Map<EventId, StoredEvent>()
    const most = Math.min(limit, mostMissing)
    let open: readonly EventId[] = latest
    while (open.length > 0 && found.size < most) {
      const previous = (await this.#placed(room, open)).flatMap(({ event }) => event.prevEventIds)
      const events = await this.#placed(room, [...new Set(previous)].filter((eventId) => !known.has(eventId) && !found.has(eventId)))
      const wanted = events.filter(({ event }) => event.depth >= minDepth).slice(0, most - found.size)
      for (const event of wanted) found.set(event.event.eventId, event)
      open = wanted.map(({ event }) => event.eventId)
    }
    const ordered = [...found.values()].sort((a, b) => a.event.depth - b.event.depth)
    return this.#needs.visibility.shown(origin, ordered)
  }

  async #wasThere(origin: ServerName, room: Room, about: readonly EventId[]): Promise<boolean> {
    const events = await this.#placed(room, about)
    const answers = await Promise.all(events.map((event) => this.#needs.visibility.wasThere(origin, event)))
    return events.length > 0 && events.length === about.length && answers.every(Boolean)
  }

  /** Events of a room's timeline; rejected ones are not passed on. */
  async #placed(room: Room, eventIds: readonly EventId[]): Promise<StoredEvent[]> {
    return (await this.#needs.events.byIds(room, eventIds)).filter((event) => event.stateRoot !== undefined && !event.rejected)
  }

  async #require(room: Room, eventId: EventId): Promise<StoredEvent> {
    const event = await this.#needs.events.get(room, eventId)
    if (!event || event.rejected) throw refuse('M_NOT_FOUND', 'This server does not have that event in that room.')
    return event
  }
}

function authIdsOf(room: Room, event: StoredEvent['event']): EventId[] {
  return room.version.roomIdIsCreateHash && event.type !== 'm.room.create' ? [...event.authEventIds, createIdOf(event)] : [...event.authEventIds]
}
