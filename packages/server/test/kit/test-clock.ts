/** A clock that stands still until a test moves it. */
import { sleepOn } from '#platform/clock.ts'
import type { Clock, Timer } from '#platform/clock.ts'

interface Scheduled {
  dueAt: number
  readonly order: number
  readonly call: () => void
  readonly intervalMs: number | undefined
}

/** Virtual time: `advance` runs what becomes due, in order. */
export class TestClock implements Clock {
  #now: number
  #order = 0
  readonly #scheduled = new Set<Scheduled>()

  /** @param now first reading, ms since 1970 */
  constructor(now = Date.UTC(2024, 0, 1)) {
    this.#now = now
  }

  now(): number {
    return this.#now
  }

  after(delayMs: number, call: () => void): Timer {
    return this.#schedule(delayMs, call, undefined)
  }

  every(intervalMs: number, call: () => void): Timer {
    return this.#schedule(intervalMs, call, intervalMs)
  }

  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    return sleepOn(this, delayMs, signal)
  }

  /** Number of calls that wait for their time. */
  get pending(): number {
    return this.#scheduled.size
  }

  /** Moves the time and runs everything that is due by then, each at its own time. */
  advance(durationMs: number): void {
    const end = this.#now + durationMs
    for (let next = this.#next(end); next !== undefined; next = this.#next(end)) {
      this.#now = Math.max(this.#now, next.dueAt)
      if (next.intervalMs === undefined) this.#scheduled.delete(next)
      else next.dueAt += Math.max(1, next.intervalMs)
      next.call()
    }
    this.#now = end
  }

  /** Like `advance`, but lets promises and sockets go on after each call, so that loops of `sleep` run on. */
  async advanceSlowly(durationMs: number): Promise<void> {
    const end = this.#now + durationMs
    await new Promise((resolve) => setImmediate(resolve))
    for (let next = this.#next(end); next !== undefined; next = this.#next(end)) {
      this.advance(Math.max(0, next.dueAt - this.#now))
      await new Promise((resolve) => setImmediate(resolve))
    }
    this.#now = end
  }

  #next(end: number): Scheduled | undefined {
    let first: Scheduled | undefined
    for (const each of this.#scheduled) {
      if (each.dueAt > end) continue
      if (first === undefined || each.dueAt < first.dueAt || (each.dueAt === first.dueAt && each.order < first.order)) first = each
    }
    return first
  }

  #schedule(delayMs: number, call: () => void, intervalMs: number | undefined): Timer {
    const scheduled: Scheduled = { dueAt: this.#now + Math.max(0, delayMs), order: this.#order++, call, intervalMs }
    this.#scheduled.add(scheduled)
    return { cancel: () => this.#scheduled.delete(scheduled) }
  }
}
