/** The numbers of devices that get messages: small keys for a queue that many devices share. */
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import type { Cache, CacheBudget } from '#platform/cache/cache.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import type { ToDeviceStore } from './to-device.store.ts'

/** A device of a local user. */
export interface InboxDevice {
  readonly user_id: UserId
  readonly device_id: string
}

export class Inboxes {
  readonly #store: ToDeviceStore
  readonly #nids: Cache<string, number>
  #last: number

  private constructor(store: ToDeviceStore, nids: Cache<string, number>, last: number) {
    this.#store = store
    this.#nids = nids
    this.#last = last
  }

  static async open(database: Database, caches: CacheBudget, store: ToDeviceStore): Promise<Inboxes> {
    return new Inboxes(store, caches.cache('to_device_inboxes', () => 200), await store.lastInbox(database))
  }

  /** The number of a device; undefined where it never got a message. */
  async find(userId: UserId, deviceId: string): Promise<number | undefined> {
    const key = keyOf(userId, deviceId)
    const known = this.#nids.get(key)
    if (known !== undefined) return known
    const [row] = await this.#store.inboxes([{ user_id: userId, device_id: deviceId }])
    if (row) this.#nids.set(key, row.inbox_nid)
    return row?.inbox_nid
  }

  /** The numbers of devices, in their order; devices without one get it within the transaction. */
  async within(tx: Tx, devices: readonly InboxDevice[]): Promise<number[]> {
    const found = new Map<string, number>()
    const unknown: InboxDevice[] = []
    for (const device of devices) {
      const key = keyOf(device.user_id, device.device_id)
      const known = this.#nids.get(key)
      if (known === undefined) unknown.push(device)
      else found.set(key, known)
    }
    if (unknown.length > 0) await this.#assign(tx, unknown, found)
    return devices.map((device) => {
      const nid = found.get(keyOf(device.user_id, device.device_id))
      if (nid === undefined) throw new Error(`The device ${device.device_id} of ${device.user_id} got no inbox.`)
      return nid
    })
  }

  /** Forgets devices, once the transaction that deletes them has committed. */
  deleted(tx: Tx, userId: UserId, deviceIds: readonly string[]): void {
    tx.afterCommit(() => {
      for (const deviceId of deviceIds) this.#nids.delete(keyOf(userId, deviceId))
    })
  }

  async #assign(tx: Tx, devices: readonly InboxDevice[], found: Map<string, number>): Promise<void> {
    await this.#store.addInboxes(tx, devices.map((device) => ({ ...device, inbox_nid: ++this.#last })))
    const rows = await this.#store.inboxes(devices, tx)
    for (const row of rows) found.set(keyOf(row.user_id, row.device_id), row.inbox_nid)
    tx.afterCommit(() => {
      for (const row of rows) this.#nids.set(keyOf(row.user_id, row.device_id), row.inbox_nid)
    })
  }
}

function keyOf(userId: string, deviceId: string): string {
  return `${userId}\n${deviceId}`
}
