/**
 * The redaction algorithm: what is left of an event.
 *
 * Spec: rooms/v1, v6, v8, v9, v11, "Redactions".
 */
import type { JsonObject, JsonValue } from '../json/json.ts'
import { isObject, own } from '../json/json.ts'
import { copyNumbers } from '../json/number-source.ts'
import type { RedactionRules, RoomVersion } from '../rooms/versions.ts'
import type { Pdu } from './event.ts'

const emptyContent: JsonObject = Object.freeze({})

/** A copy of a PDU without everything that redaction removes, `unsigned` included. */
export function redactPdu(version: RoomVersion, pdu: Pdu): Pdu {
  const rules = version.redaction
  const redacted: Record<string, JsonValue> = {}
  for (const key of rules.topLevel) {
    const value = own(pdu, key)
    if (value !== undefined) redacted[key] = value
  }
  const type = own(pdu, 'type')
  const content = own(pdu, 'content')
  if (isObject(content)) redacted['content'] = typeof type === 'string' ? redactContent(version, type, content) : emptyContent
  copyNumbers(pdu, redacted)
  return redacted
}

/** The content that redaction leaves of an event of this type. */
export function redactContent(version: RoomVersion, type: string, content: JsonObject): JsonObject {
  const rules = version.redaction
  const keys = Object.hasOwn(rules.content, type) ? rules.content[type] : undefined
  if (keys === 'all') return content
  const nested = nestedRules(rules, type)
  if (keys === undefined && nested === undefined) return emptyContent
  const redacted = pick(content, keys ?? [])
  for (const [key, members] of nested ?? []) {
    const value = own(content, key)
    if (isObject(value)) redacted[key] = pick(value, members)
  }
  return redacted
}

function nestedRules(rules: RedactionRules, type: string): [string, readonly string[]][] | undefined {
  const nested = Object.hasOwn(rules.nested, type) ? rules.nested[type] : undefined
  return nested && Object.entries(nested)
}

function pick(object: JsonObject, keys: readonly string[]): Record<string, JsonValue> {
  const picked: Record<string, JsonValue> = {}
  for (const key of keys) {
    const value = own(object, key)
    if (value !== undefined) picked[key] = value
  }
  copyNumbers(object, picked)
  return picked
}
