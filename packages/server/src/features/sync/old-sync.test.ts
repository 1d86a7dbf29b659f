/** The deprecated endpoints at the HTTP door. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { testServer } from '#test/kit/test-server.ts'
import { send, setState, untilWaiting, type SyncedEvent } from '#test/kit/syncing.ts'

const path = (room: string): string => `/rooms/${encodeURIComponent(room)}`
const worldReadable = { initial_state: [{ type: 'm.room.history_visibility', state_key: '', content: { history_visibility: 'world_readable' } }] }

interface RoomInfo {
  readonly room_id: string
  readonly membership?: string
  readonly invite?: SyncedEvent
  readonly messages?: { readonly start: string; readonly end: string; readonly chunk: readonly SyncedEvent[] }
  readonly state?: readonly SyncedEvent[]
  readonly visibility?: string
  readonly account_data?: readonly SyncedEvent[]
}

test('initialSync gives rooms, invites, account data, presence and a token for events', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom()
  const invited = String((await bob.post('/createRoom', { invite: [alice.userId] }).ok())['room_id'])
  await alice.put(`/user/${alice.userId}/account_data/org.test`, { a: 1 }).ok()
  const last = await send(bob, room, 'last')
  const all = await alice.get('/initialSync?limit=1').ok()
  const rooms = new Map((all['rooms'] as RoomInfo[]).map((info) => [info.room_id, info]))
  assert.equal(rooms.get(room)?.membership, 'join')
  assert.deepEqual(rooms.get(room)?.messages?.chunk.map((event) => event.event_id), [last])
  assert.ok(rooms.get(room)?.state?.some((event) => event.type === 'm.room.create'))
  assert.equal(rooms.get(invited)?.membership, 'invite')
  assert.equal(rooms.get(invited)?.invite?.state_key, alice.userId)
  assert.deepEqual((all['account_data'] as SyncedEvent[]).map((event) => event.type), ['org.test'])
  const none = await alice.get('/initialSync?limit=0').ok()
  assert.deepEqual((none['rooms'] as RoomInfo[]).find((info) => info.room_id === room)?.messages?.chunk, [])
  await bob.post(`${path(room)}/leave`, {}).ok()
  assert.ok(!((await bob.get('/initialSync').ok())['rooms'] as RoomInfo[]).some((info) => info.room_id === room))
  const archived = (await bob.get('/initialSync?archived=true').ok())['rooms'] as RoomInfo[]
  assert.equal(archived.find((info) => info.room_id === room)?.membership, 'leave')
  await alice.get('/initialSync?limit=x').fails(400, 'M_INVALID_PARAM')
  await (await server.guest()).get('/initialSync').fails(403, 'M_GUEST_ACCESS_FORBIDDEN')
  await server.anonymous().get('/initialSync').fails(401, 'M_MISSING_TOKEN')
})

test('events after a token, waiting for the first', async (t) => {
  // As on the servers that clients of this endpoint know, its answers hold presence as well, which the specification has no form for.
  const server = await testServer(t, { config: 'presence: {enabled: false}\n' })
  const { alice, bob, room } = await server.withRoom()
  const { end } = await alice.get('/initialSync').ok()
  const sent = await send(bob, room, 'one')
  const first = await alice.get(`/events?from=${end}`).ok()
  assert.equal(first['start'], end)
  const messages = (chunk: unknown): unknown[] => (chunk as SyncedEvent[]).filter((event) => event.type === 'm.room.message').map((event) => event.event_id)
  assert.deepEqual(messages(first['chunk']), [sent])
  let from = first['end']
  const waiting = (async () => {
    for (;;) {
      const next = await alice.get(`/events?from=${from}&timeout=60000`).ok()
      if (messages(next['chunk']).length > 0) return messages(next['chunk'])
      from = next['end']
    }
  })()
  await untilWaiting(server, alice.userId)
  const second = await send(bob, room, 'two')
  assert.deepEqual(await waiting, [second])
  await alice.get('/events?from=nonsense').fails(400, 'M_UNKNOWN')
  await alice.get('/events?room_id=nonsense').fails(400, 'M_INVALID_PARAM')
  for (const limit of ['many', '-2']) await alice.get(`/events?limit=${limit}`).fails(400, 'M_INVALID_PARAM')
  const one = await alice.get(`/events?from=${end}&limit=1`).ok()
  assert.deepEqual(messages(one['chunk']), [sent])
  assert.deepEqual(messages((await alice.get(`/events?from=${one['end']}&limit=1`).ok())['chunk']), [second])
})

test('whoever is no member watches a world-readable room, and no other', async (t) => {
  const server = await testServer(t, { config: 'presence: {enabled: false}\n' })
  const { alice, room } = await server.withRoom(worldReadable)
  const hidden = String((await alice.post('/createRoom', { preset: 'private_chat' }).ok())['room_id'])
  for (const reader of [await server.guest(), await server.register('reader')]) {
    const preview = await reader.get(`${path(room)}/initialSync?limit=2`).ok()
    assert.equal((preview['messages'] as { chunk: unknown[] }).chunk.length, 2)
    assert.equal(preview['membership'], undefined)
    const waiting = reader.get(`/events?room_id=${encodeURIComponent(room)}&timeout=60000`).ok()
    await untilWaiting(server, reader.userId)
    const sent = await send(alice, room, 'look')
    assert.deepEqual(((await waiting)['chunk'] as SyncedEvent[]).map((event) => event.event_id), [sent])
    await reader.get(`${path(hidden)}/initialSync`).fails(403, 'M_FORBIDDEN')
    await reader.get(`/events?room_id=${encodeURIComponent(hidden)}`).fails(403, 'M_FORBIDDEN')
  }
  await server.anonymous().get(`${path(room)}/initialSync`).fails(401, 'M_MISSING_TOKEN')
})

test('who watches a room goes on from its initial sync, and sees what its members do', async (t) => {
  const server = await testServer(t)
  const { alice, room } = await server.withRoom(worldReadable)
  const [reader, stranger] = [await server.guest(), await server.register()]
  const elsewhere = String((await alice.post('/createRoom', {}).ok())['room_id'])
  const preview = await reader.get(`${path(room)}/initialSync?limit=2`).ok()
  const from = (preview['messages'] as { end: string }).end
  const sent = await send(alice, room, 'look')
  await send(alice, elsewhere, 'not here')
  await alice.post(`${path(room)}/receipt/m.read/${encodeURIComponent(sent)}`, {}).ok()
  await alice.put(`${path(room)}/typing/${alice.userId}`, { typing: true, timeout: 30_000 }).ok()
  await alice.put(`/presence/${alice.userId}/status`, { presence: 'online', status_msg: 'watched' }).ok()
  await stranger.put(`/presence/${stranger.userId}/status`, { presence: 'online' }).ok()
  // Read without the check of the contract: the specification has no form for events of no timeline.
  const url = `${server.url}/_matrix/client/v3/events?room_id=${encodeURIComponent(room)}&from=${from}`
  const watch = async (): Promise<{ chunk: (SyncedEvent & { sender?: string })[] }> =>
    JSON.parse(await (await fetch(url, { headers: { authorization: `Bearer ${reader.token}` } })).text())
  const { chunk } = await watch()
  assert.equal(chunk[0]?.event_id, sent)
  assert.deepEqual(chunk.slice(1).map(({ type, sender }) => [type, sender]), [['m.typing', undefined], ['m.receipt', undefined], ['m.presence', alice.userId]])
  await setState(alice, room, 'm.room.history_visibility', { history_visibility: 'joined' })
  await reader.get(`/events?room_id=${encodeURIComponent(room)}&from=${from}`).fails(403, 'M_FORBIDDEN')
})

test('a room as it was when the user left', async (t) => {
  const { alice, bob, room } = await (await testServer(t)).withRoom()
  await bob.post(`${path(room)}/leave`, {}).ok()
  await setState(alice, room, 'm.room.topic', { topic: 'later' })
  const left: RoomInfo = JSON.parse((await bob.get(`${path(room)}/initialSync`)).text)
  assert.equal(left.membership, 'leave')
  assert.ok(!left.state?.some((event) => event.type === 'm.room.topic'))
  assert.ok(!left.messages?.chunk.some((event) => event.type === 'm.room.topic'))
})

test('one event by its id alone', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom()
  const eventId = await send(alice, room, 'x')
  assert.equal((await bob.get(`/events/${encodeURIComponent(eventId)}`).ok())['room_id'], room)
  const stranger = await server.register('stranger')
  await stranger.get(`/events/${encodeURIComponent(eventId)}`).fails(404, 'M_NOT_FOUND')
  await alice.get('/events/$unknown').fails(404, 'M_NOT_FOUND')
  await (await server.guest()).get(`/events/${encodeURIComponent(eventId)}`).fails(403, 'M_GUEST_ACCESS_FORBIDDEN')
})
