/**
 * Lets users of other servers join, knock and leave: gives a template, and takes the signed event in.
 *
 * Spec: server-server API, "Joining Rooms", "Knocking upon a room", "Leaving Rooms (Rejecting Invites)".
 */
import { signEvent } from '@myelin/protocol/crypto/sign-event.ts'
import { refuse } from '@myelin/protocol/errors.ts'
import type { EventSigner } from '@myelin/protocol/events/build.ts'
import { parsePdu, type ParsedPdu } from '@myelin/protocol/events/parse.ts'
import type { ServerName, UserId } from '@myelin/protocol/ids/ids.ts'
import { isUserId, serverOf } from '@myelin/protocol/ids/user-id.ts'
import { own, type JsonObject } from '@myelin/protocol/json/json.ts'
import type { Ancestry } from '#engine/ancestry.ts'
import type { PduChecks } from '#engine/pdu-checks.ts'
import type { RoomServers } from '#engine/room-servers.ts'
import type { RoomWriter } from '#engine/room-writer.ts'
import type { Room } from '#engine/room.ts'
import type { Rooms } from '#engine/rooms.ts'
import type { StoredEvent } from '#engine/stored-event.ts'
import type { Tx } from '#platform/db/database.ts'
import type { RateLimits } from '#platform/limits/rate-limits.ts'

/** A membership that a handshake leads to. */
export type HandshakeMembership = 'join' | 'knock' | 'leave'

/** Tells the other servers of a room of an event that one of them has given us. */
export interface EventForwarding {
  forward(tx: Tx, event: StoredEvent, except: ServerName): Promise<void>
}

interface Needs {
  readonly signer: EventSigner
  readonly rooms: Rooms
  readonly writer: RoomWriter
  readonly checks: PduChecks
  readonly ancestry: Ancestry
  readonly roomServers: RoomServers
  readonly forwarding: EventForwarding
  /** What a restricted room adds to a join: who vouches for it. @throws M_FORBIDDEN, M_UNABLE_TO_GRANT_JOIN, M_UNABLE_TO_AUTHORISE_JOIN */
  readonly vouching: { joinContent(room: Room, userId: UserId): Promise<JsonObject> }
  readonly limits: Pick<RateLimits, 'consume'>
}

export class Handshakes {
  readonly #needs: Needs

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /**
   * The event that a user of another server is to sign.
   * @param versions room versions that the other server knows; undefined where it does not say
   * @throws M_NOT_FOUND, M_FORBIDDEN, M_INCOMPATIBLE_ROOM_VERSION, M_UNABLE_TO_GRANT_JOIN, M_UNABLE_TO_AUTHORISE_JOIN
   */
  async template(origin: ServerName, roomId: string, userId: UserId, membership: HandshakeMembership, versions: readonly string[] | undefined): Promise<{ readonly room: Room; readonly event: JsonObject }> {
    const room = await this.#roomFor(origin, roomId)
    if (serverOf(userId) !== origin) throw refuse('M_FORBIDDEN', `${userId} is not a user of ${origin}.`)
    if (versions && !versions.includes(room.version.id)) {
      throw refuse('M_INCOMPATIBLE_ROOM_VERSION', `The room has the version ${room.version.id}, which the joining server does not know.`, { room_version: room.version.id })
    }
    const added = membership === 'join' ? await this.#needs.vouching.joinContent(room, userId) : {}
    const event = await this.#needs.writer.template(room, { type: 'm.room.member', sender: userId, stateKey: userId, content: { membership, ...added } })
    return { room, event }
  }

  /**
   * Takes a signed event in and tells the other servers of the room.
   * @returns the event as it is stored, signed by this server as well where it vouches for a join
   * @throws M_NOT_FOUND, M_INVALID_PARAM, M_FORBIDDEN, M_UNABLE_TO_GRANT_JOIN
   */
  async complete(origin: ServerName, roomId: string, eventId: string, body: JsonObject, membership: HandshakeMembership): Promise<StoredEvent> {
    const { checks, ancestry, forwarding, limits, signer } = this.#needs
    const room = await this.#roomFor(origin, roomId)
    const checked = await checks.check(room.version, body, origin, membership === 'join' ? signer.serverName : undefined)
    if ('reason' in checked) throw refuse('M_INVALID_PARAM', `The event cannot be taken: ${checked.reason}.`)
    assertIsChange(checked, origin, room, eventId, membership)
    if (membership === 'join') limits.consume('rc_joins_per_room', room.id)
    const pdu = membership === 'join' ? await this.#vouched(room, checked) : checked
    const event = await ancestry.take(room, pdu, origin, { extra: (tx, stored) => (stored.rejected || stored.softFailed ? Promise.resolve() : forwarding.forward(tx, stored, origin)) })
    if (event.rejected || event.softFailed) throw refuse('M_FORBIDDEN', `The rules of the room do not let ${checked.event.sender} do this.`)
    return event
  }

  /** A join with the signature of this server, where one of its users vouches for it and may. */
  async #vouched(room: Room, pdu: ParsedPdu): Promise<ParsedPdu> {
    const { signer, vouching } = this.#needs
    const authoriser = own(pdu.event.content, 'join_authorised_via_users_server')
    if (!room.version.restrictedJoins || !isUserId(authoriser) || serverOf(authoriser) !== signer.serverName) return pdu
    const expected = await vouching.joinContent(room, pdu.event.sender)
    if (own(expected, 'join_authorised_via_users_server') === undefined) throw refuse('M_INVALID_PARAM', 'The join names a user who vouches for it, which the room does not ask for.')
    const signed = parsePdu(room.version, signEvent(room.version, pdu.event.pdu, signer.serverName, signer.key))
    if ('reason' in signed) throw refuse('M_INVALID_PARAM', `The event cannot be signed: ${signed.reason}.`)
    return signed
  }

  async #roomFor(origin: ServerName, roomId: string): Promise<Room> {
    const { rooms, roomServers } = this.#needs
    const room = await rooms.get(roomId)
    if (!room || !(await roomServers.hasUs(room))) throw refuse('M_NOT_FOUND', 'This server is not in that room.')
    if (!(await roomServers.allows(room, origin))) throw refuse('M_FORBIDDEN', `The access control list of the room does not let ${origin} take part.`)
    return room
  }
}

/** @throws M_INVALID_PARAM */
function assertIsChange({ event }: ParsedPdu, origin: ServerName, room: Room, eventId: string, membership: HandshakeMembership): void {
  if (event.type !== 'm.room.member' || own(event.content, 'membership') !== membership) throw refuse('M_INVALID_PARAM', `The event is not one of the membership "${membership}".`)
  if (event.stateKey !== event.sender || serverOf(event.sender) !== origin) throw refuse('M_INVALID_PARAM', `The event must be about its sender, a user of ${origin}.`)
  if (room.version.eventIds === 'field' && serverOf(event.eventId) !== origin) throw refuse('M_INVALID_PARAM', `The event id must be one of ${origin}.`)
  if (event.roomId !== room.id || event.eventId !== eventId) throw refuse('M_INVALID_PARAM', 'The event is not the one that the path names.')
}
