/** Every operation, cut at every one of its writes: what was acknowledged is there afterwards, the rest is absent or whole. */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { openDatabase } from '#app/open-database.ts'
import { migrations } from '#schema/migrations.ts'
import { schemaStatus, upgradeSchema } from '#schema/upgrade.ts'
import { SqliteDatabase } from '#platform/db/sqlite.ts'
import { testEngine, writeHomeserverYaml } from '../kit/homeserver-yaml.ts'
import type { Reply, Sent, TestClient } from '../kit/test-client.ts'
import { startTestServer, type TestServer } from '../kit/test-server.ts'
import { CutDatabase, type Cut } from './cut-database.ts'

interface Scene {
  readonly server: TestServer
  readonly alice: TestClient
  readonly bob: TestClient
  readonly room: string
}

/** One operation: what it sends, and whether it is there. `isThere` fails where it is half there. */
interface Operation {
  readonly name: string
  readonly send: (scene: Scene) => Sent
  readonly isThere: (scene: Scene, reply: Reply) => Promise<boolean>
}

const id = encodeURIComponent

async function roomsOf(client: TestClient): Promise<string[]> {
  const { joined_rooms: rooms } = await client.get('/joined_rooms').ok()
  assert.ok(Array.isArray(rooms))
  return rooms.map(String)
}

const operations: readonly Operation[] = [
  {
    name: 'a message',
    send: ({ alice, room }) => alice.put(`/rooms/${id(room)}/send/m.room.message/cut`, { msgtype: 'm.text', body: 'cut' }),
    isThere: async ({ bob, room }) => {
      const { chunk } = await bob.get(`/rooms/${id(room)}/messages?dir=b&limit=100`).ok()
      return JSON.stringify(chunk).includes('"body":"cut"')
    },
  },
  {
    name: 'a room',
    send: ({ alice }) => alice.post('/createRoom', { preset: 'public_chat', name: 'cut' }),
    isThere: async ({ alice, room }) => {
      const [made] = (await roomsOf(alice)).filter((each) => each !== room)
      if (made === undefined) return false
      for (const type of ['m.room.create', 'm.room.power_levels', 'm.room.join_rules', 'm.room.history_visibility', 'm.room.name']) {
        await alice.get(`/rooms/${id(made)}/state/${type}`).ok()
      }
      return true
    },
  },
  {
    name: 'a join',
    send: ({ bob, room }) => bob.post(`/join/${id(room)}`, {}),
    isThere: async ({ alice, bob, room }) => {
      const { joined } = await alice.get(`/rooms/${id(room)}/joined_members`).ok()
      const isMember = typeof joined === 'object' && joined !== null && Object.hasOwn(joined, bob.userId)
      assert.equal((await roomsOf(bob)).includes(room), isMember)
      return isMember
    },
  },
  {
    name: 'an upload',
    send: ({ alice }) => alice.post('/_matrix/media/v3/upload', 'content', { headers: { 'content-type': 'text/plain' } }),
    isThere: async ({ alice }, { body }) => {
      if (typeof body['content_uri'] !== 'string') return false
      return (await alice.get(`/_matrix/client/v1/media/download/${body['content_uri'].replace('mxc://', '')}`)).status === 200
    },
  },
  {
    name: 'the claim of a key',
    send: ({ alice, bob }) => bob.post('/keys/claim', { one_time_keys: { [alice.userId]: { [alice.deviceId]: 'curve25519' } } }),
    isThere: async ({ alice }) => {
      const { one_time_key_counts: counts } = await alice.post('/keys/upload', {}).ok()
      return !JSON.stringify(counts).includes('"curve25519":1')
    },
  },
  {
    name: 'a message to a device',
    send: ({ alice, bob }) => alice.put('/sendToDevice/org.example.cut/cut', { messages: { [bob.userId]: { '*': { body: 'cut' } } } }),
    isThere: async ({ bob }) => {
      const { to_device: toDevice } = await bob.get('/sync?timeout=0').ok()
      return JSON.stringify(toDevice ?? {}).includes('org.example.cut')
    },
  },
  {
    name: 'account data',
    send: ({ alice }) => alice.put(`/user/${id(alice.userId)}/account_data/org.example.cut`, { cut: true }),
    isThere: async ({ alice }) => (await alice.get(`/user/${id(alice.userId)}/account_data/org.example.cut`)).status === 200,
  },
]

interface Flaws {
  readonly acknowledgesEarly?: boolean
  readonly durable?: boolean
}

/** One cut on a server of its own. @returns false where the operation has fewer writes */
async function oneCut(t: TestContext, operation: Operation, cut: Cut, at: number, flaws: Flaws = {}): Promise<boolean> {
  const folder = mkdtempSync(join(tmpdir(), 'myelin-cut-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const configPath = await writeHomeserverYaml(t, folder)
  let database: CutDatabase | undefined
  const server = await startTestServer(t, folder, configPath, {
    open: (config) => {
      const path = testEngine === 'sqlite' ? join(folder, 'homeserver.db') : undefined
      // Only a power failure needs the real sync.
      const durable = cut === 'power' && (flaws.durable ?? true)
      database = new CutDatabase(openDatabase(config, { durable }), path, flaws)
      return database
    },
  })
  assert.ok(database)
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  await alice.post('/keys/upload', { one_time_keys: { 'curve25519:first': 'a key' } }).ok()
  const room = String((await alice.post('/createRoom', { preset: 'public_chat' }).ok())['room_id'])
  const scene: Scene = { server, alice, bob, room }
  if (operation.name === 'a message') await bob.post(`/join/${id(room)}`, {}).ok()

  database.arm(cut, at, join(folder, 'copy.db'))
  const reply = await operation.send(scene)
  if (!database.wasCut) {
    assert.equal(reply.status, 200, reply.text)
    return false
  }
  const acknowledged = reply.status === 200
  if (!acknowledged) assert.equal(`${reply.status} ${String(reply.body['errcode'])}`, '503 M_UNKNOWN', reply.text)
  if (cut === 'fail') {
    // The same process goes on by itself.
    database.disarm()
    const again = await operation.send(scene)
    assert.ok(again.status < 300, `after the failure: ${again.text}`)
    assert.equal(await operation.isThere(scene, again), true)
    return true
  }
  if (testEngine === 'sqlite') writeFileSync(configPath, readFileSync(configPath, 'utf8').replace('homeserver.db', 'copy.db'))
  const restarted = await startTestServer(t, folder, configPath)
  const after: Scene = { ...scene, server: restarted, alice: alice.at(restarted.url), bob: bob.at(restarted.url) }
  const isThere = await operation.isThere(after, reply)
  if (acknowledged) assert.ok(isThere, `${operation.name} was acknowledged and is gone`)
  if (!isThere) {
    const again = await operation.send(after)
    assert.ok(again.status < 300, `after the restart: ${again.text}`)
    assert.equal(await operation.isThere(after, again), true)
  }
  return true
}

const cuts: readonly Cut[] = testEngine === 'sqlite' ? ['fail', 'kill', 'power'] : ['fail', 'kill']

for (const operation of operations) {
  for (const cut of cuts) {
    test(`${operation.name}, ${cut} at every write`, async (t) => {
      const last = { reached: false }
      for (let at = 1; !last.reached; at += 1) {
        await t.test(`write ${at}`, async (inner) => {
          last.reached = true
          last.reached = !(await oneCut(inner, operation, cut, at))
        })
        assert.ok(at < 200)
      }
    })
  }
}

const [message] = operations
assert.ok(message)

/** Whether some cut of a flawed server is found out. */
async function isFoundOut(t: TestContext, operation: Operation, cut: Cut, flaws: Flaws): Promise<boolean> {
  for (let at = 1; at < 50; at += 1) {
    try {
      if (!(await oneCut(t, operation, cut, at, flaws))) return false
    } catch (error) {
      if (error instanceof Error && /was acknowledged and is gone|no longer|M_UNKNOWN_TOKEN/.test(error.message)) return true
      throw error
    }
  }
  return false
}

test('a server that acknowledges before the commit is found out', async (t) => {
  assert.equal(await isFoundOut(t, message, 'kill', { acknowledgesEarly: true }), true)
})

if (testEngine === 'sqlite') {
  test('a server that skips the sync is found out by a power failure', async (t) => {
    assert.equal(await isFoundOut(t, message, 'power', { durable: false }), true)
  })

  for (const cut of ['kill', 'power'] as const) {
    test(`the schema's steps, ${cut} at every write`, async (t) => {
      const folder = mkdtempSync(join(tmpdir(), 'myelin-cut-'))
      t.after(() => rmSync(folder, { recursive: true, force: true }))
      for (let at = 1; ; at += 1) {
        const path = join(folder, `${at}.db`)
        const database = new CutDatabase(new SqliteDatabase(path, { durable: cut === 'power' }), path)
        database.arm(cut, at, join(folder, `${at}-copy.db`))
        const whole = await upgradeSchema(database, migrations, () => undefined).then(() => true, () => false)
        await database.close()
        if (whole) break
        const after = new SqliteDatabase(join(folder, `${at}-copy.db`), { durable: false })
        await upgradeSchema(after, migrations, () => undefined)
        assert.deepEqual((await schemaStatus(after, migrations)).pending, [])
        await after.close()
      }
    })
  }
}
