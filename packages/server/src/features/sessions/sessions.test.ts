/** Sessions at the HTTP door. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import bcrypt from 'bcryptjs'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import { TestClock } from '#test/kit/test-clock.ts'
import { testServer, type TestServer } from '#test/kit/test-server.ts'

const alice = '@alice:test.example' as UserId
const login = (user: string, password: string, extra: object = {}) => ({ type: 'm.login.password', identifier: { type: 'm.id.user', user }, password, ...extra })

async function setHash(server: TestServer, hash: string): Promise<void> {
  await server.services.database.transaction((tx) => server.services.accounts.setPassword(tx, alice, hash))
}

test('logging in by password', async (t) => {
  const server = await testServer(t)
  const nobody = server.anonymous()
  await server.register('alice')
  assert.deepEqual(await nobody.get('/login').ok(), { flows: [{ type: 'm.login.password' }] })
  for (const user of ['alice', '@alice:test.example', 'ALICE', '@Alice:test.example']) {
    assert.equal((await nobody.post('/login', login(user, 'password-of-alice')).ok())['user_id'], alice)
  }
  assert.equal((await nobody.post('/login', { type: 'm.login.password', user: 'alice', password: 'password-of-alice' }).ok())['user_id'], alice)
  assert.equal((await nobody.post('/login', login('alice', 'password-of-alice', { device_id: 'X', initial_device_display_name: 'Phone' })).ok())['device_id'], 'X')
  const wrong = await nobody.post('/login', login('alice', 'nope')).fails(403, 'M_FORBIDDEN')
  assert.deepEqual(await nobody.post('/login', login('nobody', 'nope')).fails(403, 'M_FORBIDDEN'), wrong)
  for (const user of ['__proto__', '@constructor:test.example', '@alice:elsewhere.example', '']) await nobody.post('/login', login(user, 'nope')).fails(403, 'M_FORBIDDEN')
  await nobody.post('/login', { ...login('', 'x'), identifier: { type: 'm.id.thirdparty', medium: 'email', address: 'a@b.c' } }).fails(403, 'M_FORBIDDEN')
  await nobody.post('/login', { ...login('', 'x'), identifier: { type: 'm.id.phone', country: 'DE', phone: '1' } }).fails(403, 'M_FORBIDDEN')
  await nobody.post('/login', { ...login('', 'x'), identifier: { type: 'm.id.tree' } }).fails(400, 'M_UNKNOWN')
  await nobody.post('/login', { ...login('', 'x'), identifier: {} }).fails(400, 'M_UNKNOWN')
  await nobody.post('/login', { type: 'm.login.password', password: 'x' }).fails(400, 'M_MISSING_PARAM')
  await nobody.post('/login', { type: 'm.login.password', identifier: { type: 'm.id.user', user: 'alice' } }).fails(400, 'M_MISSING_PARAM')
  await nobody.post('/login', login('alice', 'x'.repeat(1000))).fails(400, 'M_INVALID_PARAM')
  await nobody.post('/login', login('alice', 'password-of-alice', { device_id: 5 })).fails(400, 'M_INVALID_PARAM')
  await nobody.post('/login', login('alice', 'password-of-alice', { device_id: 'x'.repeat(513) })).fails(400, 'M_INVALID_PARAM')
  await nobody.post('/login', login('alice', 'password-of-alice', { initial_device_display_name: 'x'.repeat(101) })).fails(400, 'M_INVALID_PARAM')
  await nobody.post('/login', { type: 'm.login.dream' }).fails(400, 'M_UNKNOWN')
  await nobody.post('/login', { type: 'm.login.token', token: 'x' }).fails(400, 'M_UNKNOWN')
  await nobody.post('/login', { type: 'm.login.application_service' }).fails(400, 'M_APPSERVICE_LOGIN_UNSUPPORTED')
  await nobody.post('/login', {}).fails(400, 'M_MISSING_PARAM')
  assert.deepEqual(server.errors, [])
})

test('passwords are compared after NFKC normalisation', async (t) => {
  const server = await testServer(t)
  await server.anonymous().post('/register', { username: 'alice', password: '\u212Bngstro\u0308m', auth: { type: 'm.login.dummy' } }).ok()
  await server.anonymous().post('/login', login('alice', '\u00C5ngstr\u00F6m')).ok()
})

test('a bcrypt hash with a pepper is accepted once and then replaced', async (t) => {
  const server = await testServer(t, { config: 'password_config: {pepper: salt-and-pepper}' })
  await server.register('alice')
  await setHash(server, await bcrypt.hash('old-passwordsalt-and-pepper', 4))
  await server.anonymous().post('/login', login('alice', 'wrong')).fails(403, 'M_FORBIDDEN')
  await server.anonymous().post('/login', login('alice', 'old-password')).ok()
  const [row] = await server.services.database.rows<{ password_hash: string }>('SELECT password_hash FROM users', [])
  assert.match(row?.password_hash ?? '', /^\$argon2id\$v=19\$m=19456,t=2,p=1\$/)
  await server.anonymous().post('/login', login('alice', 'old-password')).ok()
  await setHash(server, 'nonsense')
  await server.anonymous().post('/login', login('alice', 'old-password')).fails(403, 'M_FORBIDDEN')
})

test('logging in again with a device ends its old token', async (t) => {
  const server = await testServer(t)
  await server.register('alice')
  const first = await server.login('alice', { device_id: 'PHONE' })
  const other = await server.login('alice', { device_id: 'LAPTOP' })
  await first.get('/account/whoami').ok()
  const second = await server.login('alice', { device_id: 'PHONE' })
  await first.get('/account/whoami').fails(401, 'M_UNKNOWN_TOKEN')
  assert.equal((await second.get('/account/whoami').ok())['device_id'], 'PHONE')
  await other.get('/account/whoami').ok()
})

test('odd tokens', async (t) => {
  const server = await testServer(t)
  const user = await server.register('alice')
  const bearer = (value: string) => server.anonymous().get('/account/whoami', { headers: { authorization: value } })
  await bearer('Bearer ').fails(401, 'M_MISSING_TOKEN')
  await bearer(`Bearer ${user.token.toUpperCase()}`).fails(401, 'M_UNKNOWN_TOKEN')
  await bearer(`Bearer ${user.token}x`).fails(401, 'M_UNKNOWN_TOKEN')
  await server.anonymous().get('/account/whoami').fails(401, 'M_MISSING_TOKEN')
  await server.anonymous().get(`/account/whoami?access_token=${user.token}`).ok()
  await server.anonymous().get(`/account/whoami?access_token=${user.token}%00`).fails(401, 'M_UNKNOWN_TOKEN')
  const rows = await server.services.database.rows('SELECT * FROM access_tokens', [])
  assert.ok(!JSON.stringify(rows).includes(user.token))
})

test('refresh tokens rotate, and a stolen one ends the session', async (t) => {
  const clock = new TestClock()
  const server = await testServer(t, { clock })
  await server.register('alice')
  const nobody = server.anonymous()
  const refresh = (token: unknown) => nobody.post('/refresh', { refresh_token: token })
  const whoami = (token: unknown) => nobody.withToken(String(token)).get('/account/whoami')
  const first = await nobody.post('/login', login('alice', 'password-of-alice', { refresh_token: true })).ok()
  assert.equal(first['expires_in_ms'], 300_000)
  await whoami(first['access_token']).ok()
  clock.advance(300_001)
  assert.equal((await whoami(first['access_token']).fails(401, 'M_UNKNOWN_TOKEN'))['soft_logout'], true)

  const lost = await refresh(first['refresh_token']).ok()
  const second = await refresh(first['refresh_token']).ok()
  await whoami(lost['access_token']).fails(401, 'M_UNKNOWN_TOKEN')
  await refresh(lost['refresh_token']).fails(401, 'M_UNKNOWN_TOKEN')
  await whoami(second['access_token']).ok()
  await whoami(second['access_token']).ok()

  assert.equal((await refresh(first['refresh_token']).fails(401, 'M_UNKNOWN_TOKEN'))['soft_logout'], true)
  await whoami(second['access_token']).fails(401, 'M_UNKNOWN_TOKEN')
  await refresh(second['refresh_token']).fails(401, 'M_UNKNOWN_TOKEN')
  await refresh('nonsense').fails(401, 'M_UNKNOWN_TOKEN')
  await refresh(undefined).fails(400, 'M_MISSING_PARAM')
})

test('concurrent refreshes leave one valid pair', async (t) => {
  const server = await testServer(t)
  await server.register('alice')
  const nobody = server.anonymous()
  const { refresh_token } = await nobody.post('/login', login('alice', 'password-of-alice', { refresh_token: true })).ok()
  const pairs = await Promise.all(Array.from({ length: 5 }, () => nobody.post('/refresh', { refresh_token })))
  const alive = await Promise.all(pairs.filter((pair) => pair.status === 200).map((pair) => nobody.withToken(String(pair.body['access_token'])).get('/account/whoami')))
  assert.equal(alive.filter((reply) => reply.status === 200).length, 1)
})

test('logging out ends the refresh token as well', async (t) => {
  const server = await testServer(t)
  await server.register('alice')
  const pair = await server.anonymous().post('/login', login('alice', 'password-of-alice', { refresh_token: true })).ok()
  await server.anonymous().withToken(String(pair['access_token'])).post('/logout', {}).ok()
  await server.anonymous().post('/refresh', { refresh_token: pair['refresh_token'] }).fails(401, 'M_UNKNOWN_TOKEN')
})

test('session_lifetime ends plain tokens softly', async (t) => {
  const clock = new TestClock()
  const server = await testServer(t, { clock, config: 'session_lifetime: 1h' })
  const user = await server.register('alice')
  await user.get('/account/whoami').ok()
  clock.advance(3_600_001)
  assert.equal((await user.get('/account/whoami').fails(401, 'M_UNKNOWN_TOKEN'))['soft_logout'], true)
})

test('login tokens are good for one login within their time', async (t) => {
  const clock = new TestClock()
  const server = await testServer(t, { clock, config: 'login_via_existing_session: {enabled: true, require_ui_auth: true, token_timeout: 1m}' })
  const user = await server.register('alice')
  const nobody = server.anonymous()
  assert.deepEqual((await nobody.get('/login').ok())['flows'], [{ type: 'm.login.password' }, { type: 'm.login.token', get_login_token: true }])
  const path = '/_matrix/client/v1/login/get_token'
  assert.equal((await user.post(path, {})).status, 401)
  const auth = { type: 'm.login.password', identifier: { type: 'm.id.user', user: 'alice' }, password: 'password-of-alice' }
  const { login_token: token, expires_in_ms } = await user.post(path, { auth }).ok()
  assert.equal(expires_in_ms, 60_000)
  const replies = await Promise.all(Array.from({ length: 5 }, () => nobody.post('/login', { type: 'm.login.token', token })))
  assert.deepEqual(replies.map((reply) => reply.status).sort(), [200, 403, 403, 403, 403])
  const late = (await user.post(path, { auth }).ok())['login_token']
  clock.advance(60_001)
  await nobody.post('/login', { type: 'm.login.token', token: late }).fails(403, 'M_FORBIDDEN')
  await nobody.post('/login', { type: 'm.login.token' }).fails(400, 'M_MISSING_PARAM')
  await (await server.guest()).post(path, {}).fails(403, 'M_GUEST_ACCESS_FORBIDDEN')
  const without = await testServer(t)
  await (await without.register('bob')).post(path, {}).fails(404, 'M_UNRECOGNIZED')
})

test('locked, suspended and deactivated users', async (t) => {
  const server = await testServer(t)
  const user = await server.register('alice')
  await user.get('/account/whoami').ok()
  await server.services.accounts.setFlags(alice, { isLocked: true })
  assert.equal((await user.get('/account/whoami').fails(401, 'M_USER_LOCKED'))['soft_logout'], true)
  await server.anonymous().post('/login', login('alice', 'password-of-alice')).fails(401, 'M_USER_LOCKED')
  await server.services.accounts.setFlags(alice, { isLocked: false, isSuspended: true })
  await user.put(`/profile/${alice}/displayname`, { displayname: 'x' }).fails(403, 'M_USER_SUSPENDED')
  await user.get('/account/whoami').ok()
  await server.services.accounts.deactivate(alice, { erase: false })
  await user.get('/account/whoami').fails(401, 'M_UNKNOWN_TOKEN')
  await server.anonymous().post('/login', login('alice', 'password-of-alice')).fails(403, 'M_USER_DEACTIVATED')
  await server.anonymous().post('/register', { username: 'alice', password: 'x', auth: { type: 'm.login.dummy' } }).fails(400, 'M_USER_IN_USE')
})

test('failed logins are limited by account, whoever tries', async (t) => {
  const server = await testServer(t, { config: 'rc_login: {address: {per_second: 100, burst_count: 100}, account: {per_second: 100, burst_count: 100}, failed_attempts: {per_second: 0.1, burst_count: 2}}' })
  await server.register('alice')
  await server.anonymous().post('/login', login('alice', 'no')).fails(403, 'M_FORBIDDEN')
  await server.anonymous().post('/login', login('@Alice:test.example', 'no')).fails(403, 'M_FORBIDDEN')
  await server.anonymous().post('/login', login('ALICE', 'password-of-alice')).fails(429, 'M_LIMIT_EXCEEDED')
})

test('the cached path answers at once', async (t) => {
  const server = await testServer(t)
  const user = await server.register('alice')
  const credentials = { token: user.token, userId: undefined, deviceId: undefined, ip: '192.0.2.1', userAgent: 'x' }
  await server.services.sessions.authenticate(credentials)
  assert.ok(!(server.services.sessions.authenticate(credentials) instanceof Promise))
})
