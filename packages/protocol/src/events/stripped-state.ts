/**
 * Stripped state: what somebody who is not in a room may know of it.
 *
 * Spec: client-server API, "Stripped state".
 */
import { isUserId } from '../ids/user-id.ts'
import type { JsonObject, JsonValue } from '../json/json.ts'
import { isObject, own } from '../json/json.ts'
import type { RoomEvent } from './event.ts'

/** A state event without anything that proves it. */
export interface StrippedEvent {
  readonly type: string
  readonly state_key: string
  readonly sender: string
  readonly content: JsonObject
}

/** The state, with empty state key, that invites and knocks show; the inviter's `m.room.member` is added to it. */
export const strippedStateTypes = [
  'm.room.create',
  'm.room.name',
  'm.room.avatar',
  'm.room.topic',
  'm.room.join_rules',
  'm.room.canonical_alias',
  'm.room.encryption',
] as const

/** The stripped form of a state event. */
export function strippedState(event: RoomEvent): StrippedEvent {
  return { content: event.content, sender: event.sender, state_key: event.stateKey ?? '', type: event.type }
}

/**
 * Reads stripped state that another server sent, as an event or as a full PDU; entries that are none are left out.
 *
 * @param value what should be a list; anything else is read as an empty one
 */
export function readStrippedState(value: JsonValue | undefined): readonly StrippedEvent[] {
  if (!Array.isArray(value)) return []
  return value.flatMap((entry: JsonValue) => {
    if (!isObject(entry)) return []
    const type = own(entry, 'type')
    const stateKey = own(entry, 'state_key')
    const sender = own(entry, 'sender')
    const content = own(entry, 'content')
    if (typeof type !== 'string' || typeof stateKey !== 'string' || !isUserId(sender) || !isObject(content)) return []
    return [{ content, sender, state_key: stateKey, type }]
  })
}
