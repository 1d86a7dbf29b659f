/** Endpoints that make rooms. */
import { Type } from 'typebox'
import { endpoint } from '#platform/http/endpoint.ts'
import { withTransactionId } from '#platform/http/repeated-requests.ts'
import { JsonObjectSchema } from '#platform/http/schemas.ts'
import { needsConsent } from '#features/consent/consent.ts'
import type { RoomCreation } from './rooms.ts'

const createRoom = needsConsent(endpoint({
  id: 'createRoom',
  servlet: 'RoomCreateRestServlet',
  method: 'POST',
  base: 'client',
  versions: ['v3', 'r0', 'api/v1', 'unstable'],
  path: '/createRoom',
  spec: 'https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3createroom',
  auth: 'user',
  limit: { rc: 'rc_room_creation', by: 'service' },
  role: 'generic',
  suspendedRefused: true,
  body: Type.Object({
    preset: Type.Optional(Type.String()),
    visibility: Type.Optional(Type.Union([Type.Literal('public'), Type.Literal('private')])),
    room_alias_name: Type.Optional(Type.String()),
    name: Type.Optional(Type.String()),
    topic: Type.Optional(Type.String()),
    invite: Type.Optional(Type.Array(Type.String(), { maxItems: 500 })),
    invite_3pid: Type.Optional(Type.Array(JsonObjectSchema)),
    room_version: Type.Optional(Type.String()),
    creation_content: Type.Optional(JsonObjectSchema),
    initial_state: Type.Optional(Type.Array(Type.Object({
      type: Type.String(), state_key: Type.Optional(Type.String()), content: JsonObjectSchema,
    }))),
    is_direct: Type.Optional(Type.Boolean()),
    power_level_content_override: Type.Optional(JsonObjectSchema),
  }),
  bodyKind: 'optional-json',
  errors: [
    'M_UNSUPPORTED_ROOM_VERSION', 'M_ROOM_IN_USE', 'M_INVALID_ROOM_STATE', 'M_BAD_JSON', 'M_INVALID_PARAM', 'M_FORBIDDEN', 'M_LIMIT_EXCEEDED', 'M_MISSING_PARAM',
    'M_THREEPID_DENIED', 'M_CONNECTION_FAILED',
  ],
  handler: async ({ roomCreation }: { roomCreation: RoomCreation }, { requester, body }) => ({ room_id: await roomCreation.create(requester, body) }),
}))

export const roomsRoutes = [createRoom, withTransactionId(createRoom)]
