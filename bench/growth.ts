/** `npm run bench -- --growth`: what a send, a join and an incremental sync cost in a room of many members, and on a server of many rooms. */
import { at, registerGuests, registerMany, type Client, type User } from './client.ts'
import type { Server } from './server.ts'
import { createRoom, inLanes, post, since } from './steps.ts'

/** Milliseconds of CPU by figure, small and large. */
export type Growth = ReadonlyMap<string, readonly [small: number, large: number]>

const small = 100
const large = 10_000
const rounds = 200

/** A room that guests may join. */
const openRoom = {
  preset: 'public_chat', initial_state: [{ type: 'm.room.guest_access', state_key: '', content: { guest_access: 'can_join' } }],
}

/** Costs in a room: of a send, of a join, and of a sync that finds one message. */
async function costs(server: Server, client: Client, room: string, label: string, owner: User, reader: User, joining: readonly User[]): Promise<number[]> {
  await inLanes(50, 1, (index) => post(client, room, `${label}-warm-${index}`, owner))
  const send = await server.measure(`send ${label}`, rounds, () => inLanes(rounds, 1, (index) => post(client, room, `${label}-${index}`, owner)))
  const join = await server.measure(`join ${label}`, joining.length, () => inLanes(joining.length, 1, (index) => client.call('POST', at(room, '/join'), {}, joining[index]?.token)))
  let token = await since(client, reader)
  let syncMs = 0
  for (let index = 0; index < rounds; index += 1) {
    await post(client, room, `${label}-sync-${index}`, owner)
    const cost = await server.measure(`sync ${label}`, 1, async () => {
      token = String((await client.call('GET', `/sync?timeout=0&since=${token}`, undefined, reader.token))['next_batch'])
    })
    syncMs += cost.cpuMs
  }
  return [send.cpuMs, join.cpuMs, syncMs / rounds]
}

/** Measures a room of a hundred and of ten thousand members, then a server of a hundred and of ten thousand rooms. */
export async function growth(server: Server, client: Client): Promise<Growth> {
  const [owner, reader] = await registerMany(client, 'growth', 2)
  if (!owner || !reader) throw new Error('The server registered nobody.')
  const guests = await registerGuests(client, large + 4 * rounds)
  const spare = guests.splice(0, 4 * rounds)
  const figures = new Map<string, readonly [number, number]>()
  const note = (place: string, before: readonly number[], after: readonly number[]): void => {
    for (const [index, what] of ['send', 'join', 'incremental sync'].entries()) figures.set(`${what}, ${place}`, [before[index] ?? 0, after[index] ?? 0])
  }
  const room = await createRoom(client, owner, openRoom)
  const fill = (users: readonly User[]): Promise<void> => inLanes(users.length, 8, (index) => client.call('POST', at(room, '/join'), {}, users[index]?.token))
  await client.call('POST', at(room, '/join'), {}, reader.token)
  await fill(guests.slice(0, small))
  const few = await costs(server, client, room, 'few members', owner, reader, spare.slice(0, rounds))
  await fill(guests.slice(small))
  note('10,000 members to 100', few, await costs(server, client, room, 'many members', owner, reader, spare.slice(rounds, 2 * rounds)))
  const rooms: string[] = []
  const makeRooms = (count: number): Promise<void> => inLanes(count, 8, async () => {
    rooms.push(await createRoom(client, owner, openRoom))
  })
  await makeRooms(small)
  await client.call('POST', at(rooms[0] ?? '', '/join'), {}, reader.token)
  const early = await costs(server, client, rooms[0] ?? '', 'few rooms', owner, reader, spare.slice(2 * rounds, 3 * rounds))
  await makeRooms(large - small)
  const last = rooms.at(-1) ?? ''
  await client.call('POST', at(last, '/join'), {}, reader.token)
  note('10,000 rooms to 100', early, await costs(server, client, last, 'many rooms', owner, reader, spare.slice(3 * rounds)))
  return figures
}

/** The figures as Markdown. */
export function renderGrowth(engine: string, figures: Growth): string {
  const rows = [...figures].map(([name, [before, after]]) =>
    `| ${name} | ${before.toFixed(3)} | ${after.toFixed(3)} | ${(after / before).toFixed(2)} × | ≤ 2 × ${after <= before * 2 ? 'kept' : 'MISSED'} |`)
  return `### Growth on ${engine}\n\n| CPU ms | small | large | ratio | floor |\n|---|---|---|---|---|\n${rows.join('\n')}\n`
}
