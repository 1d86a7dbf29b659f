/** Endpoints that send events. */
import { Type, type Static } from 'typebox'
import { longestStickyMs } from '@myelin/protocol/events/sticky.ts'
import { endpoint } from '#platform/http/endpoint.ts'
import { EventIdParam, JsonObjectSchema, RoomIdParam } from '#platform/http/schemas.ts'
import type { Requester } from '#platform/http/requester.ts'
import type { RoomId } from '@myelin/protocol/ids/ids.ts'
import { own, type JsonObject } from '@myelin/protocol/json/json.ts'
import { needsConsent } from '#features/consent/consent.ts'
import type { DelayedEvent, Messages, RedactionRequest } from './messages.ts'

const versions = ['v3', 'r0', 'api/v1', 'unstable']
const anchor = 'https://spec.matrix.org/v1.19/client-server-api/#'

/** Who keeps events that are to be sent later. */
interface DelayedSchedule {
  schedule(requester: Requester, roomId: RoomId, event: DelayedEvent, delayMs: number): Promise<string>
}

interface Needs {
  readonly messages: Messages
  readonly delayedEvents: DelayedSchedule
  readonly stickyEvents: { readonly enabled: boolean }
}

/** With a delay, in ms, the event is sent later (MSC4140). */
const delay = 'org.matrix.msc4140.delay'
const delayQuery = Type.Object({ [delay]: Type.Optional(Type.Integer()) })
/** How long the event is sticky, in ms (MSC4354). */
const stickiness = 'org.matrix.msc4354.sticky_duration_ms'
const sendQuery = Type.Object({ ...delayQuery.properties, [stickiness]: Type.Optional(Type.Integer({ minimum: 0, maximum: longestStickyMs })) })

const send = endpoint({
  id: 'sendMessage', servlet: 'RoomSendEventRestServlet', method: 'PUT', base: 'client', versions, path: '/rooms/:roomId/send/:eventType/:txnId',
  spec: `${anchor}put_matrixclientv3roomsroomidsendeventtypetxnid`, auth: 'guest', limit: { rc: 'rc_message', by: 'service' }, role: 'generic', shard: 'roomId',
  suspendedRefused: true, params: Type.Object({ roomId: RoomIdParam, eventType: Type.String(), txnId: Type.String() }), query: sendQuery, body: JsonObjectSchema,
  errors: ['M_FORBIDDEN', 'M_NOT_FOUND', 'M_TOO_LARGE', 'M_BAD_JSON', 'M_DUPLICATE_ANNOTATION', 'M_LIMIT_EXCEEDED', 'M_INVALID_PARAM', 'M_UNKNOWN'],
  handler: async ({ messages, delayedEvents, stickyEvents }: Needs, { requester, params, query, body }) => {
    const { eventType: type, txnId } = params
    const delayMs = query[delay]
    const message = { type, txnId, content: body, stickyMs: stickyEvents.enabled ? query[stickiness] : undefined }
    if (delayMs !== undefined) return { delay_id: await delayedEvents.schedule(requester, params.roomId, { ...message, stateKey: undefined }, delayMs) }
    return { event_id: await messages.send(requester, params.roomId, message) }
  },
})

const setState = endpoint({
  id: 'setRoomState', servlet: 'RoomStateEventRestServlet', method: 'PUT', base: 'client', versions, path: '/rooms/:roomId/state/:eventType/:stateKey?',
  spec: `${anchor}put_matrixclientv3roomsroomidstateeventtypestatekey`, auth: 'guest', limit: { rc: 'rc_message', by: 'service' }, role: 'generic', shard: 'roomId',
  suspendedRefused: true, params: Type.Object({ roomId: RoomIdParam, eventType: Type.String(), stateKey: Type.String() }), query: delayQuery, body: JsonObjectSchema,
  errors: [
    'M_FORBIDDEN', 'M_NOT_FOUND', 'M_TOO_LARGE', 'M_BAD_JSON', 'M_BAD_ALIAS', 'M_INVALID_PARAM', 'M_LIMIT_EXCEEDED', 'M_GUEST_ACCESS_FORBIDDEN', 'M_INVITE_BLOCKED',
    'M_UNKNOWN', 'M_CANNOT_LEAVE_SERVER_NOTICE_ROOM',
  ],
  handler: async ({ messages, delayedEvents }: Needs, { requester, params, query, body }) => {
    const { eventType: type, stateKey } = params
    const delayMs = query[delay]
    if (delayMs !== undefined) return { delay_id: await delayedEvents.schedule(requester, params.roomId, { type, stateKey, content: body, txnId: undefined }, delayMs) }
    return { event_id: await messages.setState(requester, params.roomId, { type, stateKey, content: body }) }
  },
})

const redactionBody = Type.Object({
  reason: Type.Optional(Type.String()),
  'org.matrix.msc3912.with_rel_types': Type.Optional(Type.Array(Type.String())),
  'org.matrix.msc3912.with_relations': Type.Optional(Type.Array(Type.String())),
})

function redactionOf(body: Static<typeof redactionBody>, txnId: string | undefined): RedactionRequest {
  return {
    txnId, content: body.reason === undefined ? {} : { reason: body.reason },
    withRelations: body['org.matrix.msc3912.with_rel_types'] ?? body['org.matrix.msc3912.with_relations'],
  }
}

const redact = endpoint({
  id: 'redactEvent', servlet: 'RoomRedactEventRestServlet', method: 'PUT', base: 'client', versions, path: '/rooms/:roomId/redact/:eventId/:txnId',
  spec: `${anchor}put_matrixclientv3roomsroomidredacteventidtxnid`, auth: 'guest', limit: { rc: 'rc_message', by: 'service' }, role: 'generic', shard: 'roomId',
  suspendedRefused: true, params: Type.Object({ roomId: RoomIdParam, eventId: EventIdParam, txnId: Type.String() }),
  body: redactionBody, bodyKind: 'optional-json', errors: ['M_FORBIDDEN', 'M_NOT_FOUND', 'M_INVALID_PARAM', 'M_LIMIT_EXCEEDED'],
  handler: async ({ messages }: Needs, { requester, params, body }) => ({
    event_id: await messages.redact(requester, params.roomId, params.eventId, redactionOf(body, params.txnId)),
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
  body: redactionBody, bodyKind: 'optional-json', errors: ['M_FORBIDDEN', 'M_NOT_FOUND', 'M_INVALID_PARAM', 'M_LIMIT_EXCEEDED'],
  handler: async ({ messages }: Needs, { requester, params, body }) => ({
    event_id: await messages.redact(requester, params.roomId, params.eventId, redactionOf(body, undefined)),
  }),
})

/** The membership that a user sets of themselves as state. */
function ownMembership(params: JsonObject, body: JsonObject, userId: string): string | undefined {
  const membership = own(body, 'membership')
  const isOwn = own(params, 'eventType') === 'm.room.member' && own(params, 'stateKey') === userId
  return isOwn && typeof membership === 'string' ? membership : undefined
}

export const messagesRoutes = [
  needsConsent(send), needsConsent(setState, ownMembership), needsConsent(redact), needsConsent(sendWithoutTransaction), needsConsent(redactWithoutTransaction),
]
