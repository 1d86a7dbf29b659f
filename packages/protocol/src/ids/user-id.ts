/**
 * User ids with the historical grammar, which other servers may send.
 *
 * Spec: appendices, "User Identifiers" and "Historical User IDs".
 */
import type { ServerName } from './ids.ts'

/** The parts of a user id, or undefined where the text is no user id of at most 255 bytes. */
export function parseUserId(text: string): { readonly localpart: string; readonly serverName: ServerName } | undefined {
  const colon = text.indexOf(':')
  if (!text.startsWith('@') || colon < 0 || colon === text.length - 1 || Buffer.byteLength(text) > 255) return undefined
  return { localpart: text.slice(1, colon), serverName: text.slice(colon + 1) as ServerName }
}

/** The server name of an identifier `&localpart:server`. */
export function serverOf(id: string): ServerName {
  return id.slice(id.indexOf(':') + 1) as ServerName
}
