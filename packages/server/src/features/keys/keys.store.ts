/** Queries of `device_keys`. */
import { sql } from 'kysely'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import type { CacheBudget } from '#platform/cache/cache.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import { anyOf } from '#platform/db/dialect.ts'
import { buildersFor, prepare, type Prepared } from '#platform/db/query.ts'
import type { Tables } from '#schema/tables.gen.ts'
import { RowsByUser } from './rows-by-user.ts'

type KeyTables = Pick<Tables, 'device_keys'>

/** Keys of a device, as JSON without `unsigned`. */
export interface DeviceKeysRow {
  readonly user_id: UserId
  readonly device_id: string
  readonly json: string
}

export class KeysStore {
  readonly #database: Database
  readonly #ofUsers: Prepared<{ userIds: readonly string[] }, DeviceKeysRow>
  readonly #one: Prepared<{ userId: UserId; deviceId: string }, DeviceKeysRow>
  readonly #put: Prepared<DeviceKeysRow, unknown>
  readonly #delete: Prepared<{ userId: UserId; deviceIds: readonly string[] }, { device_id: string }>
  readonly #rows: RowsByUser<DeviceKeysRow>

  constructor(database: Database, caches: CacheBudget) {
    this.#database = database
    this.#rows = new RowsByUser(
      caches.cache('device_keys', (rows) => rows.reduce((sum, row) => sum + row.json.length + 200, 100)),
      (userIds) => this.#ofUsers.all(database, { userIds }),
      (row) => row.user_id,
    )
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
  }

  /** Keys of all devices of some users, as committed. */
  ofUsers(userIds: readonly string[]): Promise<Map<string, readonly DeviceKeysRow[]>> {
    return this.#rows.of(userIds)
  }

  /** Keys of all devices of a user as a transaction sees them. */
  ofUserWithin(tx: Tx, userId: UserId): Promise<DeviceKeysRow[]> {
    return this.#ofUsers.all(tx, { userIds: [userId] })
  }

  one(userId: UserId, deviceId: string): Promise<DeviceKeysRow | undefined> {
    return this.#one.first(this.#database, { userId, deviceId })
  }

  async put(tx: Tx, row: DeviceKeysRow): Promise<void> {
    await this.#put.run(tx, row)
    this.#rows.changed(tx, row.user_id)
  }

  /** Deletes keys of devices; gives the devices that had any. */
  async delete(tx: Tx, userId: UserId, deviceIds: readonly string[]): Promise<string[]> {
    this.#rows.changed(tx, userId)
    return (await this.#delete.all(tx, { userId, deviceIds })).map((row) => row.device_id)
  }
}
