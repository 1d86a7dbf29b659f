/**
 * Event ids: with a server name in room versions 1 and 2, a hash from 3 on.
 *
 * Spec: appendices, "Event IDs"; rooms/v1, v3, v4, "Event IDs".
 */
import type { RoomVersion } from '../rooms/versions.ts'
import { fitsBytes, splitId } from './identifier.ts'
import type { EventId } from './ids.ts'

const grammars = { 'hash-base64': /^\$[A-Za-z0-9+/]{43}$/, 'hash-base64url': /^\$[A-Za-z0-9_-]{43}$/ } as const

/** Whether the text may be an event id in some room version: a `$`, something after it, at most 255 bytes, no NUL. */
export function isEventId(text: unknown): text is EventId {
  return typeof text === 'string' && text.length > 1 && text.startsWith('$') && !text.includes('\0') && fitsBytes(text)
}

/** Whether the text is an event id of the form that this room version has. */
export function isEventIdOf(version: RoomVersion, text: unknown): text is EventId {
  if (typeof text !== 'string') return false
  if (version.eventIds === 'field') return splitId('$', text) !== undefined
  return grammars[version.eventIds].test(text)
}
