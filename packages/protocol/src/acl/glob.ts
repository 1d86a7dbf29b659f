/**
 * Globs in linear time, whatever the pattern: `*` stands for any text, `?` for one character.
 *
 * Between two `*` stands a segment. The leftmost place of a segment is always the best one, so that nothing is tried twice. A segment with
 * `?` is searched with one bit for each of its characters (Shift-And): time grows with the text times a 32nd of the segment.
 *
 * Spec: appendices, "Glob-style matching"; client-server API, "Push rules" (word boundaries).
 */
import { LiteralSegment, WildSegment } from './glob-segment.ts'
import type { Segment } from './glob-segment.ts'

/** A compiled glob. It tells upper from lower case: lower both pattern and text where case does not count. */
export interface Glob {
  /** Whether the whole text matches. */
  matches(text: string): boolean
  /** Whether some part of the text matches that begins and ends at a word boundary. The empty pattern matches nothing. */
  matchesWord(text: string): boolean
}

/** Compiled patterns; push rules, ACLs and filters repeat themselves. */
const cache = new Map<string, Glob>()
const maxCached = 5000
const maxCachedLength = 256

/** Compiles a glob with `*` and `?`. */
export function compileGlob(pattern: string): Glob {
  if (pattern.length > maxCachedLength) return newGlob(pattern)
  const known = cache.get(pattern)
  if (known) return known
  if (cache.size >= maxCached) cache.clear()
  const glob = newGlob(pattern)
  cache.set(pattern, glob)
  return glob
}

/** Compiles a pattern of which only `*` is special. */
export function compileStarGlob(pattern: string): Glob {
  return literalGlob(segmentTexts(pattern))
}

/** Compiles a text in which nothing is special, for `matchesWord`. */
export function compileLiteral(text: string): Glob {
  return literalGlob([text])
}

function newGlob(pattern: string): Glob {
  const texts = segmentTexts(pattern)
  return pattern.includes('?') ? wildGlob(texts) : literalGlob(texts)
}

/** The texts between the stars: the first and the last may be empty, and with no star there is one. */
function segmentTexts(pattern: string): string[] {
  const texts = pattern.split('*')
  return texts.filter((text, index) => text !== '' || index === 0 || index === texts.length - 1)
}

function literalGlob(texts: readonly string[]): Glob {
  const segments = texts.map((text) => new LiteralSegment(text))
  return { matches: (text) => matchWhole(segments, text), matchesWord: (text) => matchWord(segments, text, (index) => text.charCodeAt(index)) }
}

function wildGlob(texts: readonly string[]): Glob {
  const segments = texts.map((text) => new WildSegment(codePoints(text)))
  return {
    matches: (text) => matchWhole(segments, codePoints(text)),
    matchesWord: (text) => {
      const characters = codePoints(text)
      return matchWord(segments, characters, (index) => characters[index] ?? 0)
    },
  }
}

function codePoints(text: string): Uint32Array {
  const points = new Uint32Array(text.length)
  let count = 0
  for (let index = 0; index < text.length; index++) {
    const point = text.codePointAt(index) ?? 0
    if (point > 0xffff) index++
    points[count++] = point
  }
  return points.subarray(0, count)
}

function matchWhole<Text extends { readonly length: number }>(segments: readonly Segment<Text>[], text: Text): boolean {
  const first = segments[0]
  const last = segments.at(-1)
  if (first === undefined || last === undefined) return false
  if (segments.length === 1) return text.length === first.length && first.startsAt(text, 0)
  const end = text.length - last.length
  if (first.length > end || !first.startsAt(text, 0) || !last.startsAt(text, end)) return false
  let position = first.length
  for (let index = 1; index < segments.length - 1; index++) {
    const segment = segments[index]
    if (segment === undefined) return false
    const found = segment.find(text, position, end, undefined)
    if (found < 0) return false
    position = found + segment.length
  }
  return true
}

function matchWord<Text extends { readonly length: number }>(
  segments: readonly Segment<Text>[],
  text: Text,
  unitAt: (index: number) => number,
): boolean {
  const isBoundary = (index: number): boolean =>
    index === 0 || index === text.length || !isWordCharacter(unitAt(index - 1)) || !isWordCharacter(unitAt(index))
  const lastIndex = segments.length - 1
  let position = 0
  for (const [index, segment] of segments.entries()) {
    if (segment.length === 0) {
      if (lastIndex === 0) return false
      continue
    }
    const accept = (start: number): boolean =>
      (index > 0 || isBoundary(start)) && (index < lastIndex || isBoundary(start + segment.length))
    const found = segment.find(text, position, text.length, index === 0 || index === lastIndex ? accept : undefined)
    if (found < 0) return false
    position = found + segment.length
  }
  return true
}

/** Whether a character is in `A-Z`, `a-z`, `0-9` or `_`. */
function isWordCharacter(unit: number): boolean {
  return (unit >= 0x61 && unit <= 0x7a) || (unit >= 0x30 && unit <= 0x39) || unit === 0x5f || (unit >= 0x41 && unit <= 0x5a)
}
