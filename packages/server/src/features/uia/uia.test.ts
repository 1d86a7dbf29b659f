/** Interactive authentication at the HTTP door, and its bounds. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TestClock } from '#test/kit/test-clock.ts'
import type { TestClient } from '#test/kit/test-client.ts'
import { testServer } from '#test/kit/test-server.ts'

const auth = (user: string, session?: unknown, password = `password-of-${user}`) =>
  ({ type: 'm.login.password', identifier: { type: 'm.id.user', user }, password, ...(session === undefined ? {} : { session }) })

/** Asks for a session to delete a device. */
async function sessionFor(client: TestClient, deviceId: string): Promise<unknown> {
  const reply = await client.delete(`/devices/${deviceId}`, {})
  assert.equal(reply.status, 401)
  return reply.body['session']
}

test('a session belongs to its user, device and request, and is used once', async (t) => {
  const server = await testServer(t)
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const other = await server.login('alice')
  await server.login('alice', { device_id: 'ONE' })
  await server.login('alice', { device_id: 'TWO' })
  const session = await sessionFor(alice, 'ONE')
  await alice.delete('/devices/TWO', { auth: auth('alice', session) }).fails(403, 'M_FORBIDDEN')
  await alice.post('/account/password', { new_password: 'changed', auth: auth('alice', session) }).fails(403, 'M_FORBIDDEN')
  assert.notEqual((await bob.delete('/devices/ONE', { auth: { session } })).body['session'], session)
  assert.notEqual((await other.delete('/devices/ONE', { auth: { session } })).body['session'], session)
  const wrong = await alice.delete('/devices/ONE', { auth: auth('alice', session, 'wrong') })
  assert.equal(`${wrong.status} ${String(wrong.body['errcode'])}`, '401 M_FORBIDDEN')
  assert.equal(wrong.body['session'], session)
  assert.deepEqual(wrong.body['flows'], [{ stages: ['m.login.password'] }])
  for (const user of ['bob', bob.userId, 'nobody']) {
    const asOther = await alice.delete('/devices/ONE', { auth: auth(user, session) }).fails(403, 'M_FORBIDDEN')
    assert.equal(asOther['session'], undefined)
  }
  await alice.delete('/devices/ONE', { auth: auth('alice', session) }).ok()
  assert.equal((await alice.delete('/devices/ONE', { auth: { session } })).status, 401)
  assert.equal((await alice.delete('/devices/TWO', { auth: { type: 'm.login.dummy' } })).status, 401)
})

test('the body must not change, and may be left out later', async (t) => {
  const server = await testServer(t)
  const alice = await server.register('alice')
  const first = await alice.post('/account/password', { new_password: 'first', logout_devices: false })
  const session = first.body['session']
  await alice.post('/account/password', { new_password: 'other', auth: auth('alice', session) }).fails(403, 'M_FORBIDDEN')
  await alice.post('/account/password', { auth: auth('alice', session) }).ok()
  await server.anonymous().post('/login', auth('alice', undefined, 'first')).ok()
})

test('sessions end after a day, with their device, and are bounded per user', async (t) => {
  const clock = new TestClock()
  const server = await testServer(t, { clock })
  const alice = await server.register('alice')
  const other = await server.login('alice')
  const session = await sessionFor(alice, 'ONE')
  clock.advance(25 * 3_600_000)
  assert.notEqual((await alice.delete('/devices/ONE', { auth: auth('alice', session, 'wrong') })).body['session'], session)
  const count = async (): Promise<number> => (await server.services.database.rows('SELECT session_id FROM ui_auth_sessions', [])).length
  await sessionFor(other, 'ONE')
  const before = await count()
  await other.post('/logout', {}).ok()
  assert.ok((await count()) < before)
  for (let index = 0; index < 55; index++) await sessionFor(alice, `D${index}`)
  assert.equal(await count(), 50)
})

test('one confirmation serves further removals of devices within session_timeout, and nothing else', async (t) => {
  const clock = new TestClock()
  const server = await testServer(t, { clock, config: 'ui_auth: {session_timeout: 15s}' })
  const alice = await server.register('alice')
  for (const id of ['ONE', 'TWO', 'THREE']) await server.login('alice', { device_id: id })
  await alice.delete('/devices/ONE', { auth: auth('alice') }).ok()
  await alice.delete('/devices/TWO', {}).ok()
  assert.equal((await alice.post('/account/deactivate', {})).status, 401)
  clock.advance(16_000)
  assert.equal((await alice.delete('/devices/THREE', {})).status, 401)
})

test('failed confirmations are limited', async (t) => {
  const server = await testServer(t, { config: 'rc_login: {failed_attempts: {per_second: 0.1, burst_count: 2}, address: {per_second: 100, burst_count: 100}, account: {per_second: 100, burst_count: 100}}' })
  const alice = await server.register('alice')
  for (let index = 0; index < 2; index++) assert.equal((await alice.delete('/devices/X', { auth: auth('alice', undefined, 'no') })).status, 401)
  await alice.delete('/devices/X', { auth: auth('alice') }).fails(429, 'M_LIMIT_EXCEEDED')
})
