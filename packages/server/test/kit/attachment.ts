/**
 * Encrypts files as clients do before they upload them.
 *
 * Spec: client-server API, Sending encrypted attachments.
 */
import assert from 'node:assert/strict'
import { createHash, webcrypto } from 'node:crypto'

/** The `EncryptedFile` of an event, without its URL. */
export interface EncryptedFile {
  readonly key: { readonly alg: string; readonly ext: boolean; readonly k: string; readonly key_ops: string[]; readonly kty: string }
  readonly iv: string
  readonly hashes: Readonly<Record<string, string>>
  readonly v: string
}

const { subtle } = webcrypto
const cipher = (counter: Uint8Array<ArrayBuffer>): webcrypto.AesCtrParams => ({ name: 'AES-CTR', counter, length: 64 })
const unpadded = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64').replace(/=+$/, '')
const sha256 = (bytes: Uint8Array): string => unpadded(createHash('sha256').update(bytes).digest())

/** Encrypts with a new key. */
export async function encryptAttachment(plaintext: Uint8Array): Promise<{ ciphertext: Uint8Array<ArrayBuffer>; info: EncryptedFile }> {
  const key = await subtle.generateKey({ name: 'AES-CTR', length: 256 }, true, ['encrypt', 'decrypt'])
  const counter = new Uint8Array(16)
  // The lower half counts blocks and begins at zero.
  webcrypto.getRandomValues(counter.subarray(0, 8))
  const ciphertext = new Uint8Array(await subtle.encrypt(cipher(counter), key, new Uint8Array(plaintext)))
  const { k = '' } = await subtle.exportKey('jwk', key)
  const jwk = { alg: 'A256CTR', ext: true, k, key_ops: ['encrypt', 'decrypt'], kty: 'oct' }
  return { ciphertext, info: { key: jwk, iv: unpadded(counter), hashes: { sha256: sha256(ciphertext) }, v: 'v2' } }
}

/** Checks and decrypts. */
export async function decryptAttachment(ciphertext: Uint8Array, { key, iv, hashes }: EncryptedFile): Promise<Buffer> {
  assert.equal(sha256(ciphertext), hashes['sha256'])
  const imported = await subtle.importKey('jwk', { ...key }, 'AES-CTR', false, ['decrypt'])
  const counter = new Uint8Array(Buffer.from(iv, 'base64'))
  return Buffer.from(await subtle.decrypt(cipher(counter), imported, new Uint8Array(ciphertext)))
}
