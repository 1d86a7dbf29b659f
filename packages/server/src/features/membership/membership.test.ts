import assert from 'node:assert/strict'
import { test } from 'node:test'
import { testServer } from '#test/kit/test-server.ts'

function at(room: string): string {
  return `/rooms/${encodeURIComponent(room)}`
}

test('joining, leaving and coming back', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom()
  assert.deepEqual((await bob.get('/joined_rooms').ok())['joined_rooms'], [room])
  assert.deepEqual(await bob.post(`${at(room)}/join`, {}).ok(), { room_id: room })
  await bob.post(`${at(room)}/leave`, { reason: 'bye' }).ok()
  assert.equal((await alice.get(`${at(room)}/state/m.room.member/${encodeURIComponent(bob.userId)}`).ok())['reason'], 'bye')
  await bob.post(`${at(room)}/leave`).ok()
  await bob.post(`/join/${encodeURIComponent(room)}`).ok()
})

test('a join takes further content, not what the server decides', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom()
  const member = async (): Promise<unknown> => bob.get(`/rooms/${encodeURIComponent(room)}/state/m.room.member/${bob.userId}`).ok()
  const given = { 'org.example.note': 'x', 'reason': 'tea', 'membership': 'ban', 'join_authorised_via_users_server': alice.userId }
  for (const path of [`/join/${encodeURIComponent(room)}`, `/rooms/${encodeURIComponent(room)}/join`]) {
    await bob.post(`/rooms/${encodeURIComponent(room)}/leave`, {}).ok()
    await bob.post(path, given).ok()
    assert.deepEqual(await member(), { 'membership': 'join', 'displayname': 'bob', 'org.example.note': 'x', 'reason': 'tea' })
  }
  await bob.post(`/rooms/${encodeURIComponent(room)}/leave`, {}).ok()
  await bob.post(`/join/${encodeURIComponent(room)}`, { displayname: 'Bobby' }).ok()
  assert.deepEqual(await member(), { membership: 'join', displayname: 'Bobby' })
  await bob.post(`/rooms/${encodeURIComponent(room)}/leave`, {}).ok()
  await bob.post(`/join/${encodeURIComponent(room)}`, { half: 0.5 }).fails(400, 'M_BAD_JSON')
  await bob.post(`/join/${encodeURIComponent(room)}`, { reason: null }).ok()
})

test('joins keep the profile where rooms have none of their own', async (t) => {
  const server = await testServer(t, { config: 'allow_per_room_profiles: false\n' })
  const { bob, room } = await server.withRoom()
  await bob.post(`/rooms/${encodeURIComponent(room)}/leave`, {}).ok()
  await bob.post(`/join/${encodeURIComponent(room)}`, { displayname: 'Mallory', avatar_url: 'mxc://x/y' }).ok()
  assert.deepEqual(await bob.get(`/rooms/${encodeURIComponent(room)}/state/m.room.member/${bob.userId}`).ok(), { membership: 'join', displayname: 'bob' })
})

test('rooms that do not exist, and bad identifiers', async (t) => {
  const server = await testServer(t)
  const alice = await server.register('alice')
  await alice.post(`${at('!unknown:test.example')}/join`, {}).fails(404, 'M_NOT_FOUND')
  await alice.post(`${at('!unknown:test.example')}/leave`, {}).fails(404, 'M_NOT_FOUND')
  await alice.post('/join/nonsense', {}).fails(400, 'M_INVALID_PARAM')
  await alice.post(`/join/${encodeURIComponent('#unknown:test.example')}`, {}).fails(404, 'M_NOT_FOUND')
  await server.anonymous().post(`${at('!unknown:test.example')}/join`, {}).fails(401, 'M_MISSING_TOKEN')
})

test('invites: only members invite, only the invited join, a refused invite is gone', async (t) => {
  const server = await testServer(t)
  const [alice, bob, carol] = [await server.register('alice'), await server.register('bob'), await server.register('carol')]
  const room = String((await alice.post('/createRoom', { preset: 'private_chat' }).ok())['room_id'])
  await bob.post(`${at(room)}/join`, {}).fails(403, 'M_FORBIDDEN')
  await bob.post(`${at(room)}/invite`, { user_id: carol.userId }).fails(403, 'M_FORBIDDEN')
  await alice.post(`${at(room)}/invite`, {}).fails(400, 'M_MISSING_PARAM')
  await alice.post(`${at(room)}/invite`, { user_id: 'bob' }).fails(400, 'M_INVALID_PARAM')
  await alice.post(`${at(room)}/invite`, { user_id: bob.userId, reason: 'please' }).ok()
  await bob.post(`${at(room)}/leave`, {}).ok()
  await bob.post(`${at(room)}/join`, {}).fails(403, 'M_FORBIDDEN')
  await alice.post(`${at(room)}/invite`, { user_id: bob.userId }).ok()
  await bob.post(`${at(room)}/join`, {}).ok()
  await alice.post(`${at(room)}/invite`, { user_id: bob.userId }).fails(403, 'M_FORBIDDEN')
})

test('kick, ban and unban follow power', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom()
  const carol = await server.register('carol')
  await carol.post(`${at(room)}/join`, {}).ok()
  const target = { user_id: carol.userId, reason: 'spam' }
  for (const verb of ['kick', 'ban']) await bob.post(`${at(room)}/${verb}`, target).fails(403, 'M_FORBIDDEN')
  await alice.post(`${at(room)}/kick`, target).ok()
  await alice.post(`${at(room)}/kick`, target).fails(403, 'M_FORBIDDEN')
  await carol.post(`${at(room)}/join`, {}).ok()
  await alice.post(`${at(room)}/ban`, target).ok()
  await carol.post(`${at(room)}/join`, {}).fails(403, 'M_FORBIDDEN')
  await alice.post(`${at(room)}/invite`, { user_id: carol.userId }).fails(403, 'M_FORBIDDEN')
  await carol.post(`${at(room)}/leave`, {}).fails(403, 'M_FORBIDDEN')
  await alice.post(`${at(room)}/unban`, target).ok()
  await alice.post(`${at(room)}/unban`, target).fails(403, 'M_FORBIDDEN')
  await carol.post(`${at(room)}/join`, {}).ok()
})

test('knocking, and answering a knock', async (t) => {
  const server = await testServer(t)
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const initial = [{ type: 'm.room.join_rules', state_key: '', content: { join_rule: 'knock' } }]
  const room = String((await alice.post('/createRoom', { initial_state: initial }).ok())['room_id'])
  await bob.post(`${at(room)}/join`, {}).fails(403, 'M_FORBIDDEN')
  assert.deepEqual(await bob.post(`/knock/${encodeURIComponent(room)}`, { reason: 'let me in' }).ok(), { room_id: room })
  await alice.post(`${at(room)}/invite`, { user_id: bob.userId }).ok()
  await bob.post(`${at(room)}/join`, {}).ok()
  const { room: open } = await (async () => ({ room: String((await alice.post('/createRoom', { preset: 'public_chat' }).ok())['room_id']) }))()
  await bob.post(`/knock/${encodeURIComponent(open)}`, {}).fails(403, 'M_FORBIDDEN')
})

test('a restricted room lets in the members of another', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room: space } = await server.withRoom()
  const carol = await server.register('carol')
  const rules = { join_rule: 'restricted', allow: [{ type: 'm.room_membership', room_id: space }] }
  const room = String((await alice.post('/createRoom', { initial_state: [{ type: 'm.room.join_rules', state_key: '', content: rules }] }).ok())['room_id'])
  await carol.post(`${at(room)}/join`, {}).fails(403, 'M_FORBIDDEN')
  await bob.post(`${at(room)}/join`, {}).ok()
  const member = await bob.get(`${at(room)}/state/m.room.member/${encodeURIComponent(bob.userId)}`).ok()
  assert.equal(member['join_authorised_via_users_server'], alice.userId)
})

test('guests join only where guests may', async (t) => {
  const server = await testServer(t)
  const { alice, room } = await server.withRoom()
  const guest = await server.guest()
  await guest.post(`${at(room)}/join`, {}).fails(403, 'M_GUEST_ACCESS_FORBIDDEN')
  await alice.put(`${at(room)}/state/m.room.guest_access/`, { guest_access: 'can_join' }).ok()
  await guest.post(`${at(room)}/join`, {}).ok()
  await guest.post('/createRoom', {}).fails(403, 'M_GUEST_ACCESS_FORBIDDEN')
})

test('forgetting: only after leaving', async (t) => {
  const server = await testServer(t)
  const { bob, room } = await server.withRoom()
  await bob.post(`${at(room)}/forget`, {}).fails(400, 'M_UNKNOWN')
  await bob.post(`${at(room)}/leave`, {}).ok()
  await bob.post(`${at(room)}/forget`, {}).ok()
  const carol = await server.register('carol')
  await carol.post(`${at(room)}/forget`, {}).fails(404, 'M_NOT_FOUND')
})

test('joins are limited per user', async (t) => {
  const server = await testServer(t, { config: 'rc_joins: {local: {per_second: 0.001, burst_count: 1}}\n' })
  const alice = await server.register('alice')
  const rooms = await Promise.all([1, 2].map(async () => String((await alice.post('/createRoom', { preset: 'public_chat' }).ok())['room_id'])))
  const bob = await server.register('bob')
  await bob.post(`${at(rooms[0] ?? '')}/join`, {}).ok()
  const refusal = await bob.post(`${at(rooms[1] ?? '')}/join`, {}).fails(429, 'M_LIMIT_EXCEEDED')
  assert.equal(typeof refusal['retry_after_ms'], 'number')
})

test('a changed display name reaches the rooms', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom()
  const member = `${at(room)}/state/m.room.member/${encodeURIComponent(bob.userId)}`
  const changed = new Promise<void>((resolve) => {
    server.services.eventsStream.onAdvance((entries) => {
      if (entries.some(({ row }) => row.event.event.stateKey === bob.userId)) resolve()
    })
  })
  await bob.put(`/profile/${encodeURIComponent(bob.userId)}/displayname`, { displayname: 'Bobby' }).ok()
  await changed
  assert.equal((await alice.get(member).ok())['displayname'], 'Bobby')
})
