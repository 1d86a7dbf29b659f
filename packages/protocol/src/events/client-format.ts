/**
 * Events as clients see them, as JSON text: it is made once, and `unsigned`, which differs by reader, is spliced in afterwards.
 *
 * Spec: client-server API, "Room event format"; rooms/v11, "Moving the `redacts` property" (both places are served).
 */
import { canonicalString } from '../json/canonical.ts'
import type { JsonObject } from '../json/json.ts'
import { own } from '../json/json.ts'
import type { RoomVersion } from '../rooms/versions.ts'
import type { RoomEvent } from './event.ts'
import { redactContent } from './redact.ts'
import { stickyField, stickyMsOf } from './sticky.ts'

/**
 * The client format of an event, without `unsigned`.
 *
 * @param withRoomId false inside of `/sync`, where the room is known from the place
 * @returns a JSON object text
 */
export function clientEvent(version: RoomVersion, event: RoomEvent, withRoomId: boolean): string {
  return format(event, clientContent(version, event), event.redacts, withRoomId)
}

/**
 * The client format of an event that was redacted.
 *
 * @param redactedBecause the redaction in client format, `unsigned` included where it has one
 */
export function redactedClientEvent(version: RoomVersion, event: RoomEvent, withRoomId: boolean, redactedBecause: string): string {
  const content = redactContent(version, event.type, event.content)
  const redacts = own(content, 'redacts')
  const text = format(event, content, typeof redacts === 'string' ? redacts : undefined, withRoomId)
  return withUnsigned(text, `{"redacted_because":${redactedBecause}}`)
}

/**
 * Adds `unsigned` to an event in client format that has none.
 *
 * @param unsigned a JSON object text, or undefined or `{}` to add nothing
 */
export function withUnsigned(event: string, unsigned: string | undefined): string {
  if (unsigned === undefined || unsigned === '{}') return event
  return `${event.slice(0, -1)},"unsigned":${unsigned}}`
}

/** Adds members to a JSON object text that lacks them: `"age":5,"transaction_id":"m1"`. */
export function withMembers(object: string, members: string): string {
  if (members === '') return object
  return object === '{}' ? `{${members}}` : `${object.slice(0, -1)},${members}}`
}

function clientContent(version: RoomVersion, event: RoomEvent): JsonObject {
  const { redacts, content } = event
  const copied = event.type === 'm.room.redaction' && redacts !== undefined && !version.redactsInContent
  return copied ? { ...content, redacts } : content
}

function format(event: RoomEvent, content: JsonObject, redacts: string | undefined, withRoomId: boolean): string {
  let text = `{"content":${JSON.stringify(content)},"event_id":${canonicalString(event.eventId)},"origin_server_ts":${event.originServerTs}`
  const stickyMs = stickyMsOf(event.pdu)
  if (stickyMs !== undefined) text += `,"${stickyField}":{"duration_ms":${stickyMs}}`
  if (redacts !== undefined && event.type === 'm.room.redaction') text += `,"redacts":${canonicalString(redacts)}`
  if (withRoomId) text += `,"room_id":${canonicalString(event.roomId)}`
  text += `,"sender":${canonicalString(event.sender)}`
  if (event.stateKey !== undefined) text += `,"state_key":${canonicalString(event.stateKey)}`
  return `${text},"type":${canonicalString(event.type)}}`
}
