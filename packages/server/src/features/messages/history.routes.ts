/** Endpoints that read a room's history. */
import { Type } from 'typebox'
import { refuse } from '@myelin/protocol/errors.ts'
import { checkRoomEventFilter } from '@myelin/protocol/filters/check-filter.ts'
import { allEvents, type EventFilter } from '@myelin/protocol/filters/event-filter.ts'
import { isObject } from '@myelin/protocol/json/json.ts'
import { parseJson } from '@myelin/protocol/json/parse.ts'
import { endpoint } from '#platform/http/endpoint.ts'
import { JsonText } from '#platform/http/reply.ts'
import { EventIdParam, LimitParam, RoomIdParam } from '#platform/http/schemas.ts'
import type { History } from './history.ts'
import { RelationTypeFilter } from './relation-type-filter.ts'

const versions = ['v3', 'r0', 'api/v1', 'unstable']
const anchor = 'https://spec.matrix.org/v1.19/client-server-api/#'

interface Needs {
  readonly history: History
  readonly historyRules: HistoryRules
}

/** Extensions that are turned on. */
export interface HistoryRules {
  /** Filters of messages know relation types (MSC3874). */
  readonly relationTypeFilters: boolean
  /** Who may redact may read what was redacted (MSC2815). */
  readonly showsRedacted: boolean
}

const unredacted = 'fi.mau.msc2815.include_unredacted_content'

/** The filter of a query parameter. @throws M_BAD_JSON, M_NOT_JSON */
export function filterOf(text: string | undefined): EventFilter {
  if (text === undefined || text === '') return allEvents
  const parsed = parseJson(text)
  if ('reason' in parsed) throw refuse(parsed.errcode, `The parameter "filter" is not usable: ${parsed.reason}`)
  const checked = checkRoomEventFilter(parsed.value)
  if ('reason' in checked) throw refuse('M_BAD_JSON', `The parameter "filter" is not a room event filter: ${checked.reason}`)
  return checked.filter
}

/** What the filter of a query parameter says of relation types. @throws M_BAD_JSON, M_NOT_JSON */
function relationTypesOf(text: string | undefined): RelationTypeFilter | undefined {
  if (text === undefined || text === '') return undefined
  const parsed = parseJson(text)
  return 'reason' in parsed || !isObject(parsed.value) ? undefined : RelationTypeFilter.of(parsed.value)
}

const direction = Type.Union([Type.Literal('b'), Type.Literal('f')])

function directionOf(dir: 'b' | 'f'): 'backward' | 'forward' {
  return dir === 'f' ? 'forward' : 'backward'
}

const messages = endpoint({
  id: 'getRoomMessages', servlet: 'RoomMessageListRestServlet', method: 'GET', base: 'client', versions, path: '/rooms/:roomId/messages',
  spec: `${anchor}get_matrixclientv3roomsroomidmessages`, auth: 'guest', limit: 'none', role: 'generic-room-sticky', shard: 'roomId',
  params: Type.Object({ roomId: RoomIdParam }),
  query: Type.Object({
    from: Type.Optional(Type.String()), to: Type.Optional(Type.String()), dir: direction, limit: Type.Optional(LimitParam), filter: Type.Optional(Type.String()),
  }),
  errors: ['M_FORBIDDEN', 'M_NOT_FOUND', 'M_INVALID_PARAM', 'M_MISSING_PARAM', 'M_BAD_JSON', 'M_NOT_JSON'],
  handler: async ({ history, historyRules }: Needs, { requester, params, query }) => {
    const { from, to, dir, limit = 10 } = query
    const relationTypes = historyRules.relationTypeFilters ? relationTypesOf(query.filter) : undefined
    const page = await history.page(requester, params.roomId, { from, to, direction: directionOf(dir), limit, filter: filterOf(query.filter), relationTypes })
    const end = page.end === undefined ? '' : `,"end":${JSON.stringify(page.end)}`
    const state = page.state === undefined ? '' : `,"state":[${page.state.join(',')}]`
    return new JsonText(`{"start":${JSON.stringify(page.start)}${end},"chunk":[${page.chunk.join(',')}]${state}}`)
  },
})

const context = endpoint({
  id: 'getEventContext', servlet: 'RoomEventContextServlet', method: 'GET', base: 'client', versions, path: '/rooms/:roomId/context/:eventId',
  spec: `${anchor}get_matrixclientv3roomsroomidcontexteventid`, auth: 'guest', limit: 'none', role: 'generic', shard: 'roomId',
  params: Type.Object({ roomId: RoomIdParam, eventId: EventIdParam }),
  query: Type.Object({ limit: Type.Optional(LimitParam), filter: Type.Optional(Type.String()) }),
  errors: ['M_FORBIDDEN', 'M_NOT_FOUND', 'M_BAD_JSON', 'M_NOT_JSON', 'M_INVALID_PARAM'],
  handler: async ({ history }: Needs, { requester, params, query }) => {
    const found = await history.context(requester, params.roomId, params.eventId, query.limit ?? 10, filterOf(query.filter))
    return new JsonText(`{"start":${JSON.stringify(found.start)},"end":${JSON.stringify(found.end)},"event":${found.event},` +
      `"events_before":[${found.before.join(',')}],"events_after":[${found.after.join(',')}],"state":[${found.state.join(',')}]}`)
  },
})

const event = endpoint({
  id: 'getRoomEvent', servlet: 'RoomEventServlet', method: 'GET', base: 'client', versions, path: '/rooms/:roomId/event/:eventId',
  spec: `${anchor}get_matrixclientv3roomsroomideventeventid`, auth: 'guest', limit: 'none', role: 'generic', shard: 'roomId',
  params: Type.Object({ roomId: RoomIdParam, eventId: EventIdParam }), query: Type.Object({ [unredacted]: Type.Optional(Type.String()) }),
  errors: ['M_NOT_FOUND', 'M_FORBIDDEN', 'FI.MAU.MSC2815_UNREDACTED_CONTENT_DELETED'],
  handler: async ({ history, historyRules }: Needs, { requester, params, query }) => {
    const asSent = historyRules.showsRedacted && query[unredacted] === 'true'
    return new JsonText(await history[asSent ? 'unredacted' : 'event'](requester, params.roomId, params.eventId))
  },
})

const timestampToEvent = endpoint({
  id: 'timestampToEvent', servlet: 'TimestampLookupRestServlet', method: 'GET', base: 'client', versions: ['v1'], path: '/rooms/:roomId/timestamp_to_event',
  spec: `${anchor}get_matrixclientv1roomsroomidtimestamp_to_event`, auth: 'user', limit: 'none', role: 'generic', shard: 'roomId',
  params: Type.Object({ roomId: RoomIdParam }), query: Type.Object({ ts: Type.Integer(), dir: direction }),
  errors: ['M_NOT_FOUND', 'M_FORBIDDEN', 'M_MISSING_PARAM', 'M_INVALID_PARAM'],
  handler: async ({ history }: Needs, { requester, params, query }) => {
    const found = await history.nearest(requester, params.roomId, query.ts, directionOf(query.dir))
    return { event_id: found.event.eventId, origin_server_ts: found.event.originServerTs }
  },
})

export const historyRoutes = [messages, context, event, timestampToEvent]
