/**
 * Policy servers: a server that a room has named signs what it recommends to be sent there, with a key that the room's state holds.
 *
 * Spec: server-server API, "Policy Servers"; client-server API, `m.room.policy`.
 */
import type { Pdu, RoomEvent } from '../events/event.ts'
import type { ServerName } from '../ids/ids.ts'
import { isServerName } from '../ids/server-name.ts'
import { isObject, own, type JsonObject } from '../json/json.ts'
import { copyNumbers } from '../json/number-source.ts'
import type { RoomVersion } from '../rooms/versions.ts'
import { isEventSigned, signedEventText } from './sign-event.ts'
import { withSignature } from './sign-json.ts'

export const policyType = 'm.room.policy'

/** The id of a policy server's key, whatever the server calls its others. */
const policyKeyId = 'ed25519:policy_server'

/** What a room says of its policy server. */
export interface PolicyServer {
  readonly serverName: ServerName
  /** As the room wrote it: 32 bytes in base64, or something that fits no signature. */
  readonly publicKey: string
}

/** The policy server that the content of `m.room.policy` names; undefined where it names none. */
export function policyServerOf(content: JsonObject): PolicyServer | undefined {
  const [serverName, keys] = [own(content, 'via'), own(content, 'public_keys')]
  const publicKey = isObject(keys) ? own(keys, 'ed25519') : undefined
  return isServerName(serverName) && typeof publicKey === 'string' ? { serverName, publicKey } : undefined
}

/** Whether an event needs the signature of the room's policy server: all do but the one that names it, so that it can be dismissed. */
export function needsPolicySignature(event: Pick<RoomEvent, 'type' | 'stateKey'>): boolean {
  return event.type !== policyType || event.stateKey !== ''
}

/**
 * Whether a policy server has signed an event.
 * @param text `signedEventText` of the event, where the caller has it already
 */
export function isPolicySigned(version: RoomVersion, pdu: Pdu, { serverName, publicKey }: PolicyServer, text = signedEventText(version, pdu)): boolean {
  return isEventSigned(version, pdu, serverName, policyKeyId, publicKey, text)
}

/**
 * A copy of the PDU with the signature that a policy server has answered; signatures that it has, also of the same server, are kept.
 * @param signatures the answer: signatures by server and key
 * @returns undefined where the answer has no signature of the policy server
 */
export function withPolicySignature(pdu: Pdu, { serverName }: PolicyServer, signatures: JsonObject): Pdu | undefined {
  const ofServer = own(signatures, serverName)
  const signature = isObject(ofServer) ? own(ofServer, policyKeyId) : undefined
  if (typeof signature !== 'string') return undefined
  const signed = { ...pdu, signatures: withSignature(own(pdu, 'signatures'), serverName, policyKeyId, signature) }
  copyNumbers(pdu, signed)
  return signed
}
