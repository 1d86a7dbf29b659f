/** Queries of `notification_counts`: what was unread at a place of the stream, so that counting need not begin anew. */
import type { Selectable } from 'kysely'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import { BulkInsert } from '#platform/db/bulk-insert.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import { PagedDelete } from '#platform/db/paged-delete.ts'
import { buildersFor, prepare, type Prepared } from '#platform/db/query.ts'
import type { NotificationCountsTable, Tables } from '#schema/tables.gen.ts'

/** A row of `notification_counts`. */
export type CountRow = Selectable<NotificationCountsTable>

type Key = { userId: UserId; roomNid: number }

export class NotificationsStore {
  readonly #database: Database
  readonly #of: Prepared<Key, CountRow>
  readonly #delete: Prepared<Key, unknown>
  readonly #deleteRoom = new PagedDelete('notifications.deleteRoom', 'notification_counts', 'room_nid', ['user_id', 'thread_id'])
  readonly #insert = new BulkInsert<CountRow>('notifications.insert', 'notification_counts', [
    ['user_id', 'TEXT'], ['room_nid', 'BIGINT'], ['thread_id', 'TEXT'], ['up_to_stream', 'BIGINT'], ['read_up_to', 'BIGINT'], ['notify_count', 'BIGINT'],
    ['highlight_count', 'BIGINT'],
  ], '(user_id, room_nid, thread_id) DO UPDATE SET up_to_stream = excluded.up_to_stream, read_up_to = excluded.read_up_to, ' +
    'notify_count = excluded.notify_count, highlight_count = excluded.highlight_count')

  constructor(database: Database) {
    this.#database = database
    const db = buildersFor<Pick<Tables, 'notification_counts'>>(database.dialect)
    this.#of = prepare('notifications.of', ({ userId, roomNid }) =>
      db.selectFrom('notification_counts').selectAll().where('user_id', '=', userId).where('room_nid', '=', roomNid))
    this.#delete = prepare('notifications.delete', ({ userId, roomNid }) =>
      db.deleteFrom('notification_counts').where('user_id', '=', userId).where('room_nid', '=', roomNid))
  }

  of(userId: UserId, roomNid: number): Promise<CountRow[]> {
    return this.#of.all(this.#database, { userId, roomNid })
  }

  /** Deletes at most `limit` counts of a room. @returns whether there may be more */
  async deleteRoom(tx: Tx, roomNid: number, limit: number): Promise<boolean> {
    return (await this.#deleteRoom.run(tx, roomNid, limit)).length === limit
  }

  /** Puts `rows` in the place of all rows of a user and a room. */
  async replace(userId: UserId, roomNid: number, rows: readonly CountRow[]): Promise<void> {
    await this.#database.transaction(async (tx) => {
      await this.#delete.run(tx, { userId, roomNid })
      await this.#insert.run(tx, rows)
    })
  }
}
