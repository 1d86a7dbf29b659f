/** Queries of `account_data` and `ignored_users`. */
import type { RoomId, UserId } from '@myelin/protocol/ids/ids.ts'
import { sql } from 'kysely'
import type { Database, Tx } from '#platform/db/database.ts'
import { anyOf } from '#platform/db/dialect.ts'
import { PagedDelete } from '#platform/db/paged-delete.ts'
import { buildersFor, prepare, type Prepared, type Runner } from '#platform/db/query.ts'
import type { Tables } from '#schema/tables.gen.ts'

type AccountDataTables = Pick<Tables, 'account_data' | 'ignored_users'>

/** One piece of account data; `scope` is '' for the account, else the room's id. */
export interface AccountDataEntry {
  readonly scope: string
  readonly type: string
  readonly content: string
}

type Key = { userId: UserId; scope: string; type: string }

export class AccountDataStore {
  readonly #database: Database
  readonly #one: Prepared<Key, { content: string }>
  readonly #ofScope: Prepared<{ userId: UserId; scope: string }, AccountDataEntry>
  readonly #rooms: Prepared<{ userId: UserId }, AccountDataEntry>
  readonly #ofRooms: Prepared<{ userId: UserId; scopes: readonly string[] }, AccountDataEntry>
  readonly #ofType: Prepared<{ userId: UserId; type: string }, AccountDataEntry>
  readonly #changes: Prepared<{ userId: UserId; after: number; upTo: number }, AccountDataEntry>
  readonly #count: Prepared<{ userId: UserId }, { count: number }>
  readonly #set: Prepared<Key & { streamId: number; content: string }, unknown>
  readonly #deleteScope = new PagedDelete('accountData.deleteScope', 'account_data', `scope <> '' AND scope`, ['user_id', 'account_data_type'])
  readonly #deleteAll: Prepared<{ userId: UserId }, unknown>
  readonly #ignored: Prepared<{ userId: UserId }, { ignored_user_id: string }>
  readonly #ignoring: Prepared<{ userId: string }, { ignorer_user_id: string }>
  readonly #unignoreAll: Prepared<{ userId: UserId }, unknown>
  readonly #ignore: Prepared<{ userId: UserId; ignored: string }, unknown>

  constructor(database: Database) {
    this.#database = database
    const db = buildersFor<AccountDataTables>(database.dialect)
    const entries = db.selectFrom('account_data').select(['scope', 'account_data_type as type', 'content'])
    this.#one = prepare('accountData.one', ({ userId, scope, type }) =>
      db.selectFrom('account_data').select('content').where('user_id', '=', userId).where('scope', '=', scope).where('account_data_type', '=', type))
    this.#ofScope = prepare('accountData.ofScope', ({ userId, scope }) => entries.where('user_id', '=', userId).where('scope', '=', scope))
    this.#rooms = prepare('accountData.rooms', ({ userId }) => entries.where('user_id', '=', userId).where('scope', '<>', ''))
    this.#ofRooms = prepare('accountData.ofRooms', ({ userId, scopes }) =>
      entries.where('user_id', '=', userId).where(anyOf(database.dialect, sql.ref('scope'), scopes)))
    this.#ofType = prepare('accountData.ofType', ({ userId, type }) =>
      entries.where('user_id', '=', userId).where('scope', '<>', '').where('account_data_type', '=', type))
    this.#changes = prepare('accountData.changes', ({ userId, after, upTo }) =>
      entries.where('user_id', '=', userId).where('stream_id', '>', after).where('stream_id', '<=', upTo).orderBy('stream_id'))
    this.#count = prepare('accountData.count', ({ userId }) =>
      db.selectFrom('account_data').select(({ fn }) => fn.countAll<number>().as('count')).where('user_id', '=', userId))
    this.#set = prepare('accountData.set', ({ userId, scope, type, streamId, content }) =>
      db.insertInto('account_data')
        .values({ user_id: userId, scope, account_data_type: type, stream_id: streamId, content })
        .onConflict((conflict) => conflict.columns(['user_id', 'scope', 'account_data_type']).doUpdateSet({ stream_id: streamId, content })))
    this.#deleteAll = prepare('accountData.deleteAll', ({ userId }) => db.deleteFrom('account_data').where('user_id', '=', userId))
    this.#ignored = prepare('accountData.ignored', ({ userId }) =>
      db.selectFrom('ignored_users').select('ignored_user_id').where('ignorer_user_id', '=', userId))
    this.#ignoring = prepare('accountData.ignoring', ({ userId }) =>
      db.selectFrom('ignored_users').select('ignorer_user_id').where('ignored_user_id', '=', userId))
    this.#unignoreAll = prepare('accountData.unignoreAll', ({ userId }) => db.deleteFrom('ignored_users').where('ignorer_user_id', '=', userId))
    this.#ignore = prepare('accountData.ignore', ({ userId, ignored }) =>
      db.insertInto('ignored_users').values({ ignorer_user_id: userId, ignored_user_id: ignored }))
  }

  async one(userId: UserId, scope: string, type: string, runner: Runner = this.#database): Promise<string | undefined> {
    return (await this.#one.first(runner, { userId, scope, type }))?.content
  }

  ofScope(userId: UserId, scope: string): Promise<AccountDataEntry[]> {
    return this.#ofScope.all(this.#database, { userId, scope })
  }

  /** Account data of all rooms. */
  rooms(userId: UserId): Promise<AccountDataEntry[]> {
    return this.#rooms.all(this.#database, { userId })
  }

  /** Account data of some rooms. */
  ofRooms(userId: UserId, roomIds: readonly string[]): Promise<AccountDataEntry[]> {
    return this.#ofRooms.all(this.#database, { userId, scopes: roomIds })
  }

  /** Account data of one type, of all rooms. */
  ofType(userId: UserId, type: string): Promise<AccountDataEntry[]> {
    return this.#ofType.all(this.#database, { userId, type })
  }

  changes(userId: UserId, after: number, upTo: number): Promise<AccountDataEntry[]> {
    return this.#changes.all(this.#database, { userId, after, upTo })
  }

  async count(runner: Runner, userId: UserId): Promise<number> {
    return (await this.#count.first(runner, { userId }))?.count ?? 0
  }

  async set(tx: Tx, userId: UserId, entry: AccountDataEntry, streamId: number): Promise<void> {
    await this.#set.run(tx, { userId, ...entry, streamId })
  }

  /** Deletes at most `limit` pieces of a room. @returns whether there may be more */
  async deleteRoom(tx: Tx, roomId: RoomId, limit: number): Promise<boolean> {
    return (await this.#deleteScope.run(tx, roomId, limit)).length === limit
  }

  async deleteAll(tx: Tx, userId: UserId): Promise<void> {
    await this.#deleteAll.run(tx, { userId })
  }

  async ignored(userId: UserId): Promise<string[]> {
    return (await this.#ignored.all(this.#database, { userId })).map((row) => row.ignored_user_id)
  }

  async ignoring(userId: string): Promise<string[]> {
    return (await this.#ignoring.all(this.#database, { userId })).map((row) => row.ignorer_user_id)
  }

  async setIgnored(tx: Tx, userId: UserId, ignored: Iterable<string>): Promise<void> {
    await this.#unignoreAll.run(tx, { userId })
    for (const each of ignored) await this.#ignore.run(tx, { userId, ignored: each })
  }
}
