/** Endpoints of filters. */
import { Type } from 'typebox'
import { refuse } from '@myelin/protocol/errors.ts'
import type { Requester } from '#platform/http/requester.ts'
import { endpoint } from '#platform/http/endpoint.ts'
import { JsonText } from '#platform/http/reply.ts'
import { JsonObjectSchema } from '#platform/http/schemas.ts'
import type { Filters } from './filters.ts'

type Needs = { filters: Filters }

const shared = { base: 'client', versions: ['v3', 'r0', 'unstable'], auth: 'guest', limit: 'none', role: 'generic', shard: 'userId' } as const
const params = Type.Object({ userId: Type.String() })

function assertOwn(requester: Requester, userId: string): void {
  if (requester.userId !== userId) throw refuse('M_FORBIDDEN', 'You can only use your own filters; put your own user id into the path.')
}

const defineFilter = endpoint({
  ...shared, id: 'defineFilter', servlet: 'CreateFilterRestServlet', method: 'POST', path: '/user/:userId/filter',
  spec: 'https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3useruseridfilter',
  params, body: JsonObjectSchema,
  errors: ['M_FORBIDDEN', 'M_BAD_JSON', 'M_NOT_JSON', 'M_TOO_LARGE'],
  handler: async ({ filters }: Needs, { requester, params: { userId }, body }) => {
    assertOwn(requester, userId)
    return { filter_id: await filters.create(requester.userId, body) }
  },
})

const getFilter = endpoint({
  ...shared, id: 'getFilter', servlet: 'GetFilterRestServlet', method: 'GET', path: '/user/:userId/filter/:filterId',
  spec: 'https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3useruseridfilterfilterid',
  errors: ['M_FORBIDDEN', 'M_NOT_FOUND'],
  handler: async ({ filters }: Needs, { requester, params: { userId, filterId } }) => {
    assertOwn(requester, userId)
    return new JsonText(await filters.require(requester.userId, filterId))
  },
})

export const filtersRoutes = [defineFilter, getFilter]
