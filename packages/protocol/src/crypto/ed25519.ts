/**
 * Ed25519 over raw 32-byte seeds and public keys.
 *
 * Spec: appendices, "Signing Details"; RFC 8032.
 */
import { createPrivateKey, createPublicKey, sign, verify } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { decodeBase64, encodeBase64 } from './base64.ts'

const privatePrefix = Buffer.from('302e020100300506032b657004220420', 'hex')
const publicPrefix = Buffer.from('302a300506032b6570032100', 'hex')

/** Public keys by their base64 text; making one costs more than a verification. */
const publicKeys = new Map<string, KeyObject>()
const maxPublicKeys = 4096

/** A key of this server, or of a test, that signs. */
export class SigningKey {
  /** `ed25519:<version>`, the name under which signatures stand. */
  readonly keyId: string
  /** The part of the key id after the algorithm. */
  readonly version: string
  /** Unpadded base64. */
  readonly publicKey: string
  readonly #key: KeyObject
  readonly #seed: Uint8Array

  /**
   * @param version `[A-Za-z0-9_]+`
   * @param seed 32 secret bytes
   */
  constructor(version: string, seed: Uint8Array) {
    if (seed.length !== 32) throw new RangeError(`An ed25519 seed has 32 bytes, not ${seed.length}`)
    if (!isKeyVersion(version)) throw new RangeError(`The key version '${version}' may only hold letters, digits and _`)
    this.version = version
    this.keyId = `ed25519:${version}`
    this.#seed = seed
    this.#key = createPrivateKey({ key: Buffer.concat([privatePrefix, seed]), format: 'der', type: 'pkcs8' })
    const spki = createPublicKey(this.#key).export({ format: 'der', type: 'spki' })
    this.publicKey = encodeBase64(spki.subarray(publicPrefix.length))
  }

  /** The signature of a text in unpadded base64. */
  sign(text: string): string {
    return encodeBase64(sign(null, Buffer.from(text, 'utf8'), this.#key))
  }

  /** The 32 secret bytes, for the key file. */
  exportSeed(): Uint8Array {
    return this.#seed
  }
}

/** Whether a text may name a version of a key. */
export function isKeyVersion(version: string): boolean {
  return /^[A-Za-z0-9_]+$/.test(version)
}

/**
 * Whether a signature over a text is good.
 *
 * @param publicKey 32 bytes in base64
 * @param signature 64 bytes in base64
 * @returns false also where key or signature are malformed
 */
export function verifySignature(publicKey: string, text: string, signature: string): boolean {
  const key = publicKeyOf(publicKey)
  const bytes = decodeBase64(signature)
  if (key === undefined || bytes === undefined || bytes.length !== 64) return false
  return verify(null, Buffer.from(text, 'utf8'), key, bytes)
}

/** Whether a text is an ed25519 public key in base64. */
export function isPublicKey(publicKey: string): boolean {
  return decodeBase64(publicKey)?.length === 32
}

function publicKeyOf(publicKey: string): KeyObject | undefined {
  const known = publicKeys.get(publicKey)
  if (known) return known
  if (publicKey.length > 44) return undefined
  const bytes = decodeBase64(publicKey)
  if (bytes === undefined || bytes.length !== 32) return undefined
  const key = createPublicKey({ key: Buffer.concat([publicPrefix, bytes]), format: 'der', type: 'spki' })
  if (publicKeys.size >= maxPublicKeys) publicKeys.clear()
  publicKeys.set(publicKey, key)
  return key
}
