import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestClient } from '#test/kit/test-client.ts'
import { testServer } from '#test/kit/test-server.ts'

const at = (room: string): string => `/rooms/${encodeURIComponent(room)}`
const alias = (name: string): string => `/directory/room/${encodeURIComponent(name)}`
const openRules = 'room_list_publication_rules: [{action: allow}]\n'

interface Page {
  readonly chunk: readonly { readonly room_id: string; readonly name?: string; readonly num_joined_members: number }[]
  readonly next_batch?: string
  readonly prev_batch?: string
  readonly total_room_count_estimate: number
}

test('an alias lives and dies', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom()
  const stranger = await server.register('stranger')
  await alice.put(alias('#one:test.example'), { room_id: room }).ok()
  const target = await server.anonymous().get(alias('#one:test.example')).ok()
  assert.deepEqual(target, { room_id: room, servers: ['test.example'] })
  await bob.put(alias('#one:test.example'), { room_id: room }).fails(409, 'M_UNKNOWN')
  await stranger.put(alias('#two:test.example'), { room_id: room }).fails(403, 'M_FORBIDDEN')
  await alice.put(alias('#two:elsewhere.example'), { room_id: room }).fails(400, 'M_INVALID_PARAM')
  await alice.put(alias('#a b:test.example'), { room_id: room }).fails(400, 'M_INVALID_PARAM')
  await alice.put(alias('no alias'), { room_id: room }).fails(400, 'M_INVALID_PARAM')
  await alice.put(alias('#two:test.example'), {}).fails(400, 'M_MISSING_PARAM')
  await alice.put(alias('#two:test.example'), { room_id: '!unknown:test.example' }).fails(404, 'M_NOT_FOUND')
  await server.anonymous().put(alias('#two:test.example'), { room_id: room }).fails(401, 'M_MISSING_TOKEN')
  await bob.get(alias('#none:test.example')).fails(404, 'M_NOT_FOUND')
  await bob.get(alias('#none:elsewhere.example')).fails(404, 'M_NOT_FOUND')
  await bob.post(`/join/${encodeURIComponent('#one:test.example')}`, {}).ok()
  await bob.put(alias('#bobs:test.example'), { room_id: room }).ok()
  assert.deepEqual(await bob.get(`${at(room)}/aliases`).ok(), { aliases: ['#one:test.example', '#bobs:test.example'] })
  await stranger.get(`${at(room)}/aliases`).fails(403, 'M_FORBIDDEN')
  await stranger.get(`${at('!unknown:test.example')}/aliases`).fails(403, 'M_FORBIDDEN')
  await bob.delete(alias('#one:test.example')).fails(403, 'M_FORBIDDEN')
  await stranger.delete(alias('#one:test.example')).fails(403, 'M_FORBIDDEN')
  await alice.delete(alias('#bobs:test.example')).ok()
  await alice.delete(alias('#bobs:test.example')).fails(404, 'M_NOT_FOUND')
  await alice.put(`${at(room)}/state/m.room.history_visibility/`, { history_visibility: 'world_readable' }).ok()
  assert.deepEqual(await stranger.get(`${at(room)}/aliases`).ok(), { aliases: ['#one:test.example'] })
})

test('a deleted alias vanishes from the canonical ones', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom()
  for (const name of ['#one:test.example', '#two:test.example', '#three:test.example']) await bob.put(alias(name), { room_id: room }).ok()
  const content = { alias: '#one:test.example', alt_aliases: ['#two:test.example', '#three:test.example'] }
  await alice.put(`${at(room)}/state/m.room.canonical_alias/`, content).ok()
  await alice.delete(alias('#one:test.example')).ok()
  const path = `${at(room)}/state/m.room.canonical_alias/`
  assert.deepEqual(await alice.get(path).ok(), { alt_aliases: ['#two:test.example', '#three:test.example'] })
  await alice.delete(alias('#two:test.example')).ok()
  assert.deepEqual(await alice.get(path).ok(), { alt_aliases: ['#three:test.example'] })
  await bob.delete(alias('#three:test.example')).ok()
  assert.deepEqual(await alice.get(path).ok(), { alt_aliases: ['#three:test.example'] })
})

test('rooms are made with aliases', async (t) => {
  const server = await testServer(t, { config: openRules })
  const alice = await server.register('alice')
  const made = await alice.post('/createRoom', { room_alias_name: '__proto__', visibility: 'public', name: 'Proto' }).ok()
  assert.equal((await alice.get(alias('#__proto__:test.example')).ok())['room_id'], made['room_id'])
  await alice.post('/createRoom', { room_alias_name: '__proto__' }).fails(400, 'M_ROOM_IN_USE')
  await alice.post('/createRoom', { room_alias_name: 'a b' }).fails(400, 'M_INVALID_PARAM')
  const page = await alice.get('/publicRooms').ok()
  assert.deepEqual(page['chunk'], [{
    room_id: made['room_id'], name: 'Proto', canonical_alias: '#__proto__:test.example', num_joined_members: 1, join_rule: 'public',
    world_readable: false, guest_can_join: false,
  }])
})

test('rules decide who makes aliases and publishes', async (t) => {
  const config = 'alias_creation_rules: [{user_id: "@bob:*", action: deny}, {alias: "#ok*", action: allow}]\n'
  const server = await testServer(t, { config })
  const { alice, bob, room } = await server.withRoom()
  await alice.put(alias('#ok1:test.example'), { room_id: room }).ok()
  await alice.put(alias('#other:test.example'), { room_id: room }).fails(403, 'M_FORBIDDEN')
  await bob.put(alias('#ok2:test.example'), { room_id: room }).fails(403, 'M_FORBIDDEN')
  await alice.post('/createRoom', { room_alias_name: 'other' }).fails(403, 'M_FORBIDDEN')
  await alice.post('/createRoom', { visibility: 'public' }).fails(403, 'M_FORBIDDEN')
  const list = `/directory/list/room/${encodeURIComponent(room)}`
  await alice.put(list, { visibility: 'public' }).fails(403, 'M_FORBIDDEN')
  const admin = await server.admin()
  await admin.put(list, {}).ok()
  assert.deepEqual(await server.anonymous().get(list).ok(), { visibility: 'public' })
  await bob.put(list, { visibility: 'private' }).fails(403, 'M_FORBIDDEN')
  await alice.put(list, { visibility: 'private' }).ok()
  assert.deepEqual(await server.anonymous().get(list).ok(), { visibility: 'private' })
  await alice.put(list, { visibility: 'secret' }).fails(400, 'M_BAD_JSON')
  await server.anonymous().put(list, {}).fails(401, 'M_MISSING_TOKEN')
  await alice.get('/directory/list/room/!unknown:test.example').fails(404, 'M_NOT_FOUND')
  await alice.put('/directory/list/room/!unknown:test.example', {}).fails(404, 'M_NOT_FOUND')
  await alice.put(`/directory/list/appservice/net/${encodeURIComponent(room)}`, { visibility: 'public' }).fails(403, 'M_FORBIDDEN')
})

async function pageOf(client: TestClient, body: object): Promise<Page> {
  const reply = await client.post('/publicRooms', body)
  assert.equal(reply.status, 200, reply.text)
  return JSON.parse(reply.text)
}

test('published rooms page by page', async (t) => {
  const server = await testServer(t, { config: openRules })
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const make = async (body: object): Promise<string> =>
    String((await alice.post('/createRoom', { preset: 'public_chat', visibility: 'public', ...body }).ok())['room_id'])
  const rooms = [await make({ name: 'Gärten', topic: 'Roses' }), await make({ name: 'Cars' }), await make({ name: 'S', creation_content: { type: 'm.space' } })]
  await bob.post(`/join/${encodeURIComponent(String(rooms[1]))}`, {}).ok()
  await make({ name: 'hidden', visibility: 'private' })
  const all = await pageOf(bob, {})
  assert.deepEqual([all.chunk[0]?.name, all.chunk.length, all.total_room_count_estimate, all.next_batch, all.prev_batch], ['Cars', 3, 3, undefined, undefined])
  const first = await pageOf(bob, { limit: 1 })
  const second = await pageOf(bob, { limit: 1, since: first.next_batch })
  const third = await pageOf(bob, { limit: 1, since: second.next_batch })
  assert.deepEqual([first, second, third].map((page) => page.chunk[0]?.room_id), all.chunk.map((room) => room.room_id))
  assert.equal(third.next_batch, undefined)
  assert.deepEqual((await pageOf(bob, { limit: 1, since: third.prev_batch })).chunk, second.chunk)
  const names = async (filter: object): Promise<(string | undefined)[]> => (await pageOf(bob, { filter })).chunk.map((room) => room.name)
  assert.deepEqual(await names({ generic_search_term: 'GÄRT' }), ['Gärten'])
  assert.deepEqual(await names({ generic_search_term: 'roses' }), ['Gärten'])
  assert.deepEqual(await names({ generic_search_term: 'none' }), [])
  assert.deepEqual(await names({ room_types: ['m.space'] }), ['S'])
  assert.equal((await names({ room_types: [null] })).length, 2)
  assert.deepEqual((await pageOf(bob, { third_party_instance_id: 'irc' })).chunk, [])
  assert.equal((await pageOf(bob, { include_all_networks: true })).chunk.length, 3)
  assert.equal(((await bob.get('/publicRooms?limit=2&server=test.example').ok())['chunk'] as unknown[]).length, 2)
  await bob.get('/publicRooms?since=nonsense').fails(400, 'M_INVALID_PARAM')
  await bob.get('/publicRooms?server=elsewhere.example').fails(403, 'M_FORBIDDEN')
  await bob.get('/publicRooms?server=else%20where').fails(400, 'M_INVALID_PARAM')
  await server.anonymous().get('/publicRooms').fails(401, 'M_MISSING_TOKEN')
  await server.anonymous().post('/publicRooms', {}).fails(401, 'M_MISSING_TOKEN')
  await bob.post('/publicRooms', { filter: { room_types: 'm.space' } }).fails(400, 'M_BAD_JSON')
})

test('the list follows what happens in its rooms', async (t) => {
  const server = await testServer(t, { config: openRules })
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const make = async (name: string): Promise<string> =>
    String((await alice.post('/createRoom', { preset: 'public_chat', visibility: 'public', name }).ok())['room_id'])
  const [first, second] = [await make('first'), await make('second')]
  const list = async (query: object = {}): Promise<(string | number | undefined)[][]> =>
    (await pageOf(bob, query)).chunk.map((room) => [room.room_id, room.name, room.num_joined_members])
  const sorted = [first, second].sort().map((room) => [room, room === first ? 'first' : 'second', 1])
  assert.deepEqual(await list(), sorted)
  await bob.post(`/join/${encodeURIComponent(second)}`, {}).ok()
  assert.deepEqual(await list(), [[second, 'second', 2], [first, 'first', 1]])
  await bob.post(`/rooms/${encodeURIComponent(second)}/leave`, {}).ok()
  const named = await alice.put(`/rooms/${encodeURIComponent(first)}/state/m.room.name`, { name: 'offending' }).ok()
  assert.ok((await list()).some(([, name]) => name === 'offending'))
  await alice.put(`/rooms/${encodeURIComponent(first)}/redact/${encodeURIComponent(String(named['event_id']))}/t1`, {}).ok()
  assert.deepEqual((await list()).find(([room]) => room === first), [first, undefined, 1])
  await alice.put(`/directory/list/room/${encodeURIComponent(second)}`, { visibility: 'private' }).ok()
  assert.deepEqual((await list()).map(([room]) => room), [first])
  assert.deepEqual((await list({ include_all_networks: true })).map(([room]) => room), [first])
  const upgraded = String((await alice.post(`/rooms/${encodeURIComponent(first)}/upgrade`, { new_version: '11' }).ok())['replacement_room'])
  assert.deepEqual((await list()).map(([room]) => room), [upgraded])
  await alice.post(`/rooms/${encodeURIComponent(upgraded)}/leave`, {}).ok()
  assert.deepEqual(await list(), [])
})

test('options of the directory', async (t) => {
  const closed = await testServer(t, { config: `${openRules}enable_room_list_search: false\nallow_public_rooms_without_auth: true\n` })
  const alice = await closed.register('alice')
  await alice.post('/createRoom', { visibility: 'public' }).ok()
  assert.deepEqual(await closed.anonymous().get('/publicRooms').ok(), { chunk: [], total_room_count_estimate: 0 })
  const open = await testServer(t, { config: 'require_membership_for_aliases: false\n' })
  const { room } = await open.withRoom()
  const stranger = await open.register('stranger')
  await stranger.put(alias('#from-outside:test.example'), { room_id: room }).ok()
})
