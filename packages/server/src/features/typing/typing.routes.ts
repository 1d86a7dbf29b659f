/** The endpoint of typing notifications. */
import { Type } from 'typebox'
import { refuse } from '@myelin/protocol/errors.ts'
import { endpoint } from '#platform/http/endpoint.ts'
import { RoomIdParam, UserIdParam } from '#platform/http/schemas.ts'
import type { Typing } from './typing.ts'

/** Told that a user did something. */
export interface Activity {
  active(userId: string, deviceId: string | undefined): void
}

type Needs = { typing: Typing; presence: Activity }

const setTyping = endpoint({
  id: 'setTyping', servlet: 'RoomTypingRestServlet', method: 'PUT', base: 'client', versions: ['v3', 'r0', 'api/v1', 'unstable'],
  path: '/rooms/:roomId/typing/:userId',
  spec: 'https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3roomsroomidtypinguserid',
  auth: 'user', limit: 'none', role: 'typing', shard: 'roomId',
  params: Type.Object({ roomId: RoomIdParam, userId: UserIdParam }),
  body: Type.Object({ typing: Type.Boolean(), timeout: Type.Optional(Type.Integer()) }),
  errors: ['M_FORBIDDEN', 'M_BAD_JSON', 'M_NOT_JSON', 'M_MISSING_PARAM', 'M_INVALID_PARAM'],
  handler: async ({ typing, presence }: Needs, { requester, params, body }) => {
    if (params.userId !== requester.userId) throw refuse('M_FORBIDDEN', 'You can only say of yourself that you are typing.')
    await typing.set(requester.userId, params.roomId, body.typing, body.timeout)
    if (body.typing) presence.active(requester.userId, requester.deviceId)
    return {}
  },
})

export const typingRoutes = [setTyping]
