/** A real Synapse or one of ours is away for a while, or comes late: afterwards it has the room as it is, and all that was said. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { roomPath as room } from '../kit/room-views.ts'
import { send, setState } from '../kit/syncing.ts'
import type { TestClient } from '../kit/test-client.ts'
import { neighbours, seen, usersOf, type Neighbour, type Pair } from './neighbours.ts'
import { create, join, member, said, same } from './shared-room.ts'

const versions = ['11', '12'] as const

/** Texts of all messages of a room, oldest first, read page by page. */
async function everything(client: TestClient, id: string): Promise<string[]> {
  const texts: string[] = []
  for (let from: unknown = '';;) {
    const page = await client.get(`${room(id)}/messages?dir=b&limit=50${from === '' ? '' : `&from=${encodeURIComponent(String(from))}`}`).ok()
    const { chunk } = page
    if (Array.isArray(chunk)) texts.push(...chunk.filter((event) => event.type === 'm.room.message').map((event) => String(event.content.body)))
    from = page['end']
    if (from === undefined) return texts.reverse()
  }
}

function numbered(word: string, count: number): string[] {
  return Array.from({ length: count }, (_, i) => `${word} ${i}`)
}

async function together(pair: Pair, version: string): Promise<{ readonly host: TestClient; readonly guest: TestClient; readonly id: string }> {
  const { host, guest } = await usersOf(pair)
  const id = await create(host, { room_version: version })
  await join(guest, id, pair.home.serverName)
  await member(host, id, guest, 'join')
  const levels = await host.get(`${room(id)}/state/m.room.power_levels`).ok()
  await setState(host, id, 'm.room.power_levels', { ...levels, users_default: 50 })
  await same(host, guest, id)
  return { host, guest, id }
}

/** One server is away while somebody of the other one goes on. */
async function outage(pair: Pair, version: string, down: Neighbour): Promise<void> {
  const { host, guest, id } = await together(pair, version)
  const [speaker, absent] = down === pair.away ? [host, guest] : [guest, host]
  const others = down === pair.away ? pair.home : pair.away
  down.setOpen(false)
  const texts = numbered('while you were away', 35)
  for (const [i, text] of texts.entries()) {
    await send(speaker, id, text)
    if (i % 15 === 7) await setState(speaker, id, 'm.room.topic', { topic: text })
  }
  const late = await others.register(`late-${version}-${pair.home.name.toLowerCase()}-${down.name.toLowerCase()}`)
  await late.post(`/join/${encodeURIComponent(id)}`, {}).ok()
  down.setOpen(true)
  // A sign of life: a server that was left alone for a while is talked to again.
  await send(absent, id, 'here I am')
  await said(speaker, id, 'here I am')
  await send(speaker, id, 'welcome back')
  await said(absent, id, 'welcome back')
  await same(speaker, absent, id)
  for (const client of [absent, speaker]) {
    const all = await wholly(client, id, texts.length + 2)
    assert.deepEqual(all.filter((text) => texts.includes(text)), texts)
    assert.deepEqual(all.filter((text) => !texts.includes(text)), ['here I am', 'welcome back'])
  }
}

/** All messages of a room, once so many can be read. */
function wholly(client: TestClient, id: string, count: number): Promise<string[]> {
  return seen([client], `all ${count} messages`, async () => {
    const texts = await everything(client, id)
    return texts.length >= count && texts
  })
}

/** Somebody comes into a room that has a past. */
async function late(pair: Pair, version: string): Promise<void> {
  const { host, guest } = await usersOf(pair)
  const id = await create(host, { room_version: version, name: 'Old' })
  const texts = numbered('long ago', 130)
  for (const [i, text] of texts.entries()) {
    await send(host, id, text)
    if (i % 30 === 9) await setState(host, id, 'm.room.topic', { topic: text })
  }
  await join(guest, id, pair.home.serverName)
  assert.deepEqual(await wholly(guest, id, texts.length), texts)
  await send(guest, id, 'I have read it all')
  await said(host, id, 'I have read it all')
  await same(host, guest, id)
}

test('a Synapse or we are away for a while', async (t) => {
  const { pairs } = await neighbours(t)
  for (const version of versions) {
    for (const pair of pairs) {
      const title = `room version ${version}, made on ${pair.home.name}`
      for (const down of [pair.home, pair.away]) await t.test(`${title}: ${down.name} is away`, () => outage(pair, version, down))
      await t.test(`${title}: ${pair.away.name} reads what was before it came`, () => late(pair, version))
    }
  }
})
