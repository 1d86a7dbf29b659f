/** Rooms in answers of sliding sync. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { list, SlidingClient, texts } from '#test/kit/sliding.ts'
import { named, send, setState } from '#test/kit/syncing.ts'
import { testServer } from '#test/kit/test-server.ts'

test('a room is told whole at first, and then what changed', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom({ name: 'Tea' })
  await send(bob, room, 'one')
  const sync = new SlidingClient(alice, { lists: { all: list(0, 9, { timeline_limit: 1, required_state: [['m.room.create', ''], ['m.room.name', ''], ['m.room.member', '$ME']] }) } })
  const first = await sync.next()
  assert.deepEqual(first.lists, { all: { count: 1 } })
  const told = first.rooms[room]
  assert.equal(told?.initial, true)
  assert.equal(told.name, 'Tea')
  assert.equal(told.heroes, undefined)
  assert.equal(told.membership, 'join')
  assert.equal(told.joined_count, 2)
  assert.equal(told.invited_count, 0)
  assert.equal(told.limited, true)
  assert.equal(told.num_live, 0)
  assert.equal(told.notification_count, 1)
  assert.ok(told.prev_batch && told.bump_stamp)
  assert.deepEqual(texts(told), ['one'])
  assert.deepEqual(named(told.required_state), ['m.room.create ', 'm.room.name ', `m.room.member ${alice.userId}`])
  assert.deepEqual((await sync.next()).rooms, {})
  await send(bob, room, 'two')
  const second = (await sync.next()).rooms[room]
  assert.deepEqual(texts(second), ['two'])
  assert.equal(second?.initial, undefined)
  assert.equal(second?.name, undefined)
  assert.equal(second?.joined_count, undefined)
  assert.equal(second?.limited, false)
  assert.equal(second?.num_live, 1)
  assert.ok((second.bump_stamp ?? 0) > told.bump_stamp)
  await setState(alice, room, 'm.room.name', { name: 'Coffee' })
  const third = (await sync.next()).rooms[room]
  assert.equal(third?.name, 'Coffee')
  assert.deepEqual(named(third?.required_state), ['m.room.name '])
  assert.equal(third?.bump_stamp, second.bump_stamp)
  await setState(alice, room, 'm.room.name', {})
  const fourth = (await sync.next()).rooms[room]
  assert.equal(fourth?.name, null)
  assert.deepEqual(fourth?.heroes?.map((hero) => hero.user_id), [bob.userId])
  assert.deepEqual((await sync.next()).rooms, {})
})

test('required state: wildcards, all but members, and members who matter to the timeline', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom()
  const carol = await server.register('carol')
  await carol.post(`/join/${encodeURIComponent(room)}`, {}).ok()
  await setState(alice, room, 'org.test', {}, 'a')
  await setState(alice, room, 'org.test', {}, 'b')
  await send(bob, room, 'hello')
  const stateOf = async (required: readonly (readonly [string, string])[], limit = 1) => {
    const answer = await new SlidingClient(alice, { conn_id: String(Math.random()), lists: { all: list(0, 9, { timeline_limit: limit, required_state: required }) } }).next()
    return named(answer.rooms[room]?.required_state).sort()
  }
  assert.deepEqual(await stateOf([['org.test', '*']]), ['org.test a', 'org.test b'])
  assert.deepEqual(await stateOf([['*', 'a']]), ['org.test a'])
  assert.deepEqual(await stateOf([['*', '*'], ['m.room.member', '$LAZY']]).then((all) => all.filter((name) => name.startsWith('m.room.member'))), [`m.room.member ${bob.userId}`])
  const everything = await stateOf([['*', '*']])
  assert.equal(everything.filter((name) => name.startsWith('m.room.member')).length, 3)
  assert.ok(everything.includes('m.room.create ') && everything.includes('org.test b'))
  assert.deepEqual(await stateOf([['m.room.member', '$LAZY']]), [`m.room.member ${bob.userId}`])
  assert.deepEqual(await stateOf([['m.room.member', '$LAZY'], ['m.room.member', '$ME']]), [`m.room.member ${alice.userId}`, `m.room.member ${bob.userId}`].sort())
  assert.deepEqual(await stateOf([['m.room.member', '*']]), [alice, bob, carol].map(({ userId }) => `m.room.member ${userId}`).sort())
  assert.deepEqual(await stateOf([['constructor', '__proto__'], ['m.room.none', '']]), [])
  assert.deepEqual(await stateOf([]), [])
})

test('lazily loaded members are told once, again after a lost answer, and with every change that comes without a gap', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom()
  const required = [['m.room.member', '$LAZY']]
  const sync = new SlidingClient(alice, { lists: { all: list(0, 9, { timeline_limit: 5, required_state: required }) } })
  await sync.next()
  await send(bob, room, 'one')
  assert.deepEqual(named((await sync.next()).rooms[room]?.required_state), [])
  const carol = await server.register('carol')
  await carol.post(`/join/${encodeURIComponent(room)}`, {}).ok()
  assert.deepEqual(named((await sync.next()).rooms[room]?.required_state), [`m.room.member ${carol.userId}`])
  await send(carol, room, 'two')
  assert.deepEqual(named((await sync.next()).rooms[room]?.required_state), [])
  await setState(bob, room, 'm.room.member', { membership: 'join', displayname: 'Robert' }, bob.userId)
  assert.deepEqual(named((await sync.next()).rooms[room]?.required_state), [`m.room.member ${bob.userId}`])
  const other = new SlidingClient(alice, { conn_id: 'x', lists: { all: list(0, 9, { timeline_limit: 1, required_state: required }) } })
  await other.next()
  await send(carol, room, 'three')
  assert.deepEqual(named((await other.peek()).rooms[room]?.required_state), [`m.room.member ${carol.userId}`])
  assert.deepEqual(named((await other.peek()).rooms[room]?.required_state), [`m.room.member ${carol.userId}`])
})

test('a larger timeline and more state are told at once, and not again', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom({ topic: 'Leaves' })
  for (const body of ['a', 'b', 'c', 'd', 'e']) await send(bob, room, body)
  const rule = (limit: number, state: readonly (readonly string[])[] = []) => ({ lists: { all: list(0, 9, { timeline_limit: limit, required_state: state }) } })
  const sync = new SlidingClient(alice, rule(1))
  assert.deepEqual(texts((await sync.next()).rooms[room]), ['e'])
  const more = (await sync.next({ ...rule(1), room_subscriptions: { [room]: { timeline_limit: 3, required_state: [['m.room.topic', '']] } } }, { timeout: 60_000 })).rooms[room]
  assert.deepEqual(texts(more), ['c', 'd', 'e'])
  assert.equal(more?.unstable_expanded_timeline, true)
  assert.equal(more?.initial, undefined)
  assert.equal(more?.num_live, 0)
  assert.equal(more?.limited, true)
  assert.deepEqual(named(more?.required_state), ['m.room.topic '])
  const without = { ...rule(1), room_subscriptions: {} }
  assert.deepEqual((await sync.next(without)).rooms, {})
  await send(bob, room, 'f')
  assert.deepEqual(texts((await sync.next(without)).rooms[room]), ['f'])
  const again = { room_subscriptions: { [room]: { timeline_limit: 3, required_state: [['m.room.topic', '']] } } }
  assert.deepEqual((await sync.next(again)).rooms, {})
  for (const body of ['g', 'h', 'i']) await send(bob, room, body)
  assert.deepEqual(texts((await sync.next(without)).rooms[room]), ['i'])
  assert.deepEqual(texts((await sync.next(again)).rooms[room]), ['g', 'h', 'i'])
  await setState(alice, room, 'm.room.topic', { topic: 'Beans' })
  await sync.next(without)
  assert.deepEqual(named((await sync.next(again)).rooms[room]?.required_state), ['m.room.topic '])
  const all = (await sync.next(rule(100))).rooms[room]
  assert.equal(all?.limited, false)
  assert.deepEqual((await sync.next(rule(10_000))).rooms, {})
})

test('invites and knocks come with stripped state, and nothing else of the room', async (t) => {
  const server = await testServer(t)
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const sync = new SlidingClient(bob, { lists: { all: list(0, 9, { required_state: [['*', '*']] }) } })
  await sync.next()
  const room = String((await alice.post('/createRoom', { name: 'Secret', invite: [bob.userId], is_direct: true }).ok())['room_id'])
  await send(alice, room, 'hidden')
  const invited = (await sync.next()).rooms[room]
  assert.equal(invited?.initial, true)
  assert.equal(invited?.membership, 'invite')
  assert.equal(invited?.name, 'Secret')
  assert.ok(named(invited?.invite_state).includes(`m.room.member ${bob.userId}`))
  assert.deepEqual(invited?.stripped_state, invited?.invite_state)
  assert.equal(invited?.timeline, undefined)
  assert.equal(invited?.required_state, undefined)
  await send(alice, room, 'still hidden')
  assert.deepEqual((await sync.next()).rooms, {})
  await bob.post(`/join/${encodeURIComponent(room)}`, {}).ok()
  const joined = (await sync.next()).rooms[room]
  assert.equal(joined?.initial, true)
  assert.equal(joined?.invite_state, undefined)
  assert.ok(named(joined?.required_state).includes('m.room.create '))
  const club = String((await alice.post('/createRoom', { initial_state: [{ type: 'm.room.join_rules', content: { join_rule: 'knock' } }] }).ok())['room_id'])
  await bob.post(`/knock/${encodeURIComponent(club)}`, {}).ok()
  const knocked = (await sync.next()).rooms[club]
  assert.equal(knocked?.membership, 'knock')
  assert.ok(named(knocked?.invite_state).includes(`m.room.member ${bob.userId}`))
  const other = String((await alice.post('/createRoom', { invite: [bob.userId] }).ok())['room_id'])
  assert.equal((await sync.next()).rooms[other]?.membership, 'invite')
  await bob.post(`/rooms/${encodeURIComponent(other)}/leave`, {}).ok()
  const rejected = await sync.next()
  assert.equal(rejected.rooms[other]?.membership, 'leave')
  assert.deepEqual(named(rejected.rooms[other]?.required_state), [`m.room.member ${bob.userId}`])
  assert.deepEqual(named(rejected.rooms[other]?.timeline), [`m.room.member ${bob.userId}`])
  const after = await sync.next()
  assert.deepEqual(after.rooms, {})
  assert.deepEqual(after.lists, { all: { count: 2 } })
})

test('a room that the user leaves is told once more, as it was then', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom()
  const sync = new SlidingClient(bob, { lists: { all: list(0, 9, { required_state: [['m.room.member', '$ME'], ['m.room.topic', '']] }) } })
  await sync.next()
  await send(alice, room, 'before')
  await bob.post(`/rooms/${encodeURIComponent(room)}/leave`, {}).ok()
  await send(alice, room, 'after')
  await setState(alice, room, 'm.room.topic', { topic: 'after' })
  const lost = (await sync.peek()).rooms[room]
  const left = (await sync.next()).rooms[room]
  assert.deepEqual({ ...left, timeline: texts(left), required_state: named(left?.required_state) }, { ...lost, timeline: texts(lost), required_state: named(lost?.required_state) })
  assert.equal(left?.membership, 'leave')
  assert.deepEqual(texts(left), ['before'])
  assert.deepEqual(named(left?.required_state), [`m.room.member ${bob.userId}`])
  assert.equal(left?.joined_count, undefined)
  const next = await sync.next()
  assert.deepEqual([next.rooms, next.lists], [{}, { all: { count: 0 } }])
  assert.deepEqual((await new SlidingClient(bob, { conn_id: 'new' }).next()).rooms, {})
  await bob.post(`/join/${encodeURIComponent(room)}`, {}).ok()
  const back = (await sync.next()).rooms[room]
  assert.equal(back?.initial, true)
  assert.ok(texts(back).includes('after'))
})

test('nothing of a room reaches whoever was removed, may not see it, or never was in it', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom()
  const [carol, dave] = [await server.register('carol'), await server.register('dave')]
  await carol.post(`/join/${encodeURIComponent(room)}`, {}).ok()
  const required = [['*', '*']]
  const subscription = { timeline_limit: 20, required_state: required }
  const body = { lists: { all: list(0, 9, { timeline_limit: 20, required_state: required }) }, room_subscriptions: { [room]: subscription }, extensions: { typing: { enabled: true }, receipts: { enabled: true } } }
  const [kicked, banned, stranger] = [new SlidingClient(bob, body), new SlidingClient(carol, body), new SlidingClient(dave, body)]
  for (const sync of [kicked, banned, stranger]) await sync.next()
  await alice.post(`/rooms/${encodeURIComponent(room)}/kick`, { user_id: bob.userId }).ok()
  await alice.post(`/rooms/${encodeURIComponent(room)}/ban`, { user_id: carol.userId }).ok()
  const told = (await kicked.next()).rooms[room]
  assert.equal(told?.membership, 'leave')
  assert.deepEqual(named(told?.required_state), [`m.room.member ${bob.userId}`])
  assert.equal((await banned.next()).rooms[room]?.membership, 'ban')
  const secret = await send(alice, room, 'secret')
  await setState(alice, room, 'm.room.topic', { topic: 'secret' })
  await setState(alice, room, 'm.room.name', { name: 'secret' })
  await alice.put(`/rooms/${encodeURIComponent(room)}/typing/${alice.userId}`, { typing: true }).ok()
  await alice.post(`/rooms/${encodeURIComponent(room)}/receipt/m.read/${encodeURIComponent(secret)}`, {}).ok()
  for (const sync of [kicked, banned, stranger]) {
    const [now, wider] = [await sync.next(), await sync.next({ room_subscriptions: { [room]: { ...subscription, timeline_limit: 50 } } })]
    const fresh = await new SlidingClient(sync.client, { ...body, conn_id: 'fresh' }).next()
    for (const answer of [now, wider, fresh]) {
      const text = JSON.stringify(answer)
      assert.ok(!text.includes('secret') && !text.includes(secret), text)
      assert.deepEqual([answer.extensions.typing, answer.extensions.receipts], [undefined, undefined])
    }
    assert.deepEqual(now.rooms, {})
    assert.equal(fresh.rooms[room]?.membership, sync === kicked ? 'leave' : sync === banned ? 'ban' : undefined)
  }
  const hidden = String((await alice.post('/createRoom', { preset: 'private_chat', invite: [dave.userId], initial_state: [{ type: 'm.room.history_visibility', content: { history_visibility: 'joined' } }] }).ok())['room_id'])
  await send(alice, hidden, 'before dave')
  await dave.post(`/join/${encodeURIComponent(hidden)}`, {}).ok()
  assert.ok(!JSON.stringify((await stranger.next()).rooms[hidden]?.timeline).includes('before dave'))
  assert.deepEqual(server.errors, [])
})

test('direct chats, ignored users and unread counts', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom()
  const carol = await server.register('carol')
  await carol.post(`/join/${encodeURIComponent(room)}`, {}).ok()
  const sync = new SlidingClient(alice)
  assert.equal((await sync.next()).rooms[room]?.is_dm, undefined)
  await alice.put(`/user/${alice.userId}/account_data/m.direct`, { [bob.userId]: [room, 7], x: 'no list' }).ok()
  const marked = (await sync.next()).rooms[room]
  assert.equal(marked?.is_dm, true)
  assert.equal(marked?.timeline, undefined)
  assert.deepEqual((await sync.next()).rooms, {})
  assert.equal((await new SlidingClient(alice, { ...sync.body, conn_id: 'other' }).next()).rooms[room]?.is_dm, true)
  await alice.put(`/user/${alice.userId}/account_data/m.direct`, {}).ok()
  assert.equal((await sync.next()).rooms[room]?.is_dm, false)
  await alice.put(`/user/${alice.userId}/account_data/m.ignored_user_list`, { ignored_users: { [carol.userId]: {} } }).ok()
  await send(carol, room, 'noise')
  assert.deepEqual((await sync.next()).rooms, {})
  await carol.post('/createRoom', { invite: [alice.userId] }).ok()
  assert.deepEqual((await sync.next()).rooms, {})
  const event = await send(bob, room, 'hello alice')
  const unread = (await sync.next()).rooms[room]
  assert.deepEqual([unread?.notification_count, unread?.highlight_count], [1, 1])
  await alice.post(`/rooms/${encodeURIComponent(room)}/receipt/m.read/${encodeURIComponent(event)}`, {}).ok()
  const read = (await sync.next({}, { timeout: 60_000 })).rooms[room]
  assert.deepEqual([read?.notification_count, read?.highlight_count, read?.timeline], [0, 0, undefined])
})
