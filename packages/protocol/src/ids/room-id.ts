/**
 * Room ids: with a server name, or from room version 12 on the hash of the create event.
 *
 * Spec: appendices, "Room IDs"; rooms/v12, "Room IDs".
 */
import type { RoomVersion } from '../rooms/versions.ts'
import { splitId } from './identifier.ts'
import type { EventId, RoomId, ServerName } from './ids.ts'

/** The parts of a room id. */
export interface RoomIdParts {
  readonly opaqueId: string
  /** Undefined from room version 12 on. */
  readonly serverName: ServerName | undefined
}

const hashed = /^![A-Za-z0-9_-]{43}$/

/** The parts of a room id of any room version, or undefined. */
export function parseRoomId(text: string): RoomIdParts | undefined {
  if (hashed.test(text)) return { opaqueId: text.slice(1), serverName: undefined }
  const parts = splitId('!', text)
  return parts && { opaqueId: parts.localpart, serverName: parts.serverName }
}

/** Whether the text is a room id of any room version. */
export function isRoomId(text: unknown): text is RoomId {
  return typeof text === 'string' && parseRoomId(text) !== undefined
}

/** Whether the text is a room id of the form that this room version has. */
export function isRoomIdOf(version: RoomVersion, text: unknown): text is RoomId {
  if (typeof text !== 'string') return false
  return version.roomIdIsCreateHash ? hashed.test(text) : splitId('!', text) !== undefined
}

/** The id of the room that this create event creates, where the room version takes it from there. */
export function roomIdOfCreate(createEventId: EventId): RoomId {
  return `!${createEventId.slice(1)}` as RoomId
}
