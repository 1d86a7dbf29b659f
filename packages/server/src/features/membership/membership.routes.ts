/** Endpoints of room membership. */
import { Type } from 'typebox'
import { refuse } from '@myelin/protocol/errors.ts'
import type { RoomAlias, RoomId } from '@myelin/protocol/ids/ids.ts'
import { isServerName } from '@myelin/protocol/ids/server-name.ts'
import { own, type JsonObject } from '@myelin/protocol/json/json.ts'
import type { Rooms } from '#engine/rooms.ts'
import { endpoint } from '#platform/http/endpoint.ts'
import type { Requester } from '#platform/http/requester.ts'
import { withTransactionId } from '#platform/http/repeated-requests.ts'
import { JsonObjectSchema, RoomIdOrAliasParam, RoomIdParam } from '#platform/http/schemas.ts'
import { questionOf, type ThirdPartyInvites } from '#features/third-party-invites/third-party-invites.ts'
import { needsConsent } from '#features/consent/consent.ts'
import type { Membership, RoomTarget } from './membership.ts'

/** What an alias points to. */
export interface AliasResolver {
  resolve(alias: RoomAlias): Promise<{ readonly roomId: RoomId; readonly servers: readonly string[] } | undefined>
}

interface Needs {
  readonly membership: Membership
  readonly rooms: Rooms
  readonly aliasResolver: AliasResolver
  readonly thirdPartyInvites: ThirdPartyInvites
}

const versions = ['v3', 'r0', 'api/v1', 'unstable']
const anchor = 'https://spec.matrix.org/v1.19/client-server-api/#'
const roomParams = Type.Object({ roomId: RoomIdParam })
const reasonBody = Type.Object({ reason: Type.Optional(Type.String()) })
const serverList = Type.Array(Type.String({ maxLength: 255 }), { maxItems: 100 })
const joinBody = Type.Object({ reason: Type.Optional(Type.String()), third_party_signed: Type.Optional(JsonObjectSchema) })
const targetBody = Type.Object({ user_id: Type.String(), reason: Type.Optional(Type.String()) })

const viaQuery = Type.Object({ via: Type.Optional(serverList), server_name: Type.Optional(serverList) })

/** The room of an id or alias, with the servers that may help to come in. @throws M_NOT_FOUND */
async function targetOf(needs: Needs, idOrAlias: RoomId | RoomAlias, via: readonly string[]): Promise<RoomTarget> {
  if (!isAlias(idOrAlias)) return { roomId: idOrAlias, servers: via.filter(isServerName) }
  const target = await needs.aliasResolver.resolve(idOrAlias)
  if (!target) throw refuse('M_NOT_FOUND', `The room alias ${idOrAlias} does not exist.`)
  return { roomId: target.roomId, servers: [...target.servers, ...via].filter(isServerName) }
}

function isAlias(text: RoomId | RoomAlias): text is RoomAlias {
  return text.startsWith('#')
}

/** Fields of a join's body for the membership event: all that the server does not decide itself, as with a membership that is set as state. */
function joinContent(body: { readonly reason?: string }): JsonObject {
  const { third_party_signed: _proof, join_authorised_via_users_server: _authoriser, ...content }: JsonObject = JSON.parse(JSON.stringify(body))
  return content
}

/** An invite to an address of the requester, which the body proves, becomes an invite of the requester. @throws M_FORBIDDEN */
async function redeem({ thirdPartyInvites, rooms }: Needs, requester: Requester, roomId: RoomId, body: { readonly third_party_signed?: object }): Promise<void> {
  if (body.third_party_signed === undefined) return
  const room = await rooms.require(roomId)
  const signed: JsonObject = JSON.parse(JSON.stringify(body.third_party_signed))
  if (own(signed, 'mxid') !== requester.userId) throw refuse('M_FORBIDDEN', '"third_party_signed" is about another user.')
  await thirdPartyInvites.redeem(room, signed)
}

const join = endpoint({
  id: 'joinRoom', servlet: 'JoinRoomAliasServlet', method: 'POST', base: 'client', versions, path: '/join/:roomIdOrAlias',
  spec: `${anchor}post_matrixclientv3joinroomidoralias`, auth: 'guest', limit: { rc: 'rc_joins.local', by: 'service' }, role: 'generic', suspendedRefused: true,
  params: Type.Object({ roomIdOrAlias: RoomIdOrAliasParam }), body: joinBody, bodyKind: 'optional-json',
  errors: ['M_FORBIDDEN', 'M_NOT_FOUND', 'M_LIMIT_EXCEEDED', 'M_GUEST_ACCESS_FORBIDDEN', 'M_UNABLE_TO_GRANT_JOIN'],
  query: viaQuery,
  handler: async (needs: Needs, { requester, params, query, body }) => {
    const target = await targetOf(needs, params.roomIdOrAlias, query.via ?? query.server_name ?? [])
    await redeem(needs, requester, target.roomId, body)
    return { room_id: (await needs.membership.enter(requester, target, joinContent(body))).id }
  },
})

const joinById = endpoint({
  id: 'joinRoomById', servlet: 'RoomMembershipRestServlet', method: 'POST', base: 'client', versions, path: '/rooms/:roomId/join',
  spec: `${anchor}post_matrixclientv3roomsroomidjoin`, auth: 'guest', limit: { rc: 'rc_joins.local', by: 'service' }, role: 'generic', suspendedRefused: true,
  params: roomParams, body: joinBody, bodyKind: 'optional-json',
  errors: ['M_FORBIDDEN', 'M_NOT_FOUND', 'M_LIMIT_EXCEEDED', 'M_GUEST_ACCESS_FORBIDDEN', 'M_UNABLE_TO_GRANT_JOIN'],
  handler: async (needs: Needs, { requester, params, body }) => {
    await redeem(needs, requester, params.roomId, body)
    return { room_id: (await needs.membership.enter(requester, { roomId: params.roomId, servers: [] }, joinContent(body))).id }
  },
})

const knock = endpoint({
  id: 'knockRoom', servlet: 'KnockRoomAliasServlet', method: 'POST', base: 'client', versions: ['v3', 'r0', 'unstable'], path: '/knock/:roomIdOrAlias',
  spec: `${anchor}post_matrixclientv3knockroomidoralias`, auth: 'user', limit: { rc: 'rc_joins.local', by: 'service' }, role: 'generic', suspendedRefused: true,
  params: Type.Object({ roomIdOrAlias: RoomIdOrAliasParam }), body: reasonBody, bodyKind: 'optional-json', errors: ['M_FORBIDDEN', 'M_NOT_FOUND', 'M_LIMIT_EXCEEDED'],
  query: viaQuery,
  handler: async (needs: Needs, { requester, params, query, body }) => {
    const target = await targetOf(needs, params.roomIdOrAlias, query.via ?? query.server_name ?? [])
    await needs.membership.knock(requester, target, body.reason)
    return { room_id: target.roomId }
  },
})

const invite = endpoint({
  id: 'inviteUser', servlet: 'RoomMembershipRestServlet', method: 'POST', base: 'client', versions, path: '/rooms/:roomId/invite',
  spec: `${anchor}post_matrixclientv3roomsroomidinvite`, auth: 'user', limit: { rc: 'rc_invites.per_room', by: 'service' }, role: 'generic', suspendedRefused: true,
  params: roomParams, body: Type.Object({
    user_id: Type.Optional(Type.String()), reason: Type.Optional(Type.String()), medium: Type.Optional(Type.String()), address: Type.Optional(Type.String()),
    id_server: Type.Optional(Type.String()), id_access_token: Type.Optional(Type.String()),
  }),
  errors: ['M_FORBIDDEN', 'M_NOT_FOUND', 'M_LIMIT_EXCEEDED', 'M_INVITE_BLOCKED', 'M_MISSING_PARAM', 'M_THREEPID_DENIED', 'M_INVALID_PARAM', 'M_CONNECTION_FAILED', 'M_UNSUPPORTED_ROOM_VERSION'],
  handler: async ({ membership, rooms, thirdPartyInvites }: Needs, { requester, params, body }) => {
    const { user_id: userId, reason } = body
    const room = await rooms.require(params.roomId)
    if (userId === undefined && body.medium === undefined) throw refuse('M_MISSING_PARAM', 'The body needs "user_id", the user to invite, or an address.')
    if (userId === undefined) await thirdPartyInvites.invite(requester, room, questionOf(JSON.parse(JSON.stringify(body))))
    else await membership.invite(requester, room, { userId, ...(reason === undefined ? {} : { reason }) })
    return {}
  },
})

const leave = endpoint({
  id: 'leaveRoom', servlet: 'RoomMembershipRestServlet', method: 'POST', base: 'client', versions, path: '/rooms/:roomId/leave',
  spec: `${anchor}post_matrixclientv3roomsroomidleave`, auth: 'guest', limit: 'none', role: 'generic',
  params: roomParams, body: reasonBody, bodyKind: 'optional-json', errors: ['M_FORBIDDEN', 'M_NOT_FOUND', 'M_CANNOT_LEAVE_SERVER_NOTICE_ROOM'],
  handler: async ({ membership, rooms }: Needs, { requester, params, body }) => {
    await membership.leave(requester, await rooms.require(params.roomId), body.reason)
    return {}
  },
})

/** The three changes that one user makes of another's membership have one shape. */
function targeted(id: string, verb: 'kick' | 'ban' | 'unban') {
  return endpoint({
    id, servlet: 'RoomMembershipRestServlet', method: 'POST', base: 'client', versions, path: `/rooms/:roomId/${verb}`,
    spec: `${anchor}post_matrixclientv3roomsroomid${verb}`, auth: 'user', limit: 'none', role: 'generic', suspendedRefused: true,
    params: roomParams, body: targetBody, errors: ['M_FORBIDDEN', 'M_NOT_FOUND', 'M_MISSING_PARAM', 'M_INVALID_PARAM'],
    handler: async ({ membership, rooms }: Needs, { requester, params, body }) => {
      const { user_id: userId, reason } = body
      await membership[verb](requester, await rooms.require(params.roomId), { userId, ...(reason === undefined ? {} : { reason }) })
      return {}
    },
  })
}

const forget = endpoint({
  id: 'forgetRoom', servlet: 'RoomForgetRestServlet', method: 'POST', base: 'client', versions, path: '/rooms/:roomId/forget',
  spec: `${anchor}post_matrixclientv3roomsroomidforget`, auth: 'user', limit: 'none', role: 'main',
  params: roomParams, errors: ['M_NOT_FOUND', 'M_UNKNOWN'],
  handler: async ({ membership, rooms }: Needs, { requester, params }) => {
    await membership.forget(requester, await rooms.require(params.roomId))
    return {}
  },
})

const joinedRooms = endpoint({
  id: 'getJoinedRooms', servlet: 'JoinedRoomsRestServlet', method: 'GET', base: 'client', versions, path: '/joined_rooms',
  spec: `${anchor}get_matrixclientv3joined_rooms`, auth: 'guest', limit: 'none', role: 'generic', errors: [],
  handler: async ({ membership }: Needs, { requester }) => ({ joined_rooms: await membership.joinedRooms(requester.userId) }),
})

const consentingJoin = needsConsent(join, () => 'join')
const consentingJoinById = needsConsent(joinById, () => 'join')
const consentingInvite = needsConsent(invite)
const [kick, ban, unban] = [needsConsent(targeted('kickUser', 'kick')), needsConsent(targeted('banUser', 'ban')), needsConsent(targeted('unbanUser', 'unban'))]

export const membershipRoutes = [
  consentingJoin, consentingJoinById, needsConsent(knock), consentingInvite, leave, kick, ban, unban, forget, joinedRooms,
  ...[consentingJoin, consentingJoinById, consentingInvite, kick, ban, unban].map((plain) => withTransactionId(plain)),
  ...[leave, forget].map((plain) => withTransactionId(plain)),
]
