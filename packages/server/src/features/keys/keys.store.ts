/** Queries of `device_keys` and `dehydrated_devices`. */
import { sql } from 'kysely'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import { anyOf } from '#platform/db/dialect.ts'
import { buildersFor, prepare, type Prepared } from '#platform/db/query.ts'
import type { Tables } from '#schema/tables.gen.ts'

type KeyTables = Pick<Tables, 'device_keys' | 'dehydrated_devices'>

/** Keys of a device, as JSON without `unsigned`. */
export interface DeviceKeysRow {
  readonly user_id: UserId
  readonly device_id: string
  readonly json: string
}

/** A user's dehydrated device. */
export interface DehydratedDeviceRow {
  readonly device_id: string
  readonly device_data: string
}

export class KeysStore {
  readonly #database: Database
  readonly #ofUsers: Prepared<{ userIds: readonly string[] }, DeviceKeysRow>
  readonly #one: Prepared<{ userId: UserId; deviceId: string }, DeviceKeysRow>
  readonly #put: Prepared<DeviceKeysRow, unknown>
  readonly #delete: Prepared<{ userId: UserId; deviceIds: readonly string[] }, { device_id: string }>
  readonly #dehydrated: Prepared<{ userId: UserId }, DehydratedDeviceRow>
  readonly #setDehydrated: Prepared<{ userId: UserId; deviceId: string; deviceData: string }, unknown>
  readonly #deleteDehydrated: Prepared<{ userId: UserId; deviceIds: readonly string[] }, unknown>

  constructor(database: Database) {
    this.#database = database
    const db = buildersFor<KeyTables>(database.dialect)
    const anyDevice = (ids: readonly string[]) => anyOf(database.dialect, sql.ref('device_id'), ids)
    const select = db.selectFrom('device_keys').select(['user_id', 'device_id', 'json'])
    this.#ofUsers = prepare('keys.ofUsers', ({ userIds }) => select.where(anyOf(database.dialect, sql.ref('user_id'), userIds)))
    this.#one = prepare('keys.one', ({ userId, deviceId }) => select.where('user_id', '=', userId).where('device_id', '=', deviceId))
    this.#put = prepare('keys.put', ({ user_id, device_id, json }) =>
      db.insertInto('device_keys').values({ user_id, device_id, json })
        .onConflict((conflict) => conflict.columns(['user_id', 'device_id']).doUpdateSet((eb) => ({ json: eb.ref('excluded.json') }))))
    this.#delete = prepare('keys.delete', ({ userId, deviceIds }) =>
      db.deleteFrom('device_keys').where('user_id', '=', userId).where(anyDevice(deviceIds)).returning('device_id'))
    this.#dehydrated = prepare('keys.dehydrated', ({ userId }) =>
      db.selectFrom('dehydrated_devices').select(['device_id', 'device_data']).where('user_id', '=', userId))
    this.#setDehydrated = prepare('keys.setDehydrated', ({ userId, deviceId, deviceData }) =>
      db.insertInto('dehydrated_devices').values({ user_id: userId, device_id: deviceId, device_data: deviceData })
        .onConflict((conflict) => conflict.column('user_id')
          .doUpdateSet((eb) => ({ device_id: eb.ref('excluded.device_id'), device_data: eb.ref('excluded.device_data') }))))
    this.#deleteDehydrated = prepare('keys.deleteDehydrated', ({ userId, deviceIds }) =>
      db.deleteFrom('dehydrated_devices').where('user_id', '=', userId).where(anyDevice(deviceIds)))
  }

  /** Keys of all devices of some users. */
  ofUsers(userIds: readonly string[], runner: Database | Tx = this.#database): Promise<DeviceKeysRow[]> {
    return this.#ofUsers.all(runner, { userIds })
  }

  one(userId: UserId, deviceId: string): Promise<DeviceKeysRow | undefined> {
    return this.#one.first(this.#database, { userId, deviceId })
  }

  async put(tx: Tx, row: DeviceKeysRow): Promise<void> {
    await this.#put.run(tx, row)
  }

  /** Deletes keys of devices; gives the devices that had any. */
  async delete(tx: Tx, userId: UserId, deviceIds: readonly string[]): Promise<string[]> {
    return (await this.#delete.all(tx, { userId, deviceIds })).map((row) => row.device_id)
  }

  dehydrated(userId: UserId): Promise<DehydratedDeviceRow | undefined> {
    return this.#dehydrated.first(this.#database, { userId })
  }

  async setDehydrated(tx: Tx, userId: UserId, row: DehydratedDeviceRow): Promise<void> {
    await this.#setDehydrated.run(tx, { userId, deviceId: row.device_id, deviceData: row.device_data })
  }

  async deleteDehydrated(tx: Tx, userId: UserId, deviceIds: readonly string[]): Promise<void> {
    await this.#deleteDehydrated.run(tx, { userId, deviceIds })
  }
}
