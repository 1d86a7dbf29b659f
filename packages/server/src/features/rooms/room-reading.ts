/**
 * Reading a room's state and members.
 *
 * Spec: client-server API, "Getting events for a room".
 */
import { refuse } from '@myelin/protocol/errors.ts'
import type { RoomId, UserId } from '@myelin/protocol/ids/ids.ts'
import { contentString, type ClientEvents, type Reader } from '#engine/client-events.ts'
import { membershipOf, type Memberships } from '#engine/memberships.ts'
import type { RoomAccess, RoomReadView } from '#engine/room-access.ts'
import type { RoomStates } from '#engine/room-states.ts'
import type { Room } from '#engine/room.ts'
import type { Rooms } from '#engine/rooms.ts'
import type { StoredEvent } from '#engine/stored-event.ts'
import type { Requester } from '#platform/http/requester.ts'

interface Needs {
  readonly rooms: Rooms
  readonly states: RoomStates
  readonly memberships: Memberships
  readonly access: RoomAccess
  readonly clientEvents: ClientEvents
  /** Root of a room's state at a token of history or `/sync`. @throws M_INVALID_PARAM */
  readonly rootAt: (room: Room, token: string) => Promise<number>
}

/** A filter of `GET /members`. */
export interface MembersQuery {
  readonly at: string | undefined
  readonly membership: string | undefined
  readonly notMembership: string | undefined
}

function readerOf(requester: Requester): Reader {
  return { userId: requester.userId, deviceId: requester.deviceId }
}

export class RoomReading {
  readonly #needs: Needs

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /** The state that the user may see, as JSON texts. @throws M_FORBIDDEN */
  async state(requester: Requester, roomId: RoomId): Promise<string[]> {
    const view = await this.#view(requester, roomId)
    const events = await this.#needs.states.all(view.room, view.root)
    return this.#needs.clientEvents.format(readerOf(requester), events.map((event) => ({ event })))
  }

  /** One state event. @throws M_FORBIDDEN, M_NOT_FOUND */
  async stateEvent(requester: Requester, roomId: RoomId, type: string, stateKey: string): Promise<StoredEvent> {
    const view = await this.#view(requester, roomId)
    const event = await this.#needs.states.get(view.room, view.root, type, stateKey)
    if (!event) throw refuse('M_NOT_FOUND', 'The room has no such state.')
    return event
  }

  /** One state event in client format, as JSON text. @throws M_FORBIDDEN, M_NOT_FOUND */
  async stateEventJson(requester: Requester, roomId: RoomId, type: string, stateKey: string): Promise<string> {
    const event = await this.stateEvent(requester, roomId, type, stateKey)
    return this.#needs.clientEvents.formatOne(readerOf(requester), { event })
  }

  /** Membership events of the room, as JSON texts. @throws M_FORBIDDEN, M_INVALID_PARAM */
  async members(requester: Requester, roomId: RoomId, query: MembersQuery): Promise<string[]> {
    const view = await this.#view(requester, roomId)
    const root = query.at === undefined ? view.root : await this.#rootAt(requester, view, query.at)
    const events = await this.#needs.states.all(view.room, root, ['m.room.member'])
    const wanted = events.filter((event) => {
      const membership = membershipOf(event)
      return (query.membership === undefined || membership === query.membership) && (query.notMembership === undefined || membership !== query.notMembership)
    })
    return this.#needs.clientEvents.format(readerOf(requester), wanted.map((event) => ({ event })))
  }

  /** Name and avatar of each joined user. @throws M_FORBIDDEN where the requester is not joined */
  async joinedMembers(requester: Requester, roomId: RoomId): Promise<Record<UserId, { display_name?: string; avatar_url?: string }>> {
    const room = await this.#needs.rooms.require(roomId)
    await this.#needs.access.assertJoined(room, requester.userId)
    const joined = [...(await this.#needs.memberships.ofRoom(room)).values()].filter((entry) => entry.membership === 'join')
    const events = await Promise.all(joined.map((entry) => this.#needs.states.eventByNid(entry.eventNid)))
    const members: [UserId, { display_name?: string; avatar_url?: string }][] = joined.map((entry, index) => {
      const displayName = contentString(events[index], 'displayname')
      const avatarUrl = contentString(events[index], 'avatar_url')
      return [entry.userId, { ...(displayName === undefined ? {} : { display_name: displayName }), ...(avatarUrl === undefined ? {} : { avatar_url: avatarUrl }) }]
    })
    return Object.fromEntries(members)
  }

  /** The root at a token; for who has left, nothing later than their leaving. */
  async #rootAt(requester: Requester, view: RoomReadView, token: string): Promise<number> {
    const root = await this.#needs.rootAt(view.room, token)
    if (view.isCurrent) return root
    const own = await this.#needs.states.get(view.room, root, 'm.room.member', requester.userId)
    const left = await this.#needs.memberships.of(view.room, requester.userId)
    return own?.nid === left?.eventNid ? view.root : root
  }

  async #view(requester: Requester, roomId: RoomId) {
    const room = await this.#needs.rooms.get(roomId)
    if (!room) throw refuse('M_FORBIDDEN', 'You are not in the room, or it does not exist.')
    return this.#needs.access.assertReadable(room, requester.userId)
  }
}
