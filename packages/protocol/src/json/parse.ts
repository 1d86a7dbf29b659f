/**
 * Parses JSON from outside: bounded depth, and nothing is lost that decides on signatures.
 *
 * Spec: appendices, "Canonical JSON"; client-server API, "Standard error response" (`M_NOT_JSON`, `M_BAD_JSON`).
 */
import type { JsonValue } from './json.ts'
import { formatLiteral, holdsInexactNumber, isCanonicalLiteral, isHolder, noteInexact, noteNumber } from './number-source.ts'

/** How deep objects and arrays may be nested: deeper than other servers accept, far from what a stack can hold. */
export const maxJsonDepth = 1000

/** A parsed value, or why there is none, with the error code for a client. */
export type JsonParsing =
  | { readonly value: JsonValue }
  | { readonly errcode: 'M_NOT_JSON' | 'M_BAD_JSON'; readonly reason: string }

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * Parses a JSON text. Numbers that are not canonical keep the text they had, for `canonicalJson` and `parsePdu`.
 *
 * @param maxDepth how many objects and arrays may be inside each other
 */
export function parseJson(text: string, maxDepth: number = maxJsonDepth): JsonParsing {
  const scan = scanJson(text, maxDepth)
  if (scan.tooDeep) return { errcode: 'M_BAD_JSON', reason: `The JSON is nested deeper than ${maxDepth} levels` }
  try {
    const value: JsonValue = scan.exact ? JSON.parse(text) : parseWithSources(text)
    return { value }
  } catch (error) {
    if (error instanceof SyntaxError) return { errcode: 'M_NOT_JSON', reason: `The text is not valid JSON: ${error.message}` }
    throw error
  }
}

/** Parses JSON from bytes, which must be valid UTF-8. */
export function parseJsonBytes(bytes: Uint8Array, maxDepth: number = maxJsonDepth): JsonParsing {
  let text: string
  try {
    text = decoder.decode(bytes)
  } catch (error) {
    if (error instanceof TypeError) return { errcode: 'M_NOT_JSON', reason: 'The text is not valid UTF-8' }
    throw error
  }
  return parseJson(text, maxDepth)
}

/** Whether a value, however deep, holds a string or key with half of a surrogate pair. The value must come from `parseJson`. */
export function holdsLoneSurrogate(value: JsonValue): boolean {
  if (typeof value === 'string') return !value.isWellFormed()
  if (typeof value !== 'object' || value === null) return false
  for (const [key, member] of Object.entries(value)) {
    if (!key.isWellFormed() || (member !== undefined && holdsLoneSurrogate(member))) return true
  }
  return false
}

interface Scan {
  tooDeep: boolean
  exact: boolean
}

/** One pass over the text, before the parser sees it; a malformed text is the parser's matter. */
function scanJson(text: string, maxDepth: number): Scan {
  const scan: Scan = { tooDeep: false, exact: true }
  let depth = 0
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index)
    if (unit === 0x22) {
      index = endOfString(text, index)
    } else if (unit === 0x7b || unit === 0x5b) {
      if (++depth > maxDepth) return { tooDeep: true, exact: true }
    } else if (unit === 0x7d || unit === 0x5d) {
      depth--
    } else if (unit === 0x2d || (unit >= 0x30 && unit <= 0x39)) {
      const end = endOfNumber(text, index)
      if (scan.exact && !isCanonicalLiteral(text.slice(index, end))) scan.exact = false
      index = end - 1
    }
  }
  return scan
}

/** Index of the quotation mark that ends the string which begins at `start`, or the end of the text. */
function endOfString(text: string, start: number): number {
  let index = start + 1
  for (;;) {
    const quote = text.indexOf('"', index)
    if (quote < 0) return text.length
    let backslashes = 0
    while (text.charCodeAt(quote - 1 - backslashes) === 0x5c && quote - 1 - backslashes > start) backslashes++
    if (backslashes % 2 === 0) return quote
    index = quote + 1
  }
}

function endOfNumber(text: string, start: number): number {
  let index = start + 1
  for (; index < text.length; index++) {
    const unit = text.charCodeAt(index)
    // digits, + - . E e
    const within = (unit >= 0x30 && unit <= 0x39) || unit === 0x2b || unit === 0x2d || unit === 0x2e || unit === 0x45 || unit === 0x65
    if (!within) break
  }
  return index
}

/** `JSON.parse` that remembers, for each number that is not canonical, where it stands and how it was written. */
function parseWithSources(text: string): JsonValue {
  return JSON.parse(text, function (this: object, key: string, value: JsonValue, context?: { readonly source?: string }) {
    const source = context?.source
    if (typeof value === 'number' && source !== undefined && !isCanonicalLiteral(source)) noteNumber(this, key, formatLiteral(source))
    else if (isHolder(value) && holdsInexactNumber(value)) noteInexact(this)
    return value
  })
}
