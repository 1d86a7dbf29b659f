/** Queries of `pushers`. */
import { sql, type Selectable } from 'kysely'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import { anyOf } from '#platform/db/dialect.ts'
import { buildersFor, prepare, type Prepared, type Runner } from '#platform/db/query.ts'
import type { PushersTable, Tables } from '#schema/tables.gen.ts'

/** A row of `pushers`. */
export type PusherRow = Selectable<PushersTable>

type Key = { userId: UserId; appId: string; pushkey: string }

export class PushersStore {
  readonly #database: Database
  readonly #ofUser: Prepared<{ userId: UserId }, PusherRow>
  readonly #set: Prepared<PusherRow, unknown>
  readonly #delete: Prepared<Key, unknown>
  readonly #deleteOthers: Prepared<Key, unknown>
  readonly #deleteDevices: Prepared<{ userId: UserId; deviceIds: readonly string[] }, unknown>
  readonly #deleteUser: Prepared<{ userId: UserId }, unknown>

  constructor(database: Database) {
    this.#database = database
    const db = buildersFor<Pick<Tables, 'pushers'>>(database.dialect)
    const one = db.deleteFrom('pushers')
    this.#ofUser = prepare('pushers.ofUser', ({ userId }) => db.selectFrom('pushers').selectAll().where('user_id', '=', userId).orderBy('created_ts'))
    this.#set = prepare('pushers.set', (row) => {
      const values = {
        kind: row.kind, app_display_name: row.app_display_name, device_display_name: row.device_display_name, profile_tag: row.profile_tag,
        lang: row.lang, data: row.data, device_id: row.device_id, access_token_id: row.access_token_id,
      }
      return db.insertInto('pushers').values({ app_id: row.app_id, pushkey: row.pushkey, user_id: row.user_id, created_ts: row.created_ts, ...values })
        .onConflict((conflict) => conflict.columns(['app_id', 'pushkey', 'user_id']).doUpdateSet(values))
    })
    this.#delete = prepare('pushers.delete', ({ userId, appId, pushkey }) =>
      one.where('app_id', '=', appId).where('pushkey', '=', pushkey).where('user_id', '=', userId))
    this.#deleteOthers = prepare('pushers.deleteOthers', ({ userId, appId, pushkey }) =>
      one.where('app_id', '=', appId).where('pushkey', '=', pushkey).where('user_id', '<>', userId))
    this.#deleteDevices = prepare('pushers.deleteDevices', ({ userId, deviceIds }) =>
      one.where('user_id', '=', userId).where(anyOf(database.dialect, sql.ref('device_id'), deviceIds)))
    this.#deleteUser = prepare('pushers.deleteUser', ({ userId }) => one.where('user_id', '=', userId))
  }

  ofUser(userId: UserId, runner: Runner = this.#database): Promise<PusherRow[]> {
    return this.#ofUser.all(runner, { userId })
  }

  async set(tx: Tx, row: PusherRow): Promise<void> {
    await this.#set.run(tx, row)
  }

  async delete(tx: Tx, key: Key): Promise<void> {
    await this.#delete.run(tx, key)
  }

  /** Deletes the pusher of all other users. */
  async deleteOthers(tx: Tx, key: Key): Promise<void> {
    await this.#deleteOthers.run(tx, key)
  }

  async deleteDevices(tx: Tx, userId: UserId, deviceIds: readonly string[]): Promise<void> {
    await this.#deleteDevices.run(tx, { userId, deviceIds })
  }

  async deleteUser(tx: Tx, userId: UserId): Promise<void> {
    await this.#deleteUser.run(tx, { userId })
  }
}
