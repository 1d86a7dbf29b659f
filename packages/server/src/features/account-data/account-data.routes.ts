/** Endpoints of account data and tags. */
import { Type } from 'typebox'
import { refuse } from '@myelin/protocol/errors.ts'
import { isRoomId } from '@myelin/protocol/ids/room-id.ts'
import type { RoomId, UserId } from '@myelin/protocol/ids/ids.ts'
import { endpoint } from '#platform/http/endpoint.ts'
import { JsonText } from '#platform/http/reply.ts'
import { JsonObjectSchema } from '#platform/http/schemas.ts'
import { accountScope, assertOwn, type AccountData } from './account-data.ts'
import type { Tags } from './tags.ts'

type Needs = { accountData: AccountData }
type TagsNeeds = { tags: Tags }

const shared = {
  base: 'client', versions: ['v3', 'r0', 'unstable'], auth: 'user', limit: 'none', role: 'account_data', shard: 'userId',
} as const
const spec = 'https://spec.matrix.org/v1.19/client-server-api/#'
const ownUser = Type.Unsafe<UserId>(Type.String())

/** @throws M_INVALID_PARAM */
function roomIdOf(text: string): RoomId {
  if (!isRoomId(text)) throw refuse('M_INVALID_PARAM', 'That is not a valid room id; it begins with an exclamation mark.')
  return text
}

const setAccountData = endpoint({
  ...shared, id: 'setAccountData', servlet: 'AccountDataServlet', method: 'PUT', path: '/user/:userId/account_data/:type',
  spec: `${spec}put_matrixclientv3useruseridaccount_datatype`,
  params: Type.Object({ userId: ownUser, type: Type.String() }),
  body: JsonObjectSchema,
  errors: ['M_FORBIDDEN', 'M_BAD_JSON', 'M_NOT_JSON', 'M_INVALID_PARAM', 'M_TOO_LARGE'],
  handler: async ({ accountData }: Needs, { requester, params, body }) => {
    assertOwn(requester, params.userId, 'account data')
    await accountData.put(requester.userId, accountScope, params.type, body)
    return {}
  },
})

const getAccountData = endpoint({
  ...shared, id: 'getAccountData', servlet: 'AccountDataServlet', method: 'GET', path: '/user/:userId/account_data/:type',
  spec: `${spec}get_matrixclientv3useruseridaccount_datatype`,
  params: Type.Object({ userId: ownUser, type: Type.String() }),
  errors: ['M_FORBIDDEN', 'M_NOT_FOUND'],
  handler: async ({ accountData }: Needs, { requester, params }) => {
    assertOwn(requester, params.userId, 'account data')
    return new JsonText(await accountData.require(requester.userId, accountScope, params.type))
  },
})

const setAccountDataPerRoom = endpoint({
  ...shared, id: 'setAccountDataPerRoom', servlet: 'RoomAccountDataServlet', method: 'PUT', path: '/user/:userId/rooms/:roomId/account_data/:type',
  spec: `${spec}put_matrixclientv3useruseridroomsroomidaccount_datatype`,
  params: Type.Object({ userId: ownUser, roomId: Type.String(), type: Type.String() }),
  body: JsonObjectSchema,
  errors: ['M_FORBIDDEN', 'M_BAD_JSON', 'M_NOT_JSON', 'M_INVALID_PARAM', 'M_TOO_LARGE'],
  handler: async ({ accountData }: Needs, { requester, params, body }) => {
    assertOwn(requester, params.userId, 'account data')
    await accountData.put(requester.userId, roomIdOf(params.roomId), params.type, body)
    return {}
  },
})

const getAccountDataPerRoom = endpoint({
  ...shared, id: 'getAccountDataPerRoom', servlet: 'RoomAccountDataServlet', method: 'GET', path: '/user/:userId/rooms/:roomId/account_data/:type',
  spec: `${spec}get_matrixclientv3useruseridroomsroomidaccount_datatype`,
  params: Type.Object({ userId: ownUser, roomId: Type.String(), type: Type.String() }),
  errors: ['M_FORBIDDEN', 'M_NOT_FOUND', 'M_INVALID_PARAM'],
  handler: async ({ accountData }: Needs, { requester, params }) => {
    assertOwn(requester, params.userId, 'account data')
    return new JsonText(await accountData.require(requester.userId, roomIdOf(params.roomId), params.type))
  },
})

const deleteShared = {
  ...shared, versions: ['unstable/org.matrix.msc3391'], method: 'DELETE', spec: 'https://github.com/matrix-org/matrix-spec-proposals/pull/3391',
} as const

const deleteAccountData = endpoint({
  ...deleteShared, id: 'deleteAccountData', servlet: 'UnstableAccountDataServlet', path: '/user/:userId/account_data/:type',
  params: Type.Object({ userId: ownUser, type: Type.String() }), errors: ['M_UNRECOGNIZED', 'M_FORBIDDEN', 'M_BAD_JSON'],
  handler: async ({ accountData }: Needs, { requester, params }) => {
    assertOwn(requester, params.userId, 'account data')
    await accountData.delete(requester.userId, accountScope, params.type)
    return {}
  },
})

const deleteAccountDataPerRoom = endpoint({
  ...deleteShared, id: 'deleteAccountDataPerRoom', servlet: 'UnstableRoomAccountDataServlet', path: '/user/:userId/rooms/:roomId/account_data/:type',
  params: Type.Object({ userId: ownUser, roomId: Type.String(), type: Type.String() }), errors: ['M_UNRECOGNIZED', 'M_FORBIDDEN', 'M_INVALID_PARAM', 'M_BAD_JSON'],
  handler: async ({ accountData }: Needs, { requester, params }) => {
    assertOwn(requester, params.userId, 'account data')
    await accountData.delete(requester.userId, roomIdOf(params.roomId), params.type)
    return {}
  },
})

const getRoomTags = endpoint({
  ...shared, id: 'getRoomTags', servlet: 'TagListServlet', method: 'GET', path: '/user/:userId/rooms/:roomId/tags',
  spec: `${spec}get_matrixclientv3useruseridroomsroomidtags`,
  params: Type.Object({ userId: ownUser, roomId: Type.String() }),
  errors: ['M_FORBIDDEN', 'M_INVALID_PARAM'],
  handler: async ({ tags }: TagsNeeds, { requester, params }) => {
    assertOwn(requester, params.userId, 'tags')
    return { tags: await tags.of(requester.userId, roomIdOf(params.roomId)) }
  },
})

const setRoomTag = endpoint({
  ...shared, id: 'setRoomTag', servlet: 'TagServlet', method: 'PUT', path: '/user/:userId/rooms/:roomId/tags/:tag',
  spec: `${spec}put_matrixclientv3useruseridroomsroomidtagstag`,
  params: Type.Object({ userId: ownUser, roomId: Type.String(), tag: Type.String() }),
  body: Type.Intersect([JsonObjectSchema, Type.Object({ order: Type.Optional(Type.Number()) })]),
  errors: ['M_FORBIDDEN', 'M_BAD_JSON', 'M_NOT_JSON', 'M_INVALID_PARAM', 'M_TOO_LARGE'],
  handler: async ({ tags }: TagsNeeds, { requester, params, body }) => {
    assertOwn(requester, params.userId, 'tags')
    await tags.put(requester.userId, roomIdOf(params.roomId), params.tag, body)
    return {}
  },
})

const deleteRoomTag = endpoint({
  ...shared, id: 'deleteRoomTag', servlet: 'TagServlet', method: 'DELETE', path: '/user/:userId/rooms/:roomId/tags/:tag',
  spec: `${spec}delete_matrixclientv3useruseridroomsroomidtagstag`,
  params: Type.Object({ userId: ownUser, roomId: Type.String(), tag: Type.String() }),
  errors: ['M_FORBIDDEN', 'M_INVALID_PARAM'],
  handler: async ({ tags }: TagsNeeds, { requester, params }) => {
    assertOwn(requester, params.userId, 'tags')
    await tags.delete(requester.userId, roomIdOf(params.roomId), params.tag)
    return {}
  },
})

export const accountDataRoutes = [
  setAccountData, getAccountData, setAccountDataPerRoom, getAccountDataPerRoom, deleteAccountData, deleteAccountDataPerRoom, getRoomTags, setRoomTag, deleteRoomTag,
]
