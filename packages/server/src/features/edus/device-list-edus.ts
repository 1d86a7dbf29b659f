/**
 * Changes of device lists and cross-signing keys between servers.
 *
 * An update of ours always refers to a version that no server has, so that each server fetches the whole list: that is one small request, and no
 * order of updates, lost ones included, leaves a wrong list behind.
 *
 * Spec: server-server API, "Device Management", "End-to-End Encryption".
 */
import type { ServerName, UserId } from '@myelin/protocol/ids/ids.ts'
import { isUserId, serverOf } from '@myelin/protocol/ids/user-id.ts'
import { isObject, own, type JsonObject } from '@myelin/protocol/json/json.ts'
import type { RoomServers } from '#engine/room-servers.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import type { Keys } from '#features/keys/keys.ts'
import { DeviceListEdusStore } from './device-list-edus.store.ts'
import type { Edu, EduSending } from './sending.ts'

/** Where changes of device lists are noted. */
export interface DeviceListChanges {
  record(tx: Tx, userId: UserId): Promise<void>
  /** Calls `listener` within the transaction that changes a user's list for everybody. */
  onRecorded(listener: (tx: Tx, userId: UserId, streamId: number) => Promise<void>): void
}

interface Needs {
  readonly database: Database
  readonly serverName: ServerName
  readonly roomServers: RoomServers
  readonly deviceLists: DeviceListChanges
  readonly keys: Pick<Keys, 'deviceListOf'>
}

export class DeviceListEdus {
  readonly #needs: Needs
  readonly #store: DeviceListEdusStore
  #sending: Pick<EduSending, 'wake'> | undefined

  constructor(needs: Needs) {
    this.#needs = needs
    this.#store = new DeviceListEdusStore(needs.database)
    needs.deviceLists.onRecorded((tx, userId, streamId) => this.#changed(tx, userId, streamId))
  }

  /** Connects it with what sends; what waits is sent. */
  async use(sending: Pick<EduSending, 'wake'>): Promise<void> {
    this.#sending = sending
    for (const destination of await this.#store.waiting()) sending.wake(destination as ServerName)
  }

  /** What waits for a server: for each user whose list has changed an update, and the keys that vouch for the devices. */
  async next(destination: ServerName, limit: number): Promise<{ readonly edus: readonly Edu[]; readonly sent: (tx: Tx) => Promise<void> } | undefined> {
    const rows = await this.#store.next(destination, Math.max(1, Math.floor(limit / 2)))
    if (rows.length === 0) return undefined
    const edus = await Promise.all(rows.map(({ user_id: userId }) => this.#edusOf(userId)))
    return {
      edus: edus.flat().slice(0, limit),
      sent: async (tx) => {
        for (const { user_id: userId, stream_id: streamId } of rows) await this.#store.sent(tx, destination, userId, streamId)
      },
    }
  }

  /** Notes that the list or the keys of a server's user have changed, so that clients ask for them anew. */
  async receive(origin: ServerName, content: JsonObject): Promise<void> {
    const userId = own(content, 'user_id')
    if (!isUserId(userId) || serverOf(userId) !== origin) return
    await this.#needs.database.transaction((tx) => this.#needs.deviceLists.record(tx, userId))
  }

  async #changed(tx: Tx, userId: UserId, streamId: number): Promise<void> {
    if (serverOf(userId) !== this.#needs.serverName) return
    const servers = await this.#needs.roomServers.sharedWith(userId)
    if (servers.length === 0) return
    await this.#store.put(tx, servers.map((destination) => ({ destination, user_id: userId, stream_id: streamId })))
    tx.afterCommit(() => {
      for (const server of servers) this.#sending?.wake(server)
    })
  }

  async #edusOf(userId: UserId): Promise<Edu[]> {
    const list: JsonObject = JSON.parse(await this.#needs.keys.deviceListOf(userId))
    const [version, devices] = [Number(own(list, 'stream_id') ?? 0), own(list, 'devices')]
    const device = Array.isArray(devices) && isObject(devices[0]) ? devices[0] : { device_id: '', deleted: true }
    const update: Edu = { edu_type: 'm.device_list_update', content: { ...device, user_id: userId, stream_id: version, prev_id: [version - 1] } }
    const [master, selfSigning] = [own(list, 'master_key'), own(list, 'self_signing_key')]
    if (master === undefined) return [update]
    return [update, { edu_type: 'm.signing_key_update', content: { user_id: userId, master_key: master, ...(selfSigning === undefined ? {} : { self_signing_key: selfSigning }) } }]
  }
}
