/** Endpoints of end-to-end encryption keys and cross-signing. */
import { Type } from 'typebox'
import { refuse } from '@myelin/protocol/errors.ts'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import { isObject, own, type JsonObject } from '@myelin/protocol/json/json.ts'
import { endpoint } from '#platform/http/endpoint.ts'
import { JsonText } from '#platform/http/reply.ts'
import type { Requester } from '#platform/http/requester.ts'
import { JsonObjectSchema, UserIdParam } from '#platform/http/schemas.ts'
import type { DeviceListPosition, DeviceLists } from './device-lists.ts'
import { readClaims, readQuery, type Keys } from './keys.ts'

/** Asks users to confirm who they are. */
export interface IdentityConfirmation {
  /**
   * Passes once the user has confirmed, and throws the 401 of interactive authentication before.
   * @returns the body of the request that was confirmed, without `auth`
   */
  confirm(requester: Requester, request: { readonly method: string; readonly url: string; readonly body: JsonObject; readonly ip: string }): Promise<JsonObject>
}

/** Reads tokens of `/sync`. @throws M_INVALID_PARAM for text that is no token */
export type DeviceListPositionReader = (token: string) => DeviceListPosition

interface Needs {
  readonly keys: Keys
}

interface ForServers extends Needs {
  readonly accounts: { isLocal(userId: UserId): boolean; get(userId: UserId): Promise<unknown> }
}

const shared = { base: 'client', versions: ['v3', 'r0', 'unstable'], limit: 'none' } as const
const spec = (anchor: string) => `https://spec.matrix.org/v1.19/client-server-api/#${anchor}`
const Timeout = Type.Optional(Type.Union([Type.Integer(), Type.Null()]))
const defaultTimeoutMs = 10_000

const uploadKeys = endpoint({
  ...shared,
  id: 'uploadKeys',
  servlet: 'KeyUploadServlet',
  method: 'POST',
  path: '/keys/upload',
  spec: spec('post_matrixclientv3keysupload'),
  auth: 'guest',
  role: 'device_lists',
  shard: 'userId',
  body: JsonObjectSchema,
  errors: ['M_BAD_JSON', 'M_INVALID_PARAM', 'M_INVALID_SIGNATURE', 'M_TOO_LARGE', 'M_UNKNOWN'],
  handler: async ({ keys }: Needs, { requester, body }) => ({ one_time_key_counts: await keys.upload(requester.userId, requester.deviceId, body) }),
})

const queryKeys = endpoint({
  ...shared,
  id: 'queryKeys',
  servlet: 'KeyQueryServlet',
  method: 'POST',
  path: '/keys/query',
  spec: spec('post_matrixclientv3keysquery'),
  auth: 'guest',
  role: 'generic',
  body: Type.Object({ device_keys: JsonObjectSchema, timeout: Timeout }),
  errors: ['M_BAD_JSON', 'M_MISSING_PARAM'],
  handler: async ({ keys }: Needs, { requester, body }) =>
    new JsonText(await keys.query({ requester: requester.userId, devices: readQuery(body.device_keys), timeoutMs: body.timeout ?? defaultTimeoutMs })),
})

const claimKeys = endpoint({
  ...shared,
  id: 'claimKeys',
  servlet: 'OneTimeKeyServlet',
  method: 'POST',
  path: '/keys/claim',
  spec: spec('post_matrixclientv3keysclaim'),
  auth: 'guest',
  role: 'generic',
  body: Type.Object({ one_time_keys: JsonObjectSchema, timeout: Timeout }),
  errors: ['M_BAD_JSON', 'M_MISSING_PARAM'],
  handler: async ({ keys }: Needs, { body }) => new JsonText(await keys.claim(readClaims(body.one_time_keys), body.timeout ?? defaultTimeoutMs)),
})

const keyChanges = endpoint({
  ...shared,
  id: 'getKeysChanges',
  servlet: 'KeyChangesServlet',
  method: 'GET',
  path: '/keys/changes',
  spec: spec('get_matrixclientv3keyschanges'),
  auth: 'user',
  role: 'generic',
  query: Type.Object({ from: Type.String(), to: Type.Optional(Type.String()) }),
  errors: ['M_MISSING_PARAM', 'M_INVALID_PARAM'],
  handler: async (
    { deviceLists, parseDeviceListPosition, eventsStream }: {
      deviceLists: DeviceLists
      parseDeviceListPosition: DeviceListPositionReader
      eventsStream: { readonly position: number }
    },
    { requester, query },
  ) => {
    const now = { deviceLists: deviceLists.stream.position, events: eventsStream.position }
    const to = query.to === undefined ? now : parseDeviceListPosition(query.to)
    return deviceLists.changesBetween(requester.userId, parseDeviceListPosition(query.from), to)
  },
})

const uploadCrossSigningKeys = endpoint({
  ...shared,
  id: 'uploadCrossSigningKeys',
  servlet: 'SigningKeyUploadServlet',
  method: 'POST',
  versions: ['v3', 'unstable'],
  path: '/keys/device_signing/upload',
  spec: spec('post_matrixclientv3keysdevice_signingupload'),
  auth: 'user',
  uia: true,
  role: 'device_lists',
  shard: 'userId',
  body: JsonObjectSchema,
  errors: ['M_BAD_JSON', 'M_INVALID_PARAM', 'M_INVALID_SIGNATURE', 'M_MISSING_PARAM', 'M_FORBIDDEN', 'M_TOO_LARGE'],
  handler: async ({ keys, crossSigningConfirmation }: Needs & { crossSigningConfirmation: IdentityConfirmation }, request) => {
    const { requester, body, method, url, ip } = request
    const mayPass = requester.appserviceId !== undefined || !(continuesSession(body) || (await keys.crossSigning.needsConfirmation(requester.userId, body)))
    const confirmed = mayPass ? body : await crossSigningConfirmation.confirm(requester, { method, url, body, ip })
    await keys.crossSigning.upload(requester.userId, confirmed)
    return {}
  },
})

/** Whether the body only completes an earlier request, which had the keys. */
function continuesSession(body: JsonObject): boolean {
  const auth = own(body, 'auth')
  return isObject(auth) && own(auth, 'session') !== undefined && !['master_key', 'self_signing_key', 'user_signing_key'].some((key) => Object.hasOwn(body, key))
}

const uploadSignatures = endpoint({
  ...shared,
  id: 'uploadCrossSigningSignatures',
  servlet: 'SignaturesUploadServlet',
  method: 'POST',
  path: '/keys/signatures/upload',
  spec: spec('post_matrixclientv3keyssignaturesupload'),
  auth: 'user',
  role: 'device_lists',
  shard: 'userId',
  body: JsonObjectSchema,
  errors: ['M_BAD_JSON', 'M_TOO_LARGE'],
  handler: async ({ keys }: Needs, { requester, body }) => ({ failures: await keys.crossSigning.uploadSignatures(requester.userId, body) }),
})

const ofServers = { base: 'federation', versions: ['v1'], auth: 'server', limit: 'none' } as const
const serverSpec = (anchor: string) => `https://spec.matrix.org/v1.19/server-server-api/#${anchor}`

const queryKeysForServer = endpoint({
  ...ofServers,
  id: 'queryUserKeys',
  servlet: 'FederationClientKeysQueryServlet',
  method: 'POST',
  path: '/user/keys/query',
  spec: serverSpec('post_matrixfederationv1userkeysquery'),
  role: 'generic',
  body: Type.Object({ device_keys: JsonObjectSchema }),
  errors: ['M_BAD_JSON', 'M_MISSING_PARAM', 'M_INVALID_PARAM', 'M_UNAUTHORIZED', 'M_FORBIDDEN'],
  handler: async ({ keys, accounts }: ForServers, { body }) => {
    const devices = readQuery(body.device_keys)
    assertOwn(accounts, devices.keys())
    return new JsonText(await keys.query({ requester: undefined, devices, timeoutMs: 0 }))
  },
})

const claimKeysForServer = endpoint({
  ...ofServers,
  id: 'claimUserEncryptionKeys',
  servlet: 'FederationClientKeysClaimServlet',
  method: 'POST',
  path: '/user/keys/claim',
  spec: serverSpec('post_matrixfederationv1userkeysclaim'),
  role: 'main',
  body: Type.Object({ one_time_keys: JsonObjectSchema }),
  errors: ['M_BAD_JSON', 'M_MISSING_PARAM', 'M_INVALID_PARAM', 'M_UNAUTHORIZED', 'M_FORBIDDEN'],
  handler: async ({ keys, accounts }: ForServers, { body }) => {
    const claims = readClaims(body.one_time_keys)
    assertOwn(accounts, claims.keys())
    return new JsonText(await keys.claim(claims, 0))
  },
})

const getDevicesForServer = endpoint({
  ...ofServers,
  id: 'getUserDevices',
  servlet: 'FederationUserDevicesQueryServlet',
  method: 'GET',
  path: '/user/devices/:userId',
  spec: serverSpec('get_matrixfederationv1userdevicesuserid'),
  role: 'generic',
  params: Type.Object({ userId: UserIdParam }),
  errors: ['M_INVALID_PARAM', 'M_NOT_FOUND', 'M_UNAUTHORIZED', 'M_FORBIDDEN'],
  handler: async ({ keys, accounts }: ForServers, { params }) => {
    assertOwn(accounts, [params.userId])
    if (!(await accounts.get(params.userId))) throw refuse('M_NOT_FOUND', `${params.userId} does not exist.`)
    return new JsonText(await keys.deviceListOf(params.userId))
  },
})

/** @throws M_INVALID_PARAM where another server's user is among them */
function assertOwn(accounts: ForServers['accounts'], userIds: Iterable<UserId>): void {
  for (const userId of userIds) if (!accounts.isLocal(userId)) throw refuse('M_INVALID_PARAM', `${userId} is not a user of this server.`)
}

export const keysRoutes = [uploadKeys, queryKeys, claimKeys, keyChanges, uploadCrossSigningKeys, uploadSignatures, queryKeysForServer, claimKeysForServer, getDevicesForServer]
