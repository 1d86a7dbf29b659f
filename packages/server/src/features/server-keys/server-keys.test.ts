import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { SigningKey } from '@myelin/protocol/crypto/ed25519.ts'
import { isSigned, signJson } from '@myelin/protocol/crypto/sign-json.ts'
import { readServerKeys } from '@myelin/protocol/federation/server-keys.ts'
import type { ServerName } from '@myelin/protocol/ids/ids.ts'
import { isObject, type JsonObject } from '@myelin/protocol/json/json.ts'
import { FakeRemote } from '#test/kit/fake-remote.ts'
import { federatingServer } from '#test/kit/federating-server.ts'
import { TestClock } from '#test/kit/test-clock.ts'
import { testServer, type TestServer } from '#test/kit/test-server.ts'

const dayMs = 24 * 3_600_000
const version = '/_matrix/federation/v1/query/profile?user_id=@nobody:x'

function documentsOf(body: Readonly<Record<string, unknown>>): JsonObject[] {
  const documents = body['server_keys']
  assert.ok(Array.isArray(documents) && documents.every(isObject))
  return documents
}

test('the keys of the server are published, signed, with those that it has retired', async (t) => {
  const old = new SigningKey('old', new Uint8Array(32).fill(9))
  const server = await testServer(t, { config: `old_signing_keys: {"ed25519:old": {key: "${old.publicKey}", expired_ts: 1234}}\nkey_refresh_interval: 2h\n` })
  for (const path of ['/server', '/server/', '/server/ed25519:any']) {
    const before = Date.now()
    const document = JSON.parse((await server.anonymous().get(`/_matrix/key/v2${path}`)).text)
    const read = readServerKeys(document)
    assert.ok(!('reason' in read), JSON.stringify(read))
    assert.equal(read.serverName, 'test.example')
    assert.ok(read.validUntilTs >= before + 7_200_000 && read.validUntilTs <= Date.now() + 7_200_000)
    assert.deepEqual(read.oldKeys, [{ keyId: 'ed25519:old', publicKey: old.publicKey, validUntilTs: 1234 }])
  }
})

test('a notary answers with documents that both servers have signed, also when the other one is gone', async (t) => {
  const [server, remote] = [await federatingServer(t), await FakeRemote.start(t)]
  const client = server.anonymous()
  const [own] = documentsOf(await client.get(`/_matrix/key/v2/query/${server.serverName}`).ok())
  assert.ok(own && !('reason' in readServerKeys(own)))
  const path = `/_matrix/key/v2/query/${remote.serverName}`
  const ask = async (answer: Promise<Readonly<Record<string, unknown>>>): Promise<void> => {
    const [document] = documentsOf(await answer)
    assert.ok(document && isSigned(document, remote.serverName, remote.key.keyId, remote.key.publicKey))
    const [[keyId, key] = ['', undefined]] = Object.entries(isObject(own['verify_keys']) ? own['verify_keys'] : {})
    assert.ok(isObject(key) && isSigned(document, server.serverName, keyId, String(key['key'])))
  }
  await ask(client.get(path).ok())
  remote.on('GET', '/_matrix/key/v2/server', () => [503, {}])
  await ask(client.get(`${path}/${remote.key.keyId}?minimum_valid_until_ts=5`).ok())
  await ask(client.post('/_matrix/key/v2/query', { server_keys: { [remote.serverName]: { [remote.key.keyId]: { minimum_valid_until_ts: Date.now() + 2 * dayMs } } } }).ok())
  assert.deepEqual(await client.post('/_matrix/key/v2/query', { server_keys: {} }).ok(), { server_keys: [] })
  await client.get('/_matrix/key/v2/query/no%20name').fails(400, 'M_INVALID_PARAM')
  await client.post('/_matrix/key/v2/query', { server_keys: { 'no name': {} } }).fails(400, 'M_INVALID_PARAM')
  await client.post('/_matrix/key/v2/query', { server_keys: [] }).fails(400, 'M_BAD_JSON')
  await client.post('/_matrix/key/v2/query', {}).fails(400, 'M_MISSING_PARAM')
  const many = Object.fromEntries(Array.from({ length: 101 }, (_, index) => [`s${index}.example`, {}]))
  await client.post('/_matrix/key/v2/query', { server_keys: many }).fails(413, 'M_TOO_LARGE')
})

test('a notary signs with keys of their own where there are some', async (t) => {
  const notary = new SigningKey('notary', new Uint8Array(32).fill(8))
  const server = await testServer(t)
  const path = `${server.folder}/notary.key`
  writeFileSync(path, `ed25519 notary ${Buffer.alloc(32, 8).toString('base64').replace(/=+$/, '')}\n`)
  const signing = await testServer(t, { config: `key_server_signing_keys_path: "${path}"\n` })
  const [document] = documentsOf(await signing.anonymous().get('/_matrix/key/v2/query/test.example').ok())
  assert.ok(document && isSigned(document, 'test.example', notary.keyId, notary.publicKey))
})

/** The status with which a signed request is answered: 401 where the key is not found. */
async function statusOf(server: TestServer, remote: FakeRemote, key = remote.key): Promise<number> {
  return (await server.anonymous().get(version, { headers: remote.sign(server, 'GET', version, undefined, server.serverName, key) })).status
}

test('keys are fetched once, survive an outage while they are valid, and are fetched again when they expire', async (t) => {
  const clock = new TestClock(Date.now())
  const server = await federatingServer(t, { clock })
  const remote = await FakeRemote.start(t)
  const path = '/_matrix/key/v2/server'
  assert.deepEqual(await Promise.all([statusOf(server, remote), statusOf(server, remote), statusOf(server, remote)]), [404, 404, 404])
  assert.equal(remote.count(path), 1)
  remote.on('GET', path, () => [500, {}])
  await clock.advance(dayMs - 60_000)
  assert.equal(await statusOf(server, remote), 404)
  await clock.advance(120_000)
  assert.equal(await statusOf(server, remote), 401)
  remote.on('GET', path, () => remote.keyDocument({ valid_until_ts: clock.now() + 30 * dayMs }))
  await clock.advance(2 * 3_600_000)
  assert.equal(await statusOf(server, remote), 404)
  const asked = remote.count(path)
  await clock.advance(7 * dayMs - 60_000)
  assert.equal(await statusOf(server, remote), 404)
  assert.equal(remote.count(path), asked)
  await clock.advance(120_000)
  assert.equal(await statusOf(server, remote), 404)
  assert.equal(remote.count(path), asked + 1, 'a document is believed for seven days at most')
})

test('unknown key ids cost the other server one request in ten seconds', async (t) => {
  const clock = new TestClock(Date.now())
  const [server, remote] = [await federatingServer(t, { clock }), await FakeRemote.start(t)]
  const madeUp = new SigningKey('madeup', new Uint8Array(32).fill(1))
  for (let count = 0; count < 5; count++) assert.equal(await statusOf(server, remote, madeUp), 401)
  assert.equal(remote.count('/_matrix/key/v2/server'), 1)
  remote.on('GET', '/_matrix/key/v2/server', () => remote.keyDocument({}, madeUp))
  await clock.advance(11_000)
  assert.equal(await statusOf(server, remote, madeUp), 404)
})

test('documents that prove nothing are not believed', async (t) => {
  const server = await federatingServer(t)
  const impostor = new SigningKey('x', new Uint8Array(32).fill(2))
  const bad: ((remote: FakeRemote) => JsonObject | readonly [number, string])[] = [
    (remote) => remote.keyDocument({ server_name: 'other.example' }),
    (remote) => ({ ...remote.keyDocument(), valid_until_ts: Date.now() + 2 * dayMs }),
    (remote) => remote.keyDocument({ verify_keys: { [remote.key.keyId]: { key: remote.key.publicKey } } }, impostor),
    (remote) => remote.keyDocument({ valid_until_ts: Date.now() - 1000 }),
    (remote) => remote.keyDocument({ verify_keys: {}, old_verify_keys: { [remote.key.keyId]: { key: remote.key.publicKey, expired_ts: Date.now() + dayMs } } }),
    () => [200, 'no JSON'], () => [200, '['.repeat(5000)], () => [200, `{"x":"${'x'.repeat(300_000)}"}`],
  ]
  for (const answer of bad) {
    const remote = await FakeRemote.start(t)
    remote.on('GET', '/_matrix/key/v2/server', () => answer(remote))
    assert.equal(await statusOf(server, remote), 401)
  }
})

test('events from before a key was retired are still proven by it', async (t) => {
  const [server, remote] = [await federatingServer(t), await FakeRemote.start(t)]
  const old = new SigningKey('old', new Uint8Array(32).fill(3))
  const now = Date.now()
  remote.on('GET', '/_matrix/key/v2/server', () => remote.keyDocument({ old_verify_keys: { [old.keyId]: { key: old.publicKey, expired_ts: now - 1000 } } }))
  const { keyRing } = server.services
  assert.equal(await keyRing.publicKey(remote.serverName, old.keyId, now - 2000), old.publicKey)
  assert.equal(await keyRing.publicKey(remote.serverName, old.keyId, now), undefined)
  assert.equal(await statusOf(server, remote, old), 401)
})

test('a notary helps where the server itself does not answer, and is not believed without proof', async (t) => {
  const notary = await FakeRemote.start(t)
  const gone = await FakeRemote.start(t)
  gone.on('GET', '/_matrix/key/v2/server', () => [503, {}])
  notary.on('POST', '/_matrix/key/v2/query', () => ({ server_keys: [gone.keyDocument()] }))
  const trusting = (entry: string): Promise<TestServer> => federatingServer(t, { config: `trusted_key_servers:\n  - {server_name: "${notary.serverName}"${entry}}\n` })
  const wrong = await trusting(`, verify_keys: {"${notary.key.keyId}": "${new SigningKey('y', new Uint8Array(32).fill(4)).publicKey}"}`)
  assert.equal(await statusOf(await trusting(''), gone), 401, 'the notary has not signed')
  assert.equal(await statusOf(await trusting(', accept_keys_insecurely: true'), gone), 404)
  notary.on('POST', '/_matrix/key/v2/query', () => ({ server_keys: [signJson(gone.keyDocument(), notary.serverName, notary.key)] }))
  assert.equal(await statusOf(await trusting(''), gone), 404)
  assert.equal(await statusOf(await trusting(`, verify_keys: {"${notary.key.keyId}": "${notary.key.publicKey}"}`), gone), 404)
  assert.equal(await statusOf(wrong, gone), 401)
  const asked = notary.received.at(-1)?.body
  assert.deepEqual(Object.keys(isObject(asked?.['server_keys']) ? asked['server_keys'] : {}), [gone.serverName as ServerName])
})
