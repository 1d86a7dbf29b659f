/** TURN credentials at the HTTP door. */
import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { test } from 'node:test'
import { TestClock } from '#test/kit/test-clock.ts'
import { testServer } from '#test/kit/test-server.ts'

const uris = ['turn:turn.example:3478?transport=udp', 'turns:turn.example']

test('TURN credentials from a shared secret', async (t) => {
  const clock = new TestClock()
  const server = await testServer(t, { clock, config: `turn_uris: ${JSON.stringify(uris)}\nturn_shared_secret: hush\nturn_user_lifetime: 2h\n` })
  const alice = await server.register('alice')
  const username = `${clock.now() / 1000 + 7200}:${alice.userId}`
  const password = createHmac('sha1', 'hush').update(username).digest('base64')
  assert.deepEqual(await alice.get('/voip/turnServer').ok(), { username, password, ttl: 7200, uris })
  await (await server.guest()).get('/voip/turnServer').ok()
  await server.anonymous().get('/voip/turnServer').fails(401, 'M_MISSING_TOKEN')
})

test('TURN credentials that are fixed, not for guests', async (t) => {
  const server = await testServer(t, { config: `turn_uris: ${JSON.stringify(uris)}\nturn_username: u\nturn_password: p\nturn_allow_guests: false\n` })
  assert.deepEqual(await (await server.register('alice')).get('/voip/turnServer').ok(), { username: 'u', password: 'p', ttl: 3600, uris })
  await (await server.guest()).get('/voip/turnServer').fails(403, 'M_GUEST_ACCESS_FORBIDDEN')
})
