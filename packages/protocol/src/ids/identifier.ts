/**
 * What identifiers have in common: a sigil, a localpart, a server name, and at most 255 bytes.
 *
 * Spec: appendices, "Common Identifier Format", "Opaque Identifiers", "Common Namespaced Identifier Grammar".
 */
import type { ServerName } from './ids.ts'
import { isServerName } from './server-name.ts'

/** The longest identifier in bytes of UTF-8, sigil and server name included. */
export const maxIdBytes = 255

/** Whether a text has at most `max` bytes of UTF-8. */
export function fitsBytes(text: string, max: number = maxIdBytes): boolean {
  if (text.length > max) return false
  // no code unit takes more than three bytes
  return text.length * 3 <= max || Buffer.byteLength(text) <= max
}

/** The parts of `&localpart:server`, or undefined. The localpart may be empty and hold all characters but `:` and NUL. */
export function splitId(sigil: string, text: string): { readonly localpart: string; readonly serverName: ServerName } | undefined {
  if (!text.startsWith(sigil) || !fitsBytes(text)) return undefined
  const colon = text.indexOf(':')
  if (colon < 0) return undefined
  const serverName = text.slice(colon + 1)
  if (!isServerName(serverName)) return undefined
  const localpart = text.slice(sigil.length, colon)
  return localpart.includes('\0') || !localpart.isWellFormed() ? undefined : { localpart, serverName }
}

const opaque = /^[0-9A-Za-z._~-]{1,255}$/
const namespaced = /^[a-z][a-z0-9._-]{0,254}$/

/** Whether a text is an opaque identifier: 1 to 255 of `0-9A-Za-z._~-`. */
export function isOpaqueId(text: unknown): text is string {
  return typeof text === 'string' && opaque.test(text)
}

/** Whether a text follows the common namespaced grammar: 1 to 255 of `a-z0-9._-`, beginning with a letter. */
export function isNamespacedId(text: unknown): text is string {
  return typeof text === 'string' && namespaced.test(text)
}
