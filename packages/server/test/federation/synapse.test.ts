/** Rooms that a real Synapse and we share: users of either come, write, change and go, by every way there is and in both directions. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { roomPath as room, syncedRooms } from '../kit/room-views.ts'
import { send, setState } from '../kit/syncing.ts'
import type { TestClient } from '../kit/test-client.ts'
import { neighbours, roomVersions, seen, usersOf, type Pair } from './neighbours.ts'
import { create, join, member, said, same } from './shared-room.ts'

/** An event's content, as a client sees it now. */
async function contentOf(client: TestClient, id: string, eventId: string): Promise<unknown> {
  const reply = await client.get(`${room(id)}/event/${encodeURIComponent(eventId)}`)
  return reply.body['content']
}

async function byAlias(pair: Pair, version: string): Promise<void> {
  const { host, guest } = await usersOf(pair)
  const name = `lobby-${version}`
  const id = await create(host, { room_version: version, room_alias_name: name, name: 'Lobby' })
  await send(host, id, 'before')
  const alias = `#${name}:${pair.home.serverName}`
  assert.deepEqual(await guest.post(`/join/${encodeURIComponent(alias)}`, {}).ok(), { room_id: id })
  assert.deepEqual(await guest.get(`${room(id)}/state/m.room.name`).ok(), { name: 'Lobby' })
  await member(host, id, guest, 'join')
  const theirs = await send(guest, id, 'from the guest')
  await said(host, id, 'from the guest')
  const ours = await send(host, id, 'from the host')
  await said(guest, id, 'from the host')
  await same(host, guest, id)

  const edit = (eventId: string, body: string) => ({ 'm.new_content': { msgtype: 'm.text', body }, 'm.relates_to': { rel_type: 'm.replace', event_id: eventId } })
  await send(guest, id, '* edited by the guest', edit(theirs, 'edited by the guest'))
  await send(host, id, '* edited by the host', edit(ours, 'edited by the host'))
  const bundled = async (client: TestClient, eventId: string): Promise<string> => (await client.get(`${room(id)}/event/${encodeURIComponent(eventId)}`)).text
  await seen([host], 'the edit of the guest', async () => (await bundled(host, theirs)).includes('edited by the guest'))
  await seen([guest], 'the edit of the host', async () => (await bundled(guest, ours)).includes('edited by the host'))

  await guest.put(`${room(id)}/redact/${encodeURIComponent(theirs)}/r1`, { reason: 'mistake' }).ok()
  await seen([host], 'the redaction of the guest', async () => JSON.stringify(await contentOf(host, id, theirs)) === '{}')
  await guest.put(`${room(id)}/redact/${encodeURIComponent(ours)}/r2`, {}).fails(403, 'M_FORBIDDEN')
  const rude = await send(guest, id, 'rude')
  await said(host, id, 'rude')
  await host.put(`${room(id)}/redact/${encodeURIComponent(rude)}/r3`, {}).ok()
  await seen([guest], 'the redaction of the host', async () => JSON.stringify(await contentOf(guest, id, rude)) === '{}')
}

async function byPower(pair: Pair, version: string): Promise<void> {
  const { host, guest } = await usersOf(pair)
  const id = await create(host, { room_version: version })
  await join(guest, id, pair.home.serverName)
  await guest.put(`${room(id)}/state/m.room.topic`, { topic: 'not allowed' }).fails(403, 'M_FORBIDDEN')
  const levels = await host.get(`${room(id)}/state/m.room.power_levels`).ok()
  const users = typeof levels['users'] === 'object' ? levels['users'] : {}
  await setState(host, id, 'm.room.power_levels', { ...levels, users: { ...users, [guest.userId]: 50 } })
  await same(host, guest, id)
  await setState(guest, id, 'm.room.topic', { topic: 'allowed' })
  await same(host, guest, id)
  assert.deepEqual(await host.get(`${room(id)}/state/m.room.topic`).ok(), { topic: 'allowed' })
  await guest.put(`/profile/${guest.userId}/displayname`, { displayname: 'Another name' }).ok()
  await seen([host], 'the new name of the guest', async () => (await host.get(`${room(id)}/state/m.room.member/${guest.userId}`)).body['displayname'] === 'Another name')
  await same(host, guest, id)

  await guest.post(`${room(id)}/leave`, {}).ok()
  await member(host, id, guest, 'leave')
  await setState(host, id, 'm.room.topic', { topic: 'meanwhile' })
  await send(host, id, 'meanwhile')
  await join(guest, id, pair.home.serverName)
  assert.deepEqual(await guest.get(`${room(id)}/state/m.room.topic`).ok(), { topic: 'meanwhile' })
  await member(host, id, guest, 'join')
  await same(host, guest, id)
  await send(guest, id, 'back')
  await said(host, id, 'back')

  await host.post(`${room(id)}/kick`, { user_id: guest.userId, reason: 'enough' }).ok()
  await seen([guest], 'the kick', async () => id in (await syncedRooms(guest, 'join')) === false)
  await join(guest, id, pair.home.serverName)
  await host.post(`${room(id)}/ban`, { user_id: guest.userId, reason: 'spam' }).ok()
  await seen([guest], 'the ban', async () => id in (await syncedRooms(guest, 'join')) === false)
  await guest.put(`${room(id)}/send/m.room.message/banned`, { msgtype: 'm.text', body: 'x' }).fails(403, 'M_FORBIDDEN')
  await guest.post(`/join/${encodeURIComponent(id)}?via=${pair.home.serverName}`, {}).fails(403, 'M_FORBIDDEN')
  await host.post(`${room(id)}/unban`, { user_id: guest.userId }).ok()
  await join(guest, id, pair.home.serverName)
  await member(host, id, guest, 'join')
  await same(host, guest, id)
}

async function byInvite(pair: Pair, version: string): Promise<void> {
  const { host, guest } = await usersOf(pair)
  const id = await create(host, { room_version: version, preset: 'private_chat', name: 'Secret' })
  await guest.post(`/join/${encodeURIComponent(id)}?via=${pair.home.serverName}`, {}).fails(403, 'M_FORBIDDEN')
  const invited = async (): Promise<void> => {
    await host.post(`${room(id)}/invite`, { user_id: guest.userId }).ok()
    const text = await seen([guest], 'the invite', async () => JSON.stringify((await syncedRooms(guest, 'invite'))[id]))
    assert.match(text, /"name":"Secret"/)
    assert.match(text, new RegExp(host.userId))
  }
  await invited()
  await guest.post(`${room(id)}/leave`, { reason: 'no' }).ok()
  await member(host, id, guest, 'leave')
  assert.equal(id in (await syncedRooms(guest, 'invite')), false)

  await invited()
  await host.post(`${room(id)}/kick`, { user_id: guest.userId }).ok()
  await seen([guest], 'the end of the invite', async () => id in (await syncedRooms(guest, 'invite')) === false)

  await invited()
  await join(guest, id, pair.home.serverName)
  await member(host, id, guest, 'join')
  await same(host, guest, id)
  const other = await pair.away.register(`other-${version}-${pair.home.name.toLowerCase()}`)
  // Where their server is in the room already, an invite comes with the room's events as well.
  await host.post(`${room(id)}/invite`, { user_id: other.userId }).ok()
  await seen([other], 'the invite', async () => (await syncedRooms(other, 'invite'))[id])
  await join(other, id, pair.home.serverName)
  await member(host, id, other, 'join')
  await same(host, other, id)
}

async function byKnock(pair: Pair, version: string): Promise<void> {
  const { host, guest } = await usersOf(pair)
  const id = await create(host, {
    room_version: version, preset: 'private_chat', name: 'Club', initial_state: [{ type: 'm.room.join_rules', state_key: '', content: { join_rule: 'knock' } }],
  })
  const knock = async (): Promise<void> => {
    await guest.post(`/knock/${encodeURIComponent(id)}?via=${pair.home.serverName}`, { reason: 'please' }).ok()
    assert.match(await seen([guest], 'the knock', async () => JSON.stringify((await syncedRooms(guest, 'knock'))[id])), /"name":"Club"/)
    await member(host, id, guest, 'knock')
  }
  await knock()
  await guest.post(`${room(id)}/leave`, {}).ok()
  // Synapse takes a knock back without telling anybody.
  if (pair.away.name === 'Myelin') await member(host, id, guest, 'leave')
  await knock()
  // Synapse neither tells another server of a refusal nor hears one; the room knows, and lets the user knock again.
  await host.post(`${room(id)}/kick`, { user_id: guest.userId }).ok()
  await member(host, id, guest, 'leave')
  await knock()
  await host.post(`${room(id)}/invite`, { user_id: guest.userId }).ok()
  await seen([guest], 'the invite', async () => (await syncedRooms(guest, 'invite'))[id])
  await join(guest, id, pair.home.serverName)
  await member(host, id, guest, 'join')
  await same(host, guest, id)
}

async function byRestriction(pair: Pair, version: string): Promise<void> {
  const { host, guest } = await usersOf(pair)
  const lobby = await create(host, { room_version: version })
  const id = await create(host, {
    room_version: version, preset: 'private_chat',
    initial_state: [{ type: 'm.room.join_rules', state_key: '', content: { join_rule: 'restricted', allow: [{ type: 'm.room_membership', room_id: lobby }] } }],
  })
  await guest.post(`/join/${encodeURIComponent(id)}?via=${pair.home.serverName}`, {}).fails(403, 'M_FORBIDDEN')
  await join(guest, lobby, pair.home.serverName)
  await member(host, lobby, guest, 'join')
  await join(guest, id, pair.home.serverName)
  await member(host, id, guest, 'join')
  await same(host, guest, id)
  await send(guest, id, 'in')
  await said(host, id, 'in')
  // Somebody of a server that is in the room, but has nobody there who may invite.
  const other = await pair.away.register(`restricted-${version}-${pair.home.name.toLowerCase()}`)
  await join(other, lobby, pair.home.serverName)
  await join(other, id, pair.home.serverName)
  await member(host, id, other, 'join')
  await same(host, other, id)
}

test('rooms that a Synapse and we share', async (t) => {
  const { pairs } = await neighbours(t)
  for (const version of roomVersions) {
    for (const pair of pairs) {
      const title = `room version ${version}, made on ${pair.home.name}`
      await t.test(`${title}: a join by alias, messages, edits and redactions both ways`, () => byAlias(pair, version))
      await t.test(`${title}: power levels, names, leaving and coming back, kicks and bans`, () => byPower(pair, version))
      await t.test(`${title}: invites, refused, taken back and accepted`, () => byInvite(pair, version))
      if (version === '6') continue
      await t.test(`${title}: knocks, taken back, refused and answered`, () => byKnock(pair, version))
      await t.test(`${title}: a restricted room lets in who is in another room`, () => byRestriction(pair, version))
    }
  }
})
