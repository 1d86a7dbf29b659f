/**
 * Joining, leaving, inviting, knocking, banning and forgetting.
 *
 * Spec: client-server API, "Room membership"; rooms/v8, "Restricted rooms".
 */
import { MatrixError, refuse } from '@myelin/protocol/errors.ts'
import type { RoomId, ServerName, UserId } from '@myelin/protocol/ids/ids.ts'
import { parseRoomId } from '@myelin/protocol/ids/room-id.ts'
import { isUserId, serverOf } from '@myelin/protocol/ids/user-id.ts'
import { own, type JsonObject } from '@myelin/protocol/json/json.ts'
import { contentString } from '#engine/client-events.ts'
import type { MembershipState, Memberships } from '#engine/memberships.ts'
import type { Room } from '#engine/room.ts'
import type { Rooms } from '#engine/rooms.ts'
import type { RoomServers } from '#engine/room-servers.ts'
import type { Proposal, RoomView, RoomWriter } from '#engine/room-writer.ts'
import type { StoredEvent } from '#engine/stored-event.ts'
import type { Database } from '#platform/db/database.ts'
import type { Requester } from '#platform/http/requester.ts'
import type { RateLimits } from '#platform/limits/rate-limits.ts'
import type { PrejoinState } from './prejoin-state.ts'
import { membershipIn, type RestrictedJoins } from './restricted-joins.ts'

/** What membership events say of a user. */
export interface MemberProfiles {
  displayNameAndAvatar(userId: UserId): Promise<{ readonly displayName?: string | undefined; readonly avatarUrl?: string | undefined }>
}

/** Whether users let themselves be invited. */
export interface InviteFilter {
  /** @throws M_INVITE_BLOCKED */
  assertMayBeInvited(inviter: UserId, invitee: UserId): Promise<void>
}

/** What happens when a user or this server comes into a room for the first time. */
export interface RoomSuccession {
  /**
   * Carries what the user has set for the room that this one replaces, if it replaces one.
   * @param before what the user was in the room until now; nothing is carried for those who have been in it
   */
  joining(userId: UserId, room: Room, before: MembershipState | undefined): Promise<void>
  /** What the directory says of the room that this one replaces, it says of this one, which the server has come into now. */
  entered(room: Room): Promise<void>
}

/** Memberships of rooms that this server is not in. */
export interface MembershipElsewhere {
  /**
   * Joins a user, with the help of servers that are tried in turn.
   * @param content of the membership event, without the membership
   * @throws M_FORBIDDEN and what else they say, M_NOT_FOUND where there is none, RemoteError
   */
  join(userId: UserId, roomId: RoomId, servers: readonly ServerName[], content: JsonObject): Promise<Room>
  /** Knocks; as `join`. */
  knock(userId: UserId, roomId: RoomId, servers: readonly ServerName[], content: JsonObject): Promise<void>
  /** Ends an invite or a knock; that succeeds also where no server answers. */
  leave(userId: UserId, room: Room, servers: readonly ServerName[], content: JsonObject): Promise<void>
}

/** Invites users of other servers. */
export interface InvitesElsewhere {
  /** @throws M_FORBIDDEN and what else the other server says, RemoteError */
  send(room: Room, proposal: Proposal & { readonly stateKey: string }): Promise<StoredEvent>
}

/** A room that somebody wants to come into, and by whom. */
export interface RoomTarget {
  readonly roomId: RoomId
  /** Servers that are said to be in it. */
  readonly servers: readonly ServerName[]
}

/** The rooms in which the server itself speaks to its users. */
export interface NoticeRoomsOfUsers {
  /** Whether a room is one of them. */
  has(room: Room): Promise<boolean>
}

interface Needs {
  readonly database: Database
  readonly rooms: Rooms
  readonly memberships: Memberships
  readonly writer: RoomWriter
  readonly profiles: MemberProfiles
  readonly inviteFilter: InviteFilter
  readonly succession: RoomSuccession
  readonly noticeRooms: NoticeRoomsOfUsers
  readonly roomServers: Pick<RoomServers, 'isHere' | 'others'>
  readonly restrictedJoins: RestrictedJoins
  readonly elsewhere: MembershipElsewhere
  readonly prejoinState: Pick<PrejoinState, 'serversOf'>
  readonly invitesElsewhere: InvitesElsewhere
  readonly limits: Pick<RateLimits, 'consume'>
  readonly blockNonAdminInvites: boolean
  readonly includeProfileOnInvite: boolean
  readonly forgetOnLeave: boolean
  /** Whether users may show another name or avatar in one room. */
  readonly perRoomProfiles: boolean
}

/** A change that one user makes of another's membership. */
export interface MembershipAction {
  readonly userId: string
  readonly reason?: string
}

/** Content of a membership event without the name and avatar that the client gave. */
function withoutProfile(content: JsonObject): JsonObject {
  const { displayname: _name, avatar_url: _avatar, ...rest } = content
  return rest
}

function reasonOf(reason: string | undefined): JsonObject {
  return reason === undefined ? {} : { reason }
}

export class Membership {
  readonly #needs: Needs

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /** Content of a membership event with the profile of a user of this server. */
  async memberContent(userId: UserId, content: JsonObject): Promise<JsonObject> {
    const isInvite = content['membership'] === 'invite'
    if (!this.#needs.memberships.isLocal(userId) || (isInvite && !this.#needs.includeProfileOnInvite)) return content
    const { displayName, avatarUrl } = await this.#needs.profiles.displayNameAndAvatar(userId)
    return {
      ...(displayName === undefined ? {} : { displayname: displayName }),
      ...(avatarUrl === undefined ? {} : { avatar_url: avatarUrl }),
      ...content,
    }
  }

  /**
   * Checks a membership event that a user sets as state, by the rules of the endpoints for memberships.
   * @returns the content to send
   * @throws M_GUEST_ACCESS_FORBIDDEN, M_FORBIDDEN, M_INVITE_BLOCKED, M_LIMIT_EXCEEDED, M_CANNOT_LEAVE_SERVER_NOTICE_ROOM
   */
  async memberState(requester: Requester, room: Room, stateKey: string, content: JsonObject): Promise<JsonObject> {
    const membership = own(content, 'membership')
    if (membership === 'invite') await this.assertMayInvite(requester, room, [stateKey])
    if (membership === 'leave' && stateKey === requester.userId) await this.#assertMayReject(requester.userId, room)
    if (membership !== 'join' || stateKey !== requester.userId) return content
    if (!(await this.#needs.memberships.isJoined(room, stateKey))) {
      if (requester.isGuest) await assertGuestsMayJoin(await this.#needs.writer.view(room))
      await this.#carrySettings(requester.userId, room)
    }
    return this.#needs.perRoomProfiles ? content : this.memberContent(requester.userId, withoutProfile(content))
  }

  /**
   * Joins the requester to a room, wherever it is.
   * @param content further fields of the membership event
   * @throws what `join` throws; M_NOT_FOUND where no server is known that is in the room; what such servers say, RemoteError
   */
  async enter(requester: Requester, target: RoomTarget, content: JsonObject): Promise<Room> {
    const room = await this.#needs.rooms.get(target.roomId)
    if (!room || !(await this.#needs.roomServers.isHere(room))) return this.#enterElsewhere(requester, target, room, content)
    try {
      await this.join(requester, room, content)
      return room
    } catch (error) {
      // Where nobody of this server may vouch for the user, another server may.
      const mayHelp = error instanceof MatrixError && error.errcode === 'M_UNABLE_TO_GRANT_JOIN' && (await this.#needs.roomServers.others(room)).length > 0
      if (!mayHelp) throw error
      return this.#enterElsewhere(requester, target, room, content)
    }
  }

  async #enterElsewhere(requester: Requester, target: RoomTarget, room: Room | undefined, content: JsonObject): Promise<Room> {
    if (requester.isGuest) throw refuse('M_GUEST_ACCESS_FORBIDDEN', 'Guests may only join rooms that this server is in; register an account first.')
    const servers = await this.#serversFor(requester.userId, target, room)
    if (servers.length === 0) throw refuse('M_NOT_FOUND', 'This server is not in that room, and no server is known by which to join it; name one with "via".')
    if (requester.rateLimited) this.#needs.limits.consume('rc_joins.remote', requester.userId)
    const own = this.#needs.perRoomProfiles ? content : withoutProfile(content)
    const before = room && (await this.#needs.memberships.of(room, requester.userId))?.membership
    const entered = await this.#needs.elsewhere.join(requester.userId, target.roomId, servers, await this.memberContent(requester.userId, { ...own, membership: 'join' }))
    await this.#needs.succession.entered(entered)
    await this.#needs.succession.joining(requester.userId, entered, before)
    return entered
  }

  async #carrySettings(userId: UserId, room: Room): Promise<void> {
    await this.#needs.succession.joining(userId, room, (await this.#needs.memberships.of(room, userId))?.membership)
  }

  /**
   * Servers by which a user may come into a room: that of the invite, those that were named, those of the room as it was, those of what was told
   * with the invite or knock, that of its id.
   */
  async #serversFor(userId: UserId, target: RoomTarget, room: Room | undefined): Promise<ServerName[]> {
    const membership = room && (await this.#needs.memberships.of(room, userId))
    const pending = membership && (membership.membership === 'invite' || membership.membership === 'knock') ? membership : undefined
    const [inviter, told] = pending ? [[serverOf(pending.sender)], await this.#needs.prejoinState.serversOf(pending.eventNid)] : [[], []]
    const named = parseRoomId(target.roomId)?.serverName
    const all = [...inviter, ...target.servers, ...(room ? await this.#needs.roomServers.others(room) : []), ...told, ...(named === undefined ? [] : [named])]
    return [...new Set(all)].filter((server) => !this.#needs.memberships.isLocal(`@x:${server}`))
  }

  /**
   * Joins the requester to a room that this server is in.
   * @param content further fields of the membership event
   * @throws M_FORBIDDEN, M_GUEST_ACCESS_FORBIDDEN, M_UNABLE_TO_AUTHORISE_JOIN, M_LIMIT_EXCEEDED
   */
  async join(requester: Requester, room: Room, content: JsonObject): Promise<void> {
    if (await this.#needs.memberships.isJoined(room, requester.userId)) return
    if (requester.rateLimited) {
      this.#needs.limits.consume('rc_joins.local', requester.userId)
      this.#needs.limits.consume('rc_joins_per_room', room.id)
    }
    const own = this.#needs.perRoomProfiles ? content : withoutProfile(content)
    const full = await this.memberContent(requester.userId, { ...own, membership: 'join' })
    await this.#carrySettings(requester.userId, room)
    await this.#needs.writer.propose(room, async (view) => {
      const current = await membershipIn(view, requester.userId)
      if (current === 'join') return []
      if (requester.isGuest) await assertGuestsMayJoin(view)
      const authorised = await this.#needs.restrictedJoins.contentIn(view, requester.userId, current)
      return [{ type: 'm.room.member', stateKey: requester.userId, sender: requester.userId, content: { ...full, ...authorised } }]
    })
  }

  /** Knocks on a room, wherever it is. @throws M_FORBIDDEN, M_NOT_FOUND where no server is known that is in the room */
  async knock(requester: Requester, target: RoomTarget, reason: string | undefined): Promise<void> {
    const room = await this.#needs.rooms.get(target.roomId)
    const isHere = room !== undefined && (await this.#needs.roomServers.isHere(room))
    if (requester.rateLimited) this.#needs.limits.consume(isHere ? 'rc_joins.local' : 'rc_joins.remote', requester.userId)
    const content = await this.memberContent(requester.userId, { membership: 'knock', ...reasonOf(reason) })
    if (!isHere) {
      const servers = await this.#serversFor(requester.userId, target, room)
      if (servers.length === 0) throw refuse('M_NOT_FOUND', 'This server is not in that room, and no server is known by which to knock; name one with "via".')
      await this.#needs.elsewhere.knock(requester.userId, target.roomId, servers, content)
      return
    }
    await this.#needs.writer.propose(room, [{ type: 'm.room.member', stateKey: requester.userId, sender: requester.userId, content }])
  }

  /** Invites a user. @throws M_FORBIDDEN, M_INVITE_BLOCKED, M_LIMIT_EXCEEDED */
  async invite(requester: Requester, room: Room, action: MembershipAction, extra: JsonObject = {}): Promise<void> {
    const target = userIdOf(action.userId)
    await this.#assertJoined(requester, room)
    if ((await this.#needs.memberships.of(room, target))?.membership === 'join') {
      throw refuse('M_FORBIDDEN', `${target} is already in the room.`)
    }
    await this.assertMayInvite(requester, room, [target])
    const content = await this.memberContent(target, { ...extra, membership: 'invite', ...reasonOf(action.reason) })
    if (!this.#needs.memberships.isLocal(target)) return this.inviteElsewhere(requester.userId, room, target, content)
    await this.#needs.writer.propose(room, async (view) => {
      const current = await membershipIn(view, target)
      if (current === 'ban') throw refuse('M_FORBIDDEN', `${target} is banned from the room; unban first.`)
      return [{ type: 'm.room.member', stateKey: target, sender: requester.userId, content }]
    })
  }

  /** Invites a user of another server, which has to sign the invite. @throws M_FORBIDDEN, M_INVITE_BLOCKED, RemoteError */
  async inviteElsewhere(inviter: UserId, room: Room, target: UserId, content: JsonObject): Promise<void> {
    await this.#needs.invitesElsewhere.send(room, { type: 'm.room.member', stateKey: target, sender: inviter, content })
  }

  /**
   * Charges the rate limits of invites and asks the invited users' settings.
   * @param room undefined while the room is being made
   */
  async assertMayInvite(requester: Requester, room: Room | undefined, invitees: readonly string[]): Promise<void> {
    if (this.#needs.blockNonAdminInvites && !requester.isAdmin) throw refuse('M_FORBIDDEN', 'Invites have been disabled on this server.')
    for (const invitee of invitees) {
      await this.#needs.inviteFilter.assertMayBeInvited(requester.userId, userIdOf(invitee))
      if (!requester.rateLimited) continue
      if (room) this.#needs.limits.consume('rc_invites.per_room', room.id)
      this.#needs.limits.consume('rc_invites.per_user', invitee)
      this.#needs.limits.consume('rc_invites.per_issuer', requester.userId)
    }
  }

  /**
   * Leaves a room, refuses an invite, or takes back a knock.
   * @throws M_FORBIDDEN where the user has nothing to leave, M_CANNOT_LEAVE_SERVER_NOTICE_ROOM for an invite of the server itself
   */
  async leave(requester: { readonly userId: UserId }, room: Room, reason?: string): Promise<void> {
    await this.#assertMayReject(requester.userId, room)
    await this.#leave(requester.userId, room, reason)
  }

  async #leave(userId: UserId, room: Room, reason?: string): Promise<void> {
    const content: JsonObject = { membership: 'leave', ...reasonOf(reason) }
    const membership = await this.#needs.memberships.of(room, userId)
    if (membership && (membership.membership === 'invite' || membership.membership === 'knock') && !(await this.#needs.roomServers.isHere(room))) {
      await this.#needs.elsewhere.leave(userId, room, await this.#serversFor(userId, { roomId: room.id, servers: [] }, room), content)
    } else {
      await this.#needs.writer.propose(room, async (view) => {
        const current = await membershipIn(view, userId)
        if (current === 'leave') return []
        if (current === undefined || current === 'ban') throw refuse('M_FORBIDDEN', 'You are not in the room.')
        return [{ type: 'm.room.member', stateKey: userId, sender: userId, content }]
      })
    }
    if (this.#needs.forgetOnLeave) await this.#needs.database.transaction((tx) => this.#needs.memberships.forget(tx, room, userId))
  }

  /** Removes another user, or takes back an invite. @throws M_FORBIDDEN, M_NOT_FOUND */
  async kick(requester: Requester, room: Room, action: MembershipAction): Promise<void> {
    const target = userIdOf(action.userId)
    await this.#change(requester, room, target, 'leave', action.reason, (current) => {
      if (current === undefined || current === 'leave') throw refuse('M_FORBIDDEN', `${target} is not in the room.`)
      if (current === 'ban') throw refuse('M_FORBIDDEN', `${target} is banned; use unban instead.`)
    })
  }

  /** Bans a user. @throws M_FORBIDDEN */
  async ban(requester: Requester, room: Room, action: MembershipAction): Promise<void> {
    await this.#change(requester, room, userIdOf(action.userId), 'ban', action.reason, () => undefined)
  }

  /** Lifts a ban. @throws M_FORBIDDEN where the user is not banned */
  async unban(requester: Requester, room: Room, action: MembershipAction): Promise<void> {
    const target = userIdOf(action.userId)
    await this.#change(requester, room, target, 'leave', action.reason, (current) => {
      if (current !== 'ban') throw refuse('M_FORBIDDEN', `${target} is not banned from the room.`)
    })
  }

  /** Hides a room that the user has left. @throws M_UNKNOWN where the user is still in it, M_NOT_FOUND */
  async forget(requester: Requester, room: Room): Promise<void> {
    const current = (await this.#needs.memberships.of(room, requester.userId))?.membership
    if (current === undefined) throw refuse('M_NOT_FOUND', 'You were never in that room.')
    if (current !== 'leave' && current !== 'ban') throw new MatrixError(400, 'M_UNKNOWN', 'You are still in the room; leave it first.')
    await this.#needs.database.transaction((tx) => this.#needs.memberships.forget(tx, room, requester.userId))
  }

  /** Ids of the rooms that the user has joined. */
  async joinedRooms(userId: UserId): Promise<RoomId[]> {
    return (await this.#needs.memberships.joinedRooms(userId)).map((room) => room.id)
  }

  /** Leaves every room and refuses every invite, as deactivation does; a room where that is refused is passed over. */
  async leaveAll(userId: UserId): Promise<void> {
    for (const { room, membership } of [...(await this.#needs.memberships.ofUser(userId)).values()]) {
      if (membership !== 'join' && membership !== 'invite' && membership !== 'knock') continue
      try {
        await this.#leave(userId, room)
      } catch (error) {
        if (!(error instanceof MatrixError)) throw error
      }
    }
  }

  async #change(
    requester: Requester, room: Room, target: UserId, membership: MembershipState, reason: string | undefined,
    check: (current: MembershipState | undefined) => void,
  ): Promise<void> {
    await this.#assertJoined(requester, room)
    await this.#needs.writer.propose(room, async (view) => {
      check(await membershipIn(view, target))
      const previous = await view.state('m.room.member', target)
      const profile = membership === 'ban' && previous ? profileOf(previous) : {}
      return [{ type: 'm.room.member', stateKey: target, sender: requester.userId, content: { ...profile, membership, ...reasonOf(reason) } }]
    })
  }

  async #assertMayReject(userId: UserId, room: Room): Promise<void> {
    if ((await this.#needs.memberships.of(room, userId))?.membership !== 'invite' || !(await this.#needs.noticeRooms.has(room))) return
    throw refuse('M_CANNOT_LEAVE_SERVER_NOTICE_ROOM', 'This invite is from the server itself and cannot be rejected: join the room to read its notice. You can leave it then.')
  }

  async #assertJoined(requester: Requester, room: Room): Promise<void> {
    if (!(await this.#needs.memberships.isJoined(room, requester.userId))) throw refuse('M_FORBIDDEN', 'You are not in the room.')
  }
}

async function assertGuestsMayJoin(view: RoomView): Promise<void> {
  const access = contentString(await view.state('m.room.guest_access', ''), 'guest_access')
  if (access !== 'can_join') throw refuse('M_GUEST_ACCESS_FORBIDDEN', 'Guests may not join this room; register an account first.')
}

function profileOf(event: StoredEvent): JsonObject {
  const displayname = contentString(event, 'displayname')
  const avatarUrl = contentString(event, 'avatar_url')
  return { ...(displayname === undefined ? {} : { displayname }), ...(avatarUrl === undefined ? {} : { avatar_url: avatarUrl }) }
}

function userIdOf(text: string): UserId {
  if (!isUserId(text)) throw refuse('M_INVALID_PARAM', `"${text}" is not a user id; it has the form @name:server.`)
  return text
}
