/**
 * Dehydrated devices: a device that stands in for a user who is nowhere logged in, and keeps the room keys that others send.
 *
 * Spec: MSC3814, "Dehydrated devices with SSSS".
 */
import { refuse } from '@myelin/protocol/errors.ts'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import { isObject, own, type JsonObject } from '@myelin/protocol/json/json.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import { readUpload, type Keys } from './keys.ts'
import { DehydratedDevicesStore } from './dehydrated-devices.store.ts'

/** What is needed of a user's devices. */
export interface DeviceMaker {
  get(userId: UserId, deviceId: string): Promise<object | undefined>
  create(tx: Tx, userId: UserId, deviceId: string, displayName: string | undefined): Promise<boolean>
  delete(tx: Tx, userId: UserId, deviceIds: readonly string[]): Promise<void>
}

/** Messages that wait for a device. */
export interface WaitingMessages {
  readonly stream: { readonly position: number }
  list(userId: UserId, deviceId: string, after: number, upTo: number, limit?: number): Promise<{ readonly messages: readonly string[]; readonly last: number }>
}

interface Needs {
  readonly database: Database
  readonly keys: Keys
  readonly devices: DeviceMaker
  readonly toDevice: WaitingMessages
  /** `experimental_features.msc3814_enabled`. */
  readonly enabled: boolean
}

const longestDeviceId = 512
const longestDisplayName = 100
const longestData = 65_536

export class DehydratedDevices {
  readonly #needs: Needs
  readonly #store: DehydratedDevicesStore

  constructor(needs: Needs) {
    this.#needs = needs
    this.#store = new DehydratedDevicesStore(needs.database)
  }

  /**
   * Makes a user's dehydrated device; it takes the place of an earlier one.
   * @param body `device_id`, `device_data`, `device_keys`, and optionally `initial_device_display_name`, `one_time_keys`, `fallback_keys`
   * @throws M_UNRECOGNIZED, M_MISSING_PARAM, M_BAD_JSON, M_INVALID_PARAM, M_INVALID_SIGNATURE, M_TOO_LARGE
   */
  async put(userId: UserId, body: JsonObject): Promise<string> {
    this.#assertEnabled()
    const { deviceId, deviceData, displayName } = readDevice(body)
    const upload = readUpload(userId, deviceId, body)
    if (!upload.deviceKeys) throw refuse('M_MISSING_PARAM', 'A dehydrated device needs its identity keys in "device_keys".')
    const before = await this.#store.get(userId)
    if (before?.device_id !== deviceId && (await this.#needs.devices.get(userId, deviceId))) {
      throw refuse('M_INVALID_PARAM', 'You have a device of that id already; choose another "device_id".')
    }
    await this.#needs.database.transaction(async (tx) => {
      if (before) await this.#needs.devices.delete(tx, userId, [before.device_id])
      await this.#needs.devices.create(tx, userId, deviceId, displayName)
      await this.#store.set(tx, userId, { device_id: deviceId, device_data: deviceData })
      await this.#needs.keys.storeUpload(tx, userId, deviceId, upload)
    })
    return deviceId
  }

  /** A user's dehydrated device, as JSON text. @throws M_NOT_FOUND, M_UNRECOGNIZED */
  async get(userId: UserId): Promise<string> {
    const device = await this.#require(userId)
    return `{"device_id":${JSON.stringify(device.device_id)},"device_data":${device.device_data}}`
  }

  /** Deletes a user's dehydrated device and the messages that wait for it. @throws M_NOT_FOUND, M_UNRECOGNIZED */
  async delete(userId: UserId): Promise<string> {
    const { device_id: deviceId } = await this.#require(userId)
    await this.#needs.database.transaction((tx) => this.#needs.devices.delete(tx, userId, [deviceId]))
    return deviceId
  }

  /**
   * A page of the messages that wait for the dehydrated device; they stay until the device is deleted.
   * @param from `next_batch` of the page before
   * @returns JSON text of `{ events, next_batch }`
   * @throws M_FORBIDDEN for another device, M_INVALID_PARAM for a token that is none, M_UNRECOGNIZED
   */
  async events(userId: UserId, deviceId: string, from: string | undefined): Promise<string> {
    this.#assertEnabled()
    const device = await this.#store.get(userId)
    if (device?.device_id !== deviceId) throw refuse('M_FORBIDDEN', 'That is not your dehydrated device.')
    const { messages, last } = await this.#needs.toDevice.list(userId, deviceId, readToken(from), this.#needs.toDevice.stream.position)
    return `{"events":[${messages.join(',')}],"next_batch":"d${last}"}`
  }

  async #require(userId: UserId) {
    this.#assertEnabled()
    const device = await this.#store.get(userId)
    if (!device) throw refuse('M_NOT_FOUND', 'You have no dehydrated device.')
    return device
  }

  #assertEnabled(): void {
    if (this.#needs.enabled) return
    throw refuse('M_UNRECOGNIZED', 'Dehydrated devices are not enabled; the administrator can set experimental_features.msc3814_enabled.')
  }
}

function readDevice(body: JsonObject): { deviceId: string; deviceData: string; displayName: string | undefined } {
  const [deviceId, data, displayName] = [own(body, 'device_id'), own(body, 'device_data'), own(body, 'initial_device_display_name')]
  if (deviceId === undefined || data === undefined) throw refuse('M_MISSING_PARAM', 'A dehydrated device needs "device_id" and "device_data".')
  if (typeof deviceId !== 'string' || deviceId === '' || deviceId.length > longestDeviceId) {
    throw refuse('M_INVALID_PARAM', `"device_id" must be a text of 1 to ${longestDeviceId} characters.`)
  }
  if (!isObject(data) || typeof own(data, 'algorithm') !== 'string') throw refuse('M_BAD_JSON', '"device_data" must be an object with the text "algorithm".')
  if (displayName !== undefined && (typeof displayName !== 'string' || displayName.length > longestDisplayName)) {
    throw refuse('M_INVALID_PARAM', `"initial_device_display_name" must be a text of at most ${longestDisplayName} characters.`)
  }
  const deviceData = JSON.stringify(data)
  if (deviceData.length > longestData) throw refuse('M_TOO_LARGE', `"device_data" is larger than ${longestData} bytes.`)
  return { deviceId, deviceData, displayName }
}

function readToken(token: string | undefined): number {
  if (token === undefined) return 0
  const position = /^d(\d{1,15})$/.exec(token)?.[1]
  if (position === undefined) throw refuse('M_INVALID_PARAM', '"next_batch" must come from an earlier page.')
  return Number(position)
}
