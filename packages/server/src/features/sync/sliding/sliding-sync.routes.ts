/** Endpoint of simplified sliding sync. */
import { Type } from 'typebox'
import { endpoint } from '#platform/http/endpoint.ts'
import { JsonText } from '#platform/http/reply.ts'
import { PresenceParam, TimeoutParam } from '../sync-parameters.ts'
import { readRequest, SlidingSyncBody } from './sliding-request.ts'
import type { SlidingSync } from './sliding-sync.ts'

interface Needs {
  readonly slidingSync: SlidingSync
}

const slidingSync = endpoint({
  id: 'slidingSync', servlet: 'SlidingSyncRestServlet', method: 'POST', base: 'client', versions: ['unstable/org.matrix.simplified_msc3575'], path: '/sync',
  spec: 'https://github.com/matrix-org/matrix-spec-proposals/pull/4186', auth: 'guest', limit: 'none', role: 'generic', shard: 'userId',
  query: Type.Object({ pos: Type.Optional(Type.String()), timeout: TimeoutParam, set_presence: PresenceParam }), body: SlidingSyncBody,
  errors: ['M_UNKNOWN_POS', 'M_INVALID_PARAM', 'M_BAD_JSON', 'M_MISSING_PARAM', 'M_UNKNOWN_TOKEN'],
  handler: async ({ slidingSync: service }: Needs, { requester, query, body, signal }) => {
    const { userId, deviceId } = requester
    const asking = { userId, deviceId, pos: query.pos, timeoutMs: query.timeout ?? 0, setPresence: query.set_presence }
    return new JsonText(await service.sync(readRequest(asking, body, service.mostEvents), signal))
  },
})

export const slidingSyncRoutes = [slidingSync] as const
