/** Endpoints that find users and what one shares with them. */
import { Type } from 'typebox'
import type { Memberships } from '#engine/memberships.ts'
import { endpoint } from '#platform/http/endpoint.ts'
import { mutualRooms } from './mutual-rooms.ts'
import type { UserDirectory } from './user-directory.ts'

const anchor = 'https://spec.matrix.org/v1.19/client-server-api/#'

const searchUserDirectory = endpoint({
  id: 'searchUserDirectory', servlet: 'UserDirectorySearchRestServlet', method: 'POST', base: 'client', versions: ['v3', 'r0', 'unstable'],
  path: '/user_directory/search', spec: `${anchor}post_matrixclientv3user_directorysearch`, auth: 'user', limit: { rc: 'rc_user_directory', by: 'user' },
  role: 'user_dir', body: Type.Object({ search_term: Type.String(), limit: Type.Optional(Type.Integer()) }),
  errors: ['M_MISSING_PARAM', 'M_LIMIT_EXCEEDED', 'M_BAD_JSON'],
  handler: ({ userDirectory }: { userDirectory: UserDirectory }, { requester, body }) =>
    userDirectory.search(requester.userId, body.search_term, body.limit ?? 10),
})

const shared = {
  servlet: 'UserMutualRoomsServlet', method: 'GET', base: 'client', spec: `${anchor}get_matrixclientv1mutual_rooms`, auth: 'user', limit: 'none', role: 'main',
  query: Type.Object({ user_id: Type.String(), from: Type.Optional(Type.String()) }), errors: ['M_MISSING_PARAM', 'M_INVALID_PARAM'],
} as const

const getMutualRooms = endpoint({
  ...shared, id: 'getMutualRooms', versions: ['v1', 'unstable'], path: '/mutual_rooms',
  handler: ({ memberships }: { memberships: Memberships }, { requester, query }) => mutualRooms(memberships, requester.userId, query.user_id, query.from),
})

const getMutualRoomsUnstable = endpoint({
  ...shared, id: 'getMutualRoomsUnstable', versions: ['unstable/uk.half-shot.msc2666'], path: '/user/mutual_rooms',
  handler: ({ memberships }: { memberships: Memberships }, { requester, query }) => mutualRooms(memberships, requester.userId, query.user_id, query.from),
})

export const userDirectoryRoutes = [searchUserDirectory, getMutualRooms, getMutualRoomsUnstable]
