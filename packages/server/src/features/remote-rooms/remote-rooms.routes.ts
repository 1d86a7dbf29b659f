/** Endpoints by which other servers read rooms, and by which their users come and go. */
import { Type } from 'typebox'
import type { EventId, ServerName } from '@myelin/protocol/ids/ids.ts'
import { own } from '@myelin/protocol/json/json.ts'
import { endpoint } from '#platform/http/endpoint.ts'
import { JsonText } from '#platform/http/reply.ts'
import { EventIdParam, JsonObjectSchema, RoomIdParam, UserIdParam } from '#platform/http/schemas.ts'
import type { StoredEvent } from '#engine/stored-event.ts'
import { emptyRoot } from '#engine/trie.ts'
import type { Handshakes } from './handshakes.ts'
import type { Invites } from './invites.ts'
import type { RoomAnswers } from './room-answers.ts'
import type { StrippedStates } from './stripped-states.ts'

interface Needs {
  readonly roomAnswers: RoomAnswers
}

interface HandshakeNeeds extends Needs {
  readonly handshakes: Handshakes
  readonly serverName: ServerName
}

const shared = { base: 'federation', versions: ['v1'], auth: 'server', limit: 'none', role: 'generic' } as const
const spec = (anchor: string) => `https://spec.matrix.org/v1.19/server-server-api/#${anchor}`
const roomParams = Type.Object({ roomId: RoomIdParam })
const eventParams = Type.Object({ roomId: RoomIdParam, eventId: EventIdParam })
const userParams = Type.Object({ roomId: RoomIdParam, userId: UserIdParam })
const atEvent = Type.Object({ event_id: EventIdParam })
const readErrors = ['M_NOT_FOUND', 'M_FORBIDDEN', 'M_INVALID_PARAM', 'M_UNAUTHORIZED'] as const

/** The list of events as they go over the wire. */
function pdus(events: readonly StoredEvent[]): string {
  return `[${events.map((event) => event.json).join(',')}]`
}

function ids(events: readonly StoredEvent[]): readonly EventId[] {
  return events.map(({ event }) => event.eventId)
}

const getState = endpoint({
  ...shared, id: 'getRoomStateAtEvent', servlet: 'FederationStateV1Servlet', method: 'GET', path: '/state/:roomId', spec: spec('get_matrixfederationv1stateroomid'),
  params: roomParams, query: atEvent, errors: [...readErrors, 'M_MISSING_PARAM'],
  handler: async ({ roomAnswers }: Needs, { origin, params, query }) => {
    const room = await roomAnswers.roomFor(origin, params.roomId, [query.event_id])
    const state = await roomAnswers.state(room, query.event_id)
    return new JsonText(`{"pdus":${pdus(state)},"auth_chain":${pdus(await roomAnswers.authChain(room, state))}}`)
  },
})

const getStateIds = endpoint({
  ...shared, id: 'getRoomStateIds', servlet: 'FederationStateIdsServlet', method: 'GET', path: '/state_ids/:roomId', spec: spec('get_matrixfederationv1state_idsroomid'),
  params: roomParams, query: atEvent, errors: [...readErrors, 'M_MISSING_PARAM'],
  handler: async ({ roomAnswers }: Needs, { origin, params, query }) => {
    const room = await roomAnswers.roomFor(origin, params.roomId, [query.event_id])
    const state = await roomAnswers.state(room, query.event_id)
    return { pdu_ids: ids(state), auth_chain_ids: ids(await roomAnswers.authChain(room, state)) }
  },
})

const getEvent = endpoint({
  ...shared, id: 'getEvent', servlet: 'FederationEventServlet', method: 'GET', path: '/event/:eventId', spec: spec('get_matrixfederationv1eventeventid'),
  params: Type.Object({ eventId: EventIdParam }), errors: readErrors,
  handler: async ({ roomAnswers, serverName, clock }: Needs & Transmission, { origin, params }) =>
    transmitted({ serverName, clock }, [await roomAnswers.event(origin, params.eventId)]),
})

const getEventAuth = endpoint({
  ...shared, id: 'getEventAuth', servlet: 'FederationEventAuthServlet', method: 'GET', path: '/event_auth/:roomId/:eventId',
  spec: spec('get_matrixfederationv1event_authroomideventid'), params: eventParams, errors: readErrors,
  handler: async ({ roomAnswers }: Needs, { origin, params }) => {
    const room = await roomAnswers.roomFor(origin, params.roomId, [params.eventId])
    return new JsonText(`{"auth_chain":${pdus(await roomAnswers.authChainOf(room, params.eventId))}}`)
  },
})

/** Who sends events, and when. */
interface Transmission {
  readonly serverName: ServerName
  readonly clock: { now(): number }
}

function transmitted({ serverName, clock }: Transmission, events: readonly StoredEvent[]): JsonText {
  return new JsonText(`{"origin":${JSON.stringify(serverName)},"origin_server_ts":${clock.now()},"pdus":${pdus(events)}}`)
}

const backfill = endpoint({
  ...shared, id: 'backfillRoom', servlet: 'FederationBackfillServlet', method: 'GET', path: '/backfill/:roomId', spec: spec('get_matrixfederationv1backfillroomid'),
  params: roomParams, query: Type.Object({ v: Type.Array(EventIdParam, { maxItems: 100 }), limit: Type.Integer({ minimum: 0 }) }), errors: [...readErrors, 'M_MISSING_PARAM'],
  handler: async ({ roomAnswers, serverName, clock }: Needs & Transmission, { origin, params, query }) => {
    const room = await roomAnswers.roomFor(origin, params.roomId, query.v)
    return transmitted({ serverName, clock }, await roomAnswers.backfill(origin, room, query.v, query.limit))
  },
})

const getMissingEvents = endpoint({
  ...shared, id: 'getMissingPreviousEvents', servlet: 'FederationGetMissingEventsServlet', method: 'POST', path: '/get_missing_events/:roomId',
  spec: spec('post_matrixfederationv1get_missing_eventsroomid'), params: roomParams,
  body: Type.Object({
    earliest_events: Type.Array(EventIdParam, { maxItems: 100 }), latest_events: Type.Array(EventIdParam, { maxItems: 100 }),
    limit: Type.Optional(Type.Integer({ minimum: 0 })), min_depth: Type.Optional(Type.Integer()),
  }),
  errors: [...readErrors, 'M_MISSING_PARAM', 'M_BAD_JSON'],
  handler: async ({ roomAnswers }: Needs, { origin, params, body }) => {
    const room = await roomAnswers.roomFor(origin, params.roomId, body.latest_events)
    const range = { earliest: body.earliest_events, latest: body.latest_events, limit: body.limit ?? 10, minDepth: body.min_depth ?? 0 }
    return new JsonText(`{"events":${pdus(await roomAnswers.missing(origin, room, range))}}`)
  },
})

const timestampToEvent = endpoint({
  ...shared, id: 'getEventByTimestamp', servlet: 'FederationTimestampLookupServlet', method: 'GET', path: '/timestamp_to_event/:roomId',
  spec: spec('get_matrixfederationv1timestamp_to_eventroomid'), params: roomParams,
  query: Type.Object({ ts: Type.Integer(), dir: Type.Union([Type.Literal('f'), Type.Literal('b')]) }), errors: [...readErrors, 'M_MISSING_PARAM'],
  handler: async ({ roomAnswers }: Needs, { origin, params, query }) => {
    const room = await roomAnswers.roomFor(origin, params.roomId, [])
    const { event } = await roomAnswers.nearest(origin, room, query.ts, query.dir === 'f' ? 'forward' : 'backward')
    return { event_id: event.eventId, origin_server_ts: event.originServerTs }
  },
})

const complexity = endpoint({
  ...shared, id: 'getRoomComplexity', servlet: 'RoomComplexityServlet', versions: ['unstable'], method: 'GET', path: '/rooms/:roomId/complexity',
  spec: 'https://element-hq.github.io/synapse/latest/usage/configuration/config_documentation.html#limit_remote_rooms', params: roomParams, errors: readErrors,
  handler: async ({ roomAnswers }: Needs, { origin, params }) => ({ v1: await roomAnswers.complexity(await roomAnswers.roomFor(origin, params.roomId, [])) }),
})

const makeErrors = ['M_NOT_FOUND', 'M_FORBIDDEN', 'M_INVALID_PARAM', 'M_UNAUTHORIZED'] as const
const sendErrors = [...makeErrors, 'M_BAD_JSON', 'M_NOT_JSON'] as const
const versionsQuery = Type.Object({ ver: Type.Optional(Type.Array(Type.String({ maxLength: 32 }), { maxItems: 100 })) })

const makeJoin = endpoint({
  ...shared, id: 'makeJoin', servlet: 'FederationMakeJoinServlet', method: 'GET', path: '/make_join/:roomId/:userId', spec: spec('get_matrixfederationv1make_joinroomiduserid'),
  params: userParams, query: versionsQuery, errors: [...makeErrors, 'M_INCOMPATIBLE_ROOM_VERSION', 'M_UNABLE_TO_GRANT_JOIN', 'M_UNABLE_TO_AUTHORISE_JOIN'],
  handler: async ({ handshakes }: HandshakeNeeds, { origin, params, query }) => {
    // Servers that name no versions know the first one only.
    const { room, event } = await handshakes.template(origin, params.roomId, params.userId, 'join', query.ver ?? ['1'])
    return { room_version: room.version.id, event }
  },
})

const makeKnock = endpoint({
  ...shared, id: 'makeKnock', servlet: 'FederationMakeKnockServlet', method: 'GET', path: '/make_knock/:roomId/:userId', spec: spec('get_matrixfederationv1make_knockroomiduserid'),
  params: userParams, query: versionsQuery, errors: [...makeErrors, 'M_INCOMPATIBLE_ROOM_VERSION'],
  handler: async ({ handshakes }: HandshakeNeeds, { origin, params, query }) => {
    const { room, event } = await handshakes.template(origin, params.roomId, params.userId, 'knock', query.ver ?? ['1'])
    return { room_version: room.version.id, event }
  },
})

const makeLeave = endpoint({
  ...shared, id: 'makeLeave', servlet: 'FederationMakeLeaveServlet', method: 'GET', path: '/make_leave/:roomId/:userId', spec: spec('get_matrixfederationv1make_leaveroomiduserid'),
  params: userParams, errors: makeErrors,
  handler: async ({ handshakes }: HandshakeNeeds, { origin, params }) => {
    const { room, event } = await handshakes.template(origin, params.roomId, params.userId, 'leave', undefined)
    return { room_version: room.version.id, event }
  },
})

/** Takes a join in and answers the state that it comes into. */
async function joined({ handshakes, roomAnswers, serverName }: HandshakeNeeds, origin: ServerName, roomId: string, eventId: EventId, body: Parameters<Handshakes['complete']>[3]): Promise<string> {
  const event = await handshakes.complete(origin, roomId, eventId, body, 'join')
  const state = await roomAnswers.state(event.room, eventId)
  const chain = await roomAnswers.authChain(event.room, [...state, event])
  return `{"origin":${JSON.stringify(serverName)},"members_omitted":false,"event":${event.json},"state":${pdus(state)},"auth_chain":${pdus(chain)}}`
}

const sendJoinErrors = [...sendErrors, 'M_UNABLE_TO_GRANT_JOIN', 'M_UNABLE_TO_AUTHORISE_JOIN', 'M_LIMIT_EXCEEDED'] as const

const sendJoin = endpoint({
  ...shared, id: 'sendJoinV2', servlet: 'FederationV2SendJoinServlet', method: 'PUT', versions: ['v2'], path: '/send_join/:roomId/:eventId',
  spec: spec('put_matrixfederationv2send_joinroomideventid'), params: eventParams, body: JsonObjectSchema, errors: sendJoinErrors,
  handler: async (needs: HandshakeNeeds, { origin, params, body }) => new JsonText(await joined(needs, origin, params.roomId, params.eventId, body)),
})

const sendJoinV1 = endpoint({
  ...shared, id: 'sendJoinV1', servlet: 'FederationV1SendJoinServlet', method: 'PUT', path: '/send_join/:roomId/:eventId',
  spec: spec('put_matrixfederationv1send_joinroomideventid'), params: eventParams, body: JsonObjectSchema, errors: sendJoinErrors,
  handler: async (needs: HandshakeNeeds, { origin, params, body }) => new JsonText(`[200,${await joined(needs, origin, params.roomId, params.eventId, body)}]`),
})

const sendKnock = endpoint({
  ...shared, id: 'sendKnock', servlet: 'FederationV1SendKnockServlet', method: 'PUT', path: '/send_knock/:roomId/:eventId',
  spec: spec('put_matrixfederationv1send_knockroomideventid'), params: eventParams, body: JsonObjectSchema, errors: sendErrors,
  handler: async ({ handshakes, prejoinState }: HandshakeNeeds & { readonly prejoinState: StrippedStates }, { origin, params, body }) => {
    const event = await handshakes.complete(origin, params.roomId, params.eventId, body, 'knock')
    return new JsonText(`{"knock_room_state":${pdus(await prejoinState.forServer(event.room, event.stateRoot ?? emptyRoot, event.event.sender))}}`)
  },
})

const sendLeave = endpoint({
  ...shared, id: 'sendLeaveV2', servlet: 'FederationV2SendLeaveServlet', method: 'PUT', versions: ['v2'], path: '/send_leave/:roomId/:eventId',
  spec: spec('put_matrixfederationv2send_leaveroomideventid'), params: eventParams, body: JsonObjectSchema, errors: sendErrors,
  handler: async ({ handshakes }: HandshakeNeeds, { origin, params, body }) => {
    await handshakes.complete(origin, params.roomId, params.eventId, body, 'leave')
    return {}
  },
})

const sendLeaveV1 = endpoint({
  ...shared, id: 'sendLeaveV1', servlet: 'FederationV1SendLeaveServlet', method: 'PUT', path: '/send_leave/:roomId/:eventId',
  spec: spec('put_matrixfederationv1send_leaveroomideventid'), params: eventParams, body: JsonObjectSchema, errors: sendErrors,
  handler: async ({ handshakes }: HandshakeNeeds, { origin, params, body }) => {
    await handshakes.complete(origin, params.roomId, params.eventId, body, 'leave')
    return new JsonText('[200,{}]')
  },
})

interface InviteNeeds {
  readonly invites: Invites
}

const inviteErrors = [...sendErrors, 'M_INVITE_BLOCKED', 'M_LIMIT_EXCEEDED'] as const

const invite = endpoint({
  ...shared, id: 'sendInviteV2', servlet: 'FederationV2InviteServlet', method: 'PUT', versions: ['v2'], path: '/invite/:roomId/:eventId',
  spec: spec('put_matrixfederationv2inviteroomideventid'), params: eventParams, errors: [...inviteErrors, 'M_INCOMPATIBLE_ROOM_VERSION', 'M_MISSING_PARAM'],
  body: Type.Object({ event: JsonObjectSchema, room_version: Type.String({ maxLength: 32 }), invite_room_state: Type.Optional(Type.Array(JsonObjectSchema)) }),
  handler: async ({ invites }: InviteNeeds, { origin, params, body }) => ({
    event: await invites.receive(origin, {
      roomId: params.roomId, eventId: params.eventId, roomVersion: body.room_version, event: body.event, strippedState: body.invite_room_state,
    }),
  }),
})

const inviteV1 = endpoint({
  ...shared, id: 'sendInviteV1', servlet: 'FederationV1InviteServlet', method: 'PUT', path: '/invite/:roomId/:eventId',
  spec: spec('put_matrixfederationv1inviteroomideventid'), params: eventParams, errors: inviteErrors, body: JsonObjectSchema,
  handler: async ({ invites }: InviteNeeds, { origin, params, body }) => {
    const unsigned = own(body, 'unsigned')
    const strippedState = typeof unsigned === 'object' && unsigned !== null && 'invite_room_state' in unsigned ? unsigned.invite_room_state : undefined
    const event = await invites.receive(origin, { roomId: params.roomId, eventId: params.eventId, roomVersion: '1', event: body, strippedState })
    return new JsonText(`[200,${JSON.stringify({ event })}]`)
  },
})

export const remoteRoomsRoutes = [
  getState, getStateIds, getEvent, getEventAuth, backfill, getMissingEvents, timestampToEvent, complexity, makeJoin, makeKnock, makeLeave, sendJoin, sendJoinV1, sendKnock, sendLeave, sendLeaveV1,
  invite, inviteV1,
] as const
