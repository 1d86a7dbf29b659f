import assert from 'node:assert/strict'
import { test } from 'node:test'
import { testServer } from '#test/kit/test-server.ts'
import type { TestClient } from '#test/kit/test-client.ts'
import { isBetter } from './key-backup.ts'

const algorithm = 'm.megolm_backup.v1.curve25519-aes-sha2'
const room = '!room:test.example'
const encoded = encodeURIComponent(room)

function key(extra: object = {}) {
  return { first_message_index: 5, forwarded_count: 5, is_verified: false, session_data: { ciphertext: 'x' }, ...extra }
}

async function newBackup(client: TestClient, auth: object = { public_key: 'abc' }): Promise<string> {
  return String((await client.post('/room_keys/version', { algorithm, auth_data: auth }).ok())['version'])
}

test('versions are made, read, changed and deleted', async (t) => {
  const server = await testServer(t)
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  await alice.get('/room_keys/version').fails(404, 'M_NOT_FOUND')
  const one = await newBackup(alice, { public_key: 'abc', signatures: { ['__proto__']: { x: 'y' } } })
  const two = await newBackup(alice)
  assert.notEqual(one, two)
  assert.deepEqual(await alice.get('/room_keys/version').ok(), { algorithm, auth_data: { public_key: 'abc' }, count: 0, etag: '0', version: two })
  assert.equal((await alice.get(`/room_keys/version/${one}`).ok())['version'], one)
  await bob.get(`/room_keys/version/${one}`).fails(404, 'M_NOT_FOUND')
  for (const version of ['0', '99', 'x', '1.0', '01', '-1', '9'.repeat(40)]) await alice.get(`/room_keys/version/${version}`).fails(404, 'M_NOT_FOUND')

  const changed = { algorithm, auth_data: { public_key: 'new' } }
  assert.deepEqual(await alice.put(`/room_keys/version/${one}`, changed).ok(), {})
  for (const version of [one, Number(one)]) await alice.put(`/room_keys/version/${one}`, { ...changed, version }).ok()
  assert.deepEqual((await alice.get(`/room_keys/version/${one}`).ok())['auth_data'], { public_key: 'new' })
  await alice.put(`/room_keys/version/${one}`, { ...changed, version: two }).fails(400, 'M_INVALID_PARAM')
  await alice.put(`/room_keys/version/${one}`, { ...changed, algorithm: 'other' }).fails(400, 'M_INVALID_PARAM')
  await alice.put('/room_keys/version/99', changed).fails(404, 'M_NOT_FOUND')
  await alice.put(`/room_keys/version/${one}`, {}).fails(400, 'M_MISSING_PARAM')

  assert.deepEqual(await alice.delete(`/room_keys/version/${two}`).ok(), {})
  assert.deepEqual(await alice.delete(`/room_keys/version/${two}`).ok(), {})
  await alice.delete('/room_keys/version/99').fails(404, 'M_NOT_FOUND')
  await alice.get(`/room_keys/version/${two}`).fails(404, 'M_NOT_FOUND')
  assert.equal((await alice.get('/room_keys/version').ok())['version'], one)
  assert.ok(Number(await newBackup(alice)) > Number(two))
})

test('session data that is a text is kept as it is', async (t) => {
  const server = await testServer(t)
  const alice = await server.register('alice')
  const version = await newBackup(alice)
  const path = `/room_keys/keys/!room:test.example/session?version=${version}`
  await alice.put(path, key({ session_data: 'sealed "text"' })).ok()
  // Past the contract check: the description knows objects only, clients of Synapse store texts as well.
  const reply = await fetch(`${server.url}/_matrix/client/v3${path}`, { headers: { authorization: `Bearer ${alice.token}` } })
  assert.deepEqual(await reply.json(), key({ session_data: 'sealed "text"' }))
})

test('malformed versions are refused, and their number is bounded', async (t) => {
  const server = await testServer(t)
  const alice = await server.register('alice')
  const refused: [unknown, number, string][] = [
    [{}, 400, 'M_MISSING_PARAM'], [{ algorithm }, 400, 'M_MISSING_PARAM'], [{ algorithm: 5, auth_data: {} }, 400, 'M_BAD_JSON'],
    [{ algorithm, auth_data: null }, 400, 'M_BAD_JSON'], [{ algorithm, auth_data: { x: 'x'.repeat(70_000) } }, 413, 'M_TOO_LARGE'],
    [{ algorithm: 'x'.repeat(300), auth_data: {} }, 413, 'M_TOO_LARGE'],
  ]
  for (const [body, status, errcode] of refused) await alice.post('/room_keys/version', body).fails(status, errcode)
  const made = await Promise.all(Array.from({ length: 100 }, () => newBackup(alice)))
  assert.equal(new Set(made).size, 100)
  await alice.post('/room_keys/version', { algorithm, auth_data: {} }).fails(403, 'M_RESOURCE_LIMIT_EXCEEDED')
  const guest = await server.guest()
  await guest.get('/room_keys/version').fails(403, 'M_GUEST_ACCESS_FORBIDDEN')
  await server.anonymous().get('/room_keys/version').fails(401, 'M_MISSING_TOKEN')
  await alice.get('/_matrix/client/r0/room_keys/version').ok()
  await alice.get('/_matrix/client/unstable/room_keys/version').ok()
})

test('keys are stored and read by session, room and backup', async (t) => {
  const server = await testServer(t)
  const alice = await server.register('alice')
  const version = await newBackup(alice)
  const q = `?version=${version}`
  assert.deepEqual(await alice.put(`/room_keys/keys/${encoded}/s%2F1${q}`, key()).ok(), { etag: '1', count: 1 })
  assert.deepEqual(await alice.put(`/room_keys/keys/${encoded}${q}`, { sessions: { 's/1': key(), two: key(), ['__proto__']: key() } }).ok(), { etag: '2', count: 3 })
  assert.deepEqual(await alice.put(`/room_keys/keys${q}`, { rooms: { ['constructor']: { sessions: { three: key() } }, [room]: { sessions: {} } } }).ok(), { etag: '3', count: 4 })
  assert.deepEqual(await alice.get(`/room_keys/keys/${encoded}/s%2F1${q}`).ok(), key())
  const ofRoom = { sessions: { 's/1': key(), two: key(), ['__proto__']: key() } }
  assert.deepEqual(JSON.parse((await alice.get(`/room_keys/keys/${encoded}${q}`)).text), ofRoom)
  assert.deepEqual(JSON.parse((await alice.get(`/room_keys/keys${q}`)).text), { rooms: { [room]: ofRoom, ['constructor']: { sessions: { three: key() } } } })
  assert.deepEqual(await alice.get(`/room_keys/keys/!unknown:x${q}`).ok(), { sessions: {} })
  await alice.get(`/room_keys/keys/${encoded}/unknown${q}`).fails(404, 'M_NOT_FOUND')
  for (const path of ['', `/${encoded}`, `/${encoded}/two`]) {
    await alice.get(`/room_keys/keys${path}?version=99`).fails(404, 'M_NOT_FOUND')
    await alice.get(`/room_keys/keys${path}`).fails(400, 'M_MISSING_PARAM')
    await alice.delete(`/room_keys/keys${path}?version=99`).fails(404, 'M_NOT_FOUND')
    await alice.delete(`/room_keys/keys${path}`).fails(400, 'M_MISSING_PARAM')
  }
  assert.deepEqual(await alice.delete(`/room_keys/keys/${encoded}/two${q}`).ok(), { etag: '4', count: 3 })
  assert.deepEqual(await alice.delete(`/room_keys/keys/${encoded}/two${q}`).ok(), { etag: '4', count: 3 })
  assert.deepEqual(await alice.delete(`/room_keys/keys/${encoded}${q}`).ok(), { etag: '5', count: 1 })
  assert.deepEqual(await alice.delete(`/room_keys/keys${q}`).ok(), { etag: '6', count: 0 })
  assert.deepEqual(await alice.get(`/room_keys/keys${q}`).ok(), { rooms: {} })
})

test('keys go into the newest backup only', async (t) => {
  const server = await testServer(t)
  const alice = await server.register('alice')
  await alice.put(`/room_keys/keys/${encoded}/one?version=1`, key()).fails(404, 'M_NOT_FOUND')
  const [one, two] = [await newBackup(alice), await newBackup(alice)]
  for (const [path, body] of [[`/${encoded}/one`, key()], [`/${encoded}`, { sessions: {} }], ['', { rooms: {} }]] as const) {
    for (const version of [one, '99', 'x']) {
      const refusal = await alice.put(`/room_keys/keys${path}?version=${version}`, body).fails(403, 'M_WRONG_ROOM_KEYS_VERSION')
      assert.equal(refusal['current_version'], two)
    }
  }
  await alice.put(`/room_keys/keys/${encoded}/one?version=${two}`, key()).ok()
  await alice.delete(`/room_keys/version/${two}`).ok()
  assert.deepEqual(await alice.put(`/room_keys/keys/${encoded}/one?version=${one}`, key()).ok(), { etag: '1', count: 1 })
  await alice.get(`/room_keys/keys?version=${two}`).fails(404, 'M_NOT_FOUND')
})

test('of two keys of a session the better one stays', async (t) => {
  const server = await testServer(t)
  const alice = await server.register('alice')
  const path = `/room_keys/keys/${encoded}/one?version=${await newBackup(alice)}`
  const steps: [object, boolean][] = [
    [{}, true], [{ session_data: { other: 1 } }, false],
    [{ forwarded_count: 6 }, false], [{ forwarded_count: 4 }, true],
    [{ first_message_index: 6, forwarded_count: 0 }, false], [{ first_message_index: 4, forwarded_count: 9 }, true],
    [{ is_verified: true, first_message_index: 9, forwarded_count: 9 }, true], [{ first_message_index: 0, forwarded_count: 0 }, false],
  ]
  let [stored, etag]: [object, number] = [{}, 0]
  for (const [extra, replaces] of steps) {
    if (replaces) [stored, etag] = [key(extra), etag + 1]
    assert.deepEqual(await alice.put(path, key(extra)).ok(), { etag: String(etag), count: 1 })
    assert.deepEqual(await alice.get(path).ok(), stored)
  }
  assert.equal(isBetter({ isVerified: true, firstMessageIndex: 1, forwardedCount: 1 }, { isVerified: true, firstMessageIndex: 1, forwardedCount: 1 }), false)
})

test('many uploads at once lose nothing', async (t) => {
  const server = await testServer(t)
  const alice = await server.register('alice')
  const version = await newBackup(alice)
  await Promise.all(Array.from({ length: 20 }, (_, i) =>
    alice.put(`/room_keys/keys/${encoded}?version=${version}`, { sessions: { shared: key({ first_message_index: i }), [`s${i}`]: key() } }).ok()))
  assert.equal((await alice.get('/room_keys/version').ok())['count'], 21)
  assert.equal((await alice.get(`/room_keys/keys/${encoded}/shared?version=${version}`).ok())['first_message_index'], 0)
})

test('malformed keys are refused as a whole', async (t) => {
  const server = await testServer(t)
  const alice = await server.register('alice')
  const q = `?version=${await newBackup(alice)}`
  const refused: [unknown, number, string][] = [
    [{}, 400, 'M_MISSING_PARAM'], [key({ is_verified: undefined }), 400, 'M_MISSING_PARAM'], [key({ session_data: null }), 400, 'M_BAD_JSON'],
    [key({ first_message_index: -1 }), 400, 'M_BAD_JSON'], [key({ first_message_index: 1.5 }), 400, 'M_BAD_JSON'], [key({ forwarded_count: '1' }), 400, 'M_BAD_JSON'],
    [key({ is_verified: 1 }), 400, 'M_BAD_JSON'], [key({ session_data: { x: 'x'.repeat(70_000) } }), 413, 'M_TOO_LARGE'],
  ]
  for (const [value, status, errcode] of refused) {
    await alice.put(`/room_keys/keys/${encoded}/one${q}`, value).fails(status, errcode)
    await alice.put(`/room_keys/keys/${encoded}${q}`, { sessions: { good: key(), bad: value } }).fails(status, errcode)
    await alice.put(`/room_keys/keys${q}`, { rooms: { [room]: { sessions: { good: key(), bad: value } } } }).fails(status, errcode)
  }
  for (const body of [{}, { rooms: null }, { rooms: { [room]: null } }, { rooms: { [room]: { sessions: [] } } }]) await alice.put(`/room_keys/keys${q}`, body).fails(400, 'M_BAD_JSON')
  await alice.put(`/room_keys/keys/${encoded}${q}`, {}).fails(400, 'M_BAD_JSON')
  await alice.put(`/room_keys/keys/${encoded}/${'s'.repeat(256)}${q}`, key()).fails(413, 'M_TOO_LARGE')
  await alice.put(`/room_keys/keys/${encoded}/one`, key()).fails(400, 'M_MISSING_PARAM')
  assert.equal((await alice.get('/room_keys/version').ok())['count'], 0)
})
