/** A whole server for a test: real stores, real sockets, a clock that the test owns. */
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { inspect } from 'node:util'
import { loadConfig, type Config } from '#app/config.ts'
import { compose, type Services } from '#app/compose.ts'
import { openDatabase } from '#app/open-database.ts'
import { endpoints } from '#app/routes.ts'
import { SystemClock, type Clock } from '#platform/clock.ts'
import type { Database } from '#platform/db/database.ts'
import { Application } from '#platform/http/application.ts'
import { mountEndpoints } from '#platform/http/mount.ts'
import { ActiveRequests } from '#platform/http/served-request.ts'
import { Metrics } from '#platform/metrics/metrics.ts'
import type { LogFields, Logger } from '#platform/log/logger.ts'
import { migrations } from '#schema/migrations.ts'
import { upgradeSchema } from '#schema/upgrade.ts'
import { writeHomeserverYaml } from './homeserver-yaml.ts'
import { registerBySecret } from './shared-secret.ts'
import type { TlsDoor } from './tls-door.ts'
import { TestClient } from './test-client.ts'
import { checkContract } from '../contract/recorder.ts'

/** Options of a test server. */
export interface TestServerOptions {
  /** Further lines of homeserver.yaml. */
  readonly config?: string
  readonly clock?: Clock
  /** Keep the rate limits of the defaults; without, nothing is limited. */
  readonly rateLimits?: boolean
  /** Takes every line of the log, access lines and fields included. */
  readonly log?: (line: string) => void
  /** Opens the database, for tests of failing storage. */
  readonly open?: (config: Config) => Database
  /** A second way in, by TLS. */
  readonly door?: TlsDoor
}

/** A running server. */
export class TestServer {
  readonly url: string
  readonly folder: string
  readonly services: Services
  readonly metrics: Metrics
  /** Messages that the server logged as errors; a test that expects none checks it. */
  readonly errors: readonly string[]
  /** The way by which other servers come in. */
  readonly door: TlsDoor | undefined
  #users = 0

  constructor(url: string, folder: string, services: Services, metrics: Metrics, errors: readonly string[], door?: TlsDoor) {
    this.url = url
    this.folder = folder
    this.services = services
    this.metrics = metrics
    this.errors = errors
    this.door = door
  }

  get serverName(): string {
    return this.services.serverName
  }

  /** A client without a token. */
  anonymous(): TestClient {
    return new TestClient({ url: this.url, observe: checkContract })
  }

  /** Registers a user with the password `password-of-<name>` and gives their client. */
  async register(name = `user${++this.#users}`, extra: Readonly<Record<string, unknown>> = {}): Promise<TestClient> {
    const body = { username: name, password: `password-of-${name}`, auth: { type: 'm.login.dummy' }, ...extra }
    const reply = await this.anonymous().post('/register', body).ok()
    return this.client(reply)
  }

  /** A guest's client. */
  async guest(): Promise<TestClient> {
    return this.client(await this.anonymous().post('/register?kind=guest', {}).ok())
  }

  /** Another device of a registered user. */
  async login(name: string, extra: Readonly<Record<string, unknown>> = {}): Promise<TestClient> {
    const body = { type: 'm.login.password', identifier: { type: 'm.id.user', user: name }, password: `password-of-${name}`, ...extra }
    return this.client(await this.anonymous().post('/login', body).ok())
  }

  /** Registers an administrator through the shared-secret registration. */
  async admin(name = 'admin'): Promise<TestClient> {
    return this.client(await registerBySecret(this.anonymous(), name, true))
  }

  /** Alice and Bob, joined to a public room that Alice made. */
  async withRoom(create: Readonly<Record<string, unknown>> = {}): Promise<{ alice: TestClient; bob: TestClient; room: string }> {
    const [alice, bob] = [await this.register('alice'), await this.register('bob')]
    const room = String((await alice.post('/createRoom', { preset: 'public_chat', ...create }).ok())['room_id'])
    await bob.post(`/join/${encodeURIComponent(room)}`, {}).ok()
    return { alice, bob, room }
  }

  private client(reply: Readonly<Record<string, unknown>>): TestClient {
    return new TestClient({
      url: this.url,
      observe: checkContract,
      userId: String(reply['user_id']),
      token: String(reply['access_token']),
      deviceId: String(reply['device_id']),
    })
  }
}

/** Starts a server that stops with the test. */
export async function testServer(t: TestContext, options: TestServerOptions = {}): Promise<TestServer> {
  const folder = mkdtempSync(join(tmpdir(), 'myelin-test-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const config = await writeHomeserverYaml(t, folder, options)
  return startTestServer(t, folder, config, options)
}

/** Starts a server on a folder that a test has prepared, for instance to start it a second time. */
export async function startTestServer(t: TestContext, folder: string, configPath: string, options: TestServerOptions = {}): Promise<TestServer> {
  const loaded = loadConfig([configPath])
  const database = options.open?.(loaded.config) ?? openDatabase(loaded.config, { durable: false })
  await upgradeSchema(database, migrations, () => undefined)
  const errors: string[] = []
  const line = (message: string, fields?: LogFields): void => options.log?.(`${message} ${inspect(fields)}`)
  const logger: Logger = {
    debug: line,
    info: line,
    warn: line,
    error: (message, fields) => {
      line(message, fields)
      errors.push(message)
      t.diagnostic(`${message} ${fields?.['error'] instanceof Error ? (fields['error'].stack ?? '') : JSON.stringify(fields ?? {})}`)
    },
  }
  const metrics = new Metrics(loaded.config.server_name)
  const services = await compose({
    loaded, metrics, database, clock: options.clock ?? new SystemClock(), logger: () => logger,
  })
  const active = new ActiveRequests()
  const application = new Application()
  mountEndpoints(application, endpoints, services, { authenticate: services.authenticate, authenticateServer: services.authenticateServer, paceServer: services.paceServer, limits: services.limits, logger, accessLogger: logger, active })
  options.door?.serve((request, response) => application.routing(request, response))
  const http = createServer((request, response) => application.routing(request, response))
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
  t.after(async () => {
    active.drain()
    http.closeAllConnections()
    await new Promise<void>((resolve) => http.close(() => resolve()))
    await services.dispose()
    await database.close()
  })
  return new TestServer(`http://127.0.0.1:${portOf(http)}`, folder, services, metrics, errors, options.door)
}

function portOf(http: Server): number {
  const address = http.address() as AddressInfo
  return address.port
}
