/** Endpoints that send events. */
import { Type } from 'typebox'
import { endpoint } from '#platform/http/endpoint.ts'
import { EventIdParam, JsonObjectSchema, RoomIdParam } from '#platform/http/schemas.ts'
import type { Messages } from './messages.ts'

const versions = ['v3', 'r0', 'api/v1', 'unstable']
const anchor = 'https://spec.matrix.org/v1.19/client-server-api/#'

interface Needs {
  readonly messages: Messages
}

const send = endpoint({
  id: 'sendMessage', servlet: 'RoomSendEventRestServlet', method: 'PUT', base: 'client', versions, path: '/rooms/:roomId/send/:eventType/:txnId',
  spec: `${anchor}put_matrixclientv3roomsroomidsendeventtypetxnid`, auth: 'guest', limit: { rc: 'rc_message', by: 'service' }, role: 'generic', shard: 'roomId',
  suspendedRefused: true, params: Type.Object({ roomId: RoomIdParam, eventType: Type.String(), txnId: Type.String() }), body: JsonObjectSchema,
  errors: ['M_FORBIDDEN', 'M_NOT_FOUND', 'M_TOO_LARGE', 'M_BAD_JSON', 'M_DUPLICATE_ANNOTATION', 'M_LIMIT_EXCEEDED', 'M_INVALID_PARAM'],
  handler: async ({ messages }: Needs, { requester, params, body }) => ({
    event_id: await messages.send(requester, params.roomId, { type: params.eventType, txnId: params.txnId, content: body }),
  }),
})

const setState = endpoint({
  id: 'setRoomState', servlet: 'RoomStateEventRestServlet', method: 'PUT', base: 'client', versions, path: '/rooms/:roomId/state/:eventType/:stateKey?',
  spec: `${anchor}put_matrixclientv3roomsroomidstateeventtypestatekey`, auth: 'guest', limit: { rc: 'rc_message', by: 'service' }, role: 'generic', shard: 'roomId',
  suspendedRefused: true, params: Type.Object({ roomId: RoomIdParam, eventType: Type.String(), stateKey: Type.String() }), body: JsonObjectSchema,
  errors: ['M_FORBIDDEN', 'M_NOT_FOUND', 'M_TOO_LARGE', 'M_BAD_JSON', 'M_BAD_ALIAS', 'M_INVALID_PARAM', 'M_LIMIT_EXCEEDED', 'M_GUEST_ACCESS_FORBIDDEN', 'M_INVITE_BLOCKED'],
  handler: async ({ messages }: Needs, { requester, params, body }) => ({
    event_id: await messages.setState(requester, params.roomId, { type: params.eventType, stateKey: params.stateKey, content: body }),
  }),
})

const redact = endpoint({
  id: 'redactEvent', servlet: 'RoomRedactEventRestServlet', method: 'PUT', base: 'client', versions, path: '/rooms/:roomId/redact/:eventId/:txnId',
  spec: `${anchor}put_matrixclientv3roomsroomidredacteventidtxnid`, auth: 'guest', limit: { rc: 'rc_message', by: 'service' }, role: 'generic', shard: 'roomId',
  suspendedRefused: true, params: Type.Object({ roomId: RoomIdParam, eventId: EventIdParam, txnId: Type.String() }),
  body: Type.Object({ reason: Type.Optional(Type.String()) }), bodyKind: 'optional-json', errors: ['M_FORBIDDEN', 'M_NOT_FOUND', 'M_LIMIT_EXCEEDED'],
  handler: async ({ messages }: Needs, { requester, params, body }) => ({
    event_id: await messages.redact(requester, params.roomId, params.eventId, params.txnId, body.reason === undefined ? {} : { reason: body.reason }),
  }),
})

const sendWithoutTransaction = endpoint({
  id: 'sendMessageWithoutTransaction', servlet: 'RoomSendEventRestServlet', method: 'POST', base: 'client', versions, path: '/rooms/:roomId/send/:eventType',
  spec: `${anchor}put_matrixclientv3roomsroomidsendeventtypetxnid`, auth: 'guest', limit: { rc: 'rc_message', by: 'service' }, role: 'generic', shard: 'roomId',
  suspendedRefused: true, params: Type.Object({ roomId: RoomIdParam, eventType: Type.String() }), body: JsonObjectSchema,
  errors: ['M_FORBIDDEN', 'M_NOT_FOUND', 'M_TOO_LARGE', 'M_BAD_JSON', 'M_DUPLICATE_ANNOTATION', 'M_LIMIT_EXCEEDED', 'M_INVALID_PARAM'],
  handler: async ({ messages }: Needs, { requester, params, body }) => ({
    event_id: await messages.send(requester, params.roomId, { type: params.eventType, txnId: undefined, content: body }),
  }),
})

const redactWithoutTransaction = endpoint({
  id: 'redactEventWithoutTransaction', servlet: 'RoomRedactEventRestServlet', method: 'POST', base: 'client', versions, path: '/rooms/:roomId/redact/:eventId',
  spec: `${anchor}put_matrixclientv3roomsroomidredacteventidtxnid`, auth: 'guest', limit: { rc: 'rc_message', by: 'service' }, role: 'generic', shard: 'roomId',
  suspendedRefused: true, params: Type.Object({ roomId: RoomIdParam, eventId: EventIdParam }),
  body: Type.Object({ reason: Type.Optional(Type.String()) }), bodyKind: 'optional-json', errors: ['M_FORBIDDEN', 'M_NOT_FOUND', 'M_LIMIT_EXCEEDED'],
  handler: async ({ messages }: Needs, { requester, params, body }) => ({
    event_id: await messages.redact(requester, params.roomId, params.eventId, undefined, body.reason === undefined ? {} : { reason: body.reason }),
  }),
})

export const messagesRoutes = [send, setState, redact, sendWithoutTransaction, redactWithoutTransaction]
