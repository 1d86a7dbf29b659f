/**
 * The document of this server's own keys, and what it answers as a notary.
 *
 * Spec: server-server API, "Publishing Keys", "Querying Keys Through Another Server".
 */
import type { SigningKey } from '@myelin/protocol/crypto/ed25519.ts'
import { signJson } from '@myelin/protocol/crypto/sign-json.ts'
import type { ServerKey } from '@myelin/protocol/federation/server-keys.ts'
import type { ServerName } from '@myelin/protocol/ids/ids.ts'
import type { JsonObject } from '@myelin/protocol/json/json.ts'
import type { KeyRing } from '#engine/key-ring.ts'
import type { Clock } from '#platform/clock.ts'

interface Needs {
  readonly serverName: ServerName
  readonly clock: Clock
  /** All keys of the signing key file. */
  readonly keys: readonly SigningKey[]
  /** `old_signing_keys`; their `validUntilTs` is when they were retired. */
  readonly oldKeys: readonly ServerKey[]
  /** `key_refresh_interval` */
  readonly refreshIntervalMs: number
  /** Keys that sign answers as a notary (`key_server_signing_keys_path`); the same as `keys` where not configured. */
  readonly notaryKeys: readonly SigningKey[]
  readonly keyRing: Pick<KeyRing, 'document'>
}

/** Keys that are wanted of a server: until when each must hold, in ms, by key id; empty for all. */
export type WantedKeys = ReadonlyMap<string, number>

export class ServerKeys {
  readonly #needs: Needs

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /** The signed document of this server. */
  ownDocument(): JsonObject {
    const { serverName, clock, keys, oldKeys, refreshIntervalMs } = this.#needs
    const document: JsonObject = {
      server_name: serverName,
      valid_until_ts: clock.now() + refreshIntervalMs,
      verify_keys: Object.fromEntries(keys.map((key) => [key.keyId, { key: key.publicKey }])),
      old_verify_keys: Object.fromEntries(oldKeys.map((key) => [key.keyId, { key: key.publicKey, expired_ts: key.validUntilTs }])),
    }
    return keys.reduce((signed, key) => signJson(signed, serverName, key), document)
  }

  /** Documents of servers as far as they can be had, each signed by this server as well. */
  async query(wanted: ReadonlyMap<ServerName, WantedKeys>): Promise<JsonObject[]> {
    const documents = await Promise.all([...wanted].map(([serverName, keys]) => this.#documentOf(serverName, keys)))
    return documents.filter((document) => document !== undefined).map((document) => this.#countersigned(document))
  }

  async #documentOf(serverName: ServerName, keys: WantedKeys): Promise<JsonObject | undefined> {
    if (serverName === this.#needs.serverName) return this.ownDocument()
    const validAt = Math.max(this.#needs.clock.now(), ...keys.values())
    const [keyId = ''] = keys.keys()
    return this.#needs.keyRing.document(serverName, keyId, validAt)
  }

  #countersigned(document: JsonObject): JsonObject {
    return this.#needs.notaryKeys.reduce((signed, key) => signJson(signed, this.#needs.serverName, key), document)
  }
}
