/** The rooms of a sync at the HTTP door. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { testServer } from '#test/kit/test-server.ts'
import { bodies, named, send, setState, sync, syncOk, type Synced } from '#test/kit/syncing.ts'

const path = (room: string): string => `/rooms/${encodeURIComponent(room)}`

test('wrong parameters are refused', async (t) => {
  const server = await testServer(t)
  const alice = await server.register('alice')
  await sync(server.anonymous()).fails(401, 'M_MISSING_TOKEN')
  await sync(alice, { since: 'nonsense' }).fails(400, 'M_UNKNOWN')
  await sync(alice, { since: 't1-2' }).fails(400, 'M_UNKNOWN')
  await sync(alice, { timeout: 'x' }).fails(400, 'M_INVALID_PARAM')
  await sync(alice, { timeout: -1 }).fails(400, 'M_INVALID_PARAM')
  await sync(alice, { full_state: 'x' }).fails(400, 'M_INVALID_PARAM')
  await sync(alice, { set_presence: 'sleeping' }).fails(400, 'M_INVALID_PARAM')
  await sync(alice, { filter: '{' }).fails(400, 'M_NOT_JSON')
  await sync(alice, { filter: { room: 3 } }).fails(400, 'M_BAD_JSON')
  await sync(alice, { filter: '12345' }).fails(400, 'M_INVALID_PARAM')
  await sync(alice, { filter: '__proto__' }).fails(400, 'M_INVALID_PARAM')
  assert.deepEqual(server.errors, [])
})

test('an initial sync shows the room, an incremental one what is new', async (t) => {
  const { alice, bob, room } = await (await testServer(t)).withRoom({ name: 'Attic' })
  const first = await syncOk(alice, { filter: { room: { timeline: { limit: 50 } } } })
  const shown = first.rooms?.join?.[room]
  assert.equal(shown?.timeline.limited, false)
  assert.equal(shown?.timeline.events[0]?.type, 'm.room.create')
  assert.deepEqual(shown?.state?.events, [])
  assert.deepEqual(shown?.summary, { 'm.joined_member_count': 2, 'm.invited_member_count': 0 })
  const eventId = await send(bob, room, 'hello')
  const next = await syncOk(alice, { since: first.next_batch })
  const [event] = next.rooms?.join?.[room]?.timeline.events ?? []
  assert.equal(event?.event_id, eventId)
  assert.equal(event?.unsigned?.['membership'], 'join')
  assert.equal(Object.hasOwn(event ?? {}, 'room_id'), false)
  assert.equal(next.rooms?.join?.[room]?.unread_notifications['notification_count'], 1)
  assert.equal(next.rooms?.join?.[room]?.summary, undefined)
  assert.equal((await syncOk(alice, { since: next.next_batch })).rooms, undefined)
})

test('the sending device recognises its own event', async (t) => {
  const { alice, room } = await (await testServer(t)).withRoom()
  const { next_batch: since } = await syncOk(alice)
  await alice.put(`${path(room)}/send/m.room.message/mine`, { body: 'x', msgtype: 'm.text' }).ok()
  const next = await syncOk(alice, { since })
  assert.equal(next.rooms?.join?.[room]?.timeline.events[0]?.unsigned?.['transaction_id'], 'mine')
})

test('a gap is bridged by the state that changed in it', async (t) => {
  const { alice, bob, room } = await (await testServer(t)).withRoom()
  const { next_batch: since } = await syncOk(alice)
  await setState(alice, room, 'm.room.topic', { topic: 'one' })
  await setState(alice, room, 'm.room.topic', { topic: 'two' })
  for (const body of ['a', 'b', 'c']) await send(bob, room, body)
  const next = (await syncOk(alice, { since, filter: { room: { timeline: { limit: 2 } } } })).rooms?.join?.[room]
  assert.equal(next?.timeline.limited, true)
  assert.deepEqual(bodies(next), ['b', 'c'])
  assert.deepEqual(next?.state?.events.map((event) => [event.type, event.content['topic']]), [['m.room.topic', 'two']])
  const messages = await alice.get(`${path(room)}/messages?dir=b&limit=1&from=${next?.timeline.prev_batch}`).ok()
  assert.deepEqual((messages['chunk'] as { content: { body: string } }[]).map((event) => event.content.body), ['a'])
})

test('state that the timeline leaves out is told beside it', async (t) => {
  const { alice, bob, room } = await (await testServer(t)).withRoom()
  const { next_batch: since } = await syncOk(alice)
  await send(bob, room, 'a')
  await setState(alice, room, 'm.room.topic', { topic: 'filtered' })
  await send(bob, room, 'b')
  const next = (await syncOk(alice, { since, filter: { room: { timeline: { types: ['m.room.message'] } } } })).rooms?.join?.[room]
  assert.deepEqual(bodies(next), ['a', 'b'])
  assert.deepEqual(named(next?.state?.events), ['m.room.topic '])
  assert.equal(next?.timeline.limited, false)
})

test('the state at the end of the timeline, where it is asked for', async (t) => {
  const { alice, bob, room } = await (await testServer(t)).withRoom()
  const first = await syncOk(alice, { use_state_after: true })
  assert.equal(first.rooms?.join?.[room]?.state, undefined)
  assert.ok(named(first.rooms?.join?.[room]?.state_after?.events).includes('m.room.create '))
  const topic = await setState(alice, room, 'm.room.topic', { topic: 'new' })
  await send(bob, room, 'a')
  const next = (await syncOk(alice, { since: first.next_batch, use_state_after: true })).rooms?.join?.[room]
  assert.deepEqual(next?.state_after?.events.map((event) => event.event_id), [topic])
  assert.equal(next?.timeline.events[0]?.event_id, topic)
  const unstable = (await syncOk(alice, { since: first.next_batch, 'org.matrix.msc4222.use_state_after': true })).rooms?.join?.[room]
  assert.deepEqual(unstable?.['org.matrix.msc4222.state_after']?.events.map((event) => event.event_id), [topic])
  const gap = await syncOk(alice, { since: first.next_batch, use_state_after: true, filter: { room: { timeline: { limit: 1 } } } })
  assert.deepEqual(gap.rooms?.join?.[room]?.state_after?.events.map((event) => event.event_id), [topic])
  const empty = await syncOk(alice, { since: (await syncOk(alice)).next_batch, use_state_after: true, full_state: true })
  assert.ok(named(empty.rooms?.join?.[room]?.state_after?.events).includes('m.room.topic '))
})

test('full state on request', async (t) => {
  const { alice, room } = await (await testServer(t)).withRoom()
  const { next_batch: since } = await syncOk(alice)
  const full = (await syncOk(alice, { since, full_state: true, timeout: 30_000 })).rooms?.join?.[room]
  assert.deepEqual(full?.timeline.events, [])
  assert.ok(named(full?.state?.events).includes('m.room.create '))
  assert.ok(named(full?.state?.events).includes('m.room.power_levels '))
})

test('a newly joined room comes whole; a changed display name does not make it new', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom()
  for (let index = 0; index < 12; index += 1) await send(alice, room, `before ${index}`)
  const carol = await server.register('carol')
  const { next_batch: since } = await syncOk(carol)
  await carol.post(`/join/${encodeURIComponent(room)}`, {}).ok()
  const joined = await syncOk(carol, { since })
  const shown = joined.rooms?.join?.[room]
  assert.equal(shown?.timeline.limited, true)
  assert.equal(shown?.timeline.events.length, 10)
  assert.equal(shown?.timeline.events.at(-1)?.state_key, carol.userId)
  assert.ok(named(shown?.state?.events).includes('m.room.create '))
  assert.equal(shown?.summary?.['m.joined_member_count'], 3)
  assert.ok(joined.device_lists?.changed.includes(bob.userId))
  await setState(carol, room, 'm.room.member', { membership: 'join', displayname: 'C' }, carol.userId)
  const renamed = (await syncOk(carol, { since: joined.next_batch })).rooms?.join?.[room]
  assert.deepEqual(renamed?.state?.events, [])
  assert.equal(renamed?.timeline.limited, false)
})

test('invites, and what becomes of them', async (t) => {
  const server = await testServer(t)
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const { next_batch: since } = await syncOk(bob)
  const room = String((await alice.post('/createRoom', { preset: 'private_chat', name: 'Secret', invite: [bob.userId] }).ok())['room_id'])
  const invited = await syncOk(bob, { since })
  const state = invited.rooms?.invite?.[room]?.invite_state.events ?? []
  assert.ok(named(state).includes('m.room.name '))
  assert.ok(state.some((event) => event.type === 'm.room.member' && event.content['membership'] === 'invite' && event.state_key === bob.userId))
  assert.ok(state.every((event) => Object.keys(event).every((key) => ['type', 'state_key', 'sender', 'content', 'origin_server_ts', 'event_id', 'room_id'].includes(key))))
  assert.ok((await syncOk(bob)).rooms?.invite?.[room])
  assert.equal((await syncOk(bob, { since: invited.next_batch })).rooms, undefined)
  await bob.post(`${path(room)}/leave`, {}).ok()
  const rejected = (await syncOk(bob, { since: invited.next_batch })).rooms
  assert.equal(rejected?.invite, undefined)
  assert.deepEqual(named(rejected?.leave?.[room]?.timeline.events), [`m.room.member ${bob.userId}`])
  assert.deepEqual(rejected?.leave?.[room]?.state?.events, [])
})

test('invites of ignored users are not shown, nor their messages; their state is', async (t) => {
  const { alice, bob, room } = await (await testServer(t)).withRoom()
  await setState(alice, room, 'm.room.power_levels', { users: { [bob.userId]: 50 } })
  await alice.put(`/user/${alice.userId}/account_data/m.ignored_user_list`, { ignored_users: { [bob.userId]: {} } }).ok()
  const { next_batch: since } = await syncOk(alice)
  await bob.post('/createRoom', { invite: [alice.userId] }).ok()
  await send(bob, room, 'unheard')
  await setState(bob, room, 'm.room.topic', { topic: 'seen' })
  const next = await syncOk(alice, { since })
  assert.equal(next.rooms?.invite, undefined)
  assert.deepEqual(named(next.rooms?.join?.[room]?.timeline.events), ['m.room.topic '])
  assert.equal((await syncOk(alice)).rooms?.invite, undefined)
})

test('knocks', async (t) => {
  const server = await testServer(t)
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const initial_state = [{ type: 'm.room.join_rules', state_key: '', content: { join_rule: 'knock' } }]
  const room = String((await alice.post('/createRoom', { initial_state }).ok())['room_id'])
  const { next_batch: since } = await syncOk(bob)
  await bob.post(`/knock/${encodeURIComponent(room)}`, {}).ok()
  const knocked = (await syncOk(bob, { since })).rooms?.knock?.[room]?.knock_state.events
  assert.ok(named(knocked).includes(`m.room.member ${bob.userId}`))
  assert.ok(named(knocked).includes('m.room.join_rules '))
})

test('whose invite or knock ends learns it from the state at the end of the timeline, too', async (t) => {
  const server = await testServer(t)
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const initial_state = [{ type: 'm.room.join_rules', state_key: '', content: { join_rule: 'knock' } }]
  const room = String((await alice.post('/createRoom', { initial_state, invite: [bob.userId] }).ok())['room_id'])
  const ended = async (since: string): Promise<unknown[] | undefined> =>
    (await syncOk(bob, { since, use_state_after: true })).rooms?.leave?.[room]?.state_after?.events.map((event) => [event.sender, event.state_key, event.content['membership']])
  const invited = (await syncOk(bob)).next_batch
  await bob.post(`${path(room)}/leave`, {}).ok()
  assert.deepEqual(await ended(invited), [[bob.userId, bob.userId, 'leave']])
  await bob.post(`/knock/${encodeURIComponent(room)}`, {}).ok()
  const knocked = (await syncOk(bob)).next_batch
  await alice.post(`${path(room)}/kick`, { user_id: bob.userId }).ok()
  assert.deepEqual(await ended(knocked), [[alice.userId, bob.userId, 'leave']])
  assert.deepEqual((await syncOk(bob, { since: knocked })).rooms?.leave?.[room]?.state?.events, [])
})

test('left rooms show what happened until the user left', async (t) => {
  const { alice, bob, room } = await (await testServer(t)).withRoom()
  const { next_batch: since } = await syncOk(bob)
  await send(alice, room, 'before')
  await bob.post(`${path(room)}/leave`, {}).ok()
  await send(alice, room, 'after')
  await setState(alice, room, 'm.room.topic', { topic: 'after' })
  const left = await syncOk(bob, { since })
  assert.deepEqual(bodies(left.rooms?.leave?.[room]), ['before'])
  assert.equal(left.rooms?.leave?.[room]?.timeline.events.at(-1)?.state_key, bob.userId)
  assert.equal(left.rooms?.join, undefined)
  assert.deepEqual(left.device_lists?.left, [alice.userId])
  assert.equal((await syncOk(bob, { since: left.next_batch })).rooms, undefined)
  assert.equal((await syncOk(bob)).rooms, undefined)
  const archived = (await syncOk(bob, { filter: { room: { include_leave: true, timeline: { limit: 1 } } } })).rooms?.leave?.[room]
  assert.deepEqual(named(archived?.timeline.events), [`m.room.member ${bob.userId}`])
  assert.ok(!named(archived?.state?.events).includes('m.room.topic '))
  assert.ok(named(archived?.state?.events).includes('m.room.create '))
  const full = await syncOk(bob, { since: left.next_batch, full_state: true, filter: { room: { include_leave: true } } })
  assert.ok(full.rooms?.leave?.[room])
  await bob.post(`${path(room)}/forget`, {}).ok()
  assert.equal((await syncOk(bob, { filter: { room: { include_leave: true } } })).rooms, undefined)
})

test('kicked, banned, and joined and left between two syncs', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom()
  const carol = await server.register('carol')
  const [ofBob, ofCarol] = [(await syncOk(bob)).next_batch, (await syncOk(carol)).next_batch]
  await alice.post(`${path(room)}/kick`, { user_id: bob.userId }).ok()
  const kicked = (await syncOk(bob, { since: ofBob })).rooms?.leave?.[room]
  assert.equal(kicked?.timeline.events.at(-1)?.sender, alice.userId)
  await carol.post(`/join/${encodeURIComponent(room)}`, {}).ok()
  await alice.post(`${path(room)}/ban`, { user_id: carol.userId }).ok()
  const banned = (await syncOk(carol, { since: ofCarol, filter: { room: { timeline: { limit: 2 } } } })).rooms?.leave?.[room]
  assert.equal(banned?.timeline.events.at(-1)?.content['membership'], 'ban')
  assert.ok(named(banned?.state?.events).includes('m.room.create '))
})

test('redacted events are shown as they are now', async (t) => {
  const { alice, bob, room } = await (await testServer(t)).withRoom()
  const { next_batch: since } = await syncOk(alice)
  const eventId = await send(bob, room, 'regretted')
  await bob.put(`${path(room)}/redact/${encodeURIComponent(eventId)}/1`, {}).ok()
  const events = (await syncOk(alice, { since })).rooms?.join?.[room]?.timeline.events
  assert.equal(events?.length, 2)
  assert.deepEqual(events?.[0]?.content, {})
  assert.ok(events?.[0]?.unsigned?.['redacted_because'])
})

test('filters of rooms, events, fields and form', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom()
  const other = String((await alice.post('/createRoom', {}).ok())['room_id'])
  await send(bob, room, 'text', { url: 'mxc://test.example/a' })
  await send(alice, room, 'plain')
  const roomsOf = async (filter: object): Promise<string[]> => Object.keys((await syncOk(alice, { filter })).rooms?.join ?? {}).sort()
  assert.deepEqual(await roomsOf({ room: { rooms: [room] } }), [room])
  assert.deepEqual(await roomsOf({ room: { not_rooms: [room] } }), [other])
  assert.deepEqual(await roomsOf({ room: { rooms: [] } }), [])
  const timelineOf = async (timeline: object): Promise<unknown[]> => bodies((await syncOk(alice, { filter: { room: { timeline } } })).rooms?.join?.[room])
  assert.deepEqual(await timelineOf({ contains_url: true }), ['text'])
  assert.deepEqual(await timelineOf({ contains_url: false }), ['plain'])
  assert.deepEqual(await timelineOf({ senders: [bob.userId] }), ['text'])
  assert.deepEqual(await timelineOf({ not_senders: [bob.userId] }), ['plain'])
  assert.deepEqual(await timelineOf({ not_types: ['m.room.mess*'] }), [])
  assert.deepEqual(await timelineOf({ limit: 0 }), [])
  const { filter_id: filter } = await alice.post(`/user/${alice.userId}/filter`, { room: { rooms: [room], timeline: { limit: 1 } } }).ok()
  assert.equal((await syncOk(alice, { filter: String(filter) })).rooms?.join?.[room]?.timeline.events.length, 1)
  // Such answers are not of the form that the specification gives for events, so they are asked for beside the contract check.
  const raw = async (filter: object): Promise<Synced> => {
    const url = `${server.url}/_matrix/client/v3/sync?filter=${encodeURIComponent(JSON.stringify({ ...filter, room: { rooms: [room], timeline: { limit: 1 } } }))}`
    return JSON.parse(await (await fetch(url, { headers: { authorization: `Bearer ${alice.token}` } })).text())
  }
  const fields = await raw({ event_fields: ['content.body', 'sender'] })
  assert.deepEqual(fields.rooms?.join?.[room]?.timeline.events, [{ content: { body: 'plain' }, sender: alice.userId }])
  const federation = await raw({ event_format: 'federation' })
  const [asServersSeeIt] = federation.rooms?.join?.[room]?.timeline.events ?? []
  assert.ok(asServersSeeIt && Object.hasOwn(asServersSeeIt, 'auth_events'))
  assert.deepEqual([asServersSeeIt.event_id], (await syncOk(alice, { filter: { room: { rooms: [room], timeline: { limit: 1 } } } })).rooms?.join?.[room]?.timeline.events.map((event) => event.event_id))
  const state = await syncOk(alice, { full_state: true, since: fields.next_batch, filter: { room: { rooms: [room], state: { types: ['m.room.join_rules'] } } } })
  assert.deepEqual(named(state.rooms?.join?.[room]?.state?.events), ['m.room.join_rules '])
})

test('a timeline without events has a token for history, too', async (t) => {
  const { alice, bob, room } = await (await testServer(t)).withRoom()
  const last = await send(bob, room, 'last')
  const { next_batch: since } = await syncOk(alice)
  await bob.put(`/rooms/${encodeURIComponent(room)}/typing/${bob.userId}`, { typing: true, timeout: 30_000 }).ok()
  for (const query of [{ since, full_state: true }, { since }]) {
    const { events, prev_batch: from } = (await syncOk(alice, query)).rooms?.join?.[room]?.timeline ?? {}
    assert.deepEqual(events, [])
    const page = await alice.get(`/rooms/${encodeURIComponent(room)}/messages?dir=b&limit=1&from=${String(from)}`).ok()
    assert.deepEqual((page['chunk'] as { event_id: string }[]).map((event) => event.event_id), [last])
  }
})

test('rooms that the server keeps out of sync; the largest timeline', async (t) => {
  const server = await testServer(t, { config: 'filter_timeline_limit: 3\nexclude_rooms_from_sync: ["!none:test.example"]\n' })
  const { alice, room } = await server.withRoom()
  const shown = (await syncOk(alice, { filter: { room: { timeline: { limit: 500 } } } })).rooms?.join?.[room]
  assert.equal(shown?.timeline.events.length, 3)
  assert.equal(shown?.timeline.limited, true)
})

test('history that a member may not see stays hidden, and older visible events take its place', async (t) => {
  const server = await testServer(t)
  const { alice, room } = await server.withRoom()
  await setState(alice, room, 'm.room.history_visibility', { history_visibility: 'joined' })
  for (let index = 0; index < 30; index += 1) await send(alice, room, `hidden ${index}`)
  const carol = await server.register('carol')
  await carol.post(`/join/${encodeURIComponent(room)}`, {}).ok()
  const shown = (await syncOk(carol, { filter: { room: { timeline: { limit: 5 } } } })).rooms?.join?.[room]
  assert.deepEqual(bodies(shown), [])
  assert.equal(shown?.timeline.events.at(-1)?.state_key, carol.userId)
  assert.equal(shown?.timeline.events.length, 5)
})

test('a guest may sync', async (t) => {
  const guest = await (await testServer(t)).guest()
  assert.ok((await syncOk(guest)).next_batch)
})

test('a token from before a restart and one from the future', async (t) => {
  const { alice, bob, room } = await (await testServer(t)).withRoom()
  await send(bob, room, 'old')
  const old = await syncOk(alice, { since: 's1' })
  assert.deepEqual(bodies(old.rooms?.join?.[room]), ['old'])
  const future = await syncOk(alice, { since: 's900000_900000_9000000000000_900000_900000_900000_900000' })
  assert.equal(future.rooms, undefined)
  await send(bob, room, 'new')
  assert.deepEqual(bodies((await syncOk(alice, { since: future.next_batch })).rooms?.join?.[room]), ['new'])
})

test('users and rooms with names of the prototype', async (t) => {
  const server = await testServer(t)
  const constructor = await server.register('constructor')
  await constructor.put(`/user/${constructor.userId}/account_data/__proto__`, { x: 1 }).ok()
  const room = String((await constructor.post('/createRoom', {}).ok())['room_id'])
  await setState(constructor, room, '__proto__', { toString: 1 }, 'constructor')
  const shown = await syncOk(constructor)
  assert.ok(shown.account_data?.events.some((event) => event.type === '__proto__'))
  assert.ok(named(shown.rooms?.join?.[room]?.timeline.events).includes('__proto__ constructor'))
})
