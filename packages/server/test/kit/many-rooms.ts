/**
 * What sliding sync costs an account with many rooms: `node packages/server/test/kit/many-rooms.ts [rooms]` makes one, starts the server anew and prints
 * CPU, reads of tables and memory of the first answers and of later ones. On PostgreSQL with MYELIN_TEST_DATABASE=postgres.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { writeHomeserverYaml } from './homeserver-yaml.ts'
import { readsDuring } from './table-reads.ts'
import { list, slidingOk, type SlidingBody } from './sliding.ts'
import { send, syncOk } from './syncing.ts'
import type { TestClient } from './test-client.ts'
import { startTestServer, type TestServer } from './test-server.ts'

/** The rooms of an account, most of them quiet, each with a name, a topic, three members and some messages. */
export async function makeRooms(server: TestServer, count: number): Promise<{ readonly owner: TestClient; readonly other: TestClient; readonly rooms: readonly string[] }> {
  const [owner, other, third] = [await server.register('owner'), await server.register('other'), await server.register('third')]
  const rooms: string[] = []
  for (let index = 0; index < count; index += 1) {
    const room = String((await other.post('/createRoom', { preset: 'public_chat', name: `Room ${index}`, topic: `Topic ${index}` }).ok())['room_id'])
    for (const member of [owner, third]) await member.post(`/join/${encodeURIComponent(room)}`, {}).ok()
    for (let message = 0; message < 3; message += 1) await send(other, room, `message ${message}`)
    rooms.push(room)
  }
  return { owner, other, rooms }
}

const required = [
  ['m.room.create', ''], ['m.room.name', ''], ['m.room.avatar', ''], ['m.room.topic', ''], ['m.room.encryption', ''], ['m.room.power_levels', ''],
  ['m.room.join_rules', ''], ['m.room.history_visibility', ''], ['m.room.canonical_alias', ''], ['m.room.tombstone', ''], ['m.room.member', '$LAZY'], ['m.room.member', '$ME'],
  ['m.space.parent', '*'], ['m.space.child', '*'], ['org.matrix.msc3401.call.member', '*'],
]

/** A request as the clients on telephones make it. */
export function telephone(from: number, to: number): SlidingBody {
  return {
    conn_id: 'room-list', lists: { all_rooms: list(from, to, { timeline_limit: 1, required_state: required, filters: { not_room_types: ['m.space'] } }) },
    extensions: { account_data: { enabled: true }, receipts: { enabled: true, rooms: ['*'] }, typing: { enabled: true } },
  }
}

async function measure(t: TestContext, count: number): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'myelin-rooms-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const config = await writeHomeserverYaml(t, folder, {})
  const { owner: made, other: maker, rooms } = await makeRooms(await startTestServer(t, folder, config), count)
  const server = await startTestServer(t, folder, config)
  const [owner, other] = [made.at(server.url), maker.at(server.url)]
  globalThis.gc?.()
  const idle = process.memoryUsage()
  let pos: string | undefined
  const step = async (what: string, body: SlidingBody, times = 1): Promise<void> => {
    const before = process.cpuUsage()
    let answered = 0
    const reads = await readsDuring(server, async () => {
      for (let time = 0; time < times; time += 1) {
        const answer = await slidingOk(owner, body, { set_presence: 'offline', ...(pos === undefined ? {} : { pos }) })
        pos = answer.pos
        answered += Object.keys(answer.rooms).length
      }
    })
    const { user, system } = process.cpuUsage(before)
    const memory = process.memoryUsage()
    const byName = [...Map.groupBy(reads, (name) => name)].map(([name, list_]) => `${name.slice(0, 40)}×${list_.length}`).sort()
    console.log(`${what}: ${((user + system) / 1000 / times).toFixed(2)} ms CPU (client included), ${answered} rooms, ${reads.length / times} reads; `
      + `heap +${((memory.heapUsed - idle.heapUsed) / 2 ** 20).toFixed(0)} MiB, resident +${((memory.rss - idle.rss) / 2 ** 20).toFixed(0)} MiB`)
    if (process.env['READS']) console.log(byName.join(' '))
  }
  await owner.get('/account/whoami').ok()
  await step('first 20 rooms', telephone(0, 19))
  await step('100 rooms', telephone(0, 99))
  for (let end = 199; end < count + 100; end += 100) await step(`${end + 1} rooms`, telephone(0, end))
  await step('without news', telephone(0, count), 200)
  for (let index = 0; index < 5; index += 1) {
    await send(other, rooms[index * 7] ?? '', 'news')
    await step('one message', telephone(0, count))
  }
  pos = undefined
  await step('first 20 rooms, again', telephone(0, 19))
  pos = undefined
  await step('all rooms at once', telephone(0, count))
  const before = process.cpuUsage()
  await syncOk(owner, { set_presence: 'offline' })
  const { user, system } = process.cpuUsage(before)
  console.log(`initial /sync: ${((user + system) / 1000).toFixed(0)} ms CPU, resident +${((process.memoryUsage().rss - idle.rss) / 2 ** 20).toFixed(0)} MiB`)
}

if (import.meta.main) test('cost of an account with many rooms', { timeout: 600_000 }, (t) => measure(t, Number(process.argv[2] ?? 1000)))
