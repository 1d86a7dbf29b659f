/** The endpoint that lists notifications. */
import { Type } from 'typebox'
import { endpoint } from '#platform/http/endpoint.ts'
import { JsonText } from '#platform/http/reply.ts'
import { LimitParam } from '#platform/http/schemas.ts'
import type { NotificationList } from './notification-list.ts'

const getNotifications = endpoint({
  id: 'getNotifications', servlet: 'NotificationsServlet', method: 'GET', base: 'client', versions: ['v3', 'r0', 'unstable'], path: '/notifications',
  spec: 'https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3notifications',
  auth: 'user', limit: 'none', role: 'generic',
  query: Type.Object({ from: Type.Optional(Type.String()), limit: Type.Optional(LimitParam), only: Type.Optional(Type.String()) }),
  errors: ['M_INVALID_PARAM'],
  handler: async ({ notificationList }: { notificationList: NotificationList }, { requester, query }) =>
    new JsonText(await notificationList.page(requester, query.from, query.limit, query.only === 'highlight')),
})

export const notificationsRoutes = [getNotifications]
