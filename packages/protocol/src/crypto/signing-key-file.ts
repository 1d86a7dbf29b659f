/**
 * The file of signing keys: one key a line, `ed25519 a_XXXX <seed in unpadded base64>`.
 *
 * Spec: appendices, "Signing Details" (key identifiers); the form of the file is that of existing servers.
 */
import { decodeBase64, encodeBase64 } from './base64.ts'
import { isKeyVersion, SigningKey } from './ed25519.ts'

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

/**
 * The keys of a signing key file, in its order; the first one signs.
 *
 * @returns the keys, or the line (from 1) that is wrong and why. The reason never holds the seed.
 */
export function parseSigningKeys(text: string): { readonly keys: readonly SigningKey[] } | { readonly line: number; readonly reason: string } {
  const keys: SigningKey[] = []
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    const words = line.trim().split(/\s+/)
    if (words.length === 1 && words[0] === '') continue
    const parsed = parseLine(words)
    if (typeof parsed === 'string') return { line: index + 1, reason: parsed }
    keys.push(parsed)
  }
  if (keys.length === 0) return { line: 1, reason: 'the file holds no key; expected a line `ed25519 a_XXXX <seed>`' }
  return { keys }
}

function parseLine(words: readonly string[]): SigningKey | string {
  const [algorithm, version, encoded] = words
  if (words.length !== 3 || version === undefined || encoded === undefined) return 'expected three words: `ed25519 a_XXXX <seed>`'
  if (algorithm !== 'ed25519') return `the algorithm '${algorithm}' is not known; expected ed25519`
  if (!isKeyVersion(version)) return 'the key version may only hold letters, digits and _'
  const seed = decodeBase64(encoded)
  if (seed === undefined || seed.length !== 32) return 'the seed is not 32 bytes in base64'
  return new SigningKey(version, seed)
}

/** The line of a key in a signing key file, with its end. */
export function formatSigningKey(key: SigningKey): string {
  return `ed25519 ${key.version} ${encodeBase64(key.exportSeed())}\n`
}

/**
 * A new key with a version such as `a_kQxR`.
 *
 * @param randomBytes gives that many unpredictable bytes
 */
export function generateSigningKey(randomBytes: (count: number) => Uint8Array): SigningKey {
  let version = 'a_'
  for (const byte of randomBytes(4)) version += alphabet[byte % alphabet.length] ?? ''
  return new SigningKey(version, randomBytes(32))
}
