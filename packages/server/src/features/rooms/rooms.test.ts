import assert from 'node:assert/strict'
import { test } from 'node:test'
import { listRoomVersions } from '@myelin/protocol/rooms/versions.ts'
import type { TestClient } from '#test/kit/test-client.ts'
import { testServer } from '#test/kit/test-server.ts'

async function create(client: TestClient, body: unknown): Promise<string> {
  return String((await client.post('/createRoom', body).ok())['room_id'])
}

async function content(client: TestClient, room: string, type: string, key = ''): Promise<Readonly<Record<string, unknown>>> {
  return client.get(`/rooms/${encodeURIComponent(room)}/state/${type}/${encodeURIComponent(key)}`).ok()
}

test('rooms of every version are made', async (t) => {
  const server = await testServer(t)
  const alice = await server.register('alice')
  for (const version of listRoomVersions()) {
    const room = await create(alice, { room_version: version.id })
    const created = await content(alice, room, 'm.room.create')
    assert.equal(created['room_version'], version.id)
    assert.equal(created['creator'], version.creatorField ? alice.userId : undefined)
    assert.equal(room.includes(':'), !version.roomIdIsCreateHash)
  }
  assert.equal((await content(alice, await create(alice, {}), 'm.room.create'))['room_version'], '12')
  await alice.post('/createRoom', { room_version: '99' }).fails(400, 'M_UNSUPPORTED_ROOM_VERSION')
})

test('rooms that are made in the same millisecond are different rooms', async (t) => {
  const server = await testServer(t)
  const alice = await server.register('alice')
  const rooms = await Promise.all(Array.from({ length: 5 }, () => create(alice, { room_version: '12' })))
  assert.equal(new Set(rooms).size, 5)
})

test('presets set rules, history and guest access', async (t) => {
  const server = await testServer(t, { config: 'room_list_publication_rules: [{action: allow}]\n' })
  const alice = await server.register('alice')
  for (const [preset, rule, guests] of [['private_chat', 'invite', 'can_join'], ['trusted_private_chat', 'invite', 'can_join'], ['public_chat', 'public', undefined]]) {
    const room = await create(alice, { preset })
    assert.equal((await content(alice, room, 'm.room.join_rules'))['join_rule'], rule)
    assert.equal((await content(alice, room, 'm.room.history_visibility'))['history_visibility'], 'shared')
    if (guests) assert.equal((await content(alice, room, 'm.room.guest_access'))['guest_access'], guests)
    else await alice.get(`/rooms/${encodeURIComponent(room)}/state/m.room.guest_access`).fails(404, 'M_NOT_FOUND')
  }
  assert.equal((await content(alice, await create(alice, { visibility: 'public' }), 'm.room.join_rules'))['join_rule'], 'public')
  await alice.post('/createRoom', { preset: 'party' }).fails(400, 'M_BAD_JSON')
})

test('initial state goes over the preset, name and topic over initial state', async (t) => {
  const server = await testServer(t)
  const alice = await server.register('alice')
  const initial: { type: string; state_key?: string; content: Record<string, unknown> }[] = [
    { type: 'm.room.history_visibility', state_key: '', content: { history_visibility: 'joined' } },
    { type: 'm.room.name', content: { name: 'first' } },
    { type: 'org.example', state_key: '__proto__', content: { constructor: 1 } },
  ]
  const room = await create(alice, { initial_state: initial, name: 'second', topic: 'about', creation_content: { type: 'm.space', room_version: '1' } })
  assert.equal((await content(alice, room, 'm.room.history_visibility'))['history_visibility'], 'joined')
  assert.equal((await content(alice, room, 'm.room.name'))['name'], 'second')
  assert.equal((await content(alice, room, 'm.room.topic'))['topic'], 'about')
  assert.deepEqual(await content(alice, room, 'org.example', '__proto__'), { constructor: 1 })
  const created = await content(alice, room, 'm.room.create')
  assert.equal(created['type'], 'm.space')
  assert.equal(created['room_version'], '12')
})

test('power: overrides, creators of version 12, trusted chats', async (t) => {
  const server = await testServer(t)
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const old = await create(alice, { room_version: '11', preset: 'trusted_private_chat', invite: [bob.userId], power_level_content_override: { events_default: 10 } })
  const levels = await content(alice, old, 'm.room.power_levels')
  assert.deepEqual(levels['users'], { [alice.userId]: 100, [bob.userId]: 100 })
  assert.equal(levels['events_default'], 10)
  const room = await create(alice, { preset: 'trusted_private_chat', invite: [bob.userId] })
  assert.deepEqual((await content(alice, room, 'm.room.create'))['additional_creators'], [bob.userId])
  assert.deepEqual((await content(alice, room, 'm.room.power_levels'))['users'], {})
  await alice.post('/createRoom', { power_level_content_override: { users: { [alice.userId]: 100 } } }).fails(400, 'M_BAD_JSON')
  await alice.post('/createRoom', { creation_content: { additional_creators: ['nobody'] } }).fails(400, 'M_BAD_JSON')
})

test('invitees are invited, with the direct flag', async (t) => {
  const server = await testServer(t)
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const room = await create(alice, { invite: [bob.userId], is_direct: true })
  const member = await content(alice, room, 'm.room.member', bob.userId)
  assert.equal(member['membership'], 'invite')
  assert.equal(member['is_direct'], true)
  await bob.post(`/join/${encodeURIComponent(room)}`, {}).ok()
  await alice.post('/createRoom', { invite: ['bob'] }).fails(400, 'M_INVALID_PARAM')
})

test('a room that breaks its own rules is not made', async (t) => {
  const server = await testServer(t)
  const alice = await server.register('alice')
  const before = (await alice.get('/joined_rooms').ok())['joined_rooms']
  await alice.post('/createRoom', { room_version: '11', power_level_content_override: { users: { [alice.userId]: 0 } }, name: 'x' }).fails(400, 'M_INVALID_ROOM_STATE')
  await alice.post('/createRoom', { name: 'x'.repeat(70_000) }).fails(413, 'M_TOO_LARGE')
  await alice.post('/createRoom', { initial_state: [{ content: {} }] }).fails(400, 'M_MISSING_PARAM')
  await alice.post('/createRoom', 'nonsense').fails(400, 'M_NOT_JSON')
  assert.deepEqual((await alice.get('/joined_rooms').ok())['joined_rooms'], before)
})

test('room creations are limited', async (t) => {
  const server = await testServer(t, { config: 'rc_room_creation: {per_second: 0.001, burst_count: 1}\n' })
  const alice = await server.register('alice')
  await create(alice, {})
  await alice.post('/createRoom', {}).fails(429, 'M_LIMIT_EXCEEDED')
})
