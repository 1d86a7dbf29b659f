/** What servers tell each other beside events: who types, reads and is there, messages to devices, changes of devices. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import type { JsonObject } from '@myelin/protocol/json/json.ts'
import { deviceKeys, newKey } from '#features/keys/fixture-keys.ts'
import { FakeRemote } from '../kit/fake-remote.ts'
import { exchanged, federatingServer } from '../kit/federating-server.ts'
import type { TestClient } from '../kit/test-client.ts'
import type { TestServer } from '../kit/test-server.ts'

const path = (id: string): string => `/rooms/${encodeURIComponent(id)}`

async function together(t: TestContext, config = '') {
  const [here, there] = [await federatingServer(t, { config }), await federatingServer(t, { config })]
  const [alice, bob] = [await here.register('alice'), await there.register('bob')]
  const id = String((await alice.post('/createRoom', { preset: 'public_chat' }).ok())['room_id'])
  await bob.post(`/join/${encodeURIComponent(id)}?via=${here.serverName}`, {}).ok()
  await exchanged(here, there)
  return { here, there, alice, bob, id, exchange: () => exchanged(here, there) }
}

/** Ephemeral events of a room, by type. */
async function ephemeral(client: TestClient, id: string): Promise<Record<string, JsonObject>> {
  const { rooms } = await client.get('/sync').ok()
  const found: unknown = JSON.parse(JSON.stringify(rooms)).join[id].ephemeral.events
  assert.ok(Array.isArray(found))
  return Object.fromEntries(found.map((event) => [event.type, event.content]))
}

test('typing and receipts; private receipts stay at home', async (t) => {
  const { alice, bob, id, exchange } = await together(t)
  await alice.put(`${path(id)}/typing/${alice.userId}`, { typing: true, timeout: 30_000 }).ok()
  const event = String((await alice.put(`${path(id)}/send/m.room.message/1`, { body: 'x', msgtype: 'm.text' }).ok())['event_id'])
  await exchange()
  assert.deepEqual((await ephemeral(bob, id))['m.typing'], { user_ids: [alice.userId] })
  await bob.post(`${path(id)}/receipt/m.read.private/${encodeURIComponent(event)}`, {}).ok()
  await exchange()
  assert.ok(!JSON.stringify((await ephemeral(alice, id))['m.receipt'] ?? {}).includes(bob.userId))
  await bob.post(`${path(id)}/receipt/m.read/${encodeURIComponent(event)}`, { thread_id: 'main' }).ok()
  await exchange()
  const receipts: Record<string, Record<string, JsonObject>> = JSON.parse(JSON.stringify((await ephemeral(alice, id))['m.receipt']))
  assert.equal(JSON.stringify(receipts[event]).includes(`"${bob.userId}":{`), true)
  assert.match(JSON.stringify(receipts[event]), /"thread_id":"main"/)
  await alice.put(`${path(id)}/typing/${alice.userId}`, { typing: false }).ok()
  await exchange()
  assert.deepEqual((await ephemeral(bob, id))['m.typing'] ?? { user_ids: [] }, { user_ids: [] })
})

test('presence', async (t) => {
  const { alice, bob, exchange } = await together(t)
  await alice.put(`/presence/${alice.userId}/status`, { presence: 'unavailable', status_msg: 'Tea' }).ok()
  await exchange()
  const seen = await bob.get(`/presence/${alice.userId}/status`).ok()
  assert.deepEqual([seen['presence'], seen['status_msg']], ['unavailable', 'Tea'])
})

async function inbox(client: TestClient): Promise<unknown> {
  const { to_device: toDevice } = await client.get('/sync').ok()
  return JSON.parse(JSON.stringify(toDevice ?? { events: [] })).events
}

test('messages to devices arrive once, and wait while the other server is away', async (t) => {
  const { here, there, alice, bob, exchange } = await together(t)
  const send = (txn: string, content: object) => alice.put(`/sendToDevice/m.test/${txn}`, { messages: { [bob.userId]: { [bob.deviceId]: content, '*': { all: true } } } }).ok()
  await send('1', { n: 1 })
  await send('1', { n: 1 })
  await exchange()
  there.door?.setOpen(false)
  await send('2', { n: 2 })
  await exchange()
  const [{ count }] = await here.services.database.rows<{ count: number }>('SELECT count(*) AS count FROM device_federation_outbox', []) as [{ count: number }]
  assert.equal(count, 1)
  there.door?.setOpen(true)
  await bob.put(`/sendToDevice/m.test/b`, { messages: { [alice.userId]: { '*': { back: true } } } }).ok()
  await exchange()
  const expected = [1, 2].map((n) => ({ type: 'm.test', sender: alice.userId, content: { n } }))
  assert.deepEqual(await inbox(bob), expected)
  assert.deepEqual(await inbox(alice), [{ type: 'm.test', sender: bob.userId, content: { back: true } }])
})

/** Users whose devices have changed since a token. */
async function changed(client: TestClient, since: unknown): Promise<unknown> {
  const { device_lists: lists } = await client.get(`/sync?since=${String(since)}`).ok()
  return JSON.parse(JSON.stringify(lists ?? { changed: [] })).changed ?? []
}

test('a change of devices reaches the clients of the other server, and its keys are asked for anew', async (t) => {
  const { alice, bob, exchange } = await together(t)
  const since = (await bob.get('/sync').ok())['next_batch']
  const keys = deviceKeys(alice.userId, alice.deviceId, newKey())
  await alice.post('/keys/upload', { device_keys: keys }).ok()
  await exchange()
  assert.deepEqual(await changed(bob, since), [alice.userId])
  const answer = await bob.post('/keys/query', { device_keys: { [alice.userId]: [] } }).ok()
  assert.ok(JSON.stringify(answer['device_keys']).includes(alice.deviceId))
})

/** Sends EDUs to a server in a transaction. */
async function sendEdus(remote: FakeRemote, server: TestServer, edus: readonly JsonObject[], txn = 'e'): Promise<void> {
  const body = { origin: remote.serverName, origin_server_ts: 1, pdus: [], edus }
  assert.deepEqual(await remote.send(server, 'PUT', `/_matrix/federation/v1/send/${txn}`, body).ok(), { pdus: {} })
}

test('what a server says of users that are not its own, or says wrongly, is passed over', async (t) => {
  const { here, alice, bob, id, exchange } = await together(t)
  const remote = await FakeRemote.start(t)
  const eve = `@eve:${remote.serverName}`
  const since = (await alice.get('/sync').ok())['next_batch']
  await sendEdus(remote, here, [
    { edu_type: 'm.typing', content: { room_id: id, user_id: bob.userId, typing: true } }, { edu_type: 'm.typing', content: { room_id: id, user_id: eve, typing: true } },
    { edu_type: 'm.typing', content: { room_id: 5, user_id: eve } }, { edu_type: 'm.typing', content: [] }, { edu_type: 5 }, { edu_type: 'm.unknown', content: {} },
    { edu_type: 'm.presence', content: { push: [{ user_id: bob.userId, presence: 'online', last_active_ago: 0 }, 5, { user_id: eve, presence: 'dancing' }] } },
    { edu_type: 'm.receipt', content: { [id]: { 'm.read': { [bob.userId]: { event_ids: ['$x'], data: { ts: 1 } }, [eve]: { event_ids: [] } } }, '!none:x': {} } },
    { edu_type: 'm.direct_to_device', content: { sender: bob.userId, type: 'm.test', message_id: '1', messages: { [alice.userId]: { '*': { forged: true } } } } },
    { edu_type: 'm.direct_to_device', content: { sender: eve, type: 'm.test', message_id: '2', messages: { [alice.userId]: { '*': 5 } } } },
    { edu_type: 'm.device_list_update', content: { user_id: bob.userId, device_id: 'X', stream_id: 1, prev_id: [] } },
  ])
  await exchange()
  assert.deepEqual(await inbox(alice), [])
  assert.deepEqual(await changed(alice, since), [])
  assert.deepEqual((await ephemeral(alice, id))['m.typing'] ?? { user_ids: [] }, { user_ids: [] })
  assert.deepEqual(here.errors, [])
})

test('a transaction that comes again is answered the same and changes nothing', async (t) => {
  const { here, alice } = await together(t)
  const remote = await FakeRemote.start(t)
  const message = (n: number) => ({ edu_type: 'm.direct_to_device', content: { sender: `@eve:${remote.serverName}`, type: 'm.test', message_id: `m${n}`, messages: { [alice.userId]: { '*': { n } } } } })
  await Promise.all([sendEdus(remote, here, [message(1)], 'a'), sendEdus(remote, here, [message(1)], 'a'), sendEdus(remote, here, [message(1)], 'a')])
  await sendEdus(remote, here, [message(1), message(2)], 'b')
  await sendEdus(remote, here, [message(3)], 'a')
  assert.deepEqual(await inbox(alice), [1, 2].map((n) => ({ type: 'm.test', sender: `@eve:${remote.serverName}`, content: { n } })))
})
