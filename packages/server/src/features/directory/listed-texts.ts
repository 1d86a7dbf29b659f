/** Many short texts in which one term is looked for: they lie one behind the other, so that a search runs through memory once. */
export class ListedTexts {
  readonly #all: string
  /** Where each text ends. */
  readonly #ends: Float64Array

  /** @param texts without NUL */
  constructor(texts: readonly string[]) {
    this.#all = texts.join('\0')
    this.#ends = new Float64Array(texts.length)
    let end = -1
    texts.forEach((text, index) => {
      end += 1 + text.length
      this.#ends[index] = end
    })
  }

  /** Places of the texts in which a term stands, in order. */
  indicesOf(term: string): number[] {
    const found: number[] = []
    if (term.includes('\0')) return found
    let index = 0
    for (let at = this.#all.indexOf(term); at >= 0 && index < this.#ends.length; at = this.#all.indexOf(term, (this.#ends[index - 1] ?? 0) + 1)) {
      index = this.#indexAt(at, index)
      found.push(index)
      index += 1
    }
    return found
  }

  /** The text that a place of the whole belongs to, from a text on. */
  #indexAt(at: number, from: number): number {
    let low = from
    let high = this.#ends.length - 1
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#ends[middle] ?? 0) < at) low = middle + 1
      else high = middle
    }
    return low
  }
}
