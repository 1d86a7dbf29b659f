/** Filters at the HTTP door. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import { testServer } from '#test/kit/test-server.ts'

test('filters: create once, read, refuse', async (t) => {
  const server = await testServer(t)
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const path = `/user/${encodeURIComponent(alice.userId)}/filter`
  const filter = { room: { timeline: { limit: 7 } }, event_fields: ['type'] }
  const { filter_id: id } = await alice.post(path, filter).ok()
  assert.deepEqual(await alice.post(path, filter).ok(), { filter_id: id })
  assert.notDeepEqual(await alice.post(path, {}).ok(), { filter_id: id })
  assert.deepEqual(await alice.get(`${path}/${String(id)}`).ok(), filter)
  assert.ok(await server.services.filters.compiled(alice.userId as UserId, String(id)))
  await alice.get(`${path}/99`).fails(404, 'M_NOT_FOUND')
  await alice.get(`${path}/__proto__`).fails(404, 'M_NOT_FOUND')
  await alice.post(path, { room: { timeline: { limit: 'many' } } }).fails(400, 'M_BAD_JSON')
  await alice.post(path, { presence: { senders: ['nobody'] } }).fails(400, 'M_BAD_JSON')
  await alice.post(path, '3').fails(400, 'M_BAD_JSON')
  await bob.post(path, {}).fails(403, 'M_FORBIDDEN')
  await bob.get(`${path}/${String(id)}`).fails(403, 'M_FORBIDDEN')
  const guest = await server.guest()
  await guest.post(`/user/${encodeURIComponent(guest.userId)}/filter`, {}).ok()
  const same = await Promise.all([1, 2, 3].map(() => alice.post(path, { presence: { limit: 1 } }).ok()))
  assert.equal(new Set(same.map((reply) => reply['filter_id'])).size, 1)
})
