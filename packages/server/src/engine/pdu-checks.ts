/**
 * Checks a PDU of another server as far as that needs no room: its format, its signatures, its hash.
 *
 * Spec: server-server API, "Checks performed on receipt of a PDU", steps 1 to 3; "Validating hashes and signatures on received events".
 */
import { isEventSigned, requiredSigners } from '@myelin/protocol/crypto/sign-event.ts'
import { signaturesOf } from '@myelin/protocol/crypto/sign-json.ts'
import { hasValidContentHash } from '@myelin/protocol/events/hash.ts'
import { parsePdu, type ParsedPdu } from '@myelin/protocol/events/parse.ts'
import { redactPdu } from '@myelin/protocol/events/redact.ts'
import type { ServerName } from '@myelin/protocol/ids/ids.ts'
import type { JsonValue } from '@myelin/protocol/json/json.ts'
import type { RoomVersion } from '@myelin/protocol/rooms/versions.ts'
import type { KeyRing } from './key-ring.ts'

/** A PDU that may be taken in, or why it is dropped. */
export type CheckedPdu = ParsedPdu | { readonly reason: string }

export class PduChecks {
  readonly #keyRing: Pick<KeyRing, 'publicKey'>

  constructor(needs: { readonly keyRing: Pick<KeyRing, 'publicKey'> }) {
    this.#keyRing = needs.keyRing
  }

  /**
   * Reads and checks a PDU; where its hash is wrong, what redaction leaves of it is given.
   * @param sentBy the server that must have signed it, where nobody else has to
   * @param signsLater a server whose signature is not expected yet
   */
  async check(version: RoomVersion, json: JsonValue, sentBy: ServerName, signsLater?: ServerName): Promise<CheckedPdu> {
    const parsed = parsePdu(version, json)
    if ('reason' in parsed) return parsed
    const required = requiredSigners(version, parsed.event)
    for (const server of required.length > 0 ? required : [sentBy]) {
      if (server !== signsLater && !(await this.#isSigned(version, parsed, server))) return { reason: `it is not signed by ${server} with a key that could be found` }
    }
    return hasValidContentHash(parsed.event.pdu) ? parsed : parsePdu(version, redactPdu(version, parsed.event.pdu))
  }

  /** Checks PDUs at the same time; those that are dropped are left out, so are those of another room. */
  async checkAll(version: RoomVersion, roomId: string, list: readonly JsonValue[], sentBy: ServerName): Promise<ParsedPdu[]> {
    const checked = await Promise.all(list.map((json) => this.check(version, json, sentBy)))
    return checked.flatMap((pdu) => ('event' in pdu && pdu.event.roomId === roomId ? [pdu] : []))
  }

  async #isSigned(version: RoomVersion, { event, signedText }: ParsedPdu, server: ServerName): Promise<boolean> {
    for (const keyId of signaturesOf(event.pdu, server).keys()) {
      const publicKey = await this.#keyRing.publicKey(server, keyId, version.keyValidity ? event.originServerTs : 0)
      if (publicKey !== undefined && isEventSigned(version, event.pdu, server, keyId, publicKey, signedText)) return true
    }
    return false
  }
}
