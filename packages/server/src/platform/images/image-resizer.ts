/** Makes pictures smaller in separate processes that can be killed, with a bounded queue and a time limit. */
import { fork, type ChildProcess } from 'node:child_process'
import { join } from 'node:path'
import { refuse } from '@myelin/protocol/errors.ts'
import type { ImageJob, ImageOutcome } from './image-job.ts'

/** How much work is taken. */
export interface ImageResizerLimits {
  /** Processes that work at the same time. */
  readonly processes: number
  /** Jobs that may wait; further ones are refused. */
  readonly queue: number
  /** A job that takes longer is killed, in milliseconds. */
  readonly timeoutMs: number
  /** A process without work ends after so long, in milliseconds. */
  readonly idleMs: number
}

const usualLimits: ImageResizerLimits = { processes: 2, queue: 64, timeoutMs: 20_000, idleMs: 30_000 }
const program = join(import.meta.dirname, `image-process${import.meta.filename.slice(-3)}`)

interface Waiting {
  readonly job: ImageJob
  readonly resolve: (outcome: ImageOutcome) => void
  readonly reject: (error: unknown) => void
}

/**
 * The image processes of this server; they are started when they are needed. Their time limits are those of real processes, so they are
 * measured by the machine's timers and not by the server's clock.
 */
export class ImageResizer implements AsyncDisposable {
  readonly #limits: ImageResizerLimits
  readonly #waiting: Waiting[] = []
  readonly #idle: Worker[] = []
  readonly #workers = new Set<Worker>()

  constructor(limits: Partial<ImageResizerLimits> = {}) {
    this.#limits = { ...usualLimits, ...limits }
  }

  /** Processes that exist at the moment. */
  get processes(): number {
    return this.#workers.size
  }

  /**
   * Does one job. A process that dies or takes too long over it makes it `unreadable`.
   * Throws `M_LIMIT_EXCEEDED` when too many jobs wait already.
   */
  resize(job: ImageJob): Promise<ImageOutcome> {
    if (this.#waiting.length >= this.#limits.queue) {
      return Promise.reject(refuse('M_LIMIT_EXCEEDED', 'The server is busy with other pictures; try again in a moment.', { retry_after_ms: 2000 }))
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ job, resolve, reject })
      this.#next()
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { reject } of this.#waiting.splice(0)) reject(new Error('the server is stopping'))
    await Promise.all([...this.#workers].map((worker) => worker.stop()))
  }

  #next(): void {
    const worker = this.#idle.pop() ?? this.#start()
    if (worker === undefined) return
    const waiting = this.#waiting.shift()
    if (waiting === undefined) {
      this.#idle.push(worker)
      return
    }
    worker.run(waiting.job, (outcome) => {
      waiting.resolve(outcome)
      if (worker.alive) this.#idle.push(worker)
      if (this.#waiting.length > 0) this.#next()
    })
  }

  #start(): Worker | undefined {
    if (this.#workers.size >= this.#limits.processes || this.#waiting.length === 0) return undefined
    const worker = new Worker(this.#limits, () => {
      this.#workers.delete(worker)
      const at = this.#idle.indexOf(worker)
      if (at >= 0) this.#idle.splice(at, 1)
    })
    this.#workers.add(worker)
    return worker
  }
}

/** One process: it has at most one job at a time. */
class Worker {
  readonly #limits: ImageResizerLimits
  readonly #child: ChildProcess
  readonly #ended: Promise<void>
  #done: ((outcome: ImageOutcome) => void) | undefined
  #timer: NodeJS.Timeout | undefined
  alive = true

  constructor(limits: ImageResizerLimits, ended: () => void) {
    this.#limits = limits
    // None of the server's environment: a decoder that is taken over finds no secrets there.
    this.#child = fork(program, [], { env: {}, execArgv: ['--max-old-space-size=64'], stdio: ['ignore', 'ignore', 'ignore', 'ipc'] })
    this.#ended = new Promise((resolve) => {
      const end = (): void => {
        if (!this.alive) return
        this.alive = false
        ended()
        this.#finish({ kind: 'unreadable' })
        resolve()
      }
      this.#child.on('exit', end)
      this.#child.on('error', end)
    })
    this.#child.on('message', (outcome: ImageOutcome) => this.#finish(outcome))
    this.#child.unref()
    this.#child.channel?.unref()
  }

  run(job: ImageJob, done: (outcome: ImageOutcome) => void): void {
    clearTimeout(this.#timer)
    this.#done = done
    this.#timer = setTimeout(() => this.#child.kill('SIGKILL'), this.#limits.timeoutMs)
    this.#child.send(job)
  }

  stop(): Promise<void> {
    this.#child.kill('SIGKILL')
    return this.#ended
  }

  #finish(outcome: ImageOutcome): void {
    const done = this.#done
    clearTimeout(this.#timer)
    this.#done = undefined
    if (this.alive) this.#timer = setTimeout(() => this.#child.kill('SIGKILL'), this.#limits.idleMs).unref()
    done?.(outcome)
  }
}
