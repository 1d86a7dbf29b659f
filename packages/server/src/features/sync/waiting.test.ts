/** Waiting for news, answering again, and what a sync costs. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readsDuring } from '#test/kit/table-reads.ts'
import { testServer } from '#test/kit/test-server.ts'
import { bodies, send, sync, syncOk, untilWaiting, withoutPresence } from '#test/kit/syncing.ts'

const path = (room: string): string => `/rooms/${encodeURIComponent(room)}`
const quiet = { filter: withoutPresence, set_presence: 'offline', timeout: 60_000 }

test('a waiting sync is woken by whatever concerns the user', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom()
  let since = (await syncOk(alice, quiet)).next_batch
  const woken = async (act: () => Promise<unknown>) => {
    const waiting = syncOk(alice, { ...quiet, since })
    await untilWaiting(server, alice.userId)
    await act()
    const answer = await waiting
    since = answer.next_batch
    return answer
  }
  assert.deepEqual(bodies((await woken(() => send(bob, room, 'wake'))).rooms?.join?.[room]), ['wake'])
  assert.ok((await woken(() => bob.put(`${path(room)}/typing/${bob.userId}`, { typing: true }).ok())).rooms?.join?.[room])
  const event = await send(bob, room, 'x')
  since = (await syncOk(alice, { ...quiet, since })).next_batch
  assert.ok((await woken(() => bob.post(`${path(room)}/receipt/m.read/${encodeURIComponent(event)}`, {}).ok())).rooms?.join?.[room])
  assert.ok((await woken(() => alice.put(`/user/${alice.userId}/account_data/org.test`, {}).ok())).account_data)
  assert.ok((await woken(() => bob.put('/sendToDevice/m.test/1', { messages: { [alice.userId]: { '*': {} } } }).ok())).to_device)
  assert.ok((await woken(() => bob.put(`/devices/${bob.deviceId}`, { display_name: 'n' }).ok())).device_lists)
  assert.ok((await woken(() => bob.post('/createRoom', { invite: [alice.userId] }).ok())).rooms?.invite)
  assert.ok((await woken(() => bob.post(`${path(room)}/leave`, {}).ok())).rooms?.join?.[room])
  const waiting = syncOk(alice, { since, timeout: 60_000, set_presence: 'offline' })
  await alice.put(`/presence/${alice.userId}/status`, { presence: 'online' }).ok()
  assert.ok((await waiting).presence)
})

test('without news a sync answers when its time is up, with a token that goes on', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom()
  const { next_batch: since } = await syncOk(alice, quiet)
  const hidden = await server.register('carol')
  await hidden.post('/createRoom', {}).ok()
  const empty = await syncOk(alice, { ...quiet, since, timeout: 50 })
  assert.equal(empty.rooms, undefined)
  assert.notEqual(empty.next_batch, since)
  await send(bob, room, 'x')
  assert.deepEqual(bodies((await syncOk(alice, { ...quiet, since: empty.next_batch })).rooms?.join?.[room]), ['x'])
})

test('the same request gets the same answer, simultaneous ones share it', async (t) => {
  const { alice, bob, room } = await (await testServer(t)).withRoom()
  const { next_batch: since } = await syncOk(alice, quiet)
  await send(bob, room, 'one')
  const first = await sync(alice, { ...quiet, since })
  await send(bob, room, 'two')
  assert.equal((await sync(alice, { ...quiet, since })).text, first.text)
  assert.deepEqual(bodies((await syncOk(alice, { ...quiet, since, full_state: true })).rooms?.join?.[room]), ['one', 'two'])
  const { next_batch: later } = await syncOk(alice, quiet)
  const waiting = [sync(alice, { ...quiet, since: later }), sync(alice, { ...quiet, since: later })]
  await send(bob, room, 'three')
  const [one, other] = await Promise.all(waiting)
  assert.equal(one?.text, other?.text)
})

test('a wait ends with its device', async (t) => {
  const server = await testServer(t)
  const alice = await server.register('alice')
  const other = await server.login('alice')
  const { next_batch: since } = await syncOk(other, quiet)
  const waiting = sync(other, { ...quiet, since })
  const kept = sync(alice, { ...quiet, since })
  await untilWaiting(server, alice.userId, 2)
  await other.post('/logout', {}).ok()
  await waiting.fails(401, 'M_UNKNOWN_TOKEN')
  assert.deepEqual((await kept).body['device_lists'], { changed: [alice.userId], left: [] })
})

test('a sync without news reads no table', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom()
  const stranger = await server.register('stranger')
  for (let index = 0; index < 5; index += 1) await alice.post('/createRoom', {}).ok()
  await send(bob, room, 'first')
  const first = await syncOk(alice, { ...quiet, timeout: 0 })
  const second = await syncOk(alice, { ...quiet, since: first.next_batch, timeout: 0 })
  assert.deepEqual(await readsDuring(server, () => syncOk(alice, { ...quiet, since: second.next_batch, timeout: 0 })), [])
  await stranger.post('/createRoom', {}).ok()
  assert.deepEqual(await readsDuring(server, () => syncOk(alice, { ...quiet, since: second.next_batch, timeout: 0 })), [])
  await send(bob, room, 'news')
  const reads = await readsDuring(server, () => syncOk(alice, { ...quiet, since: second.next_batch, timeout: 0 }))
  assert.deepEqual(reads.filter((name) => name !== 'events.roomTail'), [], 'only the unread counts may look at the room')
})
