/** A Synapse that talks to servers on this machine, which reach it by TLS under its name, `localhost:<port>`. It stops with the test. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, request as forwardedRequest, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream'
import type { TestContext } from 'node:test'
import { withoutLimits } from './homeserver-yaml.ts'
import { Program } from './server-process.ts'
import { registerBySecret, sharedSecret } from './shared-secret.ts'
import { installSynapse } from './synapse-package.ts'
import { TestClient } from './test-client.ts'
import { certificatePath, tlsDoor, type TlsDoor } from './tls-door.ts'

/** It asks a server that was away again soon, and gives no answer twice: tests do not wait. */
const configFor = (serverName: string, folder: string): string => `server_name: "${serverName}"
report_stats: false
pid_file: "${join(folder, 'pid')}"
log_config: "${join(folder, 'log.config')}"
media_store_path: "${join(folder, 'media')}"
signing_key_path: "${join(folder, 'signing.key')}"
database: {name: sqlite3, args: {database: "${join(folder, 'homeserver.db')}"}}
listeners: [{path: "${join(folder, 'socket')}", type: http, resources: [{names: [client, federation], compress: false}]}]
registration_shared_secret: ${sharedSecret}
macaroon_secret_key: macaroon-secret-of-tests
form_secret: form-secret-of-tests
bcrypt_rounds: 4
caches: {sync_response_cache_duration: 0}
federation_custom_ca_list: ["${certificatePath}"]
ip_range_blacklist: []
trusted_key_servers: []
suppress_key_server_warning: true
federation: {destination_min_retry_interval: 200, destination_max_retry_interval: 1s, destination_retry_multiplier: 1, max_short_retries: 0, max_long_retries: 0}
allow_public_rooms_over_federation: true
room_list_publication_rules: [{action: allow}]
`
const logConfig = `version: 1
formatters: {plain: {format: '%(levelname)s - %(name)s - %(message)s'}}
handlers: {console: {class: logging.StreamHandler, formatter: plain}}
root: {level: INFO, handlers: [console]}
disable_existing_loggers: false
`

export class RealSynapse {
  readonly serverName: string
  readonly url: string
  /** The way by which other servers come in. */
  readonly door: TlsDoor
  readonly program: Program

  private constructor(serverName: string, url: string, door: TlsDoor, program: Program) {
    this.serverName = serverName
    this.url = url
    this.door = door
    this.program = program
  }

  /** Starts a Synapse with empty storage; its package is installed where it is not yet. */
  static async start(t: TestContext): Promise<RealSynapse> {
    const python = installSynapse()
    const folder = mkdtempSync(join(tmpdir(), 'myelin-synapse-'))
    t.after(() => rmSync(folder, { recursive: true, force: true }))
    const door = await tlsDoor(t)
    const serverName = `localhost:${door.port}`
    writeFileSync(join(folder, 'homeserver.yaml'), configFor(serverName, folder) + withoutLimits)
    writeFileSync(join(folder, 'log.config'), logConfig)
    const program = new Program(t, python, ['-m', 'synapse.app.homeserver', '--generate-keys', '--config-path', join(folder, 'homeserver.yaml')], { cwd: folder })
    await program.status()
    const serving = new Program(t, python, ['-m', 'synapse.app.homeserver', '--config-path', join(folder, 'homeserver.yaml')], { cwd: folder })
    await serving.line(/now listening/)
    const forward = forwardingTo(join(folder, 'socket'))
    door.serve(forward)
    return new RealSynapse(serverName, await plainDoor(t, forward), door, serving)
  }

  /** Registers a user with the password `password-of-<name>` and gives their client. */
  async register(name: string): Promise<TestClient> {
    const reply = await registerBySecret(new TestClient({ url: this.url }), name, false)
    return new TestClient({ url: this.url, userId: String(reply['user_id']), token: String(reply['access_token']), deviceId: String(reply['device_id']) })
  }
}

/** Hands requests over to a server that listens on a Unix socket. */
function forwardingTo(socketPath: string): RequestListener {
  return (incoming, response) => {
    const { method, url: path, headers } = incoming
    const outgoing = forwardedRequest({ socketPath, method, path, headers: { ...headers, 'x-forwarded-for': '127.0.0.1', 'x-forwarded-proto': 'https' } }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers)
      pipeline(answer, response, () => undefined)
    })
    response.on('close', () => outgoing.destroy())
    outgoing.on('error', () => response.destroy())
    pipeline(incoming, outgoing, () => undefined)
  }
}

/** The way in for clients. @returns its address */
async function plainDoor(t: TestContext, listener: RequestListener): Promise<string> {
  const server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(async () => {
    server.closeAllConnections()
    await new Promise<void>((resolve) => server.close(() => resolve()))
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}
