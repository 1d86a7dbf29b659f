/** Retention: messages end for every reader at their time, jobs delete them, and rooms stay usable. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { writeHomeserverYaml } from '#test/kit/homeserver-yaml.ts'
import { TestClock } from '#test/kit/test-clock.ts'
import type { TestClient } from '#test/kit/test-client.ts'
import { startTestServer, testServer, type TestServer } from '#test/kit/test-server.ts'

const hourMs = 3_600_000
const dayMs = 24 * hourMs
const at = (room: string, path: string): string => `/rooms/${encodeURIComponent(room)}${path}`
let transactions = 0

async function send(client: TestClient, room: string, content: object, type = 'm.room.message'): Promise<string> {
  return String((await client.put(at(room, `/send/${type}/t${(transactions += 1)}`), content).ok())['event_id'])
}

const text = (body: string): object => ({ msgtype: 'm.text', body })

async function count(server: TestServer, table: string): Promise<number> {
  const [row] = await server.services.database.rows<{ count: number }>(`SELECT count(*) AS count FROM ${table}`, [])
  return row?.count ?? 0
}

async function pass(server: TestServer, clock: TestClock, durationMs: number): Promise<void> {
  clock.advance(durationMs)
  await server.services.retentionJobs?.settled()
}

/** Everything that a user can read of the past of a room. */
async function everything(client: TestClient, room: string, events: readonly string[]): Promise<string> {
  const filter = encodeURIComponent(JSON.stringify({ room: { timeline: { limit: 100 } } }))
  const texts = [
    (await client.get(at(room, '/messages?dir=b&limit=100'))).text,
    (await client.get(at(room, '/messages?dir=f&limit=100'))).text,
    (await client.get(at(room, '/initialSync?limit=100'))).text,
    (await client.get(`/_matrix/client/v1${at(room, '/threads')}`)).text,
    (await client.get(`/sync?timeout=0&filter=${filter}`)).text,
    JSON.stringify((await client.post('/search', { search_categories: { room_events: { search_term: 'old' } } }).ok())['search_categories']),
  ]
  for (const event of events) {
    const id = encodeURIComponent(event)
    await client.get(at(room, `/event/${id}`)).fails(404, 'M_NOT_FOUND')
    await client.get(at(room, `/context/${id}`)).fails(404, 'M_NOT_FOUND')
    await client.get(`/_matrix/client/v1${at(room, `/relations/${id}`)}`).fails(404, 'M_NOT_FOUND')
  }
  return texts.join('\n')
}

test('messages end at their time for every reader, and are deleted by the job', async (t) => {
  const clock = new TestClock()
  const folder = mkdtempSync(join(tmpdir(), 'myelin-test-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const config = 'retention: {enabled: true, default_policy: {max_lifetime: 1h}, purge_jobs: [{interval: 12h}]}\n'
  const path = await writeHomeserverYaml(t, folder, { config })
  const server = await startTestServer(t, folder, path, { clock })
  const { alice, bob, room } = await server.withRoom()
  const topic = String((await alice.put(at(room, '/state/m.room.topic'), { topic: 'a topic that is taken back' }).ok())['event_id'])
  await alice.put(at(room, `/redact/${encodeURIComponent(topic)}/r1`), {}).ok()
  const root = await send(alice, room, text('old root'))
  const answer = await send(bob, room, { ...text('old answer'), 'm.relates_to': { rel_type: 'm.thread', event_id: root } })
  const regretted = await send(bob, room, text('old and regretted'))
  await bob.put(at(room, `/redact/${encodeURIComponent(regretted)}/r2`), {}).ok()
  await bob.post(at(room, `/receipt/m.read/${encodeURIComponent(answer)}`), {}).ok()
  const last = await send(alice, room, text('old and last'))
  const before = await alice.get('/sync?timeout=0').ok()
  assert.match(JSON.stringify(before), /old and last/)
  clock.advance(hourMs - 1)
  await alice.get(at(room, `/event/${encodeURIComponent(last)}`)).ok()
  clock.advance(2)
  const all = [root, answer, regretted, last]
  assert.doesNotMatch(await everything(bob, room, all), /"body":"old|"count":\d+,"latest_event"/)
  await alice.get('/sync?timeout=0').ok()
  const tables = async (): Promise<number[]> =>
    [await count(server, 'events'), await count(server, 'event_relations'), await count(server, 'threads'), await count(server, 'event_search')]
  const [eventsBefore = 0] = await tables()
  await pass(server, clock, 12 * hourMs)
  // The newest event stays for what comes after it, and so does the redaction of the topic.
  assert.deepEqual(await tables(), [eventsBefore - 4, 0, 0, 1])
  assert.doesNotMatch(await everything(bob, room, all), /"body":"old|taken back/)
  assert.deepEqual(await alice.get(at(room, '/state/m.room.topic')).ok(), {})
  const now = await send(alice, room, text('new'))
  const next = await bob.get(`/sync?timeout=0&since=${encodeURIComponent(String(before['next_batch']))}`).ok()
  assert.match(JSON.stringify(next), /"body":"new"/)
  assert.match(await everything(bob, room, all), /"body":"new"/)
  await pass(server, clock, 12 * hourMs)
  await send(alice, room, text('newer'))
  await pass(server, clock, 12 * hourMs)
  await alice.get(at(room, `/event/${encodeURIComponent(now)}`)).fails(404, 'M_NOT_FOUND')
  assert.equal(await count(server, 'event_search'), 1)
  const again = await startTestServer(t, folder, path, { clock })
  assert.doesNotMatch(await everything(bob.at(again.url), room, [...all, now]), /"body":"old|taken back/)
  await send(alice.at(again.url), room, text('after the restart'))
  assert.deepEqual([server.errors, again.errors], [[], []])
})

test('a room\'s own policy counts, within what the server allows, and each job has its range', async (t) => {
  const clock = new TestClock()
  const config = `retention:
  enabled: true
  allowed_lifetime_min: 2h
  allowed_lifetime_max: 10d
  purge_jobs: [{longest_max_lifetime: 1d, interval: 3h}, {shortest_max_lifetime: 1d, interval: 5d}]
`
  const server = await testServer(t, { clock, config })
  const alice = await server.register('alice')
  const make = async (retention: object | undefined): Promise<{ room: string; event: string }> => {
    const initial = retention === undefined ? [] : [{ type: 'm.room.retention', state_key: '', content: retention }]
    const room = String((await alice.post('/createRoom', { initial_state: initial }).ok())['room_id'])
    const event = await send(alice, room, text('old'))
    await send(alice, room, text('newest'))
    return { room, event }
  }
  const [short, long, tooLong, none, broken] = [
    await make({ max_lifetime: 1 }), await make({ max_lifetime: 3 * dayMs }), await make({ max_lifetime: 1000 * dayMs }), await make(undefined),
    await make({ max_lifetime: 'soon' }),
  ]
  const isShown = async ({ room, event }: { room: string; event: string }): Promise<boolean> =>
    (await alice.get(at(room, `/event/${encodeURIComponent(event)}`))).status === 200
  const isStored = async ({ event }: { event: string }): Promise<boolean> =>
    (await server.services.database.rows('SELECT 1 AS found FROM events WHERE event_id = $1', [event])).length === 1
  const shown = async (): Promise<boolean[]> => Promise.all([short, long, tooLong, none, broken].map(isShown))
  const stored = async (): Promise<boolean[]> => Promise.all([short, long, tooLong, none, broken].map(isStored))
  clock.advance(2 * hourMs)
  assert.deepEqual(await shown(), [true, true, true, true, true])
  clock.advance(1)
  assert.deepEqual(await shown(), [false, true, true, true, true])
  await pass(server, clock, hourMs)
  assert.deepEqual(await stored(), [false, true, true, true, true])
  await pass(server, clock, 3 * dayMs)
  assert.deepEqual(await shown(), [false, false, true, true, true])
  assert.deepEqual(await stored(), [false, true, true, true, true])
  await pass(server, clock, 2 * dayMs)
  assert.deepEqual(await stored(), [false, false, true, true, true])
  await pass(server, clock, 10 * dayMs)
  assert.deepEqual(await stored(), [false, false, false, true, true])
  await alice.put(at(none.room, '/state/m.room.retention'), { max_lifetime: dayMs }).ok()
  assert.equal(await isShown(none), false)
  await alice.put(at(none.room, '/state/m.room.retention'), { max_lifetime: 10 * dayMs, min_lifetime: 1 }).ok()
  assert.equal(await isShown(none), false)
  await alice.put(at(none.room, '/state/m.room.retention'), {}).ok()
  assert.equal(await isShown(none), true)
  for (const wrong of [{ max_lifetime: '1d' }, { max_lifetime: -1 }, { min_lifetime: 1.5 }, { min_lifetime: 2, max_lifetime: 1 }]) {
    await alice.put(at(none.room, '/state/m.room.retention'), wrong).fails(400, 'M_BAD_JSON')
  }
})

test('without the option nothing ends; what the server says of retention is told where that is enabled', async (t) => {
  const path = '/_matrix/client/unstable/org.matrix.msc1763/retention/configuration'
  const clock = new TestClock()
  const off = await testServer(t, { clock })
  const { alice, room } = await off.withRoom({ initial_state: [{ type: 'm.room.retention', state_key: '', content: { max_lifetime: 1 } }] })
  const event = await send(alice, room, text('kept'))
  clock.advance(2 * dayMs)
  await alice.get(at(room, `/event/${encodeURIComponent(event)}`)).ok()
  await alice.get(path).fails(404, 'M_UNRECOGNIZED')
  const on = await testServer(t, {
    config: 'experimental_features: {msc1763_enabled: true}\nretention: {enabled: true, default_policy: {max_lifetime: 7d}, allowed_lifetime_max: 30d}\n',
  })
  assert.deepEqual(await (await on.register('bob')).get(path).ok(), { policies: { '*': { max_lifetime: 7 * dayMs } }, limits: { max_lifetime: { max: 30 * dayMs } } })
  await on.anonymous().get(path).fails(401, 'M_MISSING_TOKEN')
})
