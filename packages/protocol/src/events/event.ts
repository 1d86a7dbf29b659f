/**
 * An event of a room, independent of its wire format.
 *
 * Spec: server-server API, "PDUs"; rooms, "Event format" of each version.
 */
import type { EventId, RoomId, UserId } from '../ids/ids.ts'
import type { JsonObject } from '../json/json.ts'

/** A PDU exactly as it goes over federation and as it is stored. */
export type Pdu = JsonObject

/** A parsed event: what auth rules, state resolution, visibility and push evaluation read. */
export interface RoomEvent {
  readonly eventId: EventId
  readonly roomId: RoomId
  readonly type: string
  /** Undefined for a message event; the empty string is a state key. */
  readonly stateKey: string | undefined
  readonly sender: UserId
  readonly content: JsonObject
  /** Milliseconds since 1970, as the origin claims. */
  readonly originServerTs: number
  readonly depth: number
  readonly prevEventIds: readonly EventId[]
  readonly authEventIds: readonly EventId[]
  /** The event that a redaction redacts, wherever the room version keeps it. */
  readonly redacts: EventId | undefined
  readonly pdu: Pdu
}

/** The verdict of a check inside `protocol`: a value, not an exception. */
export type Verdict = { readonly allowed: true } | { readonly allowed: false; readonly rule: string; readonly reason: string }

/** Key of a state map: type and state key, which may hold any character, so they are joined by NUL-free JSON. */
export type StateKey = string

/** One string for (type, state key) that no other pair has. */
export function stateKeyOf(type: string, stateKey: string): StateKey {
  return `${type.length}:${type}${stateKey}`
}
