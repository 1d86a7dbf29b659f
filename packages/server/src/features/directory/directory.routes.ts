/** Endpoints of room aliases and of published rooms. */
import { Type, type Static } from 'typebox'
import { refuse } from '@myelin/protocol/errors.ts'
import { endpoint } from '#platform/http/endpoint.ts'
import { RoomAliasParam, RoomIdParam } from '#platform/http/schemas.ts'
import type { Directory } from './directory.ts'
import type { PublicRooms } from './public-rooms.ts'
import type { PublicRoomsQuery } from './remote-directory.ts'

const versions = ['v3', 'r0', 'api/v1', 'unstable']
const anchor = 'https://spec.matrix.org/v1.19/client-server-api/#'

/** What the endpoints must know of the configuration. */
export interface DirectoryDoorRules {
  readonly allowPublicRoomsWithoutAuth: boolean
  /** `allow_public_rooms_over_federation` */
  readonly allowPublicRoomsOverFederation: boolean
}

interface Needs {
  readonly directory: Directory
  readonly publicRooms: PublicRooms
  readonly directoryRules: DirectoryDoorRules
}

const aliasParams = Type.Object({ roomAlias: RoomAliasParam })
const roomParams = Type.Object({ roomId: RoomIdParam })
const visibility = Type.Union([Type.Literal('public'), Type.Literal('private')])

const setRoomAlias = endpoint({
  id: 'setRoomAlias', servlet: 'ClientDirectoryServer', method: 'PUT', base: 'client', versions, path: '/directory/room/:roomAlias',
  spec: `${anchor}put_matrixclientv3directoryroomroomalias`, auth: 'user', limit: 'none', role: 'generic', suspendedRefused: true,
  params: aliasParams, body: Type.Object({ room_id: RoomIdParam }), errors: ['M_INVALID_PARAM', 'M_MISSING_PARAM', 'M_NOT_FOUND', 'M_FORBIDDEN', 'M_UNKNOWN', 'M_BAD_JSON'],
  handler: async ({ directory }: Needs, { requester, params, body }) => {
    await directory.add(requester, params.roomAlias, body.room_id)
    return {}
  },
})

const getRoomIdByAlias = endpoint({
  id: 'getRoomIdByAlias', servlet: 'ClientDirectoryServer', method: 'GET', base: 'client', versions, path: '/directory/room/:roomAlias',
  spec: `${anchor}get_matrixclientv3directoryroomroomalias`, auth: 'none', limit: 'none', role: 'generic',
  params: aliasParams, errors: ['M_INVALID_PARAM', 'M_NOT_FOUND'],
  handler: async ({ directory }: Needs, { params }) => {
    const target = await directory.resolve(params.roomAlias)
    if (!target) throw refuse('M_NOT_FOUND', `The room alias ${params.roomAlias} does not exist.`)
    return { room_id: target.roomId, servers: target.servers }
  },
})

const deleteRoomAlias = endpoint({
  id: 'deleteRoomAlias', servlet: 'ClientDirectoryServer', method: 'DELETE', base: 'client', versions, path: '/directory/room/:roomAlias',
  spec: `${anchor}delete_matrixclientv3directoryroomroomalias`, auth: 'user', limit: 'none', role: 'generic', suspendedRefused: true,
  params: aliasParams, errors: ['M_INVALID_PARAM', 'M_NOT_FOUND', 'M_FORBIDDEN'],
  handler: async ({ directory }: Needs, { requester, params }) => {
    await directory.remove(requester, params.roomAlias)
    return {}
  },
})

const getLocalAliases = endpoint({
  id: 'getLocalAliases', servlet: 'RoomAliasListServlet', method: 'GET', base: 'client', versions: ['v3', 'r0', 'unstable/org.matrix.msc2432'],
  path: '/rooms/:roomId/aliases', spec: `${anchor}get_matrixclientv3roomsroomidaliases`, auth: 'guest', limit: 'none', role: 'generic',
  params: roomParams, errors: ['M_FORBIDDEN'],
  handler: async ({ directory }: Needs, { requester, params }) => ({ aliases: await directory.aliasesOf(requester, params.roomId) }),
})

const getVisibility = endpoint({
  id: 'getRoomVisibilityOnDirectory', servlet: 'ClientDirectoryListServer', method: 'GET', base: 'client', versions, path: '/directory/list/room/:roomId',
  spec: `${anchor}get_matrixclientv3directorylistroomroomid`, auth: 'none', limit: 'none', role: 'main', params: roomParams, errors: ['M_NOT_FOUND'],
  handler: async ({ directory }: Needs, { params }) => ({ visibility: (await directory.isPublished(params.roomId)) ? 'public' : 'private' }),
})

const setVisibility = endpoint({
  id: 'setRoomVisibilityOnDirectory', servlet: 'ClientDirectoryListServer', method: 'PUT', base: 'client', versions, path: '/directory/list/room/:roomId',
  spec: `${anchor}put_matrixclientv3directorylistroomroomid`, auth: 'user', limit: 'none', role: 'main', suspendedRefused: true,
  params: roomParams, body: Type.Object({ visibility: Type.Optional(visibility) }), errors: ['M_NOT_FOUND', 'M_FORBIDDEN', 'M_INVALID_PARAM', 'M_BAD_JSON'],
  handler: async ({ directory }: Needs, { requester, params, body }) => {
    await directory.setPublished(requester, params.roomId, body.visibility !== 'private')
    return {}
  },
})

const setNetworkVisibility = endpoint({
  id: 'updateAppserviceRoomDirectoryVisibility', servlet: 'ClientAppserviceDirectoryListServer', method: 'PUT', base: 'client', versions,
  path: '/directory/list/appservice/:networkId/:roomId',
  spec: 'https://spec.matrix.org/v1.19/application-service-api/#put_matrixclientv3directorylistappservicenetworkidroomid',
  auth: 'appservice', limit: 'none', role: 'main',
  params: Type.Object({ networkId: Type.String({ maxLength: 255 }), roomId: RoomIdParam }), body: Type.Object({ visibility }),
  errors: ['M_NOT_FOUND', 'M_FORBIDDEN', 'M_INVALID_PARAM', 'M_MISSING_PARAM', 'M_BAD_JSON'],
  handler: async ({ directory }: Needs, { requester, params, body }) => {
    await directory.setPublishedFor(requester.appserviceId ?? '', params.networkId, params.roomId, body.visibility === 'public')
    return {}
  },
})

const getPublicRooms = endpoint({
  id: 'getPublicRooms', servlet: 'PublicRoomListRestServlet', method: 'GET', base: 'client', versions, path: '/publicRooms',
  spec: `${anchor}get_matrixclientv3publicrooms`, auth: 'optional', limit: 'none', role: 'generic',
  query: Type.Object({ limit: Type.Optional(Type.Integer()), since: Type.Optional(Type.String()), server: Type.Optional(Type.String()) }),
  errors: ['M_MISSING_TOKEN', 'M_INVALID_PARAM', 'M_FORBIDDEN'],
  handler: async ({ publicRooms, directoryRules }: Needs, { requester, query: { limit, since, server } }) => {
    if (!requester && !directoryRules.allowPublicRoomsWithoutAuth) throw refuse('M_MISSING_TOKEN', 'Log in to see the rooms of this server.')
    return publicRooms.list(server, { limit, since, searchTerm: undefined, roomTypes: undefined, includeAllNetworks: false, network: undefined })
  },
})

const publicRoomsFilter = Type.Object({
  limit: Type.Optional(Type.Integer()),
  since: Type.Optional(Type.String()),
  filter: Type.Optional(Type.Object({
    generic_search_term: Type.Optional(Type.Union([Type.String(), Type.Null()])),
    room_types: Type.Optional(Type.Union([Type.Array(Type.Union([Type.String(), Type.Null()])), Type.Null()])),
  })),
  include_all_networks: Type.Optional(Type.Boolean()),
  third_party_instance_id: Type.Optional(Type.Union([Type.String(), Type.Null()])),
})

const queryPublicRooms = endpoint({
  id: 'queryPublicRooms', servlet: 'PublicRoomListRestServlet', method: 'POST', base: 'client', versions, path: '/publicRooms',
  spec: `${anchor}post_matrixclientv3publicrooms`, auth: 'guest', limit: 'none', role: 'generic',
  query: Type.Object({ server: Type.Optional(Type.String()) }),
  body: publicRoomsFilter,
  bodyKind: 'optional-json', errors: ['M_INVALID_PARAM', 'M_FORBIDDEN', 'M_BAD_JSON'],
  handler: async ({ publicRooms }: Needs, { query, body }) => publicRooms.list(query.server, queryOf(body)),
})

/** @throws M_INVALID_PARAM */
function queryOf(body: Static<typeof publicRoomsFilter>): PublicRoomsQuery {
  const { limit, since, filter, include_all_networks: includeAllNetworks = false, third_party_instance_id: network } = body
  if (includeAllNetworks && network) throw refuse('M_INVALID_PARAM', 'Give "include_all_networks" or "third_party_instance_id", not both.')
  return {
    limit, since, searchTerm: filter?.generic_search_term ?? undefined, roomTypes: filter?.room_types ?? undefined,
    includeAllNetworks, network: network ?? undefined,
  }
}

const serverAnchor = 'https://spec.matrix.org/v1.19/server-server-api/#'

const queryRoomAlias = endpoint({
  id: 'queryRoomDirectory', servlet: 'FederationQueryServlet', method: 'GET', base: 'federation', versions: ['v1'], path: '/query/directory',
  spec: `${serverAnchor}get_matrixfederationv1querydirectory`, auth: 'server', limit: 'none', role: 'generic',
  query: Type.Object({ room_alias: RoomAliasParam }), errors: ['M_NOT_FOUND', 'M_INVALID_PARAM', 'M_MISSING_PARAM', 'M_UNAUTHORIZED', 'M_FORBIDDEN'],
  handler: async ({ directory }: Needs, { query }) => {
    const target = await directory.resolveOwn(query.room_alias)
    if (!target) throw refuse('M_NOT_FOUND', `The room alias ${query.room_alias} does not exist on this server.`)
    return { room_id: target.roomId, servers: target.servers }
  },
})

const shownToServers = {
  servlet: 'PublicRoomList', base: 'federation', versions: ['v1'], path: '/publicRooms', auth: 'server', limit: 'none', role: 'generic',
  errors: ['M_FORBIDDEN', 'M_INVALID_PARAM', 'M_UNAUTHORIZED'],
} as const

/** The directory for another server. @throws M_FORBIDDEN where the operator does not show it */
async function listForServer({ publicRooms, directoryRules }: Needs, query: PublicRoomsQuery): Promise<object> {
  if (!directoryRules.allowPublicRoomsOverFederation) throw refuse('M_FORBIDDEN', 'This server does not show its directory of rooms to other servers.')
  return publicRooms.list(undefined, query)
}

const getPublicRoomsForServer = endpoint({
  ...shownToServers, id: 'getPublicRoomsOverFederation', method: 'GET', spec: `${serverAnchor}get_matrixfederationv1publicrooms`,
  query: Type.Object({
    limit: Type.Optional(Type.Integer()), since: Type.Optional(Type.String()), include_all_networks: Type.Optional(Type.Boolean()),
    third_party_instance_id: Type.Optional(Type.String()),
  }),
  handler: async (needs: Needs, { query }) => listForServer(needs, queryOf(query)),
})

const queryPublicRoomsForServer = endpoint({
  ...shownToServers, id: 'queryPublicRoomsOverFederation', method: 'POST', spec: `${serverAnchor}post_matrixfederationv1publicrooms`,
  body: publicRoomsFilter, bodyKind: 'optional-json', errors: [...shownToServers.errors, 'M_BAD_JSON'],
  handler: async (needs: Needs, { body }) => listForServer(needs, queryOf(body)),
})

export const directoryRoutes = [
  setRoomAlias, getRoomIdByAlias, deleteRoomAlias, getLocalAliases, getVisibility, setVisibility, setNetworkVisibility, getPublicRooms, queryPublicRooms,
  queryRoomAlias, getPublicRoomsForServer, queryPublicRoomsForServer,
]
