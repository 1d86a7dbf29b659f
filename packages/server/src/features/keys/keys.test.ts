import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import { isObject, own, type JsonObject, type JsonValue } from '@myelin/protocol/json/json.ts'
import { testServer } from '#test/kit/test-server.ts'
import type { TestClient } from '#test/kit/test-client.ts'
import { deviceKeys, newKey, oneTimeKeys, signed } from './fixture-keys.ts'

/** What is found at a path of keys. */
function at(value: unknown, ...path: string[]): unknown {
  let here: unknown = value
  for (const key of path) here = isObject(here) ? own(here, key) : undefined
  return here
}

function withKey(client: TestClient, key = newKey()) {
  const { userId, deviceId } = client
  return { key, keys: (extra?: JsonObject) => deviceKeys(userId, deviceId, key, extra), oneTime: (count: number, prefix?: string) => oneTimeKeys(userId, deviceId, key, count, prefix) }
}

const claimOf = (client: TestClient, algorithm = 'signed_curve25519') => ({ one_time_keys: { [client.userId]: { [client.deviceId]: algorithm } } })

test('device keys are published with the name of the device', async (t) => {
  const server = await testServer(t)
  const alice = await server.register('alice', { initial_device_display_name: 'Alice\'s "phone"' })
  const { keys } = withKey(alice)
  const uploaded = await alice.post('/keys/upload', { device_keys: { ...keys(), unsigned: { x: 1 } } }).ok()
  assert.deepEqual(uploaded, { one_time_key_counts: { signed_curve25519: 0 } })
  await alice.post('/keys/upload', { device_keys: keys() }).ok()
  const bob = await server.register('bob')
  for (const ids of [[], [alice.deviceId], [alice.deviceId, 'OTHER']]) {
    const reply = await bob.post('/keys/query', { device_keys: { [alice.userId]: ids } }).ok()
    assert.deepEqual(reply['device_keys'], { [alice.userId]: { [alice.deviceId]: { ...keys(), unsigned: { device_display_name: 'Alice\'s "phone"' } } } })
    assert.deepEqual(reply['failures'], {})
    assert.deepEqual(reply['user_signing_keys'], {})
  }
  await alice.put(`/devices/${alice.deviceId}`, { display_name: 'renamed' }).ok()
  const renamed = await bob.post('/keys/query', { device_keys: { [alice.userId]: [] } }).ok()
  assert.equal(at(renamed, 'device_keys', alice.userId, alice.deviceId, 'unsigned', 'device_display_name'), 'renamed')
  const unknown = { '@nobody:test.example': [], '@__proto__:test.example': [], '@x:elsewhere.example': [], 'no user': [], [alice.userId]: ['__proto__'] }
  const reply = await bob.post('/keys/query', { device_keys: unknown, timeout: 1 }).ok()
  assert.deepEqual(reply['device_keys'], { '@nobody:test.example': {}, '@__proto__:test.example': {}, [alice.userId]: {} })
  assert.deepEqual(reply['failures'], { 'elsewhere.example': {} })
})

test('device keys that do not fit are refused, and nothing of the request is stored', async (t) => {
  const server = await testServer(t)
  const alice = await server.register('alice')
  const { key, keys, oneTime } = withKey(alice)
  const good = keys()
  const refused: [unknown, number, string][] = [
    [{ ...good, user_id: '@bob:test.example' }, 400, 'M_INVALID_PARAM'],
    [deviceKeys('@bob:test.example', alice.deviceId, key), 400, 'M_INVALID_PARAM'],
    [deviceKeys(alice.userId, 'OTHER', key), 400, 'M_INVALID_PARAM'],
    [{ ...good, algorithms: 'x' }, 400, 'M_BAD_JSON'],
    [{ ...good, keys: null }, 400, 'M_BAD_JSON'],
    [{ ...good, keys: { [`ed25519:${alice.deviceId}`]: 5 } }, 400, 'M_BAD_JSON'],
    [{ ...good, signatures: {} }, 400, 'M_INVALID_SIGNATURE'],
    [{ ...good, signatures: null }, 400, 'M_BAD_JSON'],
    [{ user_id: alice.userId, device_id: alice.deviceId }, 400, 'M_BAD_JSON'],
    [{ ...good, added: 1 }, 400, 'M_INVALID_SIGNATURE'],
    [signed({ ...good, signatures: {} }, alice.userId, alice.deviceId, newKey()), 400, 'M_INVALID_SIGNATURE'],
    [null, 400, 'M_BAD_JSON'],
    [[], 400, 'M_BAD_JSON'],
    [keys({ padding: 'x'.repeat(70_000) }), 413, 'M_TOO_LARGE'],
  ]
  for (const [value, status, errcode] of refused) {
    await alice.post('/keys/upload', { device_keys: value, one_time_keys: oneTime(1) }).fails(status, errcode)
  }
  const reply = await alice.post('/keys/query', { device_keys: { [alice.userId]: [] } }).ok()
  assert.deepEqual(reply['device_keys'], { [alice.userId]: {} })
  assert.deepEqual(await alice.post('/keys/upload', {}).ok(), { one_time_key_counts: { signed_curve25519: 0 } })
})

test('identity keys of a device do not change in place', async (t) => {
  const server = await testServer(t)
  const alice = await server.register('alice')
  const { keys } = withKey(alice)
  await alice.post('/keys/upload', { device_keys: keys() }).ok()
  await alice.post('/keys/upload', { device_keys: withKey(alice).keys() }).fails(400, 'M_INVALID_PARAM')
  await alice.post('/keys/upload', { device_keys: keys({ dehydrated: false }) }).ok()
  const reply = await alice.post('/keys/query', { device_keys: { [alice.userId]: [] } }).ok()
  assert.equal(at(reply, 'device_keys', alice.userId, alice.deviceId, 'dehydrated'), false)
})

test('one-time keys are counted, and an id keeps its key', async (t) => {
  const server = await testServer(t)
  const alice = await server.register('alice')
  const { oneTime } = withKey(alice)
  const first = oneTime(3)
  assert.deepEqual(await alice.post('/keys/upload', { one_time_keys: first }).ok(), { one_time_key_counts: { signed_curve25519: 3 } })
  assert.deepEqual(await alice.post('/keys/upload', { one_time_keys: first }).ok(), { one_time_key_counts: { signed_curve25519: 3 } })
  const reordered = Object.fromEntries(Object.entries(first).map(([name, key]) => [name, isObject(key) ? Object.fromEntries(Object.entries(key).reverse()) : key]))
  await alice.post('/keys/upload', { one_time_keys: reordered }).ok()
  const conflict = await alice.post('/keys/upload', { one_time_keys: { ...oneTime(1, 'new'), ...oneTime(1) } }).fails(400, 'M_UNKNOWN')
  assert.match(String(conflict['error']), /already exists/)
  const more = await alice.post('/keys/upload', { one_time_keys: { 'curve25519:a': 'text', 'constructor:__proto__': 'plain' } }).ok()
  assert.deepEqual(more['one_time_key_counts'], { signed_curve25519: 3, curve25519: 1, constructor: 1 })
  const refused: [unknown, number, string][] = [
    [null, 400, 'M_BAD_JSON'], [[], 400, 'M_BAD_JSON'],
    [{ noalgorithm: 'x' }, 400, 'M_INVALID_PARAM'], [{ ':x': 'x' }, 400, 'M_INVALID_PARAM'], [{ 'x:': 'x' }, 400, 'M_INVALID_PARAM'],
    [{ 'a:b': null }, 400, 'M_BAD_JSON'], [{ 'a:b': 5 }, 400, 'M_BAD_JSON'], [{ 'a:b': [] }, 400, 'M_BAD_JSON'],
    [{ 'signed_curve25519:b': 'x' }, 400, 'M_BAD_JSON'], [{ 'signed_curve25519:b': { key: 'x' } }, 400, 'M_BAD_JSON'],
    [{ 'a:b': 'x'.repeat(20_000) }, 413, 'M_TOO_LARGE'],
    [Object.fromEntries(Array.from({ length: 1001 }, (_, i) => [`a:${i}`, 'x'])), 413, 'M_TOO_LARGE'],
    [Object.fromEntries(Array.from({ length: 999 }, (_, i) => [`a:${i}`, 'x'])), 413, 'M_TOO_LARGE'],
    [Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`a${i}:x`, 'x'])), 413, 'M_TOO_LARGE'],
  ]
  for (const [value, status, errcode] of refused) await alice.post('/keys/upload', { one_time_keys: value }).fails(status, errcode)
  assert.deepEqual(await alice.post('/keys/upload', {}).ok(), more)
})

test('one hundred claims at once get one hundred keys, in the order of upload; then the fallback key serves', async (t) => {
  const server = await testServer(t)
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const { keys, services } = { services: server.services.keys, keys: withKey(alice) }
  const user = alice.userId as UserId
  await alice.post('/keys/upload', { one_time_keys: keys.oneTime(1, 'early') }).ok()
  const fallback = keys.oneTime(1, 'fallback')
  const counts = await alice.post('/keys/upload', { one_time_keys: keys.oneTime(99), fallback_keys: fallback }).ok()
  assert.deepEqual(counts, { one_time_key_counts: { signed_curve25519: 100 } })
  assert.deepEqual(await services.oneTimeKeyCounts(user, alice.deviceId), { signed_curve25519: 100 })
  assert.deepEqual(await services.unusedFallbackKeyTypes(user, alice.deviceId), ['signed_curve25519'])
  const first = await bob.post('/keys/claim', claimOf(alice)).ok()
  assert.deepEqual(Object.keys((at(first, 'one_time_keys', alice.userId, alice.deviceId) ?? {})), ['signed_curve25519:early0'])
  const claims = await Promise.all(Array.from({ length: 99 }, () => bob.post('/keys/claim', claimOf(alice)).ok()))
  const ids = claims.map((claim) => Object.keys(at(claim, 'one_time_keys', alice.userId, alice.deviceId) ?? {})[0])
  assert.equal(new Set(ids).size, 99)
  assert.ok(!ids.includes('signed_curve25519:fallback0'))
  assert.deepEqual(await services.oneTimeKeyCounts(user, alice.deviceId), { signed_curve25519: 0 })
  assert.deepEqual(await services.unusedFallbackKeyTypes(user, alice.deviceId), ['signed_curve25519'])
  for (let i = 0; i < 2; i++) {
    const last = await bob.post('/keys/claim', claimOf(alice)).ok()
    assert.deepEqual(at(last, 'one_time_keys', alice.userId, alice.deviceId), fallback)
    assert.deepEqual(await services.unusedFallbackKeyTypes(user, alice.deviceId), [])
  }
  await alice.post('/keys/upload', { fallback_keys: fallback }).ok()
  assert.deepEqual(await services.unusedFallbackKeyTypes(user, alice.deviceId), [])
  await alice.post('/keys/upload', { fallback_keys: keys.oneTime(1, 'newer') }).ok()
  assert.deepEqual(await services.unusedFallbackKeyTypes(user, alice.deviceId), ['signed_curve25519'])
  await alice.post('/keys/upload', { fallback_keys: keys.oneTime(2, 'two') }).fails(400, 'M_INVALID_PARAM')
})

test('claims of many devices at once, in whatever order, do not block each other', async (t) => {
  const server = await testServer(t)
  const devices = [await server.register('alice'), await server.login('alice'), await server.register('bob')]
  for (const device of devices) await device.post('/keys/upload', { one_time_keys: withKey(device).oneTime(20) }).ok()
  const body = (order: readonly TestClient[]) => {
    const users = new Map<string, Record<string, string>>()
    for (const { userId, deviceId } of order) users.set(userId, { ...users.get(userId), [deviceId]: 'signed_curve25519' })
    return { one_time_keys: Object.fromEntries(users) }
  }
  const claims = await Promise.all(Array.from({ length: 20 }, (_, i) => devices[0]?.post('/keys/claim', body(i % 2 ? devices : [...devices].reverse())).ok()))
  for (const { userId, deviceId } of devices) {
    assert.equal(new Set(claims.map((claim) => Object.keys(at(claim, 'one_time_keys', userId, deviceId) ?? {})[0])).size, 20)
  }
})

test('claims that find nothing, and claims that make no sense', async (t) => {
  const server = await testServer(t)
  const alice = await server.register('alice')
  const { userId, deviceId } = alice
  for (const [user, device] of [[userId, deviceId], [userId, '__proto__'], ['@__proto__:test.example', deviceId], ['nobody', 'x']] as const) {
    assert.deepEqual(await alice.post('/keys/claim', { one_time_keys: { [user]: { [device]: 'constructor' } } }).ok(), { failures: {}, one_time_keys: {} })
  }
  const remote = await alice.post('/keys/claim', { one_time_keys: { '@x:elsewhere.example': { X: 'signed_curve25519' } } }).ok()
  assert.deepEqual(remote, { failures: { 'elsewhere.example': {} }, one_time_keys: {} })
  await alice.post('/keys/claim', {}).fails(400, 'M_MISSING_PARAM')
  for (const value of [null, [], { [userId]: null }, { [userId]: { X: null } }, { [userId]: ['X'] }]) await alice.post('/keys/claim', { one_time_keys: value }).fails(400, 'M_BAD_JSON')
  await alice.post('/keys/query', {}).fails(400, 'M_MISSING_PARAM')
  for (const value of [null, { [userId]: {} }, { [userId]: null }, { [userId]: [5] }]) await alice.post('/keys/query', { device_keys: value }).fails(400, 'M_BAD_JSON')
})

test('keys go with their device', async (t) => {
  const server = await testServer(t)
  const alice = await server.register('alice')
  const tablet = await server.login('alice')
  const { keys, oneTime } = withKey(tablet)
  await tablet.post('/keys/upload', { device_keys: keys(), one_time_keys: oneTime(2), fallback_keys: oneTime(1, 'f') }).ok()
  const before = server.services.deviceLists.stream.position
  await tablet.post('/logout', {}).ok()
  assert.deepEqual(at(await alice.post('/keys/query', { device_keys: { [alice.userId]: [] } }).ok(), 'device_keys', alice.userId), {})
  assert.deepEqual((await alice.post('/keys/claim', claimOf(tablet)).ok())['one_time_keys'], {})
  const changed = await server.services.deviceLists.changedSince('@x:test.example' as UserId, before, server.services.deviceLists.stream.position)
  assert.deepEqual([...changed], [alice.userId])
})

test('who has to look at whose keys again', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom()
  const { services } = server
  const carol = await server.register('carol')
  const position = () => `s${services.eventsStream.position}_0_0_0_0_0_${services.deviceLists.stream.position}`
  const changes = async (from: string, to = position()) => alice.get(`/keys/changes?from=${from}&to=${to}`).ok()
  const start = position()
  assert.deepEqual(await changes(start), { changed: [], left: [] })
  await bob.post('/keys/upload', { device_keys: withKey(bob).keys() }).ok()
  await carol.post('/keys/upload', { device_keys: withKey(carol).keys() }).ok()
  assert.deepEqual(await changes(start), { changed: [bob.userId], left: [] })
  assert.deepEqual(await changes(position()), { changed: [], left: [] })
  const joined = position()
  await carol.post(`/join/${encodeURIComponent(room)}`, {}).ok()
  assert.deepEqual(await changes(joined), { changed: [carol.userId], left: [] })
  const leaving = position()
  await carol.post(`/rooms/${encodeURIComponent(room)}/leave`, {}).ok()
  assert.deepEqual(await changes(leaving), { changed: [], left: [carol.userId] })
  const far = await services.deviceLists.changedSince(alice.userId as UserId, 0, services.deviceLists.stream.position)
  assert.ok(far.has(carol.userId as UserId))
  await alice.get('/keys/changes?to=x').fails(400, 'M_MISSING_PARAM')
  await alice.get('/keys/changes?from=nonsense&to=s1').fails(400, 'M_INVALID_PARAM')
})

test('guests may use keys, strangers may not', async (t) => {
  const server = await testServer(t)
  const guest = await server.guest()
  await guest.post('/keys/upload', { one_time_keys: withKey(guest).oneTime(1) }).ok()
  await guest.post('/keys/query', { device_keys: {} }).ok()
  await guest.post('/keys/claim', { one_time_keys: {} }).ok()
  await guest.get('/keys/changes?from=s0&to=s0').fails(403, 'M_GUEST_ACCESS_FORBIDDEN')
  const nobody = server.anonymous()
  const paths = ['/keys/upload', '/keys/query', '/keys/claim', '/keys/device_signing/upload', '/keys/signatures/upload']
  for (const path of paths) await nobody.post(path, {}).fails(401, 'M_MISSING_TOKEN')
  for (const path of paths.slice(3)) await guest.post(path, {}).fails(403, 'M_GUEST_ACCESS_FORBIDDEN')
  await guest.post('/_matrix/client/r0/keys/query', { device_keys: {} }).ok()
  await guest.post('/_matrix/client/unstable/keys/query', { device_keys: {} }).ok()
})

test('keys that other servers answer are passed on for the users that were asked for', async (t) => {
  const server = await testServer(t)
  const { database, caches, clock, deviceLists, knownDevices } = server.services
  const { Keys } = await import('./keys.ts')
  const asked: JsonValue[] = []
  const keys = await Keys.open({
    database, caches, clock, deviceLists, knownDevices, isLocal: () => false, showsNamesToServers: false,
    remote: {
      queryKeys: async (name, devices) => {
        asked.push({ [name]: devices })
        return name === 'down.example' ? undefined : { deviceKeys: { '@a:up.example': { D: { x: 1 } }, '@evil:else.example': { E: {} } }, masterKeys: {}, selfSigningKeys: { '@a:up.example': { s: 1 } } }
      },
      claimKeys: async (name) => (name === 'down.example' ? undefined : { '@a:up.example': { D: { 'signed_curve25519:1': {} } }, '@evil:else.example': {} }),
    },
  })
  const [up, down] = ['@a:up.example' as UserId, '@b:down.example' as UserId]
  const answer: unknown = JSON.parse(await keys.query({ requester: '@r:test.example' as UserId, devices: new Map([[up, ['D']], [down, []]]), timeoutMs: 5 }))
  assert.deepEqual(answer, {
    failures: { 'down.example': {} }, device_keys: { [up]: { D: { x: 1 } } }, master_keys: {}, self_signing_keys: { [up]: { s: 1 } }, user_signing_keys: {},
  })
  assert.deepEqual(asked, [{ 'up.example': { [up]: ['D'] } }, { 'down.example': { [down]: [] } }])
  const claimed: unknown = JSON.parse(await keys.claim(new Map([[up, new Map([['D', 'signed_curve25519']])], [down, new Map([['X', 'y']])]]), 5))
  assert.deepEqual(claimed, { failures: { 'down.example': {} }, one_time_keys: { [up]: { D: { 'signed_curve25519:1': {} } } } })
})
