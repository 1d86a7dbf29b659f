import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { SigningKey } from '@myelin/protocol/crypto/ed25519.ts'
import { signEvent } from '@myelin/protocol/crypto/sign-event.ts'
import type { RoomEvent } from '@myelin/protocol/events/event.ts'
import type { EventId, UserId } from '@myelin/protocol/ids/ids.ts'
import type { JsonObject } from '@myelin/protocol/json/json.ts'
import { FakeMember } from '#test/kit/fake-member.ts'
import { FakeRemote } from '#test/kit/fake-remote.ts'
import { federatingServer } from '#test/kit/federating-server.ts'
import type { TestClient } from '#test/kit/test-client.ts'
import type { TestServer } from '#test/kit/test-server.ts'

async function joined(t: TestContext, create: object = {}) {
  const [server, remote] = [await federatingServer(t), await FakeRemote.start(t)]
  const alice = await server.register('alice')
  const room = String((await alice.post('/createRoom', { preset: 'public_chat', room_version: '10', ...create }).ok())['room_id'])
  const eve = await FakeMember.join(remote, server, room, 'eve')
  await server.services.outbox.settled()
  return { server, remote, alice, room, eve }
}

/** Whether the client sees an event. */
async function sees(client: TestClient, room: string, { eventId }: RoomEvent): Promise<boolean> {
  return (await client.get(`/rooms/${encodeURIComponent(room)}/event/${encodeURIComponent(eventId)}`)).status === 200
}

/** A copy of an event with fields replaced, signed anew. */
function changed(eve: FakeMember, event: RoomEvent, fields: JsonObject): JsonObject {
  const { signatures: _signatures, ...rest } = event.pdu
  return signEvent(eve.version, { ...rest, ...fields }, eve.remote.serverName, eve.remote.key)
}

test('events are taken in, in order, and told to clients', async (t) => {
  const { alice, room, eve } = await joined(t)
  const events = Array.from({ length: 50 }, (_, n) => eve.event({ content: { body: String(n), msgtype: 'm.text' } }))
  assert.deepEqual(await eve.send(...events.map(({ pdu }) => pdu)), Object.fromEntries(events.map(({ eventId }) => [eventId, {}])))
  const { chunk } = await alice.get(`/rooms/${encodeURIComponent(room)}/messages?dir=b&limit=50`).ok()
  assert.ok(Array.isArray(chunk))
  assert.deepEqual(chunk.map((event) => event.event_id), events.map(({ eventId }) => eventId).reverse())
})

test('events that are not what they say are dropped or rejected, each by itself', async (t) => {
  const { server, alice, room, eve } = await joined(t)
  const other = new SigningKey('x', new Uint8Array(32).fill(1))
  const good = eve.event()
  const at = { prev: [good.eventId], depth: good.depth + 1 }
  const unsigned = eve.event({ ...at, content: { body: 'unsigned' } })
  const foreign = eve.event({ ...at, sender: alice.userId, content: { body: 'in the name of alice' } })
  const forbidden = eve.event({ ...at, type: 'm.room.power_levels', stateKey: '', content: { users: { [eve.userId]: 100 } } })
  const kick = eve.event({ ...at, type: 'm.room.member', stateKey: alice.userId, content: { membership: 'leave' } })
  const wrongAuth = eve.event({ ...at, auth: [], content: { body: 'no auth events' } })
  const elsewhere = eve.event({ ...at, content: { body: 'elsewhere' } })
  const { signatures: _signatures, ...bare } = unsigned.pdu
  const results = await eve.send(
    good.pdu, { ...bare, signatures: {} }, signEvent(eve.version, { ...bare, signatures: {} }, eve.remote.serverName, other), foreign.pdu, forbidden.pdu, kick.pdu, wrongAuth.pdu,
    { ...elsewhere.pdu, room_id: '!none:x' }, { room_id: room }, { room_id: 5 }, [] as unknown as JsonObject, changed(eve, good, { type: 5 }), changed(eve, good, { depth: -1 }),
  )
  assert.deepEqual(results[good.eventId], {})
  assert.ok(await sees(alice, room, good))
  for (const event of [unsigned, foreign, forbidden, kick, wrongAuth, elsewhere]) assert.ok(!(await sees(alice, room, event)), JSON.stringify(event.content))
  assert.equal((await alice.get(`/rooms/${encodeURIComponent(room)}/joined_members`)).status, 200)
  assert.deepEqual(server.errors, [])
})

test('an event whose hash is wrong is taken in as redaction leaves it', async (t) => {
  const { alice, room, eve } = await joined(t)
  const event = eve.event({ content: { body: 'true', msgtype: 'm.text' } })
  await eve.send({ ...event.pdu, content: { body: 'altered', msgtype: 'm.text' } })
  assert.deepEqual((await alice.get(`/rooms/${encodeURIComponent(room)}/event/${encodeURIComponent(event.eventId)}`).ok())['content'], {})
})

test('servers that are not in the room, or that its access control list keeps out, add nothing', async (t) => {
  const { server, alice, room, eve } = await joined(t)
  await alice.put(`/rooms/${encodeURIComponent(room)}/state/m.room.server_acl/`, { allow: ['*'], deny: ['localhost'] }).ok()
  const denied = eve.event()
  assert.match(String((await eve.send(denied.pdu))[denied.eventId]?.error), /access control list/)
  await alice.post(`/rooms/${encodeURIComponent(room)}/leave`, {}).ok()
  const late = eve.event()
  assert.match(String((await eve.send(late.pdu))[late.eventId]?.error), /not in the room/)
  assert.deepEqual(server.errors, [])
})

test('transactions that are too large or no transactions', async (t) => {
  const { server, remote, eve } = await joined(t)
  const send = (body: JsonObject) => remote.send(server, 'PUT', `/_matrix/federation/v1/send/x${Math.random()}`, body)
  const { pdu } = eve.event()
  await send({ pdus: Array.from({ length: 51 }, () => pdu) }).fails(413, 'M_TOO_LARGE')
  await send({ pdus: [], edus: Array.from({ length: 101 }, () => ({})) }).fails(413, 'M_TOO_LARGE')
  await send({ pdus: {} }).fails(400, 'M_BAD_JSON')
  assert.deepEqual(await send({}).ok(), { pdus: {} })
  assert.deepEqual(await send({ pdus: [pdu, pdu] }).ok(), { pdus: { [eve.last.eventId]: {} } })
})

/** Scripts the remote to answer for events that the server lacks. */
function answering(eve: FakeMember, events: readonly RoomEvent[]): void {
  const { remote, roomId } = eve
  const room = encodeURIComponent(roomId)
  remote.on('POST', `/_matrix/federation/v1/get_missing_events/${room}`, () => ({ events: [] }))
  const state = [...eve.state.values()]
  remote.on('GET', `/_matrix/federation/v1/state_ids/${room}`, () => ({ pdu_ids: state.map(({ eventId }) => eventId), auth_chain_ids: state.map(({ eventId }) => eventId) }))
  for (const event of events) remote.on('GET', `/_matrix/federation/v1/event/${encodeURIComponent(event.eventId)}`, () => ({ origin: remote.serverName, origin_server_ts: 1, pdus: [event.pdu] }))
}

test('missing events are asked for; where they are not given, the state there is', async (t) => {
  const { alice, room, eve, remote } = await joined(t)
  const [gap, next] = [eve.event(), eve.event()]
  const path = `/_matrix/federation/v1/get_missing_events/${encodeURIComponent(room)}`
  remote.on('POST', path, () => ({ events: [gap.pdu] }))
  await eve.send(next.pdu)
  assert.ok(await sees(alice, room, gap) && await sees(alice, room, next))
  assert.deepEqual(remote.received.find((request) => request.path === path)?.body['latest_events'], [next.eventId])

  const [lost, after] = [eve.event(), eve.event()]
  answering(eve, [lost])
  await eve.send(after.pdu)
  assert.ok(await sees(alice, room, after))
  assert.ok(!(await sees(alice, room, lost)), 'an event that is only known as an ancestor is not shown')
  await eve.send(lost.pdu)
  assert.ok(await sees(alice, room, lost), 'until it comes itself')
})

test('a server that names events which it does not give changes nothing, and later events are taken in', async (t) => {
  const { server, alice, room, eve } = await joined(t)
  const good = eve.event()
  await eve.send(good.pdu)
  const dangling = eve.event({ prev: ['$nowhere' as EventId], depth: 50 })
  await eve.send(dangling.pdu)
  assert.ok(!(await sees(alice, room, dangling)))
  const next = eve.event()
  await eve.send(next.pdu)
  assert.ok(await sees(alice, room, next))
  assert.deepEqual(server.errors, [])
})

test('state that a server makes up does not get in: made-up events need true signatures and authority', async (t) => {
  const { alice, room, eve, remote } = await joined(t)
  const lost = eve.event()
  const coup = eve.event({ type: 'm.room.power_levels', stateKey: '', content: { users: { [eve.userId]: 100 } }, prev: [lost.eventId], depth: 60 })
  const after = eve.event({ prev: [coup.eventId], depth: 61, content: { body: 'ruled' } })
  answering(eve, [lost, coup])
  const state = [...eve.state.values()].filter(({ type }) => type !== 'm.room.power_levels').concat(coup)
  remote.on('GET', `/_matrix/federation/v1/state_ids/${encodeURIComponent(room)}`, () => ({ pdu_ids: state.map(({ eventId }) => eventId), auth_chain_ids: state.map(({ eventId }) => eventId) }))
  await eve.send(after.pdu)
  const levels = await alice.get(`/rooms/${encodeURIComponent(room)}/state/m.room.power_levels`).ok()
  assert.equal(JSON.stringify(levels).includes(eve.userId), false)
})

test('what was staged before a stop is taken in after it', async (t) => {
  const { server, alice, room, eve, remote } = await joined(t)
  const event = eve.event()
  await server.services.transactions.stop()
  const body = { origin: remote.serverName, origin_server_ts: 1, pdus: [event.pdu] }
  await remote.send(server, 'PUT', '/_matrix/federation/v1/send/staged', body).ok()
  assert.ok(!(await sees(alice, room, event)))
  const { Transactions } = await import('./transactions.ts')
  const { services } = server
  const again = await Transactions.open({ ...services, logger: { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined } })
  await again.resume()
  await again.settled()
  assert.ok(await sees(alice, room, event))
  const [{ count }] = await services.database.rows<{ count: number }>('SELECT count(*) AS count FROM federation_inbound_events_staging', []) as [{ count: number }]
  assert.equal(count, 0)
})

/** What the remote was sent, oldest first. */
function sent(remote: FakeRemote): JsonObject[] {
  return remote.received.filter(({ path }) => path.startsWith('/_matrix/federation/v1/send/')).flatMap(({ body }) => (Array.isArray(body['pdus']) ? body['pdus'] : []))
}

async function say(server: TestServer, client: TestClient, room: string, body: string): Promise<void> {
  await client.put(`/rooms/${encodeURIComponent(room)}/send/m.room.message/${body}`, { body, msgtype: 'm.text' }).ok()
  await server.services.outbox.settled()
}

test('a transaction that fails is followed, after the outage, by the newest event of each room', async (t) => {
  const { server, remote, alice, room, eve } = await joined(t)
  let isDown = false
  const answer = () => (isDown ? ([503, {}] as const) : { pdus: {} })
  const any = (path: string): boolean => path.startsWith('/_matrix/federation/v1/send/')
  remote.onAny('PUT', any, answer)
  await say(server, alice, room, 'one')
  assert.equal(sent(remote).length, 1)
  isDown = true
  for (const body of ['two', 'three', 'four']) await say(server, alice, room, body)
  const before = sent(remote).length
  isDown = false
  const sign = eve.event({ prev: [eve.last.eventId] })
  await eve.send(sign.pdu)
  await server.services.outbox.settled()
  const bodies = sent(remote).slice(before).map((pdu) => (pdu['content'] as { body?: string }).body)
  assert.deepEqual(bodies, ['four'])
})

test('a server that was left behind at a stop is told at the next start', async (t) => {
  const { server, remote, alice, room } = await joined(t)
  remote.onAny('PUT', (path) => path.startsWith('/_matrix/federation/v1/send/'), () => [503, {}])
  await say(server, alice, room, 'lost')
  await server.services.outbox.stop()
  await server.services.destinations.answered(remote.serverName)
  remote.onAny('PUT', (path) => path.startsWith('/_matrix/federation/v1/send/'), () => ({ pdus: {} }))
  const { Outbox } = await import('./outbox.ts')
  const { services } = server
  const before = sent(remote).length
  const again = await Outbox.open({ ...services, logger: { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined }, durable: [], serverName: services.config.server_name })
  await again.settled()
  await again.stop()
  assert.deepEqual(sent(remote).slice(before).map((pdu) => (pdu['content'] as { body?: string }).body), ['lost'])
})

test('a user who is removed is told by their server, also when it leaves the room with them', async (t) => {
  const { server, remote, alice, room, eve } = await joined(t)
  remote.onAny('PUT', (path) => path.startsWith('/_matrix/federation/v1/send/'), () => ({ pdus: {} }))
  await alice.post(`/rooms/${encodeURIComponent(room)}/kick`, { user_id: eve.userId }).ok()
  await server.services.outbox.settled()
  assert.deepEqual(sent(remote).map((pdu) => pdu['state_key'] as UserId), [eve.userId])
  await say(server, alice, room, 'afterwards')
  assert.equal(sent(remote).length, 1)
})
