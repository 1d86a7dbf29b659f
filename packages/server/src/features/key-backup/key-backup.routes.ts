/** Endpoints of backups of room keys. */
import { Type } from 'typebox'
import { endpoint } from '#platform/http/endpoint.ts'
import { jsonParts, JsonText } from '#platform/http/reply.ts'
import { JsonObjectSchema } from '#platform/http/schemas.ts'
import { readRoom, readRooms, readSession, type KeyBackups } from './key-backup.ts'

interface Needs {
  readonly keyBackups: KeyBackups
}

const shared = { base: 'client', versions: ['v3', 'r0', 'unstable'], auth: 'user', limit: 'none', role: 'generic', shard: 'userId' } as const
const spec = (anchor: string) => `https://spec.matrix.org/v1.19/client-server-api/#${anchor}`
const versionBody = { algorithm: Type.String(), auth_data: Type.Union([JsonObjectSchema, Type.String()]) }
const inVersion = Type.Object({ version: Type.String() })
/** Clients back up their keys in batches of some hundred. */
const maxBodyBytes = 8 * 1024 * 1024

const createBackup = endpoint({
  ...shared,
  id: 'postRoomKeysVersion',
  method: 'POST',
  path: '/room_keys/version',
  spec: spec('post_matrixclientv3room_keysversion'),
  body: Type.Object(versionBody),
  errors: ['M_BAD_JSON', 'M_MISSING_PARAM', 'M_TOO_LARGE', 'M_RESOURCE_LIMIT_EXCEEDED'],
  handler: async ({ keyBackups }: Needs, { requester, body }) => ({ version: await keyBackups.create(requester.userId, body.algorithm, body.auth_data) }),
})

const getLatestBackup = endpoint({
  ...shared,
  id: 'getRoomKeysVersionCurrent',
  method: 'GET',
  path: '/room_keys/version',
  spec: spec('get_matrixclientv3room_keysversion'),
  errors: ['M_NOT_FOUND'],
  handler: async ({ keyBackups }: Needs, { requester }) => new JsonText(await keyBackups.info(requester.userId)),
})

const getBackup = endpoint({
  ...shared,
  id: 'getRoomKeysVersion',
  method: 'GET',
  path: '/room_keys/version/:version',
  spec: spec('get_matrixclientv3room_keysversionversion'),
  errors: ['M_NOT_FOUND'],
  handler: async ({ keyBackups }: Needs, { requester, params }) => new JsonText(await keyBackups.info(requester.userId, params.version)),
})

const updateBackup = endpoint({
  ...shared,
  id: 'putRoomKeysVersion',
  method: 'PUT',
  path: '/room_keys/version/:version',
  spec: spec('put_matrixclientv3room_keysversionversion'),
  body: Type.Object({ ...versionBody, version: Type.Optional(Type.Union([Type.String(), Type.Integer()])) }),
  errors: ['M_NOT_FOUND', 'M_INVALID_PARAM', 'M_BAD_JSON', 'M_MISSING_PARAM', 'M_TOO_LARGE'],
  handler: async ({ keyBackups }: Needs, { requester, params, body }) => {
    await keyBackups.update(requester.userId, params.version, { algorithm: body.algorithm, authData: body.auth_data, version: body.version === undefined ? undefined : String(body.version) })
    return {}
  },
})

const deleteBackup = endpoint({
  ...shared,
  id: 'deleteRoomKeysVersion',
  method: 'DELETE',
  path: '/room_keys/version/:version',
  spec: spec('delete_matrixclientv3room_keysversionversion'),
  errors: ['M_NOT_FOUND'],
  handler: async ({ keyBackups }: Needs, { requester, params }) => {
    await keyBackups.delete(requester.userId, params.version)
    return {}
  },
})

const putKeys = endpoint({
  ...shared,
  id: 'putRoomKeys',
  method: 'PUT',
  path: '/room_keys/keys',
  spec: spec('put_matrixclientv3room_keyskeys'),
  query: inVersion,
  body: JsonObjectSchema,
  maxBodyBytes,
  errors: ['M_WRONG_ROOM_KEYS_VERSION', 'M_NOT_FOUND', 'M_BAD_JSON', 'M_MISSING_PARAM', 'M_TOO_LARGE'],
  handler: ({ keyBackups }: Needs, { requester, query, body }) => keyBackups.putKeys(requester.userId, query.version, readRooms(body)),
})

const putRoomKeys = endpoint({
  ...shared,
  id: 'putRoomKeysByRoomId',
  method: 'PUT',
  path: '/room_keys/keys/:roomId',
  spec: spec('put_matrixclientv3room_keyskeysroomid'),
  query: inVersion,
  body: JsonObjectSchema,
  maxBodyBytes,
  errors: ['M_WRONG_ROOM_KEYS_VERSION', 'M_NOT_FOUND', 'M_BAD_JSON', 'M_MISSING_PARAM', 'M_TOO_LARGE'],
  handler: ({ keyBackups }: Needs, { requester, query, params, body }) =>
    keyBackups.putKeys(requester.userId, query.version, readRoom(params.roomId, body)),
})

const putSessionKey = endpoint({
  ...shared,
  id: 'putRoomKeyBySessionId',
  method: 'PUT',
  path: '/room_keys/keys/:roomId/:sessionId',
  spec: spec('put_matrixclientv3room_keyskeysroomidsessionid'),
  query: inVersion,
  body: JsonObjectSchema,
  errors: ['M_WRONG_ROOM_KEYS_VERSION', 'M_NOT_FOUND', 'M_BAD_JSON', 'M_MISSING_PARAM', 'M_TOO_LARGE'],
  handler: ({ keyBackups }: Needs, { requester, query, params, body }) =>
    keyBackups.putKeys(requester.userId, query.version, [readSession(params.roomId, params.sessionId, body)]),
})

const getKeys = endpoint({
  ...shared,
  id: 'getRoomKeys',
  method: 'GET',
  path: '/room_keys/keys',
  spec: spec('get_matrixclientv3room_keyskeys'),
  query: inVersion,
  errors: ['M_NOT_FOUND', 'M_MISSING_PARAM'],
  handler: async ({ keyBackups }: Needs, { requester, query }) => jsonParts(await keyBackups.keys(requester.userId, query.version)),
})

const getRoomKeys = endpoint({
  ...shared,
  id: 'getRoomKeysByRoomId',
  method: 'GET',
  path: '/room_keys/keys/:roomId',
  spec: spec('get_matrixclientv3room_keyskeysroomid'),
  query: inVersion,
  errors: ['M_NOT_FOUND', 'M_MISSING_PARAM'],
  handler: async ({ keyBackups }: Needs, { requester, query, params }) =>
    jsonParts(await keyBackups.keys(requester.userId, query.version, params.roomId)),
})

const getSessionKey = endpoint({
  ...shared,
  id: 'getRoomKeyBySessionId',
  method: 'GET',
  path: '/room_keys/keys/:roomId/:sessionId',
  spec: spec('get_matrixclientv3room_keyskeysroomidsessionid'),
  query: inVersion,
  errors: ['M_NOT_FOUND', 'M_MISSING_PARAM'],
  handler: async ({ keyBackups }: Needs, { requester, query, params }) => new JsonText(await keyBackups.key(requester.userId, query.version, params)),
})

const deleteKeys = endpoint({
  ...shared,
  id: 'deleteRoomKeys',
  method: 'DELETE',
  path: '/room_keys/keys',
  spec: spec('delete_matrixclientv3room_keyskeys'),
  query: inVersion,
  errors: ['M_NOT_FOUND', 'M_MISSING_PARAM'],
  handler: ({ keyBackups }: Needs, { requester, query }) => keyBackups.deleteKeys(requester.userId, query.version, {}),
})

const deleteRoomKeys = endpoint({
  ...shared,
  id: 'deleteRoomKeysByRoomId',
  method: 'DELETE',
  path: '/room_keys/keys/:roomId',
  spec: spec('delete_matrixclientv3room_keyskeysroomid'),
  query: inVersion,
  errors: ['M_NOT_FOUND', 'M_MISSING_PARAM'],
  handler: ({ keyBackups }: Needs, { requester, query, params }) =>
    keyBackups.deleteKeys(requester.userId, query.version, { roomId: params.roomId }),
})

const deleteSessionKey = endpoint({
  ...shared,
  id: 'deleteRoomKeyBySessionId',
  method: 'DELETE',
  path: '/room_keys/keys/:roomId/:sessionId',
  spec: spec('delete_matrixclientv3room_keyskeysroomidsessionid'),
  query: inVersion,
  errors: ['M_NOT_FOUND', 'M_MISSING_PARAM'],
  handler: ({ keyBackups }: Needs, { requester, query, params }) => keyBackups.deleteKeys(requester.userId, query.version, params),
})

export const keyBackupRoutes = [
  createBackup, getLatestBackup, getBackup, updateBackup, deleteBackup,
  putKeys, putRoomKeys, putSessionKey, getKeys, getRoomKeys, getSessionKey, deleteKeys, deleteRoomKeys, deleteSessionKey,
]
