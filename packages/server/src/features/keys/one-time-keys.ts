/**
 * One-time and fallback keys: each one-time key is handed out once, in the order of upload; then the fallback key serves.
 *
 * Spec: client-server API, "One-time and fallback keys", `POST /keys/upload`, `POST /keys/claim`.
 */
import { MatrixError, refuse } from '@myelin/protocol/errors.ts'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import { canonicalJson } from '@myelin/protocol/json/canonical.ts'
import { isObject, own, type JsonValue } from '@myelin/protocol/json/json.ts'
import type { Cache, CacheBudget } from '#platform/cache/cache.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import { OneTimeKeysStore, slotSize, type AlgorithmRow, type OfferRow, type StockRow } from './one-time-keys.store.ts'

/** A key of an upload. */
export interface UploadedKey {
  readonly algorithm: string
  readonly keyId: string
  readonly value: JsonValue
  readonly json: string
}

/** A key that somebody wants of a device. */
export interface Claim {
  readonly userId: UserId
  readonly deviceId: string
  readonly algorithm: string
}

/** A key that was handed out. */
export interface ClaimedKey extends Claim {
  readonly keyId: string
  readonly json: string
}

/** What `/sync` tells a device of its keys. */
export interface KeySupply {
  /** Unclaimed one-time keys by algorithm; `signed_curve25519` is always there. */
  readonly counts: Readonly<Record<string, number>>
  /** Algorithms with a fallback key that nobody was given yet. */
  readonly unusedFallbackTypes: readonly string[]
}

/** One-time keys that a device may keep on the server; clients upload at most some hundred. */
const keyLimit = 1000
const algorithmLimit = 20
const longestKey = 16_384
const longestName = 255

export class OneTimeKeys {
  readonly #database: Database
  readonly #store: OneTimeKeysStore
  readonly #supplies: Cache<string, KeySupply>
  #generation = 0
  #lastSlot: number

  private constructor(needs: { readonly database: Database; readonly caches: CacheBudget }, lastSlot: number) {
    this.#database = needs.database
    this.#store = new OneTimeKeysStore(needs.database)
    this.#supplies = needs.caches.cache('one_time_key_supplies', () => 250)
    this.#lastSlot = lastSlot
  }

  static async open(needs: { readonly database: Database; readonly caches: CacheBudget }): Promise<OneTimeKeys> {
    return new OneTimeKeys(needs, await OneTimeKeysStore.lastSlot(needs.database))
  }

  /** What a device has left; from memory while nothing changes. */
  async supply(userId: UserId, deviceId: string): Promise<KeySupply> {
    const key = cacheKey(userId, deviceId)
    const known = this.#supplies.get(key)
    if (known) return known
    const generation = this.#generation
    const supply = await this.#read(userId, deviceId)
    if (generation === this.#generation) this.#supplies.set(key, supply)
    return supply
  }

  /**
   * Stores keys of a device within a transaction. Keys that are already there are passed over.
   * @throws M_UNKNOWN (400) where a key id is taken by another key, M_TOO_LARGE where the device would have too many
   */
  async store(tx: Tx, userId: UserId, deviceId: string, oneTime: readonly UploadedKey[], fallback: readonly UploadedKey[]): Promise<void> {
    if (oneTime.length === 0 && fallback.length === 0) return
    const added = await this.#withoutKnown(tx, userId, deviceId, oneTime)
    const known = new Map((await this.#store.stock(tx, userId, deviceId)).map((row) => [row.algorithm, row]))
    const unclaimed = [...known.values()].reduce((sum, row) => sum + row.count, 0)
    if (unclaimed + added.length > keyLimit) {
      throw refuse('M_TOO_LARGE', `A device may have at most ${keyLimit} one-time keys; ${unclaimed} are still unclaimed.`)
    }
    const fallbacks = new Map(fallback.map((key) => [key.algorithm, key]))
    const algorithms = new Set([...added, ...fallback].map((key) => key.algorithm))
    if (new Set([...known.keys(), ...algorithms]).size > algorithmLimit) {
      throw refuse('M_TOO_LARGE', `A device may have keys of at most ${algorithmLimit} algorithms.`)
    }
    const rows = [...algorithms].map((algorithm) => {
      const before = known.get(algorithm) ?? this.#newAlgorithm(userId, deviceId, algorithm)
      return withFallback(before, fallbacks.get(algorithm))
    })
    await this.#store.putAlgorithms(tx, rows.filter((row) => !known.has(row.algorithm) || fallbacks.has(row.algorithm)))
    const last = new Map(rows.map((row) => [row.algorithm, row.last_nid ?? row.slot * slotSize]))
    await this.#store.insert(tx, added.map((key) => {
      const keyNid = (last.get(key.algorithm) ?? 0) + 1
      last.set(key.algorithm, keyNid)
      return { key_nid: keyNid, key_id: key.keyId, json: key.json }
    }))
    this.#forget(tx, [{ userId, deviceId }])
  }

  /** Hands out keys; where a device has none of the algorithm, the answer lacks it. Two callers never get the same one-time key. */
  async claim(claims: readonly Claim[]): Promise<ClaimedKey[]> {
    if (claims.length === 0) return []
    return this.#database.transaction((tx) => this.#claim(tx, claims))
  }

  /** Deletes all keys of devices within a transaction. */
  async deleteDevices(tx: Tx, userId: UserId, deviceIds: readonly string[]): Promise<void> {
    await this.#store.deleteDevices(tx, userId, deviceIds)
    this.#forget(tx, deviceIds.map((deviceId) => ({ userId, deviceId })))
  }

  async #claim(tx: Tx, claims: readonly Claim[]): Promise<ClaimedKey[]> {
    const claimed: ClaimedKey[] = []
    let open = new Map(claims.map((claim) => [claimKey(claim.userId, claim.deviceId, claim.algorithm), claim]))
    while (open.size > 0) {
      const devices = new Map([...open.values()].map((claim) => [cacheKey(claim.userId, claim.deviceId), claim]))
      const offers = await this.#store.offers(tx, [...devices.values()])
      const mine = offers.filter((offer) => open.has(offerKey(offer)))
      // In one order for everybody, so that two claims of the same devices never wait for each other.
      const nids = mine.flatMap((offer) => (offer.next_nid === null ? [] : [offer.next_nid])).sort((a, b) => a - b)
      const taken = nids.length > 0 ? await this.#store.take(tx, nids) : []
      const got = new Map(taken.map((row) => [row.key_nid, row]))
      for (const offer of mine) {
        const key = offer.next_nid === null ? undefined : got.get(offer.next_nid)
        if (key) claimed.push({ userId: offer.user_id, deviceId: offer.device_id, algorithm: offer.algorithm, keyId: key.key_id, json: key.json })
      }
      claimed.push(...(await this.#useFallbacks(tx, mine)))
      // Who offered a key that was not taken has lost it to another claim, and is asked again.
      const again = mine.filter((offer) => offer.next_nid !== null && !got.has(offer.next_nid))
      open = new Map(again.flatMap((offer) => {
        const claim = open.get(offerKey(offer))
        return claim ? [[offerKey(offer), claim] as const] : []
      }))
    }
    this.#forget(tx, claimed)
    return claimed
  }

  async #useFallbacks(tx: Tx, offers: readonly OfferRow[]): Promise<ClaimedKey[]> {
    const used: ClaimedKey[] = []
    for (const offer of offers) {
      if (offer.next_nid !== null || offer.fallback_key_id === null || offer.fallback_json === null) continue
      if (offer.fallback_used === 0) await this.#store.useFallback(tx, offer)
      used.push({
        userId: offer.user_id, deviceId: offer.device_id, algorithm: offer.algorithm, keyId: offer.fallback_key_id, json: offer.fallback_json,
      })
    }
    return used
  }

  async #withoutKnown(tx: Tx, userId: UserId, deviceId: string, uploaded: readonly UploadedKey[]): Promise<UploadedKey[]> {
    if (uploaded.length === 0) return []
    const rows = await this.#store.byKeyIds(tx, userId, deviceId, distinct(uploaded.map((key) => key.keyId)))
    const known = new Map(rows.map((row) => [`${row.algorithm}:${row.key_id}`, row.json]))
    return uploaded.filter((key) => {
      const name = `${key.algorithm}:${key.keyId}`
      const before = known.get(name)
      if (before === undefined) return true
      if (before === key.json || canonicalJson(JSON.parse(before)) === canonicalJson(key.value)) return false
      throw new MatrixError(400, 'M_UNKNOWN', `One time key ${name} already exists. Old key: ${before}; new key: ${key.json}. Upload it under another key id.`)
    })
  }

  #newAlgorithm(userId: UserId, deviceId: string, algorithm: string): StockRow {
    const slot = ++this.#lastSlot
    return { user_id: userId, device_id: deviceId, algorithm, slot, fallback_key_id: null, fallback_json: null, fallback_used: 0, count: 0, last_nid: null }
  }

  async #read(userId: UserId, deviceId: string): Promise<KeySupply> {
    const counts = new Map<string, number>([['signed_curve25519', 0]])
    const stock = await this.#store.stock(this.#database, userId, deviceId)
    for (const row of stock) if (row.count > 0) counts.set(row.algorithm, row.count)
    const unused = stock.filter((row) => row.fallback_key_id !== null && row.fallback_used === 0)
    return { counts: Object.fromEntries(counts), unusedFallbackTypes: unused.map((row) => row.algorithm) }
  }

  #forget(tx: Tx, devices: readonly { readonly userId: string; readonly deviceId: string }[]): void {
    tx.afterCommit(() => {
      this.#generation += 1
      for (const { userId, deviceId } of devices) this.#supplies.delete(cacheKey(userId, deviceId))
    })
  }
}

/**
 * Reads `one_time_keys` or `fallback_keys` of an upload.
 * Signatures of one-time keys are left to who claims them: the server's word would be worth nothing to a client.
 * @throws M_BAD_JSON, M_INVALID_PARAM, M_TOO_LARGE
 */
export function readUploadedKeys(field: string, value: unknown): UploadedKey[] {
  if (value === undefined) return []
  if (!isObject(value)) throw refuse('M_BAD_JSON', `"${field}" must be an object of keys by "<algorithm>:<key id>".`)
  const entries = Object.entries(value)
  if (entries.length > keyLimit) throw refuse('M_TOO_LARGE', `"${field}" may have at most ${keyLimit} keys.`)
  return entries.map(([name, key]) => readKey(field, name, key))
}

function readKey(field: string, name: string, value: JsonValue | undefined): UploadedKey {
  const colon = name.indexOf(':')
  if (colon < 1 || colon === name.length - 1 || name.length > longestName) {
    throw refuse('M_INVALID_PARAM', `"${name}" in "${field}" must have the form "<algorithm>:<key id>", of at most ${longestName} characters.`)
  }
  if (typeof value !== 'string' && !isObject(value)) throw refuse('M_BAD_JSON', `The key "${name}" in "${field}" must be a text or an object.`)
  const algorithm = name.slice(0, colon)
  if (algorithm === 'signed_curve25519') {
    if (!isObject(value) || typeof own(value, 'key') !== 'string' || !isObject(own(value, 'signatures'))) {
      throw refuse('M_BAD_JSON', `The key "${name}" in "${field}" must have "key" and "signatures".`)
    }
  }
  const json = JSON.stringify(value)
  if (json.length > longestKey) throw refuse('M_TOO_LARGE', `The key "${name}" in "${field}" is larger than ${longestKey} bytes.`)
  return { algorithm, keyId: name.slice(colon + 1), value, json }
}

/** Throws where an upload has two fallback keys of one algorithm. */
export function assertOnePerAlgorithm(keys: readonly UploadedKey[]): void {
  if (new Set(keys.map((key) => key.algorithm)).size < keys.length) {
    throw refuse('M_INVALID_PARAM', '"fallback_keys" may have only one key of each algorithm.')
  }
}

/** The row with another fallback key; the same key stays used. */
function withFallback(row: StockRow, key: UploadedKey | undefined): StockRow {
  if (!key || (row.fallback_key_id === key.keyId && row.fallback_json === key.json)) return row
  return { ...row, fallback_key_id: key.keyId, fallback_json: key.json, fallback_used: 0 }
}

function offerKey(offer: AlgorithmRow): string {
  return claimKey(offer.user_id, offer.device_id, offer.algorithm)
}

/** Names of local users hold no white space, so the parts cannot run into each other at the front; line feeds part the rest. */
function claimKey(userId: string, deviceId: string, algorithm: string): string {
  return `${userId}\n${deviceId.length}\n${deviceId}\n${algorithm}`
}

function cacheKey(userId: string, deviceId: string): string {
  return `${userId}\n${deviceId}`
}

function distinct(values: readonly string[]): string[] {
  return [...new Set(values)]
}
