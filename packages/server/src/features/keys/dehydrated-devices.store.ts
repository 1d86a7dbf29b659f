/** Queries of `dehydrated_devices`. */
import { sql } from 'kysely'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import { anyOf } from '#platform/db/dialect.ts'
import { buildersFor, prepare, type Prepared } from '#platform/db/query.ts'
import type { Tables } from '#schema/tables.gen.ts'

/** A user's dehydrated device. */
export interface DehydratedDeviceRow {
  readonly device_id: string
  readonly device_data: string
}

export class DehydratedDevicesStore {
  readonly #database: Database
  readonly #dehydrated: Prepared<{ userId: UserId }, DehydratedDeviceRow>
  readonly #setDehydrated: Prepared<{ userId: UserId; deviceId: string; deviceData: string }, unknown>
  readonly #deleteDehydrated: Prepared<{ userId: UserId; deviceIds: readonly string[] }, unknown>

  constructor(database: Database) {
    this.#database = database
    const db = buildersFor<Pick<Tables, 'dehydrated_devices'>>(database.dialect)
    this.#dehydrated = prepare('keys.dehydrated', ({ userId }) =>
      db.selectFrom('dehydrated_devices').select(['device_id', 'device_data']).where('user_id', '=', userId))
    this.#setDehydrated = prepare('keys.setDehydrated', ({ userId, deviceId, deviceData }) =>
      db.insertInto('dehydrated_devices').values({ user_id: userId, device_id: deviceId, device_data: deviceData })
        .onConflict((conflict) => conflict.column('user_id')
          .doUpdateSet((eb) => ({ device_id: eb.ref('excluded.device_id'), device_data: eb.ref('excluded.device_data') }))))
    this.#deleteDehydrated = prepare('keys.deleteDehydrated', ({ userId, deviceIds }) =>
      db.deleteFrom('dehydrated_devices').where('user_id', '=', userId).where(anyOf(database.dialect, sql.ref('device_id'), deviceIds)))
  }

  get(userId: UserId): Promise<DehydratedDeviceRow | undefined> {
    return this.#dehydrated.first(this.#database, { userId })
  }

  async set(tx: Tx, userId: UserId, row: DehydratedDeviceRow): Promise<void> {
    await this.#setDehydrated.run(tx, { userId, deviceId: row.device_id, deviceData: row.device_data })
  }

  async delete(tx: Tx, userId: UserId, deviceIds: readonly string[]): Promise<void> {
    await this.#deleteDehydrated.run(tx, { userId, deviceIds })
  }
}
