/** Reports at the HTTP door. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { testServer } from '#test/kit/test-server.ts'

test('reports are stored', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom()
  const stranger = await server.register('stranger')
  const at = `/rooms/${encodeURIComponent(room)}`
  const event = encodeURIComponent(String((await alice.put(`${at}/send/m.room.message/1`, { body: 'x' }).ok())['event_id']))
  assert.deepEqual(await bob.post(`${at}/report/${event}`, { reason: 'rude', score: -100 }).ok(), {})
  await bob.post(`${at}/report/${event}`).ok()
  await stranger.post(`${at}/report/${event}`, {}).fails(404, 'M_NOT_FOUND')
  await bob.post(`${at}/report/$unknown`, {}).fails(404, 'M_NOT_FOUND')
  await bob.post(`/rooms/!unknown:x/report/${event}`, {}).fails(404, 'M_NOT_FOUND')
  await bob.post(`${at}/report/${event}`, { reason: 3 }).fails(400, 'M_BAD_JSON')
  await bob.post(`${at}/report/${event}`, { score: 'bad' }).fails(400, 'M_BAD_JSON')
  await bob.post(`${at}/report/${event}`, { reason: 'x'.repeat(10_001) }).fails(413, 'M_TOO_LARGE')
  assert.deepEqual(await stranger.post(`${at}/report`, { reason: '' }).ok(), {})
  await stranger.post('/rooms/!unknown:x/report', { reason: '' }).fails(404, 'M_NOT_FOUND')
  await stranger.post(`${at}/report`, {}).fails(400, 'M_MISSING_PARAM')
  assert.deepEqual(await bob.post(`/users/${encodeURIComponent(alice.userId)}/report`, { reason: 'spam' }).ok(), {})
  assert.deepEqual(await bob.post('/users/@constructor:test.example/report', { reason: 'spam' }).ok(), {})
  await bob.post('/users/nobody/report', { reason: 'spam' }).fails(400, 'M_INVALID_PARAM')
  await server.anonymous().post(`${at}/report`, { reason: '' }).fails(401, 'M_MISSING_TOKEN')
  const { database } = server.services
  const counts = await database.rows<{ events: number; rooms: number; users: number }>(
    'SELECT (SELECT count(*) FROM event_reports) AS events, (SELECT count(*) FROM room_reports) AS rooms, (SELECT count(*) FROM user_reports) AS users', [])
  assert.deepEqual({ ...counts[0] }, { events: 2, rooms: 1, users: 2 })
})

test('reports are limited', async (t) => {
  const server = await testServer(t, { rateLimits: true, config: 'rc_reports: {per_second: 0.001, burst_count: 1}\n' })
  const bob = await server.register('bob')
  await bob.post('/users/@x:test.example/report', { reason: '' }).ok()
  await bob.post('/users/@x:test.example/report', { reason: '' }).fails(429, 'M_LIMIT_EXCEEDED')
})
