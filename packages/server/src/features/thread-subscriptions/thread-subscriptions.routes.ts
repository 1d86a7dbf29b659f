/** Endpoints of thread subscriptions. */
import { Type } from 'typebox'
import { refuse } from '@myelin/protocol/errors.ts'
import { endpoint } from '#platform/http/endpoint.ts'
import { JsonText } from '#platform/http/reply.ts'
import { EventIdParam, RoomIdParam } from '#platform/http/schemas.ts'
import { readPageToken, type ThreadSubscriptions } from './thread-subscriptions.ts'

interface Needs {
  readonly threadSubscriptions: ThreadSubscriptions
  /** Place in the stream of a token of sliding sync, or undefined where the text is none. */
  readonly threadSubscriptionPosition: (token: string) => number | undefined
}

const shared = {
  base: 'client', versions: ['unstable/io.element.msc4306'], path: '/rooms/:roomId/thread/:eventId/subscription', auth: 'user', limit: 'none', role: 'thread_subscriptions',
  spec: 'https://github.com/matrix-org/matrix-spec-proposals/pull/4306', params: Type.Object({ roomId: RoomIdParam, eventId: EventIdParam }),
} as const
const largestPage = 1000

const getSubscription = endpoint({
  ...shared, id: 'getThreadSubscription', method: 'GET', errors: ['M_UNRECOGNIZED', 'M_NOT_FOUND', 'M_INVALID_PARAM'],
  handler: ({ threadSubscriptions }: Needs, { requester, params }) => threadSubscriptions.require(requester.userId, params.roomId, params.eventId),
})

const putSubscription = endpoint({
  ...shared, id: 'putThreadSubscription', method: 'PUT', body: Type.Object({ automatic: Type.Optional(Type.String()) }),
  errors: [
    'M_UNRECOGNIZED', 'M_NOT_FOUND', 'M_INVALID_PARAM', 'M_BAD_JSON', 'IO.ELEMENT.MSC4306.M_NOT_IN_THREAD', 'IO.ELEMENT.MSC4306.M_CONFLICTING_UNSUBSCRIPTION',
    'M_TOO_LARGE',
  ],
  handler: async ({ threadSubscriptions }: Needs, { requester, params, body }) => {
    await threadSubscriptions.subscribe(requester.userId, params.roomId, params.eventId, body.automatic)
    return {}
  },
})

const deleteSubscription = endpoint({
  ...shared, id: 'deleteThreadSubscription', method: 'DELETE', errors: ['M_UNRECOGNIZED', 'M_NOT_FOUND', 'M_INVALID_PARAM'],
  handler: async ({ threadSubscriptions }: Needs, { requester, params }) => {
    await threadSubscriptions.unsubscribe(requester.userId, params.roomId, params.eventId)
    return {}
  },
})

const listSubscriptions = endpoint({
  base: 'client', versions: ['unstable/io.element.msc4308'], path: '/thread_subscriptions', id: 'listThreadSubscriptions', method: 'GET', auth: 'user', limit: 'none',
  role: 'thread_subscriptions', spec: 'https://github.com/matrix-org/matrix-spec-proposals/pull/4308',
  query: Type.Object({
    dir: Type.Literal('b'), from: Type.Optional(Type.String()), to: Type.Optional(Type.String()), limit: Type.Optional(Type.Integer({ minimum: 1 })),
  }),
  errors: ['M_UNRECOGNIZED', 'M_INVALID_PARAM', 'M_MISSING_PARAM'],
  handler: async ({ threadSubscriptions, threadSubscriptionPosition }: Needs, { requester, query }) => {
    threadSubscriptions.assertEnabled()
    const after = query.to === undefined ? 0 : threadSubscriptionPosition(query.to)
    if (after === undefined) throw refuse('M_INVALID_PARAM', 'The parameter "to" must be a pos of sliding sync.')
    const upTo = query.from === undefined ? threadSubscriptions.stream.position : readPageToken(query.from)
    const limit = Math.min(query.limit ?? 100, largestPage)
    const { members, before } = await threadSubscriptions.page({ userId: requester.userId, after, upTo: Math.min(upTo, threadSubscriptions.stream.position), limit })
    return new JsonText(`{${[...members, ...(before === undefined ? [] : [`"end":"${before}"`])].join(',')}}`)
  },
})

export const threadSubscriptionsRoutes = [getSubscription, putSubscription, deleteSubscription, listSubscriptions] as const
