/** Devices at the HTTP door. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import { deviceLimit } from './devices.ts'
import { TestClock } from '#test/kit/test-clock.ts'
import { testServer } from '#test/kit/test-server.ts'

const auth = { type: 'm.login.password', identifier: { type: 'm.id.user', user: 'alice' }, password: 'password-of-alice' }
const alice = '@alice:test.example' as UserId

test('devices are listed, read, renamed and removed', async (t) => {
  const server = await testServer(t)
  const user = await server.register('alice', { device_id: 'ONE', initial_device_display_name: 'Phone' })
  const two = await server.login('alice', { device_id: '__proto__' })
  const changes: string[] = []
  server.services.devices.onChanged(async (_tx, userId, deviceIds) => void changes.push(`changed ${userId} ${deviceIds.join()}`))
  server.services.devices.onDeleted(async (_tx, userId, deviceIds) => void changes.push(`deleted ${userId} ${deviceIds.join()}`))
  const one = await user.get('/devices/ONE').ok()
  assert.deepEqual([one['device_id'], one['user_id'], one['display_name']], ['ONE', alice, 'Phone'])
  assert.equal(((await user.get('/devices').ok())['devices'] as unknown[]).length, 2)
  await user.get('/devices/NONE').fails(404, 'M_NOT_FOUND')
  await user.put('/devices/ONE', { display_name: 'Old phone' }).ok()
  await user.put('/devices/ONE', { display_name: 'Old phone' }).ok()
  await user.put('/devices/ONE', {}).ok()
  assert.equal((await user.get('/devices/ONE').ok())['display_name'], 'Old phone')
  await user.put('/devices/NONE', { display_name: 'x' }).fails(404, 'M_NOT_FOUND')
  await user.put('/devices/ONE', { display_name: 'x'.repeat(101) }).fails(400, 'M_INVALID_PARAM')
  await user.put('/devices/ONE', { display_name: 5 }).fails(400, 'M_BAD_JSON')
  await user.delete('/devices/__proto__', { auth }).ok()
  await two.get('/devices').fails(401, 'M_UNKNOWN_TOKEN')
  assert.deepEqual(changes, [`changed ${alice} ONE`, `deleted ${alice} __proto__`, `changed ${alice} __proto__`])
  await server.login('alice', { device_id: 'THREE' })
  await user.post('/delete_devices', {}).fails(400, 'M_MISSING_PARAM')
  await user.post('/delete_devices', { devices: 'x' }).fails(400, 'M_BAD_JSON')
  assert.equal((await user.post('/delete_devices', { devices: ['THREE'] })).status, 401)
  await user.post('/delete_devices', { devices: ['THREE', 'NONE'], auth }).ok()
  assert.equal(((await user.get('/devices').ok())['devices'] as unknown[]).length, 1)
  await (await server.guest()).get('/devices').ok()
  await (await server.guest()).delete('/devices/X', {}).fails(403, 'M_GUEST_ACCESS_FORBIDDEN')
  await server.anonymous().get('/devices').fails(401, 'M_MISSING_TOKEN')
})

test('where devices were last seen, and whois', async (t) => {
  const clock = new TestClock()
  const server = await testServer(t, { clock })
  const user = await server.register('alice', { device_id: 'ONE' })
  const bob = await server.register('bob')
  const admin = await server.admin()
  await user.get('/account/whoami', { headers: { 'user-agent': 'first' } }).ok()
  const seenTs = clock.now()
  clock.advance(60_000)
  await user.get('/account/whoami', { headers: { 'user-agent': 'first' } }).ok()
  await server.services.sessions.flush()
  const device = await user.get('/devices/ONE').ok()
  assert.equal(device['last_seen_ts'], seenTs)
  assert.equal(device['last_seen_ip'], '127.0.0.1')
  const expected = { user_id: alice, devices: { '': { sessions: [{ connections: [{ ip: '127.0.0.1', last_seen: seenTs, user_agent: 'first' }] }] } } }
  assert.deepEqual(await admin.get(`/admin/whois/${alice}`).ok(), expected)
  assert.deepEqual(await admin.get(`/_synapse/admin/v1/whois/${alice}`).ok(), expected)
  assert.deepEqual(await user.get(`/admin/whois/${alice}`).ok(), expected)
  await bob.get(`/admin/whois/${alice}`).fails(403, 'M_FORBIDDEN')
  await bob.get(`/_synapse/admin/v1/whois/${alice}`).fails(403, 'M_FORBIDDEN')
  await admin.get('/admin/whois/@none:test.example').fails(404, 'M_NOT_FOUND')
  await server.guest().then((guest) => guest.get(`/admin/whois/${guest.userId}`).fails(403, 'M_GUEST_ACCESS_FORBIDDEN'))
  await server.services.sessions.flush()
  clock.advance(29 * 24 * 3_600_000)
  await server.services.devices.expire()
  await server.services.accounts.settled()
  assert.deepEqual(await server.services.devices.sightings('@bob:test.example'), [])
})

test('devices that nobody uses are removed where the operator wants that', async (t) => {
  const clock = new TestClock()
  const server = await testServer(t, { clock, config: 'delete_stale_devices_after: 1d' })
  const user = await server.register('alice', { device_id: 'ONE' })
  await user.get('/account/whoami').ok()
  await server.services.sessions.flush()
  clock.advance(2 * 24 * 3_600_000)
  const fresh = await server.login('alice', { device_id: 'TWO' })
  await server.services.devices.expire()
  await user.get('/account/whoami').fails(401, 'M_UNKNOWN_TOKEN')
  await fresh.get('/account/whoami').ok()
})

test('a user has a bounded number of devices', async (t) => {
  const clock = new TestClock()
  const server = await testServer(t, { clock })
  const { database, devices } = server.services
  await server.register('alice', { device_id: 'OLDEST' })
  await database.transaction(async (tx) => {
    for (let index = 0; index < deviceLimit; index++) {
      clock.advance(1)
      await devices.create(tx, alice, `D${index}`, undefined)
    }
  })
  const list = await devices.list(alice)
  assert.equal(list.length, deviceLimit)
  assert.equal(list.some((device) => device.deviceId === 'OLDEST'), false)
})
