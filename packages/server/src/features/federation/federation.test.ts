import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SigningKey } from '@myelin/protocol/crypto/ed25519.ts'
import { signRequest } from '@myelin/protocol/federation/x-matrix.ts'
import { FakeRemote } from '#test/kit/fake-remote.ts'
import { federatingServer } from '#test/kit/federating-server.ts'
import { TestClock } from '#test/kit/test-clock.ts'
import { testServer } from '#test/kit/test-server.ts'

const profile = '/_matrix/federation/v1/query/profile'

test('the version is told to everybody', async (t) => {
  const server = await testServer(t)
  const { server: implementation } = await server.anonymous().get('/_matrix/federation/v1/version').ok()
  assert.ok(typeof implementation === 'object' && implementation !== null && 'name' in implementation)
  assert.equal(implementation.name, 'Myelin')
})

test('only what a server has signed, for this server, is answered', async (t) => {
  const [server, remote] = [await federatingServer(t), await FakeRemote.start(t)]
  await server.register('alice')
  const path = `${profile}?user_id=${encodeURIComponent(`@alice:${server.serverName}`)}`
  const client = server.anonymous()
  assert.deepEqual(await remote.send(server, 'GET', path).ok(), { displayname: 'alice' })
  await client.get(path).fails(401, 'M_UNAUTHORIZED')
  const other = new SigningKey(remote.key.version, new Uint8Array(32).fill(1))
  const signed = (method: string, uri: string, origin: string, destination: string, key = remote.key): string => signRequest({ method, uri, origin, destination, content: undefined }, key)
  const refused: [string, number, string][] = [
    ['Bearer x', 401, 'M_UNAUTHORIZED'], ['X-Matrix x', 401, 'M_UNAUTHORIZED'],
    [signed('GET', path, remote.serverName, 'other.example'), 401, 'M_UNAUTHORIZED'],
    [signed('GET', path, server.serverName, server.serverName), 401, 'M_UNAUTHORIZED'],
    [signed('GET', path, 'no name', server.serverName), 401, 'M_UNAUTHORIZED'],
    [signed('GET', `${path}&x`, remote.serverName, server.serverName), 401, 'M_UNAUTHORIZED'],
    [signed('POST', path, remote.serverName, server.serverName), 401, 'M_UNAUTHORIZED'],
    [signed('GET', path, remote.serverName, server.serverName, other), 401, 'M_UNAUTHORIZED'],
  ]
  for (const [authorization, status, errcode] of refused) await client.get(path, { headers: { authorization } }).fails(status, errcode)
  const withoutDestination = signed('GET', path, remote.serverName, server.serverName).replace(/destination="[^"]*",/, '')
  await client.get(path, { headers: { authorization: withoutDestination } }).ok()
})

test('the signature covers the body, with numbers as they were written', async (t) => {
  const [server, remote] = [await federatingServer(t), await FakeRemote.start(t)]
  const path = '/_matrix/federation/v1/user/keys/query'
  const client = server.anonymous()
  await remote.send(server, 'POST', path, { device_keys: {}, more: 5 }).ok()
  const { authorization } = remote.sign(server, 'POST', path, { device_keys: {}, more: 5 })
  await client.post(path, '{"more": 5, "device_keys": {}}', { headers: { authorization } }).ok()
  await client.post(path, { device_keys: {}, more: 6 }, { headers: { authorization } }).fails(401, 'M_UNAUTHORIZED')
  await client.post(path, '{"more": 5.0, "device_keys": {}}', { headers: { authorization } }).fails(401, 'M_UNAUTHORIZED')
  await client.post(path, 'x', { headers: { authorization } }).fails(400, 'M_NOT_JSON')
  await client.post(path, '[]', { headers: { authorization } }).fails(400, 'M_BAD_JSON')
  await client.post(path, '', { headers: { authorization } }).fails(400, 'M_NOT_JSON')
})

test('a whitelist keeps other servers out, both ways', async (t) => {
  const remote = await FakeRemote.start(t)
  const server = await federatingServer(t, { config: 'federation_domain_whitelist: ["friend.example"]\n' })
  await remote.send(server, 'GET', `${profile}?user_id=@x:y`).fails(403, 'M_FORBIDDEN')
  const alice = await server.register('alice')
  await alice.get(`/profile/@bob:${remote.serverName}`).fails(404, 'M_NOT_FOUND')
  await alice.get(`/publicRooms?server=${remote.serverName}`).fails(403, 'M_FORBIDDEN')
  assert.deepEqual((await alice.post('/keys/query', { device_keys: { [`@bob:${remote.serverName}`]: [] } }).ok())['failures'], { [remote.serverName]: {} })
  assert.equal(remote.received.length, 0)
})

test('certificates are checked, unless the operator trusts the server', async (t) => {
  const remote = await FakeRemote.start(t)
  remote.on('GET', profile, () => ({ displayname: 'Bob' }))
  const ask = async (config: string): Promise<number> => {
    const alice = await (await federatingServer(t, { config: `federation: {max_short_retries: 0}\n${config}` })).register('alice')
    return (await alice.get(`/profile/@bob:${remote.serverName}`)).status
  }
  assert.equal(await ask(''), 200)
  assert.equal(await ask('federation_custom_ca_list: []\n'), 502)
  assert.equal(await ask('federation_custom_ca_list: []\nfederation_verify_certificates: false\n'), 200)
  assert.equal(await ask('federation_custom_ca_list: []\nfederation_certificate_verification_whitelist: ["local*"]\n'), 200)
  assert.equal(await ask('federation_custom_ca_list: []\nfederation_certificate_verification_whitelist: ["*.example"]\n'), 502)
  assert.equal(await ask('ip_range_blacklist: ["127.0.0.0/8"]\n'), 502)
  assert.equal(await ask('federation_ip_range_blacklist: ["127.0.0.0/8"]\n'), 502)
  assert.equal(await ask('ip_range_blacklist: ["127.0.0.0/8"]\nfederation_ip_range_blacklist: []\n'), 200)
})

test('a server that does not answer is left alone for a while, until it shows that it lives', async (t) => {
  const clock = new TestClock(Date.now())
  const config = 'federation: {max_short_retries: 0, destination_min_retry_interval: 10m, destination_retry_multiplier: 2}\n'
  const [server, remote] = [await federatingServer(t, { clock, config }), await FakeRemote.start(t)]
  const alice = await server.register('alice')
  const bob = `@bob:${remote.serverName}`
  const path = '/_matrix/federation/v1/user/keys/query'
  const failures = async (): Promise<unknown> => (await alice.post('/keys/query', { device_keys: { [bob]: [] } }).ok())['failures']
  const isFailing = { [remote.serverName]: {} }
  remote.on('POST', path, () => [502, 'down'])
  assert.deepEqual(await failures(), isFailing)
  assert.deepEqual(await failures(), isFailing)
  assert.equal(remote.count(path), 1)
  await clock.advance(601_000)
  assert.deepEqual(await failures(), isFailing)
  assert.equal(remote.count(path), 2, 'asked again after the interval')
  await clock.advance(601_000)
  assert.deepEqual(await failures(), isFailing)
  assert.equal(remote.count(path), 2, 'which has grown')
  remote.on('POST', path, () => ({ device_keys: { [bob]: {} } }))
  await remote.send(server, 'GET', `${profile}?user_id=@x:y`)
  assert.deepEqual(await failures(), {}, 'its own request was a sign of life')
})

test('what cannot be read is no answer', async (t) => {
  const [server, remote] = [await federatingServer(t), await FakeRemote.start(t)]
  const alice = await server.register('alice')
  for (const body of ['no JSON', '[]', '['.repeat(10_000), '']) {
    remote.on('GET', profile, () => [200, body])
    await alice.get(`/profile/@bob:${remote.serverName}`).fails(502, 'M_CONNECTION_FAILED')
  }
  remote.on('GET', profile, () => [200, `{"displayname": "${'x'.repeat(200_000)}"}`])
  await alice.get(`/profile/@bob:${remote.serverName}`).fails(502, 'M_CONNECTION_FAILED')
  remote.on('GET', profile, () => [403, { errcode: 'M_FORBIDDEN', error: 'no' }])
  await alice.get(`/profile/@bob:${remote.serverName}`).fails(404, 'M_NOT_FOUND')
})

test('queries of other types are not known', async (t) => {
  const [server, remote] = [await federatingServer(t), await FakeRemote.start(t)]
  await remote.send(server, 'GET', '/_matrix/federation/v1/query/org.example.weather').fails(404, 'M_UNRECOGNIZED')
  await server.anonymous().get('/_matrix/federation/v1/query/org.example.weather').fails(401, 'M_UNAUTHORIZED')
})

test('users see which servers this one talks to, where the operator wants it', async (t) => {
  const path = '/_synapse/client/v1/config/federation_whitelist'
  const answer = async (config: string) => (await (await testServer(t, { config })).register('alice')).get(path)
  assert.equal((await answer('')).status, 404)
  const shown = 'federation_whitelist_endpoint_enabled: true\n'
  assert.deepEqual((await answer(`${shown}federation_domain_whitelist: [a.example, b.example]\n`)).body, { whitelist_enabled: true, whitelist: ['a.example', 'b.example'] })
  assert.deepEqual((await answer(`${shown}federation_domain_whitelist:\n`)).body, { whitelist_enabled: false, whitelist: [] })
  const server = await testServer(t, { config: shown })
  await server.anonymous().get(path).fails(401, 'M_MISSING_TOKEN')
  await (await server.guest()).get(path).fails(403, 'M_GUEST_ACCESS_FORBIDDEN')
})

test('requests to other servers are counted, apart from those to anything else', async (t) => {
  const [server, remote] = [await federatingServer(t), await FakeRemote.start(t)]
  remote.on('GET', profile, () => [404, { errcode: 'M_NOT_FOUND', error: 'x' }])
  await (await server.register('alice')).get(`/profile/@bob:${remote.serverName}`).fails(404, 'M_NOT_FOUND')
  const text = await server.metrics.expose()
  for (const line of [
    `synapse_http_matrixfederationclient_requests_total{method="GET",server_name="${server.serverName}"} 1`,
    `synapse_http_matrixfederationclient_responses_total{method="GET",code="404",server_name="${server.serverName}"} 1`,
  ]) assert.ok(text.includes(line), line)
  assert.doesNotMatch(text, /synapse_http_client_requests_total\{/)
})
