/** Requests that wait for news, until their time is up, their client is gone, the server stops, or their device was deleted. */
import { refuse } from '@myelin/protocol/errors.ts'
import type { Clock, Timer } from '#platform/clock.ts'
import type { Wakeups } from './wakeups.ts'

/** What a poll is about. */
interface PollRequest {
  readonly userId: string
  readonly deviceId: string | undefined
  /** 0 answers at once. */
  readonly timeoutMs: number
  readonly signal: AbortSignal
  /** A further key to wait for. */
  readonly alsoFor?: string
}

export class Polls {
  readonly #clock: Clock
  readonly #wakeups: Wakeups
  readonly #open = new Map<string, Set<Poll>>()

  constructor(needs: { readonly clock: Clock; readonly wakeups: Wakeups }) {
    this.#clock = needs.clock
    this.#wakeups = needs.wakeups
  }

  /** Opens a poll; to be disposed when its answer is made. */
  open(request: PollRequest): Poll {
    const poll: Poll = new Poll(this.#clock, this.#wakeups, request, () => {
      const polls = this.#open.get(request.userId)
      polls?.delete(poll)
      if (polls?.size === 0) this.#open.delete(request.userId)
    })
    const polls = this.#open.get(request.userId)
    if (polls) polls.add(poll)
    else this.#open.set(request.userId, new Set([poll]))
    return poll
  }

  /** How many requests of a user wait. */
  countOf(userId: string): number {
    return this.#open.get(userId)?.size ?? 0
  }

  /** Ends the polls of devices with M_UNKNOWN_TOKEN; undefined means all of the user. */
  end(userId: string, deviceIds: readonly string[] | undefined): void {
    for (const poll of this.#open.get(userId) ?? []) {
      if (!deviceIds || (poll.deviceId !== undefined && deviceIds.includes(poll.deviceId))) poll.end()
    }
  }
}

/** One request that waits. */
export class Poll implements Disposable {
  readonly deviceId: string | undefined
  readonly #wakeups: Wakeups
  readonly #request: PollRequest
  readonly #closed: () => void
  readonly #timer: Timer | undefined
  #over: boolean
  #ended = false
  #wake: () => void = () => undefined

  constructor(clock: Clock, wakeups: Wakeups, request: PollRequest, closed: () => void) {
    this.deviceId = request.deviceId
    this.#wakeups = wakeups
    this.#request = request
    this.#closed = closed
    this.#over = request.timeoutMs <= 0
    if (this.#over) return
    this.#timer = clock.after(request.timeoutMs, this.#finish)
    if (request.signal.aborted) this.#over = true
    else request.signal.addEventListener('abort', this.#finish, { once: true })
  }

  /** Whether the request must be answered now, with or without news. @throws M_UNKNOWN_TOKEN where the device was deleted */
  get isOver(): boolean {
    if (this.#ended) throw refuse('M_UNKNOWN_TOKEN', 'This session was logged out; log in again.', { soft_logout: false })
    return this.#over
  }

  /** Registers interest in news; `woken` also resolves when the poll is over. */
  listen(): { readonly woken: Promise<void>; readonly cancel: () => void } {
    const own = this.#wakeups.waiters.listen(this.#request.userId)
    const other = this.#request.alsoFor === undefined ? undefined : this.#wakeups.waiters.listen(this.#request.alsoFor)
    this.#wake = own.cancel
    const cancel = (): void => {
      own.cancel()
      other?.cancel()
    }
    return { woken: other ? Promise.race([own.woken, other.woken]) : own.woken, cancel }
  }

  /** The device is gone. */
  end(): void {
    this.#ended = true
    this.#finish()
  }

  [Symbol.dispose](): void {
    this.#timer?.cancel()
    this.#request.signal.removeEventListener('abort', this.#finish)
    this.#closed()
  }

  readonly #finish = (): void => {
    this.#over = true
    this.#wake()
  }
}
