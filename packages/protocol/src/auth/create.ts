/**
 * Rule 1: the event that creates a room.
 *
 * Spec: rooms, "Authorisation rules", rule 1.
 */
import type { RoomEvent, Verdict } from '../events/event.ts'
import { parseUserId, serverOf } from '../ids/user-id.ts'
import { own } from '../json/json.ts'
import type { JsonValue } from '../json/json.ts'
import { getRoomVersion } from '../rooms/versions.ts'
import type { RoomVersion } from '../rooms/versions.ts'
import { allowed, refused } from './verdict.ts'

/** Whether an `m.room.create` event may begin a room. */
export function checkCreate(version: RoomVersion, event: RoomEvent): Verdict {
  const { content } = event
  // 1.1
  if (event.prevEventIds.length > 0) return refused('1.1', 'm.room.create must be the first event of the room: it may not have prev_events')
  // 1.2
  if (version.roomIdIsCreateHash) {
    if (Object.hasOwn(event.pdu, 'room_id')) return refused('1.2', 'm.room.create may not have a room_id: it follows from its hash')
  } else if (serverOf(event.roomId) !== serverOf(event.sender)) {
    return refused('1.2', `the room id ${event.roomId} belongs to another server than the sender ${event.sender}`)
  }
  // 1.3
  if (Object.hasOwn(content, 'room_version')) {
    const id = own(content, 'room_version')
    if (typeof id !== 'string' || getRoomVersion(id) === undefined) return refused('1.3', 'the room_version of m.room.create is not known')
  }
  // 1.4
  if (version.creatorField && !Object.hasOwn(content, 'creator')) return refused('1.4', 'm.room.create has no creator')
  if (version.privilegedCreators && Object.hasOwn(content, 'additional_creators') && !isListOfUserIds(own(content, 'additional_creators'))) {
    return refused('1.4', 'additional_creators of m.room.create is not a list of valid user ids')
  }
  return allowed
}

function isListOfUserIds(value: JsonValue | undefined): boolean {
  return Array.isArray(value) && value.every((entry) => typeof entry === 'string' && parseUserId(entry) !== undefined)
}
