/**
 * Signatures of JSON objects.
 *
 * Spec: appendices, "Signing JSON" and "Checking for a Signature".
 */
import { canonicalJson } from '../json/canonical.ts'
import type { JsonObject, JsonValue } from '../json/json.ts'
import { isObject, own } from '../json/json.ts'
import { copyNumbers } from '../json/number-source.ts'
import type { SigningKey } from './ed25519.ts'
import { verifySignature } from './ed25519.ts'

/** The text that signatures of an object cover: everything but `signatures` and `unsigned`. */
export function signedText(object: JsonObject): string {
  const { signatures: _signatures, unsigned: _unsigned, ...covered } = object
  copyNumbers(object, covered)
  return canonicalJson(covered)
}

/** A copy of the object with a signature added; those that it has are kept. */
export function signJson<Signed extends JsonObject>(object: Signed, serverName: string, key: SigningKey): Signed & JsonObject {
  return { ...object, signatures: withSignature(own(object, 'signatures'), serverName, key.keyId, key.sign(signedText(object))) }
}

/** A `signatures` object with one more signature. */
export function withSignature(signatures: JsonValue | undefined, serverName: string, keyId: string, signature: string): JsonObject {
  const all = new Map(isObject(signatures) ? Object.entries(signatures) : [])
  const current = all.get(serverName)
  const ofServer = new Map(isObject(current) ? Object.entries(current) : [])
  ofServer.set(keyId, signature)
  all.set(serverName, Object.fromEntries(ofServer))
  return Object.fromEntries(all)
}

/** The ed25519 signatures of an entity on an object, by key id. */
export function signaturesOf(object: JsonObject, serverName: string): ReadonlyMap<string, string> {
  const all = own(object, 'signatures')
  const ofServer = isObject(all) ? own(all, serverName) : undefined
  const found = new Map<string, string>()
  if (!isObject(ofServer)) return found
  for (const [keyId, signature] of Object.entries(ofServer)) {
    if (keyId.startsWith('ed25519:') && typeof signature === 'string') found.set(keyId, signature)
  }
  return found
}

/**
 * Whether an entity has signed an object with a key.
 *
 * @param keyId `ed25519:<version>`
 * @param publicKey 32 bytes in base64
 */
export function isSigned(object: JsonObject, serverName: string, keyId: string, publicKey: string): boolean {
  const signature = signaturesOf(object, serverName).get(keyId)
  return signature !== undefined && verifySignature(publicKey, signedText(object), signature)
}

/** Whether any signature on the object, under whatever name and key id, is of this public key. */
export function isSignedByKey(object: JsonObject, publicKey: string): boolean {
  const all = own(object, 'signatures')
  if (!isObject(all)) return false
  const text = signedText(object)
  for (const serverName of Object.keys(all)) {
    for (const signature of signaturesOf(object, serverName).values()) {
      if (verifySignature(publicKey, text, signature)) return true
    }
  }
  return false
}
