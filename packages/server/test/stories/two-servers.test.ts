/** What users of one server see of another one, by real requests between two of ours. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { FakeRemote } from '../kit/fake-remote.ts'
import { exchanged, federatingServer } from '../kit/federating-server.ts'
import type { TestClient } from '../kit/test-client.ts'
import { deviceKeys, newKey } from '#features/keys/fixture-keys.ts'

async function pair(t: TestContext, config = '') {
  const [here, there] = [await federatingServer(t), await federatingServer(t, { config })]
  return { here, there, alice: await here.register('alice'), bob: await there.register('bob') }
}

test('profiles', async (t) => {
  const { here, there, alice, bob } = await pair(t)
  await bob.put(`/profile/${bob.userId}/m.tz`, { 'm.tz': 'Europe/Berlin' }).ok()
  assert.deepEqual(await alice.get(`/profile/${bob.userId}`).ok(), { displayname: 'bob', 'm.tz': 'Europe/Berlin' })
  assert.deepEqual(await alice.get(`/profile/${bob.userId}/displayname`).ok(), { displayname: 'bob' })
  await alice.get(`/profile/@nobody:${there.serverName}`).fails(404, 'M_NOT_FOUND')
  const remote = await FakeRemote.start(t)
  const path = (userId: string, field = ''): string => `/_matrix/federation/v1/query/profile?user_id=${encodeURIComponent(userId)}${field}`
  assert.deepEqual(await remote.send(here, 'GET', path(alice.userId, '&field=displayname')).ok(), { displayname: 'alice' })
  assert.deepEqual(await remote.send(here, 'GET', path(alice.userId, '&field=avatar_url')).ok(), {})
  await remote.send(here, 'GET', path(bob.userId)).fails(404, 'M_NOT_FOUND')
  await remote.send(here, 'GET', path('x')).fails(400, 'M_INVALID_PARAM')
  await remote.send(here, 'GET', '/_matrix/federation/v1/query/profile').fails(400, 'M_MISSING_PARAM')
})

test('profiles that a server does not show to others', async (t) => {
  const { alice, bob } = await pair(t, 'allow_profile_lookup_over_federation: false\n')
  await alice.get(`/profile/${bob.userId}`).fails(404, 'M_NOT_FOUND')
})

test('aliases', async (t) => {
  const { here, there, alice, bob } = await pair(t)
  const room = String((await bob.post('/createRoom', { room_alias_name: 'lobby' }).ok())['room_id'])
  const alias = encodeURIComponent(`#lobby:${there.serverName}`)
  assert.deepEqual(await alice.get(`/directory/room/${alias}`).ok(), { room_id: room, servers: [there.serverName] })
  await alice.get(`/directory/room/${encodeURIComponent(`#none:${there.serverName}`)}`).fails(404, 'M_NOT_FOUND')
  const remote = await FakeRemote.start(t)
  await remote.send(here, 'GET', `/_matrix/federation/v1/query/directory?room_alias=${alias}`).fails(404, 'M_NOT_FOUND')
  await remote.send(here, 'GET', '/_matrix/federation/v1/query/directory?room_alias=x').fails(400, 'M_INVALID_PARAM')
  await remote.send(here, 'GET', '/_matrix/federation/v1/query/directory').fails(400, 'M_MISSING_PARAM')
  remote.on('GET', '/_matrix/federation/v1/query/directory', () => ({ room_id: 'x', servers: [] }))
  await alice.get(`/directory/room/${encodeURIComponent(`#odd:${remote.serverName}`)}`).fails(404, 'M_NOT_FOUND')
})

test('published rooms, page by page', async (t) => {
  const { there, alice, bob } = await pair(t, 'allow_public_rooms_over_federation: true\nroom_list_publication_rules: [{action: allow}]\n')
  for (const name of ['one', 'two', 'three']) await bob.post('/createRoom', { name, visibility: 'public' }).ok()
  const list = async (body: object): Promise<Readonly<Record<string, unknown>>> => alice.post(`/publicRooms?server=${there.serverName}`, body).ok()
  const names = ({ chunk }: Readonly<Record<string, unknown>>): unknown[] => (Array.isArray(chunk) ? chunk.map((room) => room.name) : [])
  const first = await list({ limit: 2 })
  const second = await list({ limit: 2, since: first['next_batch'] })
  assert.deepEqual([...names(first), ...names(second)].sort(), ['one', 'three', 'two'])
  assert.deepEqual(names(await list({ filter: { generic_search_term: 'TWO' } })), ['two'])
  assert.equal(names(await alice.get(`/publicRooms?server=${there.serverName}&limit=5`).ok()).length, 3)
  const remote = await FakeRemote.start(t)
  const page = await remote.send(there, 'GET', '/_matrix/federation/v1/publicRooms?limit=1').ok()
  assert.equal(names(page).length, 1)
  remote.on('POST', '/_matrix/federation/v1/publicRooms', () => ({ chunk: [{ room_id: '!a:b', num_joined_members: 1, world_readable: true, guest_can_join: true }, 5, {}], more: 1 }))
  assert.deepEqual((await alice.post(`/publicRooms?server=${remote.serverName}`, {}).ok())['chunk'], [{ room_id: '!a:b', num_joined_members: 1, world_readable: true, guest_can_join: true }])
  remote.on('POST', '/_matrix/federation/v1/publicRooms', () => ({ rooms: [] }))
  await alice.post(`/publicRooms?server=${remote.serverName}`, {}).fails(502, 'M_CONNECTION_FAILED')
})

test('published rooms that a server does not show to others', async (t) => {
  const { there, alice } = await pair(t)
  await alice.post(`/publicRooms?server=${there.serverName}`, {}).fails(403, 'M_FORBIDDEN')
})

test('devices and their keys', async (t) => {
  const { here, there, alice, bob } = await pair(t)
  const keys = deviceKeys(bob.userId, bob.deviceId, newKey())
  await bob.post('/keys/upload', { device_keys: keys, one_time_keys: { 'signed_curve25519:AAAA': { key: 'x'.repeat(43), signatures: {} } } }).ok()
  await bob.put(`/devices/${bob.deviceId}`, { display_name: 'secret name' }).ok()
  const answer = await alice.post('/keys/query', { device_keys: { [bob.userId]: [] } }).ok()
  assert.deepEqual(answer['failures'], {})
  assert.deepEqual(answer['device_keys'], { [bob.userId]: { [bob.deviceId]: { ...keys, unsigned: {} } } })
  const claim = { one_time_keys: { [bob.userId]: { [bob.deviceId]: 'signed_curve25519' } } }
  assert.deepEqual((await alice.post('/keys/claim', claim).ok())['one_time_keys'], { [bob.userId]: { [bob.deviceId]: { 'signed_curve25519:AAAA': { key: 'x'.repeat(43), signatures: {} } } } })
  assert.deepEqual((await alice.post('/keys/claim', claim).ok())['one_time_keys'], {})

  const remote = await FakeRemote.start(t)
  const devices = await remote.send(there, 'GET', `/_matrix/federation/v1/user/devices/${encodeURIComponent(bob.userId)}`).ok()
  assert.deepEqual({ ...devices, stream_id: 0 }, { user_id: bob.userId, stream_id: 0, devices: [{ device_id: bob.deviceId, keys }] })
  await remote.send(here, 'GET', `/_matrix/federation/v1/user/devices/${encodeURIComponent(bob.userId)}`).fails(400, 'M_INVALID_PARAM')
  await remote.send(here, 'GET', `/_matrix/federation/v1/user/devices/@none:${here.serverName}`).fails(404, 'M_NOT_FOUND')
  await remote.send(here, 'POST', '/_matrix/federation/v1/user/keys/query', { device_keys: { [bob.userId]: [] } }).fails(400, 'M_INVALID_PARAM')
  await remote.send(here, 'POST', '/_matrix/federation/v1/user/keys/query', { device_keys: { [alice.userId]: 5 } }).fails(400, 'M_BAD_JSON')
  await remote.send(here, 'POST', '/_matrix/federation/v1/user/keys/query', {}).fails(400, 'M_MISSING_PARAM')
  await remote.send(here, 'POST', '/_matrix/federation/v1/user/keys/claim', { one_time_keys: { [bob.userId]: {} } }).fails(400, 'M_INVALID_PARAM')
  await remote.send(here, 'POST', '/_matrix/federation/v1/user/keys/claim', { one_time_keys: { [alice.userId]: [] } }).fails(400, 'M_BAD_JSON')
  await remote.send(here, 'POST', '/_matrix/federation/v1/user/keys/claim', {}).fails(400, 'M_MISSING_PARAM')
})

test('device names, where a server shows them to others', async (t) => {
  const { there, alice, bob } = await pair(t, 'allow_device_name_lookup_over_federation: true\n')
  await bob.post('/keys/upload', { device_keys: deviceKeys(bob.userId, bob.deviceId, newKey()) }).ok()
  await bob.put(`/devices/${bob.deviceId}`, { display_name: 'Telephone' }).ok()
  const answer = JSON.stringify(await alice.post('/keys/query', { device_keys: { [bob.userId]: [] } }).ok())
  assert.match(answer, /"device_display_name":"Telephone"/)
  const remote = await FakeRemote.start(t)
  const devices = await remote.send(there, 'GET', `/_matrix/federation/v1/user/devices/${encodeURIComponent(bob.userId)}`).ok()
  assert.match(JSON.stringify(devices), /"device_display_name":"Telephone"/)
})

test('what a server says of devices that are not its own is dropped', async (t) => {
  const { alice } = await pair(t)
  const remote = await FakeRemote.start(t)
  const [eve, bob] = [`@eve:${remote.serverName}`, '@bob:elsewhere.example']
  const device = (userId: string, deviceId: string) => ({ user_id: userId, device_id: deviceId, keys: {}, algorithms: [], signatures: {} })
  remote.on('POST', '/_matrix/federation/v1/user/keys/query', () => ({
    device_keys: { [eve]: { E: device(eve, 'E'), F: device(eve, 'E'), G: device(bob, 'G'), H: 5 }, [bob]: { B: device(bob, 'B') } },
    master_keys: { [eve]: { user_id: bob, usage: ['master'], keys: {} } }, self_signing_keys: 5,
  }))
  const answer = await alice.post('/keys/query', { device_keys: { [eve]: [] } }).ok()
  assert.deepEqual(answer['device_keys'], { [eve]: { E: device(eve, 'E') } })
  assert.deepEqual(answer['master_keys'], {})
})

const space = { creation_content: { type: 'm.space' }, preset: 'public_chat', room_version: '11' }
const encoded = encodeURIComponent

async function rooms(client: TestClient, id: string, query = ''): Promise<Readonly<Record<string, unknown>>[]> {
  const { rooms: list } = await client.get(`/_matrix/client/v1/rooms/${encoded(id)}/hierarchy${query}`).ok()
  return Array.isArray(list) ? list : []
}

test('spaces of another server, as far as a user may see them', async (t) => {
  const { here, there, alice, bob } = await pair(t)
  const make = async (name: string, more: object = {}): Promise<string> => String((await bob.post('/createRoom', { preset: 'public_chat', room_version: '11', name, ...more }).ok())['room_id'])
  const [root, inner, leaf, hidden] = [await make('root', space), await make('inner', space), await make('leaf'), await make('hidden', { preset: 'private_chat' })]
  const restricted = await make('restricted', { initial_state: [{ type: 'm.room.join_rules', state_key: '', content: { join_rule: 'restricted', allow: [{ type: 'm.room_membership', room_id: root }] } }] })
  const child = (parent: string, id: string, content: object) => bob.put(`/rooms/${encoded(parent)}/state/m.space.child/${encoded(id)}`, { via: [there.serverName], ...content }).ok()
  await child(root, inner, { order: 'a', suggested: true })
  await child(root, restricted, { order: 'b' })
  await child(root, hidden, { order: 'c' })
  await child(root, '!unknown:elsewhere.example', { order: 'd' })
  await child(inner, leaf, {})
  const names = async (query = ''): Promise<unknown[]> => (await rooms(alice, root, query)).map((entry) => entry['name'])
  assert.deepEqual(await names(), ['root', 'inner', 'leaf'])
  assert.deepEqual(await names('?max_depth=1'), ['root', 'inner'])
  assert.deepEqual(await names('?suggested_only=true'), ['root', 'inner'])
  const [entry] = await rooms(alice, root)
  assert.deepEqual([entry?.['room_type'], entry?.['num_joined_members'], entry?.['join_rule'], entry?.['room_version']], ['m.space', 1, 'public', '11'])
  assert.equal(JSON.stringify(entry?.['children_state']).includes(hidden), true)
  await alice.post(`/join/${encoded(root)}?via=${there.serverName}`, {}).ok()
  await exchanged(here, there)
  await alice.post(`/join/${encoded(inner)}?via=${there.serverName}`, {}).ok()
  assert.deepEqual(await names(), ['root', 'inner', 'leaf', 'restricted'])
  const remote = await FakeRemote.start(t)
  const path = (id: string): string => `/_matrix/federation/v1/hierarchy/${encoded(id)}`
  const answer = await remote.send(there, 'GET', path(root)).ok()
  assert.deepEqual([answer['inaccessible_children'], JSON.stringify(answer['children']).includes('inner')], [[restricted, hidden], true])
  await remote.send(there, 'GET', path(hidden)).fails(404, 'M_NOT_FOUND')
  await remote.send(there, 'GET', path('!none:x')).fails(404, 'M_NOT_FOUND')
  await remote.send(there, 'GET', path('none')).fails(400, 'M_INVALID_PARAM')
  await remote.send(there, 'GET', `${path(root)}?suggested_only=perhaps`).fails(400, 'M_INVALID_PARAM')
  assert.deepEqual((await remote.send(there, 'GET', `${path(root)}?suggested_only=true`).ok())['inaccessible_children'], [])
})

test('hierarchies of servers that answer nonsense', async (t) => {
  const { alice } = await pair(t)
  const remote = await FakeRemote.start(t)
  const id = `!space:${remote.serverName}`
  const good = { room_id: id, num_joined_members: 3, world_readable: true, guest_can_join: 'yes', name: 5, topic: 'T', room_type: 'm.space', extra: {}, children_state: [5, {}, { type: 'm.space.child', state_key: '!x:x', sender: '@a:x', content: {} }] }
  for (const [n, body] of [{}, { room: 5 }, { room: { ...good, room_id: '!other:x' } }, { room: { ...good, num_joined_members: 'many' } }, { room: { ...good, world_readable: false, join_rule: 'invite' } }].entries()) {
    remote.on('GET', `/_matrix/federation/v1/hierarchy/${encoded(`!bad${n}:${remote.serverName}`)}`, () => body)
    await alice.get(`/_matrix/client/v1/rooms/${encoded(`!bad${n}:${remote.serverName}`)}/hierarchy`).fails(403, 'M_FORBIDDEN')
  }
  remote.on('GET', `/_matrix/federation/v1/hierarchy/${encoded(id)}`, () => ({ room: good, children: [5, {}], inaccessible_children: 5 }))
  assert.deepEqual(await rooms(alice, id), [{ room_id: id, num_joined_members: 3, world_readable: true, guest_can_join: false, join_rule: 'public', topic: 'T', room_type: 'm.space', children_state: [] }])
  await rooms(alice, id)
  assert.equal(remote.count(`/_matrix/federation/v1/hierarchy/${encoded(id)}`), 1)
})
