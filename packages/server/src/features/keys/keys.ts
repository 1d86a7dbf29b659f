/**
 * End-to-end encryption keys of devices: upload, query and claim.
 *
 * Spec: client-server API, "Key management API"; server-server API, "End-to-End Encryption".
 */
import { refuse } from '@myelin/protocol/errors.ts'
import type { ServerName, UserId } from '@myelin/protocol/ids/ids.ts'
import { isUserId, serverOf } from '@myelin/protocol/ids/user-id.ts'
import { signaturesOf } from '@myelin/protocol/crypto/sign-json.ts'
import { isObject, own, type JsonObject, type JsonValue } from '@myelin/protocol/json/json.ts'
import type { CacheBudget } from '#platform/cache/cache.ts'
import type { Clock } from '#platform/clock.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import { CrossSigning } from './cross-signing.ts'
import { CrossSigningStore, type CrossSigningRow } from './cross-signing.store.ts'
import { assertSameIdentity, readDeviceKeys, sameSigned, withSignatures } from './device-keys.ts'
import { DehydratedDevicesStore } from './dehydrated-devices.store.ts'
import type { DeviceLists } from './device-lists.ts'
import { KeysStore, type DeviceKeysRow } from './keys.store.ts'
import type { DeviceNames, KnownDevices } from './known-devices.ts'
import { assertOnePerAlgorithm, OneTimeKeys, readUploadedKeys, type Claim, type UploadedKey } from './one-time-keys.ts'
import { UserQueue } from './user-queue.ts'

/** Keys that another server answers, each by user id. */
export interface RemoteKeys {
  readonly deviceKeys: JsonObject
  readonly masterKeys: JsonObject
  readonly selfSigningKeys: JsonObject
}

/** Other servers, as far as keys of their users are concerned. Undefined means that a server gave no usable answer. */
export interface RemoteKeyServers {
  queryKeys(server: ServerName, devices: JsonObject, timeoutMs: number): Promise<RemoteKeys | undefined>
  claimKeys(server: ServerName, oneTimeKeys: JsonObject, timeoutMs: number): Promise<JsonObject | undefined>
}

/** Who asks for keys; undefined for another server, which sees no user-signing keys, and display names only where the operator shows them. */
export interface KeyQuery {
  readonly requester: UserId | undefined
  /** Device ids by user; an empty list asks for all devices. */
  readonly devices: ReadonlyMap<UserId, readonly string[]>
  readonly timeoutMs: number
}

interface Needs {
  readonly database: Database
  readonly caches: CacheBudget
  readonly clock: Clock
  readonly deviceLists: DeviceLists
  readonly knownDevices: KnownDevices
  readonly isLocal: (userId: string) => boolean
  readonly remote: RemoteKeyServers
  /** `allow_device_name_lookup_over_federation` */
  readonly showsNamesToServers: boolean
}

/** Texts of JSON objects by user, ready to be put into an answer. */
interface KeyTexts {
  readonly devices: Map<string, string>
  readonly master: Map<string, string>
  readonly selfSigning: Map<string, string>
  readonly userSigning: Map<string, string>
}

const defaultTimeoutMs = 10_000
const longestTimeoutMs = 30_000

export class Keys {
  readonly crossSigning: CrossSigning
  readonly #needs: Needs
  readonly #store: KeysStore
  readonly #crossSigningStore: CrossSigningStore
  readonly #dehydrated: DehydratedDevicesStore
  readonly #oneTimeKeys: OneTimeKeys
  readonly #queue = new UserQueue()

  private constructor(needs: Needs, oneTimeKeys: OneTimeKeys) {
    this.#needs = needs
    this.#store = new KeysStore(needs.database, needs.caches)
    this.#crossSigningStore = new CrossSigningStore(needs.database, needs.caches)
    this.#dehydrated = new DehydratedDevicesStore(needs.database)
    this.#oneTimeKeys = oneTimeKeys
    const { database, clock, deviceLists, knownDevices, isLocal, remote } = needs
    this.crossSigning = new CrossSigning({
      database, clock, deviceLists, knownDevices, isLocal, store: this.#store, crossSigningStore: this.#crossSigningStore, queue: this.#queue,
      remote: { masterKey: (userId) => remoteMasterKey(remote, userId) },
    })
  }

  static async open(needs: Needs): Promise<Keys> {
    return new Keys(needs, await OneTimeKeys.open(needs))
  }

  /**
   * Stores identity, one-time and fallback keys of a device.
   * @param body `device_keys`, `one_time_keys`, `fallback_keys`, each optional
   * @returns unclaimed one-time keys by algorithm
   * @throws M_BAD_JSON, M_INVALID_PARAM, M_INVALID_SIGNATURE, M_TOO_LARGE, M_UNKNOWN where a key id is taken
   */
  async upload(userId: UserId, deviceId: string | undefined, body: JsonObject): Promise<Readonly<Record<string, number>>> {
    if (deviceId === undefined) throw refuse('M_INVALID_PARAM', 'Keys belong to a device; use an access token of a device, or name one with "device_id".')
    const upload = readUpload(userId, deviceId, body)
    if (upload.deviceKeys || upload.oneTime.length > 0 || upload.fallback.length > 0) {
      await this.#queue.run(userId, () => this.#needs.database.transaction((tx) => this.storeUpload(tx, userId, deviceId, upload)))
    }
    return (await this.#oneTimeKeys.supply(userId, deviceId)).counts
  }

  /** Stores a checked upload within a transaction. */
  async storeUpload(tx: Tx, userId: UserId, deviceId: string, { deviceKeys, oneTime, fallback }: KeyUpload): Promise<void> {
    if (deviceKeys) await this.#putDeviceKeys(tx, userId, deviceId, deviceKeys)
    await this.#oneTimeKeys.store(tx, userId, deviceId, oneTime, fallback)
  }

  /** Unclaimed one-time keys of a device by algorithm, for `/sync`; from memory while nothing changes. */
  async oneTimeKeyCounts(userId: UserId, deviceId: string): Promise<Readonly<Record<string, number>>> {
    return (await this.#oneTimeKeys.supply(userId, deviceId)).counts
  }

  /** Algorithms of which a device has a fallback key that nobody was given yet, for `/sync`; from memory while nothing changes. */
  async unusedFallbackKeyTypes(userId: UserId, deviceId: string): Promise<readonly string[]> {
    return (await this.#oneTimeKeys.supply(userId, deviceId)).unusedFallbackTypes
  }

  /** Identity keys and cross-signing keys of users. @returns the JSON text of the answer */
  async query({ requester, devices, timeoutMs }: KeyQuery): Promise<string> {
    const texts: KeyTexts = { devices: new Map(), master: new Map(), selfSigning: new Map(), userSigning: new Map() }
    const remote = this.#remoteServers(devices.keys())
    const failures = new Map<string, string>()
    const answers = [...remote].map(async ([server, userIds]) => {
      const asked = Object.fromEntries(userIds.map((userId) => [userId, devices.get(userId) ?? []]))
      const answer = await this.#needs.remote.queryKeys(server, asked, boundedTimeout(timeoutMs))
      if (!answer) failures.set(server, '{}')
      else for (const userId of userIds) await this.#addRemote(texts, requester, userId, answer)
    })
    const local = [...devices.keys()].filter((userId) => this.#needs.isLocal(userId))
    await this.#addLocal(texts, requester, local, devices)
    await Promise.all(answers)
    return objectText(new Map([
      ['failures', objectText(failures)],
      ['device_keys', objectText(texts.devices)],
      ['master_keys', objectText(texts.master)],
      ['self_signing_keys', objectText(texts.selfSigning)],
      ...(requester === undefined ? [] : [['user_signing_keys', objectText(texts.userSigning)] as const]),
    ]))
  }

  /**
   * Hands out one key of each device: a one-time key that nobody else gets, or the fallback key.
   * @param claims the algorithm, by device, by user
   * @returns the JSON text of the answer
   */
  async claim(claims: ReadonlyMap<UserId, ReadonlyMap<string, string>>, timeoutMs: number): Promise<string> {
    const failures = new Map<string, string>()
    const keys = new Map<string, string>()
    const answers = [...this.#remoteServers(claims.keys())].map(async ([server, userIds]) => {
      const asked = Object.fromEntries(userIds.map((userId) => [userId, Object.fromEntries(claims.get(userId) ?? [])]))
      const answer = await this.#needs.remote.claimKeys(server, asked, boundedTimeout(timeoutMs))
      if (!answer) failures.set(server, '{}')
      for (const userId of answer ? userIds : []) {
        const ofUser = answer && own(answer, userId)
        if (isObject(ofUser)) keys.set(userId, JSON.stringify(ofUser))
      }
    })
    const wanted: Claim[] = []
    for (const [userId, ofUser] of claims) {
      if (this.#needs.isLocal(userId)) for (const [deviceId, algorithm] of ofUser) wanted.push({ userId, deviceId, algorithm })
    }
    const byUser = new Map<string, Map<string, string>>()
    for (const key of await this.#oneTimeKeys.claim(wanted)) {
      const ofUser = byUser.get(key.userId) ?? new Map<string, string>()
      byUser.set(key.userId, ofUser.set(key.deviceId, `{${JSON.stringify(`${key.algorithm}:${key.keyId}`)}:${key.json}}`))
    }
    for (const [userId, ofUser] of byUser) keys.set(userId, objectText(ofUser))
    await Promise.all(answers)
    return objectText(new Map([['failures', objectText(failures)], ['one_time_keys', objectText(keys)]]))
  }

  /**
   * All devices of a user of this server with keys, and the keys that vouch for them, as other servers keep them.
   * @returns the JSON text of the answer
   */
  async deviceListOf(userId: UserId): Promise<string> {
    const { deviceLists, knownDevices, showsNamesToServers } = this.#needs
    const streamId = await deviceLists.versionOf(userId)
    const [rows, keys] = await Promise.all([this.#store.ofUsers([userId]), this.#crossSigningStore.ofUsers([userId])])
    const names = showsNamesToServers ? await knownDevices.of(userId) : undefined
    const devices = (rows.get(userId) ?? []).map((row) => {
      const name = names?.get(row.device_id)
      const shown = name === undefined ? '' : `,"device_display_name":${JSON.stringify(name)}`
      return `{"device_id":${JSON.stringify(row.device_id)},"keys":${row.json}${shown}}`
    })
    const members = new Map([['user_id', JSON.stringify(userId)], ['stream_id', String(streamId)], ['devices', `[${devices.join(',')}]`]])
    for (const key of keys.get(userId) ?? []) if (key.key_type !== 'user_signing') members.set(`${key.key_type}_key`, key.json)
    return objectText(members)
  }

  /** Deletes the keys of devices, within the transaction that deletes the devices. */
  async devicesDeleted(tx: Tx, userId: UserId, deviceIds: readonly string[]): Promise<void> {
    await this.#store.delete(tx, userId, deviceIds)
    await this.#dehydrated.delete(tx, userId, deviceIds)
    await this.#oneTimeKeys.deleteDevices(tx, userId, deviceIds)
  }

  /** Notes that devices were made, renamed or deleted, within the transaction that does so. */
  async devicesChanged(tx: Tx, userId: UserId): Promise<void> {
    this.#needs.knownDevices.changed(tx, userId)
    await this.#needs.deviceLists.record(tx, userId)
  }

  async #putDeviceKeys(tx: Tx, userId: UserId, deviceId: string, deviceKeys: JsonObject): Promise<void> {
    const before = (await this.#store.ofUserWithin(tx, userId)).find((row) => row.device_id === deviceId)
    const stored: JsonObject | undefined = before && JSON.parse(before.json)
    if (stored) assertSameIdentity(stored, deviceKeys)
    const isSame = stored !== undefined && sameSigned(stored, deviceKeys)
    const merged = isSame ? withSignatures(deviceKeys, userId, new Map([...signaturesOf(stored, userId), ...signaturesOf(deviceKeys, userId)])) : deviceKeys
    const json = JSON.stringify(merged)
    if (isSame && before?.json === json) return
    await this.#store.put(tx, { user_id: userId, device_id: deviceId, json })
    await this.#needs.deviceLists.record(tx, userId)
  }

  #remoteServers(userIds: Iterable<UserId>): Map<ServerName, UserId[]> {
    const servers = new Map<ServerName, UserId[]>()
    for (const userId of userIds) {
      if (this.#needs.isLocal(userId)) continue
      const ofServer = servers.get(serverOf(userId))
      if (ofServer) ofServer.push(userId)
      else servers.set(serverOf(userId), [userId])
    }
    return servers
  }

  async #addLocal(texts: KeyTexts, requester: UserId | undefined, userIds: readonly UserId[], devices: KeyQuery['devices']): Promise<void> {
    if (userIds.length === 0) return
    const [rows, keys, signatures] = await Promise.all([
      this.#store.ofUsers(userIds), this.#crossSigningStore.ofUsers(userIds), this.#signaturesOf(requester, userIds),
    ])
    const withKeys = userIds.filter((userId) => rows.get(userId)?.length !== 0)
    const isNamed = requester !== undefined || this.#needs.showsNamesToServers
    const names = isNamed ? await this.#needs.knownDevices.ofMany(withKeys) : new Map<UserId, DeviceNames>()
    for (const userId of userIds) texts.devices.set(userId, devicesText(rows.get(userId) ?? [], devices.get(userId) ?? [], names.get(userId)))
    for (const key of [...keys.values()].flat()) {
      if (key.key_type === 'master') texts.master.set(key.user_id, masterText(key, requester, signatures.get(key.user_id)))
      else if (key.key_type === 'self_signing') texts.selfSigning.set(key.user_id, key.json)
      else if (key.user_id === requester) texts.userSigning.set(key.user_id, key.json)
    }
  }

  async #addRemote(texts: KeyTexts, requester: UserId | undefined, userId: UserId, answer: RemoteKeys): Promise<void> {
    const devices = own(answer.deviceKeys, userId)
    if (isObject(devices)) texts.devices.set(userId, JSON.stringify(devices))
    const selfSigning = own(answer.selfSigningKeys, userId)
    if (isObject(selfSigning)) texts.selfSigning.set(userId, JSON.stringify(selfSigning))
    const master = own(answer.masterKeys, userId)
    if (!isObject(master)) return
    const signatures = (await this.#signaturesOf(requester, [userId])).get(userId)
    texts.master.set(userId, masterText({ public_key: '', json: JSON.stringify(master) }, requester, signatures))
  }

  /** Signatures of the requester on other users' master keys, which nobody else gets to see. */
  async #signaturesOf(requester: UserId | undefined, targets: readonly UserId[]): Promise<Map<string, MasterSignature>> {
    if (requester === undefined || (targets.length === 1 && targets[0] === requester)) return new Map()
    const rows = await this.#crossSigningStore.signaturesBy(requester)
    return new Map(rows.map((row) => [row.target_user_id, { targetKey: row.target_key, keyId: row.signing_key_id, signature: row.signature }]))
  }
}

interface MasterSignature {
  readonly targetKey: string
  readonly keyId: string
  readonly signature: string
}

/** Keys of an upload, checked. */
export interface KeyUpload {
  readonly deviceKeys: JsonObject | undefined
  readonly oneTime: readonly UploadedKey[]
  readonly fallback: readonly UploadedKey[]
}

/** Reads and checks `device_keys`, `one_time_keys` and `fallback_keys`. */
export function readUpload(userId: string, deviceId: string, body: JsonObject): KeyUpload {
  const deviceKeys = own(body, 'device_keys')
  const unstable = own(body, 'fallback_keys') === undefined ? own(body, 'org.matrix.msc2732.fallback_keys') : own(body, 'fallback_keys')
  const fallback = readUploadedKeys('fallback_keys', unstable)
  assertOnePerAlgorithm(fallback)
  return {
    deviceKeys: deviceKeys === undefined ? undefined : readDeviceKeys(deviceKeys, userId, deviceId),
    oneTime: readUploadedKeys('one_time_keys', own(body, 'one_time_keys')),
    fallback,
  }
}

/**
 * Reads `device_keys` of a query: lists of device ids by user. What is no user id has no keys and is passed over.
 * @throws M_BAD_JSON
 */
export function readQuery(value: JsonObject): Map<UserId, readonly string[]> {
  const devices = new Map<UserId, readonly string[]>()
  for (const [userId, ids] of Object.entries(value)) {
    if (!Array.isArray(ids) || !ids.every((id): id is string => typeof id === 'string')) {
      throw refuse('M_BAD_JSON', `"device_keys" must hold a list of device ids for ${userId}; an empty list asks for all.`)
    }
    if (isUserId(userId)) devices.set(userId, ids)
  }
  return devices
}

/**
 * Reads `one_time_keys` of a claim: algorithms by device by user.
 * @throws M_BAD_JSON
 */
export function readClaims(value: JsonObject): Map<UserId, ReadonlyMap<string, string>> {
  const claims = new Map<UserId, ReadonlyMap<string, string>>()
  for (const [userId, ofUser] of Object.entries(value)) {
    const entries: [string, JsonValue | undefined][] = isObject(ofUser) ? Object.entries(ofUser) : []
    const algorithms = entries.filter((entry): entry is [string, string] => typeof entry[1] === 'string')
    if (!isObject(ofUser) || algorithms.length < entries.length) {
      throw refuse('M_BAD_JSON', `"one_time_keys" must hold an object of algorithms by device id for ${userId}.`)
    }
    if (isUserId(userId)) claims.set(userId, new Map(algorithms))
  }
  return claims
}

async function remoteMasterKey(remote: RemoteKeyServers, userId: UserId): Promise<JsonObject | undefined> {
  const answer = await remote.queryKeys(serverOf(userId), { [userId]: [] }, defaultTimeoutMs)
  const key = answer && own(answer.masterKeys, userId)
  return isObject(key) ? key : undefined
}

function boundedTimeout(timeoutMs: number): number {
  return Math.min(Math.max(timeoutMs, 0), longestTimeoutMs)
}

/** The text of an object of a user's devices by id; of those that are wanted, or of all where none is named. */
function devicesText(rows: readonly DeviceKeysRow[], wanted: readonly string[], names: DeviceNames | undefined): string {
  let text = ''
  for (const row of rows) {
    if (wanted.length > 0 && !wanted.includes(row.device_id)) continue
    text += `${text === '' ? '{' : ','}${JSON.stringify(row.device_id)}:${deviceText(row, names?.get(row.device_id))}`
  }
  return text === '' ? '{}' : `${text}}`
}

/** A device's keys with its display name, which no signature covers. */
function deviceText(row: DeviceKeysRow, displayName: string | undefined): string {
  const shown = displayName === undefined ? '' : `"device_display_name":${JSON.stringify(displayName)}`
  return `${row.json.slice(0, -1)},"unsigned":{${shown}}}`
}

/** A master key, with the signature of the one who asks. */
function masterText(key: Pick<CrossSigningRow, 'public_key' | 'json'>, requester: UserId | undefined, signature: MasterSignature | undefined): string {
  if (requester === undefined || !signature) return key.json
  const object: JsonObject = JSON.parse(key.json)
  const keys = own(object, 'keys')
  if (!isObject(keys) || !Object.hasOwn(keys, `ed25519:${signature.targetKey}`)) return key.json
  return JSON.stringify(withSignatures(object, requester, new Map([[signature.keyId, signature.signature]])))
}

/** The text of an object whose values are JSON texts. */
function objectText(members: ReadonlyMap<string, string>): string {
  let text = ''
  for (const [name, value] of members) text += `${text === '' ? '{' : ','}${JSON.stringify(name)}:${value}`
  return text === '' ? '{}' : `${text}}`
}
