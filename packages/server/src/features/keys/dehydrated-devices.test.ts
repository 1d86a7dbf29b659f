import assert from 'node:assert/strict'
import { test } from 'node:test'
import { testServer } from '#test/kit/test-server.ts'
import { deviceKeys, newKey, oneTimeKeys } from './fixture-keys.ts'

const path = '/_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device'
const enabled = { config: 'experimental_features: {msc3814_enabled: true}\n' }
const data = { algorithm: 'org.matrix.msc3814.v1.olm', device_pickle: 'xyz' }

test('a dehydrated device takes messages and gives them page by page', async (t) => {
  const server = await testServer(t, enabled)
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const key = newKey()
  await alice.get(path).fails(404, 'M_NOT_FOUND')
  await alice.delete(path).fails(404, 'M_NOT_FOUND')
  const body = {
    device_id: 'DRY', device_data: data, initial_device_display_name: 'dry', device_keys: deviceKeys(alice.userId, 'DRY', key),
    one_time_keys: oneTimeKeys(alice.userId, 'DRY', key, 1), fallback_keys: oneTimeKeys(alice.userId, 'DRY', key, 1, 'f'),
  }
  assert.deepEqual(await alice.put(path, body).ok(), { device_id: 'DRY' })
  assert.deepEqual(await alice.put(path, body).ok(), { device_id: 'DRY' })
  assert.deepEqual(await alice.get(path).ok(), { device_id: 'DRY', device_data: data })
  const keys = await bob.post('/keys/query', { device_keys: { [alice.userId]: ['DRY'] } }).ok()
  assert.deepEqual(keys['device_keys'], { [alice.userId]: { DRY: { ...body.device_keys, unsigned: { device_display_name: 'dry' } } } })
  for (let i = 0; i < 101; i++) await bob.put(`/sendToDevice/m.x/${i}`, { messages: { [alice.userId]: { DRY: { i } } } }).ok()
  const first = await alice.post(`${path}/DRY/events`, {}).ok()
  assert.ok(Array.isArray(first['events']))
  assert.equal(first['events'].length, 100)
  assert.deepEqual(first['events'][0], { content: { i: 0 }, sender: bob.userId, type: 'm.x' })
  const next = String(first['next_batch'])
  const second = await alice.post(`${path}/DRY/events`, { next_batch: next }).ok()
  assert.deepEqual(second['events'], [{ content: { i: 100 }, sender: bob.userId, type: 'm.x' }])
  assert.deepEqual(await alice.get(`${path}/DRY/events?next_batch=${next}`).ok(), second)
  const last = await alice.post(`${path}/DRY/events`, { next_batch: second['next_batch'] }).ok()
  assert.deepEqual(last, { events: [], next_batch: second['next_batch'] })
  await alice.post(`${path}/DRY/events`, { next_batch: 'x' }).fails(400, 'M_INVALID_PARAM')
  await alice.get(`${path}/DRY/events?next_batch=x`).fails(400, 'M_INVALID_PARAM')
  await alice.post(`${path}/${alice.deviceId}/events`, {}).fails(403, 'M_FORBIDDEN')
  await bob.post(`${path}/DRY/events`, {}).fails(403, 'M_FORBIDDEN')

  await alice.put(path, { ...body, device_id: 'DRIER', device_keys: deviceKeys(alice.userId, 'DRIER', newKey()) }).ok()
  await alice.post(`${path}/DRY/events`, {}).fails(403, 'M_FORBIDDEN')
  const devices = await alice.get('/devices').ok()
  assert.deepEqual(Array.isArray(devices['devices']) && devices['devices'].map((device: { device_id: string }) => device.device_id).sort(), [alice.deviceId, 'DRIER'].sort())
  assert.deepEqual(await alice.delete(path).ok(), { device_id: 'DRIER' })
  await alice.get(path).fails(404, 'M_NOT_FOUND')
})

test('what is no dehydrated device is refused', async (t) => {
  const server = await testServer(t, enabled)
  const alice = await server.register('alice')
  const good = { device_id: 'DRY', device_data: data, device_keys: deviceKeys(alice.userId, 'DRY', newKey()) }
  const refused: [unknown, number, string][] = [
    [{}, 400, 'M_MISSING_PARAM'],
    [{ ...good, device_keys: undefined }, 400, 'M_MISSING_PARAM'],
    [{ ...good, device_id: 5 }, 400, 'M_INVALID_PARAM'],
    [{ ...good, device_data: 'x' }, 400, 'M_BAD_JSON'],
    [{ ...good, device_data: { algorithm: 'a', x: 'x'.repeat(70_000) } }, 413, 'M_TOO_LARGE'],
    [{ ...good, initial_device_display_name: 'x'.repeat(101) }, 400, 'M_INVALID_PARAM'],
    [{ ...good, device_id: 'OTHER' }, 400, 'M_INVALID_PARAM'],
    [{ ...good, device_keys: { ...good.device_keys, signatures: {} } }, 400, 'M_INVALID_SIGNATURE'],
    [{ ...good, device_id: alice.deviceId, device_keys: deviceKeys(alice.userId, alice.deviceId, newKey()) }, 400, 'M_INVALID_PARAM'],
  ]
  for (const [body, status, errcode] of refused) await alice.put(path, body).fails(status, errcode)
  await alice.get(path).fails(404, 'M_NOT_FOUND')
  await (await server.guest()).get(path).fails(403, 'M_GUEST_ACCESS_FORBIDDEN')
  await server.anonymous().get(path).fails(401, 'M_MISSING_TOKEN')
})

test('dehydrated devices are there only where they are enabled', async (t) => {
  const server = await testServer(t)
  const alice = await server.register('alice')
  await alice.get(path).fails(404, 'M_UNRECOGNIZED')
  await alice.put(path, {}).fails(404, 'M_UNRECOGNIZED')
  await alice.post(`${path}/X/events`, {}).fails(404, 'M_UNRECOGNIZED')
})
