/**
 * What the endpoints refuse by which other servers read rooms, and by which their users come and go.
 *
 * Spec: server-server API, "Joining Rooms", "Knocking upon a room", "Inviting to a room", "Leaving Rooms", "Retrieving events", "Backfilling".
 */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { buildEvent } from '@myelin/protocol/events/build.ts'
import type { RoomEvent } from '@myelin/protocol/events/event.ts'
import type { EventId, RoomId, UserId } from '@myelin/protocol/ids/ids.ts'
import type { JsonObject } from '@myelin/protocol/json/json.ts'
import { getRoomVersion } from '@myelin/protocol/rooms/versions.ts'
import { endpoints } from '#app/routes.ts'
import { pathsOf } from '#platform/http/endpoint.ts'
import { filledPath } from '../kit/endpoint-paths.ts'
import { FakeMember } from '../kit/fake-member.ts'
import { FakeRemote } from '../kit/fake-remote.ts'
import { federatingServer } from '../kit/federating-server.ts'
import { assertRefused, type Refusal } from '../kit/refusals.ts'
import { TestClient } from '../kit/test-client.ts'
import type { TestServer } from '../kit/test-server.ts'
import { checkContract } from './recorder.ts'

const v1 = '/_matrix/federation/v1'
const v2 = '/_matrix/federation/v2'
const encoded = encodeURIComponent

/** A membership event that a server has signed, as far as the endpoint looks before it asks for what it rests on. */
function membershipEvent(remote: FakeRemote, version: string, roomId: string, content: JsonObject & { readonly membership: string }, stateKey = `@eve:${remote.serverName}`): RoomEvent {
  const rules = getRoomVersion(version)
  assert.ok(rules)
  const draft = {
    type: 'm.room.member', sender: `@eve:${remote.serverName}` as UserId, stateKey, roomId: roomId as RoomId, content, originServerTs: Date.now(),
    ...(rules.eventIds === 'field' ? { eventId: `$e:${remote.serverName}` as EventId } : {}),
  }
  return buildEvent(rules, draft, { depth: 5, prevEventIds: [], authEventIds: [] }, remote.signer).event
}

function askerOf(remote: FakeRemote, server: TestServer) {
  return { send: (method: string, path: string, body?: unknown) => remote.send(server, method, path, body === undefined ? undefined : JSON.parse(JSON.stringify(body))) }
}

async function setUp(t: TestContext, config = '') {
  const [server, remote] = [await federatingServer(t, { config }), await FakeRemote.start(t)]
  const alice = await server.register('alice')
  const create = async (body: object): Promise<string> => String((await alice.post('/createRoom', { preset: 'public_chat', room_version: '10', ...body }).ok())['room_id'])
  return { server, remote, alice, create, asker: askerOf(remote, server) }
}

test('reading rooms', async (t) => {
  const { server, remote, create, asker } = await setUp(t)
  const room = await create({})
  await FakeMember.join(remote, server, room, 'eve')
  const at = (path: string, roomId = room, rest = ''): string => `${v1}/${path}/${encoded(roomId)}${rest}`
  const range = { earliest_events: [], latest_events: ['$none'] }
  await assertRefused([
    ...['state', 'state_ids'].flatMap((path): Refusal[] => [
      ['400 M_MISSING_PARAM', asker, 'GET', at(path)], ['404 M_NOT_FOUND', asker, 'GET', at(path, '!none:x', '?event_id=$none')],
      ['404 M_NOT_FOUND', asker, 'GET', at(path, room, '?event_id=$none')], ['400 M_INVALID_PARAM', asker, 'GET', at(path, 'room', '?event_id=$none')],
      ['400 M_INVALID_PARAM', asker, 'GET', at(path, room, '?event_id=none')],
    ]),
    ['404 M_NOT_FOUND', asker, 'GET', `${v1}/event/$none`], ['400 M_INVALID_PARAM', asker, 'GET', `${v1}/event/none`],
    ['404 M_NOT_FOUND', asker, 'GET', at('event_auth', room, '/$none')], ['400 M_INVALID_PARAM', asker, 'GET', at('event_auth', room, '/none')],
    ['400 M_MISSING_PARAM', asker, 'GET', at('timestamp_to_event', room, '?dir=f')], ['400 M_INVALID_PARAM', asker, 'GET', at('timestamp_to_event', room, '?ts=1&dir=x')],
    ['404 M_NOT_FOUND', asker, 'GET', at('timestamp_to_event', room, '?ts=1&dir=b')], ['404 M_NOT_FOUND', asker, 'GET', at('timestamp_to_event', '!none:x', '?ts=1&dir=f')],
    ['404 M_NOT_FOUND', asker, 'GET', `/_matrix/federation/unstable/rooms/${encoded('!none:x')}/complexity`], ['400 M_INVALID_PARAM', asker, 'GET', '/_matrix/federation/unstable/rooms/none/complexity'],
    ['400 M_MISSING_PARAM', asker, 'GET', at('backfill')], ['400 M_INVALID_PARAM', asker, 'GET', at('backfill', room, '?v=$none&limit=many')],
    ['404 M_NOT_FOUND', asker, 'GET', at('backfill', '!none:x', '?v=$none&limit=1')],
    ['400 M_MISSING_PARAM', asker, 'POST', at('get_missing_events'), {}], ['400 M_BAD_JSON', asker, 'POST', at('get_missing_events'), { ...range, limit: 'many' }],
    ['400 M_INVALID_PARAM', asker, 'POST', at('get_missing_events', 'room'), range], ['404 M_NOT_FOUND', asker, 'POST', at('get_missing_events', '!none:x'), range],
  ])
})

test('templates of memberships', async (t) => {
  const { server, remote, create, asker } = await setUp(t)
  const lobby = await create({})
  await FakeMember.join(remote, server, lobby, 'eve')
  const restricted = (roomId: string, more: object = {}) => create({
    preset: 'private_chat', initial_state: [{ type: 'm.room.join_rules', state_key: '', content: { join_rule: 'restricted', allow: [{ type: 'm.room_membership', room_id: roomId }] } }], ...more,
  })
  const at = (membership: string, roomId: string, rest = '', userId = `@eve:${remote.serverName}`): string => `${v1}/make_${membership}/${encoded(roomId)}/${encoded(userId)}${rest}`
  await assertRefused([
    ...['join', 'knock'].flatMap((membership): Refusal[] => [
      ['400 M_INCOMPATIBLE_ROOM_VERSION', asker, 'GET', at(membership, lobby, '?ver=1&ver=9')], ['400 M_INCOMPATIBLE_ROOM_VERSION', asker, 'GET', at(membership, lobby)],
    ]),
    ...['join', 'knock', 'leave'].flatMap((membership): Refusal[] => [
      ['404 M_NOT_FOUND', asker, 'GET', at(membership, '!none:x', '?ver=10')], ['400 M_INVALID_PARAM', asker, 'GET', at(membership, lobby, '?ver=10', 'eve')],
      ['403 M_FORBIDDEN', asker, 'GET', at(membership, lobby, '?ver=10', '@eve:elsewhere.example')],
    ]),
    ['400 M_UNABLE_TO_AUTHORISE_JOIN', asker, 'GET', at('join', await restricted('!none:x'), '?ver=10')],
    ['400 M_UNABLE_TO_GRANT_JOIN', asker, 'GET', at('join', await restricted(lobby, { power_level_content_override: { invite: 101 } }), '?ver=10')],
    ['403 M_FORBIDDEN', asker, 'GET', at('knock', lobby, '?ver=10')],
    ['403 M_FORBIDDEN', asker, 'GET', at('leave', await create({ preset: 'private_chat' }))],
  ])
})

test('signed memberships', async (t) => {
  const { server, remote, alice, create, asker } = await setUp(t)
  const lobby = await create({})
  await FakeMember.join(remote, server, lobby, 'eve')
  const secret = await create({ preset: 'private_chat' })
  const paths = { join: [`${v1}/send_join`, `${v2}/send_join`], leave: [`${v1}/send_leave`, `${v2}/send_leave`], knock: [`${v1}/send_knock`] } as const
  const refusals: Refusal[] = []
  for (const [membership, bases] of Object.entries(paths)) {
    for (const base of bases) {
      const put = (roomId: string, event: RoomEvent, eventId: string = event.eventId): Refusal => ['400 M_INVALID_PARAM', asker, 'PUT', `${base}/${encoded(roomId)}/${encoded(eventId)}`, event.pdu]
      const good = membershipEvent(remote, '10', lobby, { membership })
      refusals.push(
        put(lobby, membershipEvent(remote, '10', lobby, { membership: 'ban' })), put(lobby, membershipEvent(remote, '10', lobby, { membership }, alice.userId)),
        put(lobby, good, '$other'), put(secret, good), ['404 M_NOT_FOUND', asker, 'PUT', `${base}/${encoded('!none:x')}/$e`, good.pdu],
        ['400 M_INVALID_PARAM', asker, 'PUT', `${base}/${encoded(lobby)}/${encoded(good.eventId)}`, { ...good.pdu, signatures: {} }],
        ['400 M_INVALID_PARAM', asker, 'PUT', `${base}/${encoded(lobby)}/e`, good.pdu],
      )
    }
  }
  const vouched = async (roomId: string, override: object): Promise<RoomEvent> => membershipEvent(remote, '10', await create({
    preset: 'private_chat', power_level_content_override: override,
    initial_state: [{ type: 'm.room.join_rules', state_key: '', content: { join_rule: 'restricted', allow: [{ type: 'm.room_membership', room_id: roomId }] } }],
  }), { membership: 'join', join_authorised_via_users_server: alice.userId })
  for (const base of paths.join) {
    const [unknown, powerless] = [await vouched('!none:x', {}), await vouched(lobby, { invite: 101 })]
    refusals.push(
      ['400 M_UNABLE_TO_AUTHORISE_JOIN', asker, 'PUT', `${base}/${encoded(unknown.roomId)}/${encoded(unknown.eventId)}`, unknown.pdu],
      ['400 M_UNABLE_TO_GRANT_JOIN', asker, 'PUT', `${base}/${encoded(powerless.roomId)}/${encoded(powerless.eventId)}`, powerless.pdu],
    )
  }
  await assertRefused(refusals)
})

test('joins of one room in quick succession', async (t) => {
  const { server, remote, create, asker } = await setUp(t, 'rc_joins_per_room: {per_second: 0.001, burst_count: 1}\n')
  const room = await create({})
  await FakeMember.join(remote, server, room, 'eve')
  const event = membershipEvent(remote, '10', room, { membership: 'join' })
  await assertRefused([v1, v2].map((base): Refusal => ['429 M_LIMIT_EXCEEDED', asker, 'PUT', `${base}/send_join/${encoded(room)}/${encoded(event.eventId)}`, event.pdu]))
})

const room = '!room:elsewhere.example'

/** An invite to a room of another server, by both versions of the endpoint. */
function invites(asker: Refusal[1], refusal: string, event: RoomEvent, change: { readonly eventId?: string; readonly pdu?: JsonObject } = {}): Refusal[] {
  const [eventId, pdu] = [encoded(change.eventId ?? event.eventId), change.pdu ?? event.pdu]
  return [
    [refusal, asker, 'PUT', `${v1}/invite/${encoded(room)}/${eventId}`, pdu],
    [refusal, asker, 'PUT', `${v2}/invite/${encoded(room)}/${eventId}`, { event: pdu, room_version: '1', invite_room_state: [] }],
  ]
}

test('invites', async (t) => {
  const { server, remote, alice, asker } = await setUp(t)
  const bob = await server.register('bob')
  await bob.put(`/user/${bob.userId}/account_data/m.invite_permission_config`, { default_action: 'block' }).ok()
  const invite = (userId: string, membership = 'invite'): RoomEvent => membershipEvent(remote, '1', room, { membership }, userId)
  const good = invite(alice.userId)
  await assertRefused([
    ...invites(asker, '400 M_INVALID_PARAM', invite(alice.userId, 'leave')), ...invites(asker, '400 M_INVALID_PARAM', good, { eventId: '$other:x' }),
    ...invites(asker, '400 M_INVALID_PARAM', good, { pdu: { ...good.pdu, signatures: {} } }), ...invites(asker, '400 M_INVALID_PARAM', invite('@bob:elsewhere.example')),
    ...invites(asker, '404 M_NOT_FOUND', invite(`@nobody:${server.serverName}`)), ...invites(asker, '403 M_INVITE_BLOCKED', invite(bob.userId)),
    ['400 M_INCOMPATIBLE_ROOM_VERSION', asker, 'PUT', `${v2}/invite/${encoded(room)}/${encoded(good.eventId)}`, { event: good.pdu, room_version: 'none' }],
    ['400 M_MISSING_PARAM', asker, 'PUT', `${v2}/invite/${encoded(room)}/${encoded(good.eventId)}`, { event: good.pdu }],
  ])
})

test('invites in quick succession', async (t) => {
  const { server, remote, alice, asker } = await setUp(t, 'rc_invites: {per_user: {per_second: 0.001, burst_count: 1}}\n')
  const event = membershipEvent(remote, '1', room, { membership: 'invite' }, alice.userId)
  const [first, second] = invites(asker, '429 M_LIMIT_EXCEEDED', event)
  assert.ok(first && second)
  // Not held against the description: it wants the event to have an `origin`, which events need not have.
  await new TestClient({ url: server.url }).send('PUT', first[3], event.pdu, { headers: remote.sign(server, 'PUT', first[3], event.pdu) }).ok()
  await assertRefused([first, second])
})

test('what is no JSON, or JSON of another kind', async (t) => {
  const { server, remote } = await setUp(t)
  for (const endpoint of endpoints.filter(({ auth, method }) => auth === 'server' && method !== 'GET')) {
    const [path = ''] = pathsOf(endpoint)
    const at = filledPath(path, { userId: `@alice:${server.serverName}`, roomId: '!room:test.example', eventId: '$event' }, 'word')
    if (endpoint.errors.some((code) => code === 'M_NOT_JSON')) {
      await new TestClient({ url: server.url, observe: checkContract }).send(endpoint.method, at, 'x', { headers: remote.sign(server, endpoint.method, at) }).fails(400, 'M_NOT_JSON')
    }
    if (endpoint.errors.some((code) => code === 'M_BAD_JSON')) await remote.send(server, endpoint.method, at, JSON.parse('[]')).fails(400, 'M_BAD_JSON')
  }
})
