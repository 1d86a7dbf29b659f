/**
 * Public keys of other servers: from memory, from the database, from the server itself or from a notary.
 *
 * Spec: server-server API, "Retrieving server keys", "Validating hashes and signatures on received events".
 */
import { verifySignature } from '@myelin/protocol/crypto/ed25519.ts'
import { signaturesOf, signedText } from '@myelin/protocol/crypto/sign-json.ts'
import { refuse } from '@myelin/protocol/errors.ts'
import { readServerKeys, type ServerKey } from '@myelin/protocol/federation/server-keys.ts'
import type { ServerName } from '@myelin/protocol/ids/ids.ts'
import type { JsonObject } from '@myelin/protocol/json/json.ts'
import type { Cache, CacheBudget } from '#platform/cache/cache.ts'
import type { Clock } from '#platform/clock.ts'
import type { Database } from '#platform/db/database.ts'
import type { Logger } from '#platform/log/logger.ts'
import { ServerKeysStore, type ServerSignatureKeyRow } from './server-keys.store.ts'

/** A place that documents of keys come from. */
export interface KeySource {
  /** Name in the database and in logs: the notary's, or `''` for the server itself. */
  readonly name: string
  /**
   * Fetches the document of a server.
   * @param keyId the key that is wanted
   * @param validAtTs when it must be valid, in ms
   * @throws where there is no usable answer
   */
  fetch(serverName: ServerName, keyId: string, validAtTs: number): Promise<readonly JsonObject[]>
}

interface Needs {
  readonly database: Database
  readonly caches: CacheBudget
  readonly clock: Clock
  readonly logger: Logger
  readonly serverName: ServerName
  /** Keys of this server, which it need not ask anybody for. */
  readonly ownKeys: readonly ServerKey[]
}

type KnownKeys = ReadonlyMap<string, ServerKey>

/** A document is believed for this long at most, whatever it says. */
const longestValidityMs = 7 * 24 * 3_600_000
/** After an answer the same server is left alone for this long, so that made-up key ids cause no load on it. */
const pauseMs = 10_000
const longestPauseMs = 3_600_000
const mostPauses = 10_000

export class KeyRing {
  readonly #needs: Needs
  readonly #store: ServerKeysStore
  readonly #cache: Cache<string, KnownKeys>
  readonly #fetching = new Map<ServerName, Promise<void>>()
  readonly #pauses = new Map<ServerName, { readonly until: number; readonly failures: number }>()
  #sources: readonly KeySource[] = []

  constructor(needs: Needs) {
    this.#needs = needs
    this.#store = new ServerKeysStore(needs.database)
    this.#cache = needs.caches.cache('server_keys', (keys) => 64 + keys.size * 200)
  }

  /** Where keys are fetched, in order. */
  use(sources: readonly KeySource[]): void {
    this.#sources = sources
  }

  /**
   * A public key that was valid at a moment, in base64.
   * @param validAtTs in ms: now for a request, `origin_server_ts` for an event
   * @returns undefined where no such key can be found
   */
  async publicKey(serverName: ServerName, keyId: string, validAtTs: number): Promise<string | undefined> {
    const find = async (): Promise<string | undefined> => {
      const key = (await this.#known(serverName)).get(keyId)
      return key !== undefined && key.validUntilTs >= validAtTs ? key.publicKey : undefined
    }
    const found = await find()
    if (found !== undefined || serverName === this.#needs.serverName) return found
    await this.#refresh(serverName, keyId, validAtTs)
    return find()
  }

  /**
   * Checks that a server has signed an object with a key that was valid at a moment.
   * @throws M_UNAUTHORIZED where it has not, or its key cannot be found
   */
  async assertSigned(object: JsonObject, serverName: ServerName, validAtTs: number): Promise<void> {
    const text = signedText(object)
    for (const [keyId, signature] of signaturesOf(object, serverName)) {
      const publicKey = await this.publicKey(serverName, keyId, validAtTs)
      if (publicKey !== undefined && verifySignature(publicKey, text, signature)) return
    }
    throw refuse('M_UNAUTHORIZED', `There is no valid signature of ${serverName} with a key that could be found.`)
  }

  /**
   * The newest document of a server's keys as it came, for those who ask this server as a notary.
   * @param validAtTs until when it must hold, if that can be had, in ms
   */
  async document(serverName: ServerName, keyId: string, validAtTs: number): Promise<JsonObject | undefined> {
    const stored = await this.#store.document(serverName)
    if (stored === undefined || stored.ts_valid_until_ms < validAtTs || (keyId !== '' && !(await this.#known(serverName)).has(keyId))) {
      await this.#refresh(serverName, keyId, validAtTs)
    }
    const row = await this.#store.document(serverName)
    return row && JSON.parse(row.key_json)
  }

  async #known(serverName: ServerName): Promise<KnownKeys> {
    const cached = this.#cache.get(serverName)
    if (cached) return cached
    const own = serverName === this.#needs.serverName
    const keys = own ? this.#needs.ownKeys : (await this.#store.keys(serverName)).map((row) => ({ keyId: row.key_id, publicKey: row.verify_key, validUntilTs: row.ts_valid_until_ms }))
    const known = new Map(keys.map((key) => [key.keyId, key]))
    this.#cache.set(serverName, known)
    return known
  }

  async #refresh(serverName: ServerName, keyId: string, validAtTs: number): Promise<void> {
    const running = this.#fetching.get(serverName)
    if (running) return running
    const pause = this.#pauses.get(serverName)
    if (pause && this.#needs.clock.now() < pause.until) return
    const fetching = this.#fetch(serverName, keyId, validAtTs).finally(() => this.#fetching.delete(serverName))
    this.#fetching.set(serverName, fetching)
    await fetching
  }

  /** Asks one source after the other until the key is there; a source that fails is passed over. */
  async #fetch(serverName: ServerName, keyId: string, validAtTs: number): Promise<void> {
    let isAnswered = false
    for (const source of this.#sources) {
      try {
        for (const document of await source.fetch(serverName, keyId, validAtTs)) isAnswered = (await this.#take(source.name, serverName, document)) || isAnswered
      } catch (error) {
        const from = source.name === '' ? 'the server itself' : source.name
        this.#needs.logger.info(`Could not fetch keys of ${serverName} from ${from}: ${error instanceof Error ? error.message : String(error)}`)
      }
      const key = (await this.#known(serverName)).get(keyId)
      if (key && key.validUntilTs >= validAtTs) break
    }
    this.#pause(serverName, isAnswered)
  }

  /** Stores a document. @returns false where it is not one of this server, or not signed by it */
  async #take(from: string, serverName: ServerName, document: JsonObject): Promise<boolean> {
    const read = readServerKeys(document)
    const fault = 'reason' in read ? read.reason : read.serverName === serverName ? undefined : `it is one of ${read.serverName}`
    if ('reason' in read || fault !== undefined) {
      this.#needs.logger.warn(`A document of the keys of ${serverName} cannot be used: ${fault}.`)
      return false
    }
    const now = this.#needs.clock.now()
    const validUntil = Math.min(read.validUntilTs, now + longestValidityMs)
    const row = (key: ServerKey, until: number): ServerSignatureKeyRow =>
      ({ server_name: serverName, key_id: key.keyId, verify_key: key.publicKey, ts_valid_until_ms: until, ts_added_ms: now, from_server: from })
    const rows = [...read.oldKeys.map((key) => row(key, Math.min(key.validUntilTs, now))), ...read.keys.map((key) => row(key, validUntil))]
    await this.#needs.database.transaction(async (tx) => {
      await this.#store.put(tx, { server_name: serverName, from_server: from, ts_added_ms: now, ts_valid_until_ms: read.validUntilTs, key_json: JSON.stringify(document) }, rows)
      tx.afterCommit(() => this.#cache.delete(serverName))
    })
    return true
  }

  #pause(serverName: ServerName, isAnswered: boolean): void {
    const failures = isAnswered ? 0 : (this.#pauses.get(serverName)?.failures ?? 0) + 1
    if (this.#pauses.size >= mostPauses) this.#pauses.clear()
    this.#pauses.set(serverName, { failures, until: this.#needs.clock.now() + Math.min(longestPauseMs, pauseMs * 2 ** Math.min(failures, 20)) })
  }
}
