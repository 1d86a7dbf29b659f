/** Rooms of two servers: users of both come, write, change and go, by real requests. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { buildEvent } from '@myelin/protocol/events/build.ts'
import type { RoomId, UserId } from '@myelin/protocol/ids/ids.ts'
import type { JsonObject } from '@myelin/protocol/json/json.ts'
import { getRoomVersion } from '@myelin/protocol/rooms/versions.ts'
import { FakeMember } from '../kit/fake-member.ts'
import { FakeRemote } from '../kit/fake-remote.ts'
import { exchanged, federatingServer } from '../kit/federating-server.ts'
import { membersOf, roomPath as room, stateOf, syncedRooms, textsOf as texts } from '../kit/room-views.ts'
import { send as say } from '../kit/syncing.ts'
import { TestClient } from '../kit/test-client.ts'

async function pair(t: TestContext, create: object = {}, config = '') {
  const [here, there] = [await federatingServer(t, { config }), await federatingServer(t, { config })]
  const [alice, bob] = [await here.register('alice'), await there.register('bob')]
  const id = String((await alice.post('/createRoom', { preset: 'public_chat', room_alias_name: 'lobby', ...create }).ok())['room_id'])
  return { here, there, alice, bob, id, alias: `#lobby:${here.serverName}`, exchange: () => exchanged(here, there) }
}

/** Alice talks while the other server is away; it comes back, shows itself, and hears one event more. */
async function outage({ there, alice, bob, id, exchange }: Awaited<ReturnType<typeof pair>>, count: number): Promise<void> {
  there.door?.setOpen(false)
  for (let index = 0; index < count; index++) await say(alice, id, `away ${index}`)
  await exchange()
  there.door?.setOpen(true)
  await say(bob, id, 'sign of life')
  await exchange()
  await say(alice, id, 'after')
  await exchange()
}

for (const version of ['1', '6', '10', '11', '12']) {
  test(`room version ${version}: a join by alias, and messages both ways`, async (t) => {
    const { alice, bob, id, alias, exchange } = await pair(t, { room_version: version, name: 'Lobby' })
    await say(alice, id, 'before')
    assert.deepEqual(await bob.post(`/join/${encodeURIComponent(alias)}`, {}).ok(), { room_id: id })
    assert.deepEqual(await bob.get(`${room(id)}/state/m.room.name`).ok(), { name: 'Lobby' })
    await say(bob, id, 'from there')
    await exchange()
    await say(alice, id, 'from here')
    await exchange()
    assert.deepEqual((await texts(alice, id)).slice(0, 3), ['from here', 'from there', 'before'])
    assert.deepEqual((await texts(bob, id)).slice(0, 2), ['from here', 'from there'])
    assert.deepEqual(await membersOf(bob, id), { [alice.userId]: 'join', [bob.userId]: 'join' })
    assert.deepEqual(await membersOf(alice, id), await membersOf(bob, id))
  })
}

test('an invite is signed by both servers, shown with what is told of the room, and accepted', async (t) => {
  const { alice, bob, id, exchange } = await pair(t, { preset: 'private_chat', name: 'Secret' })
  await alice.post(`${room(id)}/invite`, { user_id: bob.userId }).ok()
  const invited = await syncedRooms(bob, 'invite')
  assert.match(JSON.stringify(invited[id]), /"name":"Secret"/)
  assert.match(JSON.stringify(invited[id]), new RegExp(`"membership":"invite"`))
  await bob.post(`/join/${encodeURIComponent(id)}`, {}).ok()
  await exchange()
  assert.deepEqual(Object.keys(await syncedRooms(bob, 'join')), [id])
  assert.deepEqual(await membersOf(alice, id), { [alice.userId]: 'join', [bob.userId]: 'join' })
})

test('an invite is refused, and the other server knows', async (t) => {
  const { alice, bob, id, exchange } = await pair(t, { preset: 'private_chat' })
  await alice.post(`${room(id)}/invite`, { user_id: bob.userId }).ok()
  await bob.post(`${room(id)}/leave`, {}).ok()
  await exchange()
  assert.deepEqual(await membersOf(alice, id), { [alice.userId]: 'join', [bob.userId]: 'leave' })
  assert.deepEqual(await syncedRooms(bob, 'invite'), {})
  await bob.post(`/join/${encodeURIComponent(id)}?via=${alice.userId.split(':').slice(1).join(':')}`, {}).fails(403, 'M_FORBIDDEN')
})

test('a room is made with users of another server invited', async (t) => {
  const { alice, bob, there, exchange } = await pair(t)
  const id = String((await alice.post('/createRoom', { preset: 'trusted_private_chat', invite: [bob.userId], is_direct: true }).ok())['room_id'])
  assert.match(JSON.stringify((await syncedRooms(bob, 'invite'))[id]), /"is_direct":true/)
  await bob.post(`/join/${encodeURIComponent(id)}`, {}).ok()
  await exchange()
  assert.deepEqual(await membersOf(alice, id), { [alice.userId]: 'join', [bob.userId]: 'join' })
  await alice.post('/createRoom', { invite: [`@nobody:${there.serverName}`] }).fails(404, 'M_FORBIDDEN')
})

test('users of another server whom a room brings are found in the user directory', async (t) => {
  const { alice, bob } = await pair(t)
  await alice.put(`/profile/${encodeURIComponent(alice.userId)}/displayname`, { displayname: 'Wonder Land' }).ok()
  const id = String((await alice.post('/createRoom', { preset: 'public_chat', invite: [bob.userId] }).ok())['room_id'])
  const found = async () => {
    const { results } = await bob.post('/user_directory/search', { search_term: 'wonder' }).ok()
    assert.ok(Array.isArray(results))
    return results.map((result) => result.user_id)
  }
  assert.deepEqual(await found(), [])
  await bob.post(`/join/${encodeURIComponent(id)}`, {}).ok()
  assert.deepEqual(await found(), [alice.userId])
})

test('what a user has set for a room follows them into its replacement, which another server has made', async (t) => {
  const { alice, bob, id, alias, exchange } = await pair(t)
  await bob.post(`/join/${encodeURIComponent(alias)}`, {}).ok()
  await bob.put(`/user/${encodeURIComponent(bob.userId)}${room(id)}/tags/m.favourite`, { order: 0.5 }).ok()
  const replacement = String((await alice.post(`${room(id)}/upgrade`, { new_version: '11' }).ok())['replacement_room'])
  await exchange()
  await bob.post(`/join/${encodeURIComponent(replacement)}?via=${alice.userId.split(':').slice(1).join(':')}`, {}).ok()
  assert.deepEqual(await bob.get(`/user/${encodeURIComponent(bob.userId)}${room(replacement)}/tags`).ok(), { tags: { 'm.favourite': { order: 0.5 } } })
})

test('an invite is taken back, and the invited user is shown it no more', async (t) => {
  const { alice, bob, id, exchange } = await pair(t, { preset: 'private_chat' })
  await alice.post(`${room(id)}/invite`, { user_id: bob.userId }).ok()
  await alice.post(`${room(id)}/kick`, { user_id: bob.userId, reason: 'a mistake' }).ok()
  await exchange()
  assert.deepEqual(await syncedRooms(bob, 'invite'), {})
  await alice.post(`${room(id)}/invite`, { user_id: bob.userId }).ok()
  await alice.post(`${room(id)}/ban`, { user_id: bob.userId }).ok()
  await exchange()
  assert.deepEqual(await syncedRooms(bob, 'invite'), {})
})

test('nobody from outside ends an invite', async (t) => {
  const { there, alice, bob, id } = await pair(t, { preset: 'private_chat', room_version: '11' })
  await alice.post(`${room(id)}/invite`, { user_id: bob.userId }).ok()
  const [remote, version] = [await FakeRemote.start(t), getRoomVersion('11')]
  assert.ok(version)
  const draft = { roomId: id as RoomId, type: 'm.room.member', stateKey: bob.userId, sender: `@eve:${remote.serverName}` as UserId, content: { membership: 'leave' }, originServerTs: 1 }
  const { event } = buildEvent(version, draft, { depth: 9, prevEventIds: [], authEventIds: [] }, { serverName: remote.serverName, key: remote.key })
  const { pdus } = await remote.send(there, 'PUT', '/_matrix/federation/v1/send/1', { origin: remote.serverName, origin_server_ts: 1, pdus: [event.pdu] }).ok()
  assert.deepEqual(pdus, { [event.eventId]: { error: 'This server is not in the room.' } })
  assert.deepEqual(Object.keys(await syncedRooms(bob, 'invite')), [id])
})

test('aliases and the listing of a room at one server lead to its replacement, which another server has made', async (t) => {
  const { here, there, alice, bob, id, alias, exchange } = await pair(
    t, { visibility: 'public', power_level_content_override: { users_default: 100 } }, 'room_list_publication_rules: [{action: allow}]\n',
  )
  await bob.post(`/join/${encodeURIComponent(alias)}`, {}).ok()
  const own = `/directory/room/${encodeURIComponent(`#theirs:${there.serverName}`)}`
  await bob.put(own, { room_id: id }).ok()
  await bob.put(`/directory/list/room/${encodeURIComponent(id)}`, { visibility: 'public' }).ok()
  const replacement = String((await alice.post(`${room(id)}/upgrade`, { new_version: '11' }).ok())['replacement_room'])
  await exchange()
  assert.equal((await bob.get(own).ok())['room_id'], id)
  await bob.post(`/join/${encodeURIComponent(replacement)}?via=${here.serverName}`, {}).ok()
  assert.equal((await bob.get(own).ok())['room_id'], replacement)
  for (const client of [alice, bob]) {
    const { chunk } = await client.get('/publicRooms').ok()
    assert.ok(Array.isArray(chunk))
    assert.deepEqual(chunk.map((entry) => entry.room_id), [replacement])
  }
})

test('what comes with an invite must be of the room, where the id of the room proves which one it is', async (t) => {
  const { here, there, alice, bob, id } = await pair(t, { preset: 'private_chat', room_version: '12' })
  const other = String((await alice.post('/createRoom', { room_version: '12' }).ok())['room_id'])
  const remote = await FakeRemote.start(t)
  const eve = await FakeMember.join(remote, here, String((await alice.post('/createRoom', { preset: 'public_chat', room_version: '12' }).ok())['room_id']), 'eve')
  const invite = eve.event({ type: 'm.room.member', stateKey: bob.userId, content: { membership: 'invite' } })
  const create = eve.state.get('m.room.create ')
  const path = `/_matrix/federation/v2/invite/${encodeURIComponent(eve.roomId)}/${encodeURIComponent(invite.eventId)}`
  const put = (state: readonly JsonObject[] | undefined) => {
    const body: JsonObject = { event: invite.pdu, room_version: '12', ...(state ? { invite_room_state: state } : {}) }
    // Not held against the description: it wants the event to have an `origin`, which events need not have.
    return new TestClient({ url: there.url }).send('PUT', path, body, { headers: remote.sign(there, 'PUT', path, body) })
  }
  assert.ok(create)
  const levels = eve.state.get('m.room.power_levels ')
  assert.ok(levels)
  await put(undefined).fails(400, 'M_INVALID_PARAM')
  await put([levels.pdu]).fails(400, 'M_INVALID_PARAM')
  await put([create.pdu, { ...levels.pdu, room_id: other }]).fails(400, 'M_INVALID_PARAM')
  await put([create.pdu, { ...levels.pdu, signatures: {} }]).fails(400, 'M_INVALID_PARAM')
  assert.deepEqual(await syncedRooms(bob, 'invite'), {})
  await put([create.pdu, levels.pdu]).ok()
  assert.deepEqual(Object.keys(await syncedRooms(bob, 'invite')), [eve.roomId])
  assert.notEqual(id, eve.roomId)
})

test('why another server does not take an invite', async (t) => {
  const { alice, id } = await pair(t, { preset: 'private_chat' })
  const remote = await FakeRemote.start(t)
  for (const [status, errcode, seen] of [
    [400, 'M_INCOMPATIBLE_ROOM_VERSION', '400 M_UNSUPPORTED_ROOM_VERSION'], [400, 'M_INVALID_PARAM', '502 M_CONNECTION_FAILED'], [403, 'M_INVITE_BLOCKED', '403 M_INVITE_BLOCKED'],
    [403, 'M_FORBIDDEN', '403 M_FORBIDDEN'], [500, 'M_UNKNOWN', '502 M_FORBIDDEN'],
  ] as const) {
    remote.onAny('PUT', (path) => path.startsWith('/_matrix/federation/v2/invite/'), () => [status, { errcode, error: 'No.' }])
    const reply = await alice.post(`${room(id)}/invite`, { user_id: `@eve:${remote.serverName}` })
    assert.equal(`${reply.status} ${String(reply.body['errcode'])}`, seen)
  }
})

test('a user who may not be invited is not', async (t) => {
  const { there, alice, bob, id } = await pair(t, { preset: 'private_chat' })
  await alice.post(`${room(id)}/invite`, { user_id: `@nobody:${there.serverName}` }).fails(404, 'M_FORBIDDEN')
  assert.deepEqual(await membersOf(alice, id), { [alice.userId]: 'join' })
  await bob.post(`/join/${encodeURIComponent(id)}?via=${alice.userId.split(':').slice(1).join(':')}`, {}).fails(403, 'M_FORBIDDEN')
})

test('leaving, and coming back to what happened meanwhile', async (t) => {
  const { alice, bob, id, alias, exchange } = await pair(t)
  await bob.post(`/join/${encodeURIComponent(alias)}`, {}).ok()
  await say(bob, id, 'one')
  await exchange()
  await bob.post(`${room(id)}/leave`, {}).ok()
  await exchange()
  assert.equal((await membersOf(alice, id))[bob.userId], 'leave')
  await alice.put(`${room(id)}/state/m.room.topic/`, { topic: 'meanwhile' }).ok()
  await say(alice, id, 'meanwhile')
  await bob.post(`/join/${encodeURIComponent(alias)}`, {}).ok()
  assert.deepEqual(await bob.get(`${room(id)}/state/m.room.topic`).ok(), { topic: 'meanwhile' })
  await say(bob, id, 'back')
  await exchange()
  assert.equal((await texts(alice, id))[0], 'back')
})

test('kicks and bans reach the other server, and are kept there', async (t) => {
  const { alice, bob, id, alias, exchange } = await pair(t)
  await bob.post(`/join/${encodeURIComponent(alias)}`, {}).ok()
  await exchange()
  await alice.post(`${room(id)}/ban`, { user_id: bob.userId, reason: 'spam' }).ok()
  await exchange()
  assert.deepEqual(Object.keys(await syncedRooms(bob, 'join')), [])
  await bob.put(`${room(id)}/send/m.room.message/x`, { msgtype: 'm.text', body: 'x' }).fails(403, 'M_FORBIDDEN')
  await bob.post(`/join/${encodeURIComponent(alias)}`, {}).fails(403, 'M_FORBIDDEN')
})

test('knocking from another server, and being let in', async (t) => {
  const { here, alice, bob, id, exchange } = await pair(t, { preset: 'private_chat', name: 'Club', initial_state: [{ type: 'm.room.join_rules', state_key: '', content: { join_rule: 'knock' } }] })
  await bob.post(`/knock/${encodeURIComponent(id)}?via=${here.serverName}`, { reason: 'please' }).ok()
  assert.match(JSON.stringify((await syncedRooms(bob, 'knock'))[id]), /"name":"Club"/)
  await exchange()
  assert.equal((await membersOf(alice, id))[bob.userId], 'knock')
  await alice.post(`${room(id)}/invite`, { user_id: bob.userId }).ok()
  await bob.post(`/join/${encodeURIComponent(id)}`, {}).ok()
  await exchange()
  assert.equal((await membersOf(alice, id))[bob.userId], 'join')
})

test('a knock is refused, and may be repeated', async (t) => {
  const { here, alice, bob, id, exchange } = await pair(t, { preset: 'private_chat', initial_state: [{ type: 'm.room.join_rules', state_key: '', content: { join_rule: 'knock' } }] })
  const knock = `/knock/${encodeURIComponent(id)}?via=${here.serverName}`
  await bob.post(knock, {}).ok()
  await exchange()
  await alice.post(`${room(id)}/kick`, { user_id: bob.userId }).ok()
  await exchange()
  assert.deepEqual(await syncedRooms(bob, 'knock'), {})
  await bob.post(knock, {}).ok()
  await exchange()
  assert.equal((await membersOf(alice, id))[bob.userId], 'knock')
})

test('a knock is taken back where the id of the room names no server', async (t) => {
  const { here, alice, bob, id, exchange } = await pair(t, { preset: 'private_chat', room_version: '12', initial_state: [{ type: 'm.room.join_rules', state_key: '', content: { join_rule: 'knock' } }] })
  await bob.post(`/knock/${encodeURIComponent(id)}?via=${here.serverName}`, {}).ok()
  await bob.post(`${room(id)}/leave`, {}).ok()
  await exchange()
  assert.equal((await membersOf(alice, id))[bob.userId], 'leave')
})

test('a restricted room lets in who is in the room that it names, with a signature of the server that vouches', async (t) => {
  const { here, alice, bob, id: lobby, alias, exchange } = await pair(t)
  const allow = [{ type: 'm.room_membership', room_id: lobby }]
  const id = String((await alice.post('/createRoom', { preset: 'private_chat', initial_state: [{ type: 'm.room.join_rules', state_key: '', content: { join_rule: 'restricted', allow } }] }).ok())['room_id'])
  const path = `/join/${encodeURIComponent(id)}?via=${here.serverName}`
  await bob.post(path, {}).fails(403, 'M_FORBIDDEN')
  await bob.post(`/join/${encodeURIComponent(alias)}`, {}).ok()
  await exchange()
  await bob.post(path, {}).ok()
  await exchange()
  assert.equal((await membersOf(alice, id))[bob.userId], 'join')
  await say(bob, id, 'in')
  await exchange()
  assert.equal((await texts(alice, id))[0], 'in')
})

test('redactions and edits reach the other server', async (t) => {
  const { alice, bob, id, alias, exchange } = await pair(t)
  await bob.post(`/join/${encodeURIComponent(alias)}`, {}).ok()
  const event = await say(alice, id, 'mistake')
  await alice.put(`${room(id)}/redact/${encodeURIComponent(event)}/r`, {}).ok()
  await exchange()
  const seen = await bob.get(`${room(id)}/event/${encodeURIComponent(event)}`).ok()
  assert.deepEqual(seen['content'], {})
})

test('a server that was away catches up on everything', async (t) => {
  const servers = await pair(t)
  const { alice, bob, id, alias, exchange } = servers
  await bob.post(`/join/${encodeURIComponent(alias)}`, {}).ok()
  await exchange()
  await outage(servers, 30)
  const seen = await texts(bob, id)
  assert.ok(seen.includes('after') && seen.includes('sign of life'))
  assert.deepEqual(seen.filter((text) => String(text).startsWith('away')).length > 15, true, 'the gap is closed as far as one request goes')
  assert.deepEqual(await membersOf(bob, id), await membersOf(alice, id))
})

test('an access control list keeps a server out', async (t) => {
  const { there, alice, bob, id, alias, exchange } = await pair(t)
  await bob.post(`/join/${encodeURIComponent(alias)}`, {}).ok()
  await exchange()
  await alice.put(`${room(id)}/state/m.room.server_acl/`, { allow: ['*'], deny: ['localhost'], allow_ip_literals: false }).ok()
  await say(bob, id, 'kept out')
  await exchange()
  assert.ok(!(await texts(alice, id)).includes('kept out'))
  assert.ok(there.serverName.startsWith('localhost'))
})

test('history from before a join, and from an outage, is fetched when somebody reads it', async (t) => {
  const servers = await pair(t)
  const { alice, bob, id, alias, exchange } = servers
  for (let count = 0; count < 130; count++) await say(alice, id, `old ${count}`)
  await bob.post(`/join/${encodeURIComponent(alias)}`, {}).ok()
  await exchange()
  await outage(servers, 60)
  const seen: unknown[] = []
  let from = ''
  for (let page = 0; page < 20; page++) {
    const { chunk, end } = await bob.get(`${room(id)}/messages?dir=b&limit=50${from}`).ok()
    assert.ok(Array.isArray(chunk))
    seen.push(...chunk)
    if (end === undefined) break
    from = `&from=${String(end)}`
  }
  const bodies = new Set(seen.map((event) => (event as { content: { body?: string } }).content.body))
  for (let count = 0; count < 130; count++) assert.ok(bodies.has(`old ${count}`), `old ${count}`)
  for (let count = 0; count < 60; count++) assert.ok(bodies.has(`away ${count}`), `away ${count}`)
  assert.deepEqual((seen.at(-1) as { type: string }).type, 'm.room.create')
  assert.equal(new Set(seen.map((event) => (event as { event_id: string }).event_id)).size, seen.length, 'no event comes twice')
})

test('history that was not to be seen by those who come later stays hidden', async (t) => {
  const { alice, bob, id, alias, exchange } = await pair(t, { initial_state: [{ type: 'm.room.history_visibility', state_key: '', content: { history_visibility: 'joined' } }] })
  await say(alice, id, 'secret')
  await bob.post(`/join/${encodeURIComponent(alias)}`, {}).ok()
  await exchange()
  await say(alice, id, 'open')
  await exchange()
  assert.deepEqual(await texts(bob, id), ['open'])
})

test('another server asks for the event nearest to a time, as far as it may see it, and how large a room is', async (t) => {
  const { here, alice, id } = await pair(t)
  const remote = await FakeRemote.start(t)
  await say(alice, id, 'early')
  await alice.put(`${room(id)}/state/m.room.history_visibility/`, { history_visibility: 'joined' }).ok()
  const hidden = await say(alice, id, 'hidden')
  const eve = await FakeMember.join(remote, here, id, 'eve')
  const seen = await say(alice, id, 'seen')
  const ask = (ts: number, dir: string) => remote.send(here, 'GET', `/_matrix/federation/v1/timestamp_to_event/${encodeURIComponent(id)}?ts=${ts}&dir=${dir}`).ok()
  assert.equal((await ask(0, 'f'))['event_id'], eve.state.get('m.room.create ')?.eventId)
  assert.equal((await ask(Date.now() + 1000, 'b'))['event_id'], seen)
  const { origin_server_ts: ts } = await alice.get(`${room(id)}/event/${encodeURIComponent(hidden)}`).ok()
  assert.notEqual((await ask(Number(ts), 'f'))['event_id'], hidden)
  const { v1 } = await remote.send(here, 'GET', `/_matrix/federation/unstable/rooms/${encodeURIComponent(id)}/complexity`).ok()
  assert.equal(v1, Object.keys(await stateOf(alice, id)).length / 500)
})
