/**
 * The document in which a server publishes its keys.
 *
 * Spec: server-server API, "Retrieving server keys".
 */
import { isPublicKey, verifySignature } from '../crypto/ed25519.ts'
import { signaturesOf, signedText } from '../crypto/sign-json.ts'
import { isServerName } from '../ids/server-name.ts'
import type { ServerName } from '../ids/ids.ts'
import type { JsonObject, JsonValue } from '../json/json.ts'
import { isObject, own } from '../json/json.ts'

/** A public key with the last moment at which a signature of it counts. */
export interface ServerKey {
  /** `ed25519:<version>` */
  readonly keyId: string
  /** Unpadded base64. */
  readonly publicKey: string
  /** Milliseconds since 1970. */
  readonly validUntilTs: number
}

/** A document that was read and whose signatures hold. */
export interface ServerKeys {
  readonly serverName: ServerName
  /** Milliseconds since 1970. */
  readonly validUntilTs: number
  /** Keys in use; they sign requests and events. */
  readonly keys: readonly ServerKey[]
  /** Retired keys; they prove events from before they expired. */
  readonly oldKeys: readonly ServerKey[]
}

/** Further keys in one document are a sign of abuse. */
const mostKeys = 100

/**
 * Reads a document and checks that the server has signed it with a key that it publishes there.
 * @returns the keys, or why the document cannot be used
 */
export function readServerKeys(document: JsonValue | undefined): ServerKeys | { readonly reason: string } {
  if (!isObject(document)) return { reason: 'it is no JSON object' }
  const serverName = own(document, 'server_name')
  const validUntilTs = own(document, 'valid_until_ts')
  const verifyKeys = own(document, 'verify_keys')
  if (!isServerName(serverName)) return { reason: '"server_name" is no server name' }
  if (!isTimestamp(validUntilTs)) return { reason: '"valid_until_ts" is no timestamp' }
  if (!isObject(verifyKeys)) return { reason: '"verify_keys" is no object' }
  const keys = keysOf(verifyKeys, () => validUntilTs)
  const old = own(document, 'old_verify_keys')
  const oldKeys = isObject(old) ? keysOf(old, (entry) => own(entry, 'expired_ts')) : []
  if (!keys || !oldKeys) return { reason: `it has more than ${mostKeys} keys` }
  const fault = signatureFault(document, serverName, keys)
  return fault === undefined ? { serverName, validUntilTs, keys, oldKeys } : { reason: fault }
}

/** The ed25519 keys of an object; entries of other algorithms, and malformed ones, are passed over. */
function keysOf(entries: JsonObject, validUntil: (entry: JsonObject) => JsonValue | undefined): ServerKey[] | undefined {
  const found: ServerKey[] = []
  const all = Object.entries(entries)
  if (all.length > mostKeys) return undefined
  for (const [keyId, entry] of all) {
    if (!isObject(entry) || !keyId.startsWith('ed25519:')) continue
    const publicKey = own(entry, 'key')
    const validUntilTs = validUntil(entry)
    if (typeof publicKey === 'string' && isPublicKey(publicKey) && isTimestamp(validUntilTs)) found.push({ keyId, publicKey, validUntilTs })
  }
  return found
}

function signatureFault(document: JsonObject, serverName: ServerName, keys: readonly ServerKey[]): string | undefined {
  const signatures = signaturesOf(document, serverName)
  const text = signedText(document)
  let isProven = false
  for (const { keyId, publicKey } of keys) {
    const signature = signatures.get(keyId)
    if (signature === undefined) continue
    if (!verifySignature(publicKey, text, signature)) return `its signature with ${keyId} is wrong`
    isProven = true
  }
  return isProven ? undefined : 'it is not signed with a key that it publishes'
}

function isTimestamp(value: JsonValue | undefined): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}
