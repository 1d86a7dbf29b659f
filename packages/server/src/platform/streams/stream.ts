/**
 * An append-only stream of changes: ids in the order of commits, a persisted position, and a ring of the newest rows in memory.
 * The position is advanced only when every lower id has committed or was undone, so a reader never misses a row.
 */
import type { Tx } from '#platform/db/database.ts'

/** A row with its place in the stream. */
export interface Entry<Row> {
  readonly id: number
  readonly row: Row
}

/** What a stream is made of. */
export interface StreamOptions {
  /** Name in metrics and tokens. */
  readonly name: string
  /** Highest id that the database holds. */
  readonly position: number
  /** Number of newest rows that are kept in memory. */
  readonly ringSize?: number
}

/** One stream with one writer, this process. */
export class Stream<Row> {
  readonly name: string
  readonly #ringSize: number
  #last: number
  #position: number
  #ring: Entry<Row>[] = []
  #ringStart: number
  readonly #open = new Set<number>()
  #waiting: Entry<Row>[] = []
  readonly #listeners: ((entries: readonly Entry<Row>[]) => void)[] = []

  constructor(options: StreamOptions) {
    this.name = options.name
    this.#last = options.position
    this.#position = options.position
    this.#ringStart = options.position
    this.#ringSize = options.ringSize ?? 10_000
  }

  /** The persisted position: everything up to it is committed and can be read. */
  get position(): number {
    return this.#position
  }

  /**
   * Takes the next id within a transaction. The row is visible to readers once the transaction is durable.
   * @param row what is published; it must not be changed afterwards
   */
  append(tx: Tx, row: Row): number {
    const id = this.allocate(tx, (taken) => [{ id: taken, row }])
    return id
  }

  /**
   * Takes an id whose row is only known at the commit.
   * @param published gives what is to be published under the id, when the transaction is durable
   */
  allocate(tx: Tx, published: (id: number) => readonly Entry<Row>[]): number {
    const id = ++this.#last
    this.#open.add(id)
    tx.afterCommit(() => this.#finish(id, published(id)))
    tx.onRollback(() => this.#finish(id, []))
    return id
  }

  /** Publishes a row that no database holds (typing, presence of this moment). */
  publish(row: Row): number {
    const id = ++this.#last
    this.#open.add(id)
    this.#finish(id, [{ id, row }])
    return id
  }

  /**
   * Rows after a position, oldest first, from memory.
   * @returns undefined where memory does not reach back that far; then the database must be asked
   */
  since(after: number): readonly Entry<Row>[] | undefined {
    if (after >= this.#position) return []
    if (after < this.#ringStart) return undefined
    let low = 0
    let high = this.#ring.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const entry = this.#ring[middle]
      if (entry !== undefined && entry.id <= after) low = middle + 1
      else high = middle
    }
    return this.#ring.slice(low)
  }

  /** Calls `listener` with the rows of each advance, in order, before anybody can read the new position from a token. */
  onAdvance(listener: (entries: readonly Entry<Row>[]) => void): void {
    this.#listeners.push(listener)
  }

  #finish(id: number, entries: readonly Entry<Row>[]): void {
    this.#open.delete(id)
    this.#waiting.push(...entries)
    let settled = this.#last
    for (const open of this.#open) settled = Math.min(settled, open - 1)
    if (settled <= this.#position) return
    const ready = this.#waiting.filter((entry) => entry.id <= settled).sort((a, b) => a.id - b.id)
    this.#waiting = this.#waiting.filter((entry) => entry.id > settled)
    this.#ring.push(...ready)
    this.#position = settled
    this.#trim()
    if (ready.length > 0) for (const listener of this.#listeners) listener(ready)
  }

  #trim(): void {
    if (this.#ring.length <= this.#ringSize * 1.25) return
    const dropped = this.#ring.splice(0, this.#ring.length - this.#ringSize)
    this.#ringStart = dropped.at(-1)?.id ?? this.#ringStart
  }
}
