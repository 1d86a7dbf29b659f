/** Endpoints of sync. */
import { Type } from 'typebox'
import { endpoint } from '#platform/http/endpoint.ts'
import { JsonText } from '#platform/http/reply.ts'
import { EventIdParam, RoomIdParam } from '#platform/http/schemas.ts'
import { PresenceParam, TimeoutParam } from './sync-parameters.ts'
import type { Sync } from './sync.ts'

interface Needs {
  readonly sync: Sync
}

const anchor = 'https://spec.matrix.org/v1.19/client-server-api/#'
const oldVersions = ['v3', 'r0', 'api/v1', 'unstable']

const sync = endpoint({
  id: 'sync', servlet: 'SyncRestServlet', method: 'GET', base: 'client', versions: ['v3', 'r0', 'unstable'], path: '/sync',
  spec: `${anchor}get_matrixclientv3sync`, auth: 'guest', limit: 'none', role: 'generic', shard: 'userId',
  query: Type.Object({
    filter: Type.Optional(Type.String()), since: Type.Optional(Type.String()), full_state: Type.Optional(Type.Boolean()),
    set_presence: PresenceParam, timeout: TimeoutParam, use_state_after: Type.Optional(Type.Boolean()),
    'org.matrix.msc4222.use_state_after': Type.Optional(Type.Boolean()),
  }),
  errors: ['M_UNKNOWN', 'M_INVALID_PARAM', 'M_NOT_JSON', 'M_BAD_JSON', 'M_UNKNOWN_TOKEN'],
  handler: async (needs: Needs, { requester, query, signal }) => {
    const unstable = query['org.matrix.msc4222.use_state_after'] === true
    return new JsonText(await needs.sync.sync({
      userId: requester.userId, deviceId: requester.deviceId, since: query.since, filter: query.filter, fullState: query.full_state ?? false,
      stateAfter: query.use_state_after ? 'state_after' : unstable ? 'org.matrix.msc4222.state_after' : undefined,
      setPresence: query.set_presence, timeoutMs: query.timeout ?? 0,
    }, signal))
  },
})

const events = endpoint({
  id: 'getEvents', servlet: 'EventStreamRestServlet', method: 'GET', base: 'client', versions: oldVersions, path: '/events',
  spec: `${anchor}get_matrixclientv3events`, auth: 'guest', limit: 'none', role: 'generic', shard: 'userId',
  query: Type.Object({ from: Type.Optional(Type.String()), timeout: TimeoutParam, room_id: Type.Optional(RoomIdParam), limit: Type.Optional(Type.Integer({ minimum: 0 })) }),
  errors: ['M_UNKNOWN', 'M_INVALID_PARAM', 'M_FORBIDDEN', 'M_UNKNOWN_TOKEN'],
  handler: async (needs: Needs, { requester, query, signal }) => {
    const { userId, deviceId } = requester
    const { from, timeout: timeoutMs = 0, room_id: roomId, limit } = query
    return new JsonText(await needs.sync.old.events({ userId, deviceId, from, timeoutMs, roomId, limit }, signal))
  },
})

const initialSync = endpoint({
  id: 'initialSync', servlet: 'InitialSyncRestServlet', method: 'GET', base: 'client', versions: oldVersions, path: '/initialSync',
  spec: `${anchor}get_matrixclientv3initialsync`, auth: 'user', limit: 'none', role: 'generic', shard: 'userId',
  query: Type.Object({ limit: Type.Optional(Type.Integer({ minimum: 0 })), archived: Type.Optional(Type.Boolean()) }),
  errors: ['M_INVALID_PARAM', 'M_GUEST_ACCESS_FORBIDDEN'],
  handler: async (needs: Needs, { requester, query }) => new JsonText(await needs.sync.old.initial(requester, query.limit ?? 10, query.archived ?? false)),
})

const roomInitialSync = endpoint({
  id: 'roomInitialSync', servlet: 'RoomInitialSyncRestServlet', method: 'GET', base: 'client', versions: oldVersions, path: '/rooms/:roomId/initialSync',
  spec: `${anchor}get_matrixclientv3roomsroomidinitialsync`, auth: 'guest', limit: 'none', role: 'generic', shard: 'roomId',
  params: Type.Object({ roomId: RoomIdParam }), query: Type.Object({ limit: Type.Optional(Type.Integer({ minimum: 0 })) }),
  errors: ['M_FORBIDDEN', 'M_INVALID_PARAM'],
  handler: async (needs: Needs, { requester, params, query }) => new JsonText(await needs.sync.old.room(requester, params.roomId, query.limit ?? 10)),
})

const oneEvent = endpoint({
  id: 'getOneEvent', servlet: 'EventRestServlet', method: 'GET', base: 'client', versions: oldVersions, path: '/events/:eventId',
  spec: `${anchor}get_matrixclientv3eventseventid`, auth: 'user', limit: 'none', role: 'main', shard: 'userId',
  params: Type.Object({ eventId: EventIdParam }), errors: ['M_NOT_FOUND', 'M_INVALID_PARAM', 'M_GUEST_ACCESS_FORBIDDEN'],
  handler: async (needs: Needs, { requester, params }) => new JsonText(await needs.sync.old.event(requester, params.eventId)),
})

export const syncRoutes = [sync, events, initialSync, roomInitialSync, oneEvent] as const
