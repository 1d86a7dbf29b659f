/**
 * The two hashes of an event: over everything it says, and over what redaction leaves.
 *
 * Spec: server-server API, "Calculating the content hash", "Calculating the reference hash"; rooms/v3, v4, "Event IDs".
 */
import { createHash } from 'node:crypto'
import { decodeBase64, encodeBase64 } from '../crypto/base64.ts'
import { signedEventText } from '../crypto/sign-event.ts'
import type { EventId } from '../ids/ids.ts'
import { canonicalJson } from '../json/canonical.ts'
import { isObject, own } from '../json/json.ts'
import { copyNumbers } from '../json/number-source.ts'
import type { RoomVersion } from '../rooms/versions.ts'
import type { Pdu } from './event.ts'

/** SHA-256 of a text in unpadded base64 or URL-safe base64. */
export function sha256(text: string, alphabet: 'base64' | 'base64url'): string {
  const digest = createHash('sha256').update(text, 'utf8').digest(alphabet)
  return alphabet === 'base64' ? digest.slice(0, 43) : digest
}

/** The content hash of a PDU in unpadded base64. */
export function contentHash(pdu: Pdu): string {
  const { unsigned: _unsigned, signatures: _signatures, hashes: _hashes, ...covered } = pdu
  copyNumbers(pdu, covered)
  return sha256(canonicalJson(covered), 'base64')
}

/** Whether the content hash that a PDU names is its own. If not, only its redacted copy may be used. */
export function hasValidContentHash(pdu: Pdu): boolean {
  const hashes = own(pdu, 'hashes')
  const named = isObject(hashes) ? own(hashes, 'sha256') : undefined
  const bytes = typeof named === 'string' ? decodeBase64(named) : undefined
  return bytes !== undefined && encodeBase64(bytes) === contentHash(pdu)
}

/** The reference hash of a PDU in unpadded base64. */
export function referenceHash(version: RoomVersion, pdu: Pdu): string {
  return sha256(signedEventText(version, pdu), 'base64')
}

/**
 * The event id of a PDU, where the room version takes it from the reference hash.
 *
 * @param text `signedEventText` of the PDU
 */
export function hashedEventId(version: RoomVersion, text: string): EventId {
  return `$${sha256(text, version.eventIds === 'hash-base64' ? 'base64' : 'base64url')}` as EventId
}

/** The event id of a PDU, or undefined where room versions 1 and 2 need one in the event and it has none. */
export function eventIdOf(version: RoomVersion, pdu: Pdu): EventId | undefined {
  if (version.eventIds !== 'field') return hashedEventId(version, signedEventText(version, pdu))
  const eventId = own(pdu, 'event_id')
  return typeof eventId === 'string' ? (eventId as EventId) : undefined
}
