/** Starts a homeserver as a black box and measures what it uses. */
import { spawn, type ChildProcess } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { Client } from './client.ts'

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

/** Ticks of a process's CPU clock in a second, a constant of the Linux interface. */
const ticksPerSecond = 100

/** A running server. */
export class Server {
  readonly launch: Launch
  readonly startMs: number
  readonly #process: ChildProcess

  private constructor(launch: Launch, process: ChildProcess, startMs: number) {
    this.launch = launch
    this.#process = process
    this.startMs = startMs
  }

  /** Starts a server and waits for its first answer. */
  static async start(launch: Launch): Promise<Server> {
    const began = performance.now()
    const child = spawn(launch.command, [...launch.args], { cwd: launch.folder, stdio: ['ignore', 'ignore', 'ignore'] })
    const client = new Client(launch.port)
    while (!(await client.answers())) {
      if (child.exitCode !== null) throw new Error(`${launch.name} ended at its start with status ${child.exitCode}; look into its folder ${launch.folder}`)
    }
    return new Server(launch, child, performance.now() - began)
  }

  /** Milliseconds of CPU that the process has used. */
  cpuMs(): number {
    const fields = readFileSync(`/proc/${this.#process.pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
    return ((Number(fields[11]) + Number(fields[12])) * 1000) / ticksPerSecond
  }

  /** Resident memory in MiB. */
  memoryMib(): number {
    return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${this.#process.pid}/status`, 'utf8'))?.[1] ?? 0) / 1024
  }

  async stop(): Promise<void> {
    const ended = new Promise<void>((resolve) => this.#process.once('exit', () => resolve()))
    this.#process.kill('SIGTERM')
    await ended
  }
}
