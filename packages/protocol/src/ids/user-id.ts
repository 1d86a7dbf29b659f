/**
 * User ids, with the strict grammar for new users and the historical one for those that other servers may send.
 *
 * Spec: appendices, "User Identifiers" and "Historical User IDs".
 */
import { splitId } from './identifier.ts'
import type { ServerName, UserId } from './ids.ts'

/** The parts of an identifier `&localpart:server`. */
export interface UserIdParts {
  readonly localpart: string
  readonly serverName: ServerName
}

const strictLocalpart = /^[a-z0-9._=/+-]+$/
/** Printable ASCII: what current servers may show outside of events. */
const compliantLocalpart = /^[\x21-\x39\x3b-\x7e]+$/

/** The parts of a user id, or undefined where the text is no user id of at most 255 bytes, also by the historical grammar. */
export function parseUserId(text: string): UserIdParts | undefined {
  return splitId('@', text)
}

/** Whether the text is a user id, also by the historical grammar. */
export function isUserId(text: unknown): text is UserId {
  return typeof text === 'string' && parseUserId(text) !== undefined
}

/** Whether the text is a user id that a server may create today: `a-z0-9._=/+-`, not empty. */
export function isStrictUserId(text: unknown): text is UserId {
  if (typeof text !== 'string') return false
  const parts = parseUserId(text)
  return parts !== undefined && strictLocalpart.test(parts.localpart)
}

/** Whether a user id may be shown to clients outside of events: its localpart is not empty and printable ASCII. */
export function isCompliantUserId(text: string): boolean {
  const parts = parseUserId(text)
  return parts !== undefined && compliantLocalpart.test(parts.localpart)
}

/** Whether a localpart may be given to a new user. */
export function isStrictLocalpart(localpart: string): boolean {
  return strictLocalpart.test(localpart)
}

/** The id of a user of a server, or undefined where there is none by the strict grammar, or it is longer than 255 bytes. */
export function formatUserId(localpart: string, serverName: ServerName): UserId | undefined {
  const id = `@${localpart}:${serverName}`
  return isStrictUserId(id) ? id : undefined
}

/** The server name of an identifier `&localpart:server`. */
export function serverOf(id: string): ServerName {
  return id.slice(id.indexOf(':') + 1) as ServerName
}

/** The localpart of an identifier `&localpart:server`. */
export function localpartOf(id: string): string {
  const colon = id.indexOf(':')
  return id.slice(1, colon < 0 ? undefined : colon)
}
