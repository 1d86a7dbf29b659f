/** The endpoint that searches. */
import { Type } from 'typebox'
import { refuse } from '@myelin/protocol/errors.ts'
import { checkRoomEventFilter } from '@myelin/protocol/filters/check-filter.ts'
import { allEvents, type EventFilter } from '@myelin/protocol/filters/event-filter.ts'
import type { JsonObject } from '@myelin/protocol/json/json.ts'
import { endpoint } from '#platform/http/endpoint.ts'
import { JsonText } from '#platform/http/reply.ts'
import { JsonObjectSchema, LimitParam } from '#platform/http/schemas.ts'
import type { SearchReply } from './search-reply.ts'
import type { MessageSearch } from './search.ts'

interface Needs {
  readonly messageSearch: MessageSearch
  readonly searchReply: SearchReply
}

const roomEvents = Type.Object({
  search_term: Type.String(),
  keys: Type.Optional(Type.Array(Type.Union([Type.Literal('content.body'), Type.Literal('content.name'), Type.Literal('content.topic')]))),
  filter: Type.Optional(JsonObjectSchema),
  order_by: Type.Optional(Type.Union([Type.Literal('rank'), Type.Literal('recent')])),
  event_context: Type.Optional(Type.Object({
    before_limit: Type.Optional(LimitParam), after_limit: Type.Optional(LimitParam), include_profile: Type.Optional(Type.Boolean()),
  })),
  include_state: Type.Optional(Type.Boolean()),
  groupings: Type.Optional(Type.Object({
    group_by: Type.Optional(Type.Array(Type.Object({ key: Type.Union([Type.Literal('room_id'), Type.Literal('sender')]) }))),
  })),
})

const usualContext = 5

/** @throws M_BAD_JSON */
function filterOf(json: JsonObject | undefined): EventFilter {
  if (!json) return allEvents
  const checked = checkRoomEventFilter(json)
  if ('reason' in checked) throw refuse('M_BAD_JSON', `The field "filter" is not a room event filter: ${checked.reason}`)
  return checked.filter
}

const search = endpoint({
  id: 'search', servlet: 'SearchRestServlet', method: 'POST', base: 'client', versions: ['v3', 'r0', 'api/v1', 'unstable'], path: '/search',
  spec: 'https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3search', auth: 'user', limit: { rc: 'rc_search', by: 'user' }, role: 'generic',
  query: Type.Object({ next_batch: Type.Optional(Type.String()) }),
  body: Type.Object({ search_categories: Type.Object({ room_events: Type.Optional(roomEvents) }) }),
  errors: ['M_MISSING_PARAM', 'M_BAD_JSON', 'M_NOT_JSON', 'M_INVALID_PARAM', 'M_UNKNOWN', 'M_LIMIT_EXCEEDED'],
  handler: async ({ messageSearch, searchReply }: Needs, { requester, query, body }) => {
    const wanted = body.search_categories.room_events
    if (!wanted) return { search_categories: {} }
    const filter = filterOf(wanted.filter)
    const page = await messageSearch.search(requester, {
      term: wanted.search_term, keys: wanted.keys, filter, order: wanted.order_by ?? 'rank',
      groupBy: [...new Set(wanted.groupings?.group_by?.map(({ key }) => key))], nextBatch: query.next_batch,
    })
    const { event_context: context } = wanted
    return new JsonText(await searchReply.write(requester, page, {
      context: context && { before: context.before_limit ?? usualContext, after: context.after_limit ?? usualContext, profiles: context.include_profile ?? false },
      state: wanted.include_state ?? false,
      filter,
    }))
  },
})

export const searchRoutes = [search]
