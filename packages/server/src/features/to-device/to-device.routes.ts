/** The endpoint that sends messages to devices. */
import { Type } from 'typebox'
import { endpoint } from '#platform/http/endpoint.ts'
import { JsonObjectSchema } from '#platform/http/schemas.ts'
import { readMessages, type ToDevice } from './to-device.ts'

const sendToDevice = endpoint({
  id: 'sendToDevice',
  servlet: 'SendToDeviceRestServlet',
  method: 'PUT',
  base: 'client',
  versions: ['v3', 'r0', 'unstable'],
  path: '/sendToDevice/:eventType/:txnId',
  spec: 'https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3sendtodeviceeventtypetxnid',
  auth: 'guest',
  limit: 'none',
  role: 'to_device',
  body: Type.Object({ messages: JsonObjectSchema }),
  errors: ['M_BAD_JSON', 'M_MISSING_PARAM', 'M_INVALID_PARAM'],
  handler: async ({ toDevice }: { toDevice: ToDevice }, { requester, params, body }) => {
    await toDevice.send(requester, params.eventType, params.txnId, readMessages(body.messages))
    return {}
  },
})

export const toDeviceRoutes = [sendToDevice]
