/** New users and the rooms of auto_join_rooms. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestClient } from '../../../test/kit/test-client.ts'
import { testServer } from '../../../test/kit/test-server.ts'

const lobby = '#lobby:test.example'
const rooms = `auto_join_rooms: ["${lobby}"]\n`

async function joined(client: TestClient): Promise<unknown[]> {
  const list = (await client.get('/joined_rooms').ok())['joined_rooms']
  assert.ok(Array.isArray(list))
  return list
}

async function lobbyOf(client: TestClient): Promise<unknown> {
  return (await client.get(`/directory/room/${encodeURIComponent(lobby)}`).ok())['room_id']
}

function state(client: TestClient, room: unknown, type: string): Promise<Readonly<Record<string, unknown>>> {
  return client.get(`/rooms/${encodeURIComponent(String(room))}/state/${type}/`).ok()
}

test('the first user makes the room, everybody joins it', async (t) => {
  const server = await testServer(t, { config: rooms })
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const room = await lobbyOf(alice)
  assert.deepEqual([await joined(alice), await joined(bob)], [[room], [room]])
  assert.equal((await state(alice, room, 'm.room.join_rules'))['join_rule'], 'public')
  assert.equal((await state(alice, room, 'm.room.create'))['m.federate'], undefined)
  assert.deepEqual(server.errors, [])
})

test('users who register at the same time make one room', async (t) => {
  const server = await testServer(t, { config: rooms })
  const users = await Promise.all(['a1', 'a2', 'a3', 'a4'].map((name) => server.register(name)))
  const room = await lobbyOf(users[0] ?? server.anonymous())
  for (const user of users) assert.deepEqual(await joined(user), [room])
})

test('a private room is made by the configured user, who invites', async (t) => {
  const config = `${rooms}autocreate_auto_join_room_preset: private_chat\nauto_join_mxid_localpart: host\nautocreate_auto_join_rooms_federated: false\n`
  const server = await testServer(t, { config })
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const room = await lobbyOf(alice)
  assert.deepEqual([await joined(alice), await joined(bob)], [[room], [room]])
  assert.equal((await state(bob, room, 'm.room.join_rules'))['join_rule'], 'invite')
  assert.equal((await state(bob, room, 'm.room.create'))['m.federate'], false)
  const members = (await bob.get(`/rooms/${encodeURIComponent(String(room))}/joined_members`).ok())['joined'] ?? {}
  assert.deepEqual(Object.keys(members).sort(), ['@alice:test.example', '@bob:test.example', '@host:test.example'])
})

test('a room that is missing and not to be made stops no registration', async (t) => {
  const server = await testServer(t, { config: `auto_join_rooms: ["${lobby}", "#far:elsewhere.example"]\nautocreate_auto_join_rooms: false\n` })
  assert.deepEqual(await joined(await server.register('alice')), [])
})

test('guests join where the room takes guests and the operator wants it', async (t) => {
  for (const wanted of [true, false]) {
    await t.test(`auto_join_rooms_for_guests: ${wanted}`, async (t) => {
      const server = await testServer(t, { config: `${rooms}auto_join_rooms_for_guests: ${wanted}\n` })
      assert.deepEqual(await joined(await server.guest()), [])
      const alice = await server.register('alice')
      const room = await lobbyOf(alice)
      await alice.put(`/rooms/${encodeURIComponent(String(room))}/state/m.room.guest_access/`, { guest_access: 'can_join' }).ok()
      assert.deepEqual(await joined(await server.guest()), wanted ? [room] : [])
    })
  }
})
