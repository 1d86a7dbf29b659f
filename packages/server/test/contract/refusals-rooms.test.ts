/**
 * What the endpoints of rooms declare that they refuse, as far as no test of their slices shows it.
 *
 * Spec: client-server API, the error responses of each endpoint.
 */
import { test, type TestContext } from 'node:test'
import { emailAt, identityServer, trustsIdentityServers } from '../kit/identity-server.ts'
import { assertRefused } from '../kit/refusals.ts'
import type { TestClient } from '../kit/test-client.ts'
import { testServer } from '../kit/test-server.ts'

const at = (room: string): string => `/rooms/${encodeURIComponent(room)}`
const nowhere = at('!nowhere:test.example')
const v1 = '/_matrix/client/v1'
const message = { msgtype: 'm.text', body: 'x' }
const annotation = (eventId: string): object => ({ 'm.relates_to': { rel_type: 'm.annotation', event_id: eventId, key: 'x' } })

async function roomOf(client: TestClient, create: object = {}): Promise<string> {
  return String((await client.post('/createRoom', create).ok())['room_id'])
}

async function send(client: TestClient, room: string, content: object = message, type = 'm.room.message'): Promise<string> {
  return String((await client.post(`${at(room)}/send/${type}`, content).ok())['event_id'])
}

/** Alice with a public room that Bob has joined, and Carol, who is not in it. */
async function scene(t: TestContext, config = '') {
  const server = await testServer(t, { config })
  const { alice, bob, room } = await server.withRoom()
  return { server, alice, bob, carol: await server.register('carol'), room, path: at(room) }
}

test('membership', async (t) => {
  const { server, alice, bob, carol, path } = await scene(t)
  const [closed, guest] = [await roomOf(alice), await server.guest()]
  await carol.put(`/user/${encodeURIComponent(carol.userId)}/account_data/m.invite_permission_config`, { default_action: 'block' }).ok()
  await assertRefused([
    ...['ban', 'kick', 'unban'].flatMap((verb) => [
      ['400 M_MISSING_PARAM', alice, 'POST', `${path}/${verb}`, {}] as const,
      ['400 M_INVALID_PARAM', alice, 'POST', `${path}/${verb}`, { user_id: 'carol' }] as const,
      ['403 M_FORBIDDEN', bob, 'POST', `${path}/${verb}`, { user_id: alice.userId }] as const,
      ['404 M_NOT_FOUND', alice, 'POST', `${nowhere}/${verb}`, { user_id: bob.userId }] as const,
    ]),
    ['400 M_MISSING_PARAM', alice, 'POST', `${path}/invite`, {}],
    ['400 M_INVALID_PARAM', alice, 'POST', `${path}/invite`, { user_id: 'carol' }],
    ['403 M_FORBIDDEN', carol, 'POST', `${path}/invite`, { user_id: '@dave:test.example' }],
    ['403 M_INVITE_BLOCKED', alice, 'POST', `${path}/invite`, { user_id: carol.userId }],
    ['403 M_INVITE_BLOCKED', alice, 'PUT', `${path}/state/m.room.member/${encodeURIComponent(carol.userId)}`, { membership: 'invite' }],
    ['404 M_NOT_FOUND', alice, 'POST', `${nowhere}/invite`, { user_id: carol.userId }],
    ['403 M_FORBIDDEN', carol, 'POST', `${at(closed)}/join`, {}],
    ['404 M_NOT_FOUND', carol, 'POST', `${nowhere}/join`, {}],
    ['403 M_GUEST_ACCESS_FORBIDDEN', guest, 'POST', `${path}/join`, {}],
    ['403 M_FORBIDDEN', carol, 'POST', `/join/${encodeURIComponent(closed)}`, {}],
    ['404 M_NOT_FOUND', carol, 'POST', '/join/%23nowhere%3Atest.example', {}],
    ['403 M_GUEST_ACCESS_FORBIDDEN', guest, 'POST', path.replace('/rooms', '/join'), {}],
    ['404 M_NOT_FOUND', carol, 'POST', '/knock/!nowhere%3Atest.example', {}],
    ['403 M_FORBIDDEN', carol, 'POST', `${path}/leave`, {}],
    ['404 M_NOT_FOUND', carol, 'POST', `${nowhere}/leave`, {}],
    ['400 M_UNKNOWN', bob, 'POST', `${path}/forget`, {}],
    ['404 M_NOT_FOUND', bob, 'POST', `${nowhere}/forget`, {}],
  ])
})

test('a restricted room in which nobody may let others in', async (t) => {
  const { alice, bob, carol, room, path } = await scene(t)
  await carol.post(`${path}/join`, {}).ok()
  const rule = { join_rule: 'restricted', allow: [{ type: 'm.room_membership', room_id: room }] }
  const restricted = await roomOf(alice, {
    room_version: '11', initial_state: [{ type: 'm.room.join_rules', state_key: '', content: rule }], power_level_content_override: { invite: 50 },
  })
  await bob.post(`${at(restricted)}/join`, {}).ok()
  await alice.post(`${at(restricted)}/leave`, {}).ok()
  await assertRefused([
    ['400 M_UNABLE_TO_GRANT_JOIN', carol, 'POST', `${at(restricted)}/join`, {}],
    ['400 M_UNABLE_TO_GRANT_JOIN', carol, 'POST', `/join/${encodeURIComponent(restricted)}`, {}],
  ])
})

test('making rooms', async (t) => {
  const { alice, bob, carol } = await scene(t, 'alias_creation_rules: [{user_id: "@bob:*", action: deny}, {action: allow}]\n')
  await roomOf(alice, { room_alias_name: 'taken' })
  await assertRefused([
    ['400 M_ROOM_IN_USE', alice, 'POST', '/createRoom', { room_alias_name: 'taken' }],
    ['403 M_FORBIDDEN', bob, 'POST', '/createRoom', { room_alias_name: 'free' }],
    ['400 M_INVALID_PARAM', alice, 'POST', '/createRoom', { invite: ['carol'] }],
    ['400 M_INVALID_ROOM_STATE', alice, 'POST', '/createRoom', { room_version: '11', power_level_content_override: { users: { [alice.userId]: 0 } }, name: 'x' }],
    ['400 M_MISSING_PARAM', carol, 'POST', '/createRoom', { initial_state: [{ type: 'x' }] }],
  ])
})

test('invites by address', async (t) => {
  const identity = await identityServer(t)
  const { alice, path } = await scene(t, trustsIdentityServers)
  const denied = { ...emailAt(identity, 'dave@example.org'), id_access_token: 'wrong' }
  const unreachable = { ...denied, id_server: '127.0.0.1:1' }
  await assertRefused([
    ['403 M_THREEPID_DENIED', alice, 'POST', `${path}/invite`, denied],
    ['502 M_CONNECTION_FAILED', alice, 'POST', `${path}/invite`, unreachable],
    ['403 M_THREEPID_DENIED', alice, 'POST', '/createRoom', { invite_3pid: [denied] }],
    ['502 M_CONNECTION_FAILED', alice, 'POST', '/createRoom', { invite_3pid: [unreachable] }],
  ])
})

test('sending and redacting', async (t) => {
  const { alice, bob, room, path } = await scene(t)
  const event = await send(alice, room)
  await send(bob, room, annotation(event), 'm.reaction')
  await assertRefused([
    ['400 M_DUPLICATE_ANNOTATION', bob, 'POST', `${path}/send/m.reaction`, annotation(event)],
    ['413 M_TOO_LARGE', bob, 'POST', `${path}/send/m.room.message`, { body: 'x'.repeat(70_000) }],
    ['404 M_NOT_FOUND', bob, 'POST', `${nowhere}/send/m.room.message`, message],
    ['404 M_NOT_FOUND', bob, 'PUT', `${nowhere}/state/m.room.topic`, { topic: 'x' }],
    ['400 M_UNKNOWN', bob, 'PUT', `${path}/state/m.room.topic?org.matrix.msc4140.delay=1000`, { topic: 'x' }],
    ['403 M_FORBIDDEN', bob, 'POST', `${path}/redact/${encodeURIComponent(event)}`, {}],
    ['404 M_NOT_FOUND', bob, 'POST', `${nowhere}/redact/${encodeURIComponent(event)}`, {}],
    ['404 M_NOT_FOUND', bob, 'PUT', `${nowhere}/redact/${encodeURIComponent(event)}/1`, {}],
  ])
})

test('reading', async (t) => {
  const { alice, bob, room, path } = await scene(t)
  const event = encodeURIComponent(await send(alice, room))
  await assertRefused([
    ['400 M_NOT_JSON', bob, 'GET', `${path}/context/${event}?filter={`],
    ['400 M_BAD_JSON', bob, 'GET', `${path}/context/${event}?filter=[]`],
    ['404 M_NOT_FOUND', bob, 'GET', `${nowhere}/joined_members`],
    ['404 M_NOT_FOUND', bob, 'GET', `${nowhere}/messages?dir=b`],
    ['404 M_NOT_FOUND', bob, 'GET', `${v1}${nowhere}/relations/${event}/m.thread`],
    ['404 M_NOT_FOUND', bob, 'GET', `${v1}${nowhere}/relations/${event}/m.thread/m.room.message`],
    ['404 M_NOT_FOUND', bob, 'GET', `/_matrix/client/unstable/im.nheko.summary${nowhere}/summary`],
    ['404 M_NOT_FOUND', bob, 'GET', `/_matrix/client/unstable/im.nheko.summary${nowhere.replace('/rooms', '/summary')}`],
    ['400 M_MISSING_PARAM', bob, 'GET', `${v1}${path}/timestamp_to_event`],
    ['400 M_INVALID_PARAM', bob, 'GET', `/_matrix/client/unstable/uk.half-shot.msc2666/user/mutual_rooms?user_id=alice`],
    ['400 M_MISSING_PARAM', bob, 'GET', '/_matrix/client/unstable/uk.half-shot.msc2666/user/mutual_rooms'],
    ['400 M_INVALID_PARAM', bob, 'POST', '/publicRooms', { include_all_networks: true, third_party_instance_id: 'x' }],
    ['403 M_FORBIDDEN', bob, 'POST', '/publicRooms?server=elsewhere.example', {}],
    ['403 M_FORBIDDEN', bob, 'GET', '/publicRooms?server=elsewhere.example'],
  ])
})

test('reports', async (t) => {
  const { alice, bob, path } = await scene(t)
  const reason = 'x'.repeat(20_000)
  const user = `/users/${encodeURIComponent(alice.userId)}/report`
  await assertRefused([
    ['413 M_TOO_LARGE', bob, 'POST', `${path}/report`, { reason }],
    ['413 M_TOO_LARGE', bob, 'POST', user, { reason }],
    ['400 M_MISSING_PARAM', bob, 'POST', user, {}],
  ])
})

test('delayed events that cannot be sent', async (t) => {
  const { server, alice, bob, carol, room, path } = await scene(t, 'max_event_delay_duration: 24h\n')
  const delayed = '/_matrix/client/unstable/org.matrix.msc4140/delayed_events'
  const admin = await server.admin()
  const event = await send(alice, room)
  await send(bob, room, annotation(event), 'm.reaction')
  const later = 'org.matrix.msc4140.delay=3600000'
  const schedule = async (client: TestClient, target: string, content: object): Promise<string> =>
    String((await client.put(`${path}/${target}?${later}`, content).ok())['delay_id'])
  const causes = [
    ['403 M_FORBIDDEN', bob, 'state/m.room.topic/', { topic: 'x' }],
    ['413 M_TOO_LARGE', bob, 'send/m.room.message/large', { body: 'x'.repeat(70_000) }],
    ['400 M_DUPLICATE_ANNOTATION', bob, 'send/m.reaction/twice', annotation(event)],
    ['400 M_BAD_ALIAS', alice, 'state/m.room.canonical_alias/', { alias: '#nowhere:test.example' }],
    ['400 M_INVALID_PARAM', alice, 'state/m.room.canonical_alias/', { alias: 'no alias' }],
  ] as const
  for (const [refusal, client, target, content] of causes) {
    const [first, second] = [await schedule(client, target, content), await schedule(client, `${target}${target.startsWith('send') ? '2' : ''}`, content)]
    await assertRefused([[refusal, client, 'POST', `${delayed}/${first}`, { action: 'send' }], [refusal, client, 'POST', `${delayed}/${second}/send`, {}]])
  }
  await carol.post(`${path}/join`, {}).ok()
  const overtaken = await schedule(alice, 'state/m.room.name/', { name: 'x' })
  await admin.post(`${path}/join`, {}).ok()
  await alice.put(`${path}/state/m.room.power_levels`, { users: { [bob.userId]: 50 } }).ok()
  await bob.put(`${path}/state/m.room.name`, { name: 'y' }).ok()
  await assertRefused([['400 M_UNKNOWN', alice, 'POST', `${delayed}/${overtaken}`, { action: 'send' }]])
  const suspended = await schedule(carol, 'send/m.room.message/suspended', message)
  await admin.put(`${v1}/admin/suspend/${encodeURIComponent(carol.userId)}`, { suspended: true }).ok()
  await assertRefused([['403 M_USER_SUSPENDED', alice, 'POST', `${delayed}/${suspended}`, { action: 'send' }]])
  await admin.put(`${v1}/admin/suspend/${encodeURIComponent(carol.userId)}`, { suspended: false }).ok()
  const locked = await schedule(carol, 'send/m.room.message/locked', message)
  await admin.put(`${v1}/admin/lock/${encodeURIComponent(carol.userId)}`, { locked: true }).ok()
  await assertRefused([['401 M_USER_LOCKED', alice, 'POST', `${delayed}/${locked}`, { action: 'send' }]])
})
