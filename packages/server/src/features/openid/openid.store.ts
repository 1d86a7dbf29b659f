/** Queries of `openid_tokens`. */
import { sql } from 'kysely'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import { anyOf } from '#platform/db/dialect.ts'
import { buildersFor, prepare, type Prepared } from '#platform/db/query.ts'
import type { Tables } from '#schema/tables.gen.ts'

type OpenidTables = Pick<Tables, 'openid_tokens'>

export class OpenidStore {
  readonly #database: Database
  readonly #byHash: Prepared<{ tokenHash: string }, { user_id: UserId; expiry_ts: number }>
  readonly #insert: Prepared<{ tokenHash: string; userId: UserId; expiryTs: number }, unknown>
  readonly #ofUser: Prepared<{ userId: UserId }, { token_hash: string }>
  readonly #deleteOfUser: Prepared<{ userId: UserId; kept: readonly string[] }, unknown>
  readonly #expire: Prepared<{ ts: number }, unknown>

  constructor(database: Database) {
    this.#database = database
    const db = buildersFor<OpenidTables>(database.dialect)
    this.#byHash = prepare('openid.byHash', ({ tokenHash }) =>
      db.selectFrom('openid_tokens').select(['user_id', 'expiry_ts']).where('token_hash', '=', tokenHash))
    this.#insert = prepare('openid.insert', ({ tokenHash, userId, expiryTs }) =>
      db.insertInto('openid_tokens').values({ token_hash: tokenHash, user_id: userId, expiry_ts: expiryTs }))
    this.#ofUser = prepare('openid.ofUser', ({ userId }) =>
      db.selectFrom('openid_tokens').select('token_hash').where('user_id', '=', userId).orderBy('expiry_ts', 'desc'))
    this.#deleteOfUser = prepare('openid.deleteOfUser', ({ userId, kept }) =>
      db.deleteFrom('openid_tokens').where('user_id', '=', userId)
        .where((eb) => eb.not(anyOf(database.dialect, sql.ref('token_hash'), kept))))
    this.#expire = prepare('openid.expire', ({ ts }) => db.deleteFrom('openid_tokens').where('expiry_ts', '<', ts))
  }

  byHash(tokenHash: string): Promise<{ user_id: UserId; expiry_ts: number } | undefined> {
    return this.#byHash.first(this.#database, { tokenHash })
  }

  async insert(tx: Tx, tokenHash: string, userId: UserId, expiryTs: number): Promise<void> {
    await this.#insert.run(tx, { tokenHash, userId, expiryTs })
  }

  /** Hashes of a user's tokens, newest first. */
  async ofUser(tx: Tx, userId: UserId): Promise<string[]> {
    return (await this.#ofUser.all(tx, { userId })).map((row) => row.token_hash)
  }

  async deleteOfUser(tx: Tx, userId: UserId, kept: readonly string[]): Promise<void> {
    await this.#deleteOfUser.run(tx, { userId, kept })
  }

  async expire(tx: Tx, ts: number): Promise<void> {
    await this.#expire.run(tx, { ts })
  }
}
