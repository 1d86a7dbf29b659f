/** Delayed events: sent at their time and once, renewed, cancelled, sent early; what becomes of them when the room or the account changes meanwhile. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { TestClock } from '#test/kit/test-clock.ts'
import type { TestClient } from '#test/kit/test-client.ts'
import { startTestServer, testServer, type TestServer } from '#test/kit/test-server.ts'
import { writeHomeserverYaml } from '#test/kit/homeserver-yaml.ts'

const config = 'max_event_delay_duration: 24h\n'
const delayed = '/_matrix/client/unstable/org.matrix.msc4140/delayed_events'

interface Item {
  readonly delay_id: string
  readonly room_id: string
  readonly type: string
  readonly state_key?: string
  readonly delay: number
  readonly running_since: number
  readonly finalised_ts?: number
  readonly event_id?: string
  readonly error?: Readonly<Record<string, unknown>>
  readonly content: unknown
}

async function setUp(t: TestContext, options: { readonly config?: string; readonly rateLimits?: boolean } = {}) {
  const clock = new TestClock()
  const server = await testServer(t, { clock, ...options, config: options.config ?? config })
  return { clock, server, ...(await server.withRoom()) }
}

const at = (room: string, path: string): string => `/rooms/${encodeURIComponent(room)}${path}`

async function message(client: TestClient, room: string, delayMs: number, body = 'later', txnId = `t${body}`): Promise<string> {
  const path = at(room, `/send/m.room.message/${txnId}?org.matrix.msc4140.delay=${delayMs}`)
  return String((await client.put(path, { msgtype: 'm.text', body }).ok())['delay_id'])
}

async function state(client: TestClient, room: string, delayMs: number, content: object, key = 'k'): Promise<string> {
  return String((await client.put(at(room, `/state/org.example.call/${key}?org.matrix.msc4140.delay=${delayMs}`), content).ok())['delay_id'])
}

async function scheduled(client: TestClient): Promise<readonly Item[]> {
  const reply = await client.get(delayed)
  assert.equal(reply.status, 200, reply.text)
  const body: { delayed_events: Item[] } = JSON.parse(reply.text)
  return body.delayed_events
}

async function one(client: TestClient, delayId: string): Promise<Item> {
  const reply = await client.get(`${delayed}/${delayId}`)
  assert.equal(reply.status, 200, reply.text)
  return JSON.parse(reply.text)
}

async function bodies(client: TestClient, room: string): Promise<unknown[]> {
  const { chunk } = await client.get(at(room, '/messages?dir=b&limit=100')).ok()
  assert.ok(Array.isArray(chunk))
  return chunk.filter((event) => event.type === 'm.room.message').map((event) => event.content.body).reverse()
}

async function pass(server: TestServer, clock: TestClock, durationMs: number): Promise<void> {
  clock.advance(durationMs)
  await server.services.delayedSending.settled()
}

test('an event is sent when its delay has passed, once', async (t) => {
  const { clock, server, alice, bob, room } = await setUp(t)
  const now = clock.now()
  const delayId = await message(alice, room, 10_000)
  assert.equal(await message(alice, room, 10_000), delayId, 'a repeated request schedules nothing new')
  const expected = { delay_id: delayId, room_id: room, type: 'm.room.message', delay: 10_000, running_since: now, content: { msgtype: 'm.text', body: 'later' } }
  assert.deepEqual(await scheduled(alice), [expected])
  assert.deepEqual(await scheduled(bob), [])
  await bob.get(`${delayed}/${delayId}`).fails(404, 'M_NOT_FOUND')
  await pass(server, clock, 9999)
  assert.deepEqual(await bodies(bob, room), [])
  await pass(server, clock, 1)
  assert.deepEqual(await bodies(bob, room), ['later'])
  assert.deepEqual(await scheduled(alice), [])
  const { event_id: eventId, finalised_ts: finalisedTs, ...rest } = await one(alice, delayId)
  assert.deepEqual(rest, expected)
  assert.equal(finalisedTs, now + 10_000)
  assert.equal((await bob.get(at(room, `/event/${encodeURIComponent(String(eventId))}`)).ok())['sender'], alice.userId)
  await pass(server, clock, 100_000)
  assert.deepEqual(await bodies(bob, room), ['later'])
  await alice.post(`${delayed}/${delayId}/send`, {}).ok()
  await alice.post(`${delayed}/${delayId}/cancel`, {}).fails(404, 'M_NOT_FOUND')
  await alice.post(`${delayed}/${delayId}/restart`, {}).fails(404, 'M_NOT_FOUND')
  assert.deepEqual(await bodies(bob, room), ['later'])
  clock.advance(8 * 24 * 3600 * 1000)
  await server.services.delayedEvents.forget()
  await alice.get(`${delayed}/${delayId}`).fails(404, 'M_NOT_FOUND')
})

test('whoever knows the id renews, cancels and sends, in either form', async (t) => {
  const { clock, server, alice, bob, room } = await setUp(t)
  const nobody = server.anonymous()
  const renewed = await message(alice, room, 10_000, 'renewed')
  const cancelled = await message(alice, room, 10_000, 'cancelled')
  const early = await message(alice, room, 20_000, 'early')
  await pass(server, clock, 6000)
  await nobody.post(`${delayed}/${renewed}/restart`).ok()
  assert.equal((await one(alice, renewed)).running_since, clock.now())
  await pass(server, clock, 2000)
  await nobody.post(`${delayed}/${renewed}`, { action: 'restart' }).ok()
  await nobody.post(`${delayed}/${cancelled}/cancel`, {}).ok()
  await nobody.post(`${delayed}/${early}`, { action: 'send' }).ok()
  assert.deepEqual(await bodies(bob, room), ['early'])
  assert.deepEqual((await scheduled(alice)).map((item) => item.delay_id), [renewed])
  await pass(server, clock, 9999)
  assert.deepEqual(await bodies(bob, room), ['early'])
  await pass(server, clock, 1)
  assert.deepEqual(await bodies(bob, room), ['early', 'renewed'])
  const item = await one(alice, cancelled)
  assert.deepEqual([item.event_id, item.error, typeof item.finalised_ts], [undefined, undefined, 'number'])
  await nobody.post(`${delayed}/${cancelled}`, { action: 'cancel' }).fails(404, 'M_NOT_FOUND')
  await nobody.post(`${delayed}/${cancelled}/send`).fails(404, 'M_NOT_FOUND')
  await nobody.post(`${delayed}/unknown/send`).fails(404, 'M_NOT_FOUND')
  await nobody.post(`${delayed}/${renewed}`, { action: 'explode' }).fails(400, 'M_INVALID_PARAM')
  await nobody.post(`${delayed}/${renewed}`, {}).fails(400, 'M_MISSING_PARAM')
  await nobody.get(delayed).fails(401, 'M_MISSING_TOKEN')
})

test('state that somebody else sets meanwhile cancels what would undo it; one\'s own does not', async (t) => {
  const { clock, server, alice, bob, room } = await setUp(t)
  await alice.put(at(room, '/state/m.room.power_levels'), { users: { [bob.userId]: 50 }, state_default: 50 }).ok()
  const overtaken = await state(alice, room, 10_000, { gone: 'alice' })
  const kept = await state(alice, room, 10_000, { gone: 'other' }, 'other')
  await alice.put(at(room, '/state/org.example.call/k'), { here: 'alice' }).ok()
  await alice.put(at(room, '/state/org.example.call/other'), { here: 'alice' }).ok()
  assert.equal((await scheduled(alice)).length, 2)
  await bob.put(at(room, '/state/org.example.call/k'), { here: 'bob' }).ok()
  assert.deepEqual((await scheduled(alice)).map((item) => [item.delay_id, item.state_key]), [[kept, 'other']])
  const error = (await one(alice, overtaken)).error
  assert.equal(error?.['org.matrix.msc4140.errcode'], 'M_CANCELLED_BY_STATE_UPDATE')
  await alice.post(`${delayed}/${overtaken}/send`).fails(400, 'M_UNKNOWN')
  await pass(server, clock, 10_000)
  assert.deepEqual(await alice.get(at(room, '/state/org.example.call/k')).ok(), { here: 'bob' })
  assert.deepEqual(await alice.get(at(room, '/state/org.example.call/other')).ok(), { gone: 'other' })
})

test('whether the user may send is seen at the time', async (t) => {
  const { clock, server, alice, bob, room } = await setUp(t)
  const carol = await server.register('carol')
  await carol.post(`/join/${encodeURIComponent(room)}`, {}).ok()
  await alice.put(at(room, '/state/m.room.power_levels'), { users: { [carol.userId]: 50 } }).ok()
  const banned = await message(bob, room, 10_000, 'banned')
  const demoted = await state(carol, room, 10_000, {})
  const wrong = String((await alice.put(at(room, '/state/m.room.canonical_alias?org.matrix.msc4140.delay=10000'), { alias: '#nowhere:test.example' }).ok())['delay_id'])
  await alice.post(at(room, '/ban'), { user_id: bob.userId }).ok()
  await bob.put(at(room, '/send/m.room.message/t?org.matrix.msc4140.delay=1'), {}).fails(403, 'M_FORBIDDEN')
  await bob.post(`${delayed}/${banned}/send`, {}).fails(403, 'M_FORBIDDEN')
  await bob.post(`${delayed}/${banned}/send`, {}).fails(403, 'M_FORBIDDEN')
  assert.equal((await one(bob, banned)).error?.['errcode'], 'M_FORBIDDEN')
  await alice.put(at(room, '/state/m.room.power_levels'), { users: { [carol.userId]: 49 } }).ok()
  await pass(server, clock, 10_000)
  assert.equal((await one(carol, demoted)).error?.['errcode'], 'M_FORBIDDEN')
  assert.equal((await one(alice, wrong)).error?.['errcode'], 'M_BAD_ALIAS')
  assert.deepEqual(await bodies(alice, room), [])
  assert.deepEqual(server.errors, [])
})

test('a message that is redacted later destroys itself', async (t) => {
  const { clock, server, alice, bob, room } = await setUp(t)
  const eventId = String((await alice.put(at(room, '/send/m.room.message/t1'), { msgtype: 'm.text', body: 'secret' }).ok())['event_id'])
  await alice.put(at(room, '/send/m.room.redaction/t2?org.matrix.msc4140.delay=5000'), { redacts: eventId, reason: 'too late' }).ok()
  assert.deepEqual(await bodies(bob, room), ['secret'])
  await pass(server, clock, 5000)
  assert.deepEqual(await bodies(bob, room), [undefined])
})

test('what is due while the rate limit is used up follows when it allows', async (t) => {
  const clock = new TestClock()
  const server = await testServer(t, { clock, rateLimits: true, config: `${config}rc_message: {per_second: 1, burst_count: 3}\nrc_delayed_event_mgmt: {per_second: 1, burst_count: 2}\n` })
  const { alice, room } = await server.withRoom()
  for (const body of ['a', 'b', 'c']) await message(alice, room, 1000, body)
  await alice.put(at(room, '/send/m.room.message/td?org.matrix.msc4140.delay=1000'), {}).fails(429, 'M_LIMIT_EXCEEDED')
  await pass(server, clock, 0)
  await pass(server, clock, 1000)
  const sent = async (): Promise<number> => (await bodies(alice, room)).length
  assert.equal(await sent(), 1)
  for (let second = 0; second < 4; second += 1) await pass(server, clock, 1000)
  assert.equal(await sent(), 3)
  const last = await message(alice, room, 60_000, 'e')
  await alice.post(`${delayed}/${last}/restart`).ok()
  await alice.post(`${delayed}/${last}/restart`).ok()
  await alice.post(`${delayed}/${last}/restart`).fails(429, 'M_LIMIT_EXCEEDED')
  await alice.get(delayed).fails(429, 'M_LIMIT_EXCEEDED')
})

test('delays have bounds, and need the option', async (t) => {
  const { server, alice, room } = await setUp(t)
  const path = at(room, '/send/m.room.message/t?org.matrix.msc4140.delay=')
  const tooLong = await alice.put(`${path}86400001`, {}).fails(400, 'M_UNKNOWN')
  assert.deepEqual([tooLong['org.matrix.msc4140.errcode'], tooLong['org.matrix.msc4140.max_delay']], ['M_MAX_DELAY_EXCEEDED', 86_400_000])
  for (const delay of ['0', '-1', 'soon', '1.5', '']) await alice.put(path + delay, {}).fails(400, 'M_INVALID_PARAM')
  await alice.put(at(room, `/send/m.room.message/${'x'.repeat(256)}?org.matrix.msc4140.delay=1`), {}).fails(400, 'M_INVALID_PARAM')
  await alice.put(at('!unknown:test.example', '/send/m.room.message/t?org.matrix.msc4140.delay=1'), {}).fails(404, 'M_NOT_FOUND')
  for (let index = 0; index < 100; index += 1) await message(alice, room, 1000, `${index}`)
  const tooMany = await alice.put(`${path}1000`, {}).fails(400, 'M_UNKNOWN')
  assert.equal(tooMany['org.matrix.msc4140.errcode'], 'M_MAX_DELAYED_EVENTS_EXCEEDED')
  const features = async (of: TestServer): Promise<unknown> => {
    const { unstable_features: found } = await of.anonymous().get('/_matrix/client/versions').ok()
    return (found as Record<string, boolean>)['org.matrix.msc4140']
  }
  assert.equal(await features(server), true)
  const without = await testServer(t)
  const { alice: other, room: otherRoom } = await without.withRoom()
  const refusal = await other.put(at(otherRoom, '/send/m.room.message/t?org.matrix.msc4140.delay=1000'), {}).fails(400, 'M_UNKNOWN')
  assert.equal(refusal['org.matrix.msc4140.errcode'], 'M_MAX_DELAY_UNSUPPORTED')
  assert.equal(await features(without), false)
})

test('accounts that are deactivated, locked or suspended send nothing more', async (t) => {
  const { clock, server, alice, bob, room } = await setUp(t)
  const admin = await server.admin()
  const carol = await server.register('carol')
  for (const client of [admin, carol]) await client.post(`/join/${encodeURIComponent(room)}`, {}).ok()
  const [gone, suspended, locked] = [await message(bob, room, 5000, 'bob'), await message(alice, room, 5000, 'alice'), await message(carol, room, 5000, 'carol')]
  await bob.post('/account/deactivate', { auth: { type: 'm.login.password', identifier: { type: 'm.id.user', user: 'bob' }, password: 'password-of-bob' } }).ok()
  await admin.put(`/_matrix/client/v1/admin/suspend/${encodeURIComponent(alice.userId)}`, { suspended: true }).ok()
  await admin.put(`/_matrix/client/v1/admin/lock/${encodeURIComponent(carol.userId)}`, { locked: true }).ok()
  await pass(server, clock, 5000)
  assert.deepEqual(await bodies(admin, room), [])
  await server.anonymous().post(`${delayed}/${gone}/send`).fails(404, 'M_NOT_FOUND')
  await server.anonymous().post(`${delayed}/${suspended}/send`).fails(403, 'M_USER_SUSPENDED')
  await server.anonymous().post(`${delayed}/${locked}/send`).fails(401, 'M_USER_LOCKED')
})

test('a restart forgets nothing, and sends what became due meanwhile', async (t) => {
  const clock = new TestClock()
  const folder = mkdtempSync(join(tmpdir(), 'myelin-test-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const path = await writeHomeserverYaml(t, folder, { config })
  const first = await startTestServer(t, folder, path, { clock })
  const { alice, bob, room } = await first.withRoom()
  await message(alice, room, 5000, 'due')
  await alice.put(at(room, '/state/m.room.power_levels'), { users: { [bob.userId]: 50 } }).ok()
  const overtaken = await state(alice, room, 50_000, { gone: 'alice' })
  await first.services.delayedSending.stop()
  clock.advance(6000)
  const second = await startTestServer(t, folder, path, { clock })
  const again = (client: TestClient): TestClient => client.at(second.url)
  await pass(second, clock, 0)
  assert.deepEqual(await bodies(again(bob), room), ['due'])
  await again(bob).put(at(room, '/state/org.example.call/k'), { here: 'bob' }).ok()
  assert.equal((await one(again(alice), overtaken)).error?.['org.matrix.msc4140.errcode'], 'M_CANCELLED_BY_STATE_UPDATE')
})
