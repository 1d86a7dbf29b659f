/** Reads a PDU that this server has stored: it was validated before it was written. */
import type { RoomEvent } from '@myelin/protocol/events/event.ts'
import type { EventId, RoomId, UserId } from '@myelin/protocol/ids/ids.ts'
import { isObject, own, type JsonObject, type JsonValue } from '@myelin/protocol/json/json.ts'
import type { Room } from './room.ts'

function text(value: JsonValue | undefined): string {
  return typeof value === 'string' ? value : ''
}

function number(value: JsonValue | undefined): number {
  return typeof value === 'number' ? value : 0
}

/** References to events: plain ids, or pairs of id and hashes in room versions 1 and 2. */
function references(value: JsonValue | undefined): EventId[] {
  if (!Array.isArray(value)) return []
  return value.map((item: JsonValue) => text(Array.isArray(item) ? item[0] : item) as EventId)
}

/** The event of a stored PDU. */
export function roomEventOf(room: { readonly id: RoomId; readonly version: Room['version'] }, eventId: EventId, pdu: JsonObject): RoomEvent {
  const content = own(pdu, 'content')
  const contentObject = isObject(content) ? content : {}
  const stateKey = own(pdu, 'state_key')
  const redacts = room.version.redactsInContent ? own(contentObject, 'redacts') : own(pdu, 'redacts')
  return {
    eventId,
    roomId: room.id,
    type: text(own(pdu, 'type')),
    stateKey: typeof stateKey === 'string' ? stateKey : undefined,
    sender: text(own(pdu, 'sender')) as UserId,
    content: contentObject,
    originServerTs: number(own(pdu, 'origin_server_ts')),
    depth: number(own(pdu, 'depth')),
    prevEventIds: references(own(pdu, 'prev_events')),
    authEventIds: references(own(pdu, 'auth_events')),
    redacts: typeof redacts === 'string' ? (redacts as EventId) : undefined,
    pdu,
  }
}

/** The event of a stored row's JSON. */
export function readStoredPdu(room: Room, eventId: EventId, json: string): RoomEvent {
  const pdu: unknown = JSON.parse(json)
  if (!isObject(pdu)) throw new Error(`The stored event ${eventId} is not a JSON object`)
  return roomEventOf(room, eventId, pdu)
}
