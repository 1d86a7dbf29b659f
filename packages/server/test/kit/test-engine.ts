/** The engine alone on a database of its own, for tests of the engine. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { SigningKey } from '@myelin/protocol/crypto/ed25519.ts'
import type { ServerName, UserId } from '@myelin/protocol/ids/ids.ts'
import { getRoomVersion, type RoomVersion } from '@myelin/protocol/rooms/versions.ts'
import { composeEngine, type Engine } from '#app/compose-engine.ts'
import { CacheBudget } from '#platform/cache/cache.ts'
import { SystemClock } from '#platform/clock.ts'
import type { Database } from '#platform/db/database.ts'
import { PostgresDatabase } from '#platform/db/postgres.ts'
import { SqliteDatabase } from '#platform/db/sqlite.ts'
import type { Room } from '#engine/room.ts'
import { migrations } from '#schema/migrations.ts'
import { upgradeSchema } from '#schema/upgrade.ts'
import { freshDatabase } from './postgres.ts'

/** An engine with two local users. */
export interface TestEngine extends Engine {
  readonly database: Database
  /** A second engine on the same database, as after a restart. */
  restart(): Promise<TestEngine>
  /** A public room that `alice` made. */
  publicRoom(version?: RoomVersion): Promise<{ room: Room; alice: UserId; bob: UserId }>
}

const alice = '@alice:test.example' as UserId
const bob = '@bob:test.example' as UserId

/** Opens an engine that ends with the test. @param serverName whose events it signs */
export async function testEngineRooms(t: TestContext, serverName = 'test.example' as ServerName): Promise<TestEngine> {
  const database = await openTestDatabase(t)
  await upgradeSchema(database, migrations, () => undefined)
  return openEngine(database, serverName)
}

/** An empty database of the engine under test, removed with the test. */
export async function openTestDatabase(t: TestContext): Promise<Database> {
  if (process.env['MYELIN_TEST_DATABASE'] === 'postgres') {
    const postgres = new PostgresDatabase(await freshDatabase(t, { migrated: false }))
    t.after(() => postgres.close())
    return postgres
  }
  const folder = mkdtempSync(join(tmpdir(), 'myelin-engine-'))
  const database = new SqliteDatabase(join(folder, 'test.db'), { durable: false })
  t.after(async () => {
    await database.close()
    rmSync(folder, { recursive: true, force: true })
  })
  return database
}

async function openEngine(database: Database, serverName: ServerName): Promise<TestEngine> {
  const signer = { serverName, key: new SigningKey('test', Buffer.alloc(32, 7)) }
  const engine = await composeEngine({ database, caches: new CacheBudget(64 * 1024 * 1024), clock: new SystemClock(), signer, serverName, ...keepingRedacted() })
  const defaultVersion = getRoomVersion('12')
  return {
    ...engine,
    database,
    restart: () => openEngine(database, serverName),
    publicRoom: async (version = defaultVersion) => {
      if (!version) throw new Error('Room version 12 is unknown')
      const create = { room_version: version.id, ...(version.creatorField ? { creator: alice } : {}) }
      const { room } = await engine.writer.createRoom(version, alice, create, () => [
        { type: 'm.room.member', stateKey: alice, sender: alice, content: { membership: 'join' } },
        { type: 'm.room.power_levels', stateKey: '', sender: alice, content: version.privilegedCreators ? {} : { users: { [alice]: 100 } } },
        { type: 'm.room.join_rules', stateKey: '', sender: alice, content: { join_rule: 'public' } },
        { type: 'm.room.history_visibility', stateKey: '', sender: alice, content: { history_visibility: 'shared' } },
      ])
      return { room, alice, bob }
    },
  }
}

/** An engine that keeps what redactions hide and has nobody to tell of failures. */
function keepingRedacted() {
  const silent = (): void => undefined
  const logger = { debug: silent, info: silent, warn: silent, error: silent }
  return { logger: () => logger, redactionRetentionMs: null, keyRing: { publicKey: async () => undefined }, stack: new AsyncDisposableStack() }
}
