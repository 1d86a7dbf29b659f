/** Pushers at the HTTP door. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { testServer } from '#test/kit/test-server.ts'

const pusher = {
  kind: 'http', app_id: 'com.example.app', pushkey: 'key', app_display_name: 'App', device_display_name: 'Phone', profile_tag: 'tag', lang: 'en',
  data: { url: 'https://push.example/_matrix/push/v1/notify', format: 'event_id_only', own: { deep: 1 } },
}

test('pushers: set, replace, append, delete', async (t) => {
  const server = await testServer(t)
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  assert.deepEqual(await alice.get('/pushers').ok(), { pushers: [] })
  assert.deepEqual(await alice.post('/pushers/set', pusher).ok(), {})
  assert.deepEqual(await alice.get('/pushers').ok(), { pushers: [pusher] })
  await alice.post('/pushers/set', { ...pusher, lang: 'de' }).ok()
  assert.deepEqual(await alice.get('/pushers').ok(), { pushers: [{ ...pusher, lang: 'de' }] })
  await bob.post('/pushers/set', { ...pusher, append: true }).ok()
  assert.deepEqual(await alice.get('/pushers').ok(), { pushers: [{ ...pusher, lang: 'de' }] })
  await bob.post('/pushers/set', pusher).ok()
  assert.deepEqual(await alice.get('/pushers').ok(), { pushers: [] })
  await alice.post('/pushers/set', { kind: null, app_id: pusher.app_id, pushkey: pusher.pushkey }).ok()
  assert.deepEqual(await bob.get('/pushers').ok(), { pushers: [pusher] })
  await bob.post('/pushers/set', { kind: null, app_id: pusher.app_id, pushkey: pusher.pushkey }).ok()
  assert.deepEqual(await bob.get('/pushers').ok(), { pushers: [] })
})

test('pushers: refusals', async (t) => {
  const server = await testServer(t)
  const alice = await server.register('alice')
  const refused = (change: object, errcode: string, status = 400) => alice.post('/pushers/set', { ...pusher, ...change }).fails(status, errcode)
  await refused({ kind: 'carrier-pigeon' }, 'M_INVALID_PARAM')
  await refused({ app_id: 'x'.repeat(65) }, 'M_INVALID_PARAM')
  await refused({ pushkey: 'x'.repeat(513) }, 'M_INVALID_PARAM')
  await refused({ pushkey: 'a\u0000b' }, 'M_INVALID_PARAM')
  await refused({ data: {} }, 'M_MISSING_PARAM')
  await refused({ data: 3 }, 'M_BAD_JSON')
  for (const url of ['ftp://push.example/_matrix/push/v1/notify', 'https://push.example/', 'nonsense', 3]) await refused({ data: { url } }, 'M_INVALID_PARAM')
  await refused({ data: { ...pusher.data, much: 'x'.repeat(20_000) } }, 'M_INVALID_PARAM')
  await refused({ lang: undefined }, 'M_MISSING_PARAM')
  await refused({ kind: undefined }, 'M_MISSING_PARAM')
  await refused({ kind: 'email', app_id: 'm.email', pushkey: 'alice@example.com', data: {} }, 'M_THREEPID_NOT_FOUND')
  await refused({ kind: 'email', data: {} }, 'M_INVALID_PARAM')
  await server.anonymous().get('/pushers').fails(401, 'M_MISSING_TOKEN')
  for (let count = 0; count < 100; count++) await alice.post('/pushers/set', { ...pusher, pushkey: `key${count}` }).ok()
  await refused({ pushkey: 'one more' }, 'M_TOO_LARGE', 413)
})

test('pushers go with their device', async (t) => {
  const server = await testServer(t)
  const alice = await server.register('alice')
  const other = await server.login('alice')
  await other.post('/pushers/set', pusher).ok()
  assert.deepEqual(await alice.get('/pushers').ok(), { pushers: [pusher] })
  await other.post('/logout', {}).ok()
  assert.deepEqual(await alice.get('/pushers').ok(), { pushers: [] })
})
