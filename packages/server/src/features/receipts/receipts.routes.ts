/** Endpoints of receipts and read markers. */
import { Type } from 'typebox'
import { endpoint } from '#platform/http/endpoint.ts'
import type { Requester } from '#platform/http/requester.ts'
import type { Receipts } from './receipts.ts'

/** Told that a user did something. */
export interface Activity {
  active(userId: string, deviceId: string | undefined): void
}

type Needs = { receipts: Receipts; presence: Activity }

const shared = { base: 'client', versions: ['v3', 'r0', 'unstable'], auth: 'user', limit: 'none', role: 'receipts', shard: 'roomId' } as const
const markerTypes = ['m.fully_read', 'm.read', 'm.read.private'] as const

function bumped({ presence }: Needs, requester: Requester): object {
  presence.active(requester.userId, requester.deviceId)
  return {}
}

const postReceipt = endpoint({
  ...shared, id: 'postReceipt', servlet: 'ReceiptRestServlet', method: 'POST', path: '/rooms/:roomId/receipt/:receiptType/:eventId',
  spec: 'https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidreceiptreceipttypeeventid',
  params: Type.Object({ roomId: Type.String(), receiptType: Type.Enum(['m.read', 'm.read.private', 'm.fully_read']), eventId: Type.String() }),
  bodyKind: 'optional-json',
  errors: ['M_FORBIDDEN', 'M_NOT_FOUND', 'M_INVALID_PARAM', 'M_NOT_JSON', 'M_BAD_JSON'],
  handler: async (needs: Needs, { requester, params, body }) => {
    const threadId = Object.hasOwn(body, 'thread_id') ? body['thread_id'] : undefined
    await needs.receipts.send(requester.userId, params.roomId, params.receiptType, params.eventId, threadId)
    return bumped(needs, requester)
  },
})

const setReadMarker = endpoint({
  ...shared, id: 'setReadMarker', servlet: 'ReadMarkerRestServlet', method: 'POST', path: '/rooms/:roomId/read_markers',
  spec: 'https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidread_markers',
  body: Type.Object({
    'm.fully_read': Type.Optional(Type.String()), 'm.read': Type.Optional(Type.String()), 'm.read.private': Type.Optional(Type.String()),
  }),
  errors: ['M_FORBIDDEN', 'M_NOT_FOUND', 'M_NOT_JSON', 'M_BAD_JSON'],
  handler: async (needs: Needs, { requester, params, body }) => {
    const markers = new Map<string, string>()
    for (const type of markerTypes) {
      const eventId = body[type]
      if (eventId !== undefined) markers.set(type, eventId)
    }
    await needs.receipts.sendMarkers(requester.userId, params.roomId, markers)
    return bumped(needs, requester)
  },
})

export const receiptsRoutes = [postReceipt, setReadMarker]
