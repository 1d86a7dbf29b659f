/**
 * Inviting people by an e-mail address or phone number: who has an account is invited, for all others a room remembers the invite until they prove to
 * own the address.
 *
 * Spec: client-server API, "Third-party invites"; server-server API, "Third-party invites"; rooms, "Authorisation rules".
 */
import { keysThatSigned } from '@myelin/protocol/auth/third-party-invite.ts'
import { MatrixError, refuse } from '@myelin/protocol/errors.ts'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import { isUserId } from '@myelin/protocol/ids/user-id.ts'
import { isObject, own, type JsonObject } from '@myelin/protocol/json/json.ts'
import { contentString } from '#engine/client-events.ts'
import type { Memberships } from '#engine/memberships.ts'
import type { Room } from '#engine/room.ts'
import type { Rooms } from '#engine/rooms.ts'
import type { RoomView, RoomWriter } from '#engine/room-writer.ts'
import type { MemberProfiles, Membership } from '#features/membership/membership.ts'
import type { Requester } from '#platform/http/requester.ts'
import type { RateLimits } from '#platform/limits/rate-limits.ts'
import type { IdentityServers, KeptInvite, Question } from './identity-server.ts'

export { questionOf } from './identity-server.ts'

interface Needs {
  readonly rooms: Rooms
  readonly memberships: Memberships
  readonly writer: RoomWriter
  readonly membership: Membership
  readonly profiles: MemberProfiles
  readonly identityServers: IdentityServers
  readonly limits: Pick<RateLimits, 'consume'>
  /** `enable_3pid_lookup` */
  readonly isEnabled: boolean
}

/** State of a room by which the invited recognise it. */
const roomFields: readonly (readonly [field: string, type: string, key: string])[] = [
  ['room_alias', 'm.room.canonical_alias', 'alias'], ['room_avatar_url', 'm.room.avatar', 'url'], ['room_join_rules', 'm.room.join_rules', 'join_rule'],
  ['room_name', 'm.room.name', 'name'], ['room_type', 'm.room.create', 'type'],
]

export class ThirdPartyInvites {
  readonly #needs: Needs

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /**
   * Invites whoever has an address.
   * @throws M_FORBIDDEN, M_THREEPID_DENIED, M_LIMIT_EXCEEDED, M_INVALID_PARAM, M_CONNECTION_FAILED where the identity server cannot be used
   */
  async invite(requester: Requester, room: Room, question: Question): Promise<void> {
    const { limits, membership, memberships, identityServers, isEnabled } = this.#needs
    if (!isEnabled) throw refuse('M_FORBIDDEN', 'This server does not look up addresses (enable_3pid_lookup); invite by user id.')
    if (!(await memberships.isJoined(room, requester.userId))) throw refuse('M_FORBIDDEN', 'You are not in the room.')
    if (requester.rateLimited) limits.consume('rc_third_party_invite', requester.userId)
    const userId = await identityServers.lookUp(question)
    if (userId !== undefined) return membership.invite(requester, room, { userId })
    await membership.assertMayInvite(requester, room, [])
    const kept = await identityServers.keepInvite(question, await this.#introduction(requester.userId, room))
    await this.#needs.writer.propose(room, [{
      type: 'm.room.third_party_invite', stateKey: kept.token, sender: requester.userId, content: inviteContent(kept),
    }])
  }

  /**
   * Somebody has proven to own an address: those who were invited under it are invited as the user whom the address belongs to now.
   * @param body what the identity server tells
   * @throws M_BAD_JSON; M_FORBIDDEN where no invite could be redeemed: one that cannot be, or that its room refuses, does not keep the user from others
   */
  async bound(body: JsonObject): Promise<void> {
    const invites = own(body, 'invites')
    if (!Array.isArray(invites)) throw refuse('M_BAD_JSON', 'The body needs "invites", a list.')
    const refusals: MatrixError[] = []
    let redeemed = 0
    for (const invite of invites) {
      const [roomId, signed] = isObject(invite) ? [own(invite, 'room_id'), own(invite, 'signed')] : []
      const room = typeof roomId === 'string' ? await this.#needs.rooms.get(roomId) : undefined
      if (!room || !isObject(signed)) continue
      try {
        if (await this.redeem(room, signed)) redeemed += 1
      } catch (error) {
        if (!(error instanceof MatrixError && error.errcode === 'M_FORBIDDEN')) throw error
        refusals.push(error)
      }
    }
    if (refusals[0] && redeemed === 0) throw refusals[0]
  }

  /**
   * Invites a user in the name of who has invited their address, where that is a user of this server.
   * @param signed `mxid`, `token` and the identity server's signature
   * @returns whether the user is invited now
   * @throws M_FORBIDDEN where the room does not let the user in, or has no valid key that has signed
   */
  async redeem(room: Room, signed: JsonObject): Promise<boolean> {
    const { memberships, writer } = this.#needs
    const [userId, token] = [own(signed, 'mxid'), own(signed, 'token')]
    if (typeof userId !== 'string' || !isUserId(userId) || typeof token !== 'string') return false
    if (await memberships.isJoined(room, userId)) return false
    await this.#assertSigned(await writer.view(room), token, signed)
    const proposals = async (view: RoomView) => {
      const issued = await view.state('m.room.third_party_invite', token)
      if (!issued || !memberships.isLocal(issued.event.sender)) return []
      const displayName = contentString(issued, 'display_name') ?? ''
      const content = await this.#needs.membership.memberContent(userId, {
        membership: 'invite', third_party_invite: { display_name: displayName, signed },
      })
      return [{ type: 'm.room.member', stateKey: userId, sender: issued.event.sender, content }]
    }
    return (await writer.propose(room, proposals)).length > 0
  }

  /**
   * The room's auth rules check signatures, for all servers alike; that a key has not been revoked is for the server that lets the user in to check.
   * @throws M_FORBIDDEN
   */
  async #assertSigned(view: RoomView, token: string, signed: JsonObject): Promise<void> {
    const issued = await view.state('m.room.third_party_invite', token)
    if (!issued) return
    const keys = keysThatSigned(issued.event.content, signed)
    if (keys.length === 0) throw refuse('M_FORBIDDEN', 'The proof that you own the address is not signed by a key that the invite names.')
    for (const key of keys) if (await this.#needs.identityServers.isValid(key)) return
    throw refuse('M_FORBIDDEN', 'The identity server does not confirm that the key of the invite is still valid; prove again that you own the address.')
  }

  async #introduction(userId: UserId, room: Room): Promise<JsonObject> {
    const view = await this.#needs.writer.view(room)
    const { displayName, avatarUrl } = await this.#needs.profiles.displayNameAndAvatar(userId)
    const told: Record<string, string> = {}
    for (const [field, type, key] of roomFields) {
      const value = contentString(await view.state(type, ''), key)
      if (value !== undefined) told[field] = value
    }
    return {
      ...told, room_id: room.id, sender: userId,
      ...(displayName === undefined ? {} : { sender_display_name: displayName }), ...(avatarUrl === undefined ? {} : { sender_avatar_url: avatarUrl }),
    }
  }
}

function inviteContent({ displayName, publicKeys }: KeptInvite): JsonObject {
  const [first] = publicKeys
  return {
    display_name: displayName, key_validity_url: first?.validityUrl ?? '', public_key: first?.publicKey ?? '',
    public_keys: publicKeys.map(({ publicKey, validityUrl }) => ({ public_key: publicKey, ...(validityUrl === '' ? {} : { key_validity_url: validityUrl }) })),
  }
}
