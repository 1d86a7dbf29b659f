/** The variants of endpoints that carry a transaction id, or leave it out. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { testServer } from '#test/kit/test-server.ts'

const at = (room: unknown): string => `/rooms/${encodeURIComponent(String(room))}`

test('a room is made once for each transaction id and device', async (t) => {
  const server = await testServer(t)
  const alice = await server.register('alice')
  const [first, again] = await Promise.all([alice.put('/createRoom/1', { name: 'x' }).ok(), alice.put('/createRoom/1', { name: 'x' }).ok()])
  assert.deepEqual(again, first)
  assert.deepEqual(await alice.put('/createRoom/1?x=y', {}).ok(), first)
  assert.notDeepEqual(await alice.put('/createRoom/2', {}).ok(), first)
  assert.notDeepEqual(await (await server.login('alice')).put('/createRoom/1', {}).ok(), first)
  assert.notDeepEqual(await (await server.register('bob')).put('/createRoom/1', {}).ok(), first)
  await server.anonymous().put('/createRoom/1', {}).fails(401, 'M_MISSING_TOKEN')
  await (await server.guest()).put('/createRoom/1', {}).fails(403, 'M_GUEST_ACCESS_FORBIDDEN')
})

test('a request that failed may be tried again', async (t) => {
  const server = await testServer(t)
  const alice = await server.register('alice')
  await alice.put('/createRoom/1', { room_version: 'none' }).fails(400, 'M_UNSUPPORTED_ROOM_VERSION')
  await alice.put('/createRoom/1', {}).ok()
})

test('memberships with transaction ids', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom()
  const carol = await server.register('carol')
  assert.deepEqual(await carol.put(`/join/${encodeURIComponent(room)}/1`, {}).ok(), { room_id: room })
  await carol.put(`${at(room)}/leave/2`, {}).ok()
  assert.deepEqual(await carol.put(`${at(room)}/join/3`, {}).ok(), { room_id: room })
  await carol.put(`${at(room)}/leave/4`, {}).ok()
  assert.deepEqual(await carol.put(`${at(room)}/join/3`, {}).ok(), { room_id: room })
  assert.deepEqual(await carol.get('/joined_rooms').ok(), { joined_rooms: [] })
  await carol.put(`${at(room)}/forget/5`, {}).ok()
  await alice.put(`${at(room)}/kick/6`, { user_id: bob.userId }).ok()
  await alice.put(`${at(room)}/invite/7`, { user_id: bob.userId }).ok()
  await alice.put(`${at(room)}/ban/8`, { user_id: bob.userId }).ok()
  await alice.put(`${at(room)}/unban/9`, { user_id: bob.userId }).ok()
  await bob.put(`${at(room)}/kick/10`, { user_id: alice.userId }).fails(403, 'M_FORBIDDEN')
})

test('sending and redacting without a transaction id', async (t) => {
  const server = await testServer(t)
  const { alice, room } = await server.withRoom()
  const first = (await alice.post(`${at(room)}/send/m.room.message`, { body: 'x' }).ok())['event_id']
  const second = (await alice.post(`${at(room)}/send/m.room.message`, { body: 'x' }).ok())['event_id']
  assert.notEqual(first, second)
  await alice.post(`${at(room)}/redact/${encodeURIComponent(String(first))}`, { reason: 'typo' }).ok()
  assert.deepEqual((await alice.get(`${at(room)}/event/${encodeURIComponent(String(first))}`).ok())['content'], {})
  await alice.post(`${at(room)}/redact/%24unknown`).fails(400, 'M_INVALID_PARAM')
  await (await server.register('carol')).post(`${at(room)}/send/m.room.message`, {}).fails(403, 'M_FORBIDDEN')
  await server.anonymous().post(`${at(room)}/send/m.room.message`, {}).fails(401, 'M_MISSING_TOKEN')
})
