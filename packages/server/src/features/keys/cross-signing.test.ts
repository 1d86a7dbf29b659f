import assert from 'node:assert/strict'
import { test } from 'node:test'
import { signaturesOf } from '@myelin/protocol/crypto/sign-json.ts'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import { isObject, own, type JsonObject } from '@myelin/protocol/json/json.ts'
import { testServer } from '#test/kit/test-server.ts'
import type { TestClient } from '#test/kit/test-client.ts'
import { CrossSigningKeys, crossSigningKey, deviceKeys, newKey, signed } from './fixture-keys.ts'

const uploadPath = '/keys/device_signing/upload'

function at(value: unknown, ...path: string[]): JsonObject {
  let here: unknown = value
  for (const key of path) here = isObject(here) ? own(here, key) : undefined
  return isObject(here) ? here : {}
}

async function query(client: TestClient, userId: string): Promise<{ device: (id: string) => JsonObject; master: JsonObject; selfSigning: JsonObject; userSigning: JsonObject }> {
  const reply = await client.post('/keys/query', { device_keys: { [userId]: [] } }).ok()
  const key = (kind: string) => at(reply, `${kind}_keys`, userId)
  return { device: (id) => at(reply, 'device_keys', userId, id), master: key('master'), selfSigning: key('self_signing'), userSigning: key('user_signing') }
}

/** Repeats a request with the user's password. */
async function confirmed(client: TestClient, name: string, body: JsonObject): Promise<Readonly<Record<string, unknown>>> {
  const challenge = await client.post(uploadPath, body)
  assert.equal(challenge.status, 401, challenge.text)
  const auth = { type: 'm.login.password', session: String(challenge.body['session']), identifier: { type: 'm.id.user', user: name }, password: `password-of-${name}` }
  return client.post(uploadPath, { ...body, auth }).ok()
}

test('the first keys, and the same keys again, need no confirmation; other keys do', async (t) => {
  const server = await testServer(t)
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const keys = new CrossSigningKeys(alice.userId)
  await alice.post(uploadPath, keys.upload).ok()
  await alice.post(uploadPath, keys.upload).ok()
  await alice.post(uploadPath, { master_key: own(keys.upload, 'master_key') }).ok()
  const mine = await query(alice, alice.userId)
  assert.deepEqual(mine.master, { ...crossSigningKey(alice.userId, 'master', keys.master) })
  assert.deepEqual(mine.selfSigning, own(keys.upload, 'self_signing_key'))
  assert.deepEqual(mine.userSigning, own(keys.upload, 'user_signing_key'))
  const seen = await query(bob, alice.userId)
  assert.deepEqual([seen.master, seen.selfSigning, seen.userSigning], [mine.master, mine.selfSigning, {}])

  const other = new CrossSigningKeys(alice.userId)
  const refusal = await alice.post(uploadPath, other.upload)
  assert.equal(refusal.status, 401)
  assert.deepEqual(at(refusal.body, 'flows', '0'), {})
  assert.deepEqual((await query(bob, alice.userId)).master, mine.master)
  const position = server.services.deviceLists.stream.position
  assert.deepEqual(await confirmed(alice, 'alice', other.upload), {})
  assert.deepEqual((await query(bob, alice.userId)).selfSigning, own(other.upload, 'self_signing_key'))
  assert.ok((await server.services.deviceLists.changedSince(bob.userId as UserId, position, server.services.deviceLists.stream.position)).has(alice.userId as UserId))
})

test('a new key of one kind needs a confirmation as well, and a new master key drops what hung on the old one', async (t) => {
  const server = await testServer(t)
  const alice = await server.register('alice')
  const device = newKey()
  await alice.post('/keys/upload', { device_keys: deviceKeys(alice.userId, alice.deviceId, device) }).ok()
  const keys = new CrossSigningKeys(alice.userId)
  await alice.post(uploadPath, { master_key: own(keys.upload, 'master_key') }).ok()
  assert.equal((await alice.post(uploadPath, keys.upload)).status, 401)
  await confirmed(alice, 'alice', keys.upload)
  const signedDevice = signed(deviceKeys(alice.userId, alice.deviceId, device), alice.userId, keys.selfSigning.publicKey, keys.selfSigning)
  await alice.post('/keys/signatures/upload', { [alice.userId]: { [alice.deviceId]: signedDevice } }).ok()
  assert.equal(signaturesOf((await query(alice, alice.userId)).device(alice.deviceId), alice.userId).size, 2)
  await confirmed(alice, 'alice', { master_key: crossSigningKey(alice.userId, 'master', newKey()) })
  const now = await query(alice, alice.userId)
  assert.deepEqual([now.selfSigning, now.userSigning], [{}, {}])
  assert.deepEqual([...signaturesOf(now.device(alice.deviceId), alice.userId).keys()], [`ed25519:${alice.deviceId}`])
})

test('an administrator can allow a replacement', async (t) => {
  const server = await testServer(t)
  const alice = await server.register('alice')
  const { crossSigning } = server.services.keys
  assert.equal(await crossSigning.allowReplacement(alice.userId as UserId, Date.now() + 60_000), false)
  await alice.post(uploadPath, new CrossSigningKeys(alice.userId).upload).ok()
  assert.equal(await crossSigning.allowReplacement(alice.userId as UserId, Date.now() - 1), true)
  assert.equal((await alice.post(uploadPath, new CrossSigningKeys(alice.userId).upload)).status, 401)
  await crossSigning.allowReplacement(alice.userId as UserId, Date.now() + 60_000)
  await alice.post(uploadPath, new CrossSigningKeys(alice.userId).upload).ok()
  assert.equal((await alice.post(uploadPath, new CrossSigningKeys(alice.userId).upload)).status, 401)
})

test('malformed and badly signed cross-signing keys are refused', async (t) => {
  const server = await testServer(t)
  const alice = await server.register('alice')
  const device = newKey()
  await alice.post('/keys/upload', { device_keys: deviceKeys(alice.userId, alice.deviceId, device) }).ok()
  const keys = new CrossSigningKeys(alice.userId)
  const { master_key: master = {}, self_signing_key: selfSigning = {}, user_signing_key: userSigning = {} } = keys.upload
  assert.ok(isObject(master) && isObject(selfSigning) && isObject(userSigning))
  const foreign = newKey()
  const refused: [JsonObject, number, string][] = [
    [{ self_signing_key: selfSigning }, 400, 'M_MISSING_PARAM'],
    [{ master_key: null }, 400, 'M_BAD_JSON'],
    [{ master_key: [] }, 400, 'M_BAD_JSON'],
    [{ master_key: { ...master, user_id: '@bob:test.example' } }, 400, 'M_INVALID_PARAM'],
    [{ master_key: { ...master, usage: ['self_signing'] } }, 400, 'M_INVALID_PARAM'],
    [{ master_key: { ...master, usage: 'master' } }, 400, 'M_INVALID_PARAM'],
    [{ master_key: { ...master, keys: {} } }, 400, 'M_INVALID_PARAM'],
    [{ master_key: { ...master, keys: { a: 'b', c: 'd' } } }, 400, 'M_INVALID_PARAM'],
    [{ master_key: { ...master, keys: { 'ed25519:x': keys.master.publicKey } } }, 400, 'M_INVALID_PARAM'],
    [{ master_key: { ...master, keys: { 'ed25519:x': 'x' } } }, 400, 'M_INVALID_PARAM'],
    [{ master_key: { ...master, padding: 'x'.repeat(20_000) } }, 413, 'M_TOO_LARGE'],
    [{ master_key: { ...master, signatures: { [alice.userId]: { [`ed25519:${alice.deviceId}`]: 'bogus' } } } }, 400, 'M_INVALID_SIGNATURE'],
    [{ master_key: signed(master, alice.userId, alice.deviceId, foreign) }, 400, 'M_INVALID_SIGNATURE'],
    [{ master_key: master, self_signing_key: crossSigningKey(alice.userId, 'self_signing', foreign) }, 400, 'M_INVALID_SIGNATURE'],
    [{ master_key: master, self_signing_key: { ...selfSigning, added: 1 } }, 400, 'M_INVALID_SIGNATURE'],
    [{ master_key: master, user_signing_key: signed({ ...userSigning, signatures: {} }, alice.userId, keys.master.publicKey, foreign) }, 400, 'M_INVALID_SIGNATURE'],
  ]
  for (const [body, status, errcode] of refused) await alice.post(uploadPath, body).fails(status, errcode)
  const seen = await query(alice, alice.userId)
  assert.deepEqual([seen.master, seen.selfSigning, seen.userSigning], [{}, {}, {}])
  await alice.post(uploadPath, { master_key: signed(master, alice.userId, alice.deviceId, device) }).ok()
  assert.deepEqual([...signaturesOf((await query(alice, alice.userId)).master, alice.userId).keys()], [`ed25519:${alice.deviceId}`])

  const named = newKey()
  await server.login('alice', { device_id: named.publicKey })
  await alice.post(uploadPath, { master_key: crossSigningKey(alice.userId, 'master', named) }).fails(403, 'M_FORBIDDEN')
})

test('signatures are stored where they are good, and seen by those who may see them', async (t) => {
  const server = await testServer(t)
  const [alice, bob, carol] = [await server.register('alice'), await server.register('bob'), await server.register('carol')]
  const device = newKey()
  const ownKeys = deviceKeys(alice.userId, alice.deviceId, device)
  await alice.post('/keys/upload', { device_keys: ownKeys }).ok()
  const [aliceKeys, bobKeys] = [new CrossSigningKeys(alice.userId), new CrossSigningKeys(bob.userId)]
  await alice.post(uploadPath, aliceKeys.upload).ok()
  await bob.post(uploadPath, bobKeys.upload).ok()
  const master = crossSigningKey(alice.userId, 'master', aliceKeys.master)
  const bobMaster = crossSigningKey(bob.userId, 'master', bobKeys.master)
  const position = server.services.deviceLists.stream.position
  const reply = await alice.post('/keys/signatures/upload', {
    [alice.userId]: {
      [alice.deviceId]: signed(ownKeys, alice.userId, aliceKeys.selfSigning.publicKey, aliceKeys.selfSigning),
      [aliceKeys.master.publicKey]: signed(master, alice.userId, alice.deviceId, device),
    },
    [bob.userId]: { [bobKeys.master.publicKey]: signed(bobMaster, alice.userId, aliceKeys.userSigning.publicKey, aliceKeys.userSigning) },
  }).ok()
  assert.deepEqual(reply, { failures: {} })
  const seenByCarol = await query(carol, alice.userId)
  assert.deepEqual([...signaturesOf(seenByCarol.device(alice.deviceId), alice.userId).keys()].sort(), [`ed25519:${alice.deviceId}`, `ed25519:${aliceKeys.selfSigning.publicKey}`].sort())
  assert.deepEqual([...signaturesOf(seenByCarol.master, alice.userId).keys()], [`ed25519:${alice.deviceId}`])
  assert.equal(signaturesOf((await query(alice, bob.userId)).master, alice.userId).size, 1)
  assert.equal(signaturesOf((await query(bob, bob.userId)).master, alice.userId).size, 0)
  assert.equal(signaturesOf((await query(carol, bob.userId)).master, alice.userId).size, 0)
  const changed = async (who: TestClient) => [...(await server.services.deviceLists.changedSince(who.userId as UserId, position, server.services.deviceLists.stream.position))].sort()
  assert.deepEqual(await changed(alice), [alice.userId, bob.userId])
  assert.deepEqual(await changed(carol), [alice.userId])

  await alice.post('/keys/upload', { device_keys: ownKeys }).ok()
  assert.equal(signaturesOf((await query(carol, alice.userId)).device(alice.deviceId), alice.userId).size, 2)
  await confirmed(bob, 'bob', new CrossSigningKeys(bob.userId).upload)
  assert.equal(signaturesOf((await query(alice, bob.userId)).master, alice.userId).size, 0)
})

test('forged signatures are named one by one, and none is stored', async (t) => {
  const server = await testServer(t)
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const [device, foreign] = [newKey(), newKey()]
  const ownKeys = deviceKeys(alice.userId, alice.deviceId, device)
  await alice.post('/keys/upload', { device_keys: ownKeys }).ok()
  const [aliceKeys, bobKeys] = [new CrossSigningKeys(alice.userId), new CrossSigningKeys(bob.userId)]
  const early = await alice.post('/keys/signatures/upload', { [alice.userId]: { [alice.deviceId]: ownKeys } }).ok()
  assert.equal(at(early, 'failures', alice.userId, alice.deviceId)['errcode'], 'M_NOT_FOUND')
  await alice.post(uploadPath, aliceKeys.upload).ok()
  await bob.post(uploadPath, bobKeys.upload).ok()
  const master = crossSigningKey(alice.userId, 'master', aliceKeys.master)
  const bobMaster = crossSigningKey(bob.userId, 'master', bobKeys.master)
  const before = [await query(alice, alice.userId), await query(alice, bob.userId)].map((found) => [found.master, found.device(alice.deviceId)])
  const { selfSigning, userSigning } = aliceKeys
  const forged: [string, string, unknown, string][] = [
    [alice.userId, alice.deviceId, signed(ownKeys, alice.userId, selfSigning.publicKey, foreign), 'M_INVALID_SIGNATURE'],
    [alice.userId, alice.deviceId, { ...ownKeys, signatures: null }, 'M_INVALID_SIGNATURE'],
    [alice.userId, alice.deviceId, ownKeys, 'M_INVALID_SIGNATURE'],
    [alice.userId, alice.deviceId, signed({ ...ownKeys, added: 1 }, alice.userId, selfSigning.publicKey, selfSigning), 'M_INVALID_PARAM'],
    [alice.userId, 'UNKNOWN', signed(ownKeys, alice.userId, selfSigning.publicKey, selfSigning), 'M_NOT_FOUND'],
    [alice.userId, '__proto__', ownKeys, 'M_NOT_FOUND'],
    [alice.userId, alice.deviceId, null, 'M_INVALID_PARAM'],
    [alice.userId, alice.deviceId, 'text', 'M_INVALID_PARAM'],
    [alice.userId, aliceKeys.master.publicKey, signed(master, alice.userId, alice.deviceId, foreign), 'M_INVALID_SIGNATURE'],
    [alice.userId, aliceKeys.master.publicKey, signed(master, alice.userId, foreign.publicKey, foreign), 'M_INVALID_SIGNATURE'],
    [alice.userId, aliceKeys.master.publicKey, master, 'M_INVALID_SIGNATURE'],
    [bob.userId, bobKeys.master.publicKey, signed(bobMaster, alice.userId, userSigning.publicKey, foreign), 'M_INVALID_SIGNATURE'],
    [bob.userId, bobKeys.master.publicKey, signed(bobMaster, bob.userId, userSigning.publicKey, userSigning), 'M_INVALID_SIGNATURE'],
    [bob.userId, bobKeys.master.publicKey, signed({ ...bobMaster, usage: ['x'] }, alice.userId, userSigning.publicKey, userSigning), 'M_INVALID_PARAM'],
    [bob.userId, bobKeys.selfSigning.publicKey, signed(bobMaster, alice.userId, userSigning.publicKey, userSigning), 'M_NOT_FOUND'],
    ['@nobody:test.example', 'x', {}, 'M_NOT_FOUND'],
    ['@x:elsewhere.example', 'x', {}, 'M_NOT_FOUND'],
    ['nobody', 'x', {}, 'M_NOT_FOUND'],
  ]
  for (const [user, keyId, value, errcode] of forged) {
    const body = Object.fromEntries([[user, Object.fromEntries([[keyId, value]])]])
    const reply = await alice.post('/keys/signatures/upload', body).ok()
    assert.equal(at(reply, 'failures', user, keyId)['errcode'], errcode, JSON.stringify(reply))
  }
  const after = [await query(alice, alice.userId), await query(alice, bob.userId)].map((found) => [found.master, found.device(alice.deviceId)])
  assert.deepEqual(after, before)
  for (const value of [null, [], 'x', 5]) await alice.post('/keys/signatures/upload', { [alice.userId]: value }).fails(400, 'M_BAD_JSON')
  const many = Object.fromEntries(Array.from({ length: 1001 }, (_, i) => [`D${i}`, {}]))
  await alice.post('/keys/signatures/upload', { [alice.userId]: many }).fails(413, 'M_TOO_LARGE')
})

test('keys end with the account', async (t) => {
  const server = await testServer(t)
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  await alice.post(uploadPath, new CrossSigningKeys(alice.userId).upload).ok()
  await server.services.accounts.deactivate(alice.userId as UserId, { erase: false })
  assert.deepEqual((await query(bob, alice.userId)).master, {})
})
