/**
 * What stands between two stars of a glob, and how it is found in linear time.
 *
 * Spec: appendices, "Glob-style matching".
 */

/** A part of a glob without `*`. */
export interface Segment<Text> {
  readonly length: number
  startsAt(text: Text, index: number): boolean
  /**
   * The first place that fits.
   *
   * @param accept what else must hold of the place, given its start
   * @returns the index, or -1 where the segment is nowhere within `from` and `end`
   */
  find(text: Text, from: number, end: number, accept: ((start: number) => boolean) | undefined): number
}

/** Up to here the built-in search, which may look at each character once for each of the segment's, is the fastest. */
const shortSegment = 32

/** A segment without `?`. */
export class LiteralSegment implements Segment<string> {
  readonly length: number
  readonly #text: string
  /** For each prefix: how long its longest proper prefix is that is also its suffix (Knuth, Morris, Pratt). */
  readonly #borders: Uint32Array | undefined

  constructor(text: string) {
    this.#text = text
    this.length = text.length
    this.#borders = text.length > shortSegment ? bordersOf(text) : undefined
  }

  startsAt(text: string, index: number): boolean {
    return text.startsWith(this.#text, index)
  }

  find(text: string, from: number, end: number, accept: ((start: number) => boolean) | undefined): number {
    if (this.#borders) return this.#findLong(this.#borders, text, from, end, accept)
    for (let start = from; ; start++) {
      start = text.indexOf(this.#text, start)
      if (start < 0 || start + this.length > end) return -1
      if (accept === undefined || accept(start)) return start
    }
  }

  #findLong(borders: Uint32Array, text: string, from: number, end: number, accept: ((start: number) => boolean) | undefined): number {
    let matched = 0
    for (let index = from; index < end; index++) {
      const unit = text.charCodeAt(index)
      while (matched > 0 && unit !== this.#text.charCodeAt(matched)) matched = borders[matched - 1] ?? 0
      if (unit === this.#text.charCodeAt(matched)) matched++
      if (matched < this.length) continue
      const start = index + 1 - this.length
      if (accept === undefined || accept(start)) return start
      matched = borders[matched - 1] ?? 0
    }
    return -1
  }
}

function bordersOf(text: string): Uint32Array {
  const borders = new Uint32Array(text.length)
  let matched = 0
  for (let index = 1; index < text.length; index++) {
    const unit = text.charCodeAt(index)
    while (matched > 0 && unit !== text.charCodeAt(matched)) matched = borders[matched - 1] ?? 0
    if (unit === text.charCodeAt(matched)) matched++
    borders[index] = matched
  }
  return borders
}

const questionMark = 0x3f

/** A segment with `?`, over code points. */
export class WildSegment implements Segment<Uint32Array> {
  readonly length: number
  readonly #pattern: Uint32Array
  readonly #words: number
  /** For each character of the pattern: the places where it fits, as bits. */
  readonly #masks = new Map<number, Uint32Array>()
  /** The places where any character fits. */
  readonly #any: Uint32Array

  constructor(pattern: Uint32Array) {
    this.#pattern = pattern
    this.length = pattern.length
    this.#words = Math.ceil(pattern.length / 32)
    this.#any = new Uint32Array(this.#words)
    for (const [index, point] of pattern.entries()) if (point === questionMark) setBit(this.#any, index)
    for (const [index, point] of pattern.entries()) {
      if (point === questionMark) continue
      const mask = this.#masks.get(point) ?? this.#any.slice()
      setBit(mask, index)
      this.#masks.set(point, mask)
    }
  }

  startsAt(text: Uint32Array, index: number): boolean {
    if (index + this.length > text.length) return false
    for (let place = 0; place < this.length; place++) {
      const expected = this.#pattern[place]
      if (expected !== questionMark && expected !== text[index + place]) return false
    }
    return true
  }

  find(text: Uint32Array, from: number, end: number, accept: ((start: number) => boolean) | undefined): number {
    if (this.length === 0) return from
    const state = new Uint32Array(this.#words)
    const lastWord = this.#words - 1
    const lastBit = 1 << ((this.length - 1) % 32)
    for (let index = from; index < end; index++) {
      const mask = this.#masks.get(text[index] ?? 0) ?? this.#any
      let carry = 1
      for (let word = 0; word < this.#words; word++) {
        const bits = state[word] ?? 0
        state[word] = ((bits << 1) | carry) & (mask[word] ?? 0)
        carry = bits >>> 31
      }
      if (((state[lastWord] ?? 0) & lastBit) === 0) continue
      const start = index + 1 - this.length
      if (accept === undefined || accept(start)) return start
    }
    return -1
  }
}

function setBit(words: Uint32Array, index: number): void {
  const word = index >>> 5
  words[word] = (words[word] ?? 0) | (1 << (index & 31))
}
