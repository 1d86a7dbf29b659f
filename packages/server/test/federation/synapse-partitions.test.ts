/** A real Synapse and one of ours lose sight of each other while both change the rooms that they share: afterwards both have the same state. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { membersOf, roomPath as room, stateOf } from '../kit/room-views.ts'
import { send, setState } from '../kit/syncing.ts'
import type { TestClient } from '../kit/test-client.ts'
import { neighbours, roomVersions, type Pair } from './neighbours.ts'
import { create, join, member, said, same } from './shared-room.ts'

/** Who is in the room when the servers part: two users of each server. */
interface Cast {
  readonly id: string
  /** Made the room. */
  readonly host: TestClient
  readonly neighbour: TestClient
  /** Of the other server, with the power level that the conflict gives. */
  readonly guest: TestClient
  readonly other: TestClient
  /** Of the other server, not in the room yet. */
  readonly late: TestClient
}

interface Conflict {
  readonly title: string
  readonly guestLevel: number
  readonly neighbourLevel?: number
  readonly home: (cast: Cast) => Promise<unknown>
  readonly away: (cast: Cast) => Promise<unknown>
  /** What must have become of it, on either server. */
  readonly outcome: (cast: Cast, seenBy: TestClient) => Promise<void>
}

async function state(client: TestClient, id: string, type: string, key = ''): Promise<Readonly<Record<string, unknown>>> {
  return (await client.get(`${room(id)}/state/${type}/${key}`)).body
}

async function changeLevels(client: TestClient, id: string, change: (users: Readonly<Record<string, unknown>>) => object): Promise<void> {
  const levels = await state(client, id, 'm.room.power_levels')
  const users = typeof levels['users'] === 'object' && levels['users'] !== null ? Object.fromEntries(Object.entries(levels['users'])) : {}
  await setState(client, id, 'm.room.power_levels', { ...levels, ...change(users) })
}

const conflicts: readonly Conflict[] = [
  {
    title: 'both set the name and the topic',
    guestLevel: 100,
    home: async ({ id, host }) => {
      await setState(host, id, 'm.room.topic', { topic: 'of the host' })
      await setState(host, id, 'm.room.name', { name: 'of the host' })
    },
    away: async ({ id, guest }) => {
      await setState(guest, id, 'm.room.name', { name: 'of the guest' })
      await setState(guest, id, 'm.room.topic', { topic: 'of the guest' })
    },
    outcome: async ({ id }, client) => assert.match(JSON.stringify(await state(client, id, 'm.room.name')), /of the/),
  },
  {
    title: 'a moderator is demoted and acts as one',
    guestLevel: 50,
    home: ({ id, host, guest }) => changeLevels(host, id, (users) => ({ users: { ...users, [guest.userId]: 0 } })),
    away: async ({ id, guest, neighbour }) => {
      await setState(guest, id, 'm.room.topic', { topic: 'of one who was demoted' })
      await guest.post(`${room(id)}/kick`, { user_id: neighbour.userId }).ok()
    },
    // A kick of somebody else is a power event, which the demotion, by the higher power, comes before.
    outcome: async ({ id, neighbour }, client) => {
      assert.deepEqual((await state(client, id, 'm.room.topic'))['topic'], undefined)
      assert.equal((await membersOf(client, id))[neighbour.userId], 'join')
    },
  },
  {
    title: 'somebody is banned and goes on',
    guestLevel: 50,
    home: ({ id, host, guest }) => host.post(`${room(id)}/ban`, { user_id: guest.userId }).ok(),
    away: async ({ id, guest }) => {
      await send(guest, id, 'of one who was banned')
      await setState(guest, id, 'm.room.topic', { topic: 'of one who was banned' })
    },
    outcome: async ({ id, guest }, client) => {
      assert.equal((await membersOf(client, id))[guest.userId], 'ban')
      assert.deepEqual((await state(client, id, 'm.room.topic'))['topic'], undefined)
    },
  },
  {
    title: 'the room is closed and somebody comes in',
    guestLevel: 0,
    home: ({ id, host }) => setState(host, id, 'm.room.join_rules', { join_rule: 'invite' }),
    away: ({ id, late }) => late.post(`/join/${encodeURIComponent(id)}`, {}).ok(),
    outcome: async ({ id, late }, client) => assert.notEqual((await membersOf(client, id))[late.userId], 'join'),
  },
  {
    title: 'both change power levels',
    guestLevel: 100,
    home: ({ id, host, neighbour }) => changeLevels(host, id, (users) => ({ users: { ...users, [neighbour.userId]: 70 } })),
    away: ({ id, guest, other }) => changeLevels(guest, id, (users) => ({ users: { ...users, [other.userId]: 60 }, invite: 40 })),
    outcome: async ({ id }, client) => assert.match(JSON.stringify(await state(client, id, 'm.room.power_levels')), /:[67]0/),
  },
  {
    title: 'moderators of equal power change the join rules',
    guestLevel: 60,
    neighbourLevel: 60,
    home: ({ id, neighbour }) => setState(neighbour, id, 'm.room.join_rules', { join_rule: 'invite' }),
    away: ({ id, guest }) => setState(guest, id, 'm.room.join_rules', { join_rule: 'private' }),
    outcome: async ({ id }, client) => assert.notEqual((await state(client, id, 'm.room.join_rules'))['join_rule'], 'public'),
  },
  {
    title: 'moderators ban each other\'s friends and one another',
    guestLevel: 90,
    home: async ({ id, host, guest }) => {
      await host.post(`${room(id)}/ban`, { user_id: guest.userId }).ok()
      await setState(host, id, 'm.room.join_rules', { join_rule: 'invite' })
    },
    away: async ({ id, guest, neighbour, late }) => {
      await guest.post(`${room(id)}/ban`, { user_id: neighbour.userId }).ok()
      await guest.post(`${room(id)}/ban`, { user_id: late.userId }).ok()
      await setState(guest, id, 'm.room.name', { name: 'of one who was banned' })
    },
    outcome: async ({ id, guest }, client) => assert.equal((await membersOf(client, id))[guest.userId], 'ban'),
  },
]

test('rooms that a Synapse and we change while we do not see each other', async (t) => {
  const { pairs } = await neighbours(t)
  const rooms: { readonly title: string; readonly conflict: Conflict; readonly pair: Pair; readonly cast: Cast }[] = []
  for (const pair of pairs) {
    const [host, neighbour] = [await pair.home.register(`host-${pair.home.name.toLowerCase()}`), await pair.home.register(`neighbour-${pair.home.name.toLowerCase()}`)]
    const name = pair.home.name.toLowerCase()
    const [guest, other, late] = [await pair.away.register(`guest-${name}`), await pair.away.register(`other-${name}`), await pair.away.register(`late-${name}`)]
    for (const version of roomVersions) {
      for (const conflict of conflicts) {
        const id = await create(host, { room_version: version })
        await neighbour.post(`/join/${encodeURIComponent(id)}`, {}).ok()
        for (const user of [guest, other]) await join(user, id, pair.home.serverName)
        const levels = { [guest.userId]: conflict.guestLevel, [neighbour.userId]: conflict.neighbourLevel ?? 0 }
        await changeLevels(host, id, (users) => ({ users: { ...users, ...levels } }))
        rooms.push({ title: `room version ${version}, made on ${pair.home.name}: ${conflict.title}`, conflict, pair, cast: { id, host, neighbour, guest, other, late } })
      }
    }
  }
  for (const { cast } of rooms) {
    await member(cast.host, cast.id, cast.other, 'join')
    await same(cast.host, cast.guest, cast.id)
  }
  const open = (isOpen: boolean): void => {
    for (const { home, away } of pairs) for (const each of [home, away]) each.setOpen(isOpen)
  }
  open(false)
  for (const [i, { conflict, cast }] of rooms.entries()) {
    // Time decides between equals: each conflict is fought out in both orders.
    for (const side of i % 2 === 0 ? [conflict.home, conflict.away] : [conflict.away, conflict.home]) await side(cast)
  }
  for (const { cast, title } of rooms) assert.notDeepEqual(await stateOf(cast.host, cast.id), await stateOf(cast.other, cast.id), title)
  open(true)
  for (const { title, conflict, cast } of rooms) {
    await t.test(title, async () => {
      const { id, host, other } = cast
      await send(host, id, 'seen again by the host')
      await other.put(`${room(id)}/send/m.room.message/seen-again`, { msgtype: 'm.text', body: 'seen again by the other' })
      await said(other, id, 'seen again by the host')
      await same(host, other, id)
      await conflict.outcome(cast, host)
      await conflict.outcome(cast, other)
    })
  }
})
