/** What administrators see of servers that do not answer, and how they have one asked again. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { FakeRemote } from '#test/kit/fake-remote.ts'
import { federatingServer } from '#test/kit/federating-server.ts'
import { TestClock } from '#test/kit/test-clock.ts'

const base = '/_synapse/admin/v1/federation/destinations'

async function scene(t: TestContext) {
  const clock = new TestClock(Date.now())
  const server = await federatingServer(t, { clock, config: 'federation: {max_short_retries: 0}\n' })
  const admin = await server.admin()
  const ask = (name: string) => admin.post('/keys/query', { device_keys: { [`@bob:${name}`]: [] } }).ok()
  const names = async (query: string): Promise<unknown> => {
    const { destinations } = await admin.get(`${base}?${query}`).ok()
    return Array.isArray(destinations) ? destinations.map((each) => each.destination) : destinations
  }
  return { clock, server, admin, ask, names }
}

test('a list of servers, by page, order and name', async (t) => {
  const { clock, admin, ask, names } = await scene(t)
  assert.deepEqual(await admin.get(base).ok(), { destinations: [], total: 0 })
  const began = clock.now()
  for (const name of ['localhost:3', 'localhost:1', 'localhost:2']) {
    await ask(name)
    clock.advance(1000)
  }
  const row = (name: string, agoMs: number) => ({
    destination: name, failure_ts: began + agoMs, retry_last_ts: began + agoMs, retry_interval: 600_000, last_successful_stream_ordering: null,
  })
  assert.deepEqual(await admin.get(`${base}?limit=2`).ok(), { destinations: [row('localhost:1', 1000), row('localhost:2', 2000)], total: 3, next_token: '2' })
  assert.deepEqual(await admin.get(`${base}?limit=2&from=2`).ok(), { destinations: [row('localhost:3', 0)], total: 3 })
  assert.deepEqual(await names('order_by=failure_ts'), ['localhost:3', 'localhost:1', 'localhost:2'])
  assert.deepEqual(await names('order_by=retry_last_ts&dir=b'), ['localhost:2', 'localhost:1', 'localhost:3'])
  assert.deepEqual(await names('order_by=retry_interval&dir=b'), ['localhost:3', 'localhost:2', 'localhost:1'])
  assert.deepEqual(await names('order_by=last_successful_stream_ordering&dir=f'), ['localhost:1', 'localhost:2', 'localhost:3'])
  assert.deepEqual(await names('destination=HOST:2'), ['localhost:2'])
  assert.deepEqual(await names('destination=%25'), [])
  assert.deepEqual(await names('destination=_'), [])
  assert.deepEqual((await admin.get(`${base}?destination=:3&limit=0`).ok())['next_token'], '0')
  for (const query of ['from=-1', 'limit=-1', 'limit=x', 'order_by=size', 'dir=x']) await admin.get(`${base}?${query}`).fails(400, 'M_INVALID_PARAM')
})

test('one server, which is asked again at once after a reset', async (t) => {
  const [{ server, clock, admin, ask }, remote] = [await scene(t), await FakeRemote.start(t)]
  const path = '/_matrix/federation/v1/user/keys/query'
  const own = `${base}/${encodeURIComponent(remote.serverName)}`
  const reset = () => admin.post(`${own}/reset_connection`, {})
  await admin.get(own).fails(404, 'M_NOT_FOUND')
  await reset().fails(404, 'M_NOT_FOUND')
  await admin.post(`${base}/no%20name/reset_connection`, {}).fails(404, 'M_NOT_FOUND')
  remote.on('POST', path, () => [503, {}])
  remote.on('GET', '/_matrix/federation/v1/version', () => [503, {}])
  const failing = { destination: remote.serverName, failure_ts: clock.now(), retry_last_ts: clock.now(), retry_interval: 600_000, last_successful_stream_ordering: null }
  await ask(remote.serverName)
  await ask(remote.serverName)
  assert.equal(remote.count(path), 1)
  assert.deepEqual(await admin.get(own).ok(), failing)
  clock.advance(1000)
  assert.deepEqual(await reset().ok(), {})
  await server.services.reconnecting.settled()
  assert.equal(remote.count('/_matrix/federation/v1/version'), 1)
  assert.deepEqual(await admin.get(own).ok(), { ...failing, failure_ts: clock.now(), retry_last_ts: clock.now() })
  remote.on('GET', '/_matrix/federation/v1/version', () => ({ server: {} }))
  await reset().ok()
  await server.services.reconnecting.settled()
  await ask(remote.serverName)
  assert.equal(remote.count(path), 2)
  remote.on('POST', path, () => ({ device_keys: {} }))
  clock.advance(601_000)
  assert.deepEqual((await ask(remote.serverName))['failures'], {})
  assert.deepEqual(await admin.get(own).ok(), { ...failing, failure_ts: null, retry_last_ts: 0, retry_interval: 0 })
  await reset().fails(400, 'M_UNKNOWN')
})

test('only administrators', async (t) => {
  const { server } = await scene(t)
  const user = await server.register('alice')
  for (const [method, path] of [['GET', base], ['GET', `${base}/a.example`], ['POST', `${base}/a.example/reset_connection`]] as const) {
    await user.send(method, path, method === 'POST' ? {} : undefined).fails(403, 'M_FORBIDDEN')
    await server.anonymous().send(method, path, method === 'POST' ? {} : undefined).fails(401, 'M_MISSING_TOKEN')
  }
})
