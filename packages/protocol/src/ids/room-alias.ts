/**
 * Room aliases.
 *
 * Spec: appendices, "Room Aliases".
 */
import { splitId } from './identifier.ts'
import type { RoomAlias, ServerName } from './ids.ts'

/** The parts of a room alias, or undefined where the text is none. The localpart is not empty. */
export function parseRoomAlias(text: string): { readonly localpart: string; readonly serverName: ServerName } | undefined {
  const parts = splitId('#', text)
  return parts?.localpart === '' ? undefined : parts
}

/** Whether the text is a room alias. */
export function isRoomAlias(text: unknown): text is RoomAlias {
  return typeof text === 'string' && parseRoomAlias(text) !== undefined
}
