/** The program under a name that can be killed and started again, on SQLite or on a PostgreSQL cluster of its own. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'

const repository = join(import.meta.dirname, '../../../..')
const unlimited = '{per_second: 100000, burst_count: 100000}'

export type Engine = 'sqlite' | 'postgres'

/** Sends a signal; a process that has ended meanwhile is no fault. */
function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error
  }
}

/** A free port of this machine. */
async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise<void>((resolve) => server.close(() => resolve()))
  return port
}

/** A PostgreSQL cluster whose commits survive the death of its processes. */
class Cluster {
  readonly folder: string
  readonly port: number
  readonly #binaries: string
  readonly #prefix: readonly string[]

  constructor(folder: string, port: number) {
    this.folder = folder
    this.port = port
    const find = 'ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1'
    const found = execFileSync('bash', ['-c', find], { encoding: 'utf8' }).trim()
    this.#binaries = found === '' ? dirname(execFileSync('bash', ['-c', 'readlink -f "$(command -v initdb)"'], { encoding: 'utf8' }).trim()) : found
    this.#prefix = process.getuid?.() === 0 ? ['runuser', '-u', 'postgres', '--'] : []
  }

  create(): void {
    if (this.#prefix.length > 0) {
      const user = (flag: string): number => Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }))
      chownSync(this.folder, user('-u'), user('-g'))
    }
    this.#run('initdb', `--pgdata=${this.folder}/data`, '--username=postgres', '--auth=trust', '--encoding=UTF8', '--locale=C', '--no-sync')
    this.start()
  }

  start(): void {
    const options = `-p ${this.port} -c listen_addresses='' -c unix_socket_directories='${this.folder}' -c fsync=off -c synchronous_commit=on`
    this.#run('pg_ctl', `--pgdata=${this.folder}/data`, `--log=${this.folder}/server.log`, '--wait', '--silent', `--options=${options}`, 'start')
  }

  /** Kills the server with all of its processes at once; it recovers from its log at the next start. */
  kill(): void {
    const [main = ''] = readFileSync(`${this.folder}/data/postmaster.pid`, 'utf8').split('\n')
    const list = execFileSync('ps', ['--ppid', main, '-o', 'pid='], { encoding: 'utf8' })
    const pids = [main, ...list.trim().split(/\s+/)].map(Number)
    // The first does not live to clean up after the others.
    process.kill(pids[0] ?? 0, 'SIGSTOP')
    for (const pid of pids) signal(pid, 'SIGKILL')
    // Its processes hold the shared memory until they are gone, and a name in the lock file counts while its process is unreaped.
    const gone = 'for pid in "$@"; do while kill -0 "$pid" 2>/dev/null; do sleep 0.02; done; done'
    execFileSync('bash', ['-c', gone, 'gone', ...pids.map(String)], { timeout: 30_000 })
  }

  stop(): void {
    this.#run('pg_ctl', `--pgdata=${this.folder}/data`, '--mode=immediate', '--silent', 'stop')
  }

  #run(program: string, ...args: readonly string[]): void {
    const [command = '', ...rest] = [...this.#prefix, join(this.#binaries, program), ...args]
    execFileSync(command, rest, { cwd: this.folder, stdio: ['ignore', 'ignore', 'inherit'] })
  }
}

/** A server that is killed. */
export class KilledServer {
  readonly folder: string
  readonly #port: number
  readonly #cluster: Cluster | undefined
  readonly #prelude: string
  #child: ChildProcess | undefined
  #ended: Promise<unknown> = Promise.resolve()
  #lines: string[] = []

  private constructor(folder: string, port: number, cluster: Cluster | undefined, prelude: string) {
    this.folder = folder
    this.#port = port
    this.#cluster = cluster
    this.#prelude = prelude
  }

  /**
   * Prepares data and starts the server.
   * @param options.prelude shell commands before the program, such as limits
   */
  static async start(engine: Engine, options: { readonly prelude?: string } = {}): Promise<KilledServer> {
    const folder = mkdtempSync(join(tmpdir(), 'myelin-crash-'))
    const port = await freePort()
    let cluster: Cluster | undefined
    let args = `sqlite3, args: {database: "${folder}/homeserver.db"}`
    if (engine === 'postgres') {
      cluster = new Cluster(mkdtempSync(join(tmpdir(), 'myelin-crash-pg-')), await freePort())
      cluster.create()
      args = `psycopg2, args: {user: postgres, dbname: postgres, host: "${cluster.folder}", port: ${cluster.port}}`
    }
    const limits = ['rc_message', 'rc_registration', 'rc_room_creation', 'rc_media_create', 'rc_search', 'rc_delayed_event_mgmt'].map((name) => `${name}: ${unlimited}`)
    writeFileSync(`${folder}/homeserver.yaml`, [
      'server_name: crash.example', 'report_stats: false', 'enable_registration: true', 'enable_registration_without_verification: true',
      'macaroon_secret_key: secret', 'form_secret: secret', 'suppress_key_server_warning: true', ...limits,
      `rc_joins: {local: ${unlimited}, remote: ${unlimited}}`, `rc_joins_per_room: ${unlimited}`, 'bcrypt_rounds: 4', 'max_event_delay_duration: 1h', 'retention: {enabled: true, purge_jobs: [{interval: 100}]}',
      `database: {name: ${args}}`, `media_store_path: "${folder}/media"`, `signing_key_path: "${folder}/signing.key"`,
      `listeners: [{port: ${port}, bind_addresses: [127.0.0.1], type: http, resources: [{names: [client]}]}]`, '',
    ].join('\n'))
    const server = new KilledServer(folder, port, cluster, options.prelude ?? '')
    await server.run()
    return server
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  get pid(): number {
    return this.#child?.pid ?? 0
  }

  get output(): string {
    return this.#lines.join('\n')
  }

  /** Starts the program; resolves when it listens. */
  async run(): Promise<void> {
    this.#lines = []
    const command = `${this.#prelude}\nexec "$0" "$@"`
    const child = spawn('bash', ['-c', command, join(repository, 'bin/myelin'), '-c', `${this.folder}/homeserver.yaml`], { stdio: ['ignore', 'pipe', 'pipe'] })
    this.#child = child
    this.#ended = once(child, 'close')
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => {
        this.#lines.push(line)
        if (line.includes('Listening at http')) resolve()
      })
    }
    child.on('close', () => reject(new Error(`The server ended at its start:\n${this.output}`)))
    await promise
  }

  /** kill -9, and waits for the end. */
  async kill(): Promise<void> {
    this.#child?.kill('SIGKILL')
    await this.#ended
  }

  /** Kills PostgreSQL under the running server and starts it again. */
  restartPostgres(): void {
    this.#cluster?.kill()
    this.#cluster?.start()
  }

  async remove(): Promise<void> {
    await this.kill()
    this.#cluster?.stop()
    for (const folder of [this.folder, this.#cluster?.folder]) if (folder !== undefined) rmSync(folder, { recursive: true, force: true })
  }
}
