import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestClient } from '#test/kit/test-client.ts'
import { testServer } from '#test/kit/test-server.ts'

interface Entry {
  readonly room_id: string
  readonly name: string
  readonly children_state: readonly { readonly state_key: string; readonly origin_server_ts: number }[]
}

const at = (room: string): string => `/rooms/${encodeURIComponent(room)}`
const hierarchy = (room: string, query = ''): string => `/_matrix/client/v1${at(room)}/hierarchy${query}`
const summary = (room: string): string => `/_matrix/client/v1/room_summary/${encodeURIComponent(room)}`

async function make(client: TestClient, name: string, extra: object = {}): Promise<string> {
  return String((await client.post('/createRoom', { name, preset: 'public_chat', ...extra }).ok())['room_id'])
}

const space = { creation_content: { type: 'm.space' } }

async function addChild(client: TestClient, parent: string, child: string, content: object = {}): Promise<void> {
  await client.put(`${at(parent)}/state/m.space.child/${encodeURIComponent(child)}`, { via: ['test.example'], ...content }).ok()
}

async function names(client: TestClient, room: string, query = ''): Promise<string[]> {
  return ((await client.get(hierarchy(room, query)).ok())['rooms'] as Entry[]).map((entry) => entry.name)
}

test('a hierarchy depth first, in order, without circles', async (t) => {
  const server = await testServer(t)
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const root = await make(alice, 'root', space)
  const inner = await make(alice, 'inner', space)
  const [leaf, deep, hidden] = [await make(alice, 'leaf'), await make(alice, 'deep'), await make(alice, 'hidden', { preset: 'private_chat' })]
  const restricted = await make(alice, 'restricted', {
    initial_state: [{ type: 'm.room.join_rules', content: { join_rule: 'restricted', allow: [{ type: 'm.room_membership', room_id: root }] } }],
  })
  await addChild(alice, root, leaf, { order: 'b' })
  await addChild(alice, root, inner, { order: 'a' })
  await addChild(alice, root, hidden)
  await addChild(alice, root, restricted, { suggested: true })
  await addChild(alice, root, '!unknown:test.example')
  await addChild(alice, inner, deep)
  await addChild(alice, inner, root)
  await alice.put(`${at(root)}/state/m.space.child/${encodeURIComponent(deep)}`, {}).ok()
  assert.deepEqual(await names(alice, root), ['root', 'inner', 'deep', 'leaf', 'hidden', 'restricted'])
  assert.deepEqual(await names(bob, root), ['root', 'inner', 'deep', 'leaf'])
  await bob.post(`/join/${encodeURIComponent(root)}`, {}).ok()
  assert.deepEqual(await names(bob, root), ['root', 'inner', 'deep', 'leaf', 'restricted'])
  assert.deepEqual(await names(bob, root, '?max_depth=1'), ['root', 'inner', 'leaf', 'restricted'])
  assert.deepEqual(await names(bob, root, '?max_depth=0'), ['root'])
  assert.deepEqual(await names(bob, root, '?suggested_only=true'), ['root', 'restricted'])
  const first = await bob.get(hierarchy(root, '?limit=2')).ok()
  const [entry] = first['rooms'] as Entry[]
  assert.deepEqual(entry?.children_state.map((child) => child.state_key), [inner, leaf, hidden, restricted, '!unknown:test.example'])
  assert.deepEqual(await names(bob, root, `?limit=2&from=${String(first['next_batch'])}`), ['deep', 'leaf'])
  assert.deepEqual(await names(bob, root, `?limit=2&from=${String(first['next_batch'])}`), ['deep', 'leaf'])
  await bob.get(hierarchy(root, `?limit=2&max_depth=1&from=${String(first['next_batch'])}`)).fails(400, 'M_INVALID_PARAM')
  await alice.get(hierarchy(root, `?from=${String(first['next_batch'])}`)).fails(400, 'M_INVALID_PARAM')
  await bob.get(hierarchy(root, '?from=nonsense')).fails(400, 'M_INVALID_PARAM')
  await bob.get(hierarchy(root, '?limit=0')).fails(400, 'M_INVALID_PARAM')
  await bob.get(hierarchy(hidden)).fails(403, 'M_FORBIDDEN')
  await bob.get(hierarchy('!unknown:test.example')).fails(403, 'M_FORBIDDEN')
  await server.anonymous().get(hierarchy(root)).fails(401, 'M_MISSING_TOKEN')
})

test('who sees a summary', async (t) => {
  const server = await testServer(t)
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const open = await make(alice, 'open', { room_alias_name: 'open', topic: 'about', initial_state: [{ type: 'm.room.encryption', content: { algorithm: 'm.megolm.v1.aes-sha2' } }] })
  const expected = {
    room_id: open, name: 'open', topic: 'about', canonical_alias: '#open:test.example', join_rule: 'public', num_joined_members: 1, guest_can_join: false,
    world_readable: false, encryption: 'm.megolm.v1.aes-sha2', room_version: '12',
  }
  assert.deepEqual(await server.anonymous().get(summary(open)).ok(), expected)
  assert.deepEqual(await bob.get(summary('#open:test.example')).ok(), { ...expected, membership: 'leave' })
  assert.deepEqual(await alice.get(summary(open)).ok(), { ...expected, membership: 'join' })
  const legacy = `/_matrix/client/unstable/im.nheko.summary/rooms/${encodeURIComponent(open)}/summary`
  assert.equal((await bob.get(legacy).ok())['im.nheko.summary.room_version'], '12')
  assert.equal((await bob.get(`/_matrix/client/unstable/im.nheko.summary/summary/${encodeURIComponent(open)}`).ok())['membership'], 'leave')
  const closed = await make(alice, 'closed', { preset: 'private_chat' })
  for (const client of [server.anonymous(), bob]) await client.get(summary(closed)).fails(404, 'M_NOT_FOUND')
  await alice.post(`${at(closed)}/invite`, { user_id: bob.userId }).ok()
  assert.equal((await bob.get(summary(closed)).ok())['membership'], 'invite')
  await alice.post(`${at(closed)}/ban`, { user_id: bob.userId }).ok()
  await bob.get(summary(closed)).fails(404, 'M_NOT_FOUND')
  await alice.post(`${at(open)}/ban`, { user_id: bob.userId }).ok()
  await bob.get(summary(open)).fails(404, 'M_NOT_FOUND')
  await alice.put(`${at(closed)}/state/m.room.join_rules/`, { join_rule: 'knock' }).ok()
  assert.equal((await server.anonymous().get(summary(closed)).ok())['join_rule'], 'knock')
  await alice.get(summary('!unknown:test.example')).fails(404, 'M_NOT_FOUND')
  await alice.get(summary('#unknown:test.example')).fails(404, 'M_NOT_FOUND')
})
