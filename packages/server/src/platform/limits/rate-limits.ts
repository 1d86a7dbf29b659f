/**
 * Token buckets: how often a user, device or address may do something.
 *
 * Spec: client-server API, "Rate limiting".
 */
import { refuse } from '@myelin/protocol/errors.ts'
import type { Clock } from '#platform/clock.ts'

/** An `rc_*` option: the bucket holds `burstCount` tokens and gets `perSecond` new ones each second. */
export interface Rate {
  readonly perSecond: number
  readonly burstCount: number
}

/** A bucket is stored as the time at which it is full again: an empty map means full buckets. */
type Buckets = Map<string, number>

/** A name keeps at most this many buckets; then full ones are dropped, and after them the oldest. */
const bucketLimit = 100_000

/** The state of all rate limits of this process. */
export class RateLimits {
  readonly #clock: Clock
  readonly #rates: ReadonlyMap<string, Rate>
  readonly #buckets = new Map<string, Buckets>()

  /** @param rates by name, such as `rc_message` or `rc_login.address`; a name that is absent is not limited */
  constructor({ clock, rates }: { clock: Clock, rates: ReadonlyMap<string, Rate> }) {
    this.#clock = clock
    this.#rates = rates
  }

  /**
   * Takes `cost` tokens from the bucket of `key`.
   *
   * Throws `M_LIMIT_EXCEEDED` with `retry_after_ms`, and takes nothing, when it does not hold that many.
   * A rate other than the configured one (a per-user override) may be given; `perSecond: 0` with `burstCount: 0` there means no limit.
   */
  consume(name: string, key: string, cost = 1, rate = this.#rates.get(name)): void {
    if (rate === undefined || isUnlimited(rate)) return
    const retryAfterMs = this.#charge(name, key, cost, rate)
    if (retryAfterMs > 0) throw tooMany(retryAfterMs)
  }

  /** Throws like `consume` would, but takes nothing. */
  assertAllowed(name: string, key: string, cost = 1, rate = this.#rates.get(name)): void {
    const retryAfterMs = this.check(name, key, cost, rate)
    if (retryAfterMs > 0) throw tooMany(retryAfterMs)
  }

  /** Milliseconds until `cost` tokens are there; 0 means they are there now. Takes nothing. */
  check(name: string, key: string, cost = 1, rate = this.#rates.get(name)): number {
    if (rate === undefined || isUnlimited(rate)) return 0
    return waitMs(this.#fullAt(name, key), this.#clock.now(), cost, rate)
  }

  /** Number of buckets that are remembered under a name. */
  size(name: string): number {
    return this.#buckets.get(name)?.size ?? 0
  }

  #fullAt(name: string, key: string): number {
    return this.#buckets.get(name)?.get(key) ?? 0
  }

  #charge(name: string, key: string, cost: number, rate: Rate): number {
    const now = this.#clock.now()
    const fullAt = this.#fullAt(name, key)
    const retryAfterMs = waitMs(fullAt, now, cost, rate)
    if (retryAfterMs > 0) return retryAfterMs
    const buckets = this.#bucketsOf(name)
    if (buckets.size >= bucketLimit && !buckets.has(key)) makeRoom(buckets, now)
    buckets.delete(key)
    buckets.set(key, Math.max(fullAt, now) + (cost / rate.perSecond) * 1000)
    return 0
  }

  #bucketsOf(name: string): Buckets {
    const known = this.#buckets.get(name)
    if (known !== undefined) return known
    const buckets: Buckets = new Map()
    this.#buckets.set(name, buckets)
    return buckets
  }
}

/** An override of zeroes lifts the limit, as Synapse's admin API defines it. */
function isUnlimited(rate: Rate): boolean {
  return rate.perSecond === 0 && rate.burstCount === 0
}

/** The bucket lacks `(fullAt - now) * perSecond` tokens; it may lack no more than `burstCount - cost`. */
function waitMs(fullAt: number, now: number, cost: number, rate: Rate): number {
  if (rate.perSecond <= 0) return foreverMs
  const lackMs = Math.max(0, fullAt - now)
  const mayLackMs = ((rate.burstCount - cost) / rate.perSecond) * 1000
  if (lackMs <= mayLackMs + 1e-6) return 0
  return cost > rate.burstCount ? foreverMs : Math.ceil(lackMs - mayLackMs)
}

/** What a client is told when no wait would help: an hour. */
const foreverMs = 3_600_000

/** Drops full buckets; if none is full, the tenth that was used longest ago. */
function makeRoom(buckets: Buckets, now: number): void {
  for (const [key, fullAt] of buckets) if (fullAt <= now) buckets.delete(key)
  if (buckets.size < bucketLimit) return
  let surplus = Math.ceil(bucketLimit / 10)
  for (const key of buckets.keys()) {
    if (surplus-- <= 0) return
    buckets.delete(key)
  }
}

function tooMany(retryAfterMs: number): Error {
  const seconds = Math.ceil(retryAfterMs / 1000)
  return refuse('M_LIMIT_EXCEEDED', `Too many requests. Try again in ${seconds} seconds.`, { retry_after_ms: retryAfterMs })
}
