/** Server notices at the HTTP door: the rooms, who may do what in them, and the endpoints of administrators. */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { ConfigError } from '#platform/config/fault.ts'
import { writeHomeserverYaml } from '#test/kit/homeserver-yaml.ts'
import type { TestClient } from '#test/kit/test-client.ts'
import { startTestServer, testServer } from '#test/kit/test-server.ts'

const config = `server_notices:
  system_mxid_localpart: notices
  system_mxid_display_name: The server
  system_mxid_avatar_url: mxc://test.example/face
  room_name: From the server
  room_avatar_url: mxc://test.example/room
  room_topic: What you should know
`
const notices = '@notices:test.example'
const path = '/_synapse/admin/v1/send_server_notice'
const at = (room: string, rest: string): string => `/rooms/${encodeURIComponent(room)}${rest}`
const notice = (user: string, body: string, more: object = {}) => ({ user_id: user, content: { msgtype: 'm.text', body }, ...more })

interface Synced {
  readonly account: Record<string, unknown>
  readonly rooms?: {
    readonly invite?: Record<string, { invite_state: { events: { type: string; state_key: string; sender: string; content: Record<string, unknown> }[] } }>
    readonly join?: Record<string, { timeline: { events: { content: { body?: string } }[] }; account_data: { events: { type: string; content: unknown }[] } }>
  }
}

async function sync(client: TestClient): Promise<Synced> {
  return JSON.parse((await client.get('/sync')).text)
}

/** The one room that a user is invited to. */
async function invitedTo(client: TestClient): Promise<string> {
  const rooms = Object.keys((await sync(client)).rooms?.invite ?? {})
  assert.equal(rooms.length, 1)
  return rooms[0] ?? ''
}

test('a notice invites its user to a room that only the server writes to', async (t) => {
  const server = await testServer(t, { config: `${config}encryption_enabled_by_default_for_room_type: all\nblock_non_admin_invites: true\n` })
  const [admin, alice] = [await server.admin(), await server.register('alice')]
  const sent = await admin.post(path, notice(alice.userId, 'Tonight there is no server.')).ok()
  const room = await invitedTo(alice)
  const state = (await sync(alice)).rooms?.invite?.[room]?.invite_state.events ?? []
  const shown = (type: string) => state.find((event) => event.type === type)?.content
  assert.equal(shown('m.room.name')?.['name'], 'From the server')
  assert.equal(shown('m.room.avatar')?.['url'], 'mxc://test.example/room')
  assert.equal(shown('m.room.topic')?.['topic'], 'What you should know')
  assert.equal(shown('m.room.encryption'), undefined)
  const own = state.find((event) => event.type === 'm.room.member' && event.state_key === alice.userId)
  assert.deepEqual([own?.content['membership'], own?.sender], ['invite', notices])
  assert.deepEqual((await alice.get(`/user/${alice.userId}${at(room, '/tags')}`).ok())['tags'], { 'm.server_notice': {} })

  await alice.post(`/join/${encodeURIComponent(room)}`, {}).ok()
  const joined = (await sync(alice)).rooms?.join?.[room]
  assert.equal(joined?.timeline.events.at(-2)?.content.body, 'Tonight there is no server.')
  assert.equal((await alice.get(at(room, `/event/${String(sent['event_id'])}`)).ok())['sender'], notices)
  assert.deepEqual(await alice.get(`/profile/${notices}`).ok(), { displayname: 'The server', avatar_url: 'mxc://test.example/face' })
  await alice.put(at(room, '/send/m.room.message/1'), { msgtype: 'm.text', body: 'No.' }).fails(403, 'M_FORBIDDEN')
  await alice.post(at(room, '/invite'), { user_id: admin.userId }).fails(403, 'M_FORBIDDEN')
})

test('the invite cannot be rejected; the room can be left, and the next notice makes another', async (t) => {
  const server = await testServer(t, { config })
  const [admin, alice, bob] = [await server.admin(), await server.register('alice'), await server.register('bob')]
  await admin.post(path, notice(alice.userId, 'One')).ok()
  await admin.post(path, notice(alice.userId, 'Two')).ok()
  const room = await invitedTo(alice)
  await alice.post(at(room, '/leave'), {}).fails(403, 'M_CANNOT_LEAVE_SERVER_NOTICE_ROOM')
  await alice.put(at(room, '/leave/txn'), {}).fails(403, 'M_CANNOT_LEAVE_SERVER_NOTICE_ROOM')
  await alice.put(at(room, `/state/m.room.member/${alice.userId}`), { membership: 'leave' }).fails(403, 'M_CANNOT_LEAVE_SERVER_NOTICE_ROOM')
  assert.equal(await invitedTo(alice), room)

  const common = String((await bob.post('/createRoom', { invite: [alice.userId] }).ok())['room_id'])
  await alice.post(at(common, '/leave'), {}).ok()

  await alice.post(at(room, '/join'), {}).ok()
  await alice.post(at(room, '/leave'), {}).ok()
  await admin.post(path, notice(alice.userId, 'Three')).ok()
  assert.notEqual(await invitedTo(alice), room)
})

test('who deactivates their account leaves the invite as well', async (t) => {
  const server = await testServer(t, { config })
  const [admin, alice] = [await server.admin(), await server.register('alice')]
  await admin.post(path, notice(alice.userId, 'One')).ok()
  const room = await invitedTo(alice)
  const auth = { type: 'm.login.password', identifier: { type: 'm.id.user', user: 'alice' }, password: 'password-of-alice' }
  await alice.post('/account/deactivate', { auth }).ok()
  await server.services.accounts.settled()
  const known = await server.services.rooms.require(room)
  assert.equal((await server.services.memberships.of(known, alice.userId))?.membership, 'leave')
  await admin.post(path, notice(alice.userId, 'Two')).fails(404, 'M_NOT_FOUND')
})

test('notices of a kind and state, once for each transaction id, one room for notices that come at once', async (t) => {
  const server = await testServer(t, { config: `${config}  auto_join: true\n` })
  const [admin, alice] = [await server.admin(), await server.register('alice')]
  await Promise.all(['One', 'Two', 'Three'].map((body) => admin.post(path, notice(alice.userId, body)).ok()))
  const [room = '', ...others] = Object.keys((await sync(alice)).rooms?.join ?? {})
  assert.equal(others.length, 0)
  const first = await admin.put(`${path}/t1`, notice(alice.userId, 'Four')).ok()
  assert.deepEqual(await admin.put(`${path}/t1`, notice(alice.userId, 'Four')).ok(), first)
  assert.notDeepEqual(await admin.put(`${path}/t2`, notice(alice.userId, 'Five')).ok(), first)
  await admin.post(path, { user_id: alice.userId, type: 'm.room.pinned_events', state_key: '', content: { pinned: [first['event_id']] } }).ok()
  assert.deepEqual(await alice.get(at(room, '/state/m.room.pinned_events')).ok(), { pinned: [first['event_id']] })
  await admin.post(path, { user_id: alice.userId, type: 'org.example.kind', content: { n: 1 } }).ok()
  const chunk = (await alice.get(at(room, '/messages?dir=b&limit=1')).ok())['chunk']
  assert.ok(Array.isArray(chunk) && chunk[0].type === 'org.example.kind')
})

test('guests get notices', async (t) => {
  const server = await testServer(t, { config })
  const [admin, guest] = [await server.admin(), await server.guest()]
  await admin.post(path, notice(guest.userId, 'Welcome')).ok()
  await guest.post(`/join/${encodeURIComponent(await invitedTo(guest))}`, {}).ok()
})

test('only administrators send notices, to users of this server, and only where notices are on', async (t) => {
  const server = await testServer(t, { config })
  const [admin, alice] = [await server.admin(), await server.register('alice')]
  await alice.post(path, notice(alice.userId, 'x')).fails(403, 'M_FORBIDDEN')
  await server.anonymous().post(path, notice(alice.userId, 'x')).fails(401, 'M_MISSING_TOKEN')
  await admin.post(path, notice('@nobody:test.example', 'x')).fails(404, 'M_NOT_FOUND')
  await admin.post(path, notice('@alice:other.example', 'x')).fails(400, 'M_INVALID_PARAM')
  await admin.post(path, { user_id: alice.userId }).fails(400, 'M_MISSING_PARAM')
  await admin.post(path, { user_id: alice.userId, content: 'x' }).fails(400, 'M_BAD_JSON')
  await admin.post(path, notice(alice.userId, 'x'.repeat(70_000))).fails(413, 'M_TOO_LARGE')
  await server.anonymous().post('/register', { username: 'notices', password: 'mine', auth: { type: 'm.login.dummy' } }).fails(400, 'M_USER_IN_USE')

  const silent = await testServer(t)
  const refusal = await (await silent.admin()).post(path, notice('@admin:test.example', 'x')).fails(400, 'M_UNKNOWN')
  assert.equal(refusal['error'], 'Server notices are not enabled on this server')
})

test('after a change of the configuration, sender and rooms are shown as they are configured now', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'myelin-test-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const before = await writeHomeserverYaml(t, folder, { config })
  const first = await startTestServer(t, folder, before)
  const [admin, alice] = [await first.admin(), await first.register('alice')]
  await admin.post(path, notice(alice.userId, 'One')).ok()
  const room = await invitedTo(alice)
  await alice.post(at(room, '/join'), {}).ok()
  await first.services.dispose()

  writeFileSync(before, readFileSync(before, 'utf8').replace('From the server', 'Renamed').replace('The server', 'Its voice').replace(/ {2}room_topic:.*\n/, ''))
  const second = await startTestServer(t, folder, before)
  await admin.at(second.url).post(path, notice(alice.userId, 'Two')).ok()
  const reader = alice.at(second.url)
  assert.deepEqual(await reader.get(at(room, '/state/m.room.name')).ok(), { name: 'Renamed' })
  assert.equal((await reader.get(at(room, '/state/m.room.topic')).ok())['topic'], '')
  assert.equal((await reader.get(`/profile/${notices}/displayname`).ok())['displayname'], 'Its voice')
  assert.deepEqual(Object.keys((await sync(reader)).rooms?.join ?? {}), [room])
})

test('a configuration without a possible sender is refused', async (t) => {
  for (const wrong of ['server_notices: {room_name: x}\n', 'server_notices: {system_mxid_localpart: "The Server"}\n']) {
    await assert.rejects(testServer(t, { config: wrong }), (error) => error instanceof ConfigError && /server_notices/.test(error.message))
  }
})
