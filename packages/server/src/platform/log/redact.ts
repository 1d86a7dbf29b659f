/** Keeps secrets out of the log: tokens in URLs and headers, and values under names that tell a secret. */
import { inspect } from 'node:util'

const hidden = '<redacted>'
const deepest = 6

const patterns: readonly [RegExp, string][] = [
  [/((?:access|refresh|login|registration|id)_?token|client_secret|loginToken|password|secret|mac)=[^&\s"'<>]+/gi, `$1=${hidden}`],
  [/\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{4,}/g, `$1 ${hidden}`],
  [/("(?:[a-z_]*token|[a-z_]*password|[a-z_]*secret[a-z_]*|pepper|mac)"\s*:\s*)"(?:[^"\\]|\\.)*"/gi, `$1"${hidden}"`],
]

const suspect = /token|secret|password|bearer|basic|mac|pepper/i

/** The text without the secrets that it shows. */
export function redactText(text: string): string {
  if (!suspect.test(text)) return text
  return patterns.reduce((cleaned, [pattern, replacement]) => cleaned.replaceAll(pattern, replacement), text)
}

/** Whether a value under this name is a secret. */
export function isSecretName(name: string): boolean {
  const plain = name.toLowerCase().replaceAll(/[_-]/g, '')
  return /(token|password|passphrase|secret|secretkey|privatekey|apikey|authorization|cookie|pepper)$/.test(plain) || plain === 'mac'
}

/** A copy that can be written as JSON, without secrets; errors become name, message and stack. */
export function redactValue(value: unknown, depth = 0): unknown {
  if (typeof value === 'string') return redactText(value)
  if (typeof value === 'bigint') return value.toString()
  if (typeof value !== 'object' || value === null) return typeof value === 'function' || typeof value === 'symbol' ? String(value) : value
  if (value instanceof Error) return { name: value.name, message: redactText(value.message), stack: errorText(value) }
  if (value instanceof Date) return value
  if (ArrayBuffer.isView(value)) return `<${value.byteLength} bytes>`
  if (depth >= deepest) return '<deeper>'
  if (value instanceof Map) return redactEntries(value, depth)
  if (Array.isArray(value) || value instanceof Set) return [...value].map((item) => redactValue(item, depth + 1))
  return redactEntries(Object.entries(value), depth)
}

/** An error's stack with its causes. */
export function errorText(error: Error): string {
  return redactText(inspect(error, { depth: 2, breakLength: 140 }))
}

function redactEntries(entries: Iterable<[unknown, unknown]>, depth: number): Record<string, unknown> {
  const copy: Record<string, unknown> = Object.create(null)
  for (const [key, value] of entries) copy[String(key)] = isSecretName(String(key)) ? hidden : redactValue(value, depth + 1)
  return copy
}
