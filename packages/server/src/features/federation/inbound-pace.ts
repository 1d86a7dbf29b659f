/** How fast another server may ask (`rc_federation`): a few requests at once, slower when there are many, refused when too many wait. */
import { refuse } from '@myelin/protocol/errors.ts'
import type { Clock } from '#platform/clock.ts'

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

export class InboundPace {
  readonly #clock: Clock
  readonly #rules: PaceRules
  readonly #guests = new Map<string, Guest>()

  constructor({ clock, rules }: { readonly clock: Clock; readonly rules: PaceRules }) {
    this.#clock = clock
    this.#rules = rules
  }

  /**
   * Waits until a request of a server may be served.
   * @param signal gives up; its reason is thrown
   * @returns to be called when the request has ended
   * @throws M_LIMIT_EXCEEDED
   */
  async enter(serverName: string, signal: AbortSignal): Promise<() => void> {
    const { windowMs, sleepLimit, sleepDelayMs, rejectLimit, concurrent } = this.#rules
    const guest = this.#guestOf(serverName)
    const now = this.#clock.now()
    guest.arrivals = guest.arrivals.filter((arrival) => arrival > now - windowMs)
    if (guest.sleeping + guest.queue.size >= rejectLimit) {
      throw refuse('M_LIMIT_EXCEEDED', `${rejectLimit} requests of ${serverName} wait already. Send fewer at once.`, { retry_after_ms: windowMs })
    }
    guest.arrivals.push(now)
    if (guest.arrivals.length > sleepLimit) {
      guest.sleeping++
      try {
        await this.#clock.sleep(sleepDelayMs, signal)
      } finally {
        guest.sleeping--
      }
    }
    if (guest.serving < concurrent) guest.serving++
    else await turnOf(guest, signal)
    return () => leave(guest)
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
