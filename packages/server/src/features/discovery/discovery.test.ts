/** Discovery at the HTTP door. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { testServer } from '#test/kit/test-server.ts'

test('versions and capabilities', async (t) => {
  const server = await testServer(t)
  const alice = await server.register('alice')
  const reply = await server.anonymous().get('/_matrix/client/versions')
  const versions = reply.body['versions'] as string[]
  assert.deepEqual([versions[0], versions.at(-1)], ['r0.0.1', 'v1.19'])
  assert.equal(reply.headers.get('vary'), 'Authorization')
  assert.match(reply.headers.get('cache-control') ?? '', /max-age=600/)
  assert.equal((reply.body['unstable_features'] as Record<string, boolean>)['org.matrix.msc3882'], false)
  await alice.get('/_matrix/client/versions').ok()
  await alice.withToken('nonsense').get('/_matrix/client/versions').fails(401, 'M_UNKNOWN_TOKEN')
  const { capabilities } = await alice.get('/capabilities').ok() as { capabilities: Record<string, Record<string, unknown>> }
  assert.equal(capabilities['m.room_versions']?.['default'], '12')
  assert.deepEqual(capabilities['m.change_password'], { enabled: true })
  assert.deepEqual(capabilities['m.profile_fields'], { enabled: true })
  await server.anonymous().get('/capabilities').fails(401, 'M_MISSING_TOKEN')
  await (await server.guest()).get('/capabilities').fails(403, 'M_GUEST_ACCESS_FORBIDDEN')
  assert.match(String((await server.anonymous().get('/_synapse/admin/v1/server_version').ok())['server_version']), /^\d+\.\d+\.\d+/)
})

test('well-known documents', async (t) => {
  const without = await testServer(t)
  await without.anonymous().get('/.well-known/matrix/client').fails(404, 'M_NOT_FOUND')
  await without.anonymous().get('/.well-known/matrix/server').fails(404, 'M_NOT_FOUND')
  const server = await testServer(t, {
    config: 'public_baseurl: https://matrix.test.example\nserve_server_wellknown: true\nextra_well_known_client_content: {org.example.x: {y: 1}}\ndefault_identity_server: https://id.test.example',
  })
  const client = {
    'm.homeserver': { base_url: 'https://matrix.test.example/' }, 'm.identity_server': { base_url: 'https://id.test.example' }, 'org.example.x': { y: 1 },
  }
  assert.deepEqual(await server.anonymous().get('/.well-known/matrix/client').ok(), client)
  assert.deepEqual(await server.anonymous().get('/.well-known/matrix/server').ok(), { 'm.server': 'test.example:443' })
  await server.register('alice')
  const login = { type: 'm.login.password', identifier: { type: 'm.id.user', user: 'alice' }, password: 'password-of-alice' }
  assert.deepEqual((await server.anonymous().post('/login', login).ok())['well_known'], client)
})
