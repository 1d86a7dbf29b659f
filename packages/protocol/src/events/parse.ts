/**
 * Reads a PDU from another server by the event format of its room version; what does not fit is no event.
 *
 * Spec: server-server API, "Checks performed on receipt of a PDU", step 1; rooms, "Event format" of each version.
 */
import { signedText } from '../crypto/sign-json.ts'
import { isEventIdOf } from '../ids/event-id.ts'
import type { EventId, RoomId, UserId } from '../ids/ids.ts'
import { isRoomIdOf, roomIdOfCreate } from '../ids/room-id.ts'
import { isUserId } from '../ids/user-id.ts'
import { canonicalJson, strictCanonicalJson } from '../json/canonical.ts'
import type { JsonObject, JsonValue } from '../json/json.ts'
import { isObject, own } from '../json/json.ts'
import { copyNumbers, holdsInexactNumber } from '../json/number-source.ts'
import type { RoomVersion } from '../rooms/versions.ts'
import type { Pdu, RoomEvent } from './event.ts'
import { hashedEventId } from './hash.ts'
import { checkField, fitsEvent, maxAuthEvents, maxEventBytes, maxPrevEvents } from './limits.ts'
import { redactPdu } from './redact.ts'

/** A PDU that follows the event format. Its hash and signatures are not checked yet. */
export interface ParsedPdu {
  readonly event: RoomEvent
  /** The PDU without `unsigned` as canonical JSON: what is stored and sent on. */
  readonly json: string
  /** The text that its signatures and its reference hash cover. */
  readonly signedText: string
  /** What the sending server added; nobody vouches for it. */
  readonly unsigned: JsonObject | undefined
}

/** A PDU, or why it is none. */
export type PduParsing = ParsedPdu | { readonly reason: string }

/** Thrown inside of this file only. */
class Malformed extends Error {}

/** Depths from here on are all the same: the largest integer of canonical JSON. */
const maxDepth = Number.MAX_SAFE_INTEGER

/**
 * Reads a PDU. Give it the value as `parseJson` made it: plain `JSON.parse` hides numbers such as `1.0` and `1e3`, which
 * room versions from 6 on refuse and earlier ones sign as they are written.
 *
 * @returns the event with its id and room id, or the reason why it is malformed
 */
export function parsePdu(version: RoomVersion, json: JsonValue): PduParsing {
  if (!isObject(json)) return { reason: 'the event is not a JSON object' }
  try {
    return readPdu(version, json)
  } catch (error) {
    if (error instanceof Malformed) return { reason: error.message }
    throw error
  }
}

function readPdu(version: RoomVersion, full: JsonObject): ParsedPdu {
  const pdu = withoutUnsigned(full)
  const json = encode(version, pdu)
  if (!fitsEvent(json)) throw new Malformed(`the event is larger than ${maxEventBytes} bytes`)
  const type = shortText(pdu, 'type')
  const sender = own(pdu, 'sender')
  if (!isUserId(sender)) throw new Malformed('sender is not a user id of at most 255 bytes')
  const content = object(pdu, 'content')
  checkHashes(pdu)
  checkSignatures(pdu)
  const text = signedText(redactPdu(version, pdu))
  const eventId = readEventId(version, pdu, text)
  const unsigned = own(full, 'unsigned')
  const event: RoomEvent = {
    eventId,
    roomId: readRoomId(version, pdu, type, eventId),
    type,
    stateKey: Object.hasOwn(pdu, 'state_key') ? shortText(pdu, 'state_key') : undefined,
    sender: sender satisfies UserId,
    content,
    originServerTs: integer(pdu, 'origin_server_ts'),
    depth: readDepth(pdu),
    prevEventIds: references(version, pdu, 'prev_events', maxPrevEvents),
    authEventIds: references(version, pdu, 'auth_events', maxAuthEvents),
    redacts: readRedacts(version, pdu, content),
    pdu,
  }
  return { event, json, signedText: text, unsigned: isObject(unsigned) ? unsigned : undefined }
}

function withoutUnsigned(full: JsonObject): Pdu {
  if (!Object.hasOwn(full, 'unsigned')) return full
  const { unsigned: _unsigned, ...pdu } = full
  copyNumbers(full, pdu)
  return pdu
}

function encode(version: RoomVersion, pdu: Pdu): string {
  if (!version.strictCanonicalJson) return canonicalJson(pdu)
  if (holdsInexactNumber(pdu)) throw new Malformed('the event holds a number that is not an integer between -(2^53-1) and 2^53-1')
  const encoded = strictCanonicalJson(pdu)
  if ('reason' in encoded) throw new Malformed(encoded.reason)
  return encoded.json
}

function shortText(pdu: Pdu, key: string): string {
  const value = own(pdu, key)
  if (typeof value !== 'string') throw new Malformed(`${key} is not a string`)
  const wrong = checkField(key, value)
  if (wrong !== undefined) throw new Malformed(wrong)
  return value
}

function object(pdu: Pdu, key: string): JsonObject {
  const value = own(pdu, key)
  if (!isObject(value)) throw new Malformed(`${key} is not an object`)
  return value
}

/** An integer; room versions before 6 allow any, so what a double cannot hold is moved to the nearest it can. */
function integer(pdu: Pdu, key: string): number {
  const value = own(pdu, key)
  if (typeof value !== 'number' || !Number.isInteger(value)) throw new Malformed(`${key} is not an integer`)
  return Math.max(-Number.MAX_SAFE_INTEGER, Math.min(Number.MAX_SAFE_INTEGER, value))
}

function readDepth(pdu: Pdu): number {
  const depth = own(pdu, 'depth')
  if (typeof depth !== 'number' || !Number.isInteger(depth)) throw new Malformed('depth is not an integer')
  if (depth < 0 || depth > 2 ** 63) throw new Malformed('depth is out of range')
  return Math.min(depth, maxDepth)
}

function readEventId(version: RoomVersion, pdu: Pdu, text: string): EventId {
  if (version.eventIds !== 'field') return hashedEventId(version, text)
  const eventId = own(pdu, 'event_id')
  if (!isEventIdOf(version, eventId)) throw new Malformed('event_id is not an event id')
  return eventId
}

function readRoomId(version: RoomVersion, pdu: Pdu, type: string, eventId: EventId): RoomId {
  if (version.roomIdIsCreateHash && type === 'm.room.create' && own(pdu, 'state_key') === '') {
    if (Object.hasOwn(pdu, 'room_id')) throw new Malformed('m.room.create has a room_id, though the room id follows from its hash')
    return roomIdOfCreate(eventId)
  }
  const roomId = own(pdu, 'room_id')
  if (!isRoomIdOf(version, roomId)) throw new Malformed('room_id is not a room id of this room version')
  return roomId
}

/** The events that a field names: plain ids, or pairs of id and hashes in room versions 1 and 2. */
function references(version: RoomVersion, pdu: Pdu, key: string, max: number): readonly EventId[] {
  const value = own(pdu, key)
  if (!Array.isArray(value)) throw new Malformed(`${key} is not a list`)
  if (value.length > max) throw new Malformed(`${key} names more than ${max} events`)
  return value.map((entry: JsonValue) => {
    const id = version.eventIds === 'field' ? idOfPair(entry) : entry
    if (!isEventIdOf(version, id)) throw new Malformed(`${key} holds something else than events of this room version`)
    return id
  })
}

function idOfPair(entry: JsonValue): JsonValue | undefined {
  return Array.isArray(entry) && entry.length === 2 && isObject(entry[1]) ? entry[0] : undefined
}

function readRedacts(version: RoomVersion, pdu: Pdu, content: JsonObject): EventId | undefined {
  const redacts = own(version.redactsInContent ? content : pdu, 'redacts')
  return typeof redacts === 'string' ? (redacts as EventId) : undefined
}

function checkHashes(pdu: Pdu): void {
  if (typeof own(object(pdu, 'hashes'), 'sha256') !== 'string') throw new Malformed('hashes has no sha256')
}

function checkSignatures(pdu: Pdu): void {
  for (const ofServer of Object.values(object(pdu, 'signatures'))) {
    if (!isObject(ofServer) || Object.values(ofServer).some((signature) => typeof signature !== 'string')) {
      throw new Malformed('signatures is not an object of objects of strings')
    }
  }
}
