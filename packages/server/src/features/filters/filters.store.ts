/** Queries of `user_filters`. */
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import { buildersFor, prepare, type Prepared } from '#platform/db/query.ts'
import type { Tables } from '#schema/tables.gen.ts'

export class FiltersStore {
  readonly #database: Database
  readonly #byNid: Prepared<{ userId: UserId; nid: number }, { filter_json: string }>
  readonly #byHash: Prepared<{ userId: UserId; hash: string }, { filter_nid: number }>
  readonly #last: Prepared<{ userId: UserId }, { last: number | null }>
  readonly #insert: Prepared<{ userId: UserId; nid: number; hash: string; json: string }, unknown>
  readonly #deleteUpTo: Prepared<{ userId: UserId; nid: number }, unknown>

  constructor(database: Database) {
    this.#database = database
    const db = buildersFor<Pick<Tables, 'user_filters'>>(database.dialect)
    this.#byNid = prepare('filters.byNid', ({ userId, nid }) =>
      db.selectFrom('user_filters').select('filter_json').where('user_id', '=', userId).where('filter_nid', '=', nid))
    this.#byHash = prepare('filters.byHash', ({ userId, hash }) =>
      db.selectFrom('user_filters').select('filter_nid').where('user_id', '=', userId).where('filter_hash', '=', hash))
    this.#last = prepare('filters.last', ({ userId }) =>
      db.selectFrom('user_filters').select(({ fn }) => fn.max('filter_nid').as('last')).where('user_id', '=', userId))
    this.#insert = prepare('filters.insert', ({ userId, nid, hash, json }) =>
      db.insertInto('user_filters').values({ user_id: userId, filter_nid: nid, filter_hash: hash, filter_json: json }))
    this.#deleteUpTo = prepare('filters.deleteUpTo', ({ userId, nid }) =>
      db.deleteFrom('user_filters').where('user_id', '=', userId).where('filter_nid', '<=', nid))
  }

  async json(userId: UserId, nid: number): Promise<string | undefined> {
    return (await this.#byNid.first(this.#database, { userId, nid }))?.filter_json
  }

  async byHash(userId: UserId, hash: string): Promise<number | undefined> {
    return (await this.#byHash.first(this.#database, { userId, hash }))?.filter_nid
  }

  /** Stores a filter under the next number of the user and drops those that are `keep` numbers older. */
  async insert(tx: Tx, userId: UserId, hash: string, json: string, keep: number): Promise<number> {
    const nid = ((await this.#last.first(tx, { userId }))?.last ?? -1) + 1
    await this.#insert.run(tx, { userId, nid, hash, json })
    await this.#deleteUpTo.run(tx, { userId, nid: nid - keep })
    return nid
  }
}
