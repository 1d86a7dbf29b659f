/** Endpoints of dehydrated devices. */
import { Type } from 'typebox'
import { endpoint } from '#platform/http/endpoint.ts'
import { JsonText } from '#platform/http/reply.ts'
import { JsonObjectSchema } from '#platform/http/schemas.ts'
import type { DehydratedDevices } from './dehydrated-devices.ts'

interface Needs {
  readonly dehydratedDevices: DehydratedDevices
}

const shared = {
  base: 'client',
  versions: ['unstable/org.matrix.msc3814.v1'],
  auth: 'user',
  limit: 'none',
  role: 'main',
  spec: 'https://github.com/matrix-org/matrix-spec-proposals/pull/3814',
} as const

const putDevice = endpoint({
  ...shared,
  id: 'putDehydratedDevice',
  method: 'PUT',
  path: '/dehydrated_device',
  body: JsonObjectSchema,
  errors: ['M_UNRECOGNIZED', 'M_MISSING_PARAM', 'M_BAD_JSON', 'M_INVALID_PARAM', 'M_INVALID_SIGNATURE', 'M_TOO_LARGE'],
  handler: async ({ dehydratedDevices }: Needs, { requester, body }) => ({ device_id: await dehydratedDevices.put(requester.userId, body) }),
})

const getDevice = endpoint({
  ...shared,
  id: 'getDehydratedDevice',
  method: 'GET',
  path: '/dehydrated_device',
  errors: ['M_UNRECOGNIZED', 'M_NOT_FOUND'],
  handler: async ({ dehydratedDevices }: Needs, { requester }) => new JsonText(await dehydratedDevices.get(requester.userId)),
})

const deleteDevice = endpoint({
  ...shared,
  id: 'deleteDehydratedDevice',
  method: 'DELETE',
  path: '/dehydrated_device',
  errors: ['M_UNRECOGNIZED', 'M_NOT_FOUND'],
  handler: async ({ dehydratedDevices }: Needs, { requester }) => ({ device_id: await dehydratedDevices.delete(requester.userId) }),
})

const postEvents = endpoint({
  ...shared,
  id: 'postDehydratedDeviceEvents',
  method: 'POST',
  path: '/dehydrated_device/:deviceId/events',
  body: Type.Object({ next_batch: Type.Optional(Type.String()) }),
  bodyKind: 'optional-json',
  errors: ['M_UNRECOGNIZED', 'M_FORBIDDEN', 'M_INVALID_PARAM'],
  handler: async ({ dehydratedDevices }: Needs, { requester, params, body }) =>
    new JsonText(await dehydratedDevices.events(requester.userId, params.deviceId, body.next_batch)),
})

const getEvents = endpoint({
  ...shared,
  id: 'getDehydratedDeviceEvents',
  method: 'GET',
  path: '/dehydrated_device/:deviceId/events',
  query: Type.Object({ next_batch: Type.Optional(Type.String()) }),
  errors: ['M_UNRECOGNIZED', 'M_FORBIDDEN', 'M_INVALID_PARAM'],
  handler: async ({ dehydratedDevices }: Needs, { requester, params, query }) =>
    new JsonText(await dehydratedDevices.events(requester.userId, params.deviceId, query.next_batch)),
})

export const dehydratedDevicesRoutes = [putDevice, getDevice, deleteDevice, postEvents, getEvents]
