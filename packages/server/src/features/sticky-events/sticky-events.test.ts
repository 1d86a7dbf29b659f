/** Sticky events reach every client while they are sticky, also past a gap, after a join and after a restart. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { isEventSigned } from '@myelin/protocol/crypto/sign-event.ts'
import { hasValidContentHash } from '@myelin/protocol/events/hash.ts'
import { parsePdu } from '@myelin/protocol/events/parse.ts'
import { parseJson } from '@myelin/protocol/json/parse.ts'
import { getRoomVersion } from '@myelin/protocol/rooms/versions.ts'
import { exchanged, federatingServer } from '#test/kit/federating-server.ts'
import { writeHomeserverYaml } from '#test/kit/homeserver-yaml.ts'
import { TestClock } from '#test/kit/test-clock.ts'
import type { TestClient } from '#test/kit/test-client.ts'
import { startTestServer, testServer, type TestServer } from '#test/kit/test-server.ts'

const config = 'experimental_features: {msc4354_enabled: true}\nmax_event_delay_duration: 1h\npresence: {enabled: false}\n'
const minuteMs = 60_000
const at = (room: string, rest: string): string => `/rooms/${encodeURIComponent(room)}${rest}`
let transactions = 0

interface Shown {
  readonly event_id: string
  readonly content: { readonly body?: string }
  readonly msc4354_sticky?: { readonly duration_ms: number }
  readonly unsigned?: { readonly msc4354_sticky_duration_ttl_ms?: number }
}

async function send(client: TestClient, room: string, body: string, query = ''): Promise<string> {
  return String((await client.put(`${at(room, `/send/m.room.message/t${(transactions += 1)}`)}${query}`, { msgtype: 'm.text', body }).ok())['event_id'])
}

const stick = (client: TestClient, room: string, body: string, durationMs = 10 * minuteMs): Promise<string> =>
  send(client, room, body, `?org.matrix.msc4354.sticky_duration_ms=${durationMs}`)

interface Synced {
  readonly next: string
  readonly sticky: readonly Shown[]
  readonly timeline: readonly Shown[]
}

/** A sync whose timeline has room for one event. */
async function sync(client: TestClient, room: string, since?: string): Promise<Synced> {
  const filter = encodeURIComponent(JSON.stringify({ room: { timeline: { limit: 1 } } }))
  const { text } = await client.get(`/sync?timeout=0&filter=${filter}${since === undefined ? '' : `&since=${since}`}`)
  const body: { next_batch: string; rooms?: { join?: Record<string, { timeline: { events: Shown[] }; msc4354_sticky?: { events: Shown[] } }> } } = JSON.parse(text)
  const found = body.rooms?.join?.[room]
  return { next: body.next_batch, sticky: found?.msc4354_sticky?.events ?? [], timeline: found?.timeline.events ?? [] }
}

const bodies = (events: readonly Shown[]): (string | undefined)[] => events.map((event) => event.content.body)
const remaining = (event: Shown | undefined): number | undefined => event?.unsigned?.msc4354_sticky_duration_ttl_ms

async function scene(t: TestContext) {
  const clock = new TestClock()
  const folder = mkdtempSync(join(tmpdir(), 'myelin-test-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const path = await writeHomeserverYaml(t, folder, { config })
  const server = await startTestServer(t, folder, path, { clock })
  return { clock, server, restart: (): Promise<TestServer> => startTestServer(t, folder, path, { clock }), ...(await server.withRoom()) }
}

test('a sync tells sticky events that its timeline does not, once, and how long they are sticky', async (t) => {
  const { clock, alice, bob, room } = await scene(t)
  const { next: since } = await sync(bob, room)
  const first = await stick(alice, room, 'first')
  await stick(alice, room, 'never mind', 0)
  await send(alice, room, 'not sticky')
  await stick(alice, room, 'last')
  clock.advance(minuteMs)
  const { sticky, timeline, next } = await sync(bob, room, since)
  assert.deepEqual([bodies(sticky), bodies(timeline)], [['first'], ['last']])
  assert.deepEqual([sticky[0]?.msc4354_sticky, remaining(sticky[0]), remaining(timeline[0])], [{ duration_ms: 10 * minuteMs }, 9 * minuteMs, 9 * minuteMs])
  assert.deepEqual((await sync(bob, room, next)).sticky, [])
  assert.deepEqual(bodies((await sync(bob, room)).sticky), ['first'], 'a first sync tells all of them')
  const one: Shown = JSON.parse((await bob.get(at(room, `/event/${encodeURIComponent(first)}`))).text)
  assert.equal(remaining(one), 9 * minuteMs)
  clock.advance(9 * minuteMs)
  assert.deepEqual((await sync(bob, room)).sticky, [])
  assert.equal(remaining(JSON.parse((await bob.get(at(room, `/event/${encodeURIComponent(first)}`))).text)), undefined)
})

test('who joins gets what is sticky, whatever the history; redacted and ignored ones are left out', async (t) => {
  const { server, alice, bob, room } = await scene(t)
  await alice.put(at(room, '/state/m.room.history_visibility'), { history_visibility: 'joined' }).ok()
  await stick(alice, room, 'from alice')
  await stick(bob, room, 'from bob')
  const regretted = await stick(alice, room, 'regretted')
  await alice.put(at(room, `/redact/${encodeURIComponent(regretted)}/r`), {}).ok()
  const carol = await server.register('carol')
  const { next } = await sync(carol, room)
  await carol.put(`/user/${encodeURIComponent(carol.userId)}/account_data/m.ignored_user_list`, { ignored_users: { [bob.userId]: {} } }).ok()
  await carol.post(`/join/${encodeURIComponent(room)}`, {}).ok()
  assert.deepEqual(bodies((await sync(carol, room, next)).sticky), ['from alice'])
})

test('sticky events survive a restart, and nothing of them is kept when they are over', async (t) => {
  const { clock, server, restart, alice, bob, room } = await scene(t)
  await stick(alice, room, 'sticky')
  await send(alice, room, 'newest')
  const again = await restart()
  assert.deepEqual(bodies((await sync(bob.at(again.url), room)).sticky), ['sticky'])
  clock.advance(11 * minuteMs)
  for (const each of [server, again]) await each.services.stickyEvents.expire()
  assert.deepEqual(await again.services.database.rows('SELECT event_nid FROM sticky_events', []), [])
  assert.deepEqual([server.errors, again.errors], [[], []])
})

test('sliding sync: pages of sticky events, oldest first', async (t) => {
  const { server, alice, bob, room } = await scene(t)
  for (const body of ['one', 'two', 'three', 'four']) await stick(alice, room, body)
  await send(alice, room, 'newest')
  const ask = async (pos: string | undefined, since: string | undefined, client = bob) => {
    const query = pos === undefined ? '' : `&pos=${encodeURIComponent(pos)}`
    const { text } = await client.post(`/_matrix/client/unstable/org.matrix.simplified_msc3575/sync?timeout=0${query}`, {
      lists: { all: { ranges: [[0, 9]], timeline_limit: 1, required_state: [] } },
      extensions: { 'org.matrix.msc4354.sticky_events': { enabled: true, limit: 2, ...(since === undefined ? {} : { since }) } },
    })
    const body: { pos: string; extensions: Record<string, { next_batch: string; rooms: Record<string, { events: Shown[] }> }> } = JSON.parse(text)
    const sticky = body.extensions['org.matrix.msc4354.sticky_events']
    return { pos: body.pos, next: sticky?.next_batch, events: sticky?.rooms[room]?.events ?? [] }
  }
  const first = await ask(undefined, undefined)
  assert.deepEqual(bodies(first.events), ['one', 'two'])
  assert.equal(typeof remaining(first.events[0]), 'number')
  const second = await ask(first.pos, first.next)
  assert.deepEqual(bodies(second.events), ['three', 'four'])
  const third = await ask(second.pos, second.next)
  assert.deepEqual([third.events, third.next], [[], undefined])
  await bob.post('/_matrix/client/unstable/org.matrix.simplified_msc3575/sync', { extensions: { 'org.matrix.msc4354.sticky_events': { enabled: true, since: 'x' } } }).fails(400, 'M_INVALID_PARAM')
  await alice.post(at(room, '/kick'), { user_id: bob.userId }).ok()
  const away = await ask(third.pos, second.next)
  await stick(alice, room, 'five')
  const carol = await server.register('carol')
  for (const client of [bob, carol]) await client.post(`/join/${encodeURIComponent(room)}`, {}).ok()
  assert.deepEqual(bodies((await ask(away.pos, second.next)).events), ['five'], 'who comes back has what was before')
  assert.deepEqual(bodies((await ask(undefined, second.next, carol)).events), ['one', 'two', 'three', 'four', 'five'], 'who comes gets all')
})

test('a delayed event is sticky from when it is sent', async (t) => {
  const { clock, server, alice, bob, room } = await scene(t)
  await alice.put(`${at(room, '/send/m.room.message/later')}?org.matrix.msc4140.delay=60000&org.matrix.msc4354.sticky_duration_ms=120000`, { msgtype: 'm.text', body: 'later' }).ok()
  clock.advance(minuteMs)
  await server.services.delayedSending.settled()
  const { timeline } = await sync(bob, room)
  assert.deepEqual([bodies(timeline), remaining(timeline[0])], [['later'], 2 * minuteMs])
})

test('without the option nothing is sticky; with it, wrong durations are refused', async (t) => {
  const told = async (server: TestServer): Promise<unknown> => {
    const { unstable_features: features } = await server.anonymous().get('/_matrix/client/versions').ok()
    return typeof features === 'object' && features !== null ? Reflect.get(features, 'org.matrix.msc4354') : undefined
  }
  const off = await testServer(t)
  const { alice, room } = await off.withRoom()
  await stick(alice, room, 'not here')
  await send(alice, room, 'newest')
  assert.deepEqual((await sync(alice, room)).sticky, [])
  const on = await scene(t)
  assert.deepEqual([await told(off), await told(on.server)], [false, true])
  for (const wrong of ['-1', '3600001', '1.5', 'x']) {
    await on.alice.put(`${at(on.room, '/send/m.room.message/w')}?org.matrix.msc4354.sticky_duration_ms=${wrong}`, { body: 'x' }).fails(400, 'M_INVALID_PARAM')
  }
})

for (const version of ['1', '10', '12']) {
  test(`room version ${version}: hash and signature hold, and another server tells its users of it`, async (t) => {
    const [here, there] = [await federatingServer(t, { config }), await federatingServer(t, { config })]
    const [alice, bob] = [await here.register('alice'), await there.register('bob')]
    const room = String((await alice.post('/createRoom', { preset: 'public_chat', room_version: version, room_alias_name: 'lobby' }).ok())['room_id'])
    await bob.post(`/join/${encodeURIComponent(`#lobby:${here.serverName}`)}`, {}).ok()
    const { next } = await sync(bob, room)
    const id = await stick(alice, room, 'sticky')
    await send(alice, room, 'newest')
    await exchanged(here, there)
    assert.deepEqual(bodies((await sync(bob, room, next)).sticky), ['sticky'])
    const { rooms, events, keyRing } = here.services
    const event = await events.get(await rooms.require(room), id)
    const json = parseJson(event?.json ?? '')
    const roomVersion = getRoomVersion(version)
    assert.ok('value' in json && roomVersion)
    const parsed = parsePdu(roomVersion, json.value)
    assert.ok('event' in parsed)
    assert.deepEqual(parsed.event.pdu['msc4354_sticky'], { duration_ms: 10 * minuteMs })
    assert.equal(hasValidContentHash(parsed.event.pdu), true)
    assert.equal(parsed.json, event?.json)
    const [keyId = ''] = Object.keys(Object(Object(parsed.event.pdu['signatures'])[here.serverName]))
    const key = await keyRing.publicKey(here.services.serverName, keyId, 0)
    assert.equal(isEventSigned(roomVersion, parsed.event.pdu, here.services.serverName, keyId, key ?? ''), true)
  })
}
