/** Receipts and read markers at the HTTP door. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import type { TestClient } from '#test/kit/test-client.ts'
import { testServer } from '#test/kit/test-server.ts'
import { receiptContent } from './receipt-content.ts'
import { ReadPosition } from './read-position.ts'
import type { Receipt } from './receipt.ts'

let transactions = 0

async function say(client: TestClient, room: string, content: object = {}): Promise<string> {
  const path = `/rooms/${encodeURIComponent(room)}/send/m.room.message/${++transactions}`
  return String((await client.put(path, { msgtype: 'm.text', body: 'x', ...content }).ok())['event_id'])
}

const inThread = (root: string): object => ({ 'm.relates_to': { rel_type: 'm.thread', event_id: root } })

test('receipts: who may send which', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom()
  const { room: elsewhere } = { room: String((await alice.post('/createRoom', {}).ok())['room_id']) }
  const [first, there] = [await say(alice, room), await say(alice, elsewhere)]
  const at = (event: string, type = 'm.read', where = room): string => `/rooms/${encodeURIComponent(where)}/receipt/${type}/${encodeURIComponent(event)}`
  assert.deepEqual(await bob.post(at(first)).ok(), {})
  assert.deepEqual(await bob.post(at(first, 'm.read.private'), {}).ok(), {})
  await bob.post(at(first, 'm.seen'), {}).fails(400, 'M_INVALID_PARAM')
  await bob.post(at(there), {}).fails(404, 'M_NOT_FOUND')
  await bob.post(at('$unknown'), {}).fails(404, 'M_NOT_FOUND')
  await bob.post(at(there, 'm.read', elsewhere), {}).fails(403, 'M_FORBIDDEN')
  await bob.post(at(first, 'm.read', '!unknown:test.example'), {}).fails(403, 'M_FORBIDDEN')
  await server.anonymous().post(at(first), {}).fails(401, 'M_MISSING_TOKEN')
  for (const thread of ['', 3, null, 'elsewhere', '$unknown', '$nul\u0000', '__proto__']) await bob.post(at(first), { thread_id: thread }).fails(400, 'M_INVALID_PARAM')
  await bob.post(at(first, 'm.fully_read'), { thread_id: 'main' }).fails(400, 'M_INVALID_PARAM')
  await bob.post(at(first), '{').fails(400, 'M_NOT_JSON')
  const { receipts, rooms } = server.services
  const known = await rooms.require(room)
  assert.deepEqual((await receipts.forRoom(known, alice.userId)).map((receipt) => receipt.type), ['m.read'])
  assert.deepEqual((await receipts.forRoom(known, bob.userId)).map((receipt) => receipt.type).sort(), ['m.read', 'm.read.private'])
})

test('receipts never go back, by thread', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom()
  const root = await say(alice, room)
  const reply = await say(alice, room, inThread(root))
  const last = await say(alice, room)
  const reaction = String((await alice.put(`/rooms/${encodeURIComponent(room)}/send/m.reaction/r`, {
    'm.relates_to': { rel_type: 'm.annotation', event_id: reply, key: 'a' },
  }).ok())['event_id'])
  const { receipts, rooms } = server.services
  const known = await rooms.require(room)
  const before = receipts.stream.position
  const send = (event: string, body: object = {}) => bob.post(`/rooms/${encodeURIComponent(room)}/receipt/m.read/${encodeURIComponent(event)}`, body)
  await send(last).ok()
  await send(root).ok()
  await send(reply, { thread_id: root }).ok()
  await send(reaction, { thread_id: root }).ok()
  await send(root, { thread_id: root }).ok()
  await send(root, { thread_id: 'main' }).ok()
  await send(reply, { thread_id: 'main' }).fails(400, 'M_INVALID_PARAM')
  await send(last, { thread_id: root }).fails(400, 'M_INVALID_PARAM')
  const shown = (await receipts.forRoom(known, alice.userId)).map(({ threadId, eventId }) => [threadId, eventId])
  assert.deepEqual(new Map(shown.map(([thread, event]) => [thread, event])), new Map([[undefined, last], [root, reaction], ['main', root]]))
  const changes = await receipts.changesSince(new Set([known.nid]), before, receipts.stream.position, alice.userId)
  assert.deepEqual(changes.map(({ threadId, eventId }) => [threadId, eventId]), [[undefined, last], [root, reaction], ['main', root]])
  const position = await receipts.positionOf(bob.userId as UserId, known)
  assert.ok(position.in(root) > position.everywhere)
})

test('read markers', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom()
  const [first, second] = [await say(alice, room), await say(alice, room)]
  const path = `/rooms/${encodeURIComponent(room)}/read_markers`
  const fullyRead = `/user/${encodeURIComponent(bob.userId)}/rooms/${encodeURIComponent(room)}/account_data/m.fully_read`
  await bob.get(fullyRead).fails(404, 'M_NOT_FOUND')
  await bob.post(path, { 'm.fully_read': second, 'm.read': first, 'm.read.private': second }).ok()
  assert.deepEqual(await bob.get(fullyRead).ok(), { event_id: second })
  await bob.post(path, { 'm.fully_read': first }).ok()
  await bob.post(`/rooms/${encodeURIComponent(room)}/receipt/m.fully_read/${encodeURIComponent(first)}`, {}).ok()
  assert.deepEqual(await bob.get(fullyRead).ok(), { event_id: second })
  await bob.post(path, {}).ok()
  await bob.post(path, { 'm.read': '$unknown' }).fails(404, 'M_NOT_FOUND')
  await bob.post(path, { 'm.read': 3 }).fails(400, 'M_BAD_JSON')
  await (await server.register('carol')).post(path, { 'm.read': first }).fails(403, 'M_FORBIDDEN')
  const { receipts, rooms } = server.services
  assert.equal((await receipts.forRoom(await rooms.require(room), bob.userId)).length, 2)
})

test('receipts of remote users', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom()
  const event = await say(alice, room)
  const { receipts, rooms } = server.services
  const known = await rooms.require(room)
  assert.equal(await receipts.receive(known, '@stranger:remote.example' as UserId, event, undefined, 1), false)
  assert.equal(await receipts.receive(known, bob.userId as UserId, '$unknown', undefined, 1), false)
  assert.equal(await receipts.receive(known, bob.userId as UserId, event, 'nonsense', 1), false)
  assert.equal(await receipts.receive(known, bob.userId as UserId, event, undefined, 0.5), false)
  assert.equal(await receipts.receive(known, bob.userId as UserId, event, undefined, 1), true)
})

test('a receipts event shows the unthreaded receipt of an event', () => {
  const one = (threadId: string | undefined, eventId: string, userId = '@a:x'): Receipt =>
    ({ roomNid: 1, userId: userId as UserId, type: 'm.read', eventId: eventId as Receipt['eventId'], threadId, ts: 5 })
  assert.deepEqual(JSON.parse(receiptContent([one('main', '$1'), one(undefined, '$1'), one('$t', '$1'), one('$t', '$2'), one('main', '$1', '@b:x')])), {
    $1: { 'm.read': { '@a:x': { ts: 5 }, '@b:x': { ts: 5, thread_id: 'main' } } },
    $2: { 'm.read': { '@a:x': { ts: 5, thread_id: '$t' } } },
  })
  const position = new ReadPosition([{ thread_id: '', event_stream: 3 }, { thread_id: 'main', event_stream: 7 }, { thread_id: 'main', event_stream: 5 }])
  assert.deepEqual([position.in('main'), position.in('$t'), position.everywhere], [7, 3, 3])
})

test('receipts for threads of a room are limited', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom()
  const event = await say(alice, room)
  const { receipts, rooms } = server.services
  const known = await rooms.require(room)
  for (let index = 0; index < 1005; index++) await receipts.receive(known, bob.userId as UserId, event, `$thread${index}`, index)
  const kept = (await receipts.forRoom(known, alice.userId)).map((receipt) => receipt.threadId)
  assert.equal(kept.length, 1000)
  assert.ok(kept.includes('$thread1004') && !kept.includes('$thread0'))
})
