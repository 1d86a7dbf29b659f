/**
 * Canonical JSON: the one encoding that hashes and signatures are calculated over.
 *
 * Spec: appendices, "Canonical JSON"; rooms/v6, "Canonical JSON" (strict), rooms/v1 (lenient).
 */
import type { JsonValue } from './json.ts'
import { isObject } from './json.ts'
import { formatFloat, numberText } from './number-source.ts'

/** What makes a value unfit for canonical JSON. */
class NotCanonical extends Error {}

const surrogate = /[\ud800-\udfff]/

/**
 * Encodes a value: keys in the order of code points, no white space. Never refuses: floats, integers out of range and lone
 * surrogates, which old room versions allow, are written as they are.
 */
export function canonicalJson(value: JsonValue): string {
  return write(value, false)
}

/**
 * Encodes a value by the strict rules: only integers within ±(2^53 − 1) and well-formed strings.
 *
 * @returns the encoding, or the reason why there is none, in words for the user
 */
export function strictCanonicalJson(value: JsonValue): { readonly json: string } | { readonly reason: string } {
  try {
    return { json: write(value, true) }
  } catch (error) {
    if (error instanceof NotCanonical) return { reason: error.message }
    throw error
  }
}

/** Encodes a string as canonical JSON does. */
export function canonicalString(text: string): string {
  return JSON.stringify(text)
}

/** Orders two strings by code points: astral characters come after U+FFFF, other than in the order of UTF-16. */
export function compareCodePoints(left: string, right: string): number {
  const length = Math.min(left.length, right.length)
  for (let index = 0; index < length; index++) {
    const a = left.charCodeAt(index)
    const b = right.charCodeAt(index)
    if (a !== b) return codePointRank(a) - codePointRank(b)
  }
  return left.length - right.length
}

/** Moves surrogates, which stand for code points from U+10000 on, behind all other code units. */
function codePointRank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit
}

function write(value: JsonValue, strict: boolean): string {
  switch (typeof value) {
    case 'string':
      if (strict && !value.isWellFormed()) throw new NotCanonical('a string holds half of a surrogate pair, which is no character')
      return JSON.stringify(value)
    case 'number':
      return writeNumber(value, strict)
    case 'boolean':
      return value ? 'true' : 'false'
    default:
      if (value === null) return 'null'
      return isObject(value) ? writeObject(value, strict) : writeArray(value, strict)
  }
}

function writeNumber(value: number, strict: boolean): string {
  if (Number.isSafeInteger(value)) return String(value)
  if (strict) throw new NotCanonical(`the number ${value} is not an integer between -9007199254740991 and 9007199254740991`)
  return Number.isInteger(value) ? BigInt(value).toString() : formatFloat(value)
}

function writeArray(items: readonly JsonValue[], strict: boolean): string {
  if (items.length === 0) return '[]'
  let text = ''
  for (let index = 0; index < items.length; index++) {
    const item = items[index] ?? null
    text += index === 0 ? '[' : ','
    text += typeof item === 'number' ? writeMember(items, index, item, strict) : write(item, strict)
  }
  return `${text}]`
}

function writeObject(object: { readonly [key: string]: JsonValue | undefined }, strict: boolean): string {
  let text = ''
  for (const key of sortedKeys(object)) {
    const value = object[key]
    if (value === undefined) continue
    if (strict && !key.isWellFormed()) throw new NotCanonical('a key holds half of a surrogate pair, which is no character')
    text += (text === '' ? '{' : ',') + JSON.stringify(key) + ':'
    text += typeof value === 'number' ? writeMember(object, key, value, strict) : write(value, strict)
  }
  return text === '' ? '{}' : `${text}}`
}

/** A number, in the text that it had on the wire where a double cannot hold it. */
function writeMember(holder: object, key: string | number, value: number, strict: boolean): string {
  return strict ? writeNumber(value, true) : (numberText(holder, key) ?? writeNumber(value, false))
}

/** The keys of an object in the order of code points. */
function sortedKeys(object: object): string[] {
  const keys = Object.keys(object)
  for (let index = 1; index < keys.length; index++) {
    if ((keys[index - 1] ?? '') > (keys[index] ?? '')) {
      keys.sort()
      break
    }
  }
  return keys.some(hasSurrogate) ? keys.sort(compareCodePoints) : keys
}

function hasSurrogate(key: string): boolean {
  return surrogate.test(key)
}
