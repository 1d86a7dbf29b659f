/**
 * What the endpoints for other servers declare that they refuse: requests without a signature, servers that the operator keeps out, and what is broken.
 *
 * Spec: server-server API, "Request Authentication", and the error responses of each endpoint.
 */
import { test } from 'node:test'
import type { JsonObject } from '@myelin/protocol/json/json.ts'
import { endpoints } from '#app/routes.ts'
import { pathsOf } from '#platform/http/endpoint.ts'
import { filledPath } from '../kit/endpoint-paths.ts'
import { FakeRemote } from '../kit/fake-remote.ts'
import { federatingServer } from '../kit/federating-server.ts'
import { assertRefused } from '../kit/refusals.ts'

const v1 = '/_matrix/federation/v1'

/** A request of each endpoint that other servers sign. */
const signed = endpoints.filter(({ auth }) => auth === 'server').map((endpoint) => {
  const [path = ''] = pathsOf(endpoint)
  const body: JsonObject | undefined = endpoint.method === 'GET' ? undefined : {}
  return { method: endpoint.method, path: filledPath(path, { userId: '@alice:test.example', roomId: '!room:test.example', eventId: '$event' }, 'word'), body }
})

test('a request without a signature is refused by every endpoint that needs one', async (t) => {
  const server = await federatingServer(t)
  for (const { method, path, body } of signed) await server.anonymous().send(method, path, body).fails(401, 'M_UNAUTHORIZED')
})

test('a server that the operator keeps out is refused by every endpoint', async (t) => {
  const [server, remote] = [await federatingServer(t, { config: 'federation_domain_whitelist: ["friend.example"]\n' }), await FakeRemote.start(t)]
  for (const { method, path, body } of signed) await remote.send(server, method, path, body).fails(403, 'M_FORBIDDEN')
})

test('what is broken or unknown', async (t) => {
  const [server, remote] = [await federatingServer(t, { config: 'allow_public_rooms_over_federation: true\n' }), await FakeRemote.start(t)]
  const asker = { send: (method: string, path: string, body?: unknown) => remote.send(server, method, path, body === undefined ? undefined : JSON.parse(JSON.stringify(body))) }
  await assertRefused([
    ['400 M_MISSING_PARAM', asker, 'GET', `${v1}/query/profile`],
    ['400 M_INVALID_PARAM', asker, 'GET', `${v1}/query/profile?user_id=alice`],
    ['400 M_MISSING_PARAM', asker, 'GET', `${v1}/query/directory`],
    ['400 M_INVALID_PARAM', asker, 'GET', `${v1}/query/directory?room_alias=alias`],
    ['404 M_NOT_FOUND', asker, 'GET', `${v1}/query/directory?room_alias=${encodeURIComponent(`#nowhere:${server.serverName}`)}`],
    ['400 M_MISSING_PARAM', asker, 'POST', `${v1}/user/keys/query`, {}],
    ['400 M_BAD_JSON', asker, 'POST', `${v1}/user/keys/query`, { device_keys: 5 }],
    ['400 M_INVALID_PARAM', asker, 'POST', `${v1}/user/keys/query`, { device_keys: { '@bob:elsewhere.example': [] } }],
    ['400 M_MISSING_PARAM', asker, 'POST', `${v1}/user/keys/claim`, {}],
    ['400 M_INVALID_PARAM', asker, 'POST', `${v1}/user/keys/claim`, { one_time_keys: { '@bob:elsewhere.example': {} } }],
    ['400 M_BAD_JSON', asker, 'POST', `${v1}/user/keys/claim`, { one_time_keys: 5 }],
    ['400 M_INVALID_PARAM', asker, 'GET', `${v1}/user/devices/alice`],
    ['404 M_NOT_FOUND', asker, 'GET', `${v1}/user/devices/${encodeURIComponent(`@nobody:${server.serverName}`)}`],
    ['400 M_INVALID_PARAM', asker, 'GET', `${v1}/publicRooms?limit=many`],
    ['400 M_INVALID_PARAM', asker, 'POST', `${v1}/publicRooms`, { include_all_networks: true, third_party_instance_id: 'x' }],
    ['400 M_BAD_JSON', asker, 'POST', `${v1}/publicRooms`, { limit: 'many' }],
  ])
})
