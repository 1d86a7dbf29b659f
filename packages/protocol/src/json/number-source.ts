/**
 * Numbers whose text on the wire says more than the double that it was parsed to: `1.0`, `1e3`, `-0`, 2^63 − 1.
 * Room versions before 6 sign them as they were written, and room versions from 6 on refuse them.
 *
 * Spec: appendices, "Canonical JSON", warning on room versions 1 to 5.
 */
import { isObject } from './json.ts'

const sources = new WeakMap<object, Map<string, string>>()
const inexact = new WeakSet<object>()

/** Notes that the member `key` of an object or array was written as `source`, in the form that canonical JSON gives it. */
export function noteNumber(holder: object, key: string, source: string): void {
  const known = sources.get(holder)
  if (known) known.set(key, source)
  else sources.set(holder, new Map([[key, source]]))
  inexact.add(holder)
}

/** Notes that something below an object or array was not written as a canonical number. */
export function noteInexact(holder: object): void {
  inexact.add(holder)
}

/** Whether an object or array, which `parseJson` gave, or anything below it holds a number that is not canonical. */
export function holdsInexactNumber(value: object): boolean {
  return inexact.has(value)
}

/** The text of a number, where it differs from the double's. */
export function numberText(holder: object, key: string | number): string | undefined {
  return sources.get(holder)?.get(String(key))
}

/** Passes on what is known of the members of `from` to a copy of them. */
export function copyNumbers(from: object, to: object): void {
  const known = sources.get(from)
  if (known) sources.set(to, known)
  if (inexact.has(from)) inexact.add(to)
}

/** Whether the literal is an integer that a double holds and that has no other spelling. */
export function isCanonicalLiteral(literal: string): boolean {
  if (literal.length > 17 || literal === '-0') return false
  for (let index = literal.startsWith('-') ? 1 : 0; index < literal.length; index++) {
    const unit = literal.charCodeAt(index)
    if (unit < 48 || unit > 57) return false
  }
  return literal.length < 16 || Number.isSafeInteger(Number(literal))
}

/** A literal that is not canonical as the servers that sign such events write it: integers in full, floats in their shortest form. */
export function formatLiteral(literal: string): string {
  if (/^-?\d+$/.test(literal)) return literal.length > 4300 ? literal : BigInt(literal).toString()
  return formatFloat(Number(literal))
}

/**
 * A double as other servers write a float: always with a point or an exponent, the exponent from 10^16 on and below 10^-4.
 * What is out of a double's range becomes `null`, as JSON has no infinity.
 */
export function formatFloat(value: number): string {
  if (Object.is(value, -0)) return '-0.0'
  if (!Number.isFinite(value)) return 'null'
  const size = Math.abs(value)
  if (size !== 0 && (size >= 1e16 || size < 1e-4)) {
    return value.toExponential().replace(/e([+-])(\d)$/, 'e$10$2')
  }
  const text = String(value)
  return text.includes('.') ? text : `${text}.0`
}

/** Whether a parsed value may hold members at all. */
export function isHolder(value: unknown): value is object {
  return isObject(value) || Array.isArray(value)
}
