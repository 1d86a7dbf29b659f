/** Handlers of records: one that formats and writes, one that keeps records back for another. */
import type { Formatter } from './format.ts'
import { levels, type LogRecord } from './record.ts'
import type { Sink } from './sinks.ts'

/** Takes records of its level and above. */
export interface Handler {
  handle(records: readonly LogRecord[]): void
  /** Writes what is kept back. */
  flush(): void
  close(): void
}

/** Formats records and writes them. */
export class WritingHandler implements Handler {
  readonly #level: number
  readonly #format: Formatter
  readonly #sink: Sink

  constructor(level: number, format: Formatter, sink: Sink) {
    this.#level = level
    this.#format = format
    this.#sink = sink
  }

  handle(records: readonly LogRecord[]): void {
    let lines = ''
    for (const record of records) if (levels[record.level] >= this.#level) lines += this.#format(record)
    if (lines !== '') this.#sink.write(lines, records.at(-1)?.time ?? 0)
  }

  flush(): void {}

  close(): void {
    this.#sink.close()
  }
}

/** What a `BufferingHandler` keeps back, and for how long. */
export interface Buffering {
  readonly level: number
  /** Records to keep at most. */
  readonly capacity: number
  /** A record of this level takes all others with it. */
  readonly flushLevel: number
  /** Longest time to keep a record, 0 for ever. */
  readonly periodMs: number
}

/** Python's `MemoryHandler` and Synapse's `PeriodicallyFlushingMemoryHandler`. */
export class BufferingHandler implements Handler {
  readonly #rules: Buffering
  readonly #target: Handler
  #kept: LogRecord[] = []
  readonly #timer: NodeJS.Timeout | undefined

  constructor(rules: Buffering, target: Handler) {
    this.#rules = rules
    this.#target = target
    if (rules.periodMs > 0) this.#timer = setInterval(() => this.flush(), rules.periodMs).unref()
  }

  handle(records: readonly LogRecord[]): void {
    let urgent = false
    for (const record of records) {
      if (levels[record.level] < this.#rules.level) continue
      this.#kept.push(record)
      urgent ||= levels[record.level] >= this.#rules.flushLevel
    }
    if (urgent || this.#kept.length >= this.#rules.capacity) this.flush()
  }

  flush(): void {
    if (this.#kept.length === 0) return
    const records = this.#kept
    this.#kept = []
    this.#target.handle(records)
    this.#target.flush()
  }

  /** The target is closed by who made it. */
  close(): void {
    clearInterval(this.#timer)
    this.flush()
  }
}
