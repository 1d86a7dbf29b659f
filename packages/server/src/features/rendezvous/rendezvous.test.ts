/** Two devices meet: by plain HTTP and by JSON. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TestClock } from '#test/kit/test-clock.ts'
import type { Reply, TestClient } from '#test/kit/test-client.ts'
import { testServer, type TestServer } from '#test/kit/test-server.ts'

const plain = '/_matrix/client/unstable/org.matrix.msc4108/rendezvous'
const json = '/_matrix/client/unstable/io.element.msc4388/rendezvous'
const text = { 'content-type': 'text/plain' }
const minuteMs = 60_000
const enabled = 'public_baseurl: https://matrix.test.example\nexperimental_features: {msc4108_enabled: true}\n'

async function make(client: TestClient, body: string): Promise<{ readonly path: string; readonly tag: string; readonly reply: Reply }> {
  const reply = await client.post(plain, body, { headers: text })
  assert.equal(reply.status, 201, reply.text)
  const url = new URL(String(reply.body['url']))
  assert.equal(url.origin, 'https://matrix.test.example')
  return { path: url.pathname, tag: reply.headers.get('etag') ?? '', reply }
}

function assertHeaders(reply: Reply): void {
  for (const name of ['etag', 'expires', 'last-modified']) assert.ok(reply.headers.get(name), `${name} of ${reply.status}`)
  assert.match(reply.headers.get('cache-control') ?? '', /no-store/)
  assert.equal(reply.headers.get('pragma'), 'no-cache')
  assert.equal(reply.headers.get('access-control-allow-origin'), '*')
  assert.match(reply.headers.get('access-control-expose-headers') ?? '', /ETag/)
}

async function features(server: TestServer): Promise<unknown> {
  const { unstable_features: all } = await server.anonymous().get('/_matrix/client/versions').ok()
  return typeof all === 'object' && all !== null ? Reflect.get(all, 'org.matrix.msc4108') : undefined
}

test('plain HTTP: each reads what the other wrote, and nobody writes over what they have not read', async (t) => {
  const server = await testServer(t, { config: enabled })
  const client = server.anonymous()
  const { path, tag, reply } = await make(client, 'hello from A')
  assertHeaders(reply)
  const first = await client.get(path)
  assert.deepEqual([first.status, first.text, first.headers.get('content-type'), first.headers.get('etag')], [200, 'hello from A', 'text/plain', tag])
  assertHeaders(first)
  const same = await client.get(path, { headers: { 'if-none-match': tag } })
  assert.deepEqual([same.status, same.text], [304, ''])
  assertHeaders(same)
  const sent = await client.put(path, 'hello from B', { headers: { ...text, 'if-match': tag } })
  assert.equal(sent.status, 202)
  assertHeaders(sent)
  const next = sent.headers.get('etag') ?? ''
  assert.notEqual(next, tag)
  const late = await client.put(path, 'too late', { headers: { ...text, 'if-match': tag } })
  assert.deepEqual([late.status, late.body['errcode'], late.body['org.matrix.msc4108.errcode'], late.headers.get('etag')], [412, 'M_UNKNOWN', 'M_CONCURRENT_WRITE', next])
  assertHeaders(late)
  assert.equal((await client.get(path, { headers: { 'if-none-match': tag } })).text, 'hello from B')
  const again = await client.put(path, 'hello from B', { headers: { ...text, 'if-match': next } })
  assert.notEqual(again.headers.get('etag'), next, 'the same data once more is another revision')
  const options = await client.send('OPTIONS', path)
  assert.equal(options.status, 204)
  assert.match(options.headers.get('access-control-allow-headers') ?? '', /If-Match, If-None-Match/)
  assert.equal((await client.delete(path)).status, 204)
  for (const gone of [client.get(path), client.delete(path), client.put(path, 'x', { headers: { ...text, 'if-match': next } })]) await gone.fails(404, 'M_NOT_FOUND')
})

test('plain HTTP: what is wrong is said', async (t) => {
  const server = await testServer(t, { config: enabled })
  const client = server.anonymous()
  await client.post(plain, new TextEncoder().encode('x')).fails(400, 'M_MISSING_PARAM')
  await client.post(plain, {}).fails(400, 'M_INVALID_PARAM')
  await client.post(plain, 'x'.repeat(4097), { headers: text }).fails(413, 'M_TOO_LARGE')
  const { path, tag } = await make(client, 'x'.repeat(4096))
  await client.put(path, 'x', { headers: text }).fails(400, 'M_MISSING_PARAM')
  for (const wrong of ['*', `W/${tag}`, `${tag}, ${tag}`, 'x']) await client.put(path, 'x', { headers: { ...text, 'if-match': wrong } }).fails(400, 'M_INVALID_PARAM')
  await client.put(path, 'ü'.repeat(2049), { headers: { ...text, 'if-match': tag } }).fails(413, 'M_TOO_LARGE')
  await client.put(path, '{}', { headers: { 'content-type': 'application/json', 'if-match': tag } }).fails(400, 'M_INVALID_PARAM')
})

test('sessions expire, and nobody has too many', async (t) => {
  const clock = new TestClock()
  const server = await testServer(t, { config: enabled, clock })
  const client = server.anonymous()
  const { path, tag } = await make(client, 'first')
  clock.advance(4 * minuteMs)
  await client.put(path, 'second', { headers: { ...text, 'if-match': tag } })
  for (let count = 1; count < 20; count += 1) await make(client, 'more')
  const refused = await client.post(plain, 'one more', { headers: text }).fails(429, 'M_LIMIT_EXCEEDED')
  assert.equal(refused['retry_after_ms'], minuteMs)
  clock.advance(minuteMs - 1)
  assert.equal((await client.get(path)).text, 'second')
  clock.advance(1)
  await client.get(path).fails(404, 'M_NOT_FOUND')
  await make(client, 'one more')
})

test('plain HTTP is told by /versions where it is on, and can be done by another server', async (t) => {
  const off = await testServer(t)
  assert.equal(await features(off), false)
  await off.anonymous().post(plain, 'x', { headers: text }).fails(404, 'M_UNRECOGNIZED')
  for (const method of ['GET', 'PUT', 'DELETE']) {
    await off.anonymous().send(method, '/_synapse/client/rendezvous/x', method === 'PUT' ? 'x' : undefined, { headers: { ...text, 'if-match': '"x"' } }).fails(404, 'M_UNRECOGNIZED')
  }
  assert.equal(await features(await testServer(t, { config: enabled })), true)
  const elsewhere = await testServer(t, { config: 'experimental_features: {msc4108_delegation_endpoint: "https://rz.test.example/new"}\n' })
  assert.equal(await features(elsewhere), true)
  const reply = await elsewhere.anonymous().post(plain, 'x', { headers: text })
  assert.deepEqual([reply.status, reply.headers.get('location')], [307, 'https://rz.test.example/new'])
})

test('JSON: each reads what the other wrote, and nobody writes over what they have not read', async (t) => {
  const server = await testServer(t, { config: 'experimental_features: {msc4388_mode: open}\n' })
  const client = server.anonymous()
  assert.deepEqual(await client.get(json).ok(), { create_available: true })
  const { id, sequence_token: token, expires_in_ms: rest } = await client.post(json, { data: 'hello from A' }).ok()
  assert.ok(typeof rest === 'number' && rest > 2 * minuteMs && rest <= 5 * minuteMs)
  const path = `${json}/${String(id)}`
  const read = await client.get(path).ok()
  assert.deepEqual([read['data'], read['sequence_token']], ['hello from A', token])
  const { sequence_token: next } = await client.put(path, { sequence_token: token, data: 'hello from B' }).ok()
  assert.notEqual(next, token)
  await client.put(path, { sequence_token: token, data: 'too late' }).fails(409, 'IO_ELEMENT_MSC4388_CONCURRENT_WRITE')
  await client.put(path, { sequence_token: next, data: 'x'.repeat(4097) }).fails(413, 'M_TOO_LARGE')
  await client.post(json, { data: 'x'.repeat(4097) }).fails(413, 'M_TOO_LARGE')
  assert.equal((await client.get(path).ok())['data'], 'hello from B')
  await client.get(path, { headers: { 'sec-fetch-dest': 'document' } }).fails(403, 'M_FORBIDDEN')
  assert.deepEqual(await client.delete(path).ok(), {})
  for (const gone of [client.get(path), client.delete(path), client.put(path, { sequence_token: next, data: '' })]) await gone.fails(404, 'M_NOT_FOUND')
  for (let count = 0; count < 20; count += 1) await client.post(json, { data: '' }).ok()
  await client.post(json, { data: '' }).fails(429, 'M_LIMIT_EXCEEDED')
})

test('JSON: who may begin is the operator\'s choice', async (t) => {
  const off = (await testServer(t)).anonymous()
  const path = `${json}/x`
  for (const refused of [off.get(json), off.post(json, { data: '' }), off.get(path), off.put(path, { sequence_token: '', data: '' }), off.delete(path)]) await refused.fails(404, 'M_UNRECOGNIZED')
  const server = await testServer(t, { config: 'experimental_features: {msc4388_mode: authenticated}\n' })
  const [alice, guest, nobody] = [await server.register('alice'), await server.guest(), server.anonymous()]
  for (const refused of [guest, nobody]) {
    assert.deepEqual(await refused.get(json).ok(), { create_available: false })
    await refused.post(json, { data: '' }).fails(403, 'M_FORBIDDEN')
  }
  assert.deepEqual(await alice.get(json).ok(), { create_available: true })
  await alice.withToken('nonsense').get(json).fails(401, 'M_UNKNOWN_TOKEN')
  const { id } = await alice.post(json, { data: 'hello' }).ok()
  assert.equal((await nobody.get(`${json}/${String(id)}`).ok())['data'], 'hello')
})
