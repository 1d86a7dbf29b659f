/** Rooms that everybody has forgotten go with everything that was kept about them, and with nothing else. */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { openDatabase } from '#app/open-database.ts'
import type { Database } from '#platform/db/database.ts'
import { testEngine, writeHomeserverYaml } from '#test/kit/homeserver-yaml.ts'
import { TestClock } from '#test/kit/test-clock.ts'
import type { TestClient } from '#test/kit/test-client.ts'
import { startTestServer, type TestServer } from '#test/kit/test-server.ts'
import { CutDatabase } from '../../../test/crash/cut-database.ts'

const hourMs = 3_600_000
const dayMs = 24 * hourMs
const config = `forgotten_room_retention_period: 7d
max_event_delay_duration: 30d
experimental_features: {msc4306_enabled: true, msc4354_enabled: true}
room_list_publication_rules: [{action: allow}]
`
const at = (room: string, path: string): string => `/rooms/${encodeURIComponent(room)}${path}`

interface Scene {
  readonly folder: string
  readonly configPath: string
  readonly clock: TestClock
  readonly server: TestServer
  readonly alice: TestClient
  readonly bob: TestClient
}

async function scene(t: TestContext, options: { readonly open?: (folder: string) => (config: Parameters<typeof openDatabase>[0]) => Database } = {}): Promise<Scene> {
  const folder = mkdtempSync(join(tmpdir(), 'myelin-test-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const clock = new TestClock()
  const configPath = await writeHomeserverYaml(t, folder, { config })
  const server = await startTestServer(t, folder, configPath, { clock, ...(options.open ? { open: options.open(folder) } : {}) })
  return { folder, configPath, clock, server, alice: await server.register('alice'), bob: await server.register('bob') }
}

/** A room with everything in it that the server keeps about rooms. @returns its id and those of its events */
async function fullRoom({ server, alice, bob }: Scene, name: string): Promise<{ readonly room: string; readonly events: readonly string[] }> {
  const room = String((await alice.post('/createRoom', {
    preset: 'public_chat', visibility: 'public', room_alias_name: name, name, topic: `All about ${name}`,
    initial_state: [{ type: 'm.room.history_visibility', state_key: '', content: { history_visibility: 'world_readable' } }],
  }).ok())['room_id'])
  await bob.post(`/join/${encodeURIComponent(room)}`, {}).ok()
  const send = async (client: TestClient, body: string, more: object = {}): Promise<string> =>
    String((await client.put(at(room, `/send/m.room.message/${name}-${body}`), { msgtype: 'm.text', body, ...more }).ok())['event_id'])
  const root = await send(alice, `root`)
  const answer = await send(bob, `answer`, { 'm.relates_to': { rel_type: 'm.thread', event_id: root } })
  const regretted = await send(bob, `regretted`)
  await bob.put(at(room, `/redact/${encodeURIComponent(regretted)}/${name}`), {}).ok()
  for (let topic = 0; topic < 30; topic += 1) await alice.put(at(room, `/state/org.example.state/key${topic}`), { topic }).ok()
  await bob.post(at(room, `/receipt/m.read/${encodeURIComponent(answer)}`), { thread_id: root }).ok()
  await bob.post(at(room, `/read_markers`), { 'm.fully_read': answer, 'm.read.private': answer }).ok()
  await bob.put(`/user/${encodeURIComponent(bob.userId)}${at(room, '/tags/u.work')}`, { order: 0.5 }).ok()
  await bob.put(`/_matrix/client/unstable/io.element.msc4306${at(room, `/thread/${encodeURIComponent(root)}/subscription`)}`, {}).ok()
  await bob.put(`${at(room, `/send/m.room.message/${name}-later`)}?org.matrix.msc4140.delay=${20 * dayMs}`, { msgtype: 'm.text', body: 'later' }).ok()
  for (let message = 0; message < 250; message += 1) await send(alice, `message-${message}`)
  await bob.get('/sync?timeout=0').ok()
  await server.services.searchIndexing.caughtUp()
  const rows = await server.services.database.rows<{ event_id: string }>('SELECT event_id FROM events JOIN rooms ON rooms.room_nid = events.room_nid WHERE room_id = $1', [room])
  return { room, events: rows.map((row) => row.event_id) }
}

async function leaveAndForget(client: TestClient, room: string): Promise<void> {
  await client.post(at(room, '/leave'), {}).ok()
  await client.post(at(room, '/forget'), {}).ok()
}

async function nidOf(database: Database, room: string): Promise<number | undefined> {
  return (await database.rows<{ room_nid: number }>('SELECT room_nid FROM rooms WHERE room_id = $1', [room]))[0]?.room_nid
}

/** Number of the rows of each table in which a room, or one of its events, is named. */
async function mentions(database: Database, roomNid: number, names: readonly string[]): Promise<Record<string, number>> {
  const tables = database.dialect === 'sqlite'
    ? "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite_%'"
    : "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"
  const wanted = new Set(names)
  const found: Record<string, number> = {}
  for (const { name } of await database.rows<{ name: string }>(tables, [])) {
    const rows = await database.rows<Record<string, unknown>>(`SELECT * FROM ${name}`, [])
    const count = rows.filter((row) => row['room_nid'] === roomNid || Object.values(row).some((value) => typeof value === 'string' && wanted.has(value))).length
    // Transaction ids end by themselves after a day.
    if (count > 0 && name !== 'event_txn_ids') found[name] = count
  }
  const search = database.dialect === 'sqlite' ? `SELECT rowid FROM event_search WHERE event_search MATCH 'facets : in${roomNid}'` : `SELECT id FROM event_search WHERE scope = ${roomNid}`
  const documents = (await database.rows(search, [])).length
  return documents > 0 ? { ...found, event_search: documents } : found
}

async function count(database: Database, table: string): Promise<number> {
  const [row] = await database.rows<{ count: number }>(`SELECT count(*) AS count FROM ${table}`, [])
  return row?.count ?? 0
}

async function pass({ server, clock }: Scene, durationMs: number): Promise<void> {
  clock.advance(durationMs)
  await server.services.forgottenRooms.settled()
}

test('a forgotten room goes with everything that was kept about it, at its time', async (t) => {
  const all = await scene(t)
  const { server, clock, alice, bob, folder, configPath } = all
  const { database } = server.services
  const kept = await fullRoom(all, 'kept')
  const gone = await fullRoom(all, 'gone')
  const [keptNid = 0, goneNid = 0] = [await nidOf(database, kept.room), await nidOf(database, gone.room)]
  const before = await mentions(database, keptNid, [kept.room, ...kept.events])
  const twin = await mentions(database, goneNid, [gone.room, ...gone.events])
  assert.deepEqual(Object.keys(twin), Object.keys(before))
  for (const table of ['account_data', 'delayed_events', 'event_relations', 'event_search', 'memberships', 'open_rooms', 'receipts', 'room_aliases', 'room_publications', 'state_nodes', 'thread_subscriptions', 'threads', 'notification_counts']) {
    assert.ok((twin[table] ?? 0) > 0, `nothing in ${table}`)
  }
  await leaveAndForget(alice, gone.room)
  await leaveAndForget(bob, gone.room)
  const since = String((await bob.get('/sync?timeout=0').ok())['next_batch'])
  await pass(all, 7 * dayMs - 1)
  assert.ok(await nidOf(database, gone.room))
  await bob.get('/directory/room/%23gone:test.example').ok()
  const chains = await count(database, 'event_auth_chains')
  await pass(all, hourMs)
  const words = [gone.room, ...gone.events, '#gone:test.example']
  const left = await mentions(database, goneNid, words)
  assert.deepEqual(left, {})
  assert.deepEqual(await mentions(database, keptNid, [kept.room, ...kept.events]), before)
  assert.ok((await count(database, 'event_auth_chains')) < chains)
  assert.deepEqual(await orphans(database), [0, 0, 0])
  await bob.get('/directory/room/%23gone:test.example').fails(404, 'M_NOT_FOUND')
  await bob.post(`/join/${encodeURIComponent(gone.room)}`, {}).fails(404, 'M_NOT_FOUND')

  // Numbers of what is gone are not given out again.
  const again = await startTestServer(t, folder, configPath, { clock })
  const [alice2, bob2] = [alice.at(again.url), bob.at(again.url)]
  await alice2.put(at(kept.room, '/send/m.room.message/after'), { msgtype: 'm.text', body: 'after the restart' }).ok()
  assert.match((await bob2.get(`/sync?timeout=0&since=${encodeURIComponent(since)}`)).text, /after the restart/)
  const next = String((await alice2.post('/createRoom', { room_alias_name: 'gone' }).ok())['room_id'])
  assert.ok(((await nidOf(again.services.database, next)) ?? 0) > goneNid)
  assert.deepEqual([server.errors, again.errors], [[], []])
})

/** Rows that belong to events that are gone. */
async function orphans(database: Database): Promise<number[]> {
  const without = (table: string, column: string): string => `${table} WHERE NOT EXISTS (SELECT 1 FROM events WHERE events.event_nid = ${table}.${column})`
  return Promise.all([
    count(database, without('event_auth_chains', 'event_nid')), count(database, without('unpruned_redactions', 'event_nid')),
    count(database, 'event_auth_chain_links WHERE NOT EXISTS (SELECT 1 FROM event_auth_chains WHERE chain_id = origin_chain_id)'),
  ])
}

test('a room stays as long as somebody could come back to it', async (t) => {
  const all = await scene(t)
  const { server, alice, bob } = all
  const { database } = server.services
  const make = async (): Promise<string> => {
    const room = String((await alice.post('/createRoom', { preset: 'public_chat' }).ok())['room_id'])
    await bob.post(`/join/${encodeURIComponent(room)}`, {}).ok()
    return room
  }
  const [joined, left, invited, returned, forgotten] = [await make(), await make(), await make(), await make(), await make()]
  await alice.post(at(invited, '/invite'), { user_id: (await server.register('carol')).userId }).ok()
  for (const room of [joined, left, invited, returned, forgotten]) await leaveAndForget(alice, room)
  await bob.post(at(left, '/leave'), {}).ok()
  for (const room of [invited, returned, forgotten]) await leaveAndForget(bob, room)
  await pass(all, 6 * dayMs)
  await bob.post(`/join/${encodeURIComponent(returned)}`, {}).ok()
  await leaveAndForget(bob, returned)
  await pass(all, 2 * dayMs)
  const stored = async (): Promise<boolean[]> => Promise.all([joined, left, invited, returned, forgotten].map(async (room) => (await nidOf(database, room)) !== undefined))
  assert.deepEqual(await stored(), [true, true, true, true, false])
  await pass(all, 6 * dayMs)
  assert.deepEqual(await stored(), [true, true, true, false, false])
  assert.deepEqual(server.errors, [])
})

test('while a room is being deleted nobody finds it, and what has begun in it fails', async (t) => {
  const all = await scene(t)
  const { server, alice, bob } = all
  const room = String((await alice.post('/createRoom', { preset: 'public_chat' }).ok())['room_id'])
  const { rooms, roomPurging, writer } = server.services
  const found = await rooms.require(room)
  assert.equal(await roomPurging.begin(found, async () => false), false)
  assert.equal(await roomPurging.begin(found, async () => true), true)
  await bob.post(`/join/${encodeURIComponent(room)}`, {}).fails(404, 'M_NOT_FOUND')
  assert.throws(() => rooms.draft(found.id, found.version), /just deleting/)
  await assert.rejects(writer.propose(found, []), /just deleting/)
  await roomPurging.finish(new AbortController().signal)
  assert.equal(rooms.draft(found.id, found.version).nid > found.nid, true)
})

test('a deletion that is cut off goes on at the next start', async (t) => {
  for (let cutAt = 1; ; cutAt = Math.ceil(cutAt * 1.5) + 1) {
    let cut: CutDatabase | undefined
    const all = await scene(t, {
      open: (folder) => (loaded) => {
        cut = new CutDatabase(openDatabase(loaded, { durable: false }), testEngine === 'sqlite' ? join(folder, 'homeserver.db') : undefined)
        return cut
      },
    })
    const { server, clock, alice, bob, folder, configPath } = all
    const gone = await fullRoom(all, 'gone')
    const nid = (await nidOf(server.services.database, gone.room)) ?? 0
    for (const client of [alice, bob]) await leaveAndForget(client, gone.room)
    clock.advance(7 * dayMs - hourMs)
    await server.services.forgottenRooms.settled()
    cut?.arm('kill', cutAt, join(folder, 'copy.db'))
    await pass(all, hourMs)
    if (!cut?.wasCut) {
      assert.ok(cutAt > 50)
      return
    }
    if (testEngine === 'sqlite') writeFileSync(configPath, readFileSync(configPath, 'utf8').replace('homeserver.db', 'copy.db'))
    const after = new TestClock(clock.now())
    const again = await startTestServer(t, folder, configPath, { clock: after })
    const { database, forgottenRooms } = again.services
    if ((await count(database, 'room_purges')) > 0) await bob.at(again.url).post(`/join/${encodeURIComponent(gone.room)}`, {}).fails(404, 'M_NOT_FOUND')
    after.advance(hourMs)
    await forgottenRooms.settled()
    assert.deepEqual(await mentions(database, nid, [gone.room, ...gone.events]), {}, `cut at write ${cutAt}`)
    assert.deepEqual(await orphans(database), [0, 0, 0])
    await bob.at(again.url).post('/createRoom', { room_alias_name: 'gone' }).ok()
    assert.deepEqual(again.errors, [])
  }
})
