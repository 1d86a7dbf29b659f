/** How fast another server may ask (`rc_federation`): a few requests at once, slower when there are many, refused when too many wait. */
import { refuse } from '@myelin/protocol/errors.ts'
import type { Clock } from '#platform/clock.ts'
import type { CounterMetric, HistogramMetric, Metrics } from '#platform/metrics/metrics.ts'

/** `rc_federation`, for one server each. */
export interface PaceRules {
  /** Requests of so long count. */
  readonly windowMs: number
  /** With more requests in the window, each one is delayed. */
  readonly sleepLimit: number
  readonly sleepDelayMs: number
  /** At most so many wait; the others are refused. */
  readonly rejectLimit: number
  /** At most so many are served at once. */
  readonly concurrent: number
}

/** What is known of one server. */
interface Guest {
  /** When the requests of the window came, oldest first. */
  arrivals: number[]
  serving: number
  sleeping: number
  /** Admit those who wait for one that is served to end. */
  readonly queue: Set<() => void>
}

const mostIdle = 10_000

/** Label of the metrics. */
const label = { rate_limiter_name: 'rc_federation' } as const
const waitBuckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 10, 20]

export class InboundPace {
  readonly #clock: Clock
  readonly #rules: PaceRules
  readonly #guests = new Map<string, Guest>()
  readonly #slept: CounterMetric<'rate_limiter_name'>
  readonly #rejected: CounterMetric<'rate_limiter_name'>
  readonly #waited: HistogramMetric<'rate_limiter_name'>

  constructor({ clock, rules, metrics }: { readonly clock: Clock; readonly rules: PaceRules; readonly metrics: Metrics }) {
    this.#clock = clock
    this.#rules = rules
    const labels = ['rate_limiter_name'] as const
    this.#slept = metrics.counter({ name: 'synapse_rate_limit_sleep_total', help: 'Requests of servers that were delayed', labels })
    this.#rejected = metrics.counter({ name: 'synapse_rate_limit_reject_total', help: 'Requests of servers that were refused', labels })
    this.#waited = metrics.histogram({ name: 'synapse_rate_limit_queue_wait_time_seconds', help: 'Seconds that requests of servers waited', labels, buckets: waitBuckets })
    metrics.gaugeOf({ name: 'synapse_rate_limit_sleep_affected_hosts', help: 'Servers whose requests are being delayed', labels }, () =>
      [[label, this.#count((guest) => guest.sleeping > 0)]])
    metrics.gaugeOf({ name: 'synapse_rate_limit_reject_affected_hosts', help: 'Servers whose requests are being refused', labels }, () =>
      [[label, this.#count((guest) => this.#isFull(guest))]])
  }

  /**
   * Waits until a request of a server may be served.
   * @param signal gives up; its reason is thrown
   * @returns to be called when the request has ended
   * @throws M_LIMIT_EXCEEDED
   */
  async enter(serverName: string, signal: AbortSignal): Promise<() => void> {
    const { windowMs, rejectLimit, sleepLimit, concurrent } = this.#rules
    const guest = this.#guestOf(serverName)
    const now = this.#clock.now()
    guest.arrivals = guest.arrivals.filter((arrival) => arrival > now - windowMs)
    if (this.#isFull(guest)) {
      this.#rejected.add(label)
      throw refuse('M_LIMIT_EXCEEDED', `${rejectLimit} requests of ${serverName} wait already. Send fewer at once.`, { retry_after_ms: windowMs })
    }
    guest.arrivals.push(now)
    if (guest.arrivals.length > sleepLimit) await this.#sleep(guest, signal)
    if (guest.serving < concurrent) guest.serving++
    else await turnOf(guest, signal)
    this.#waited.observe(label, (this.#clock.now() - now) / 1000)
    return () => leave(guest)
  }

  async #sleep(guest: Guest, signal: AbortSignal): Promise<void> {
    this.#slept.add(label)
    guest.sleeping++
    try {
      await this.#clock.sleep(this.#rules.sleepDelayMs, signal)
    } finally {
      guest.sleeping--
    }
  }

  #isFull({ sleeping, queue }: Guest): boolean {
    return sleeping + queue.size >= this.#rules.rejectLimit
  }

  #count(isSuch: (guest: Guest) => boolean): number {
    return [...this.#guests.values()].filter(isSuch).length
  }

  #guestOf(serverName: string): Guest {
    const known = this.#guests.get(serverName)
    if (known !== undefined) return known
    if (this.#guests.size >= mostIdle) this.#forgetIdle()
    const guest: Guest = { arrivals: [], serving: 0, sleeping: 0, queue: new Set() }
    this.#guests.set(serverName, guest)
    return guest
  }

  #forgetIdle(): void {
    const since = this.#clock.now() - this.#rules.windowMs
    for (const [serverName, { arrivals, serving, sleeping }] of this.#guests) {
      if (serving === 0 && sleeping === 0 && (arrivals.at(-1) ?? 0) <= since) this.#guests.delete(serverName)
    }
  }
}

/** Resolves when the place of a request that has ended is given to this one. */
function turnOf({ queue }: Guest, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted()
    const giveUp = (): void => {
      queue.delete(admit)
      reject(signal.reason)
    }
    const admit = (): void => {
      signal.removeEventListener('abort', giveUp)
      resolve()
    }
    queue.add(admit)
    signal.addEventListener('abort', giveUp, { once: true })
  })
}

/** Gives the place of a request to the one that has waited longest. */
function leave(guest: Guest): void {
  const [admit] = guest.queue
  if (admit === undefined) {
    guest.serving--
    return
  }
  guest.queue.delete(admit)
  admit()
}
