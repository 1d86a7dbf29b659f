/**
 * What a cross-signing key must look like.
 *
 * Spec: client-server API, "Cross-signing", `POST /keys/device_signing/upload`.
 */
import { isPublicKey } from '@myelin/protocol/crypto/ed25519.ts'
import { isSigned } from '@myelin/protocol/crypto/sign-json.ts'
import { refuse } from '@myelin/protocol/errors.ts'
import { isObject, own, type JsonObject } from '@myelin/protocol/json/json.ts'

/** What a key is used for, in the words of `usage`. */
export type KeyUsage = 'master' | 'self_signing' | 'user_signing'

/** The three kinds of cross-signing keys, the one that signs the others first. */
export const keyUsages: readonly KeyUsage[] = ['master', 'self_signing', 'user_signing']

/** A well-formed key; its signatures are not checked yet. */
export interface CrossSigningKey {
  readonly usage: KeyUsage
  /** 32 bytes in base64. */
  readonly publicKey: string
  /** As it was uploaded, without `unsigned`. */
  readonly object: JsonObject
}

const longestKey = 16_384

/**
 * Reads `master_key`, `self_signing_key` or `user_signing_key`.
 * @returns undefined where the body has none
 * @throws M_BAD_JSON, M_INVALID_PARAM, M_TOO_LARGE
 */
export function readCrossSigningKey(body: JsonObject, usage: KeyUsage, userId: string): CrossSigningKey | undefined {
  const field = `${usage}_key`
  const value = own(body, field)
  if (value === undefined) return undefined
  if (!isObject(value)) throw refuse('M_BAD_JSON', `"${field}" must be an object.`)
  if (own(value, 'user_id') !== userId) throw refuse('M_INVALID_PARAM', `"${field}.user_id" must be ${userId}, the user who uploads the key.`)
  const usages = own(value, 'usage')
  if (!Array.isArray(usages) || !usages.includes(usage)) throw refuse('M_INVALID_PARAM', `"${field}.usage" must be ["${usage}"].`)
  const publicKey = publicKeyOf(value)
  if (publicKey === undefined) {
    throw refuse('M_INVALID_PARAM', `"${field}.keys" must have exactly one ed25519 public key, in unpadded base64 and under the name "ed25519:<the key>".`)
  }
  const { unsigned: _unsigned, ...object } = value
  if (JSON.stringify(object).length > longestKey) throw refuse('M_TOO_LARGE', `"${field}" is larger than ${longestKey} bytes.`)
  return { usage, publicKey, object }
}

/** The public key of a cross-signing key; undefined where it is malformed. */
export function publicKeyOf(key: JsonObject): string | undefined {
  const keys = own(key, 'keys')
  const [entry, more] = isObject(keys) ? Object.entries(keys) : []
  if (entry === undefined || more !== undefined) return undefined
  const [name, publicKey] = entry
  if (typeof publicKey !== 'string' || publicKey.endsWith('=') || !isPublicKey(publicKey)) return undefined
  return name === `ed25519:${publicKey}` ? publicKey : undefined
}

/** Throws where a key is not signed by the user's master key. @throws M_INVALID_SIGNATURE */
export function assertSignedByMaster(key: CrossSigningKey, userId: string, masterPublicKey: string): void {
  if (isSigned(key.object, userId, `ed25519:${masterPublicKey}`, masterPublicKey)) return
  throw refuse('M_INVALID_SIGNATURE', `"${key.usage}_key" must be signed by the master key, in "signatures" under ${userId} and ed25519:${masterPublicKey}.`)
}
