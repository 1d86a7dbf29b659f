/** Endpoints of presence. */
import { Type } from 'typebox'
import { refuse } from '@myelin/protocol/errors.ts'
import { endpoint } from '#platform/http/endpoint.ts'
import { UserIdParam } from '#platform/http/schemas.ts'
import type { Presence } from './presence.ts'

type Needs = { presence: Presence }

const shared = {
  servlet: 'PresenceStatusRestServlet', base: 'client', versions: ['v3', 'r0', 'api/v1', 'unstable'], path: '/presence/:userId/status', auth: 'user',
  role: 'presence', shard: 'userId',
} as const

const setPresence = endpoint({
  ...shared, id: 'setPresence', method: 'PUT', limit: { rc: 'rc_presence.per_user', by: 'user' },
  spec: 'https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3presenceuseridstatus',
  params: Type.Object({ userId: UserIdParam }),
  body: Type.Object({ presence: Type.String(), status_msg: Type.Optional(Type.Union([Type.String(), Type.Null()])) }),
  errors: ['M_FORBIDDEN', 'M_BAD_JSON', 'M_NOT_JSON', 'M_MISSING_PARAM', 'M_INVALID_PARAM', 'M_LIMIT_EXCEEDED', 'M_TOO_LARGE'],
  handler: async ({ presence }: Needs, { requester, params, body }) => {
    if (params.userId !== requester.userId) throw refuse('M_FORBIDDEN', 'You can only set your own presence.')
    await presence.set(requester.userId, requester.deviceId, body.presence, body.status_msg ?? undefined)
    return {}
  },
})

const getPresence = endpoint({
  ...shared, id: 'getPresence', method: 'GET', limit: 'none',
  spec: 'https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3presenceuseridstatus',
  params: Type.Object({ userId: UserIdParam }),
  errors: ['M_FORBIDDEN', 'M_INVALID_PARAM'],
  handler: async ({ presence }: Needs, { requester, params }) => presence.content(await presence.getFor(requester.userId, params.userId)),
})

export const presenceRoutes = [setPresence, getPresence]
