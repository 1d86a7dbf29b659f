/** What follows from events of rooms: guests leave, invites are accepted, profiles stay the same everywhere. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { writeHomeserverYaml } from '../../../test/kit/homeserver-yaml.ts'
import type { TestClient } from '../../../test/kit/test-client.ts'
import { startTestServer, testServer } from '../../../test/kit/test-server.ts'

const at = (room: string): string => `/rooms/${encodeURIComponent(room)}`
const joined = async (client: TestClient): Promise<unknown> => (await client.get('/joined_rooms').ok())['joined_rooms']
const memberPath = (room: string, userId: string): string => `${at(room)}/state/m.room.member/${encodeURIComponent(userId)}`

test('guests leave a room that takes no guests any more, the others stay', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom()
  await alice.put(`${at(room)}/state/m.room.guest_access/`, { guest_access: 'can_join' }).ok()
  const guest = await server.guest()
  await guest.post(`${at(room)}/join`, {}).ok()
  await server.services.membershipConsequences.caughtUp()
  assert.deepEqual(await joined(guest), [room])
  await alice.put(`${at(room)}/state/m.room.guest_access/`, { guest_access: 'forbidden' }).ok()
  await server.services.membershipConsequences.caughtUp()
  assert.deepEqual(await joined(guest), [])
  assert.deepEqual(await joined(bob), [room])
  assert.equal((await alice.get(memberPath(room, guest.userId)).ok())['membership'], 'leave')
  await guest.put(memberPath(room, guest.userId), { membership: 'join' }).fails(403, 'M_GUEST_ACCESS_FORBIDDEN')
})

test('a restart between the event and its consequence loses nothing', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'myelin-test-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const config = await writeHomeserverYaml(t, folder)
  const first = await startTestServer(t, folder, config)
  const { alice, room } = await first.withRoom()
  await alice.put(`${at(room)}/state/m.room.guest_access/`, { guest_access: 'can_join' }).ok()
  const guest = await first.guest()
  await guest.post(`${at(room)}/join`, {}).ok()
  await first.services.membershipConsequences.stop()
  await alice.put(`${at(room)}/state/m.room.guest_access/`, {}).ok()
  assert.deepEqual(await joined(guest), [room])
  const second = await startTestServer(t, folder, config)
  await second.services.membershipConsequences.caughtUp()
  assert.deepEqual(await joined(guest.at(second.url)), [])
})

test('invites are accepted where the options say so', async (t) => {
  const cases = [
    { options: 'enabled: true', isDirect: false, joins: true },
    { options: 'enabled: false', isDirect: true, joins: false },
    { options: 'enabled: true, only_for_direct_messages: true', isDirect: false, joins: false },
    { options: 'enabled: true, only_for_direct_messages: true, only_from_local_users: true', isDirect: true, joins: true },
  ]
  for (const { options, isDirect, joins } of cases) {
    await t.test(`${options}, is_direct: ${isDirect}`, async (t) => {
      const server = await testServer(t, { config: `auto_accept_invites: {${options}}\n` })
      const [alice, bob] = [await server.register('alice'), await server.register('bob')]
      const room = String((await alice.post('/createRoom', { invite: [bob.userId], is_direct: isDirect }).ok())['room_id'])
      await server.services.membershipConsequences.caughtUp()
      assert.deepEqual(await joined(bob), joins ? [room] : [])
      assert.deepEqual(server.errors, [])
    })
  }
})

test('invites to users who are suspended or do not exist are left alone', async (t) => {
  const server = await testServer(t, { config: 'auto_accept_invites: {enabled: true}\n' })
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  await server.services.accounts.setFlags((await server.services.accounts.require(bob.userId)).userId, { isSuspended: true })
  await alice.post('/createRoom', { invite: [bob.userId, '@nobody:test.example'] }).ok()
  await server.services.membershipConsequences.caughtUp()
  assert.deepEqual(await joined(bob), [])
  assert.deepEqual(server.errors, [])
})

test('without profiles per room, a membership carries the profile of the user', async (t) => {
  for (const allowed of [true, false]) {
    await t.test(`allow_per_room_profiles: ${allowed}`, async (t) => {
      const server = await testServer(t, { config: `allow_per_room_profiles: ${allowed}\n` })
      const { bob, room } = await server.withRoom()
      await bob.put(memberPath(room, bob.userId), { membership: 'join', displayname: 'Somebody else', avatar_url: 'mxc://a/b', extra: 1 }).ok()
      const expected = allowed
        ? { membership: 'join', displayname: 'Somebody else', avatar_url: 'mxc://a/b', extra: 1 }
        : { membership: 'join', displayname: 'bob', extra: 1 }
      assert.deepEqual(await bob.get(memberPath(room, bob.userId)).ok(), expected)
    })
  }
})

test('an invite that is set as state obeys the rules of invites', async (t) => {
  const server = await testServer(t, { config: 'block_non_admin_invites: true\n' })
  const { alice, room } = await server.withRoom()
  const carol = await server.register('carol')
  await alice.put(memberPath(room, carol.userId), { membership: 'invite' }).fails(403, 'M_FORBIDDEN')
})
