/**
 * Cross-signing: a user's master, self-signing and user-signing keys, and the signatures that tie devices and users together.
 *
 * Spec: client-server API, "Cross-signing", `POST /keys/device_signing/upload`, `POST /keys/signatures/upload`.
 */
import { isSigned, signaturesOf } from '@myelin/protocol/crypto/sign-json.ts'
import { MatrixError, refuse, type Errcode } from '@myelin/protocol/errors.ts'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import { isUserId } from '@myelin/protocol/ids/user-id.ts'
import { isObject, own, type JsonObject, type JsonValue } from '@myelin/protocol/json/json.ts'
import type { Clock } from '#platform/clock.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import { assertSignedByMaster, keyUsages, readCrossSigningKey, type CrossSigningKey, type KeyUsage } from './cross-signing-key.ts'
import type { CrossSigningRow, CrossSigningStore } from './cross-signing.store.ts'
import { ed25519KeyOf, sameSigned, signaturesObject, withoutSignature, withSignatures } from './device-keys.ts'
import type { DeviceLists } from './device-lists.ts'
import type { KeysStore } from './keys.store.ts'
import type { KnownDevices } from './known-devices.ts'
import type { UserQueue } from './user-queue.ts'

/** Master keys of users of other servers. */
export interface RemoteMasterKeys {
  /** The user's master key as their server publishes it; undefined where there is none or the server cannot be reached. */
  masterKey(userId: UserId): Promise<JsonObject | undefined>
}

/** Signatures that were refused, by user and key id. */
export type SignatureFailures = Record<string, Record<string, { readonly errcode: Errcode; readonly error: string }>>

interface Needs {
  readonly database: Database
  readonly clock: Clock
  readonly store: KeysStore
  readonly crossSigningStore: CrossSigningStore
  readonly deviceLists: DeviceLists
  readonly knownDevices: KnownDevices
  readonly queue: UserQueue
  readonly isLocal: (userId: string) => boolean
  readonly remote: RemoteMasterKeys
}

type Keys = ReadonlyMap<KeyUsage, CrossSigningKey>
type StoredKeys = ReadonlyMap<string, CrossSigningRow>

/** Signed objects that one request may bring. */
const signatureLimit = 1000

export class CrossSigning {
  readonly #needs: Needs
  readonly #store: CrossSigningStore

  constructor(needs: Needs) {
    this.#needs = needs
    this.#store = needs.crossSigningStore
  }

  /**
   * Whether the user must confirm their identity before these keys are stored: not for the first keys, not for the same keys once more.
   * @throws as `upload`, for keys that could not be stored anyhow
   */
  async needsConfirmation(userId: UserId, body: JsonObject): Promise<boolean> {
    const keys = readKeys(body, userId)
    const stored = await this.#stored(userId)
    await this.#assertUploadable(userId, keys, stored)
    const master = stored.get('master')
    if (master === undefined || isNothingNew(keys, stored)) return false
    return (master.replaceable_until_ts ?? 0) <= this.#needs.clock.now()
  }

  /**
   * Stores cross-signing keys. A new master key drops the keys and signatures that hung on the old one.
   * @throws M_INVALID_PARAM, M_BAD_JSON, M_INVALID_SIGNATURE, M_MISSING_PARAM without a master key, M_FORBIDDEN where a key has the name of a device
   */
  async upload(userId: UserId, body: JsonObject): Promise<void> {
    const keys = readKeys(body, userId)
    await this.#needs.queue.run(userId, async () => {
      const stored = await this.#stored(userId)
      const checked = await this.#assertUploadable(userId, keys, stored)
      if (isNothingNew(keys, stored)) return
      await this.#needs.database.transaction((tx) => this.#write(tx, userId, checked, stored))
    })
  }

  /**
   * Adds signatures to keys; each must be good, else it is not stored and named in the answer.
   * @throws M_BAD_JSON, M_TOO_LARGE where the body as a whole cannot be read
   */
  async uploadSignatures(userId: UserId, body: JsonObject): Promise<SignatureFailures> {
    const uploads = readSignatures(body)
    const failures = new Map<string, Map<string, { errcode: Errcode; error: string }>>()
    await this.#needs.queue.run(userId, async () => {
      const stored = await this.#stored(userId)
      const writes: ((tx: Tx) => Promise<void>)[] = []
      for (const { target, keyId, value } of uploads) {
        try {
          writes.push(await this.#checkSignature(userId, stored, target, keyId, value))
        } catch (error) {
          if (!(error instanceof MatrixError)) throw error
          const ofUser = failures.get(target) ?? new Map<string, { errcode: Errcode; error: string }>()
          failures.set(target, ofUser.set(keyId, { errcode: error.errcode, error: error.message }))
        }
      }
      if (writes.length === 0) return
      await this.#needs.database.transaction(async (tx) => {
        for (const write of writes) await write(tx)
        const targets = new Set(uploads.filter(({ target, keyId }) => !failures.get(target)?.has(keyId)).map(({ target }) => target))
        for (const target of targets) {
          if (target === userId) await this.#needs.deviceLists.record(tx, userId)
          else if (isUserId(target)) await this.#needs.deviceLists.record(tx, target, userId)
        }
      })
    })
    return Object.fromEntries([...failures].map(([target, ofUser]) => [target, Object.fromEntries(ofUser)]))
  }

  /**
   * Lets a user replace their keys until a moment without confirming their identity (an administrator's decision).
   * @returns false where the user has no master key
   */
  async allowReplacement(userId: UserId, untilTs: number): Promise<boolean> {
    return this.#needs.database.transaction((tx) => this.#store.allowReplacement(tx, userId, untilTs))
  }

  /** Deletes a user's keys and the signatures on and of them within a transaction. */
  async deleteUser(tx: Tx, userId: UserId): Promise<void> {
    await this.#store.delete(tx, userId, keyUsages)
    await this.#store.deleteSignaturesBy(tx, userId)
    await this.#store.deleteSignaturesOn(tx, userId)
    await this.#needs.deviceLists.record(tx, userId)
  }

  async #stored(userId: UserId): Promise<StoredKeys> {
    return new Map((await this.#store.ofUsers([userId])).get(userId)?.map((row) => [row.key_type, row]))
  }

  /** Checks every signature that the server can check; answers the keys with the signatures that count. */
  async #assertUploadable(userId: UserId, keys: Keys, stored: StoredKeys): Promise<Keys> {
    const masterPublicKey = keys.get('master')?.publicKey ?? stored.get('master')?.public_key
    if (keys.size > 0 && masterPublicKey === undefined) {
      throw refuse('M_MISSING_PARAM', 'There is no master key; upload "master_key" with or before the other keys.')
    }
    const devices = await this.#needs.knownDevices.of(userId)
    const checked = new Map<KeyUsage, CrossSigningKey>()
    for (const key of keys.values()) {
      if (devices.has(key.publicKey)) throw refuse('M_FORBIDDEN', `"${key.usage}_key" has the id of one of your devices; make another key.`)
      if (masterPublicKey === undefined) continue
      if (key.usage !== 'master') assertSignedByMaster(key, userId, masterPublicKey)
      checked.set(key.usage, key.usage === 'master' ? await this.#checkedMaster(userId, key) : withOnly(key, userId, [`ed25519:${masterPublicKey}`]))
    }
    return checked
  }

  /** The master key with those of its signatures that are good and of the user's devices or of itself. */
  async #checkedMaster(userId: UserId, key: CrossSigningKey): Promise<CrossSigningKey> {
    const given = [...signaturesOf(key.object, userId).keys()]
    if (given.length === 0) return withOnly(key, userId, [])
    const good: string[] = []
    const publicKeys = await this.#deviceKeysOf(userId)
    publicKeys.set(`ed25519:${key.publicKey}`, key.publicKey)
    for (const keyId of given) {
      const publicKey = publicKeys.get(keyId)
      if (publicKey === undefined) continue
      if (!isSigned(key.object, userId, keyId, publicKey)) throw refuse('M_INVALID_SIGNATURE', `The signature ${keyId} on "master_key" is wrong.`)
      good.push(keyId)
    }
    return withOnly(key, userId, good)
  }

  /** ed25519 keys of a user's devices, by key id. */
  async #deviceKeysOf(userId: UserId): Promise<Map<string, string>> {
    const keys = new Map<string, string>()
    for (const row of (await this.#needs.store.ofUsers([userId])).get(userId) ?? []) {
      const publicKey = ed25519KeyOf(JSON.parse(row.json), row.device_id)
      if (publicKey !== undefined) keys.set(`ed25519:${row.device_id}`, publicKey)
    }
    return keys
  }

  async #write(tx: Tx, userId: UserId, keys: Keys, stored: StoredKeys): Promise<void> {
    const replaced = (usage: KeyUsage): boolean => {
      const before = stored.get(usage)
      return before !== undefined && keys.get(usage) !== undefined && keys.get(usage)?.publicKey !== before.public_key
    }
    const dropped: KeyUsage[] = replaced('master') ? (['self_signing', 'user_signing'] as const).filter((usage) => stored.has(usage) && !keys.has(usage)) : []
    if (dropped.length > 0) await this.#store.delete(tx, userId, dropped)
    if (replaced('master')) await this.#store.deleteSignaturesOn(tx, userId)
    if (replaced('user_signing') || dropped.includes('user_signing')) await this.#store.deleteSignaturesBy(tx, userId)
    const selfSigning = stored.get('self_signing')
    if (selfSigning && (replaced('self_signing') || dropped.includes('self_signing'))) await this.#stripDevices(tx, userId, `ed25519:${selfSigning.public_key}`)
    for (const key of keys.values()) {
      const before = stored.get(key.usage)
      const kept = before && sameSigned(JSON.parse(before.json), key.object) ? signaturesOf(JSON.parse(before.json), userId) : new Map<string, string>()
      const object = withSignatures(key.object, userId, new Map([...kept, ...signaturesOf(key.object, userId)]))
      await this.#store.put(tx, userId, key.usage, key.publicKey, JSON.stringify(object))
    }
    const isPrivate = keys.size === 1 && keys.has('user_signing')
    await this.#needs.deviceLists.record(tx, userId, isPrivate ? userId : undefined)
  }

  /** Takes the signatures of a self-signing key that is no longer valid from the user's devices. */
  async #stripDevices(tx: Tx, userId: UserId, keyId: string): Promise<void> {
    for (const row of await this.#needs.store.ofUserWithin(tx, userId)) {
      const keys: JsonObject = JSON.parse(row.json)
      if (signaturesOf(keys, userId).has(keyId)) await this.#needs.store.put(tx, { ...row, json: JSON.stringify(withoutSignature(keys, userId, keyId)) })
    }
  }

  /** Checks one signed object; answers what stores its signatures. */
  async #checkSignature(userId: UserId, stored: StoredKeys, target: string, keyId: string, value: JsonValue | undefined): Promise<(tx: Tx) => Promise<void>> {
    if (!isObject(value)) throw refuse('M_INVALID_PARAM', 'A signed key must be an object.')
    if (target !== userId) return this.#checkUserSignature(userId, stored, target, keyId, value)
    const master = stored.get('master')
    if (master?.public_key === keyId) return this.#checkMasterSignature(userId, master, value)
    return this.#checkDeviceSignature(userId, stored, keyId, value)
  }

  async #checkDeviceSignature(userId: UserId, stored: StoredKeys, deviceId: string, value: JsonObject): Promise<(tx: Tx) => Promise<void>> {
    const row = (await this.#needs.store.one(userId, deviceId))
    if (!row) throw refuse('M_NOT_FOUND', 'You have no device or master key of that id with keys on this server.')
    const keys: JsonObject = JSON.parse(row.json)
    if (!sameSigned(keys, value)) throw refuse('M_INVALID_PARAM', 'The signed keys are not those that the device has published.')
    const selfSigning = stored.get('self_signing')
    if (!selfSigning) throw refuse('M_NOT_FOUND', 'You have no self-signing key; upload one first.')
    const signature = goodSignature(value, userId, selfSigning.public_key, 'your self-signing key')
    return async (tx) => {
      const [now] = (await this.#needs.store.ofUserWithin(tx, userId)).filter((each) => each.device_id === deviceId)
      if (now) await this.#needs.store.put(tx, { ...now, json: JSON.stringify(withSignatures(JSON.parse(now.json), userId, signature)) })
    }
  }

  async #checkMasterSignature(userId: UserId, master: CrossSigningRow, value: JsonObject): Promise<(tx: Tx) => Promise<void>> {
    const key: JsonObject = JSON.parse(master.json)
    if (!sameSigned(key, value)) throw refuse('M_INVALID_PARAM', 'The signed key is not the master key that you have uploaded.')
    const publicKeys = await this.#deviceKeysOf(userId)
    const good = new Map<string, string>()
    for (const [keyId, signature] of signaturesOf(value, userId)) {
      const publicKey = publicKeys.get(keyId)
      if (publicKey === undefined && signaturesOf(key, userId).get(keyId) === signature) continue
      if (publicKey === undefined || !isSigned(value, userId, keyId, publicKey)) throw wrongSignature('one of your devices')
      good.set(keyId, signature)
    }
    if (good.size === 0) throw wrongSignature('one of your devices')
    const json = JSON.stringify(withSignatures(key, userId, good))
    return (tx) => this.#store.put(tx, userId, 'master', master.public_key, json)
  }

  async #checkUserSignature(userId: UserId, stored: StoredKeys, target: string, keyId: string, value: JsonObject): Promise<(tx: Tx) => Promise<void>> {
    const master = isUserId(target) ? await this.#masterKeyOf(target) : undefined
    if (!isUserId(target) || !master || !Object.hasOwn(keysOf(master), `ed25519:${keyId}`)) {
      throw refuse('M_NOT_FOUND', 'The user has no master key of that id; only master keys of other users can be signed.')
    }
    if (!sameSigned(master, value)) throw refuse('M_INVALID_PARAM', 'The signed key is not the master key that the user has uploaded.')
    const userSigning = stored.get('user_signing')
    if (!userSigning) throw refuse('M_NOT_FOUND', 'You have no user-signing key; upload one first.')
    const [signed] = goodSignature(value, userId, userSigning.public_key, 'your user-signing key')
    if (!signed) throw wrongSignature('your user-signing key')
    const row = { signer_user_id: userId, target_user_id: target, target_key: keyId, signing_key_id: signed[0], signature: signed[1] }
    return (tx) => this.#store.sign(tx, row)
  }

  async #masterKeyOf(userId: UserId): Promise<JsonObject | undefined> {
    if (!this.#needs.isLocal(userId)) return this.#needs.remote.masterKey(userId)
    const master = (await this.#stored(userId)).get('master')
    return master && JSON.parse(master.json)
  }
}

function readKeys(body: JsonObject, userId: string): Keys {
  const keys = new Map<KeyUsage, CrossSigningKey>()
  for (const usage of keyUsages) {
    const key = readCrossSigningKey(body, usage, userId)
    if (key) keys.set(usage, key)
  }
  return keys
}

function readSignatures(body: JsonObject): { target: string; keyId: string; value: JsonValue | undefined }[] {
  const uploads = Object.entries(body).flatMap(([target, ofUser]) => {
    if (!isObject(ofUser)) throw refuse('M_BAD_JSON', `The value of "${target}" must be an object of signed keys by key id.`)
    return Object.entries(ofUser).map(([keyId, value]) => ({ target, keyId, value }))
  })
  if (uploads.length > signatureLimit) throw refuse('M_TOO_LARGE', `At most ${signatureLimit} keys can be signed at once.`)
  return uploads
}

/** Whether the keys of an upload are all stored already, with the same content. */
function isNothingNew(keys: Keys, stored: StoredKeys): boolean {
  for (const key of keys.values()) {
    const before = stored.get(key.usage)
    if (!before || !sameSigned(JSON.parse(before.json), key.object)) return false
  }
  return true
}

/** The key with some of the user's signatures, and no others. */
function withOnly(key: CrossSigningKey, userId: string, keyIds: readonly string[]): CrossSigningKey {
  const kept = new Map([...signaturesOf(key.object, userId)].filter(([keyId]) => keyIds.includes(keyId)))
  const { signatures: _signatures, ...unsigned } = key.object
  return { ...key, object: kept.size === 0 ? unsigned : { ...unsigned, signatures: signaturesObject(userId, kept) } }
}

/** The one good signature of a key, by its key id. @throws M_INVALID_SIGNATURE */
function goodSignature(value: JsonObject, userId: string, publicKey: string, whose: string): Map<string, string> {
  const keyId = `ed25519:${publicKey}`
  const signature = signaturesOf(value, userId).get(keyId)
  if (signature === undefined || !isSigned(value, userId, keyId, publicKey)) throw wrongSignature(whose)
  return new Map([[keyId, signature]])
}

function wrongSignature(whose: string): MatrixError {
  return refuse('M_INVALID_SIGNATURE', `The key has no valid signature of ${whose}.`)
}

function keysOf(key: JsonObject): JsonObject {
  const keys = own(key, 'keys')
  return isObject(keys) ? keys : {}
}
