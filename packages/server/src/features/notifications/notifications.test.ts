/** Unread counts and the list of notifications. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import type { TestClient } from '#test/kit/test-client.ts'
import { testServer, type TestServer } from '#test/kit/test-server.ts'
import { Notifications, withThreads } from './notifications.ts'

let transactions = 0

async function say(client: TestClient, room: string, content: object = {}): Promise<string> {
  const path = `/rooms/${encodeURIComponent(room)}/send/m.room.message/${++transactions}`
  return String((await client.put(path, { msgtype: 'm.text', body: 'x', ...content }).ok())['event_id'])
}

async function read(client: TestClient, room: string, event: string, body: object = {}, type = 'm.read'): Promise<void> {
  await client.post(`/rooms/${encodeURIComponent(room)}/receipt/${type}/${encodeURIComponent(event)}`, body).ok()
}

const inThread = (root: string): object => ({ 'm.relates_to': { rel_type: 'm.thread', event_id: root } })
const mention = (client: TestClient): object => ({ 'm.mentions': { user_ids: [client.userId] } })

/** [notifications, highlights] of the main timeline, then of each thread. */
async function counts(server: TestServer, client: TestClient, room: string, notifications = server.services.notifications): Promise<unknown> {
  const { rooms, eventsStream } = server.services
  const found = await notifications.unreadCounts(client.userId as UserId, await rooms.require(room), eventsStream.position)
  const threads = [...found.threads].map(([thread, each]) => [thread, each.notificationCount, each.highlightCount])
  return [found.notificationCount, found.highlightCount, ...threads]
}

test('counts: messages, highlights, receipts, own messages', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom()
  assert.deepEqual(await counts(server, bob, room), [0, 0])
  const first = await say(alice, room)
  const second = await say(alice, room, mention(bob))
  await say(alice, room, { msgtype: 'm.notice' })
  assert.deepEqual(await counts(server, bob, room), [2, 1])
  assert.deepEqual(await counts(server, alice, room), [0, 0])
  await read(bob, room, first)
  assert.deepEqual(await counts(server, bob, room), [1, 1])
  await read(bob, room, second, {}, 'm.read.private')
  assert.deepEqual(await counts(server, bob, room), [0, 0])
  await say(alice, room)
  assert.deepEqual(await counts(server, bob, room), [1, 0])
  await say(bob, room)
  assert.deepEqual(await counts(server, bob, room), [0, 0])
  assert.deepEqual(await counts(server, alice, room), [1, 0])
})

test('counts: a new profile does not mark rooms as read, a new join begins anew', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom()
  await say(alice, room)
  const membership = `/rooms/${encodeURIComponent(room)}/state/m.room.member/${encodeURIComponent(bob.userId)}`
  await bob.put(membership, { membership: 'join', displayname: 'Bobby' }).ok()
  assert.deepEqual(await counts(server, bob, room), [1, 0])
  await say(alice, room, { body: 'Bobby, look' })
  assert.deepEqual(await counts(server, bob, room), [2, 1])
  await bob.post(`/rooms/${encodeURIComponent(room)}/leave`, {}).ok()
  await bob.post(`/join/${encodeURIComponent(room)}`, {}).ok()
  assert.deepEqual(await counts(server, bob, room), [0, 0])
})

test('counts by thread', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom()
  const root = await say(alice, room)
  const reply = await say(alice, room, inThread(root))
  await say(alice, room, { ...inThread(root), ...mention(bob) })
  assert.deepEqual(await counts(server, bob, room), [1, 0, [root, 2, 1]])
  await read(bob, room, reply, { thread_id: root })
  assert.deepEqual(await counts(server, bob, room), [1, 0, [root, 1, 1]])
  await read(bob, room, root, { thread_id: 'main' })
  assert.deepEqual(await counts(server, bob, room), [0, 0, [root, 1, 1]])
  await say(bob, room)
  assert.deepEqual(await counts(server, bob, room), [0, 0, [root, 1, 1]])
  const { notifications, rooms, eventsStream } = server.services
  const found = await notifications.unreadCounts(bob.userId as UserId, await rooms.require(room), eventsStream.position)
  assert.deepEqual(withThreads(found), { notificationCount: 1, highlightCount: 1 })
  await read(bob, room, await say(alice, room))
  assert.deepEqual(await counts(server, bob, room), [0, 0])
})

test('counts: rules and ignored users', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom()
  await bob.put(`/pushrules/global/room/${encodeURIComponent(room)}`, { actions: [] }).ok()
  await say(alice, room)
  assert.deepEqual(await counts(server, bob, room), [0, 0])
  await bob.delete(`/pushrules/global/room/${encodeURIComponent(room)}`).ok()
  await say(alice, room)
  assert.deepEqual(await counts(server, bob, room), [1, 0])
  await bob.put(`/user/${encodeURIComponent(bob.userId)}/account_data/m.ignored_user_list`, { ignored_users: { [alice.userId]: {} } }).ok()
  await say(alice, room)
  assert.deepEqual(await counts(server, bob, room), [1, 0])
})

test('counts: threads that are none, and too many of them', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom()
  for (const root of ['nonsense', '$nul\u0000', '__proto__']) await say(alice, room, inThread(root))
  await say(alice, room, { 'm.relates_to': 3 })
  assert.deepEqual(await counts(server, bob, room), [4, 0])
  for (let index = 0; index < 560; index++) await say(alice, room, inThread(`$root${index}`))
  await counts(server, bob, room)
  const found = await counts(server, bob, room)
  assert.ok(Array.isArray(found) && found.length === 2 + 499 && found[0] === 4)
})

test('counts are stored, divided by a receipt, and folded', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom()
  const sent: string[] = []
  const send = async (count: number): Promise<void> => {
    for (let index = 0; index < count; index++) sent.push(await say(alice, room))
  }
  await send(450)
  assert.deepEqual(await counts(server, bob, room), [450, 0])
  await send(150)
  assert.deepEqual(await counts(server, bob, room), [600, 0])
  const { database } = server.services
  const rows = await database.rows<{ notify_count: number }>('SELECT notify_count FROM notification_counts', [])
  assert.deepEqual(rows.map((row) => row.notify_count), [450])
  await read(bob, room, sent[99] ?? '')
  assert.deepEqual(await counts(server, bob, room), [500, 0])
  await send(250)
  const restarted = new Notifications(server.services)
  assert.deepEqual(await counts(server, bob, room, restarted), [750, 0])
  await read(bob, room, sent[799] ?? '')
  assert.deepEqual(await counts(server, bob, room, new Notifications(server.services)), [50, 0])
  assert.deepEqual(await counts(server, bob, room, restarted), [50, 0])
  assert.deepEqual(await counts(server, bob, room), [50, 0])
  await read(bob, room, sent[849] ?? '')
  assert.deepEqual(await counts(server, bob, room), [0, 0])
})

test('the list of notifications', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom()
  assert.deepEqual((await bob.get('/notifications').ok())['notifications'], [])
  const sent: string[] = []
  for (let index = 0; index < 30; index++) sent.push(await say(alice, room, index % 10 === 0 ? mention(bob) : {}))
  await read(bob, room, sent[14] ?? '')
  const listed: { id: string; read: boolean }[] = []
  for (let from: unknown = ''; from !== undefined;) {
    const page: Readonly<Record<string, unknown>> = await bob.get(`/notifications?limit=12${from === '' ? '' : `&from=${String(from)}`}`).ok()
    const found = page['notifications'] as { event: { event_id: string }; read: boolean; room_id: string }[]
    listed.push(...found.map((each) => ({ id: each.event.event_id, read: each.read })))
    assert.ok(found.every((each) => each.room_id === room))
    from = page['next_token']
  }
  assert.deepEqual(listed.map((each) => each.id), sent.toReversed())
  assert.equal(listed.filter((each) => each.read).length, 15)
  const highlights = (await bob.get('/notifications?only=highlight').ok())['notifications'] as { event: { event_id: string } }[]
  assert.deepEqual(highlights.map((each) => each.event.event_id), [sent[20], sent[10], sent[0]])
  await bob.get('/notifications?from=nonsense').fails(400, 'M_INVALID_PARAM')
  await bob.get('/notifications?limit=-1').fails(400, 'M_INVALID_PARAM')
  await server.anonymous().get('/notifications').fails(401, 'M_MISSING_TOKEN')
  await say(bob, room)
  const after = (await bob.get('/notifications').ok())['notifications'] as { read: boolean }[]
  assert.ok(after.every((each) => each.read))
  await alice.put(`/rooms/${encodeURIComponent(room)}/redact/${encodeURIComponent(sent[29] ?? '')}/r`, {}).ok()
  const text = (await bob.get('/notifications')).text
  assert.equal(text.split('"body":"x"').length - 1, 19)
})
