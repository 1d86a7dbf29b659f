/** Registration at the HTTP door. */
import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { test } from 'node:test'
import { TestClock } from '#test/kit/test-clock.ts'
import type { TestClient } from '#test/kit/test-client.ts'
import { testServer, type TestServer } from '#test/kit/test-server.ts'

const dummy = { type: 'm.login.dummy' }

/** Secret and body of a shared-secret registration. */
async function secretBody(client: TestClient, fields: { username: string; password: string; admin?: boolean; user_type?: string }, secret = 'shared-secret-of-tests') {
  const nonce = String((await client.get('/_synapse/admin/v1/register').ok())['nonce'])
  const parts = [nonce, fields.username, fields.password, fields.admin ? 'admin' : 'notadmin', ...(fields.user_type === undefined ? [] : [fields.user_type])]
  return { ...fields, nonce, mac: createHmac('sha1', secret).update(parts.join('\0')).digest('hex') }
}

async function accountsCount(server: TestServer): Promise<number> {
  const [row] = await server.services.database.rows<{ count: number }>('SELECT count(*) AS count FROM users', [])
  return row?.count ?? 0
}

test('a user registers, logs in and logs out', async (t) => {
  const server = await testServer(t)
  const alice = await server.register('alice')
  assert.equal(alice.userId, '@alice:test.example')
  assert.match(alice.token, /^syt_YWxpY2U_[0-9A-Za-z]{24}_[0-9A-Za-z]{6}$/)
  const again = await server.login('alice')
  assert.notEqual(again.token, alice.token)
  await again.post('/logout').ok()
  assert.equal((await again.post('/logout').fails(401, 'M_UNKNOWN_TOKEN'))['soft_logout'], false)
  await alice.post('/logout/all').ok()
  await alice.get('/account/whoami').fails(401, 'M_UNKNOWN_TOKEN')
  assert.deepEqual(server.errors, [])
})

test('who lost the answer to a registration asks again', async (t) => {
  const server = await testServer(t)
  const nobody = server.anonymous()
  for (const wish of [{ password: 'secret' }, { username: 'bob', password: 'secret', device_id: 'PHONE' }]) {
    const { session } = (await nobody.post('/register', wish)).body
    const request = { ...wish, auth: { ...dummy, session } }
    const first = await nobody.post('/register', request).ok()
    const again = await nobody.post('/register', request).ok()
    assert.deepEqual([again['user_id'], again['device_id']], [first['user_id'], first['device_id']])
    assert.notEqual(again['access_token'], first['access_token'])
    const user = nobody.withToken(String(again['access_token']))
    assert.equal(((await user.get('/devices').ok())['devices'] as unknown[]).length, 1)
    await nobody.withToken(String(first['access_token'])).get('/account/whoami').fails(401, 'M_UNKNOWN_TOKEN')
    assert.equal((await nobody.post('/register', { ...request, inhibit_login: true }).ok())['access_token'], undefined)
    await nobody.post('/register', { ...request, password: 'guessed' }).fails(403, 'M_FORBIDDEN')
    await nobody.post('/register', { auth: request.auth }).fails(403, 'M_FORBIDDEN')
    assert.equal((await nobody.get(`/auth/m.login.dummy/fallback/web?session=${String(session)}`)).status, 400)
  }
})

test('names are checked', async (t) => {
  const server = await testServer(t)
  const nobody = server.anonymous()
  await server.register('alice')
  const tries: readonly (readonly [string, string])[] = [
    ['alice', 'M_USER_IN_USE'], ['Alice', 'M_USER_IN_USE'], ['\u212A', 'M_INVALID_USERNAME'], ['123', 'M_INVALID_USERNAME'], ['_bridge', 'M_INVALID_USERNAME'], ['', 'M_INVALID_USERNAME'],
    ['a b', 'M_INVALID_USERNAME'], ['@alice:test.example', 'M_INVALID_USERNAME'], ['x'.repeat(250), 'M_INVALID_USERNAME'], ['ä', 'M_INVALID_USERNAME'],
  ]
  for (const [username, errcode] of tries) {
    await nobody.post('/register', { username, password: 'secret', auth: dummy }).fails(400, errcode)
    await nobody.get(`/register/available?username=${encodeURIComponent(username)}`).fails(400, errcode)
  }
  await nobody.get('/register/available').fails(400, 'M_MISSING_PARAM')
  assert.deepEqual(await nobody.get('/register/available?username=bob').ok(), { available: true })
  assert.deepEqual(await nobody.get('/register/available?username=Bobby').ok(), { available: true })
  assert.equal((await nobody.post('/register', { username: 'BobBy', password: 'secret', auth: dummy }).ok())['user_id'], '@bobby:test.example')
  for (const username of ['__proto__', 'constructor', 'toString'.toLowerCase()]) {
    const reply = await nobody.post('/register', { username: username.replace(/^_+/, 'x'), password: 'secret', auth: dummy }).ok()
    assert.equal(typeof reply['access_token'], 'string')
  }
  await nobody.post('/register', { username: 5, password: 'secret', auth: dummy }).fails(400, 'M_INVALID_PARAM')
  await nobody.post('/register', { username: 'dave', password: 7, auth: dummy }).fails(400, 'M_INVALID_PARAM')
  await nobody.post('/register', { username: 'dave', password: 'x'.repeat(513), auth: dummy }).fails(400, 'M_INVALID_PARAM')
  await nobody.post('/register', { username: 'dave', auth: dummy }).fails(400, 'M_MISSING_PARAM')
  await nobody.post('/register', { username: 'dave', password: '', auth: dummy }).fails(400, 'M_WEAK_PASSWORD')
  await nobody.post('/register', { username: 'dave', password: 'a\0b', auth: dummy }).ok()
  await nobody.post('/register', { type: 'm.login.application_service', username: 'x' }).fails(401, 'M_UNKNOWN_TOKEN')
  await nobody.post('/register?kind=robot', {}).fails(400, 'M_UNRECOGNIZED')
})

test('a registration asks for its stages, remembers its parameters and takes changed ones', async (t) => {
  const server = await testServer(t)
  const nobody = server.anonymous()
  const first = await nobody.post('/register', {})
  assert.equal(first.status, 401)
  assert.deepEqual(first.body['flows'], [{ stages: ['m.login.dummy'] }])
  assert.equal(first.body['errcode'], undefined)
  const session = first.body['session']
  const second = await nobody.post('/register', { username: 'carol', password: 'secret', device_id: 'PHONE', auth: { session } })
  assert.equal(second.status, 401)
  const reply = await nobody.post('/register', { auth: { ...dummy, session } }).ok()
  assert.equal(reply['user_id'], '@carol:test.example')
  assert.equal(reply['device_id'], 'PHONE')
  const rows = await server.services.database.rows<{ operation: string; stages: string }>('SELECT operation, stages FROM ui_auth_sessions', [])
  assert.deepEqual(rows.map(({ operation, stages }) => `${operation} ${stages}`), ['finished []'])
  assert.deepEqual(await server.services.database.rows('SELECT * FROM ui_auth_sessions_credentials', []), [])
  const unknown = await nobody.post('/register', { username: 'eve', password: 'x', auth: { type: 'm.login.password', session: 'nonsense' } })
  assert.equal(`${unknown.status} ${String(unknown.body['errcode'])}`, '401 M_FORBIDDEN')
  assert.deepEqual(unknown.body['flows'], [{ stages: ['m.login.dummy'] }])
  await nobody.post('/register', { auth: 'x' }).fails(400, 'M_BAD_JSON')
})

test('nothing readable waits in the database', async (t) => {
  const server = await testServer(t)
  await server.anonymous().post('/register', { username: 'carol', password: 'very-secret-indeed' })
  const rows = await server.services.database.rows('SELECT * FROM ui_auth_sessions', [])
  assert.equal(rows.length, 1)
  assert.ok(!JSON.stringify(rows).includes('very-secret-indeed'))
})

test('inhibit_login makes no session, refresh_token makes one that can be refreshed', async (t) => {
  const server = await testServer(t)
  const nobody = server.anonymous()
  const bare = await nobody.post('/register', { username: 'alice', password: 'secret', inhibit_login: true, auth: dummy }).ok()
  assert.deepEqual(Object.keys(bare).sort(), ['home_server', 'user_id'])
  const full = await nobody.post('/register', { username: 'bob', password: 'secret', refresh_token: true, auth: dummy }).ok()
  assert.equal(typeof full['refresh_token'], 'string')
  assert.equal(full['expires_in_ms'], 300_000)
})

test('of racing registrations one succeeds', async (t) => {
  const server = await testServer(t)
  const replies = await Promise.all(Array.from({ length: 10 }, () => server.anonymous().post('/register', { username: 'alice', password: 'secret', auth: dummy })))
  assert.deepEqual(replies.map((reply) => reply.status).sort(), [200, ...Array<number>(9).fill(400)])
  assert.equal(await accountsCount(server), 1)
})

test('guests', async (t) => {
  const server = await testServer(t)
  const guest = await server.guest()
  assert.match(guest.userId, /^@\d+:test\.example$/)
  assert.equal((await guest.get('/account/whoami').ok())['is_guest'], true)
  await guest.post('/account/password', {}).fails(403, 'M_GUEST_ACCESS_FORBIDDEN')
  const closed = await testServer(t, { config: 'allow_guest_access: false' })
  await closed.anonymous().post('/register?kind=guest', {}).fails(403, 'M_GUEST_ACCESS_FORBIDDEN')
})

test('closed registration', async (t) => {
  const server = await testServer(t, { config: 'enable_registration: false' })
  await server.anonymous().post('/register', { username: 'alice', password: 'secret', auth: dummy }).fails(403, 'M_FORBIDDEN')
  await server.anonymous().get('/register/available?username=alice').fails(403, 'M_FORBIDDEN')
  await server.anonymous().get('/_matrix/client/v1/register/m.login.registration_token/validity?token=x').fails(403, 'M_FORBIDDEN')
  assert.equal((await server.admin()).userId, '@admin:test.example')
})

test('a demand that cannot be checked keeps registration closed', async (t) => {
  const server = await testServer(t, { config: 'registrations_require_3pid: [email]' })
  await server.anonymous().post('/register', { username: 'alice', password: 'secret', auth: dummy }).fails(403, 'M_FORBIDDEN')
})

test('a password policy', async (t) => {
  const server = await testServer(t, {
    config: 'password_config: {policy: {enabled: true, minimum_length: 8, require_digit: true, require_symbol: true, require_uppercase: true, require_lowercase: true}}',
  })
  const tries: readonly (readonly [string, string])[] = [
    ['aB1!', 'M_PASSWORD_TOO_SHORT'], ['abcdefgH!', 'M_PASSWORD_NO_DIGIT'], ['abcdefgH1', 'M_PASSWORD_NO_SYMBOL'],
    ['abcdefg1!', 'M_PASSWORD_NO_UPPERCASE'], ['ABCDEFG1!', 'M_PASSWORD_NO_LOWERCASE'],
  ]
  for (const [password, errcode] of tries) await server.anonymous().post('/register', { username: 'alice', password, auth: dummy }).fails(400, errcode)
  await server.anonymous().post('/register', { username: 'alice', password: 'abcdefgH1!', auth: dummy }).ok()
  assert.equal((await server.anonymous().get('/password_policy').ok())['m.minimum_length'], 8)
})

test('inhibit_user_in_use_error hides taken names until the end', async (t) => {
  const server = await testServer(t, { config: 'inhibit_user_in_use_error: true' })
  await server.register('alice')
  assert.deepEqual(await server.anonymous().get('/register/available?username=alice').ok(), { available: true })
  assert.equal((await server.anonymous().post('/register', { username: 'alice', password: 'secret' })).status, 401)
  await server.anonymous().post('/register', { username: 'alice', password: 'secret', auth: dummy }).fails(400, 'M_USER_IN_USE')
})

test('registration tokens: life, limits and races', async (t) => {
  const clock = new TestClock()
  const server = await testServer(t, { config: 'registration_requires_token: true', clock })
  const admin = await server.admin()
  const tokens = '/_synapse/admin/v1/registration_tokens'
  const made = await admin.post(`${tokens}/new`, { token: 'one-use', uses_allowed: 1 }).ok()
  assert.deepEqual(made, { token: 'one-use', uses_allowed: 1, pending: 0, completed: 0, expiry_time: null })
  assert.match(String((await admin.post(`${tokens}/new`, { length: 20 }).ok())['token']), /^[A-Za-z0-9]{20}$/)
  const register = (name: string, auth: object) => server.anonymous().post('/register', { username: name, password: 'secret', auth })
  const validity = '/_matrix/client/v1/register/m.login.registration_token/validity'
  assert.deepEqual(await server.anonymous().get(`${validity}?token=one-use`).ok(), { valid: true })
  assert.deepEqual(await server.anonymous().get(`${validity}?token=${encodeURIComponent('no such')}`).ok(), { valid: false })
  await server.anonymous().get(validity).fails(400, 'M_MISSING_PARAM')

  const replies = await Promise.all(Array.from({ length: 20 }, (_, index) => register(`racer${index}`, { type: 'm.login.registration_token', token: 'one-use' })))
  assert.equal(replies.filter((reply) => reply.status === 200).length, 1)
  assert.ok(replies.every((reply) => reply.status === 200 || reply.status === 401))
  assert.deepEqual(await admin.get(`${tokens}/one-use`).ok(), { token: 'one-use', uses_allowed: 1, pending: 0, completed: 1, expiry_time: null })
  assert.deepEqual(await server.anonymous().get(`${validity}?token=one-use`).ok(), { valid: false })
  assert.equal((await register('dummy', dummy)).status, 401)

  await admin.put(`${tokens}/one-use`, { uses_allowed: 2, expiry_time: clock.now() + 1000 }).ok()
  clock.advance(2000)
  assert.equal((await register('late', { type: 'm.login.registration_token', token: 'one-use' })).status, 401)
  assert.equal(((await admin.get(`${tokens}?valid=true`).ok())['registration_tokens'] as unknown[]).length, 1)
  assert.equal(((await admin.get(tokens).ok())['registration_tokens'] as unknown[]).length, 2)

  await admin.post(`${tokens}/new`, { token: 'one-use' }).fails(400, 'M_INVALID_PARAM')
  await admin.post(`${tokens}/new`, { token: 'x'.repeat(65) }).fails(400, 'M_INVALID_PARAM')
  await admin.post(`${tokens}/new`, { token: 'ä' }).fails(400, 'M_INVALID_PARAM')
  await admin.post(`${tokens}/new`, { length: 0 }).fails(400, 'M_INVALID_PARAM')
  await admin.post(`${tokens}/new`, { uses_allowed: -1 }).fails(400, 'M_INVALID_PARAM')
  await admin.post(`${tokens}/new`, { expiry_time: 5 }).fails(400, 'M_INVALID_PARAM')
  await admin.get(`${tokens}/none`).fails(404, 'M_NOT_FOUND')
  await admin.put(`${tokens}/none`, {}).fails(404, 'M_NOT_FOUND')
  await admin.delete(`${tokens}/one-use`).ok()
  await admin.delete(`${tokens}/one-use`).fails(404, 'M_NOT_FOUND')
  await server.anonymous().get(tokens).fails(401, 'M_MISSING_TOKEN')
  const user = String((await server.anonymous().post('/_synapse/admin/v1/register', await secretBody(server.anonymous(), { username: 'plain', password: 'secret' })).ok())['access_token'])
  await server.anonymous().withToken(user).get(tokens).fails(403, 'M_FORBIDDEN')
})

test('a reserved use of a token comes back when the registration does not happen', async (t) => {
  const clock = new TestClock()
  const server = await testServer(t, { config: 'registration_requires_token: true', clock })
  const admin = await server.admin()
  await admin.post('/_synapse/admin/v1/registration_tokens/new', { token: 'once', uses_allowed: 1 }).ok()
  const session = String((await server.anonymous().post('/register', {})).body['session'])
  const page = `/auth/m.login.registration_token/fallback/web`
  assert.match((await server.anonymous().get(`${page}?session=${session}`)).text, /name="token"/)
  const form = { headers: { 'content-type': 'application/x-www-form-urlencoded' } }
  assert.equal((await server.anonymous().post(page, `session=${session}&token=wrong`, form)).status, 401)
  assert.match((await server.anonymous().post(page, `session=${session}&token=once`, form)).text, /onAuthDone/)
  assert.equal((await admin.get('/_synapse/admin/v1/registration_tokens/once').ok())['pending'], 1)
  clock.advance(25 * 3_600_000)
  await server.services.uia.expire()
  assert.equal((await admin.get('/_synapse/admin/v1/registration_tokens/once').ok())['pending'], 0)
  const next = String((await server.anonymous().post('/register', {})).body['session'])
  await server.anonymous().post(page, `session=${next}&token=once`, form)
  assert.equal((await server.anonymous().post('/register', { username: 'alice', password: 'secret', auth: { session: next } }).ok())['user_id'], '@alice:test.example')
  assert.equal((await server.anonymous().get(`${page}?session=<script>`)).status, 400)
})

test('registration by the shared secret', async (t) => {
  const clock = new TestClock()
  const server = await testServer(t, { clock })
  const nobody = server.anonymous()
  const path = '/_synapse/admin/v1/register'
  const body = await secretBody(nobody, { username: 'alice', password: 'secret', admin: true })
  const reply = await nobody.post(path, body).ok()
  assert.equal(reply['user_id'], '@alice:test.example')
  assert.equal((await server.services.accounts.require('@alice:test.example')).isAdmin, true)
  await nobody.post(path, body).fails(400, 'M_UNKNOWN')
  await nobody.post(path, await secretBody(nobody, { username: 'bob', password: 'secret' }, 'wrong')).fails(403, 'M_UNKNOWN')
  await nobody.post(path, { ...(await secretBody(nobody, { username: 'bob', password: 'secret' })), admin: true }).fails(403, 'M_UNKNOWN')
  await nobody.post(path, await secretBody(nobody, { username: 'alice', password: 'secret' })).fails(400, 'M_USER_IN_USE')
  await nobody.post(path, await secretBody(nobody, { username: 'bob', password: 'secret', user_type: 'robot' })).fails(400, 'M_INVALID_PARAM')
  await nobody.post(path, { nonce: 'x' }).fails(400, 'M_MISSING_PARAM')
  const late = await secretBody(nobody, { username: 'bob', password: 'secret', user_type: 'bot' })
  clock.advance(61_000)
  await nobody.post(path, late).fails(400, 'M_UNKNOWN')
  await nobody.post(path, await secretBody(nobody, { username: 'bob', password: 'secret', user_type: 'bot' })).ok()
  assert.equal((await server.services.accounts.require('@bob:test.example')).userType, 'bot')
  const none = await testServer(t, { config: 'registration_shared_secret: null' })
  await none.anonymous().get(path).fails(400, 'M_UNKNOWN')
})

test('registration is limited by address', async (t) => {
  const server = await testServer(t, { rateLimits: true })
  for (const name of ['one', 'two', 'three']) await server.register(name)
  const body = await server.anonymous().post('/register', { username: 'four', password: 'secret', auth: dummy }).fails(429, 'M_LIMIT_EXCEEDED')
  assert.equal(typeof body['retry_after_ms'], 'number')
})

test('a guest becomes a user and keeps name and rooms; nobody else becomes them', async (t) => {
  const server = await testServer(t)
  const { alice, room } = await server.withRoom()
  await alice.put(`/rooms/${encodeURIComponent(room)}/state/m.room.guest_access`, { guest_access: 'can_join' }).ok()
  const [guest, other] = [await server.guest(), await server.guest()]
  await guest.post(`/join/${encodeURIComponent(room)}`, {}).ok()
  const username = guest.userId.slice(1, guest.userId.indexOf(':'))
  const nobody = server.anonymous()
  const upgrade = (token: string, name = username) => nobody.post('/register', { username: name, password: 'a good password', guest_access_token: token, auth: { type: 'm.login.dummy' } })
  await upgrade(other.token).fails(403, 'M_FORBIDDEN')
  await upgrade(alice.token, 'alice').fails(403, 'M_FORBIDDEN')
  await upgrade('nonsense').fails(401, 'M_UNKNOWN_TOKEN')
  const first = await nobody.post('/register', { username, password: 'a good password', guest_access_token: guest.token })
  assert.equal(first.status, 401)
  const made = await upgrade(guest.token).ok()
  assert.equal(made['user_id'], guest.userId)
  const user = guest.withToken(String(made['access_token']))
  assert.equal((await user.get('/account/whoami').ok())['is_guest'], false)
  assert.deepEqual((await user.get('/joined_rooms').ok())['joined_rooms'], [room])
  await user.post('/createRoom', {}).ok()
  await guest.get('/account/whoami').fails(401, 'M_UNKNOWN_TOKEN')
  await upgrade(guest.token).fails(401, 'M_UNKNOWN_TOKEN')
  await nobody.post('/login', { type: 'm.login.password', identifier: { type: 'm.id.user', user: username }, password: 'a good password' }).ok()
})
