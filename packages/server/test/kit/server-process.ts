/** A server as an operator starts it: the program as a child process, on a port of its own, with its log. */
import { spawn, type ChildProcess } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { TestContext } from 'node:test'
import { until, within } from './deadline.ts'
import { writeHomeserverYaml, type HomeserverYamlOptions } from './homeserver-yaml.ts'
import { TestClient } from './test-client.ts'

/** The folder of the repository. */
export const repository = join(import.meta.dirname, '../../../..')

/** A started program and what it has said so far. */
export class Program extends EventEmitter {
  readonly lines: string[] = []
  readonly #child: ChildProcess
  readonly #closed: Promise<unknown>

  /**
   * Starts a program that is killed, should it still run, when the test ends.
   * @param command a path below the repository
   */
  constructor(t: TestContext, command: string, args: readonly string[], options: { readonly cwd?: string } = {}) {
    super()
    this.#child = spawn(join(repository, command), args, { cwd: options.cwd ?? repository, stdio: ['ignore', 'pipe', 'pipe'] })
    this.#closed = once(this.#child, 'close')
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      if (!stream) continue
      createInterface({ input: stream }).on('line', (line) => {
        this.lines.push(line)
        this.emit('line')
      })
    }
    this.#child.on('exit', () => this.emit('line'))
    t.after(async () => {
      if (this.running) this.#child.kill('SIGKILL')
      await this.#closed
    })
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null
  }

  /** Milliseconds of processor time that it has used so far; infinite where the machine does not tell. */
  processorMs(): number {
    const file = `/proc/${this.#child.pid}/stat`
    if (!existsSync(file)) return Infinity
    const fields = readFileSync(file, 'utf8').split(') ').at(-1)?.split(' ') ?? []
    // In user and in system mode, in hundredths of a second: proc(5), fields 14 and 15.
    return (Number(fields[11]) + Number(fields[12])) * 10
  }

  /** What it printed and logged. */
  get output(): string {
    return this.lines.join('\n')
  }

  /** Waits for a line; fails at once where the program ends without it. */
  line(pattern: RegExp): Promise<RegExpExecArray> {
    return until(this, ['line'], `a line like ${pattern}`, () => {
      for (const line of this.lines) {
        const match = pattern.exec(line)
        if (match) return match
      }
      if (!this.running) throw new Error(`The program ended without a line like ${pattern}:\n${this.output}`)
      return undefined
    })
  }

  /** Waits for its end. @returns the exit status; undefined where a signal ended it */
  async status(): Promise<number | undefined> {
    await within('the end of the program', this.#closed)
    return this.#child.exitCode ?? undefined
  }

  /** Asks it to stop. @returns exit status and duration */
  async stop(): Promise<{ status: number | undefined; durationMs: number }> {
    const begin = performance.now()
    this.#child.kill('SIGTERM')
    return { status: await this.status(), durationMs: performance.now() - begin }
  }
}

/** `bin/myelin` with a configuration. */
export class ServerProcess {
  readonly folder: string
  readonly configPath: string
  readonly #test: TestContext
  readonly #programs: Program[] = []
  #url = ''

  private constructor(t: TestContext, folder: string, configPath: string) {
    this.#test = t
    this.folder = folder
    this.configPath = configPath
  }

  /** Starts a server with new data; it is stopped and removed with the test. */
  static async start(t: TestContext, options: HomeserverYamlOptions = {}): Promise<ServerProcess> {
    const folder = mkdtempSync(join(tmpdir(), 'myelin-process-'))
    t.after(() => rmSync(folder, { recursive: true, force: true }))
    const listeners = 'listeners: [{port: 0, bind_addresses: [127.0.0.1], type: http, resources: [{names: [client, federation]}]}]\n'
    const server = new ServerProcess(t, folder, await writeHomeserverYaml(t, folder, { ...options, config: (options.config ?? '') + listeners }))
    await server.run()
    // A restart is to be found where the clients know it.
    writeFileSync(server.configPath, readFileSync(server.configPath, 'utf8').replace('port: 0', `port: ${new URL(server.url).port}`))
    return server
  }

  get url(): string {
    return this.#url
  }

  /** The process that runs now. */
  get program(): Program {
    const program = this.#programs.at(-1)
    if (!program) throw new Error('The server was never started')
    return program
  }

  /** Lines of all starts that the server logged as errors, with the stack that follows. */
  get errors(): readonly string[] {
    return this.#programs.flatMap(({ lines }) => lines.filter((line) => / - (ERROR|CRITICAL) - |^\s+at |^\w*Error/.test(line)))
  }

  /** Starts it, on the data and the port it had before. */
  async run(): Promise<void> {
    const program = new Program(this.#test, 'bin/myelin', ['-c', this.configPath])
    this.#programs.push(program)
    const [, url] = await program.line(/Listening at (http:\S+)/)
    this.#url = url ?? ''
  }

  /** Stops and starts it. */
  async restart(): Promise<void> {
    await this.program.stop()
    await this.run()
  }

  /** A client without a token. */
  anonymous(): TestClient {
    return new TestClient({ url: this.url })
  }
}
