/**
 * Invites between servers: ours that another server must sign, and theirs for our users.
 *
 * Spec: server-server API, "Inviting to a room".
 */
import { signEvent } from '@myelin/protocol/crypto/sign-event.ts'
import { MatrixError, refuse } from '@myelin/protocol/errors.ts'
import type { EventSigner } from '@myelin/protocol/events/build.ts'
import { parsePdu } from '@myelin/protocol/events/parse.ts'
import { readStrippedState } from '@myelin/protocol/events/stripped-state.ts'
import type { RoomId, ServerName, UserId } from '@myelin/protocol/ids/ids.ts'
import { isUserId, serverOf } from '@myelin/protocol/ids/user-id.ts'
import { own, type JsonObject, type JsonValue } from '@myelin/protocol/json/json.ts'
import { getRoomVersion, type RoomVersion } from '@myelin/protocol/rooms/versions.ts'
import type { PduChecks } from '#engine/pdu-checks.ts'
import type { RoomReceiver } from '#engine/room-receiver.ts'
import type { RoomServers } from '#engine/room-servers.ts'
import type { Proposal, RoomWriter } from '#engine/room-writer.ts'
import type { Room } from '#engine/room.ts'
import type { Rooms } from '#engine/rooms.ts'
import type { StoredEvent } from '#engine/stored-event.ts'
import type { Clock } from '#platform/clock.ts'
import type { RateLimits } from '#platform/limits/rate-limits.ts'
import { FederationRefusal, pathOf, type Federation } from '#features/federation/federation.ts'
import type { InviteFilter, InvitesElsewhere } from '#features/membership/membership.ts'
import type { StrippedStates } from './stripped-states.ts'

/** An invite as another server sends it. */
export interface ReceivedInvite {
  readonly roomId: string
  readonly eventId: string
  readonly roomVersion: string
  readonly event: JsonObject
  readonly strippedState: JsonValue | undefined
}

interface Needs {
  readonly signer: EventSigner
  readonly clock: Clock
  readonly rooms: Rooms
  readonly writer: RoomWriter
  readonly receiver: RoomReceiver
  readonly checks: PduChecks
  readonly roomServers: RoomServers
  readonly federation: Pick<Federation, 'request'>
  readonly strippedStates: StrippedStates
  readonly inviteFilter: InviteFilter
  readonly accounts: { isLocal(userId: UserId): boolean; get(userId: UserId): Promise<{ readonly isDeactivated: boolean } | undefined> }
  readonly limits: Pick<RateLimits, 'consume'>
  /** `block_non_admin_invites` */
  readonly areBlocked: boolean
}

export class Invites implements InvitesElsewhere {
  readonly #needs: Needs

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /**
   * Invites a user of another server, which has to sign the invite.
   * @throws M_FORBIDDEN, M_INVITE_BLOCKED, M_UNSUPPORTED_ROOM_VERSION as the other server says; M_CONNECTION_FAILED, RemoteError where it gives no usable answer
   */
  async send(room: Room, proposal: Proposal & { readonly stateKey: string }): Promise<StoredEvent> {
    const { writer, strippedStates, receiver, signer } = this.#needs
    const { event } = await writer.draft(room, proposal)
    const state = await strippedStates.forServer(room, await writer.currentRoot(room), proposal.sender)
    const signed = await this.#ask(serverOf(proposal.stateKey), room, event.eventId, {
      event: event.pdu, room_version: room.version.id, invite_room_state: state.map((item) => item.event.pdu),
    })
    const checked = await this.#needs.checks.check(room.version, signed, signer.serverName)
    if ('reason' in checked || checked.event.eventId !== event.eventId) throw refuse('M_CONNECTION_FAILED', 'The server of the invited user did not sign the invite as it was sent.')
    const received = await receiver.receive(room, checked)
    if (received.rejected || received.softFailed) throw refuse('M_FORBIDDEN', 'The room changed meanwhile, and the invite is not allowed any more.')
    return received
  }

  /**
   * Takes an invite of another server in and signs it.
   * @returns the signed event
   * @throws M_INCOMPATIBLE_ROOM_VERSION, M_INVALID_PARAM, M_FORBIDDEN, M_INVITE_BLOCKED, M_LIMIT_EXCEEDED
   */
  async receive(origin: ServerName, invite: ReceivedInvite): Promise<JsonObject> {
    const version = getRoomVersion(invite.roomVersion)
    if (!version) throw refuse('M_INCOMPATIBLE_ROOM_VERSION', `This server does not support the room version ${invite.roomVersion.slice(0, 32)}.`, { room_version: invite.roomVersion })
    const checked = await this.#needs.checks.check(version, invite.event, origin)
    if ('reason' in checked) throw refuse('M_INVALID_PARAM', `The invite cannot be taken: ${checked.reason}.`)
    const { event } = checked
    const invitee = event.stateKey ?? ''
    if (event.type !== 'm.room.member' || own(event.content, 'membership') !== 'invite' || !isUserId(invitee)) throw refuse('M_INVALID_PARAM', 'The event is not an invite.')
    if (event.roomId !== invite.roomId || event.eventId !== invite.eventId) throw refuse('M_INVALID_PARAM', 'The event is not the one that the path names.')
    if (serverOf(event.sender) !== origin) throw refuse('M_INVALID_PARAM', `The inviting user is not one of ${origin}.`)
    if (version.roomIdIsCreateHash) await this.#assertTrue(version, event.roomId, invite.strippedState, origin)
    await this.#assertWelcome(event.sender, invitee)
    const { serverName, key } = this.#needs.signer
    const pdu = signEvent(version, event.pdu, serverName, key)
    await this.#note(version, pdu, event.sender, invite)
    return pdu
  }

  /** What is told of a room whose id proves which one it is must be signed and of that room, the event that made it included. @throws M_INVALID_PARAM */
  async #assertTrue(version: RoomVersion, roomId: RoomId, told: JsonValue | undefined, origin: ServerName): Promise<void> {
    const list = Array.isArray(told) ? told : []
    const checked = await this.#needs.checks.checkAll(version, roomId, list, origin)
    if (checked.length < list.length) throw refuse('M_INVALID_PARAM', 'The state that comes with the invite has events that are malformed, not signed, or of another room.')
    if (!checked.some(({ event }) => event.type === 'm.room.create')) throw refuse('M_INVALID_PARAM', 'The state that comes with the invite lacks m.room.create.')
  }

  async #assertWelcome(inviter: UserId, invitee: UserId): Promise<void> {
    const { accounts, areBlocked, inviteFilter, limits } = this.#needs
    if (!accounts.isLocal(invitee)) throw refuse('M_INVALID_PARAM', `${invitee} is not a user of this server.`)
    const account = await accounts.get(invitee)
    if (!account || account.isDeactivated) throw refuse('M_NOT_FOUND', `${invitee} is not a user of this server.`)
    if (areBlocked) throw refuse('M_FORBIDDEN', 'Users of this server take no invites.')
    await inviteFilter.assertMayBeInvited(inviter, invitee)
    limits.consume('rc_invites.per_user', invitee)
    limits.consume('rc_invites.per_issuer', inviter)
  }

  /** Where this server is in the room, the invite comes as an event of the room too. */
  async #note(version: RoomVersion, pdu: JsonObject, inviter: UserId, invite: ReceivedInvite): Promise<void> {
    const { rooms, roomServers, receiver, strippedStates, clock } = this.#needs
    const parsed = parsePdu(version, pdu)
    if ('reason' in parsed) throw refuse('M_INVALID_PARAM', `The invite cannot be taken: ${parsed.reason}.`)
    const known = await rooms.get(parsed.event.roomId)
    if (known && (await roomServers.hasUs(known))) return
    const room = known ?? rooms.draft(parsed.event.roomId, version)
    await receiver.receiveOutOfBand(room, parsed, {
      ...(known ? {} : { creation: { creator: inviter, ts: clock.now() } }),
      extra: (tx, stored) => strippedStates.keep(tx, stored, readStrippedState(invite.strippedState)),
    })
  }

  async #ask(server: ServerName, room: Room, eventId: string, body: JsonObject): Promise<JsonValue> {
    const { federation } = this.#needs
    try {
      return own(await federation.request(server, { method: 'PUT', path: pathOf(['federation/v2/invite', room.id, eventId]), body, insists: true }), 'event') ?? {}
    } catch (error) {
      if (!(error instanceof FederationRefusal)) throw error
      throw asRefusal(error)
    }
  }
}

/** What of another server's refusal the inviting user is told. */
function asRefusal({ status, errcode, message }: FederationRefusal): MatrixError {
  switch (errcode) {
    case 'M_INVITE_BLOCKED':
      return new MatrixError(status, errcode, message)
    case 'M_INCOMPATIBLE_ROOM_VERSION':
      return refuse('M_UNSUPPORTED_ROOM_VERSION', message)
    case 'M_INVALID_PARAM':
    case 'M_MISSING_PARAM':
      // The request was ours, not the user's.
      return refuse('M_CONNECTION_FAILED', message)
    default:
      return new MatrixError(status < 500 ? status : 502, 'M_FORBIDDEN', message)
  }
}
