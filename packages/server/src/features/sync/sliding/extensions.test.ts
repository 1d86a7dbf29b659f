/** Extensions of sliding sync. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { list, sliding, SlidingClient } from '#test/kit/sliding.ts'
import { send } from '#test/kit/syncing.ts'
import type { TestClient } from '#test/kit/test-client.ts'
import { testServer } from '#test/kit/test-server.ts'

const path = (room: string): string => `/rooms/${encodeURIComponent(room)}`
const read = (client: TestClient, room: string, event: string, type = 'm.read') => client.post(`${path(room)}/receipt/${type}/${encodeURIComponent(event)}`, {}).ok()
const two = { lists: { top: list(0, 0), all: list(0, 9) } }

test('to_device: messages come by their own token, in pages, until they are acknowledged', async (t) => {
  const server = await testServer(t)
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const tell = (index: number) => bob.put(`/sendToDevice/m.test/${index}`, { messages: { [alice.userId]: { [alice.deviceId]: { index } } } }).ok()
  for (let index = 0; index < 5; index += 1) await tell(index)
  const sync = new SlidingClient(alice)
  const fetch = async (since?: string, limit = 2) => {
    const { to_device: messages } = (await sync.next({ extensions: { to_device: { enabled: true, limit, ...(since === undefined ? {} : { since }) } } })).extensions
    assert.ok(messages)
    return { next: messages.next_batch, found: messages.events.map((event) => event.content['index']) }
  }
  const first = await fetch()
  assert.deepEqual(first.found, [0, 1])
  assert.deepEqual((await fetch()).found, [0, 1], 'what was not acknowledged comes again, whatever pos says')
  const second = await fetch(first.next)
  assert.deepEqual(second.found, [2, 3])
  assert.deepEqual((await fetch(first.next)).found, [2, 3])
  const third = await fetch(second.next, 100)
  assert.deepEqual(third.found, [4])
  assert.deepEqual((await fetch(third.next)).found, [])
  assert.deepEqual((await fetch()).found, [], 'what was acknowledged is gone')
  await tell(5)
  assert.deepEqual((await fetch('999999999')).found, [])
  assert.deepEqual((await fetch(third.next)).found, [])
  await sliding(alice, { extensions: { to_device: { enabled: true, since: '1; DROP TABLE' } } }).fails(400, 'M_INVALID_PARAM')
  assert.equal((await sync.next({ extensions: { to_device: { enabled: false } } })).extensions.to_device, undefined)
})

test('e2ee: keys that are left, and whose devices changed', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom()
  const sync = new SlidingClient(alice, { lists: { all: list(0, 9) }, extensions: { e2ee: { enabled: true } } })
  const first = (await sync.next()).extensions.e2ee
  assert.deepEqual(first?.device_one_time_keys_count, { signed_curve25519: 0 })
  assert.deepEqual(first?.device_unused_fallback_key_types, [])
  assert.equal(first?.device_lists, undefined)
  await bob.put(`/devices/${bob.deviceId}`, { display_name: 'new' }).ok()
  assert.deepEqual((await sync.next()).extensions.e2ee?.device_lists, { changed: [bob.userId], left: [] })
  assert.equal((await sync.next()).extensions.e2ee?.device_lists, undefined)
  const carol = await server.register('carol')
  await carol.post(`/join/${encodeURIComponent(room)}`, {}).ok()
  assert.deepEqual((await sync.next()).extensions.e2ee?.device_lists, { changed: [carol.userId], left: [] })
  await bob.post(`${path(room)}/leave`, {}).ok()
  assert.deepEqual((await sync.next()).extensions.e2ee?.device_lists, { changed: [], left: [bob.userId] })
  await alice.post(`${path(room)}/leave`, {}).ok()
  assert.deepEqual((await sync.next()).extensions.e2ee?.device_lists, { changed: [], left: [carol.userId] })
  await alice.post(`/join/${encodeURIComponent(room)}`, {}).ok()
  assert.deepEqual((await sync.next()).extensions.e2ee?.device_lists, { changed: [carol.userId], left: [] })
})

test('account data: all at first, then changes; of rooms, of those in view', async (t) => {
  const server = await testServer(t)
  const alice = await server.register('alice')
  const [a, b] = [String((await alice.post('/createRoom', {}).ok())['room_id']), String((await alice.post('/createRoom', {}).ok())['room_id'])]
  const put = (type: string, room?: string) => alice.put(`/user/${alice.userId}/${room === undefined ? '' : `rooms/${encodeURIComponent(room)}/`}account_data/${type}`, { type }).ok()
  await put('org.one')
  await put('org.a', a)
  await put('org.b', b)
  const sync = new SlidingClient(alice, { ...two, lists: { top: list(0, 0) }, extensions: { account_data: { enabled: true } } })
  const seen = async (more = {}) => {
    const data = (await sync.next(more)).extensions.account_data
    return data && { global: data.global.map(({ type }) => type).sort(), rooms: Object.fromEntries(Object.entries(data.rooms).map(([id, events]) => [id === a ? 'a' : 'b', events.map(({ type }) => type).sort()])) }
  }
  assert.deepEqual(await seen(), { global: ['m.push_rules', 'org.one'], rooms: { b: ['org.b'] } })
  assert.equal(await seen(), undefined)
  await put('org.two')
  await put('org.a2', a)
  await put('org.b2', b)
  await alice.put(`/user/${alice.userId}/rooms/${encodeURIComponent(b)}/tags/m.favourite`, {}).ok()
  assert.deepEqual(await seen(), { global: ['org.two'], rooms: { b: ['m.tag', 'org.b2'] } })
  assert.deepEqual(await seen({ lists: { top: list(0, 1) } }), { global: [], rooms: { a: ['org.a', 'org.a2'] } })
  await seen({ lists: { top: list(0, 0) } })
  await put('org.a3', a)
  assert.equal(await seen(), undefined)
  assert.deepEqual(await seen({ lists: { top: list(0, 1) } }), { global: [], rooms: { a: ['org.a3'] } })
  await put('org.a4', a)
  await put('org.b4', b)
  assert.deepEqual(await seen({ extensions: { account_data: { enabled: true, lists: [] } } }), undefined)
  assert.deepEqual(await seen({ room_subscriptions: { [a]: { timeline_limit: 1, required_state: [] } } }), { global: [], rooms: { a: ['org.a4'] } })
  assert.deepEqual(await seen({ extensions: { account_data: { enabled: true, lists: ['other', 'top'], rooms: [] } } }), { global: [], rooms: { b: ['org.b4'] } })
  await seen({ extensions: {} })
  await put('org.three')
  assert.equal(await seen(), undefined)
  assert.deepEqual((await seen({ extensions: { account_data: { enabled: true } } }))?.global, ['m.push_rules', 'org.one', 'org.three', 'org.two'])
})

test('receipts: for events in view at first, then changes, also those that came while the room was out of view', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom()
  const carol = await server.register('carol')
  await carol.post(`/join/${encodeURIComponent(room)}`, {}).ok()
  const old = await send(alice, room, 'old')
  await read(carol, room, old)
  await read(alice, room, old, 'm.read.private')
  const newer = await send(alice, room, 'newer')
  await read(bob, room, newer)
  const one = { lists: { all: list(0, 9, { timeline_limit: 1 }) } }
  const sync = new SlidingClient(alice, { ...one, extensions: { receipts: { enabled: true } } })
  const readers = (content: Readonly<Record<string, unknown>> | undefined) =>
    Object.entries(content ?? {}).flatMap(([event, types]) => Object.entries(Object(types)).flatMap(([type, users]) => Object.keys(Object(users)).map((user) => `${event === old ? 'old' : event === newer ? 'newer' : 'other'} ${type} ${user.slice(1).split(':')[0]}`))).sort()
  const seen = async (more = {}) => {
    const rooms = (await sync.next(more)).extensions.receipts?.rooms
    assert.ok(!rooms?.[room] || rooms[room].type === 'm.receipt')
    return readers(rooms?.[room]?.content)
  }
  assert.deepEqual(await seen(), ['newer m.read bob', 'old m.read.private alice'])
  assert.deepEqual(await seen(), [])
  await read(carol, room, newer)
  await read(bob, room, newer, 'm.read.private')
  assert.deepEqual(await seen(), ['newer m.read carol'])
  assert.deepEqual(await seen({ lists: {} }), [])
  const last = await send(alice, room, 'last')
  await read(bob, room, last)
  assert.deepEqual(await seen(), [])
  assert.deepEqual(await seen(one), ['other m.read bob'])
  await read(carol, room, last)
  assert.deepEqual(await seen({ extensions: { receipts: { enabled: true, lists: ['none'] } } }), [])
  assert.deepEqual(await seen({ extensions: { receipts: { enabled: true, lists: ['*'] } } }), ['other m.read carol'])
  await alice.put(`/user/${alice.userId}/account_data/m.ignored_user_list`, { ignored_users: { [bob.userId]: {} } }).ok()
  const ignored = await send(carol, room, 'x')
  await read(bob, room, ignored)
  assert.deepEqual(await seen(), ['other m.read carol'].slice(1))
})

test('typing: who types in rooms in view, and that they have stopped', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom()
  const sync = new SlidingClient(alice, { lists: { all: list(0, 9) }, extensions: { typing: { enabled: true } } })
  const seen = async (more = {}) => (await sync.next(more)).extensions.typing?.rooms[room]
  assert.equal(await seen(), undefined)
  await bob.put(`${path(room)}/typing/${bob.userId}`, { typing: true }).ok()
  assert.deepEqual(await seen(), { type: 'm.typing', content: { user_ids: [bob.userId] } })
  assert.equal(await seen(), undefined)
  assert.deepEqual((await new SlidingClient(alice, { ...sync.body, conn_id: 'new' }).next()).extensions.typing?.rooms[room]?.content, { user_ids: [bob.userId] })
  await bob.put(`${path(room)}/typing/${bob.userId}`, { typing: false }).ok()
  assert.deepEqual((await seen())?.content, { user_ids: [] })
  await bob.put(`${path(room)}/typing/${bob.userId}`, { typing: true }).ok()
  assert.equal(await seen({ extensions: { typing: { enabled: true, lists: [] } } }), undefined)
  await alice.put(`/user/${alice.userId}/account_data/m.ignored_user_list`, { ignored_users: { [bob.userId]: {} } }).ok()
  await bob.put(`${path(room)}/typing/${bob.userId}`, { typing: true }).ok()
  assert.deepEqual((await seen({ extensions: { typing: { enabled: true } } }))?.content, { user_ids: [] })
})
