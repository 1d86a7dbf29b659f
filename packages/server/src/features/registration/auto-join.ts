/**
 * Takes new users into the rooms that the operator has listed, and makes these rooms where they are missing.
 *
 * Spec: options `auto_join_rooms`, `autocreate_auto_join_rooms` and its kin, `auto_join_mxid_localpart`, `auto_join_rooms_for_guests`.
 */
import { MatrixError } from '@myelin/protocol/errors.ts'
import type { RoomAlias, RoomId, UserId } from '@myelin/protocol/ids/ids.ts'
import type { JsonObject } from '@myelin/protocol/json/json.ts'
import type { Room } from '#engine/room.ts'
import type { Rooms } from '#engine/rooms.ts'
import type { Memberships } from '#engine/memberships.ts'
import { contentString } from '#engine/client-events.ts'
import type { RoomWriter } from '#engine/room-writer.ts'
import { inNameOf, type Requester } from '#platform/http/requester.ts'
import type { Logger } from '#platform/log/logger.ts'
import type { NewUser } from './registration.ts'

/** The options. */
export interface AutoJoinRules {
  readonly aliases: readonly string[]
  readonly createsRooms: boolean
  readonly isFederated: boolean
  readonly preset: string
  /** Localpart of the user who makes the rooms and invites into them; null: the user who registers makes them. */
  readonly creatorLocalpart: string | null
  readonly guests: boolean
}

/** What a new room is made of. */
interface NewRoom {
  readonly preset: string
  readonly visibility: string
  readonly room_alias_name: string
  readonly creation_content: JsonObject
  readonly invite: readonly string[]
}

interface Needs {
  readonly rules: AutoJoinRules
  readonly serverName: string
  readonly rooms: Rooms
  readonly memberships: Memberships
  readonly writer: RoomWriter
  readonly aliases: { resolve(alias: RoomAlias): Promise<{ readonly roomId: RoomId } | undefined> }
  readonly roomCreation: { create(requester: Requester, request: NewRoom): Promise<RoomId> }
  readonly membership: {
    join(requester: Requester, room: Room, content: JsonObject): Promise<void>
    invite(requester: Requester, room: Room, action: { readonly userId: string }): Promise<void>
  }
  readonly logger: Logger
}

type AutoJoiner = Pick<NewUser, 'userId' | 'isGuest' | 'appserviceId'>

export class AutoJoin {
  readonly #needs: Needs
  readonly #making = new Map<string, Promise<RoomId>>()

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /** Joins a new user to all listed rooms. A room that cannot be joined is told to the operator and never stops the registration. */
  async registered(user: AutoJoiner): Promise<void> {
    await this.#joinAll(user, false)
  }

  /** Joins a user to the listed rooms in which they have never been: they could not join any when they registered, or the policy came later. */
  async consented(user: AutoJoiner): Promise<void> {
    await this.#joinAll(user, true)
  }

  async #joinAll(user: AutoJoiner, onlyNew: boolean): Promise<void> {
    const { rules, logger } = this.#needs
    if (user.appserviceId !== undefined || (user.isGuest && !rules.guests)) return
    for (const alias of rules.aliases) {
      try {
        await this.#join(user.userId, user.isGuest ?? false, alias as RoomAlias, onlyNew)
      } catch (error) {
        if (error instanceof MatrixError) logger.warn('A new user could not join a room of auto_join_rooms.', { userId: user.userId, alias, error })
        else logger.error('A new user could not join a room of auto_join_rooms.', { userId: user.userId, alias, error })
      }
    }
  }

  async #join(userId: UserId, isGuest: boolean, alias: RoomAlias, onlyNew: boolean): Promise<void> {
    const room = await this.#roomOf(userId, isGuest, alias)
    if (!room) {
      this.#needs.logger.warn('A room of auto_join_rooms does not exist.', { alias })
      return
    }
    if (onlyNew && (await this.#needs.memberships.of(room, userId))) return
    await this.#inviteWhereNeeded(room, userId)
    await this.#needs.membership.join(inNameOf(userId, isGuest), room, {})
  }

  /** The room of an alias; made where it is missing and the operator wants that. */
  async #roomOf(userId: UserId, isGuest: boolean, alias: RoomAlias): Promise<Room | undefined> {
    const { aliases, rooms, rules, serverName } = this.#needs
    const found = await aliases.resolve(alias)
    if (found) return rooms.require(found.roomId)
    const localpart = alias.slice(1, alias.indexOf(':'))
    const creator = this.#creator ?? (isGuest ? undefined : userId)
    if (!rules.createsRooms || creator === undefined || alias !== `#${localpart}:${serverName}`) return undefined
    let making = this.#making.get(alias)
    if (!making) {
      making = this.#make(creator, localpart).finally(() => this.#making.delete(alias))
      this.#making.set(alias, making)
    }
    return rooms.require(await making)
  }

  #make(creator: UserId, localpart: string): Promise<RoomId> {
    const { rules, roomCreation } = this.#needs
    return roomCreation.create(inNameOf(creator), {
      preset: rules.preset,
      visibility: 'private',
      room_alias_name: localpart,
      creation_content: rules.isFederated ? {} : { 'm.federate': false },
      invite: [],
    })
  }

  /** Into rooms that are not public, the configured user invites. */
  async #inviteWhereNeeded(room: Room, userId: UserId): Promise<void> {
    const creator = this.#creator
    if (creator === undefined || creator === userId) return
    const rule = contentString(await (await this.#needs.writer.view(room)).state('m.room.join_rules', ''), 'join_rule')
    const current = (await this.#needs.memberships.of(room, userId))?.membership
    if (rule === 'public' || current === 'join' || current === 'invite') return
    await this.#needs.membership.invite(inNameOf(creator), room, { userId })
  }

  get #creator(): UserId | undefined {
    const { rules, serverName } = this.#needs
    return rules.creatorLocalpart === null ? undefined : (`@${rules.creatorLocalpart}:${serverName}` as UserId)
  }
}
