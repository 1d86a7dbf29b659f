/**
 * Where keys of other servers come from: the server itself, or a notary that has signed them as well.
 *
 * Spec: server-server API, "Retrieving server keys".
 */
import { isSigned } from '@myelin/protocol/crypto/sign-json.ts'
import type { ServerName } from '@myelin/protocol/ids/ids.ts'
import { isObject, own, type JsonObject, type JsonValue } from '@myelin/protocol/json/json.ts'
import type { KeyRing, KeySource } from '#engine/key-ring.ts'
import { pathOf, type Federation } from '#features/federation/federation.ts'

/** An entry of `trusted_key_servers`. */
export interface Notary {
  readonly serverName: ServerName
  /** Public keys by key id; where there is none, the notary itself is asked for them. */
  readonly verifyKeys: ReadonlyMap<string, string>
  /** Believes answers without a signature of the notary. */
  readonly isBelievedUnsigned: boolean
}

const maxDocumentBytes = 256 * 1024
const timeoutMs = 10_000

/** The server itself. */
export function directSource(federation: Pick<Federation, 'request'>): KeySource {
  return {
    name: '',
    fetch: async (serverName) => [await federation.request(serverName, { method: 'GET', path: pathOf(['key/v2/server']), isUnsigned: true, insists: true, maxBytes: maxDocumentBytes, timeoutMs })],
  }
}

/** A notary; documents that it has not signed are left out. */
export function notarySource(federation: Pick<Federation, 'request'>, keyRing: Pick<KeyRing, 'assertSigned'>, clock: { now(): number }, notary: Notary): KeySource {
  return {
    name: notary.serverName,
    fetch: async (serverName, keyId, validAtTs) => {
      if (serverName === notary.serverName) return []
      const wanted = keyId === '' ? {} : { [keyId]: { minimum_valid_until_ts: validAtTs } }
      const answer = await federation.request(notary.serverName, {
        method: 'POST', path: pathOf(['key/v2/query']), body: { server_keys: { [serverName]: wanted } }, isUnsigned: true, maxBytes: maxDocumentBytes, timeoutMs,
      })
      const documents = objectsOf(own(answer, 'server_keys'))
      for (const document of documents) await assertNotarised(document, keyRing, clock, notary)
      return documents
    },
  }
}

/** @throws where the notary has not signed a document */
async function assertNotarised(document: JsonObject, keyRing: Pick<KeyRing, 'assertSigned'>, clock: { now(): number }, notary: Notary): Promise<void> {
  if (notary.isBelievedUnsigned) return
  if (notary.verifyKeys.size === 0) {
    await keyRing.assertSigned(document, notary.serverName, clock.now())
    return
  }
  for (const [keyId, publicKey] of notary.verifyKeys) if (isSigned(document, notary.serverName, keyId, publicKey)) return
  throw new Error(`the answer is not signed with one of the configured keys of ${notary.serverName}`)
}

function objectsOf(value: JsonValue | undefined): JsonObject[] {
  return Array.isArray(value) ? value.filter(isObject) : []
}
