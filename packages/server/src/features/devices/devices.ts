/**
 * Devices: what a user is logged in with, and where each was last seen.
 *
 * Spec: client-server API, "Device Management".
 */
import { randomInt } from 'node:crypto'
import { refuse } from '@myelin/protocol/errors.ts'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import type { Clock } from '#platform/clock.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import { DevicesStore, type DeviceRow, type SightingRow } from './devices.store.ts'

/** A device of a user. */
export interface Device {
  readonly userId: UserId
  readonly deviceId: string
  readonly displayName: string | undefined
  readonly lastSeenTs: number | undefined
  readonly lastSeenIp: string | undefined
  readonly lastSeenUserAgent: string | undefined
}

/** A device was used from an address. */
export type Sighting = SightingRow

/** Called inside of the transaction that changes devices of a user. */
export type DevicesListener = (tx: Tx, userId: UserId, deviceIds: readonly string[]) => Promise<void>

interface Needs {
  readonly database: Database
  readonly clock: Clock
  /** `delete_stale_devices_after`; null keeps devices for ever. */
  readonly deleteStaleAfterMs: number | null
  /** `user_ips_max_age`; null keeps addresses for ever. */
  readonly sightingsMaxAgeMs: number | null
}

/** Devices of one user; those that were not used for the longest time give way. */
export const deviceLimit = 2000
const longestDeviceId = 512
const longestDisplayName = 100
const deviceIdAlphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ'

export class Devices {
  readonly #needs: Needs
  readonly #store: DevicesStore
  readonly #deleted: DevicesListener[] = []
  readonly #changed: DevicesListener[] = []

  constructor(needs: Needs) {
    this.#needs = needs
    this.#store = new DevicesStore(needs.database)
  }

  /** Calls `listener` inside of the transaction that deletes devices: tokens, keys, pushers and messages go with them. */
  onDeleted(listener: DevicesListener): void {
    this.#deleted.push(listener)
  }

  /** Calls `listener` inside of the transaction that makes, renames or deletes devices. */
  onChanged(listener: DevicesListener): void {
    this.#changed.push(listener)
  }

  /** All devices of a user, by id. */
  async list(userId: UserId): Promise<Device[]> {
    return (await this.#store.ofUser(this.#needs.database, userId)).map(deviceOf)
  }

  async get(userId: UserId, deviceId: string): Promise<Device | undefined> {
    const row = await this.#store.one(userId, deviceId)
    return row && deviceOf(row)
  }

  /** As `get`. @throws M_NOT_FOUND */
  async require(userId: UserId, deviceId: string): Promise<Device> {
    const device = await this.get(userId, deviceId)
    if (!device) throw unknownDevice()
    return device
  }

  /**
   * Makes sure that there is a device, inside of a transaction; a known one keeps its name.
   * @returns whether it is new
   */
  async create(tx: Tx, userId: UserId, deviceId: string, displayName: string | undefined): Promise<boolean> {
    const isNew = await this.#store.create(tx, userId, deviceId, displayName ?? null, this.#needs.clock.now())
    if (!isNew) return false
    await this.#notify(this.#changed, tx, userId, [deviceId])
    await this.delete(tx, userId, await this.#store.surplus(tx, userId, deviceLimit))
    return true
  }

  /** Gives a device another name. @throws M_NOT_FOUND */
  async rename(userId: UserId, deviceId: string, displayName: string | undefined): Promise<void> {
    assertDisplayName(displayName)
    const device = await this.require(userId, deviceId)
    if (displayName === undefined || device.displayName === displayName) return
    await this.#needs.database.transaction(async (tx) => {
      if (!(await this.#store.rename(tx, userId, deviceId, displayName))) throw unknownDevice()
      await this.#notify(this.#changed, tx, userId, [deviceId])
    })
  }

  /** Deletes devices, inside of a transaction; unknown ones are passed over. */
  async delete(tx: Tx, userId: UserId, deviceIds: readonly string[]): Promise<void> {
    if (deviceIds.length === 0) return
    const deleted = await this.#store.delete(tx, userId, deviceIds)
    if (deleted.length === 0) return
    await this.#notify(this.#deleted, tx, userId, deleted)
    await this.#notify(this.#changed, tx, userId, deleted)
  }

  /** Deletes all devices of a user but one, inside of a transaction. */
  async deleteAll(tx: Tx, userId: UserId, except?: string): Promise<void> {
    const rows = await this.#store.ofUser(tx, userId)
    await this.delete(tx, userId, rows.map((row) => row.device_id).filter((deviceId) => deviceId !== except))
  }

  /** Deletes devices in a transaction of their own. */
  async remove(userId: UserId, deviceIds: readonly string[]): Promise<void> {
    await this.#needs.database.transaction((tx) => this.delete(tx, userId, deviceIds))
  }

  /** Notes where devices were seen; each device and address once. */
  async recordSeen(rows: readonly Sighting[]): Promise<void> {
    if (rows.length > 0) await this.#needs.database.transaction((tx) => this.#store.seen(tx, rows))
  }

  /** Addresses that a user was seen at, newest first. */
  sightings(userId: string): Promise<Sighting[]> {
    return this.#store.sightings(userId as UserId)
  }

  /** Deletes what has grown too old: devices that nobody uses, addresses. Called now and then. */
  async expire(): Promise<void> {
    const { database, clock, deleteStaleAfterMs, sightingsMaxAgeMs } = this.#needs
    if (sightingsMaxAgeMs !== null) await database.transaction((tx) => this.#store.pruneSightings(tx, clock.now() - sightingsMaxAgeMs))
    if (deleteStaleAfterMs === null) return
    for (;;) {
      const stale = await this.#store.stale(clock.now() - deleteStaleAfterMs, 100)
      if (stale.length === 0) return
      for (const { user_id: userId, device_id: deviceId } of stale) await this.remove(userId, [deviceId])
    }
  }

  async #notify(listeners: readonly DevicesListener[], tx: Tx, userId: UserId, deviceIds: readonly string[]): Promise<void> {
    for (const listener of listeners) await listener(tx, userId, deviceIds)
  }
}

/** A device id that no client has asked for. */
export function newDeviceId(): string {
  let id = ''
  while (id.length < 10) id += deviceIdAlphabet[randomInt(deviceIdAlphabet.length)]
  return id
}

/** Throws for a device id that clients cannot choose. */
export function assertDeviceId(deviceId: unknown): asserts deviceId is string {
  if (typeof deviceId !== 'string' || deviceId === '') throw refuse('M_INVALID_PARAM', 'The device id must be a text that is not empty.')
  if (deviceId.length > longestDeviceId) throw refuse('M_INVALID_PARAM', `The device id is longer than ${longestDeviceId} characters.`)
}

/** Throws for a display name that is too long. */
export function assertDisplayName(displayName: string | undefined): void {
  if (displayName !== undefined && displayName.length > longestDisplayName) {
    throw refuse('M_INVALID_PARAM', `The device's display name is longer than ${longestDisplayName} characters.`)
  }
}

function unknownDevice(): Error {
  return refuse('M_NOT_FOUND', 'You have no such device.')
}

function deviceOf(row: DeviceRow): Device {
  return {
    userId: row.user_id,
    deviceId: row.device_id,
    displayName: row.display_name ?? undefined,
    lastSeenTs: row.last_seen_ts ?? undefined,
    lastSeenIp: row.last_seen_ip ?? undefined,
    lastSeenUserAgent: row.last_seen_user_agent ?? undefined,
  }
}
