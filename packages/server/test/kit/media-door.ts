/** The content repository alone behind its HTTP door, for tests that need neither accounts nor rooms. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { refuse } from '@myelin/protocol/errors.ts'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import { composeMedia } from '#app/compose-media.ts'
import { mediaEndpoints } from '#features/media/media.routes.ts'
import { PostgresDatabase } from '#platform/db/postgres.ts'
import { SqliteDatabase } from '#platform/db/sqlite.ts'
import { Application } from '#platform/http/application.ts'
import { mountEndpoints } from '#platform/http/mount.ts'
import type { Requester } from '#platform/http/requester.ts'
import { RateLimits, type Rate } from '#platform/limits/rate-limits.ts'
import { migrations } from '#schema/migrations.ts'
import { upgradeSchema } from '#schema/upgrade.ts'
import { checkContract } from '../contract/recorder.ts'
import { freshDatabase } from './postgres.ts'
import { TestClient } from './test-client.ts'
import { TestClock } from './test-clock.ts'

const defaults = {
  enable_media_repo: true,
  enable_authenticated_media: true,
  max_upload_size: 1_000_000,
  max_image_pixels: 1_000_000,
  max_pending_media_uploads: 5,
  unused_expiration_time: 86_400_000,
  dynamic_thumbnails: false,
  thumbnail_sizes: [
    { width: 32, height: 32, method: 'crop' },
    { width: 96, height: 96, method: 'crop' },
    { width: 320, height: 240, method: 'scale' },
    { width: 640, height: 480, method: 'scale' },
  ],
  prevent_media_downloads_from: [],
  media_retention: { local_media_lifetime: null, remote_media_lifetime: null },
} as const

/** Starts it; the tokens `alice`, `bob` and `guest` are those of the users of that name. */
export async function mediaDoor(t: TestContext, options: Partial<Parameters<typeof composeMedia>[0]['config']> & { readonly rate?: Rate } = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'myelin-media-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const usesPostgres = process.env['MYELIN_TEST_DATABASE'] === 'postgres'
  const database = usesPostgres ? new PostgresDatabase(await freshDatabase(t)) : new SqliteDatabase(join(folder, 'media.db'), { durable: false })
  await upgradeSchema(database, migrations, () => undefined)
  const clock = new TestClock()
  const stack = new AsyncDisposableStack()
  const config = { ...defaults, media_store_path: join(folder, 'media'), ...options }
  const limits = new RateLimits({ clock, rates: new Map(options.rate === undefined ? [] : [['rc_media_create', options.rate]]) })
  const errors: string[] = []
  const silent = (): void => undefined
  const error = (message: string, fields?: object): void => {
    errors.push(message)
    t.diagnostic(`${message} ${JSON.stringify(fields)}`)
  }
  const logger = { debug: silent, info: silent, warn: silent, error }
  const door = (over: Partial<typeof config> = {}) => composeMedia({ config: { ...config, ...over }, database, clock, logger, serverName: 'test.example', stack })
  const { media, mediaRetention, resizer } = door()
  const serve = async (served: typeof media): Promise<string> => {
    const application = new Application()
    mountEndpoints(application, mediaEndpoints, { media: served }, { authenticate: ({ token }) => requesterOf(token), limits, logger })
    const http = createServer((request, response) => application.routing(request, response))
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
    t.after(async () => {
      http.closeAllConnections()
      await new Promise<void>((resolve) => http.close(() => resolve()))
    })
    const { port } = http.address() as AddressInfo
    return `http://127.0.0.1:${port}`
  }
  const url = await serve(media)
  t.after(async () => {
    await stack.disposeAsync()
    await database.close()
  })
  const client = (token?: string, at = url): TestClient => new TestClient({ url: at, observe: checkContract, ...(token === undefined ? {} : { token }) })
  return {
    url, folder, media, mediaRetention, resizer, clock, database, errors, client,
    alice: client('alice'), bob: client('bob'), guest: client('guest'), anonymous: client(),
    /** The same store behind another door, with other options. */
    again: async (over: Partial<typeof config>): Promise<string> => serve(door(over).media),
  }
}

function requesterOf(token: string): Requester {
  if (!['alice', 'bob', 'guest'].includes(token)) throw refuse('M_UNKNOWN_TOKEN', 'The access token is not one that this server has issued.')
  return {
    userId: `@${token}:test.example` as UserId, deviceId: 'DEVICE', accessTokenId: 1, isGuest: token === 'guest', isAdmin: false, isSuspended: false,
    isLocked: false, appserviceId: undefined, rateLimited: true,
  }
}

/** All files in a folder and below. */
export function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true }).filter((each) => each.isFile()).map((each) => join(each.parentPath, each.name))
}

/** Lets the event loop turn until something is so. */
export async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise<void>((resolve) => setImmediate(resolve))
}
