import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestClient } from '#test/kit/test-client.ts'
import { testServer } from '#test/kit/test-server.ts'

interface Found {
  readonly user_id: string
  readonly display_name?: string
}

const at = (room: string): string => `/rooms/${encodeURIComponent(room)}`

async function search(client: TestClient, term: string, limit?: number): Promise<string[]> {
  const body = await client.post('/user_directory/search', { search_term: term, ...(limit === undefined ? {} : { limit }) }).ok()
  return (body['results'] as Found[]).map((user) => user.user_id.slice(1, user.user_id.indexOf(':')))
}

async function rename(client: TestClient, displayname: string): Promise<void> {
  await client.put(`/profile/${encodeURIComponent(client.userId)}/displayname`, { displayname }).ok()
}

test('who finds whom', async (t) => {
  const server = await testServer(t)
  const { alice, bob } = await server.withRoom({ preset: 'private_chat', invite: ['@bob:test.example'] })
  const carol = await server.register('carol')
  await rename(bob, 'Róbert the Builder')
  assert.deepEqual(await search(alice, 'bob'), ['bob'])
  assert.deepEqual(await search(alice, 'BUILD'), ['bob'])
  assert.deepEqual(await search(alice, 'róBERT bui'), ['bob'])
  assert.deepEqual(await search(alice, 'builder carol'), [])
  assert.deepEqual(await search(alice, '@bob:test'), ['bob'])
  assert.deepEqual(await search(alice, 'bob:elsewhere'), [])
  assert.deepEqual(await search(alice, 'alice'), [])
  assert.deepEqual(await search(alice, 'carol'), [])
  assert.deepEqual(await search(carol, 'bob'), [])
  const room = String((await bob.post('/createRoom', { preset: 'public_chat' }).ok())['room_id'])
  assert.deepEqual(await search(carol, 'bob'), ['bob'])
  assert.deepEqual(await search(bob, 'bob'), ['bob'], 'who is in a room that all may join also finds themselves')
  await bob.put(`${at(room)}/state/m.room.join_rules/`, { join_rule: 'invite' }).ok()
  assert.deepEqual(await search(carol, 'bob'), [])
  await bob.put(`${at(room)}/state/m.room.history_visibility/`, { history_visibility: 'world_readable' }).ok()
  assert.deepEqual(await search(carol, 'bob'), ['bob'])
  await bob.post(`${at(room)}/leave`, {}).ok()
  assert.deepEqual(await search(carol, 'bob'), [])
  await rename(bob, 'Someone')
  assert.deepEqual(await search(alice, 'builder'), [])
  await carol.post('/user_directory/search', {}).fails(400, 'M_MISSING_PARAM')
  await server.anonymous().post('/user_directory/search', { search_term: 'x' }).fails(401, 'M_MISSING_TOKEN')
  for (const term of ['', ' ', '%', '@', ':', '*a*a*a*', '\u{10ffff}', 'x'.repeat(50_000)]) assert.deepEqual(await search(alice, term), [])
  assert.deepEqual(server.errors, [])
})

test('names of one room stay there', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom()
  await bob.put(`${at(room)}/state/m.room.member/${encodeURIComponent(bob.userId)}`, { membership: 'join', displayname: 'Nickname' }).ok()
  assert.deepEqual(await search(alice, 'nickname'), [])
  const body = await alice.post('/user_directory/search', { search_term: 'bob' }).ok()
  assert.notEqual((body['results'] as Found[])[0]?.display_name, 'Nickname')
})

test('everybody is searched, ranked, limited', async (t) => {
  const server = await testServer(t, { config: 'user_directory: {search_all_users: true}\n' })
  const alice = await server.register('alice')
  for (const name of ['sam', 'samantha', 'constructor', 'zsam', 'other']) await server.register(name)
  await rename(await server.login('other'), 'Uncle Sam')
  assert.deepEqual(await search(alice, 'sam'), ['sam', 'samantha', 'other'])
  const limited = await alice.post('/user_directory/search', { search_term: 'sam', limit: 1 }).ok()
  assert.deepEqual([(limited['results'] as Found[]).length, limited['limited']], [1, true])
  assert.deepEqual(await search(alice, 'constructor'), ['constructor'])
  assert.deepEqual(await search(alice, '__proto__'), [])
  const off = await testServer(t, { config: 'user_directory: {enabled: false, search_all_users: true}\n' })
  const carol = await off.register('carol')
  await off.register('dave')
  assert.deepEqual(await search(carol, 'dave'), [])
})

test('mutual rooms', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom()
  const get = (client: TestClient, query: string) => client.get(`/_matrix/client/v1/mutual_rooms?${query}`)
  assert.deepEqual(await get(alice, `user_id=${encodeURIComponent(bob.userId)}`).ok(), { joined: [room], count: 1 })
  assert.deepEqual(await get(alice, 'user_id=%40nobody%3Atest.example').ok(), { joined: [], count: 0 })
  const unstable = `/_matrix/client/unstable/uk.half-shot.msc2666/user/mutual_rooms?user_id=${encodeURIComponent(bob.userId)}`
  assert.deepEqual(await alice.get(unstable).ok(), { joined: [room], count: 1 })
  await get(alice, `user_id=${encodeURIComponent(alice.userId)}`).fails(400, 'M_INVALID_PARAM')
  await get(alice, 'user_id=bob').fails(400, 'M_INVALID_PARAM')
  await get(alice, `user_id=${encodeURIComponent(bob.userId)}&from=x`).fails(400, 'M_INVALID_PARAM')
  await get(alice, '').fails(400, 'M_MISSING_PARAM')
  await get(server.anonymous(), 'user_id=x').fails(401, 'M_MISSING_TOKEN')
  await bob.post(`${at(room)}/leave`, {}).ok()
  assert.deepEqual(await get(alice, `user_id=${encodeURIComponent(bob.userId)}`).ok(), { joined: [], count: 0 })
})
