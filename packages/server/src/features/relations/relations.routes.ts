/** Endpoints that list related events and threads. */
import { Type } from 'typebox'
import type { EventId, RoomId } from '@myelin/protocol/ids/ids.ts'
import { endpoint } from '#platform/http/endpoint.ts'
import { JsonText } from '#platform/http/reply.ts'
import type { Requester } from '#platform/http/requester.ts'
import { EventIdParam, RoomIdParam } from '#platform/http/schemas.ts'
import type { Relations } from './relations.ts'
import type { Threads } from './threads.ts'

const anchor = 'https://spec.matrix.org/v1.19/client-server-api/#'

interface Needs {
  readonly relations: Relations
  readonly threads: Threads
}

const query = Type.Object({
  from: Type.Optional(Type.String()),
  to: Type.Optional(Type.String()),
  limit: Type.Optional(Type.Integer({ minimum: 1 })),
  dir: Type.Optional(Type.Union([Type.Literal('b'), Type.Literal('f')])),
  recurse: Type.Optional(Type.Boolean()),
})

interface Query {
  readonly from?: string
  readonly to?: string
  readonly limit?: number
  readonly dir?: 'b' | 'f'
  readonly recurse?: boolean
}

interface Params {
  readonly roomId: RoomId
  readonly eventId: EventId
  readonly relationType?: string
  readonly eventType?: string
}

async function pageOf({ relations }: Needs, requester: Requester, params: Params, { from, to, limit = 20, dir = 'b', recurse = false }: Query): Promise<JsonText> {
  const page = await relations.page(requester, params.roomId, params.eventId, {
    relationType: params.relationType, eventType: params.eventType, from, to, direction: dir === 'f' ? 'forward' : 'backward', limit, recurse,
  })
  const { nextBatch, prevBatch, recursionDepth } = page
  const next = nextBatch === undefined ? '' : `,"next_batch":${JSON.stringify(nextBatch)}`
  const previous = prevBatch === undefined ? '' : `,"prev_batch":${JSON.stringify(prevBatch)}`
  const depth = recursionDepth === undefined ? '' : `,"recursion_depth":${recursionDepth}`
  return new JsonText(`{"chunk":[${page.chunk.join(',')}]${next}${previous}${depth}}`)
}

const shared = {
  servlet: 'RelationPaginationServlet', method: 'GET', base: 'client', versions: ['v1', 'unstable'], auth: 'guest', limit: 'none', role: 'generic', shard: 'roomId',
  query, errors: ['M_NOT_FOUND', 'M_INVALID_PARAM'],
} as const

const relating = endpoint({
  ...shared, id: 'getRelatingEvents', path: '/rooms/:roomId/relations/:eventId', spec: `${anchor}get_matrixclientv1roomsroomidrelationseventid`,
  params: Type.Object({ roomId: RoomIdParam, eventId: EventIdParam }),
  handler: (needs: Needs, request) => pageOf(needs, request.requester, request.params, request.query),
})

const relatingWithType = endpoint({
  ...shared, id: 'getRelatingEventsWithRelType', path: '/rooms/:roomId/relations/:eventId/:relationType',
  spec: `${anchor}get_matrixclientv1roomsroomidrelationseventidreltype`,
  params: Type.Object({ roomId: RoomIdParam, eventId: EventIdParam, relationType: Type.String() }),
  handler: (needs: Needs, request) => pageOf(needs, request.requester, request.params, request.query),
})

const relatingWithEventType = endpoint({
  ...shared, id: 'getRelatingEventsWithRelTypeAndEventType', path: '/rooms/:roomId/relations/:eventId/:relationType/:eventType',
  spec: `${anchor}get_matrixclientv1roomsroomidrelationseventidreltypeeventtype`,
  params: Type.Object({ roomId: RoomIdParam, eventId: EventIdParam, relationType: Type.String(), eventType: Type.String() }),
  handler: (needs: Needs, request) => pageOf(needs, request.requester, request.params, request.query),
})

const threadRoots = endpoint({
  id: 'getThreadRoots', servlet: 'ThreadsServlet', method: 'GET', base: 'client', versions: ['v1'], path: '/rooms/:roomId/threads',
  spec: `${anchor}get_matrixclientv1roomsroomidthreads`, auth: 'guest', limit: 'none', role: 'generic', shard: 'roomId',
  params: Type.Object({ roomId: RoomIdParam }),
  query: Type.Object({
    include: Type.Optional(Type.Union([Type.Literal('all'), Type.Literal('participated')])),
    limit: Type.Optional(Type.Integer({ minimum: 1 })),
    from: Type.Optional(Type.String()),
  }),
  errors: ['M_FORBIDDEN', 'M_INVALID_PARAM'],
  handler: async ({ threads }: Needs, { requester, params, query: { include, limit = 10, from } }) => {
    const page = await threads.list(requester, params.roomId, { participatedOnly: include === 'participated', limit, from })
    const next = page.nextBatch === undefined ? '' : `,"next_batch":${JSON.stringify(page.nextBatch)}`
    return new JsonText(`{"chunk":[${page.chunk.join(',')}]${next}}`)
  },
})

export const relationsRoutes = [relating, relatingWithType, relatingWithEventType, threadRoots]
