/**
 * What identity keys of a device must look like.
 *
 * Spec: client-server API, `POST /keys/upload`, "Key algorithms"; appendices, "Signing JSON".
 */
import { isPublicKey } from '@myelin/protocol/crypto/ed25519.ts'
import { isSigned, signaturesOf, signedText } from '@myelin/protocol/crypto/sign-json.ts'
import { refuse } from '@myelin/protocol/errors.ts'
import { isObject, own, type JsonObject, type JsonValue } from '@myelin/protocol/json/json.ts'

const longestDeviceKeys = 65_536

/**
 * Checks keys that a device publishes for itself.
 * @returns the keys without `unsigned`, and with no signature but the device's own where its key is one that the server can check
 * @throws M_BAD_JSON, M_INVALID_PARAM, M_INVALID_SIGNATURE, M_TOO_LARGE
 */
export function readDeviceKeys(value: unknown, userId: string, deviceId: string): JsonObject {
  if (!isObject(value)) throw refuse('M_BAD_JSON', '"device_keys" must be an object.')
  if (own(value, 'user_id') !== userId) throw refuse('M_INVALID_PARAM', `"device_keys.user_id" must be ${userId}, the user who uploads the keys.`)
  if (own(value, 'device_id') !== deviceId) throw refuse('M_INVALID_PARAM', `"device_keys.device_id" must be ${deviceId}, the device that uploads the keys.`)
  const algorithms = own(value, 'algorithms')
  if (!Array.isArray(algorithms) || !algorithms.every((algorithm) => typeof algorithm === 'string')) {
    throw refuse('M_BAD_JSON', '"device_keys.algorithms" must be a list of texts.')
  }
  const identity = own(value, 'keys')
  if (!isObject(identity) || !Object.values(identity).every((key) => typeof key === 'string')) {
    throw refuse('M_BAD_JSON', '"device_keys.keys" must be an object of public keys, which are texts.')
  }
  if (!isObject(own(value, 'signatures'))) throw refuse('M_BAD_JSON', '"device_keys.signatures" must be an object.')
  const { unsigned: _unsigned, ...keys } = value
  if (JSON.stringify(keys).length > longestDeviceKeys) throw refuse('M_TOO_LARGE', `"device_keys" are larger than ${longestDeviceKeys} bytes.`)
  const publicKey = ed25519KeyOf(value, deviceId)
  // Keys of algorithms that the server does not know are the clients' business.
  if (publicKey === undefined) return keys
  const keyId = `ed25519:${deviceId}`
  if (!isSigned(value, userId, keyId, publicKey)) {
    throw refuse('M_INVALID_SIGNATURE', `"device_keys" must be signed by the device's own key, in "signatures" under ${userId} and ${keyId}.`)
  }
  return { ...keys, signatures: signaturesObject(userId, new Map([[keyId, signaturesOf(value, userId).get(keyId) ?? '']])) }
}

/** The ed25519 public key of a device in its identity keys; undefined where they are malformed. */
export function ed25519KeyOf(deviceKeys: JsonObject, deviceId: string): string | undefined {
  const keys = own(deviceKeys, 'keys')
  if (!isObject(keys) || !Object.values(keys).every((key) => typeof key === 'string')) return undefined
  const key = own(keys, `ed25519:${deviceId}`)
  return typeof key === 'string' && isPublicKey(key) ? key : undefined
}

/** Throws where new identity keys would replace or drop a key that the device has published before. @throws M_INVALID_PARAM */
export function assertSameIdentity(before: JsonObject, after: JsonObject): void {
  const [old, now] = [keysOf(before), keysOf(after)]
  for (const [name, key] of old) {
    if (now.get(name) === key) continue
    throw refuse('M_INVALID_PARAM', `The identity key ${name} of a device cannot change; log out, and log in as a new device.`)
  }
}

function keysOf(deviceKeys: JsonObject): Map<string, JsonValue | undefined> {
  const keys = own(deviceKeys, 'keys')
  return new Map(isObject(keys) ? Object.entries(keys) : [])
}

/** Whether two objects are the same but for their signatures and `unsigned`. */
export function sameSigned(one: JsonObject, other: JsonObject): boolean {
  return signedText(one) === signedText(other)
}

/** A copy of an object with further signatures of a user. */
export function withSignatures(object: JsonObject, userId: string, signatures: ReadonlyMap<string, string>): JsonObject {
  const { signatures: before, ...rest } = object
  const all = new Map(isObject(before) ? Object.entries(before) : [])
  const own = [...signaturesOf(object, userId), ...signatures]
  if (own.length === 0 && before === undefined) return rest
  all.set(userId, Object.fromEntries(own))
  return { ...rest, signatures: Object.fromEntries(all) }
}

/** A copy of an object without one signature of a user. */
export function withoutSignature(object: JsonObject, userId: string, keyId: string): JsonObject {
  const kept = new Map(signaturesOf(object, userId))
  kept.delete(keyId)
  const { signatures: before, ...rest } = object
  const all = new Map(isObject(before) ? Object.entries(before) : [])
  all.set(userId, Object.fromEntries(kept))
  return { ...rest, signatures: Object.fromEntries(all) }
}

/** A `signatures` object of one user. */
export function signaturesObject(userId: string, signatures: ReadonlyMap<string, string>): JsonObject {
  return Object.fromEntries([[userId, Object.fromEntries(signatures)]])
}
