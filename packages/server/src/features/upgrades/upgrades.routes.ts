/** The endpoint that upgrades a room. */
import { Type } from 'typebox'
import { endpoint } from '#platform/http/endpoint.ts'
import { RoomIdParam } from '#platform/http/schemas.ts'
import { needsConsent } from '#features/consent/consent.ts'
import type { Upgrades } from './upgrades.ts'

const upgradeRoom = needsConsent(endpoint({
  id: 'upgradeRoom', servlet: 'RoomUpgradeRestServlet', method: 'POST', base: 'client', versions: ['v3', 'r0', 'unstable'], path: '/rooms/:roomId/upgrade',
  spec: 'https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidupgrade', auth: 'user',
  limit: { rc: 'rc_room_creation', by: 'service' }, role: 'main', shard: 'roomId', suspendedRefused: true,
  params: Type.Object({ roomId: RoomIdParam }),
  body: Type.Object({ new_version: Type.String(), additional_creators: Type.Optional(Type.Array(Type.String())) }),
  errors: ['M_UNSUPPORTED_ROOM_VERSION', 'M_FORBIDDEN', 'M_NOT_FOUND', 'M_INVALID_PARAM', 'M_MISSING_PARAM', 'M_LIMIT_EXCEEDED', 'M_BAD_JSON'],
  handler: async ({ upgrades }: { upgrades: Upgrades }, { requester, params, body }) => ({
    replacement_room: await upgrades.upgrade(requester, params.roomId, body.new_version, body.additional_creators ?? []),
  }),
}))

export const upgradesRoutes = [upgradeRoom]
