/** Queries of `device_lists_outbound_pokes`: whose devices have changed, by the servers that are to know. */
import { BulkInsert } from '#platform/db/bulk-insert.ts'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import { buildersFor, prepare, type Prepared } from '#platform/db/query.ts'
import type { DeviceListsOutboundPokesTable, Tables } from '#schema/tables.gen.ts'

export class DeviceListEdusStore {
  readonly #database: Database
  readonly #next: Prepared<{ destination: string; limit: number }, { user_id: UserId; stream_id: number }>
  readonly #sent: Prepared<{ destination: string; userId: UserId; streamId: number }, unknown>
  readonly #waiting: Prepared<Record<string, never>, { destination: string }>
  readonly #put = new BulkInsert<DeviceListsOutboundPokesTable>('deviceListEdus.put', 'device_lists_outbound_pokes',
    [['destination', 'TEXT'], ['user_id', 'TEXT'], ['stream_id', 'BIGINT']], '(destination, user_id) DO UPDATE SET stream_id = excluded.stream_id')

  constructor(database: Database) {
    this.#database = database
    const db = buildersFor<Pick<Tables, 'device_lists_outbound_pokes'>>(database.dialect)
    this.#next = prepare('deviceListEdus.next', ({ destination, limit }) =>
      db.selectFrom('device_lists_outbound_pokes').select(['user_id', 'stream_id']).where('destination', '=', destination).orderBy('stream_id').limit(limit))
    this.#sent = prepare('deviceListEdus.sent', ({ destination, userId, streamId }) =>
      db.deleteFrom('device_lists_outbound_pokes').where('destination', '=', destination).where('user_id', '=', userId).where('stream_id', '<=', streamId))
    this.#waiting = prepare('deviceListEdus.waiting', () => db.selectFrom('device_lists_outbound_pokes').select('destination').distinct())
  }

  async put(tx: Tx, rows: readonly DeviceListsOutboundPokesTable[]): Promise<void> {
    await this.#put.run(tx, rows)
  }

  next(destination: string, limit: number): Promise<{ user_id: UserId; stream_id: number }[]> {
    return this.#next.all(this.#database, { destination, limit })
  }

  async sent(tx: Tx, destination: string, userId: UserId, streamId: number): Promise<void> {
    await this.#sent.run(tx, { destination, userId, streamId })
  }

  async waiting(): Promise<string[]> {
    return (await this.#waiting.all(this.#database, {})).map((row) => row.destination)
  }
}
