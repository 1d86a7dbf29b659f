/**
 * Builds, hashes and signs an event of this server. Every field is encoded once, and the three texts that are needed (for the
 * content hash, for the signature, for storage) are put together from the pieces.
 *
 * Spec: server-server API, "Adding hashes and signatures to outgoing events"; rooms, "Event format" of each version.
 */
import type { SigningKey } from '../crypto/ed25519.ts'
import { refuse } from '../errors.ts'
import { fitsBytes } from '../ids/identifier.ts'
import type { EventId, RoomId, ServerName, UserId } from '../ids/ids.ts'
import { roomIdOfCreate } from '../ids/room-id.ts'
import { canonicalJson, canonicalString, strictCanonicalJson } from '../json/canonical.ts'
import type { JsonObject, JsonValue } from '../json/json.ts'
import type { RoomVersion } from '../rooms/versions.ts'
import type { RoomEvent } from './event.ts'
import { hashedEventId, sha256 } from './hash.ts'
import { checkField, fitsEvent, maxAuthEvents, maxEventBytes, maxFieldBytes, maxPrevEvents } from './limits.ts'
import { redactContent } from './redact.ts'
import { stickyField } from './sticky.ts'

/** Who signs: this server under its name with its key. */
export interface EventSigner {
  readonly serverName: ServerName
  readonly key: SigningKey
}

/** What somebody wants to say. */
export interface EventDraft {
  /** Left out for the create event of a room version that takes the room id from its hash; ignored there. */
  readonly roomId?: RoomId
  readonly type: string
  readonly sender: UserId
  /** As parsed from JSON. */
  readonly content: JsonObject
  readonly stateKey?: string
  /** What a redaction redacts; it is put where the room version keeps it. */
  readonly redacts?: EventId
  /** How long it is to be sticky, in ms, at most `longestStickyMs`. */
  readonly stickyMs?: number
  /** Milliseconds since 1970. */
  readonly originServerTs: number
  /** Needed in room versions 1 and 2, ignored from 3 on: `$<random>:<server>`. */
  readonly eventId?: EventId
}

/** Where in the room's graph it is said. */
export interface EventPlace {
  readonly depth: number
  readonly prevEventIds: readonly EventId[]
  readonly authEventIds: readonly EventId[]
  /** In room versions 1 and 2: `referenceHash` of the named events, which stands beside their ids. */
  readonly referenceHashes?: ReadonlyMap<EventId, string>
}

/** An event of this server, ready to be checked, stored and sent. */
export interface BuiltEvent {
  readonly event: RoomEvent
  /** The PDU as canonical JSON. */
  readonly json: string
}

/** The encoded fields of an event. A field that the event does not have is the empty string; the others end with a comma. */
interface Fields {
  readonly auth: string
  readonly content: string
  readonly redactedContent: string
  /** `depth` and `event_id`. */
  readonly depth: string
  /** `origin_server_ts` and `prev_events`. */
  readonly previous: string
  readonly redacts: string
  /** Only what redaction leaves is signed, so this is not. */
  readonly sticky: string
  /** `room_id` and `sender`. */
  readonly sender: string
  /** `state_key`, `type` and the closing brace. */
  readonly type: string
}

/**
 * Builds and signs an event.
 *
 * @throws M_BAD_JSON where the content is not canonical JSON, M_TOO_LARGE where a limit is exceeded
 */
export function buildEvent(version: RoomVersion, draft: EventDraft, place: EventPlace, signer: EventSigner): BuiltEvent {
  checkDraft(draft, place)
  const isHashedCreate = version.roomIdIsCreateHash && draft.type === 'm.room.create' && draft.stateKey === ''
  const content = contentOf(version, draft)
  const fields = encodeFields(version, draft, place, content, isHashedCreate)
  const { auth, depth, previous, redacts, sender, sticky, type } = fields
  const hash = sha256(`${auth}${fields.content}${depth}${sticky}${previous}${redacts}${sender}${type}`, 'base64')
  const hashes = `"hashes":{"sha256":"${hash}"},`
  // what is signed is also what the reference hash covers
  const signedText = `${auth}${fields.redactedContent}${depth}${hashes}${previous}${sender}${type}`
  const signature = signer.key.sign(signedText)
  const signatures = `"signatures":{${canonicalString(signer.serverName)}:{"${signer.key.keyId}":"${signature}"}},`
  const json = `${auth}${fields.content}${depth}${hashes}${sticky}${previous}${redacts}${sender}${signatures}${type}`
  if (!fitsEvent(json)) throw refuse('M_TOO_LARGE', `The event is larger than ${maxEventBytes} bytes; send less at once`)
  const eventId = version.eventIds === 'field' ? requireEventId(draft) : hashedEventId(version, signedText)
  const roomId = isHashedCreate ? roomIdOfCreate(eventId) : requireRoomId(draft)
  const pdu: Record<string, JsonValue> = {
    auth_events: references(version, place, place.authEventIds),
    content,
    depth: place.depth,
    hashes: { sha256: hash },
    origin_server_ts: draft.originServerTs,
    prev_events: references(version, place, place.prevEventIds),
    sender: draft.sender,
    signatures: { [signer.serverName]: { [signer.key.keyId]: signature } },
    type: draft.type,
  }
  if (version.eventIds === 'field') pdu['event_id'] = eventId
  if (redacts !== '' && draft.redacts !== undefined) pdu['redacts'] = draft.redacts
  if (!isHashedCreate) pdu['room_id'] = roomId
  if (draft.stateKey !== undefined) pdu['state_key'] = draft.stateKey
  if (draft.stickyMs !== undefined) pdu[stickyField] = { duration_ms: draft.stickyMs }
  const event: RoomEvent = {
    eventId,
    roomId,
    type: draft.type,
    stateKey: draft.stateKey,
    sender: draft.sender,
    content,
    originServerTs: draft.originServerTs,
    depth: place.depth,
    prevEventIds: place.prevEventIds,
    authEventIds: place.authEventIds,
    redacts: redactsOf(version, draft, content),
    pdu,
  }
  return { event, json }
}

function checkDraft(draft: EventDraft, place: EventPlace): void {
  checkText('The event type', draft.type)
  checkText('The state key', draft.stateKey ?? '')
  checkText('The sender', draft.sender)
  if (!Number.isSafeInteger(draft.originServerTs)) throw refuse('M_BAD_JSON', 'The timestamp of the event is not an integer of milliseconds')
  if (place.prevEventIds.length > maxPrevEvents || place.authEventIds.length > maxAuthEvents) {
    throw new RangeError(`An event may name ${maxPrevEvents} previous events and ${maxAuthEvents} auth events`)
  }
}

function checkText(name: string, text: string): void {
  const wrong = checkField(name, text)
  if (wrong !== undefined) throw refuse(fitsBytes(text, maxFieldBytes) ? 'M_BAD_JSON' : 'M_TOO_LARGE', wrong)
}

function contentOf(version: RoomVersion, draft: EventDraft): JsonObject {
  return version.redactsInContent && draft.redacts !== undefined ? { ...draft.content, redacts: draft.redacts } : draft.content
}

/** What the event redacts, read as every server reads it. */
function redactsOf(version: RoomVersion, draft: EventDraft, content: JsonObject): EventId | undefined {
  if (!version.redactsInContent) return draft.redacts
  const redacts = Object.hasOwn(content, 'redacts') ? content['redacts'] : undefined
  return typeof redacts === 'string' ? (redacts as EventId) : undefined
}

function encodeFields(version: RoomVersion, draft: EventDraft, place: EventPlace, content: JsonObject, isHashedCreate: boolean): Fields {
  const contentText = encodeContent(version, content)
  const redacted = redactContent(version, draft.type, content)
  const eventId = version.eventIds === 'field' ? `"event_id":${canonicalString(requireEventId(draft))},` : ''
  const roomId = isHashedCreate ? '' : `"room_id":${canonicalString(requireRoomId(draft))},`
  const stateKey = draft.stateKey === undefined ? '' : `"state_key":${canonicalString(draft.stateKey)},`
  return {
    auth: `{"auth_events":${referencesText(version, place, place.authEventIds)},`,
    content: `"content":${contentText},`,
    redactedContent: redacted === content ? `"content":${contentText},` : `"content":${canonicalJson(redacted)},`,
    depth: `"depth":${place.depth},${eventId}`,
    previous: `"origin_server_ts":${draft.originServerTs},"prev_events":${referencesText(version, place, place.prevEventIds)},`,
    redacts: version.redactsInContent || draft.redacts === undefined ? '' : `"redacts":${canonicalString(draft.redacts)},`,
    sticky: draft.stickyMs === undefined ? '' : `"${stickyField}":{"duration_ms":${draft.stickyMs}},`,
    sender: `${roomId}"sender":${canonicalString(draft.sender)},`,
    type: `${stateKey}"type":${canonicalString(draft.type)}}`,
  }
}

function encodeContent(version: RoomVersion, content: JsonObject): string {
  if (!version.strictCanonicalJson) return canonicalJson(content)
  const encoded = strictCanonicalJson(content)
  if ('reason' in encoded) throw refuse('M_BAD_JSON', `The content of the event cannot be sent: ${encoded.reason}`)
  return encoded.json
}

/** References to events as the field of an event holds them. */
export function references(version: RoomVersion, place: Pick<EventPlace, 'referenceHashes'>, eventIds: readonly EventId[]): JsonValue {
  if (version.eventIds !== 'field') return eventIds
  return eventIds.map((eventId) => {
    const sha256 = place.referenceHashes?.get(eventId)
    return [eventId, sha256 === undefined ? {} : { sha256 }]
  })
}

function referencesText(version: RoomVersion, place: EventPlace, eventIds: readonly EventId[]): string {
  if (version.eventIds === 'field') return canonicalJson(references(version, place, eventIds))
  return eventIds.length === 0 ? '[]' : JSON.stringify(eventIds)
}

function requireRoomId(draft: EventDraft): RoomId {
  if (draft.roomId === undefined) throw new TypeError(`The draft of ${draft.type} has no room id`)
  return draft.roomId
}

function requireEventId(draft: EventDraft): EventId {
  if (draft.eventId === undefined) throw new TypeError(`The draft of ${draft.type} has no event id, which room versions 1 and 2 need`)
  return draft.eventId
}
