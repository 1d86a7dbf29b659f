/** OpenID tokens at the HTTP door. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TestClock } from '#test/kit/test-clock.ts'
import { testServer } from '#test/kit/test-server.ts'

test('a token tells who its bearer is, for an hour', async (t) => {
  const clock = new TestClock()
  const server = await testServer(t, { clock })
  const [alice, guest] = [await server.register('alice'), await server.guest()]
  const path = `/user/${alice.userId}/openid/request_token`
  const userinfo = (token: unknown) => server.anonymous().get(`/_matrix/federation/v1/openid/userinfo?access_token=${encodeURIComponent(String(token))}`)
  const { access_token: token, ...rest } = await alice.post(path, {}).ok()
  assert.deepEqual(rest, { token_type: 'Bearer', matrix_server_name: 'test.example', expires_in: 3600 })
  assert.deepEqual(await userinfo(token).ok(), { sub: alice.userId })
  await server.anonymous().withToken(String(token)).get('/account/whoami').fails(401, 'M_UNKNOWN_TOKEN')
  await userinfo(alice.token).fails(401, 'M_UNKNOWN_TOKEN')
  await server.anonymous().get('/_matrix/federation/v1/openid/userinfo').fails(401, 'M_MISSING_TOKEN')
  await alice.post('/user/@bob:test.example/openid/request_token', {}).fails(403, 'M_FORBIDDEN')
  await guest.post(`/user/${guest.userId}/openid/request_token`, {}).fails(403, 'M_GUEST_ACCESS_FORBIDDEN')
  for (let index = 0; index < 120; index++) await alice.post(path).ok()
  assert.equal((await server.services.database.rows('SELECT user_id FROM openid_tokens', [])).length, 100)
  const late = (await alice.post(path, {}).ok())['access_token']
  clock.advance(3_600_001)
  await userinfo(late).fails(401, 'M_UNKNOWN_TOKEN')
})
