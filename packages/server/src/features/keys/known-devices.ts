/**
 * The devices of local users, in memory while they are in use: queries of keys and messages to devices ask for many at once.
 *
 * Spec: client-server API, "Device Management".
 */
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import type { Cache, CacheBudget } from '#platform/cache/cache.ts'
import type { Tx } from '#platform/db/database.ts'

/** Where devices come from. */
export interface DeviceSource {
  list(userId: UserId): Promise<readonly { readonly deviceId: string; readonly displayName: string | undefined }[]>
}

/** Display names by device id. */
export type DeviceNames = ReadonlyMap<string, string | undefined>

/** Users that are read at the same time. */
const batchSize = 100

export class KnownDevices {
  readonly #devices: DeviceSource
  readonly #names: Cache<string, DeviceNames>
  #generation = 0

  constructor(needs: { readonly devices: DeviceSource; readonly caches: CacheBudget }) {
    this.#devices = needs.devices
    this.#names = needs.caches.cache('known_devices', (names) => 200 + names.size * 150)
  }

  /** The devices of a local user, with their display names. */
  async of(userId: UserId): Promise<DeviceNames> {
    const known = this.#names.get(userId)
    if (known) return known
    const generation = this.#generation
    const names = new Map((await this.#devices.list(userId)).map((device) => [device.deviceId, device.displayName]))
    if (generation === this.#generation) this.#names.set(userId, names)
    return names
  }

  /** The devices of many local users. */
  async ofMany(userIds: readonly UserId[]): Promise<Map<UserId, DeviceNames>> {
    const found = new Map<UserId, DeviceNames>()
    const missing: UserId[] = []
    for (const userId of userIds) {
      const known = this.#names.get(userId)
      if (known) found.set(userId, known)
      else missing.push(userId)
    }
    for (let start = 0; start < missing.length; start += batchSize) {
      const batch = missing.slice(start, start + batchSize)
      const names = await Promise.all(batch.map((userId) => this.of(userId)))
      batch.forEach((userId, index) => found.set(userId, names[index] ?? new Map()))
    }
    return found
  }

  /** Forgets what is known of a user, once the transaction that changes their devices has committed. */
  changed(tx: Tx, userId: UserId): void {
    tx.afterCommit(() => {
      this.#generation += 1
      this.#names.delete(userId)
    })
  }
}
