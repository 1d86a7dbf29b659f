/** Lists of sliding sync: order, ranges, filters. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { list, SlidingClient, sliding, slidingOk, texts, type SlidingAnswer } from '#test/kit/sliding.ts'
import { send, setState } from '#test/kit/syncing.ts'
import type { TestClient } from '#test/kit/test-client.ts'
import { testServer } from '#test/kit/test-server.ts'

async function create(client: TestClient, body: object = {}): Promise<string> {
  return String((await client.post('/createRoom', body).ok())['room_id'])
}

function ids(answer: SlidingAnswer): string[] {
  return Object.keys(answer.rooms)
}

test('rooms stand in the order of their last event, and ranges cut windows out of it', async (t) => {
  const server = await testServer(t)
  const alice = await server.register('alice')
  const rooms: string[] = []
  for (let index = 0; index < 5; index += 1) rooms.push(await create(alice, { name: `room ${index}` }))
  const [a = '', b = '', c = '', d = '', e = ''] = rooms
  const sync = new SlidingClient(alice, { lists: { top: list(0, 1) } })
  const first = await sync.next()
  assert.deepEqual(ids(first), [e, d])
  assert.deepEqual(first.lists, { top: { count: 5 } })
  assert.deepEqual(ids(await sync.next({ lists: { top: list(0, 2) } }, { timeout: 60_000 })), [c])
  await send(alice, a, 'up')
  const up = await sync.next()
  assert.deepEqual(ids(up), [a])
  assert.equal(up.rooms[a]?.initial, true)
  assert.equal(up.rooms[a]?.num_live, 1)
  await setState(alice, b, 'm.room.topic', { topic: 'x' })
  const topic = (await sync.next()).rooms[b]
  assert.ok((topic?.bump_stamp ?? 0) < (up.rooms[a]?.bump_stamp ?? 0), 'a topic moves the room and does not bump it')
  await send(alice, c, 'missed')
  await send(alice, c, 'missed too')
  await send(alice, d, 'x')
  await send(alice, e, 'x')
  assert.deepEqual(ids(await sync.next({ lists: { top: list(0, 1) } })), [e, d])
  const back = await sync.next({ lists: { top: list(0, 4) } })
  assert.deepEqual(ids(back), [c])
  assert.deepEqual(texts(back.rooms[c]), ['missed', 'missed too'])
  assert.equal(back.rooms[c]?.initial, undefined)
  const whole = async (body: object) => ids(await slidingOk(alice, { conn_id: 'once', lists: { l: { timeline_limit: 0, required_state: [], ...body } } }))
  assert.deepEqual(await whole({ ranges: [[0, 0], [3, 3]] }), [e, b])
  assert.deepEqual(await whole({ ranges: [[2, 900]] }), [c, b, a])
  assert.deepEqual(await whole({ ranges: [[3, 1]] }), [])
  assert.deepEqual(await whole({ ranges: [] }), [])
  assert.deepEqual(await whole({ range: [1, 1] }), [d])
  assert.deepEqual(await whole({}), [e, d, c, b, a])
  assert.deepEqual(await whole({ ranges: [[0, 0]], slow_get_all_rooms: true }), [e, d, c, b, a])
})

test('several rules about one room are joined', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom({ topic: 'x', name: 'y' })
  for (const body of ['a', 'b', 'c']) await send(bob, room, body)
  const answer = await slidingOk(alice, {
    txn_id: 'mine',
    lists: { one: list(0, 9, { timeline_limit: 1, required_state: [['m.room.topic', '']] }), two: list(0, 9, { timeline_limit: 2, required_state: [['m.room.name', '']] }) },
    room_subscriptions: { [room]: { timeline_limit: 0, required_state: [['m.room.create', '']] }, '!unknown:test.example': { timeline_limit: 1, required_state: [] } },
  })
  assert.equal(answer.txn_id, 'mine')
  assert.deepEqual(texts(answer.rooms[room]), ['b', 'c'])
  assert.deepEqual(answer.rooms[room]?.required_state?.map((event) => event.type).sort(), ['m.room.create', 'm.room.name', 'm.room.topic'])
  assert.deepEqual(ids(answer), [room])
  const none = await slidingOk(alice, { conn_id: 'empty' })
  assert.deepEqual([none.lists, none.rooms, none.extensions], [{}, {}, {}])
})

test('filters', async (t) => {
  const server = await testServer(t)
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const plain = await create(alice, { name: 'Plain Tea' })
  const encrypted = await create(alice, { name: 'Sealed', initial_state: [{ type: 'm.room.encryption', content: { algorithm: 'm.megolm.v1.aes-sha2' } }] })
  const space = await create(alice, { name: 'Space', creation_content: { type: 'm.space' } })
  const odd = await create(alice, { creation_content: { type: 'org.test' }, room_alias_name: 'oddity' })
  const invite = await create(bob, { name: 'Come in', invite: [alice.userId], initial_state: [{ type: 'm.room.encryption', content: { algorithm: 'm.megolm.v1.aes-sha2' } }] })
  await setState(alice, space, 'm.space.child', { via: ['test.example'] }, plain)
  await setState(alice, space, 'm.space.child', {}, odd)
  await alice.put(`/user/${alice.userId}/account_data/m.direct`, { [bob.userId]: [encrypted] }).ok()
  await alice.put(`/user/${alice.userId}/rooms/${encodeURIComponent(plain)}/tags/m.favourite`, { order: 0.5 }).ok()
  await alice.put(`/user/${alice.userId}/rooms/${encodeURIComponent(odd)}/tags/m.lowpriority`, {}).ok()
  const names = new Map([[plain, 'plain'], [encrypted, 'encrypted'], [space, 'space'], [odd, 'odd'], [invite, 'invite']])
  const shown = async (filters: object) => {
    const answer = await slidingOk(alice, { conn_id: 'f', lists: { l: list(0, 99, { filters }) } })
    const found = ids(answer).map((id) => names.get(id)).sort()
    assert.equal(answer.lists['l']?.count, found.length)
    return found.join(' ')
  }
  assert.equal(await shown({}), 'encrypted invite odd plain space')
  assert.equal(await shown({ is_dm: true }), 'encrypted')
  assert.equal(await shown({ is_dm: false }), 'invite odd plain space')
  assert.equal(await shown({ is_encrypted: true }), 'encrypted invite')
  assert.equal(await shown({ is_encrypted: false }), 'odd plain space')
  assert.equal(await shown({ is_invite: true }), 'invite')
  assert.equal(await shown({ is_invite: false }), 'encrypted odd plain space')
  assert.equal(await shown({ room_types: ['m.space'] }), 'space')
  assert.equal(await shown({ room_types: [null] }), 'encrypted invite plain')
  assert.equal(await shown({ not_room_types: ['m.space'] }), 'encrypted invite odd plain')
  assert.equal(await shown({ not_room_types: ['m.space', null] }), 'odd')
  assert.equal(await shown({ room_types: ['m.space', 'org.test'], not_room_types: ['org.test'] }), 'space')
  assert.equal(await shown({ room_name_like: 'tEa' }), 'plain')
  assert.equal(await shown({ room_name_like: 'ODDI' }), 'odd')
  assert.equal(await shown({ room_name_like: 'come' }), 'invite')
  assert.equal(await shown({ tags: ['m.favourite', 'm.lowpriority'] }), 'odd plain')
  assert.equal(await shown({ tags: ['m.favourite', 'm.lowpriority'], not_tags: ['m.lowpriority'] }), 'plain')
  assert.equal(await shown({ not_tags: ['m.favourite'] }), 'encrypted invite odd space')
  assert.equal(await shown({ spaces: [space] }), 'plain')
  assert.equal(await shown({ spaces: [plain, '!none:test.example', 'constructor'] }), '')
  await setState(alice, encrypted, 'm.room.name', { name: 'Green tea' })
  await setState(alice, space, 'm.space.child', { via: ['test.example'] }, encrypted)
  await alice.delete(`/user/${alice.userId}/rooms/${encodeURIComponent(plain)}/tags/m.favourite`).ok()
  assert.equal(await shown({ room_name_like: 'tea' }), 'encrypted plain')
  assert.equal(await shown({ spaces: [space] }), 'encrypted plain')
  assert.equal(await shown({ tags: ['m.favourite'] }), '')
  await bob.post(`/join/${encodeURIComponent(await create(bob, {}))}`, {}).ok()
  await setState(bob, invite, 'm.space.child', { via: ['test.example'] }, plain)
  assert.equal(await shown({ spaces: [invite] }), '', 'a space that the user has not joined tells nothing')
})

test('requests of the wrong form are refused', async (t) => {
  const server = await testServer(t)
  const alice = await server.register('alice')
  const lists = (config: object) => ({ lists: { l: { timeline_limit: 1, required_state: [], ...config } } })
  for (const [body, errcode] of [
    [{ lists: { l: { required_state: [] } } }, 'M_MISSING_PARAM'],
    [{ lists: { l: { timeline_limit: 1 } } }, 'M_MISSING_PARAM'],
    [{ room_subscriptions: { '!a:b': {} } }, 'M_MISSING_PARAM'],
    [{ lists: [] }, 'M_BAD_JSON'],
    [{ conn_id: 7 }, 'M_BAD_JSON'],
    [lists({ timeline_limit: -1 }), 'M_BAD_JSON'],
    [lists({ timeline_limit: '1' }), 'M_BAD_JSON'],
    [lists({ required_state: [['m.room.name']] }), 'M_BAD_JSON'],
    [lists({ required_state: [['m.room.name', '', '']] }), 'M_BAD_JSON'],
    [lists({ required_state: [['x'.repeat(300), '']] }), 'M_BAD_JSON'],
    [lists({ required_state: Array.from({ length: 501 }, () => ['a', 'b']) }), 'M_BAD_JSON'],
    [lists({ ranges: [[0]] }), 'M_BAD_JSON'],
    [lists({ ranges: [[-1, 3]] }), 'M_BAD_JSON'],
    [lists({ filters: { is_dm: 'yes' } }), 'M_BAD_JSON'],
    [lists({ filters: { room_types: 'm.space' } }), 'M_BAD_JSON'],
    [{ extensions: { to_device: { enabled: 'yes' } } }, 'M_BAD_JSON'],
    [{ extensions: { to_device: { enabled: true, since: 'x' } } }, 'M_INVALID_PARAM'],
    [{ conn_id: 'x'.repeat(256) }, 'M_INVALID_PARAM'],
    [{ conn_id: 'a\0b' }, 'M_INVALID_PARAM'],
    [{ lists: Object.fromEntries(Array.from({ length: 101 }, (_, index) => [`l${index}`, list(0, 1)])) }, 'M_INVALID_PARAM'],
    [{ lists: { ['x'.repeat(256)]: list(0, 1) } }, 'M_INVALID_PARAM'],
    [{ room_subscriptions: Object.fromEntries(Array.from({ length: 101 }, (_, index) => [`!${index}:b`, { timeline_limit: 1, required_state: [] }])) }, 'M_INVALID_PARAM'],
  ] as const) await sliding(alice, body).fails(400, errcode)
  await sliding(alice, {}, { set_presence: 'away' }).fails(400, 'M_INVALID_PARAM')
  await sliding(alice, {}, { timeout: 'soon' }).fails(400, 'M_INVALID_PARAM')
  const odd = { lists: { constructor: list(0, 1), __proto__: list(0, 1), 'a\0b': list(0, 1) }, room_subscriptions: { constructor: { timeline_limit: 1, required_state: [] }, '!a\0b': { timeline_limit: 1, required_state: [['\0', '\0']] } }, extensions: { unknown: 7 } }
  assert.deepEqual((await slidingOk(alice, odd)).rooms, {})
  await server.anonymous().post('/_matrix/client/unstable/org.matrix.simplified_msc3575/sync', {}).fails(401, 'M_MISSING_TOKEN')
  assert.equal((await sliding(await server.guest(), {})).status, 200)
  const features = (await alice.get('/_matrix/client/versions').ok())['unstable_features']
  assert.equal(Object.entries(features ?? {}).find(([name]) => name === 'org.matrix.simplified_msc3575')?.[1], true)
  assert.deepEqual(server.errors, [])
})
