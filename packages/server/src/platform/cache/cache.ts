/** Caches of a process: each has a name and a weight, and all share one budget of bytes. */

/** The budget that all caches of a process share. */
export class CacheBudget {
  readonly #limitBytes: number
  readonly #caches: Cache<unknown, unknown>[] = []
  #usedBytes = 0

  /** @param limitBytes estimated bytes that all entries together may take */
  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes
  }

  get usedBytes(): number {
    return this.#usedBytes
  }

  /** Name and weight of every cache, for metrics. */
  list(): readonly { readonly name: string; readonly entries: number; readonly bytes: number }[] {
    return this.#caches.map((cache) => ({ name: cache.name, entries: cache.size, bytes: cache.bytes }))
  }

  /**
   * Makes a cache under this budget.
   * @param name name in metrics
   * @param weigh estimated bytes of an entry
   */
  cache<Key, Value>(name: string, weigh: (value: Value) => number): Cache<Key, Value> {
    const cache = new Cache<Key, Value>(name, weigh, (bytes) => this.#account(bytes))
    this.#caches.push(cache as Cache<unknown, unknown>)
    return cache
  }

  #account(bytes: number): void {
    this.#usedBytes += bytes
    if (this.#usedBytes <= this.#limitBytes) return
    const heaviest = this.#caches.reduce((a, b) => (b.bytes > a.bytes ? b : a))
    heaviest.evictHalf()
  }
}

/** A cache in order of use. */
export class Cache<Key, Value> {
  readonly name: string
  readonly #weigh: (value: Value) => number
  readonly #account: (bytes: number) => void
  readonly #entries = new Map<Key, { value: Value; weight: number; used: boolean }>()
  #bytes = 0
  hits = 0
  misses = 0

  constructor(name: string, weigh: (value: Value) => number, account: (bytes: number) => void) {
    this.name = name
    this.#weigh = weigh
    this.#account = account
  }

  get size(): number {
    return this.#entries.size
  }

  get bytes(): number {
    return this.#bytes
  }

  get(key: Key): Value | undefined {
    const entry = this.#entries.get(key)
    if (entry === undefined) {
      this.misses += 1
      return undefined
    }
    this.hits += 1
    entry.used = true
    return entry.value
  }

  set(key: Key, value: Value): void {
    this.delete(key)
    const weight = this.#weigh(value) + 64
    this.#entries.set(key, { value, weight, used: false })
    this.#bytes += weight
    this.#account(weight)
  }

  delete(key: Key): void {
    const entry = this.#entries.get(key)
    if (entry === undefined) return
    this.#entries.delete(key)
    this.#bytes -= entry.weight
    this.#account(-entry.weight)
  }

  clear(): void {
    this.#entries.clear()
    const bytes = this.#bytes
    this.#bytes = 0
    this.#account(-bytes)
  }

  /** Drops the older half; an entry that was used since the last round gets a second chance. */
  evictHalf(): void {
    let toDrop = Math.ceil(this.#entries.size / 2)
    let rounds = this.#entries.size
    while (toDrop > 0 && rounds-- > 0) {
      const oldest = this.#entries.entries().next()
      if (oldest.done) return
      const [key, entry] = oldest.value
      if (entry.used) {
        entry.used = false
        this.#entries.delete(key)
        this.#entries.set(key, entry)
        continue
      }
      this.delete(key)
      toDrop -= 1
    }
  }
}
