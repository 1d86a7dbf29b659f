/** `npm run bench -- --soak 10m`: two hundred accounts, fifty of them syncing, thirty events a second; memory and latency must stay flat. */
import { setTimeout as pause } from 'node:timers/promises'
import { at, registerMany, type Client, type User } from './client.ts'
import type { Server } from './server.ts'
import { createRoom, percentile, post, since } from './steps.ts'

const accounts = 200
const syncing = 50
const eventsPerSecond = 30
const roomCount = 20
/** Lines of the report. */
const slices = 10

interface Slice {
  readonly memoryMib: number
  readonly p50: number
  readonly p99: number
  readonly sent: number
  readonly delivered: number
}

/** Milliseconds of a text such as `90s`, `10m` or `1h`. */
export function durationMs(text: string): number {
  const found = /^(\d+)([smh])$/.exec(text)
  const unit = { s: 1000, m: 60_000, h: 3_600_000 }[found?.[2] ?? '']
  if (!found || unit === undefined) throw new Error(`"${text}" is no duration; write for instance --soak 10m.`)
  return Number(found[1]) * unit
}

/** Follows a user's `/sync` until told to stop. */
async function follow(client: Client, user: User, isOver: () => boolean, delivered: () => void): Promise<void> {
  let token = await since(client, user)
  while (!isOver()) {
    const reply = await client.call('GET', `/sync?timeout=2000&since=${token}`, undefined, user.token)
    token = String(reply['next_batch'])
    if (JSON.stringify(reply['rooms'] ?? {}).includes('"m.room.message"')) delivered()
  }
}

/** Runs the load. @returns the report as Markdown */
export async function soak(server: Server, client: Client, lengthMs: number): Promise<string> {
  const users = await registerMany(client, 'soak', accounts)
  const rooms: string[] = []
  for (let index = 0; index < roomCount; index += 1) {
    const room = await createRoom(client, users[index], { preset: 'public_chat' })
    rooms.push(room)
    for (const user of users.filter((_, place) => place % roomCount === index).slice(1)) await client.call('POST', at(room, '/join'), {}, user.token)
  }
  let isOver = false
  let delivered = 0
  let sent = 0
  let latencies: number[] = []
  const readers = users.slice(-syncing).map((user) => follow(client, user, () => isOver, () => { delivered += 1 }))
  const report: Slice[] = []
  const began = performance.now()
  const pending = new Set<Promise<void>>()
  while (performance.now() - began < lengthMs) {
    // The pace is the load itself: event number n is due n thirtieths of a second after the start.
    const dueMs = (sent * 1000) / eventsPerSecond - (performance.now() - began)
    if (dueMs > 0) await pause(dueMs)
    const index = sent
    sent += 1
    const at0 = performance.now()
    const sending = post(client, rooms[index % roomCount] ?? '', `soak ${index}`, users[index % roomCount])
      .then(() => { latencies.push(performance.now() - at0) }).finally(() => pending.delete(sending))
    pending.add(sending)
    if (performance.now() - began >= ((report.length + 1) * lengthMs) / slices) {
      report.push({ memoryMib: server.memoryMib(), p50: percentile(latencies, 0.5), p99: percentile(latencies, 0.99), sent, delivered })
      latencies = []
    }
  }
  await Promise.all(pending)
  isOver = true
  await Promise.all(readers)
  const rows = report.map((slice, index) => `| ${index + 1} | ${slice.sent} | ${slice.delivered} | ${slice.memoryMib.toFixed(0)} | ${slice.p50.toFixed(1)} | ${slice.p99.toFixed(1)} |`)
  return `| tenth | sent | syncs with messages | memory, MiB | send p50, ms | send p99, ms |\n|---|---|---|---|---|---|\n${rows.join('\n')}\n`
}
