/** Endpoints by which administrators send notices. */
import { Type } from 'typebox'
import { endpoint } from '#platform/http/endpoint.ts'
import { withTransactionId } from '#platform/http/repeated-requests.ts'
import { JsonObjectSchema, UserIdParam } from '#platform/http/schemas.ts'
import type { ServerNotices } from './notices.ts'

const optionalText = Type.Optional(Type.Union([Type.String(), Type.Null()]))

const sendServerNotice = endpoint({
  id: 'adminSendServerNotice', method: 'POST', base: 'admin', versions: ['v1'], path: '/send_server_notice',
  spec: 'admin_api/server_notices.html', auth: 'admin', limit: 'none', role: 'main',
  body: Type.Object({ user_id: UserIdParam, content: JsonObjectSchema, type: optionalText, state_key: optionalText }),
  errors: ['M_FORBIDDEN', 'M_UNKNOWN', 'M_INVALID_PARAM', 'M_NOT_FOUND', 'M_MISSING_PARAM', 'M_BAD_JSON', 'M_TOO_LARGE'],
  handler: async ({ serverNotices }: { readonly serverNotices: ServerNotices }, { body }) => {
    const { user_id: userId, content, type, state_key: stateKey } = body
    return { event_id: await serverNotices.send(userId, { type: type ?? 'm.room.message', stateKey: stateKey ?? undefined, content }) }
  },
})

export const noticesRoutes = [sendServerNotice, withTransactionId(sendServerNotice)]
