/** Typing notifications at the HTTP door. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import { TestClock } from '#test/kit/test-clock.ts'
import { testServer } from '#test/kit/test-server.ts'

test('typing: start, expire, stop, leave', async (t) => {
  const clock = new TestClock()
  const server = await testServer(t, { clock })
  const { alice, bob, room } = await server.withRoom()
  const { typing, rooms } = server.services
  const { nid } = await rooms.require(room)
  const path = `/rooms/${encodeURIComponent(room)}/typing/${encodeURIComponent(bob.userId)}`
  const before = typing.stream.position
  assert.deepEqual(await bob.put(path, { typing: true, timeout: 1000 }).ok(), {})
  await bob.put(path, { typing: true, timeout: 5000 }).ok()
  clock.advance(4_999)
  assert.deepEqual(typing.inRoom(nid), [bob.userId])
  clock.advance(1)
  assert.deepEqual(typing.inRoom(nid), [])
  assert.deepEqual(typing.stream.since(before)?.map(({ row }) => row.typing), [true, true, false])
  await bob.put(path, { typing: true, timeout: 10 ** 12 }).ok()
  clock.advance(119_999)
  assert.deepEqual(typing.inRoom(nid), [bob.userId])
  clock.advance(1)
  assert.deepEqual(typing.inRoom(nid), [])
  await bob.put(path, { typing: true }).ok()
  await bob.put(path, { typing: false }).ok()
  assert.deepEqual(typing.inRoom(nid), [])
  await bob.put(path, { typing: true }).ok()
  await bob.post(`/rooms/${encodeURIComponent(room)}/leave`, {}).ok()
  assert.deepEqual(typing.inRoom(nid), [])
  await bob.put(path, { typing: true }).fails(403, 'M_FORBIDDEN')
  await alice.put(path, { typing: true }).fails(403, 'M_FORBIDDEN')
  await alice.put(path, {}).fails(400, 'M_MISSING_PARAM')
  await alice.put(path, { typing: 'yes' }).fails(400, 'M_BAD_JSON')
  await alice.put(`/rooms/notaroom/typing/${encodeURIComponent(alice.userId)}`, { typing: true }).fails(400, 'M_INVALID_PARAM')
  await alice.put(`/rooms/!x:y/typing/${encodeURIComponent(alice.userId)}`, { typing: true }).fails(403, 'M_FORBIDDEN')
  await typing.receive(await rooms.require(room), '@stranger:remote.example' as UserId, true)
  assert.deepEqual(typing.inRoom(nid), [])
})
