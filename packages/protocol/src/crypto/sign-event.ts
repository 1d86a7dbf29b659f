/**
 * Signatures of events: they cover the redacted event, so that they hold for redacted copies too.
 *
 * Spec: server-server API, "Signing Events".
 */
import type { Pdu, RoomEvent } from '../events/event.ts'
import { redactPdu } from '../events/redact.ts'
import type { ServerName } from '../ids/ids.ts'
import { serverOf } from '../ids/user-id.ts'
import { isObject, own } from '../json/json.ts'
import { copyNumbers } from '../json/number-source.ts'
import type { RoomVersion } from '../rooms/versions.ts'
import type { SigningKey } from './ed25519.ts'
import { verifySignature } from './ed25519.ts'
import { signaturesOf, signedText, withSignature } from './sign-json.ts'

/** The text that signatures of an event cover. Its hash is the reference hash. */
export function signedEventText(version: RoomVersion, pdu: Pdu): string {
  return signedText(redactPdu(version, pdu))
}

/** A copy of the PDU with a signature added. Callers must have checked every field: a signature is a promise. */
export function signEvent(version: RoomVersion, pdu: Pdu, serverName: ServerName, key: SigningKey): Pdu {
  const signature = key.sign(signedEventText(version, pdu))
  const signed = { ...pdu, signatures: withSignature(own(pdu, 'signatures'), serverName, key.keyId, signature) }
  copyNumbers(pdu, signed)
  return signed
}

/**
 * Whether a server has signed an event with a key.
 *
 * @param publicKey 32 bytes in base64
 * @param text `signedEventText` of the event, where the caller has it already
 */
export function isEventSigned(
  version: RoomVersion,
  pdu: Pdu,
  serverName: ServerName,
  keyId: string,
  publicKey: string,
  text: string = signedEventText(version, pdu),
): boolean {
  const signature = signaturesOf(pdu, serverName).get(keyId)
  return signature !== undefined && verifySignature(publicKey, text, signature)
}

/**
 * The servers that must have signed an event. A third-party invite needs no signature of its sender's server, because another
 * server of the room may send it in the sender's name: where the list is empty, the server that sent the event must have signed it.
 */
export function requiredSigners(version: RoomVersion, event: RoomEvent): readonly ServerName[] {
  const signers = new Set<ServerName>()
  if (!isThirdPartyInvite(event)) signers.add(serverOf(event.sender))
  if (version.eventIds === 'field') signers.add(serverOf(event.eventId))
  const authorisedVia = own(event.content, 'join_authorised_via_users_server')
  if (version.restrictedJoins && event.type === 'm.room.member' && typeof authorisedVia === 'string') signers.add(serverOf(authorisedVia))
  return [...signers]
}

function isThirdPartyInvite(event: RoomEvent): boolean {
  return (
    event.type === 'm.room.member' && own(event.content, 'membership') === 'invite' && isObject(own(event.content, 'third_party_invite'))
  )
}
