/**
 * The file of signing keys: one line `ed25519 <version> <unpadded base64 seed>` for each.
 *
 * Spec: appendices, "Signing JSON"; the file's form is that of Synapse.
 */
import { randomBytes, randomInt } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { ConfigFault, type Place } from './fault.ts'
import { isCode, reason } from './secret-file.ts'

/** A key that signs events and requests of this server. */
export interface SigningKey {
  /** `a_AbCd` of the key id `ed25519:a_AbCd`. */
  readonly version: string
  /** 32 bytes. */
  readonly seed: Buffer
}

/** A new key with a random version. */
export function newSigningKey(): SigningKey {
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
  const version = Array.from({ length: 4 }, () => letters[randomInt(letters.length)]).join('')
  return { version: `a_${version}`, seed: randomBytes(32) }
}

/** The line of a key, with its line feed. */
export function formatSigningKey({ version, seed }: SigningKey): string {
  return `ed25519 ${version} ${seed.toString('base64').replace(/=+$/, '')}\n`
}

/**
 * The keys in the text of a key file; the first is the one to sign with.
 * @returns undefined where a line is not of the form
 */
export function parseSigningKeys(text: string): readonly SigningKey[] | undefined {
  const keys: SigningKey[] = []
  for (const line of text.split('\n')) {
    if (line.trim() === '') continue
    const match = /^ed25519 ([a-zA-Z0-9_]+) ([A-Za-z0-9+/_-]{43})=?$/.exec(line.trim())
    if (!match?.[1] || !match[2]) return undefined
    keys.push({ version: match[1], seed: Buffer.from(match[2], 'base64') })
  }
  return keys.length > 0 ? keys : undefined
}

/**
 * Reads a key file.
 * @param create write a new key where the file is missing
 * @throws ConfigFault where it cannot be read or is not of the form
 */
export function readSigningKeys(file: string, place: Place, create: boolean): readonly SigningKey[] {
  let text: string
  try {
    if (create) writeSigningKey(file)
    text = readFileSync(file, 'utf8')
  } catch (error) {
    const advice = isCode(error, 'ENOENT')
      ? 'Write a key with "myelin generate-signing-key -o FILE", or start once with --generate-missing-configs.'
      : 'Make the file readable for the user that runs the server.'
    throw new ConfigFault(place.path, place.file, place.line, `The signing key ${file} cannot be read: ${reason(error)}.`, advice)
  }
  const keys = parseSigningKeys(text)
  if (keys) return keys
  const advice = 'Each line must be "ed25519 a_NAME SEED", the seed being 32 bytes in unpadded base64.'
  throw new ConfigFault(place.path, place.file, place.line, `The signing key ${file} is not of the right form.`, advice)
}

/** Writes a new key, unless the file is there. @returns whether it was written */
export function writeSigningKey(file: string): boolean {
  try {
    writeFileSync(file, formatSigningKey(newSigningKey()), { flag: 'wx', mode: 0o600 })
    return true
  } catch (error) {
    if (isCode(error, 'EEXIST')) return false
    throw error
  }
}
