/** Endpoints that show rooms from outside: hierarchies of spaces and summaries. */
import { Type } from 'typebox'
import { refuse } from '@myelin/protocol/errors.ts'
import type { RoomAlias, RoomId } from '@myelin/protocol/ids/ids.ts'
import type { Memberships } from '#engine/memberships.ts'
import type { Rooms } from '#engine/rooms.ts'
import { roomSummary, type RoomSummaries, type RoomSummary } from '#features/room-summaries/room-summaries.ts'
import { endpoint } from '#platform/http/endpoint.ts'
import type { Requester } from '#platform/http/requester.ts'
import { RoomIdOrAliasParam, RoomIdParam } from '#platform/http/schemas.ts'
import type { Spaces } from './spaces.ts'

const anchor = 'https://spec.matrix.org/v1.19/client-server-api/#'

/** What an alias points to. */
export interface AliasLookUp {
  resolve(alias: RoomAlias): Promise<{ readonly roomId: RoomId } | undefined>
}

interface Needs {
  readonly spaces: Spaces
}

interface SummaryNeeds {
  readonly rooms: Rooms
  readonly memberships: Memberships
  readonly aliasResolver: AliasLookUp
  readonly roomSummaries: RoomSummaries
}

const hierarchy = endpoint({
  id: 'getSpaceHierarchy', servlet: 'RoomHierarchyRestServlet', method: 'GET', base: 'client', versions: ['v1'], path: '/rooms/:roomId/hierarchy',
  spec: `${anchor}get_matrixclientv1roomsroomidhierarchy`, auth: 'guest', limit: 'none', role: 'generic', shard: 'roomId',
  params: Type.Object({ roomId: RoomIdParam }),
  query: Type.Object({
    suggested_only: Type.Optional(Type.Boolean()),
    limit: Type.Optional(Type.Integer({ minimum: 1 })),
    max_depth: Type.Optional(Type.Integer({ minimum: 0 })),
    from: Type.Optional(Type.String()),
  }),
  errors: ['M_FORBIDDEN', 'M_INVALID_PARAM'],
  handler: ({ spaces }: Needs, { requester, params, query: { suggested_only: suggestedOnly = false, limit = 50, max_depth: maxDepth, from } }) =>
    spaces.hierarchy(requester.userId, params.roomId, { suggestedOnly, limit, maxDepth, from }),
})

const hierarchyForServers = endpoint({
  id: 'getSpaceHierarchyForServers', servlet: 'FederationRoomHierarchyServlet', method: 'GET', base: 'federation', versions: ['v1'], path: '/hierarchy/:roomId',
  spec: 'https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1hierarchyroomid', auth: 'server', limit: 'none', role: 'generic',
  params: Type.Object({ roomId: RoomIdParam }), query: Type.Object({ suggested_only: Type.Optional(Type.Boolean()) }),
  errors: ['M_NOT_FOUND', 'M_INVALID_PARAM', 'M_UNAUTHORIZED', 'M_FORBIDDEN'],
  handler: ({ spaces }: Needs, { origin, params, query }) => spaces.forServer(origin, params.roomId, query.suggested_only ?? false),
})

/** The summary of a room that the requester may see. @throws M_NOT_FOUND */
async function summaryOf(needs: SummaryNeeds, idOrAlias: RoomId | RoomAlias, requester: Requester | undefined): Promise<RoomSummary> {
  const { rooms, aliasResolver, roomSummaries } = needs
  const roomId = isAlias(idOrAlias) ? (await aliasResolver.resolve(idOrAlias))?.roomId : idOrAlias
  const room = roomId === undefined ? undefined : await rooms.get(roomId)
  const summary = room && (await roomSummaries.of(room))
  if (!summary || !(await roomSummaries.mayPreview(requester?.userId, summary))) {
    throw refuse('M_NOT_FOUND', 'There is no such room, or you may not see it.')
  }
  return summary
}

function isAlias(text: RoomId | RoomAlias): text is RoomAlias {
  return text.startsWith('#')
}

async function summaryReply(needs: SummaryNeeds, idOrAlias: RoomId | RoomAlias, requester: Requester | undefined): Promise<Record<string, unknown>> {
  const summary = await summaryOf(needs, idOrAlias, requester)
  const membership = requester && ((await needs.memberships.of(summary.room, requester.userId))?.membership ?? 'leave')
  return { ...roomSummary(summary), ...(membership === undefined ? {} : { membership }) }
}

const shared = {
  servlet: 'RoomSummaryRestServlet', method: 'GET', base: 'client', spec: `${anchor}get_matrixclientv1room_summaryroomidoralias`, auth: 'optional', limit: 'none',
  role: 'generic', params: Type.Object({ roomIdOrAlias: RoomIdOrAliasParam }), query: Type.Object({ via: Type.Optional(Type.Array(Type.String())) }),
  errors: ['M_NOT_FOUND'],
} as const

const summary = endpoint({
  ...shared, id: 'getRoomSummary', versions: ['v1'], path: '/room_summary/:roomIdOrAlias',
  handler: (needs: SummaryNeeds, { requester, params }) => summaryReply(needs, params.roomIdOrAlias, requester),
})

/** Fields that the unstable form named with its prefix. */
async function unstableReply(needs: SummaryNeeds, idOrAlias: RoomId | RoomAlias, requester: Requester | undefined): Promise<Record<string, unknown>> {
  const reply = await summaryReply(needs, idOrAlias, requester)
  const { room_version: version, encryption } = reply
  return { ...reply, 'im.nheko.summary.room_version': version, ...(encryption === undefined ? {} : { 'im.nheko.summary.encryption': encryption }) }
}

const unstableSummary = endpoint({
  ...shared, id: 'getRoomSummaryUnstable', versions: ['unstable/im.nheko.summary'], path: '/summary/:roomIdOrAlias',
  handler: (needs: SummaryNeeds, { requester, params }) => unstableReply(needs, params.roomIdOrAlias, requester),
})

const legacySummary = endpoint({
  ...shared, id: 'getRoomSummaryLegacy', versions: ['unstable/im.nheko.summary'], path: '/rooms/:roomIdOrAlias/summary',
  handler: (needs: SummaryNeeds, { requester, params }) => unstableReply(needs, params.roomIdOrAlias, requester),
})

export const spacesRoutes = [hierarchy, hierarchyForServers, summary, unstableSummary, legacySummary]
