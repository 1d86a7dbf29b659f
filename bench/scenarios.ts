/** What is measured: each scenario prepares, runs, and says what one operation cost. */
import { at, registerMany, type Client, type User } from './client.ts'
import type { Server } from './server.ts'

/** Figures by name; the unit is in the name. */
export type Figures = Map<string, number>

/** The state that scenarios share. */
export interface Bench {
  readonly server: Server
  readonly client: Client
  readonly figures: Figures
  readonly users: readonly User[]
  readonly rooms: readonly string[]
}

/** Runs a numbered operation `count` times over `lanes` at once. */
async function inLanes(count: number, lanes: number, operation: (index: number, lane: number) => Promise<unknown>): Promise<void> {
  let next = 0
  await Promise.all(Array.from({ length: lanes }, async (_, lane) => {
    for (let index = next++; index < count; index = next++) await operation(index, lane)
  }))
}

function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
}

/** Users and one room for each of the first sixteen. */
export async function prepare(server: Server, client: Client): Promise<Bench> {
  const figures: Figures = new Map()
  figures.set('start to first answer, ms', server.startMs)
  figures.set('memory idle, MiB', server.memoryMib())
  const users = await registerMany(client, 'user', 200)
  const rooms: string[] = []
  const created = await server.measure('create room', 16, async () => {
    for (const user of users.slice(0, 16)) rooms.push(String((await client.call('POST', '/createRoom', { preset: 'public_chat' }, user.token))['room_id']))
  })
  figures.set('create room, CPU ms', created.cpuMs)
  return { server, client, figures, users, rooms }
}

async function send(bench: Bench, label: string, count: number, lanes: number, room: (lane: number) => string): Promise<{ cpuMs: number; perSecond: number }> {
  const { client, users, server } = bench
  return server.measure(`send, ${label}`, count, () => inLanes(count, lanes, (index, lane) =>
    client.call('PUT', at(room(lane), `/send/m.room.message/${label}${index}`), { msgtype: 'm.text', body: `message ${index}` }, users[lane]?.token)))
}

/** Sending with one sender, with sixteen in rooms of their own, and with sixteen in one room of fifty. */
export async function sending(bench: Bench, count: number): Promise<void> {
  const { figures, rooms, users, client } = bench
  const own = (lane: number): string => rooms[lane] ?? ''
  const one = await send(bench, 'one', count, 1, own)
  figures.set('send, 1 sender, CPU ms', one.cpuMs)
  figures.set('send, 1 sender, per second', one.perSecond)
  const sixteen = await send(bench, 'sixteen', count * 2, 16, own)
  figures.set('send, 16 senders, CPU ms', sixteen.cpuMs)
  figures.set('send, 16 senders, per second', sixteen.perSecond)
  const shared = rooms[0] ?? ''
  const joins = await bench.server.measure('join', 49, () => inLanes(49, 1, (index) => client.call('POST', at(shared, '/join'), {}, users[index + 1]?.token)))
  figures.set('join a local room, CPU ms', joins.cpuMs)
  const together = await send(bench, 'together', count * 2, 16, () => shared)
  figures.set('send, 16 senders in a room of 50, CPU ms', together.cpuMs)
  figures.set('send, 16 senders in a room of 50, per second', together.perSecond)
}

async function since(client: Client, user: User | undefined): Promise<string> {
  return String((await client.call('GET', '/sync?timeout=0', undefined, user?.token))['next_batch'])
}

/** From a send to the other client's `/sync`, and with a hundred members waiting. */
export async function delivery(bench: Bench, rounds: number): Promise<void> {
  const { client, users, rooms, figures, server } = bench
  const room = rooms[0] ?? ''
  const [sender, reader] = users
  const times: number[] = []
  let token = await since(client, reader)
  for (let round = 0; round < rounds; round += 1) {
    const waiting = client.call('GET', `/sync?timeout=30000&since=${token}`, undefined, reader?.token)
    await client.call('GET', '/_matrix/client/versions')
    const began = performance.now()
    await client.call('PUT', at(room, `/send/m.room.message/delivery${round}`), { msgtype: 'm.text', body: 'x' }, sender?.token)
    token = String((await waiting)['next_batch'])
    times.push(performance.now() - began)
  }
  figures.set('delivery p50, ms', percentile(times, 0.5))
  figures.set('delivery p99, ms', percentile(times, 0.99))
  for (const user of users.slice(50, 100)) await client.call('POST', at(room, '/join'), {}, user.token)
  const members = users.slice(0, 100)
  const tokens = await Promise.all(members.map((user) => since(client, user)))
  const woken = Math.max(5, Math.floor(rounds / 10))
  const waits = await server.measure('wake 100', woken, async () => {
    for (let round = 0; round < woken; round += 1) {
      const waiting = members.map((user, index) => client.call('GET', `/sync?timeout=30000&since=${tokens[index] ?? ''}`, undefined, user.token))
      await client.call('GET', '/_matrix/client/versions')
      await client.call('PUT', at(room, `/send/m.room.message/woken${round}`), { msgtype: 'm.text', body: 'x' }, sender?.token)
      const replies = await Promise.all(waiting)
      replies.forEach((reply, index) => {
        tokens[index] = String(reply['next_batch'])
      })
    }
  })
  figures.set('message to 100 waiting members, CPU ms', waits.cpuMs)
}

/** Initial and idle incremental `/sync` of a user in a hundred rooms of twenty messages. */
export async function syncing(bench: Bench): Promise<void> {
  const { client, users, figures, server } = bench
  const user = users[20]
  const rooms: string[] = []
  for (let index = 0; index < 100; index += 1) {
    const room = String((await client.call('POST', '/createRoom', { preset: 'public_chat', name: `room ${index}` }, user?.token))['room_id'])
    rooms.push(room)
  }
  await inLanes(2000, 16, (index) =>
    client.call('PUT', at(rooms[index % 100] ?? '', `/send/m.room.message/fill${index}`), { msgtype: 'm.text', body: `fill ${index}` }, user?.token))
  // Each round asks for another length, so that no kept answer serves it.
  const filters = Array.from({ length: 10 }, (_, round) => encodeURIComponent(`{"room":{"timeline":{"limit":${20 + round}}}}`))
  const initial = await server.measure('initial sync', filters.length, async () => {
    for (const filter of filters) await client.call('GET', `/sync?timeout=0&filter=${filter}&set_presence=offline`, undefined, user?.token)
  })
  figures.set('initial sync of 100 rooms, CPU ms', initial.cpuMs)
  const token = await since(client, user)
  const idle = await server.measure('incremental sync', 300, () => inLanes(300, 1, () => client.call('GET', `/sync?timeout=0&since=${token}`, undefined, user?.token)))
  figures.set('incremental sync without news, CPU ms', idle.cpuMs)
  const room = rooms[0] ?? ''
  await inLanes(200, 8, (index) => client.call('PUT', at(room, `/send/m.room.message/page${index}`), { msgtype: 'm.text', body: `page ${index}` }, user?.token))
  const pages = await server.measure('messages', 100, () => inLanes(100, 1, () => client.call('GET', at(room, '/messages?dir=b&limit=100'), undefined, user?.token)))
  figures.set('a page of 100 messages, CPU ms', pages.cpuMs)
}

/** State events in one room: cost, disk, and whether the last are as cheap as the first. */
export async function state(bench: Bench, count: number): Promise<void> {
  const { client, users, rooms, figures, server } = bench
  const room = rooms[1] ?? ''
  const before = await server.launch.diskBytes()
  const tenth = Math.floor(count / 10)
  const set = (from: number, upTo: number): Promise<{ cpuMs: number }> => server.measure(`state from ${from}`, upTo - from, async () => {
    for (let index = from; index < upTo; index += 1) await client.call('PUT', at(room, `/state/org.example.bench/key${index}`), { value: index }, users[1]?.token)
  })
  const first = await set(0, tenth)
  const middle = await set(tenth, count - tenth)
  const last = await set(count - tenth, count)
  figures.set('state event, CPU ms', (first.cpuMs + middle.cpuMs * 8 + last.cpuMs) / 10)
  figures.set('state event, last tenth to first', last.cpuMs / Math.max(first.cpuMs, 0.01))
  figures.set('state event, bytes on disk', ((await server.launch.diskBytes()) - before) / count)
}

/** Keys of many devices: upload, query, claim, and a to-device message to all. */
export async function devices(bench: Bench): Promise<void> {
  const { client, users, figures, server } = bench
  const upload = await server.measure('keys upload', users.length, () => inLanes(users.length, 4, (index) => {
    const user = users[index]
    if (!user) return Promise.resolve()
    const oneTime = Object.fromEntries(Array.from({ length: 20 }, (_, key) => [`signed_curve25519:AAA${key}`, { key: `k${key}`, signatures: {} }]))
    return client.call('POST', '/keys/upload', { one_time_keys: oneTime }, user.token)
  }))
  figures.set('keys upload, CPU ms', upload.cpuMs)
  const asker = users[0]
  const all = Object.fromEntries(users.map((user) => [user.id, []]))
  const query = await server.measure('keys query', 50, () => inLanes(50, 1, () => client.call('POST', '/keys/query', { device_keys: all }, asker?.token)))
  figures.set('keys query of 200 devices, CPU ms', query.cpuMs)
  const wanted = Object.fromEntries(users.map((user) => [user.id, { [user.deviceId]: 'signed_curve25519' }]))
  const claim = await server.measure('keys claim', 10, () => inLanes(10, 1, () => client.call('POST', '/keys/claim', { one_time_keys: wanted }, asker?.token)))
  figures.set('keys claim of 200 devices, CPU ms', claim.cpuMs)
  const messages = Object.fromEntries(users.map((user) => [user.id, { '*': { body: 'x' } }]))
  const toDevice = await server.measure('to-device', 50, () => inLanes(50, 1, (index) =>
    client.call('PUT', `/sendToDevice/org.example.bench/bench${index}`, { messages }, asker?.token)))
  figures.set('to-device to 200 devices, CPU ms', toDevice.cpuMs)
}
