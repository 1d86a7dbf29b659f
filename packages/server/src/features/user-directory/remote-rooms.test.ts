/** A room of another server comes as state without a timeline: its members are found and counted like those who joined before our eyes. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { parsePdu, type ParsedPdu } from '@myelin/protocol/events/parse.ts'
import type { ServerName, UserId } from '@myelin/protocol/ids/ids.ts'
import { parseJson } from '@myelin/protocol/json/parse.ts'
import { getRoomVersion } from '@myelin/protocol/rooms/versions.ts'
import type { Room } from '#engine/room.ts'
import type { StoredEvent } from '#engine/stored-event.ts'
import type { TestClient } from '#test/kit/test-client.ts'
import { testEngineRooms, type TestEngine } from '#test/kit/test-engine.ts'
import { testServer, type TestServer } from '#test/kit/test-server.ts'

/** The event as another server reads it. */
function asPdu(event: StoredEvent): ParsedPdu {
  const json = parseJson(event.json)
  assert.ok('value' in json)
  const parsed = parsePdu(event.room.version, json.value)
  assert.ok('event' in parsed)
  return parsed
}

/** What the room's own server sends to one that joins: the state before its newest event, and what authorises that. */
async function receiveRoom(server: TestServer, remote: TestEngine, room: Room, newest: StoredEvent): Promise<Room> {
  const state = (await remote.states.all(room, newest.stateRoot ?? 0)).map(asPdu)
  const earlier = (await remote.events.roomTail(room, 0, (newest.streamOrdering ?? 0) - 1, 100)).filter((event) => event.isState).map(asPdu)
  const { rooms, receiver } = server.services
  const known = await rooms.get(room.id)
  const twin = known ?? rooms.draft(room.id, room.version)
  const received = await receiver.receive(twin, asPdu(newest), {
    outliers: earlier, ...(known ? {} : { creation: { creator: newest.event.sender, ts: 1 } }),
    statesAfter: new Map(newest.event.prevEventIds.map((eventId) => [eventId, state.map(({ event }) => event.eventId)])),
  })
  assert.equal(received.rejected || received.softFailed, false)
  return twin
}

async function search(client: TestClient, term: string): Promise<string[]> {
  const { results } = await client.post('/user_directory/search', { search_term: term }).ok()
  assert.ok(Array.isArray(results))
  return results.map((user: { readonly user_id: string }) => user.user_id)
}

/** A server of its own, as whose users the engine's are seen. */
async function remoteRoom(t: TestContext, joinRule: string) {
  const remote = await testEngineRooms(t, 'far.example' as ServerName)
  const [owner, member, guest] = ['@owner:far.example', '@member:far.example', '@carol:test.example'] as [UserId, UserId, UserId]
  const version = getRoomVersion('11')
  assert.ok(version)
  const join = (userId: UserId) => ({ type: 'm.room.member', stateKey: userId, sender: userId, content: { membership: 'join' } })
  const { room } = await remote.writer.createRoom(version, owner, { room_version: '11' }, () => [
    join(owner), { type: 'm.room.power_levels', stateKey: '', sender: owner, content: { users: { [owner]: 100 } } },
    { type: 'm.room.join_rules', stateKey: '', sender: owner, content: { join_rule: 'public' } },
    join(member), join(guest),
    { type: 'm.room.name', stateKey: '', sender: owner, content: { name: 'Far away' } },
    ...(joinRule === 'public' ? [] : [{ type: 'm.room.join_rules', stateKey: '', sender: owner, content: { join_rule: joinRule } }]),
  ])
  const send = async (type: string, content: object, more: object = {}): Promise<StoredEvent> => {
    const [event] = await remote.writer.propose(room, [{ type, sender: owner, content: { ...content }, ...more }])
    assert.ok(event)
    return event
  }
  return { remote, room, owner, member, send }
}

test('members of a public room that came as state are found, until the room is closed', async (t) => {
  const { remote, room, owner, member, send } = await remoteRoom(t, 'public')
  const server = await testServer(t)
  const alice = await server.register('alice')
  assert.deepEqual(await search(alice, 'member'), [])
  const twin = await receiveRoom(server, remote, room, await send('m.room.message', { body: 'hello' }))
  assert.deepEqual(await search(alice, 'member'), [member])
  assert.deepEqual(await search(alice, 'owner'), [owner])
  await server.services.receiver.receive(twin, asPdu(await send('m.room.join_rules', { join_rule: 'invite' }, { stateKey: '' })))
  assert.deepEqual(await search(alice, 'member'), [])
})

test('remote users are found by the name that they have in a public room, not by one of a closed room', async (t) => {
  const { remote, room, owner, send } = await remoteRoom(t, 'public')
  const server = await testServer(t)
  const alice = await server.register('alice')
  const rename = async (displayname: string) => send('m.room.member', { membership: 'join', displayname, avatar_url: 'mxc://far.example/a' }, { stateKey: owner })
  const twin = await receiveRoom(server, remote, room, await rename('Wonder\0 Land'))
  const { results } = await alice.post('/user_directory/search', { search_term: 'wonder la' }).ok()
  assert.deepEqual(results, [{ user_id: owner, display_name: 'Wonder Land', avatar_url: 'mxc://far.example/a' }])
  await server.services.receiver.receive(twin, asPdu(await rename('Looking Glass')))
  assert.deepEqual([await search(alice, 'wonder'), await search(alice, 'looking')], [[], [owner]])
  for (const event of [await send('m.room.join_rules', { join_rule: 'invite' }, { stateKey: '' }), await rename('Secret Name')]) {
    await server.services.receiver.receive(twin, asPdu(event))
  }
  const carol = await server.register('carol')
  assert.deepEqual([await search(carol, 'secret'), await search(carol, 'looking')], [[], [owner]])
})

test('members of a closed room are found by those who are in it, and all are counted', async (t) => {
  const { remote, room, member, send } = await remoteRoom(t, 'invite')
  const server = await testServer(t, { config: 'presence: {enabled: false}\n' })
  const [alice, carol] = [await server.register('alice'), await server.register('carol')]
  const before = String((await carol.get('/sync?timeout=0').ok())['next_batch'])
  const waiting = carol.get(`/sync?timeout=30000&since=${before}`)
  await receiveRoom(server, remote, room, await send('m.room.message', { body: 'hello' }))
  assert.match((await waiting).text, /Far away/)
  assert.deepEqual([await search(alice, 'member'), await search(carol, 'member')], [[], [member]])
  assert.match((await carol.get('/sync?timeout=0')).text, /"m.joined_member_count":3/)
})

test('a state that changes without an event of its own changes what is counted, named and found', async (t) => {
  const { remote, room, member, send } = await remoteRoom(t, 'public')
  const server = await testServer(t)
  const [alice, carol] = [await server.register('alice'), await server.register('carol')]
  await receiveRoom(server, remote, room, await send('m.room.message', { body: 'one' }))
  assert.match((await carol.get('/sync?timeout=0')).text, /"m.joined_member_count":3/)
  const named = { lists: { all: { ranges: [[0, 9]], timeline_limit: 1, required_state: [], filters: { room_name_like: 'nearer' } } } }
  const sliding = '/_matrix/client/unstable/org.matrix.simplified_msc3575/sync?timeout=0'
  assert.match((await carol.post(sliding, named)).text, /"all":\{"count":0/)
  // This server missed all of these; it hears of them by the state that comes with the next message.
  await send('m.room.member', { membership: 'ban' }, { stateKey: member })
  await send('m.room.join_rules', { join_rule: 'invite' }, { stateKey: '' })
  await send('m.room.name', { name: 'Nearer' }, { stateKey: '' })
  await receiveRoom(server, remote, room, await send('m.room.message', { body: 'two' }))
  assert.match((await carol.get('/sync?timeout=0')).text, /"m.joined_member_count":2/)
  assert.match((await carol.post(sliding, named)).text, /"all":\{"count":1/)
  assert.deepEqual([await search(alice, 'owner'), await search(carol, 'owner')], [[], ['@owner:far.example']])
  assert.deepEqual(await search(carol, 'member'), [])
})
