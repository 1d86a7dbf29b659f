/** Long polls that wait until something happens to a key, for instance to a user. */

interface Waiter {
  readonly wake: () => void
}

/** Who waits for which key; waking is a function call. */
export class Waiters {
  readonly #byKey = new Map<string, Set<Waiter>>()

  /** How many keys somebody waits for. */
  get size(): number {
    return this.#byKey.size
  }

  /** Keys that somebody waits for. */
  keys(): Iterable<string> {
    return this.#byKey.keys()
  }

  has(key: string): boolean {
    return this.#byKey.has(key)
  }

  /** Wakes everybody who waits for the key. */
  wake(key: string): void {
    const waiters = this.#byKey.get(key)
    if (!waiters) return
    this.#byKey.delete(key)
    for (const waiter of waiters) waiter.wake()
  }

  /** Wakes everybody, as the server does when it stops. */
  wakeAll(): void {
    for (const key of [...this.#byKey.keys()]) this.wake(key)
  }

  /**
   * Registers interest, so that nothing that happens between a look at the streams and the wait is lost.
   * @returns `woken`, resolved at the first wake; `cancel`, to be called when the wait is over for another reason
   */
  listen(key: string): { readonly woken: Promise<void>; readonly cancel: () => void } {
    const { promise, resolve } = Promise.withResolvers<void>()
    const waiter: Waiter = { wake: resolve }
    const waiters = this.#byKey.get(key) ?? new Set()
    waiters.add(waiter)
    this.#byKey.set(key, waiters)
    const cancel = (): void => {
      waiters.delete(waiter)
      if (waiters.size === 0 && this.#byKey.get(key) === waiters) this.#byKey.delete(key)
      resolve()
    }
    return { woken: promise, cancel }
  }
}
