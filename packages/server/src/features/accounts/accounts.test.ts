/** One's own account at the HTTP door. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import { testServer } from '#test/kit/test-server.ts'

const auth = { type: 'm.login.password', identifier: { type: 'm.id.user', user: 'alice' }, password: 'password-of-alice' }

test('whoami', async (t) => {
  const server = await testServer(t)
  const alice = await server.register('alice')
  assert.deepEqual(await alice.get('/account/whoami').ok(), { user_id: '@alice:test.example', is_guest: false, device_id: alice.deviceId })
  assert.deepEqual(await alice.get('/account/3pid').ok(), { threepids: [] })
  await server.anonymous().get('/account/3pid').fails(401, 'M_MISSING_TOKEN')
  await (await server.guest()).get('/account/3pid').fails(403, 'M_GUEST_ACCESS_FORBIDDEN')
})

test('changing the password logs other devices out, if wanted', async (t) => {
  const server = await testServer(t)
  const alice = await server.register('alice')
  const other = await server.login('alice')
  const refreshable = await server.anonymous().post('/login', { ...auth, refresh_token: true }).ok()
  await alice.post('/account/password', {}).fails(400, 'M_MISSING_PARAM')
  await alice.post('/account/password', { new_password: '' }).fails(400, 'M_WEAK_PASSWORD')
  await alice.post('/account/password', { new_password: 'x'.repeat(600) }).fails(400, 'M_INVALID_PARAM')
  await alice.post('/account/password', { auth }).fails(400, 'M_MISSING_PARAM')
  await alice.post('/account/password', { new_password: 'next', logout_devices: false, auth }).ok()
  await other.get('/account/whoami').ok()
  await server.anonymous().post('/login', auth).fails(403, 'M_FORBIDDEN')
  await alice.post('/account/password', { new_password: 'last', auth: { ...auth, password: 'next' } }).ok()
  await other.get('/account/whoami').fails(401, 'M_UNKNOWN_TOKEN')
  await server.anonymous().post('/refresh', { refresh_token: refreshable['refresh_token'] }).fails(401, 'M_UNKNOWN_TOKEN')
  assert.equal(((await alice.get('/devices').ok())['devices'] as unknown[]).length, 1)
})

test('deactivation removes what logs in, and clears away', async (t) => {
  const server = await testServer(t)
  const alice = await server.register('alice')
  const id = '@alice:test.example' as UserId
  const cleared: string[] = []
  server.services.accounts.afterDeactivation(async (userId) => void cleared.push(userId))
  const token = (await alice.post(`/user/${id}/openid/request_token`, {}).ok())['access_token']
  assert.equal((await alice.post('/account/deactivate', {})).status, 401)
  await alice.post('/account/deactivate', { erase: 'yes' }).fails(400, 'M_BAD_JSON')
  assert.deepEqual(await alice.post('/account/deactivate', { erase: true, auth }).ok(), { id_server_unbind_result: 'success' })
  await server.services.accounts.settled()
  assert.deepEqual(cleared, [id])
  await alice.get('/account/whoami').fails(401, 'M_UNKNOWN_TOKEN')
  await server.anonymous().get(`/profile/${id}`).fails(404, 'M_NOT_FOUND')
  await server.anonymous().get(`/_matrix/federation/v1/openid/userinfo?access_token=${String(token)}`).fails(401, 'M_UNKNOWN_TOKEN')
  const account = await server.services.accounts.require(id)
  assert.deepEqual([account.isDeactivated, account.isErased, account.hasPassword], [true, true, false])
  assert.deepEqual(await server.services.devices.list(id), [])
  const [profile] = await server.services.database.rows<{ displayname: string | null }>('SELECT displayname FROM profiles', [])
  assert.equal(profile?.displayname, null)
  await (await server.guest()).post('/account/deactivate', {}).fails(403, 'M_GUEST_ACCESS_FORBIDDEN')
  assert.deepEqual(server.errors, [])
})

test('users named like properties of objects', async (t) => {
  const server = await testServer(t)
  for (const name of ['constructor', 'tostring']) {
    assert.equal(await server.services.accounts.exists(`@${name}:test.example`), false)
    const user = await server.register(name)
    assert.equal((await user.get(`/profile/${user.userId}`).ok())['displayname'], name)
  }
  for (const user of ['@__proto__:test.example', '__proto__', '']) assert.equal(await server.services.accounts.get(user), undefined)
})

test('a deactivated user leaves the rooms', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom()
  await bob.post('/account/deactivate', { auth: { ...auth, identifier: { type: 'm.id.user', user: 'bob' }, password: 'password-of-bob' } }).ok()
  await server.services.accounts.settled()
  const member = await alice.get(`/rooms/${encodeURIComponent(room)}/state/m.room.member/${encodeURIComponent(bob.userId)}`).ok()
  assert.equal(member['membership'], 'leave')
})

test('clearing away goes on after it was interrupted', async (t) => {
  const server = await testServer(t)
  const { bob } = await server.withRoom()
  const { accounts } = server.services
  let isBroken = true
  const done: string[] = []
  accounts.afterDeactivation(async (userId) => {
    if (isBroken) throw new Error('the room was not reachable')
    done.push(userId)
  })
  await bob.post('/account/deactivate', { auth: { ...auth, identifier: { type: 'm.id.user', user: 'bob' }, password: 'password-of-bob' } }).ok()
  await accounts.settled()
  assert.equal(server.errors.length, 1)
  isBroken = false
  await accounts.resume()
  await accounts.settled()
  await accounts.resume()
  await accounts.settled()
  assert.deepEqual(done, [bob.userId])
})

test('which accounts exist is told where that is enabled', async (t) => {
  const path = '/_matrix/client/unstable/org.matrix.msc3720/account_status'
  const server = await testServer(t, { config: 'experimental_features: {msc3720_enabled: true}\n' })
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const auth = { type: 'm.login.password', identifier: { type: 'm.id.user', user: 'bob' }, password: 'password-of-bob' }
  await bob.post('/account/deactivate', { auth }).ok()
  const ids = [alice.userId, bob.userId, '@never:test.example', '@carol:elsewhere.example']
  assert.deepEqual(await alice.post(path, { user_ids: ids }).ok(), {
    account_statuses: {
      [alice.userId]: { exists: true, 'org.matrix.deactivated': false }, [bob.userId]: { exists: true, 'org.matrix.deactivated': true },
      '@never:test.example': { exists: false },
    },
    failures: ['@carol:elsewhere.example'],
  })
  await alice.post(path, { user_ids: ['nonsense'] }).fails(400, 'M_INVALID_PARAM')
  await alice.post(path, {}).fails(400, 'M_MISSING_PARAM')
  await alice.post(path, { user_ids: alice.userId }).fails(400, 'M_BAD_JSON')
  await alice.post(path, { user_ids: Array.from({ length: 1001 }, (_, index) => `@u${index}:test.example`) }).fails(400, 'M_INVALID_PARAM')
  await (await (await testServer(t)).register('dave')).post(path, { user_ids: [] }).fails(404, 'M_UNRECOGNIZED')
})
