/** Lazy loading of members at the HTTP door. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { testServer } from '#test/kit/test-server.ts'
import { send, setState, syncOk, type SyncedEvent, type SyncedRoom } from '#test/kit/syncing.ts'

const lazy = { room: { timeline: { limit: 1 }, state: { lazy_load_members: true } } }
const redundant = { room: { timeline: { limit: 1 }, state: { lazy_load_members: true, include_redundant_members: true } } }

function members(events: readonly SyncedEvent[] | undefined): string[] {
  return (events ?? []).filter((event) => event.type === 'm.room.member').map((event) => event.state_key ?? '').sort()
}

async function roomOfFour(t: Parameters<typeof testServer>[0]) {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom({ name: 'Attic' })
  const [carol, dan] = [await server.register('carol'), await server.register('dan')]
  for (const user of [carol, dan]) await user.post(`/join/${encodeURIComponent(room)}`, {}).ok()
  const of = (joined: Readonly<Record<string, SyncedRoom>> | undefined): SyncedRoom | undefined => joined?.[room]
  return { server, alice, bob, carol, dan, room, of }
}

test('an initial sync brings those who speak, and oneself', async (t) => {
  const { alice, bob, room, of } = await roomOfFour(t)
  await send(bob, room, 'hello')
  const first = await syncOk(alice, { filter: lazy })
  assert.deepEqual(members(of(first.rooms?.join)?.state?.events), [alice.userId, bob.userId])
})

test('who was brought is not brought again, unless asked for', async (t) => {
  const { alice, bob, carol, room, of } = await roomOfFour(t)
  await send(bob, room, 'hello')
  const first = await syncOk(alice, { filter: lazy })
  await send(bob, room, 'again')
  const second = await syncOk(alice, { filter: lazy, since: first.next_batch })
  assert.deepEqual(members(of(second.rooms?.join)?.state?.events), [])
  await send(carol, room, 'hi')
  const third = await syncOk(alice, { filter: lazy, since: second.next_batch })
  assert.deepEqual(members(of(third.rooms?.join)?.state?.events), [carol.userId])
  await send(carol, room, 'hi')
  const all = await syncOk(alice, { filter: redundant, since: third.next_batch })
  assert.deepEqual(members(of(all.rooms?.join)?.state?.events), [carol.userId])
})

test('a client that goes on from an older token is told again', async (t) => {
  const { alice, bob, room, of } = await roomOfFour(t)
  const first = await syncOk(alice, { filter: lazy })
  await send(bob, room, 'one')
  const second = await syncOk(alice, { filter: lazy, since: first.next_batch })
  await send(bob, room, 'two')
  assert.deepEqual(members(of((await syncOk(alice, { filter: lazy, since: second.next_batch })).rooms?.join)?.state?.events), [])
  const restored = await syncOk(alice, { filter: { ...lazy, presence: { types: [] } }, since: first.next_batch })
  assert.deepEqual(members(of(restored.rooms?.join)?.state?.events), [bob.userId])
})

test('a gap brings the members that changed in it', async (t) => {
  const { alice, bob, carol, dan, room, of } = await roomOfFour(t)
  const first = await syncOk(alice, { filter: lazy })
  await dan.post(`/rooms/${encodeURIComponent(room)}/leave`, {}).ok()
  await setState(carol, room, 'm.room.member', { membership: 'join', displayname: 'C' }, carol.userId)
  await send(bob, room, 'one')
  await send(bob, room, 'two')
  const next = await syncOk(alice, { filter: lazy, since: first.next_batch })
  assert.equal(of(next.rooms?.join)?.timeline.limited, true)
  assert.deepEqual(members(of(next.rooms?.join)?.state?.events), [bob.userId, carol.userId, dan.userId])
})

test('heroes come with their membership events', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom()
  await send(alice, room, 'x')
  const first = (await syncOk(alice, { filter: lazy })).rooms?.join?.[room]
  assert.deepEqual(first?.summary?.['m.heroes'], [bob.userId])
  assert.deepEqual(members(first?.state?.events), [alice.userId, bob.userId])
  await bob.post(`/rooms/${encodeURIComponent(room)}/leave`, {}).ok()
  const alone = (await syncOk(alice, { filter: lazy })).rooms?.join?.[room]
  assert.deepEqual(alone?.summary, { 'm.heroes': [bob.userId], 'm.joined_member_count': 1, 'm.invited_member_count': 0 })
})

test('the state at the end of the timeline, lazily', async (t) => {
  const { alice, bob, carol, room, of } = await roomOfFour(t)
  await setState(carol, room, 'm.room.member', { membership: 'join', displayname: 'C' }, carol.userId)
  const first = await syncOk(alice, { filter: lazy, use_state_after: true })
  assert.deepEqual(members(of(first.rooms?.join)?.state_after?.events), [alice.userId, carol.userId])
  await send(bob, room, 'x')
  const next = await syncOk(alice, { filter: lazy, use_state_after: true, since: first.next_batch })
  assert.deepEqual(members(of(next.rooms?.join)?.state_after?.events), [bob.userId])
})
