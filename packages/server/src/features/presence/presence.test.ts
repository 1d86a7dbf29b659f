/** Presence at the HTTP door, and how it fades. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import type { TestClient } from '#test/kit/test-client.ts'
import { TestClock } from '#test/kit/test-clock.ts'
import { testServer } from '#test/kit/test-server.ts'
import { Presence } from './presence.ts'

function status(client: TestClient): string {
  return `/presence/${encodeURIComponent(client.userId)}/status`
}

test('presence: set and see', async (t) => {
  const clock = new TestClock()
  const server = await testServer(t, { clock })
  const { alice, bob } = await server.withRoom()
  const stranger = await server.register('stranger')
  assert.deepEqual(await alice.get(status(stranger)).fails(403, 'M_FORBIDDEN').then((body) => body['errcode']), 'M_FORBIDDEN')
  assert.equal((await alice.get(status(bob)).ok())['presence'], 'offline')
  const before = server.services.presence.stream.position
  await bob.put(status(bob), { presence: 'online', status_msg: 'I am here.' }).ok()
  clock.advance(1000)
  assert.deepEqual(await alice.get(status(bob)).ok(), { presence: 'online', status_msg: 'I am here.', last_active_ago: 1000, currently_active: true })
  assert.deepEqual((await server.services.presence.changesSince(before, Infinity)).map((state) => [state.userId, state.value]), [[bob.userId, 'online']])
  await bob.put(status(bob), { presence: 'unavailable' }).ok()
  const now = await bob.get(status(bob)).ok()
  assert.deepEqual([now['presence'], now['status_msg']], ['unavailable', undefined])
  await bob.put(status(bob), { presence: 'offline', status_msg: 'gone' }).ok()
  assert.equal((await alice.get(status(bob)).ok())['status_msg'], 'gone')
  await bob.put(status(bob), { presence: 'offline', status_msg: 'really' }).ok()
  assert.equal((await alice.get(status(bob)).ok())['status_msg'], 'really')
  await bob.put(status(alice), { presence: 'online' }).fails(403, 'M_FORBIDDEN')
  await bob.put(status(bob), { presence: 'asleep' }).fails(400, 'M_BAD_JSON')
  await bob.put(status(bob), { presence: 'busy' }).fails(400, 'M_BAD_JSON')
  await bob.put(status(bob), {}).fails(400, 'M_MISSING_PARAM')
  await bob.put(status(bob), { presence: 'online', status_msg: 'x'.repeat(9000) }).fails(413, 'M_TOO_LARGE')
  await bob.put(status(bob), { presence: 'online', status_msg: 'a\u0000b' }).fails(400, 'M_INVALID_PARAM')
  await bob.get('/presence/nobody/status').fails(400, 'M_INVALID_PARAM')
  await server.anonymous().get(status(bob)).fails(401, 'M_MISSING_TOKEN')
})

test('presence fades: not currently active, idle, offline', async (t) => {
  const clock = new TestClock()
  const server = await testServer(t, { clock })
  const bob = await server.register('bob')
  const { presence } = server.services
  const userId = bob.userId as UserId
  const sync = await presence.syncing(userId, 'PHONE', 'online')
  const at = async (durationMs: number): Promise<unknown[]> => {
    clock.advance(durationMs)
    const { value, currentlyActive } = await presence.get(userId)
    return [value, currentlyActive]
  }
  assert.deepEqual(await at(0), ['online', true])
  assert.deepEqual(await at(60_000), ['online', false])
  presence.active(userId, 'PHONE')
  await presence.get(userId)
  assert.deepEqual(await at(10_000), ['online', true])
  assert.deepEqual(await at(295_000), ['unavailable', false])
  const again = await presence.syncing(userId, 'PHONE', 'online')
  assert.deepEqual(await at(1_000), ['unavailable', false])
  const other = await presence.syncing(userId, 'DESK', 'online')
  assert.deepEqual(await at(1_000), ['online', true])
  sync[Symbol.dispose]()
  again[Symbol.dispose]()
  other[Symbol.dispose]()
  assert.deepEqual(await at(20_000), ['online', true])
  assert.deepEqual(await at(15_000), ['offline', false])
  const silent = await presence.syncing(userId, 'DESK', 'offline')
  assert.deepEqual(await at(5_000), ['offline', false])
  silent[Symbol.dispose]()
})

test('presence that is switched off', async (t) => {
  const server = await testServer(t, { config: 'presence: {enabled: false}\n' })
  const bob = await server.register('bob')
  await bob.put(status(bob), { presence: 'online' }).ok()
  assert.deepEqual(await bob.get(status(bob)).ok(), { presence: 'offline' })
})

test('busy, rooms without presence, the limit', async (t) => {
  const server = await testServer(t, { rateLimits: true, config: 'experimental_features: {msc3026_enabled: true}\nrc_presence: {per_user: {per_second: 0.1, burst_count: 1}}\n' })
  const bob = await server.register('bob')
  const { presence } = server.services
  await presence.set(bob.userId as UserId, bob.deviceId, 'org.matrix.msc3026.busy', undefined)
  assert.equal((await presence.get(bob.userId as UserId)).value, 'org.matrix.msc3026.busy')
  await bob.put(status(bob), { presence: 'online' }).ok()
  await bob.put(status(bob), { presence: 'online' }).fails(429, 'M_LIMIT_EXCEEDED')
})

test('presence survives a restart for a while; remote users; rooms that do not show it', async (t) => {
  const clock = new TestClock()
  const server = await testServer(t, { clock })
  const { alice, bob, room } = await server.withRoom()
  const [aliceId, bobId, remote] = [alice.userId as UserId, bob.userId as UserId, '@remote:elsewhere.example' as UserId]
  await bob.put(status(bob), { presence: 'online', status_msg: 'here' }).ok()
  const needs = {
    ...server.services, logger: { debug: () => undefined, info: () => undefined, warn: () => undefined, error: assert.fail },
    enabled: true, busyEnabled: false, times: { syncOnlineTimeoutMs: 30_000, idleTimeoutMs: 300_000, lastActiveGranularityMs: 60_000 },
  }
  const restarted = await Presence.open({ ...needs, excludedRooms: new Set([room]) })
  assert.equal(restarted.stream.position, server.services.presence.stream.position)
  assert.deepEqual([(await restarted.get(bobId)).value, (await restarted.get(bobId)).statusMsg], ['online', 'here'])
  clock.advance(40_000)
  assert.equal((await restarted.get(bobId)).value, 'offline')
  assert.equal(await restarted.mayBeSeen(aliceId, bobId), false)
  assert.equal(await restarted.mayBeSeen(aliceId, aliceId), true)
  await restarted.receive({ userId: remote, value: 'online', statusMsg: 'a\0b', lastActiveTs: 1, currentlyActive: true })
  await restarted.receive({ userId: bobId, value: 'online', statusMsg: 'forged', lastActiveTs: 1, currentlyActive: true })
  assert.deepEqual([(await restarted.get(remote)).statusMsg, (await restarted.get(bobId)).value], ['ab', 'offline'])
  await restarted[Symbol.asyncDispose]()
})
