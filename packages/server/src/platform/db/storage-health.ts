/** Whether a database takes writes: a failure turns it red, and probes turn it green again without anybody's help. */

const probeEveryMs = 1000

/** State of one database. */
export class StorageHealth {
  readonly #probe: () => Promise<void>
  #healthy = true
  #timer: NodeJS.Timeout | undefined
  #stopped = false

  /** @param probe makes a small durable write; rejects while the storage fails */
  constructor(probe: () => Promise<void>) {
    this.#probe = probe
  }

  get healthy(): boolean {
    return this.#healthy
  }

  /** A write failed: probes until one succeeds, since a red server gets no requests that would show its recovery. */
  failed(): void {
    this.#healthy = false
    if (this.#timer !== undefined || this.#stopped) return
    this.#timer = setTimeout(() => void this.#try(), probeEveryMs).unref()
  }

  succeeded(): void {
    this.#healthy = true
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
  }

  async #try(): Promise<void> {
    try {
      await this.#probe()
      this.succeeded()
    } catch {
      // Still failing: the failure itself was reported to whoever wrote.
      this.#timer = undefined
      this.failed()
    }
  }
}
