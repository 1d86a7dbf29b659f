/** What a sync tells beside the events of rooms, at the HTTP door. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { testServer } from '#test/kit/test-server.ts'
import { send, syncOk, withoutPresence, type Synced } from '#test/kit/syncing.ts'
import type { TestClient } from '#test/kit/test-client.ts'

const path = (room: string): string => `/rooms/${encodeURIComponent(room)}`

function sendToDevice(from: TestClient, to: TestClient, txnId: string, content: object): Promise<unknown> {
  return from.put(`/sendToDevice/m.test/${txnId}`, { messages: { [to.userId]: { [to.deviceId]: content } } }).ok()
}

test('typing', async (t) => {
  const { alice, bob, room } = await (await testServer(t)).withRoom()
  const { next_batch: since } = await syncOk(alice)
  await bob.put(`${path(room)}/typing/${bob.userId}`, { typing: true, timeout: 30_000 }).ok()
  const typing = { type: 'm.typing', content: { user_ids: [bob.userId] } }
  const next = await syncOk(alice, { since })
  assert.deepEqual(next.rooms?.join?.[room]?.ephemeral.events, [typing])
  assert.deepEqual(next.rooms?.join?.[room]?.timeline.events, [])
  assert.deepEqual((await syncOk(alice)).rooms?.join?.[room]?.ephemeral.events, [typing])
  await bob.put(`${path(room)}/typing/${bob.userId}`, { typing: false }).ok()
  const stopped = (await syncOk(alice, { since: next.next_batch })).rooms?.join?.[room]?.ephemeral.events
  assert.deepEqual(stopped, [{ type: 'm.typing', content: { user_ids: [] } }])
  assert.equal((await syncOk(alice, { since, filter: { ...withoutPresence, room: { ephemeral: { not_types: ['*'] } } } })).rooms, undefined)
})

test('receipts: public ones for all, private ones for their owner; counts go down', async (t) => {
  const { alice, bob, room } = await (await testServer(t)).withRoom()
  const [one, two] = [await send(bob, room, 'one'), await send(bob, room, 'two')]
  const first = await syncOk(alice)
  const ofBob = (await syncOk(bob)).next_batch
  assert.equal(first.rooms?.join?.[room]?.unread_notifications['notification_count'], 2)
  await alice.post(`${path(room)}/receipt/m.read/${encodeURIComponent(one)}`, {}).ok()
  const read = (await syncOk(alice, { since: first.next_batch }))
  assert.equal(read.rooms?.join?.[room]?.unread_notifications['notification_count'], 1)
  const seen = await syncOk(bob, { since: ofBob })
  assert.ok(Object.hasOwn(seen.rooms?.join?.[room]?.ephemeral.events[0]?.content ?? {}, one))
  await alice.post(`${path(room)}/receipt/m.read.private/${encodeURIComponent(two)}`, {}).ok()
  const hidden = await syncOk(alice, { since: read.next_batch })
  assert.equal(hidden.rooms?.join?.[room]?.unread_notifications['notification_count'], 0)
  assert.ok(JSON.stringify(hidden.rooms?.join?.[room]?.ephemeral.events).includes('m.read.private'))
  assert.equal((await syncOk(bob, { since: seen.next_batch, filter: withoutPresence })).rooms, undefined)
  assert.ok(!JSON.stringify((await syncOk(bob)).rooms).includes('m.read.private'))
})

test('counts of threads', async (t) => {
  const { alice, bob, room } = await (await testServer(t)).withRoom()
  const root = await send(bob, room, 'root')
  await send(bob, room, 'in thread', { 'm.relates_to': { rel_type: 'm.thread', event_id: root } })
  const together = (await syncOk(alice)).rooms?.join?.[room]
  assert.deepEqual(together?.unread_notifications, { notification_count: 2, highlight_count: 0 })
  assert.equal(together?.unread_thread_notifications, undefined)
  const apart = (await syncOk(alice, { filter: { room: { timeline: { unread_thread_notifications: true } } } })).rooms?.join?.[room]
  assert.deepEqual(apart?.unread_notifications, { notification_count: 1, highlight_count: 0 })
  assert.deepEqual(apart?.unread_thread_notifications, { [root]: { notification_count: 1, highlight_count: 0 } })
})

test('account data of the account and of rooms, tags, the read marker', async (t) => {
  const { alice, room } = await (await testServer(t)).withRoom()
  const event = await send(alice, room, 'x')
  const { next_batch: since } = await syncOk(alice)
  await alice.put(`/user/${alice.userId}/account_data/org.test`, { a: 1 }).ok()
  await alice.put(`/user/${alice.userId}/account_data/org.test`, { a: 2 }).ok()
  await alice.put(`/user/${alice.userId}${path(room)}/account_data/org.room`, { b: 1 }).ok()
  await alice.put(`/user/${alice.userId}${path(room)}/tags/m.favourite`, { order: 0.5 }).ok()
  await alice.post(`${path(room)}/read_markers`, { 'm.fully_read': event }).ok()
  const check = (answer: Synced): void => {
    assert.deepEqual(answer.account_data?.events.filter(({ type }) => type === 'org.test'), [{ type: 'org.test', content: { a: 2 } }])
    const ofRoom = new Map(answer.rooms?.join?.[room]?.account_data.events.map(({ type, content }) => [type, content]))
    assert.deepEqual(ofRoom.get('org.room'), { b: 1 })
    assert.deepEqual(ofRoom.get('m.tag'), { tags: { 'm.favourite': { order: 0.5 } } })
    assert.deepEqual(ofRoom.get('m.fully_read'), { event_id: event })
  }
  check(await syncOk(alice, { since }))
  const initial = await syncOk(alice)
  check(initial)
  assert.ok(initial.account_data?.events.some(({ type }) => type === 'm.push_rules'))
  await alice.put('/pushrules/global/override/.m.rule.master/enabled', { enabled: true }).ok()
  assert.deepEqual((await syncOk(alice, { since: initial.next_batch })).account_data?.events.map(({ type }) => type), ['m.push_rules'])
  const filtered = await syncOk(alice, { filter: { account_data: { types: ['org.*'] }, room: { account_data: { not_types: ['m.*'] } } } })
  assert.deepEqual(filtered.account_data?.events.map(({ type }) => type), ['org.test'])
  assert.deepEqual(filtered.rooms?.join?.[room]?.account_data.events.map(({ type }) => type), ['org.room'])
})

test('presence of those who share a room, and how a sync sets it', async (t) => {
  const server = await testServer(t)
  const { alice, bob } = await server.withRoom()
  const stranger = await server.register('stranger')
  const { next_batch: since } = await syncOk(alice, { set_presence: 'offline' })
  await bob.put(`/presence/${bob.userId}/status`, { presence: 'unavailable', status_msg: 'lunch' }).ok()
  await stranger.put(`/presence/${stranger.userId}/status`, { presence: 'online' }).ok()
  const seen = (await syncOk(alice, { since, set_presence: 'offline' })).presence?.events
  assert.deepEqual(seen?.map((event) => [event.sender, event.content['presence'], event.content['status_msg']]), [[bob.userId, 'unavailable', 'lunch']])
  assert.deepEqual((await syncOk(alice, { set_presence: 'offline' })).presence?.events.map((event) => event.sender), [bob.userId])
  assert.equal((await syncOk(alice, { filter: { presence: { not_senders: [bob.userId] } }, set_presence: 'offline' })).presence, undefined)
  assert.equal((await alice.get(`/presence/${alice.userId}/status`).ok())['presence'], 'offline')
})

test('presence of new members; switched off presence', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom()
  const carol = await server.register('carol')
  await carol.put(`/presence/${carol.userId}/status`, { presence: 'online' }).ok()
  await bob.put(`/presence/${bob.userId}/status`, { presence: 'online' }).ok()
  const [ofAlice, ofCarol] = [(await syncOk(alice, { set_presence: 'offline' })).next_batch, (await syncOk(carol, { set_presence: 'offline' })).next_batch]
  await carol.post(`/join/${encodeURIComponent(room)}`, {}).ok()
  assert.deepEqual((await syncOk(alice, { since: ofAlice, set_presence: 'offline' })).presence?.events.map((event) => event.sender), [carol.userId])
  assert.ok((await syncOk(carol, { since: ofCarol, set_presence: 'offline' })).presence?.events.some((event) => event.sender === bob.userId))
  const since = (await syncOk(alice, { set_presence: 'offline' })).next_batch
  const dave = await server.register('dave')
  await dave.post(`/join/${encodeURIComponent(room)}`, {}).ok()
  const unseen = (await syncOk(alice, { since, set_presence: 'offline' })).presence?.events
  assert.deepEqual(unseen?.map((event) => [event.sender, event.content]), [[dave.userId, { presence: 'offline' }]])
  const silent = await testServer(t, { config: 'presence: {enabled: false}\n' })
  assert.equal((await syncOk(await silent.register('quiet'))).presence, undefined)
})

test('messages to devices stay until the next token shows that they arrived', async (t) => {
  const { alice, bob } = await (await testServer(t)).withRoom()
  const { next_batch: since } = await syncOk(alice)
  await sendToDevice(bob, alice, 'one', { n: 1 })
  const first = await syncOk(alice, { since })
  assert.deepEqual(first.to_device?.events, [{ type: 'm.test', sender: bob.userId, content: { n: 1 } }])
  assert.deepEqual((await syncOk(alice, { since, filter: withoutPresence })).to_device, first.to_device)
  assert.equal((await syncOk(alice, { since: first.next_batch })).to_device, undefined)
  assert.equal((await syncOk(alice, { since, filter: { room: { rooms: [] } } })).to_device, undefined)
})

test('at most a hundred messages to a device at once, none lost', async (t) => {
  const { alice, bob } = await (await testServer(t)).withRoom()
  let { next_batch: since } = await syncOk(alice)
  for (let n = 0; n < 120; n += 1) await sendToDevice(bob, alice, `many-${n}`, { n })
  const sizes: number[] = []
  const numbers: unknown[] = []
  for (let round = 0; round < 3; round += 1) {
    const answer = await syncOk(alice, { since, filter: withoutPresence })
    sizes.push(answer.to_device?.events.length ?? 0)
    numbers.push(...(answer.to_device?.events ?? []).map((event) => event.content['n']))
    since = answer.next_batch
  }
  assert.deepEqual(sizes, [100, 20, 0])
  assert.deepEqual(numbers, Array.from({ length: 120 }, (_, n) => n))
})

test('device lists: who changed, who came, who went', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom()
  const stranger = await server.register('stranger')
  const first = await syncOk(alice)
  assert.equal(first.device_lists, undefined)
  await bob.put(`/devices/${bob.deviceId}`, { display_name: 'new name' }).ok()
  await stranger.put(`/devices/${stranger.deviceId}`, { display_name: 'unseen' }).ok()
  const changed = await syncOk(alice, { since: first.next_batch })
  assert.deepEqual(changed.device_lists, { changed: [bob.userId], left: [] })
  await stranger.post(`/join/${encodeURIComponent(room)}`, {}).ok()
  const came = await syncOk(alice, { since: changed.next_batch })
  assert.deepEqual(came.device_lists, { changed: [stranger.userId], left: [] })
  await bob.post(`${path(room)}/leave`, {}).ok()
  const went = await syncOk(alice, { since: came.next_batch })
  assert.deepEqual(went.device_lists, { changed: [], left: [bob.userId] })
  const old = await syncOk(alice, { since: 's1' })
  assert.ok(old.device_lists?.changed.includes(stranger.userId))
})

test('how many keys the device has left', async (t) => {
  const alice = await (await testServer(t)).register('alice')
  const answer = await syncOk(alice)
  assert.deepEqual(answer.device_one_time_keys_count, { signed_curve25519: 0 })
  assert.deepEqual(answer.device_unused_fallback_key_types, [])
})

test('who comes back sees current state in the timeline, also what was set while the history was hidden, without what it replaced', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom()
  const carol = await server.register('carol')
  const at = `/rooms/${encodeURIComponent(room)}`
  await alice.put(`${at}/state/m.room.history_visibility`, { history_visibility: 'joined' }).ok()
  await alice.put(`${at}/state/m.room.topic`, { topic: 'before' }).ok()
  await bob.post(`${at}/leave`, {}).ok()
  const { next_batch: since } = await bob.get('/sync?timeout=0').ok()
  await alice.put(`${at}/state/m.room.topic`, { topic: 'hidden' }).ok()
  await carol.post(`/join/${encodeURIComponent(room)}`, {}).ok()
  await alice.put(`${at}/state/m.room.topic`, { topic: 'current' }).ok()
  await alice.put(`${at}/send/m.room.message/1`, { msgtype: 'm.text', body: 'a secret' }).ok()
  await bob.post(`/join/${encodeURIComponent(room)}`, {}).ok()
  const body = await bob.get(`/sync?timeout=0&since=${encodeURIComponent(String(since))}`).ok()
  const { timeline } = (body['rooms'] as { join: Record<string, { timeline: { events: { type: string; state_key?: string; content: object }[] } }> }).join[room] ?? {}
  assert.deepEqual(timeline?.events.slice(-3).map((event) => [event.type, event.state_key]), [
    ['m.room.member', carol.userId], ['m.room.topic', ''], ['m.room.member', bob.userId],
  ])
  assert.doesNotMatch(JSON.stringify(body), /hidden|a secret/)
})
