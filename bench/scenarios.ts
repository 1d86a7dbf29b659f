/** What is measured: each scenario prepares, warms up both servers alike, runs, and says what one operation cost. */
import { at, registerMany, type Client, type User } from './client.ts'
import { keyUpload } from './device-keys.ts'
import type { Cost, Server } from './server.ts'
import { createRoom, inLanes, percentile, post, since, steady } from './steps.ts'

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

/** Two hundred users and one room for each of the first thirty-two. */
export async function prepare(server: Server, client: Client): Promise<Bench> {
  const figures: Figures = new Map()
  figures.set('start to first answer, ms', server.startMs)
  figures.set('memory idle, MiB', server.memoryMib())
  const users = await registerMany(client, 'user', 200)
  const rooms: string[] = []
  const created = await steady(server, 'create room', 32, 1, async (index) => {
    rooms.push(await createRoom(client, users[index], { preset: 'public_chat' }))
  })
  figures.set('create room, CPU ms', created.cpuMs)
  return { server, client, figures, users, rooms }
}

async function send(bench: Bench, label: string, count: number, lanes: number, room: (lane: number) => string): Promise<Cost> {
  const { client, users, server } = bench
  return steady(server, `send ${label}`, count, lanes, (index, lane) => post(client, room(lane), `${label} ${index}`, users[lane]))
}

/** Sending with one sender, with sixteen in rooms of their own, and with sixteen in one room of fifty. */
export async function sending(bench: Bench, count: number): Promise<void> {
  const { figures, rooms, users, client, server } = bench
  const own = (lane: number): string => rooms[lane] ?? ''
  const one = await send(bench, 'one', count, 1, own)
  figures.set('send, 1 sender, CPU ms', one.cpuMs)
  figures.set('send, 1 sender, per second', one.perSecond)
  const sixteen = await send(bench, 'sixteen', count * 2, 16, own)
  figures.set('send, 16 senders, CPU ms', sixteen.cpuMs)
  figures.set('send, 16 senders, per second', sixteen.perSecond)
  const shared = rooms[0] ?? ''
  const join = (index: number): Promise<unknown> => client.call('POST', at(shared, '/join'), {}, users[index + 1]?.token)
  const joins = await steady(server, 'join', 44, 1, join)
  figures.set('join a local room, CPU ms', joins.cpuMs)
  const together = await send(bench, 'together', count * 2, 16, () => shared)
  figures.set('send, 16 senders in a room of 50, CPU ms', together.cpuMs)
  figures.set('send, 16 senders in a room of 50, per second', together.perSecond)
}

/** From a send to the other client's `/sync`, and with a hundred members waiting. */
export async function delivery(bench: Bench, rounds: number): Promise<void> {
  const { client, users, rooms, figures, server } = bench
  const room = rooms[0] ?? ''
  const [sender, reader] = users
  const times: number[] = []
  let token = await since(client, reader)
  await steady(server, 'delivery', rounds, 1, async (index) => {
    const waiting = client.call('GET', `/sync?timeout=30000&since=${token}`, undefined, reader?.token)
    await client.call('GET', '/_matrix/client/versions')
    const began = performance.now()
    await post(client, room, `delivery ${index}`, sender)
    token = String((await waiting)['next_batch'])
    times.push(performance.now() - began)
  })
  const counted = times.slice(-rounds)
  figures.set('delivery p50, ms', percentile(counted, 0.5))
  figures.set('delivery p99, ms', percentile(counted, 0.99))
  const members = users.slice(0, 100)
  for (const user of members.slice(45)) await client.call('POST', at(room, '/join'), {}, user.token)
  const tokens = await Promise.all(members.map((user) => since(client, user)))
  const waits = await steady(server, 'wake 100', Math.max(5, Math.floor(rounds / 5)), 1, async (round) => {
    const waiting = members.map((user, index) => client.call('GET', `/sync?timeout=30000&since=${tokens[index] ?? ''}`, undefined, user.token))
    await client.call('GET', '/_matrix/client/versions')
    await post(client, room, `woken ${round}`, sender)
    const replies = await Promise.all(waiting)
    replies.forEach((reply, index) => {
      tokens[index] = String(reply['next_batch'])
    })
  })
  figures.set('message to 100 waiting members, CPU ms', waits.cpuMs)
}

/** Initial and idle incremental `/sync` of a user in a hundred rooms of twenty messages, and pages of history. */
export async function syncing(bench: Bench): Promise<void> {
  const { client, users, figures, server } = bench
  const user = users[20]
  const rooms: string[] = []
  for (let index = 0; index < 100; index += 1) rooms.push(await createRoom(client, user, { preset: 'public_chat', name: `room ${index}` }))
  await inLanes(2000, 16, (index) => post(client, rooms[index % 100] ?? '', `fill ${index}`, user))
  // Each round asks for another length, so that no kept answer serves it.
  const filterOf = (round: number): string => encodeURIComponent(`{"room":{"timeline":{"limit":${20 + round}}}}`)
  const initial = await steady(server, 'initial sync', 20, 1, (round) =>
    client.call('GET', `/sync?timeout=0&filter=${filterOf(round)}&set_presence=offline`, undefined, user?.token))
  figures.set('initial sync of 100 rooms, CPU ms', initial.cpuMs)
  const token = await since(client, user)
  const idle = await steady(server, 'incremental sync', 300, 1, () => client.call('GET', `/sync?timeout=0&since=${token}`, undefined, user?.token))
  figures.set('incremental sync without news, CPU ms', idle.cpuMs)
  const room = rooms[0] ?? ''
  await inLanes(200, 8, (index) => post(client, room, `page ${index}`, user))
  const pages = await steady(server, 'messages', 200, 1, () => client.call('GET', at(room, '/messages?dir=b&limit=100'), undefined, user?.token))
  figures.set('a page of 100 messages, CPU ms', pages.cpuMs)
}

/** State events in one room: cost, disk, and whether the last are as cheap as the first. */
export async function state(bench: Bench, count: number): Promise<void> {
  const { client, users, rooms, figures, server } = bench
  const room = rooms[1] ?? ''
  const tenth = Math.floor(count / 10)
  const set = (from: number, upTo: number): Promise<Cost> => server.measure(`state from ${from}`, upTo - from, () =>
    inLanes(upTo - from, 1, (index) =>
      client.call('PUT', at(room, `/state/org.example.bench/key${from + index}`), { value: from + index }, users[1]?.token)))
  await set(0, tenth)
  const before = await server.launch.diskBytes()
  const first = await set(tenth, tenth * 2)
  const middle = await set(tenth * 2, count)
  const last = await set(count, count + tenth)
  figures.set('state event, CPU ms', (first.cpuMs + middle.cpuMs * 8 + last.cpuMs) / 10)
  figures.set('state event, last tenth to first', last.cpuMs / Math.max(first.cpuMs, 0.01))
  figures.set('state event, bytes on disk', ((await server.launch.diskBytes()) - before) / count)
}

/** Keys of two hundred devices: upload, query, claim, and a to-device message to all. */
export async function devices(bench: Bench): Promise<void> {
  const { client, users, figures, server } = bench
  const bodies = users.map((user) => keyUpload(user, 30))
  const warming = Math.ceil(users.length / 11)
  const upload = await steady(server, 'keys upload', users.length - warming, 4, (index) => client.call('POST', '/keys/upload', bodies[index], users[index]?.token))
  figures.set('keys upload, CPU ms', upload.cpuMs)
  const asker = users[0]
  const all = Object.fromEntries(users.map((user) => [user.id, []]))
  const query = await steady(server, 'keys query', 300, 1, () => client.call('POST', '/keys/query', { device_keys: all }, asker?.token))
  figures.set('keys query of 200 devices, CPU ms', query.cpuMs)
  const wanted = Object.fromEntries(users.map((user) => [user.id, { [user.deviceId]: 'signed_curve25519' }]))
  const claim = await steady(server, 'keys claim', 20, 1, () => client.call('POST', '/keys/claim', { one_time_keys: wanted }, asker?.token))
  figures.set('keys claim of 200 devices, CPU ms', claim.cpuMs)
  const messages = Object.fromEntries(users.map((user) => [user.id, { [user.deviceId]: { ciphertext: user.id.repeat(20) } }]))
  const toDevice = await steady(server, 'to-device', 150, 1, (index) =>
    client.call('PUT', `/sendToDevice/org.example.bench/bench${index}`, { messages }, asker?.token))
  figures.set('to-device to 200 devices, CPU ms', toDevice.cpuMs)
}

/** A text of words of which few are frequent and most are rare, always the same for a number. */
function prose(index: number): string {
  let state = index * 2_654_435_761 + 1
  const random = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
  const length = 1 + Math.floor(random() * 24)
  return Array.from({ length }, () => `word${Math.floor(20_000 * random() ** 4).toString(36)}`).join(' ')
}

/** Searching for frequent and rare words among many messages in several rooms, in both orders, with context. */
export async function searching(bench: Bench, messages: number): Promise<void> {
  const { client, users, figures, server } = bench
  const [searcher] = users
  const rooms: string[] = []
  for (let index = 0; index < 20; index += 1) rooms.push(await createRoom(client, searcher, { preset: 'public_chat' }))
  await inLanes(messages, 16, (index) =>
    client.call('PUT', at(rooms[index % rooms.length] ?? '', `/send/m.room.message/prose${index}`), { msgtype: 'm.text', body: prose(index) }, searcher?.token))
  const ask = (term: string, order: string, more: object = {}): Promise<unknown> =>
    client.call('POST', '/search', { search_categories: { room_events: { search_term: term, order_by: order, ...more } } }, searcher?.token)
  await ask('word0', 'recent')
  const terms = ['word0', 'word1', 'worda', 'word5 word1', 'wordfe8']
  for (const [name, order, more] of [['recent', 'recent', {}], ['rank', 'rank', {}], ['recent with context', 'recent', { event_context: { before_limit: 1, after_limit: 1, include_profile: true } }]] as const) {
    const searches = await steady(server, `search ${name}`, 100, 4, (index) => ask(terms[index % terms.length] ?? '', order, more))
    figures.set(`search, ${name}, CPU ms`, searches.cpuMs)
  }
}
