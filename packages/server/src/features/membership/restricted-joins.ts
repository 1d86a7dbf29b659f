/**
 * Joins of rooms whose members vouch for those who come from certain other rooms.
 *
 * Spec: client-server API, "Restricted rooms"; server-server API, "Restricted rooms"; rooms/v8.
 */
import { powerLevelsOf } from '@myelin/protocol/auth/power-levels.ts'
import { refuse } from '@myelin/protocol/errors.ts'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import { isObject, own, type JsonObject } from '@myelin/protocol/json/json.ts'
import { contentString } from '#engine/client-events.ts'
import { membershipOf, type MembershipState, type Memberships } from '#engine/memberships.ts'
import type { RoomServers } from '#engine/room-servers.ts'
import type { Room } from '#engine/room.ts'
import type { Rooms } from '#engine/rooms.ts'
import type { RoomView, RoomWriter } from '#engine/room-writer.ts'
import type { StoredEvent } from '#engine/stored-event.ts'

interface Needs {
  readonly rooms: Rooms
  readonly memberships: Memberships
  readonly writer: RoomWriter
  readonly roomServers: Pick<RoomServers, 'hasUs'>
}

export class RestrictedJoins {
  readonly #needs: Needs

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /**
   * What a restricted room adds to the join of another server's user: which user of this server vouches for it.
   * @throws M_FORBIDDEN, M_UNABLE_TO_GRANT_JOIN, M_UNABLE_TO_AUTHORISE_JOIN
   */
  async joinContent(room: Room, userId: UserId): Promise<JsonObject> {
    const view = await this.#needs.writer.view(room)
    return this.contentIn(view, userId, await membershipIn(view, userId))
  }

  /**
   * In a restricted room, a member who may invite vouches for the join.
   * @returns the additional content of the join
   */
  async contentIn(view: RoomView, userId: UserId, current: MembershipState | undefined): Promise<JsonObject> {
    const rules = await view.state('m.room.join_rules', '')
    const rule = contentString(rules, 'join_rule')
    const { version } = view.room
    const restricted = (rule === 'restricted' && version.restrictedJoins) || (rule === 'knock_restricted' && version.knockRestricted)
    if (!restricted || current === 'invite' || current === 'join' || !rules) return {}
    if (!(await this.#meetsCondition(rules, userId))) {
      if (!this.#needs.memberships.isLocal(userId) && !(await this.#knowsCondition(rules))) {
        throw refuse('M_UNABLE_TO_AUTHORISE_JOIN', 'This server is in none of the rooms whose members may join this one, so it cannot tell whether you are.')
      }
      throw refuse('M_FORBIDDEN', 'You are not invited, and in none of the rooms whose members may join this one.')
    }
    const authoriser = await this.#authoriser(view)
    if (!authoriser) throw refuse('M_UNABLE_TO_GRANT_JOIN', 'No user of this server in the room may invite, so nobody can let you in.')
    return { join_authorised_via_users_server: authoriser }
  }

  async #meetsCondition(rules: StoredEvent, userId: UserId): Promise<boolean> {
    for (const room of await this.#roomsAllowed(rules)) if (await this.#needs.memberships.isJoined(room, userId)) return true
    return false
  }

  /** Whether this server can tell who is in one of the rooms that a restricted room names. */
  async #knowsCondition(rules: StoredEvent): Promise<boolean> {
    for (const room of await this.#roomsAllowed(rules)) if (await this.#needs.roomServers.hasUs(room)) return true
    return false
  }

  /** The rooms whose members may join, as far as this server knows them. */
  async #roomsAllowed(rules: StoredEvent): Promise<Room[]> {
    const allow = own(rules.event.content, 'allow')
    const rooms = (Array.isArray(allow) ? allow : []).map((condition) => {
      const roomId = isObject(condition) && own(condition, 'type') === 'm.room_membership' ? own(condition, 'room_id') : undefined
      return typeof roomId === 'string' ? this.#needs.rooms.get(roomId) : undefined
    })
    return (await Promise.all(rooms)).filter((room) => room !== undefined)
  }

  async #authoriser(view: RoomView): Promise<UserId | undefined> {
    const create = await view.state('m.room.create', '')
    const levels = powerLevelsOf(view.room.version, (await view.state('m.room.power_levels', ''))?.event, create?.event)
    for (const member of (await this.#needs.memberships.ofRoom(view.room)).values()) {
      if (member.membership === 'join' && this.#needs.memberships.isLocal(member.userId) && levels.userLevel(member.userId) >= levels.invite) return member.userId
    }
    return undefined
  }
}

/** The membership of a user at a proposal's turn. */
export async function membershipIn(view: RoomView, userId: string): Promise<MembershipState | undefined> {
  const event = await view.state('m.room.member', userId)
  return event && membershipOf(event)
}
