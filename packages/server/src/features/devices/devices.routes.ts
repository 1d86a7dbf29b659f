/** Endpoints of devices. */
import { Type } from 'typebox'
import { refuse } from '@myelin/protocol/errors.ts'
import type { Database } from '#platform/db/database.ts'
import { endpoint } from '#platform/http/endpoint.ts'
import type { Requester } from '#platform/http/requester.ts'
import { confirmationFlows, type Uia, type UiaRequest } from '#features/uia/uia.ts'
import type { Device, Devices } from './devices.ts'

type Needs = { readonly devices: Devices; readonly uia: Uia; readonly database: Database; readonly accounts: { exists(userId: string): Promise<boolean> } }

const versions = ['v3', 'r0', 'unstable'] as const

function deviceBody({ userId, deviceId, displayName, lastSeenIp, lastSeenTs }: Device) {
  return {
    device_id: deviceId,
    user_id: userId,
    ...(displayName === undefined ? {} : { display_name: displayName }),
    ...(lastSeenIp === undefined ? {} : { last_seen_ip: lastSeenIp }),
    ...(lastSeenTs === undefined ? {} : { last_seen_ts: lastSeenTs }),
  }
}

/** Deletes devices once their user has confirmed it; application services need not. */
async function deleteConfirmed({ devices, uia }: Needs, request: UiaRequest, requester: Requester, deviceIds: readonly string[]): Promise<object> {
  if (requester.appserviceId === undefined) {
    const operation = { id: 'deleteDevices', description: 'remove devices from your account', maySkip: true } as const
    await uia.authenticate({ request, requester, operation, flows: confirmationFlows })
  }
  await devices.remove(requester.userId, deviceIds)
  return {}
}

const list = endpoint({
  id: 'getDevices',
  servlet: 'DevicesRestServlet',
  method: 'GET', base: 'client', path: '/devices', versions,
  spec: 'client-server-api/#get_matrixclientv3devices',
  auth: 'guest', limit: 'none', role: 'generic', errors: [],
  handler: async ({ devices }: Needs, { requester }) => ({ devices: (await devices.list(requester.userId)).map(deviceBody) }),
})

const get = endpoint({
  id: 'getDevice',
  servlet: 'DeviceRestServlet',
  method: 'GET', base: 'client', path: '/devices/:deviceId', versions,
  spec: 'client-server-api/#get_matrixclientv3devicesdeviceid',
  auth: 'guest', limit: 'none', role: 'generic', errors: ['M_NOT_FOUND'],
  handler: async ({ devices }: Needs, { requester, params }) => deviceBody(await devices.require(requester.userId, params.deviceId)),
})

const rename = endpoint({
  id: 'updateDevice',
  servlet: 'DeviceRestServlet',
  method: 'PUT', base: 'client', path: '/devices/:deviceId', versions,
  spec: 'client-server-api/#put_matrixclientv3devicesdeviceid',
  auth: 'guest', limit: 'none', role: 'generic', errors: ['M_NOT_FOUND', 'M_INVALID_PARAM', 'M_BAD_JSON'],
  body: Type.Object({ display_name: Type.Optional(Type.Union([Type.String(), Type.Null()])) }),
  handler: async ({ devices }: Needs, { requester, params, body }) => {
    await devices.rename(requester.userId, params.deviceId, body.display_name ?? undefined)
    return {}
  },
})

const remove = endpoint({
  id: 'deleteDevice',
  servlet: 'DeviceRestServlet',
  method: 'DELETE', base: 'client', path: '/devices/:deviceId', versions,
  spec: 'client-server-api/#delete_matrixclientv3devicesdeviceid',
  auth: 'user', uia: true, limit: 'none', role: 'generic', bodyKind: 'optional-json', errors: ['M_FORBIDDEN', 'M_LIMIT_EXCEEDED', 'M_GUEST_ACCESS_FORBIDDEN'],
  handler: (needs: Needs, request) => deleteConfirmed(needs, request, request.requester, [request.params.deviceId]),
})

const removeMany = endpoint({
  id: 'deleteDevices',
  servlet: 'DeleteDevicesRestServlet',
  method: 'POST', base: 'client', path: '/delete_devices', versions,
  spec: 'client-server-api/#post_matrixclientv3delete_devices',
  auth: 'user', uia: true, limit: 'none', role: 'generic',
  errors: ['M_MISSING_PARAM', 'M_BAD_JSON', 'M_FORBIDDEN', 'M_LIMIT_EXCEEDED', 'M_GUEST_ACCESS_FORBIDDEN'],
  body: Type.Object({ devices: Type.Array(Type.String(), { maxItems: 10_000 }) }),
  handler: (needs: Needs, request) => deleteConfirmed(needs, request, request.requester, request.body.devices),
})

const whois = endpoint({
  id: 'getWhoIs',
  servlet: 'WhoisRestServlet',
  method: 'GET', base: 'client', path: '/admin/whois/:userId', versions: ['v3', 'r0', 'api/v1', 'unstable'],
  spec: 'client-server-api/#get_matrixclientv3adminwhoisuserid',
  auth: 'user', limit: 'none', role: 'main', errors: ['M_FORBIDDEN', 'M_NOT_FOUND', 'M_GUEST_ACCESS_FORBIDDEN'],
  handler: async ({ devices, accounts }: Needs, { requester, params }) => {
    if (!requester.isAdmin && requester.userId !== params.userId) throw refuse('M_FORBIDDEN', 'You are not a server administrator.')
    if (!(await accounts.exists(params.userId))) throw refuse('M_NOT_FOUND', 'There is no such user on this server.')
    return whoisBody(devices, params.userId)
  },
})

const adminWhois = endpoint({
  id: 'adminWhois',
  method: 'GET', base: 'admin', path: '/whois/:userId', versions: ['v1'],
  spec: 'admin_api/user_admin_api.html#query-current-sessions-for-a-user',
  auth: 'admin', limit: 'none', role: 'main', errors: ['M_FORBIDDEN', 'M_NOT_FOUND'],
  handler: async ({ devices, accounts }: Needs, { params }) => {
    if (!(await accounts.exists(params.userId))) throw refuse('M_NOT_FOUND', 'There is no such user on this server.')
    return whoisBody(devices, params.userId)
  },
})

async function whoisBody(devices: Devices, userId: string): Promise<object> {
  const sightings = await devices.sightings(userId)
  const connections = sightings.map((row) => ({ ip: row.ip, last_seen: row.last_seen_ts, user_agent: row.user_agent }))
  return { user_id: userId, devices: { '': { sessions: [{ connections }] } } }
}

export const devicesEndpoints = [list, get, rename, remove, removeMany, whois, adminWhois] as const
