/** Queries of `thread_subscriptions`. */
import type { Selectable } from 'kysely'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import { PagedDelete } from '#platform/db/paged-delete.ts'
import { buildersFor, prepare, type Prepared, type Runner } from '#platform/db/query.ts'
import type { Tables, ThreadSubscriptionsTable } from '#schema/tables.gen.ts'

/** A row of `thread_subscriptions`. */
export type SubscriptionRow = Selectable<ThreadSubscriptionsTable>

type Key = { userId: UserId; roomNid: number; threadId: string }

export class ThreadSubscriptionsStore {
  readonly #database: Database
  readonly #one: Prepared<Key, SubscriptionRow>
  readonly #subscribedIn: Prepared<{ userId: UserId; roomNid: number; subscribed: number }, { thread_id: string }>
  readonly #changes: Prepared<{ userId: UserId; after: number; upTo: number; limit: number }, SubscriptionRow>
  readonly #count: Prepared<{ userId: UserId }, { count: number }>
  readonly #set: Prepared<SubscriptionRow, unknown>
  readonly #deleteUser: Prepared<{ userId: UserId }, unknown>
  readonly #deleteRoom = new PagedDelete('threadSubscriptions.deleteRoom', 'thread_subscriptions', 'room_nid', ['user_id', 'thread_id'])

  constructor(database: Database) {
    this.#database = database
    const db = buildersFor<Pick<Tables, 'thread_subscriptions'>>(database.dialect)
    const subscriptions = db.selectFrom('thread_subscriptions')
    this.#one = prepare('threadSubscriptions.one', ({ userId, roomNid, threadId }) =>
      subscriptions.selectAll().where('user_id', '=', userId).where('room_nid', '=', roomNid).where('thread_id', '=', threadId))
    this.#subscribedIn = prepare('threadSubscriptions.subscribedIn', ({ userId, roomNid, subscribed }) =>
      subscriptions.select('thread_id').where('user_id', '=', userId).where('room_nid', '=', roomNid).where('subscribed', '=', subscribed))
    this.#changes = prepare('threadSubscriptions.changes', ({ userId, after, upTo, limit }) =>
      subscriptions.selectAll().where('user_id', '=', userId).where('stream_id', '>', after).where('stream_id', '<=', upTo)
        .orderBy('stream_id', 'desc').limit(limit))
    this.#count = prepare('threadSubscriptions.count', ({ userId }) =>
      subscriptions.select(({ fn }) => fn.countAll<number>().as('count')).where('user_id', '=', userId))
    this.#set = prepare('threadSubscriptions.set', (row) => {
      const { user_id, room_nid, thread_id, stream_id, subscribed, automatic, unsubscribed_at } = row
      return db.insertInto('thread_subscriptions').values({ user_id, room_nid, thread_id, stream_id, subscribed, automatic, unsubscribed_at })
        .onConflict((conflict) => conflict.columns(['user_id', 'room_nid', 'thread_id']).doUpdateSet({ stream_id, subscribed, automatic, unsubscribed_at }))
    })
    this.#deleteUser = prepare('threadSubscriptions.deleteUser', ({ userId }) =>
      db.deleteFrom('thread_subscriptions').where('user_id', '=', userId)
        .where('stream_id', '<', ({ selectFrom }) => selectFrom('thread_subscriptions').select(({ fn }) => fn.max('stream_id').as('last'))))
  }

  /** The highest place of the stream. */
  static async last(database: Database): Promise<number> {
    const [row] = await database.rows<{ last: number | null }>('SELECT max(stream_id) AS last FROM thread_subscriptions', [])
    return row?.last ?? 0
  }

  one(userId: UserId, roomNid: number, threadId: string, runner: Runner = this.#database): Promise<SubscriptionRow | undefined> {
    return this.#one.first(runner, { userId, roomNid, threadId })
  }

  /** Threads of a room that a user follows. */
  async subscribedIn(userId: UserId, roomNid: number): Promise<string[]> {
    return (await this.#subscribedIn.all(this.#database, { userId, roomNid, subscribed: 1 })).map((row) => row.thread_id)
  }

  /** Changes with `after < position <= upTo`, newest first. */
  changes(userId: UserId, after: number, upTo: number, limit: number): Promise<SubscriptionRow[]> {
    return this.#changes.all(this.#database, { userId, after, upTo, limit })
  }

  async count(tx: Tx, userId: UserId): Promise<number> {
    return (await this.#count.first(tx, { userId }))?.count ?? 0
  }

  async set(tx: Tx, row: SubscriptionRow): Promise<void> {
    await this.#set.run(tx, row)
  }

  /** Deletes at most `limit` subscriptions of a room. @returns whether there may be more */
  async deleteRoom(tx: Tx, roomNid: number, limit: number): Promise<boolean> {
    return (await this.#deleteRoom.run(tx, roomNid, limit)).length === limit
  }

  /** Deletes what a user followed, but never the newest place of the stream, which would be given out again. */
  async deleteUser(tx: Tx, userId: UserId): Promise<void> {
    await this.#deleteUser.run(tx, { userId })
  }
}
