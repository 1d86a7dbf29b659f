/** Starts a homeserver as a black box and measures what it uses. */
import { spawn, type ChildProcess } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Client } from './client.ts'
import { Observer } from './observing.ts'

/** How a server is started. */
export interface Launch {
  readonly name: string
  readonly command: string
  readonly args: readonly string[]
  readonly folder: string
  readonly port: number
  /** Files whose size is the disk that the database takes. */
  readonly diskBytes: () => Promise<number> | number
}

/** What an operation cost. */
export interface Cost {
  /** Milliseconds of the server's CPU for each operation. */
  readonly cpuMs: number
  readonly perSecond: number
}

/** A running server. */
export class Server {
  readonly launch: Launch
  readonly startMs: number
  #process: ChildProcess
  readonly #observer: Observer | undefined

  private constructor(launch: Launch, process: ChildProcess, startMs: number, observer: Observer | undefined) {
    this.launch = launch
    this.startMs = startMs
    this.#process = process
    this.#observer = observer
  }

  /**
   * Starts a server and waits for its first answer.
   * @param profiles folder for a CPU profile of each figure; only for a server that runs on Node.js
   */
  static async start(launch: Launch, profiles?: string): Promise<Server> {
    const observer = profiles === undefined ? undefined : new Observer(join(launch.folder, 'observer'), profiles, launch.name)
    const began = performance.now()
    const child = await answering(launch, observer)
    return new Server(launch, child, performance.now() - began, observer)
  }

  /** Stops the server and starts it again on what it has stored. */
  async restart(): Promise<void> {
    await this.stop()
    this.#process = await answering(this.launch, this.#observer)
  }

  /**
   * Runs `work`, which does `count` operations.
   * @param figure what is measured; names the profile
   */
  async measure(figure: string, count: number, work: () => Promise<void>): Promise<Cost> {
    await this.#observer?.begin()
    const [cpu, began] = [this.#cpuMs(), performance.now()]
    await work()
    const seconds = (performance.now() - began) / 1000
    const cost = { cpuMs: (this.#cpuMs() - cpu) / count, perSecond: count / seconds }
    await this.#observer?.end(figure)
    return cost
  }

  /** Resident memory in MiB. */
  memoryMib(): number {
    return this.#status('VmRSS')
  }

  /** How far resident memory rises, in MiB, while `work` is done, above what it was before. */
  async peakMib(work: () => Promise<void>): Promise<number> {
    const before = this.memoryMib()
    // Sets the kernel's mark of the highest resident memory back to what is resident now.
    writeFileSync(`/proc/${this.#process.pid}/clear_refs`, '5')
    await work()
    return this.#status('VmHWM') - before
  }

  async stop(): Promise<void> {
    const ended = new Promise<void>((resolve) => this.#process.once('exit', () => resolve()))
    this.#process.kill('SIGTERM')
    await ended
  }

  /** A size in the kernel's account of the process, in MiB. */
  #status(name: string): number {
    return Number(new RegExp(`${name}:\\s+(\\d+)`).exec(readFileSync(`/proc/${this.#process.pid}/status`, 'utf8'))?.[1] ?? 0) / 1024
  }

  /** Milliseconds of CPU that the process's threads have used, to the nanosecond that the scheduler counts. */
  #cpuMs(): number {
    const folder = `/proc/${this.#process.pid}/task`
    return readdirSync(folder).reduce((sum, thread) => sum + Number(readFileSync(join(folder, thread, 'schedstat'), 'utf8').split(' ')[0]) / 1e6, 0)
  }
}

/** Starts a server's program and waits until it answers. */
async function answering(launch: Launch, observer: Observer | undefined): Promise<ChildProcess> {
  const child = spawn(launch.command, [...launch.args], {
    cwd: launch.folder, stdio: ['ignore', 'ignore', 'ignore'], env: { ...process.env, ...observer?.environment },
  })
  const client = new Client(launch.port)
  while (!(await client.answers())) {
    if (child.exitCode !== null) throw new Error(`${launch.name} ended at its start with status ${child.exitCode}; look into its folder ${launch.folder}`)
  }
  return child
}
