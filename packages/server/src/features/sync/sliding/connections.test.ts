/** Connections of sliding sync: answers that are lost, restarts, forgotten positions, bounds. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { writeHomeserverYaml } from '#test/kit/homeserver-yaml.ts'
import { list, sliding, SlidingClient, slidingOk, texts, type SlidingAnswer } from '#test/kit/sliding.ts'
import { named, send, setState, untilWaiting } from '#test/kit/syncing.ts'
import { TestClock } from '#test/kit/test-clock.ts'
import { startTestServer, testServer, type TestServer } from '#test/kit/test-server.ts'

/** An answer without what differs between two equal ones. */
function shapeOf(answer: SlidingAnswer): unknown {
  return Object.entries(answer.rooms).map(([id, room]) => ({ id, ...room, timeline: texts(room), required_state: named(room.required_state) }))
}

async function count(server: TestServer, table: string): Promise<number> {
  const [row] = await server.services.database.rows<{ count: number }>(`SELECT count(*) AS count FROM ${table}`, [])
  return Number(row?.count)
}

test('an answer that was lost is given again, with what has happened since', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom()
  const other = String((await alice.post('/createRoom', {}).ok())['room_id'])
  const sync = new SlidingClient(alice, { lists: { top: list(0, 0, { timeline_limit: 2, required_state: [['m.room.member', '$LAZY']] }) } })
  assert.deepEqual(Object.keys((await sync.next()).rooms), [other])
  await send(bob, room, 'one')
  const lost = await sync.peek()
  const again = await sync.peek()
  assert.deepEqual(shapeOf(again), shapeOf(lost))
  assert.equal(again.rooms[room]?.initial, true)
  await send(bob, room, 'two')
  const more = await sync.next()
  assert.equal(more.rooms[room]?.initial, true)
  assert.deepEqual(texts(more.rooms[room]), ['one', 'two'])
  await send(bob, room, 'three')
  for (const _ of [1, 2]) assert.deepEqual(texts((await sync.peek()).rooms[room]), ['three'])
  assert.deepEqual(texts((await sync.next()).rooms[room]), ['three'])
  assert.deepEqual((await sync.next()).rooms, {})
})

test('a restart forgets nothing', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'myelin-test-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const path = await writeHomeserverYaml(t, folder, {})
  const first = await startTestServer(t, folder, path)
  const { alice, bob, room } = await first.withRoom()
  const rooms: string[] = []
  for (let index = 0; index < 3; index += 1) rooms.push(String((await alice.post('/createRoom', {}).ok())['room_id']))
  await alice.put(`/user/${alice.userId}/account_data/org.test`, { kept: true }).ok()
  const sync = new SlidingClient(alice, {
    conn_id: 'main', extensions: { account_data: { enabled: true }, receipts: { enabled: true } },
    lists: { top: list(0, 9, { timeline_limit: 3, required_state: [['m.room.topic', '']] }) },
  })
  await sync.next()
  await sync.next({ lists: { top: list(0, 0, { timeline_limit: 3, required_state: [['m.room.topic', '']] }) } })
  for (let index = 0; index < 40; index += 1) {
    await send(bob, room, `m${index}`)
    await send(alice, rooms[index % 3] ?? '', `x${index}`)
    await sync.next()
  }
  await send(bob, room, 'missed')
  await send(alice, rooms[0] ?? '', 'newest')
  const lost = await sync.peek()
  const second = await startTestServer(t, folder, path)
  const after = new SlidingClient(alice.at(second.url), sync.body)
  after.pos = sync.pos
  assert.deepEqual(shapeOf(await after.peek()), shapeOf(lost))
  assert.deepEqual(shapeOf(await after.next()), shapeOf(lost))
  const wide = await after.next({ lists: { top: list(0, 9, { timeline_limit: 3, required_state: [['m.room.topic', '']] }) } })
  assert.deepEqual(Object.keys(wide.rooms), [room])
  assert.equal(wide.rooms[room]?.initial, undefined)
  assert.equal(texts(wide.rooms[room]).at(-1), 'missed')
  assert.equal(wide.extensions.account_data, undefined)
  await setState(alice.at(second.url), room, 'm.room.topic', { topic: 'x' })
  assert.deepEqual(named((await after.next()).rooms[room]?.required_state), ['m.room.topic '])
})

test('a position belongs to its user, device and connection, and is unknown to all others', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom()
  const elsewhere = await server.login('alice')
  const sync = new SlidingClient(alice, { conn_id: 'a', lists: { all: list(0, 9) } })
  const first = await sync.next()
  const body = { ...sync.body, room_subscriptions: { [room]: { timeline_limit: 5, required_state: [] } } }
  for (const [client, wrong] of [[bob, body], [elsewhere, body], [alice, { ...body, conn_id: 'b' }]] as const) {
    const refusal = await sliding(client, wrong, { pos: first.pos }).fails(400, 'M_UNKNOWN_POS')
    assert.match(String(refusal['error']), /without pos/)
  }
  for (const pos of ['x', '1', `0/${first.pos.split('/')[1]}`, first.pos.replace('/', '/x'), '1/s1_2_3', `${first.pos.split('/')[0]}/s${'9'.repeat(300)}`, '9'.repeat(500), '\0']) {
    await sliding(alice, body, { pos }).fails(400, 'M_UNKNOWN_POS')
  }
  assert.deepEqual((await slidingOk(alice, body, { pos: first.pos, timeout: 0 })).rooms, {})
  const ahead = first.pos.replace(/s\d+/, 's999999999')
  await send(bob, room, 'x')
  assert.equal((await sliding(alice, body, { pos: ahead })).status, 200)
  assert.deepEqual(server.errors, [])
})

test('an old position is forgotten once the client has gone on; a connection that begins anew ends the former', async (t) => {
  const server = await testServer(t)
  const { alice, room } = await server.withRoom()
  const sync = new SlidingClient(alice, { lists: { all: list(0, 9, { timeline_limit: 1 }) } })
  const first = await sync.next()
  for (const limit of [2, 3, 4]) await sync.next({ lists: { all: list(0, 9, { timeline_limit: limit }) } })
  const lost: string[] = []
  for (const limit of [5, 6, 7, 8, 9, 10]) lost.push((await slidingOk(alice, { lists: { all: list(0, 9, { timeline_limit: limit }) } }, { pos: sync.pos ?? '' })).pos)
  for (let limit = 5; limit < 90; limit += 1) {
    const [id] = Object.keys((await sync.next({ lists: { all: list(0, 9, { timeline_limit: limit }) } })).rooms)
    assert.ok(limit > 8 || id === room)
    await setState(alice, room, 'org.test', { limit })
  }
  assert.ok((await count(server, 'sliding_sync_positions')) < 40)
  for (const pos of [first.pos, ...lost]) {
    // What the tables have lost, memory may keep for a while.
    const { status } = await sliding(alice, sync.body, { pos })
    assert.ok(status === 200 || status === 400)
  }
  const anew = new SlidingClient(alice, sync.body)
  assert.equal((await anew.next()).rooms[room]?.initial, true)
  await sliding(alice, sync.body, { pos: sync.pos ?? '' }).fails(400, 'M_UNKNOWN_POS')
  assert.equal(await count(server, 'sliding_sync_connections'), 1)
  assert.equal(await count(server, 'sliding_sync_positions'), 1)
})

test('connections are bounded for each device, end with it, and end when nobody uses them', async (t) => {
  const clock = new TestClock()
  const server = await testServer(t, { clock })
  const { alice, bob } = await server.withRoom()
  const clients: SlidingClient[] = []
  for (let index = 0; index < 20; index += 1) {
    clock.advance(1000)
    const client = new SlidingClient(alice, { conn_id: `c${index}`, lists: { all: list(0, 9) } })
    await client.next()
    clients.push(client)
  }
  assert.equal(await count(server, 'sliding_sync_connections'), 16)
  await sliding(alice, clients[3]?.body ?? {}, { pos: clients[3]?.pos ?? '' }).fails(400, 'M_UNKNOWN_POS')
  await clients[4]?.next()
  const second = await server.login('alice')
  const there = new SlidingClient(second, { lists: { all: list(0, 9) } })
  await there.next()
  const waiting = sliding(second, there.body, { pos: there.pos ?? '', timeout: 60_000 })
  await untilWaiting(server, second.userId)
  await second.post('/logout', {}).ok()
  await waiting.fails(401, 'M_UNKNOWN_TOKEN')
  assert.equal(await count(server, 'sliding_sync_connections'), 16)
  const active = new SlidingClient(bob)
  await active.next()
  for (let day = 0; day < 29; day += 1) {
    clock.advance(24 * 3_600_000)
    await active.next()
  }
  await server.services.slidingConnections.expire()
  assert.equal(await count(server, 'sliding_sync_connections'), 17)
  clock.advance(2 * 24 * 3_600_000)
  await server.services.slidingConnections.expire()
  assert.equal(await count(server, 'sliding_sync_connections'), 1)
  await sliding(alice, clients[19]?.body ?? {}, { pos: clients[19]?.pos ?? '' }).fails(400, 'M_UNKNOWN_POS')
  await active.next()
})

test('a request without news waits until its time is up, or until something happens; without news it reads no table', async (t) => {
  const clock = new TestClock()
  const server = await testServer(t, { clock })
  const { alice, bob, room } = await server.withRoom()
  const sync = new SlidingClient(alice, { lists: { all: list(0, 9) }, extensions: { e2ee: { enabled: true }, to_device: { enabled: true }, typing: { enabled: true }, account_data: { enabled: true }, receipts: { enabled: true } } })
  await sync.next({}, { set_presence: 'offline' })
  await sync.next({}, { set_presence: 'offline' })
  const waiting = sync.next({}, { timeout: 30_000, set_presence: 'offline' })
  await untilWaiting(server, alice.userId)
  await (await server.register('carol')).post('/createRoom', {}).ok()
  clock.advance(30_000)
  assert.deepEqual((await waiting).rooms, {})
  for (const act of [
    () => send(bob, room, 'x'),
    () => bob.put(`/rooms/${encodeURIComponent(room)}/typing/${bob.userId}`, { typing: true }).ok(),
    () => alice.put(`/user/${alice.userId}/account_data/org.test`, {}).ok(),
    () => bob.put('/sendToDevice/m.test/1', { messages: { [alice.userId]: { '*': {} } } }).ok(),
    () => bob.put(`/devices/${bob.deviceId}`, { display_name: 'n' }).ok(),
    () => bob.post('/createRoom', { invite: [alice.userId] }).ok(),
  ]) {
    const next = sync.next({}, { timeout: 30_000, set_presence: 'offline' })
    await untilWaiting(server, alice.userId)
    await act()
    const answer = await next
    const { to_device: messages } = answer.extensions
    if (messages) sync.body = { ...sync.body, extensions: { ...Object(sync.body['extensions']), to_device: { enabled: true, since: messages.next_batch } } }
    const { e2ee, to_device: _, ...others } = answer.extensions
    assert.ok(Object.keys(answer.rooms).length + Object.keys(others).length + (messages?.events.length ?? 0) + (e2ee?.device_lists?.changed.length ?? 0) > 0)
  }
  await sync.next({}, { set_presence: 'offline' })
  await sync.next({}, { set_presence: 'offline' })
  const { database } = server.services
  const reads: string[] = []
  const rows = database.rows
  t.after(() => { database.rows = rows })
  database.rows = function counted<Row>(this: typeof database, text: string, values: readonly unknown[], name?: string): Promise<Row[]> {
    reads.push(name ?? text)
    return rows.call(database, text, values, name) as Promise<Row[]>
  }
  await sync.next({}, { set_presence: 'offline' })
  assert.deepEqual(reads, [])
})
