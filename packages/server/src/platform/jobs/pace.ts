/** Chooses the size of batches so that each takes about a wanted time. */

export interface PaceOptions {
  /** Wanted duration of a batch, in ms. */
  readonly targetMs: number
  /** Size of the first batch. */
  readonly first: number
  /** Smallest size. */
  readonly least: number
}

/** The measured speed of one job. */
export class Pace {
  readonly #options: PaceOptions
  #items = 0
  #durationMs = 0
  #recent: { readonly items: number; readonly durationMs: number } | undefined

  constructor(options: PaceOptions) {
    this.#options = options
  }

  /** Size for the next batch: recent speed × wanted time, at most four times the last. */
  get next(): number {
    const { targetMs, first, least } = this.#options
    if (!this.#recent) return Math.max(1, least, first)
    const wanted = Math.floor(this.recentRate * targetMs)
    return Math.max(1, least, Math.min(wanted, Math.max(first, this.#recent.items * 4)))
  }

  /** Items that were processed altogether. */
  get items(): number {
    return this.#items
  }

  /** Time that was spent altogether, in ms. */
  get durationMs(): number {
    return this.#durationMs
  }

  /** Items per ms since the beginning. */
  get totalRate(): number {
    return this.#items / Math.max(this.#durationMs, 0.001)
  }

  /** Items per ms in the last batch. */
  get recentRate(): number {
    return this.#recent ? this.#recent.items / Math.max(this.#recent.durationMs, 0.001) : 0
  }

  /** Notes a batch. One without items says nothing about the speed. */
  ran(items: number, durationMs: number): void {
    this.#items += items
    this.#durationMs += durationMs
    if (items > 0) this.#recent = { items, durationMs }
  }
}
