/** Endpoints that read a room's state and members. */
import { Type } from 'typebox'
import { endpoint } from '#platform/http/endpoint.ts'
import { JsonText } from '#platform/http/reply.ts'
import { RoomIdParam } from '#platform/http/schemas.ts'
import type { RoomReading } from './room-reading.ts'

const versions = ['v3', 'r0', 'api/v1', 'unstable']
const anchor = 'https://spec.matrix.org/v1.19/client-server-api/#'
const roomParams = Type.Object({ roomId: RoomIdParam })
const membershipName = Type.Union(['join', 'invite', 'knock', 'leave', 'ban'].map((name) => Type.Literal(name)))

interface Needs {
  readonly roomReading: RoomReading
}

const state = endpoint({
  id: 'getRoomState', servlet: 'RoomStateRestServlet', method: 'GET', base: 'client', versions, path: '/rooms/:roomId/state',
  spec: `${anchor}get_matrixclientv3roomsroomidstate`, auth: 'guest', limit: 'none', role: 'generic', shard: 'roomId',
  params: roomParams, errors: ['M_FORBIDDEN'],
  handler: async ({ roomReading }: Needs, { requester, params }) => new JsonText(`[${(await roomReading.state(requester, params.roomId)).join(',')}]`),
})

const stateEvent = endpoint({
  id: 'getRoomStateEvent', servlet: 'RoomStateEventRestServlet', method: 'GET', base: 'client', versions, path: '/rooms/:roomId/state/:eventType/:stateKey?',
  spec: `${anchor}get_matrixclientv3roomsroomidstateeventtypestatekey`, auth: 'guest', limit: 'none', role: 'generic', shard: 'roomId',
  params: Type.Object({ roomId: RoomIdParam, eventType: Type.String(), stateKey: Type.String() }),
  query: Type.Object({ format: Type.Optional(Type.Union([Type.Literal('content'), Type.Literal('event')])) }), errors: ['M_FORBIDDEN', 'M_NOT_FOUND', 'M_INVALID_PARAM'],
  handler: async ({ roomReading }: Needs, { requester, params, query }) => {
    const { roomId, eventType, stateKey } = params
    if (query.format === 'event') return new JsonText(await roomReading.stateEventJson(requester, roomId, eventType, stateKey))
    return (await roomReading.stateEvent(requester, roomId, eventType, stateKey)).event.content
  },
})

const members = endpoint({
  id: 'getRoomMembers', servlet: 'RoomMemberListRestServlet', method: 'GET', base: 'client', versions, path: '/rooms/:roomId/members',
  spec: `${anchor}get_matrixclientv3roomsroomidmembers`, auth: 'guest', limit: 'none', role: 'generic', shard: 'roomId', params: roomParams,
  query: Type.Object({ at: Type.Optional(Type.String()), membership: Type.Optional(membershipName), not_membership: Type.Optional(membershipName) }),
  errors: ['M_FORBIDDEN', 'M_INVALID_PARAM'],
  handler: async ({ roomReading }: Needs, { requester, params, query }) => {
    const { at, membership, not_membership: notMembership } = query
    return new JsonText(`{"chunk":[${(await roomReading.members(requester, params.roomId, { at, membership, notMembership })).join(',')}]}`)
  },
})

const joinedMembers = endpoint({
  id: 'getJoinedMembers', servlet: 'JoinedRoomMemberListRestServlet', method: 'GET', base: 'client', versions, path: '/rooms/:roomId/joined_members',
  spec: `${anchor}get_matrixclientv3roomsroomidjoined_members`, auth: 'user', limit: 'none', role: 'generic', shard: 'roomId',
  params: roomParams, errors: ['M_FORBIDDEN', 'M_NOT_FOUND'],
  handler: async ({ roomReading }: Needs, { requester, params }) => ({ joined: await roomReading.joinedMembers(requester, params.roomId) }),
})

export const roomReadingRoutes = [state, stateEvent, members, joinedMembers]
