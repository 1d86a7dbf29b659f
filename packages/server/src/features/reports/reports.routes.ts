/** Endpoints by which users report content. */
import { Type } from 'typebox'
import { endpoint } from '#platform/http/endpoint.ts'
import { UserIdParam } from '#platform/http/schemas.ts'
import type { Reports } from './reports.ts'

type Needs = { reports: Reports }

const shared = { method: 'POST', base: 'client', auth: 'user', limit: { rc: 'rc_reports', by: 'user' }, role: 'generic' } as const
const spec = 'https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3'
const withReason = Type.Object({ reason: Type.String() })

const reportRoom = endpoint({
  ...shared, id: 'reportRoom', servlet: 'ReportRoomRestServlet', versions: ['v3', 'unstable/org.matrix.msc4151'], path: '/rooms/:roomId/report',
  spec: `${spec}roomsroomidreport`,
  body: withReason,
  errors: ['M_NOT_FOUND', 'M_MISSING_PARAM', 'M_BAD_JSON', 'M_NOT_JSON', 'M_TOO_LARGE', 'M_LIMIT_EXCEEDED'],
  handler: async ({ reports }: Needs, { requester, params, body }) => {
    await reports.reportRoom(requester.userId, params.roomId, body.reason)
    return {}
  },
})

const reportEvent = endpoint({
  ...shared, id: 'reportEvent', servlet: 'ReportEventRestServlet', versions: ['v3', 'r0', 'unstable'], path: '/rooms/:roomId/report/:eventId',
  spec: `${spec}roomsroomidreporteventid`,
  body: Type.Object({ reason: Type.Optional(Type.String()), score: Type.Optional(Type.Integer({ minimum: -1_000_000, maximum: 1_000_000 })) }),
  bodyKind: 'optional-json',
  errors: ['M_NOT_FOUND', 'M_BAD_JSON', 'M_NOT_JSON', 'M_TOO_LARGE', 'M_LIMIT_EXCEEDED'],
  handler: async ({ reports }: Needs, { requester, params, body }) => {
    await reports.reportEvent(requester.userId, params.roomId, params.eventId, body.reason, body.score)
    return {}
  },
})

const reportUser = endpoint({
  ...shared, id: 'reportUser', servlet: 'ReportUserRestServlet', versions: ['v3', 'unstable/org.matrix.msc4260'], path: '/users/:userId/report',
  spec: `${spec}usersuseridreport`,
  params: Type.Object({ userId: UserIdParam }),
  body: withReason,
  errors: ['M_INVALID_PARAM', 'M_MISSING_PARAM', 'M_BAD_JSON', 'M_NOT_JSON', 'M_TOO_LARGE', 'M_LIMIT_EXCEEDED'],
  handler: async ({ reports }: Needs, { requester, params, body }) => {
    await reports.reportUser(requester.userId, params.userId, body.reason)
    return {}
  },
})

export const reportsRoutes = [reportRoom, reportEvent, reportUser]
