/** Reads that take long, beside the event loop: a thread with a connection of its own, started when it is needed and ended when it is idle. */
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { refuse } from '@myelin/protocol/errors.ts'
import { StorageError } from './database.ts'
import type { Runner } from './query.ts'
import { bindable } from './sqlite-connection.ts'
import type { ScanAnswer, ScanRequest } from './sqlite-scan.ts'

/** How the thread is used. */
export interface ScannerLimits {
  /** Scans that may wait; further ones are refused. */
  readonly queue: number
  /** The thread ends after so long without work, in ms. */
  readonly idleMs: number
}

const usualLimits: ScannerLimits = { queue: 256, idleMs: 60_000 }
const program = join(import.meta.dirname, `sqlite-scan-thread${import.meta.filename.slice(-3)}`)

interface Waiting {
  readonly resolve: (rows: readonly unknown[]) => void
  readonly reject: (error: unknown) => void
}

/** Runs reads one after the other. A read cannot be cut off: each must bound what it looks at, or go on from page to page. */
export class SqliteScanner implements Runner {
  readonly dialect = 'sqlite'
  readonly #path: string
  readonly #limits: ScannerLimits
  readonly #waiting = new Map<number, Waiting>()
  #thread: Worker | undefined
  #idle: NodeJS.Timeout | undefined
  #lastId = 0
  #closed = false

  /** @param path file of the database */
  constructor(path: string, limits: Partial<ScannerLimits> = {}) {
    this.#path = path
    this.#limits = { ...usualLimits, ...limits }
  }

  /** Whether the thread exists at the moment. */
  get isRunning(): boolean {
    return this.#thread !== undefined
  }

  /** Runs a read. @throws M_LIMIT_EXCEEDED when too many wait; M_INVALID_PARAM; StorageError; Error where the statement is wrong */
  async rows<Row>(text: string, values: readonly unknown[]): Promise<Row[]> {
    if (this.#closed) throw new StorageError('The database is closed.')
    if (this.#waiting.size >= this.#limits.queue) {
      throw refuse('M_LIMIT_EXCEEDED', 'The server is busy with other searches; try again in a moment.', { retry_after_ms: 2000 })
    }
    const request: ScanRequest = { id: ++this.#lastId, text, values: values.map(bindable) }
    clearTimeout(this.#idle)
    const { promise, resolve, reject } = Promise.withResolvers<Row[]>()
    // The rows are those of the statement, which is what the caller says of it.
    this.#waiting.set(request.id, { resolve: (rows) => resolve(rows as Row[]), reject })
    const thread = (this.#thread ??= this.#start())
    thread.ref()
    thread.postMessage(request, [])
    return promise
  }

  /** Ends the thread; what still waits fails. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#end(new StorageError('The database is closed.'))
  }

  #start(): Worker {
    const thread = new Worker(program, { workerData: this.#path })
    thread.on('message', (answer: ScanAnswer) => this.#answered(answer))
    const ended = (cause: unknown): void => {
      if (this.#thread === thread) void this.#end(cause)
    }
    thread.on('error', ended)
    thread.on('exit', ended)
    return thread
  }

  #answered(answer: ScanAnswer): void {
    const waiting = this.#waiting.get(answer.id)
    this.#waiting.delete(answer.id)
    if ('rows' in answer) waiting?.resolve(answer.rows)
    else waiting?.reject(errorOf(answer.failure))
    if (this.#waiting.size > 0) return
    // An idle thread does not keep the process alive.
    this.#thread?.unref()
    this.#idle = setTimeout(() => void this.#end(undefined), this.#limits.idleMs).unref()
  }

  async #end(cause: unknown): Promise<void> {
    clearTimeout(this.#idle)
    const thread = this.#thread
    this.#thread = undefined
    const failure = cause instanceof StorageError ? cause : new StorageError('The thread that reads the database ended; it is started again.', { cause })
    for (const { reject } of this.#waiting.values()) reject(failure)
    this.#waiting.clear()
    await thread?.terminate()
  }
}

function errorOf(failure: Extract<ScanAnswer, { failure: unknown }>['failure']): Error {
  if (failure.isStorage) return new StorageError(failure.message)
  return Object.assign(new Error(failure.message), failure.errcode === undefined ? {} : { errcode: failure.errcode })
}
