/** Queries of `device_list_changes`. */
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import { buildersFor, prepare, type Prepared } from '#platform/db/query.ts'
import type { Tables } from '#schema/tables.gen.ts'

type DeviceListTables = Pick<Tables, 'device_list_changes'>

/** The last change of a user's device list. */
export interface DeviceListChange {
  readonly user_id: UserId
  /** The one user who can see the change, or ''. */
  readonly only_for: string
}

export class DeviceListsStore {
  readonly #database: Database
  readonly #record: Prepared<{ userId: UserId; onlyFor: string; streamId: number }, unknown>
  readonly #since: Prepared<{ since: number; observer: string }, DeviceListChange>
  readonly #lastOf: Prepared<{ userId: UserId }, { stream_id: number }>

  constructor(database: Database) {
    this.#database = database
    const db = buildersFor<DeviceListTables>(database.dialect)
    this.#record = prepare('deviceLists.record', ({ userId, onlyFor, streamId }) =>
      db.insertInto('device_list_changes').values({ user_id: userId, only_for: onlyFor, stream_id: streamId })
        .onConflict((conflict) => conflict.columns(['user_id', 'only_for']).doUpdateSet((eb) => ({ stream_id: eb.ref('excluded.stream_id') }))))
    this.#since = prepare('deviceLists.since', ({ since, observer }) =>
      db.selectFrom('device_list_changes').select(['user_id', 'only_for']).where('stream_id', '>', since)
        .where((eb) => eb.or([eb('only_for', '=', ''), eb('only_for', '=', observer)])))
    this.#lastOf = prepare('deviceLists.lastOf', ({ userId }) =>
      db.selectFrom('device_list_changes').select('stream_id').where('user_id', '=', userId).where('only_for', '=', ''))
  }

  /** Highest id that was ever given: a user's newest change replaces the older one. */
  static async last(database: Database): Promise<number> {
    const [row] = await database.rows<{ last: number | null }>('SELECT max(stream_id) AS last FROM device_list_changes', [])
    return row?.last ?? 0
  }

  async record(tx: Tx, userId: UserId, onlyFor: string, streamId: number): Promise<void> {
    await this.#record.run(tx, { userId, onlyFor, streamId })
  }

  async lastOf(userId: UserId): Promise<number> {
    return (await this.#lastOf.first(this.#database, { userId }))?.stream_id ?? 0
  }

  since(since: number, observer: string): Promise<DeviceListChange[]> {
    return this.#since.all(this.#database, { since, observer })
  }
}
