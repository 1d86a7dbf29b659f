/** Queries of `access_tokens`, `refresh_tokens` and `login_tokens`. */
import { sql, type Selectable } from 'kysely'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import { anyOf } from '#platform/db/dialect.ts'
import { buildersFor, prepare, type Prepared } from '#platform/db/query.ts'
import type { AccessTokensTable, RefreshTokensTable, Tables } from '#schema/tables.gen.ts'

type SessionTables = Pick<Tables, 'access_tokens' | 'refresh_tokens' | 'login_tokens'>

export type AccessTokenRow = Selectable<AccessTokensTable>
export type RefreshTokenRow = Selectable<RefreshTokensTable>

type OfDevices = { userId: UserId; deviceIds: readonly string[] }

export class SessionsStore {
  readonly #database: Database
  readonly #byHash: Prepared<{ tokenHash: string }, AccessTokenRow>
  readonly #insert: Prepared<AccessTokenRow, unknown>
  readonly #markUsed: Prepared<{ tokenHash: string }, unknown>
  readonly #deleteToken: Prepared<{ tokenId: number; userId: UserId }, unknown>
  readonly #deleteOfDevices: Prepared<OfDevices, unknown>
  readonly #deleteRefreshOfDevices: Prepared<OfDevices, unknown>
  readonly #deleteOfUser: Prepared<{ userId: UserId; except: number }, unknown>
  readonly #deleteRefreshOfUser: Prepared<{ userId: UserId }, unknown>
  readonly #deleteLoginOfUser: Prepared<{ userId: UserId }, unknown>
  readonly #deletePuppets: Prepared<{ userId: string }, { user_id: UserId }>
  readonly #insertRefresh: Prepared<RefreshTokenRow, unknown>
  readonly #replaceRefresh: Prepared<{ tokenHash: string }, RefreshTokenRow>
  readonly #family: Prepared<{ familyId: string }, AccessTokenRow>
  readonly #refreshFamily: Prepared<{ familyId: string }, RefreshTokenRow>
  readonly #deleteFamily: Prepared<{ familyId: string; from: number; below: number }, unknown>
  readonly #deleteRefreshFamily: Prepared<{ familyId: string; from: number; below: number }, unknown>
  readonly #insertLogin: Prepared<{ tokenHash: string; userId: UserId; expiryTs: number }, unknown>
  readonly #takeLogin: Prepared<{ tokenHash: string }, { user_id: UserId; expiry_ts: number }>
  readonly #expireLogin: Prepared<{ ts: number }, unknown>

  constructor(database: Database) {
    this.#database = database
    const db = buildersFor<SessionTables>(database.dialect)
    const anyDevice = (ids: readonly string[]) => anyOf(database.dialect, sql.ref('device_id'), ids)
    this.#byHash = prepare('sessions.byHash', ({ tokenHash }) => db.selectFrom('access_tokens').selectAll().where('token_hash', '=', tokenHash))
    this.#insert = prepare('sessions.insert', (row) =>
      db.insertInto('access_tokens').values({
        token_hash: row.token_hash, token_id: row.token_id, user_id: row.user_id, device_id: row.device_id, created_ts: row.created_ts,
        valid_until_ts: row.valid_until_ts, family_id: row.family_id, sequence: row.sequence, used: row.used, puppeted_by: row.puppeted_by,
      }))
    this.#markUsed = prepare('sessions.markUsed', ({ tokenHash }) => db.updateTable('access_tokens').set({ used: 1 }).where('token_hash', '=', tokenHash))
    this.#deleteToken = prepare('sessions.deleteToken', ({ tokenId, userId }) =>
      db.deleteFrom('access_tokens').where('user_id', '=', userId).where('token_id', '=', tokenId))
    this.#deleteOfDevices = prepare('sessions.deleteOfDevices', ({ userId, deviceIds }) =>
      db.deleteFrom('access_tokens').where('user_id', '=', userId).where(anyDevice(deviceIds)))
    this.#deleteRefreshOfDevices = prepare('sessions.deleteRefreshOfDevices', ({ userId, deviceIds }) =>
      db.deleteFrom('refresh_tokens').where('user_id', '=', userId).where(anyDevice(deviceIds)))
    this.#deleteOfUser = prepare('sessions.deleteOfUser', ({ userId, except }) =>
      db.deleteFrom('access_tokens').where('user_id', '=', userId).where('token_id', '!=', except))
    this.#deleteRefreshOfUser = prepare('sessions.deleteRefreshOfUser', ({ userId }) => db.deleteFrom('refresh_tokens').where('user_id', '=', userId))
    this.#deleteLoginOfUser = prepare('sessions.deleteLoginOfUser', ({ userId }) => db.deleteFrom('login_tokens').where('user_id', '=', userId))
    this.#deletePuppets = prepare('sessions.deletePuppets', ({ userId }) =>
      db.deleteFrom('access_tokens').where('puppeted_by', '=', userId).returning('user_id'))
    this.#insertRefresh = prepare('sessions.insertRefresh', (row) =>
      db.insertInto('refresh_tokens').values({
        token_hash: row.token_hash, family_id: row.family_id, sequence: row.sequence, user_id: row.user_id, device_id: row.device_id,
        replaced: row.replaced, expiry_ts: row.expiry_ts, session_expiry_ts: row.session_expiry_ts,
      }))
    this.#replaceRefresh = prepare('sessions.replaceRefresh', ({ tokenHash }) =>
      db.updateTable('refresh_tokens').set({ replaced: 1 }).where('token_hash', '=', tokenHash).returningAll())
    this.#family = prepare('sessions.family', ({ familyId }) => db.selectFrom('access_tokens').selectAll().where('family_id', '=', familyId))
    this.#refreshFamily = prepare('sessions.refreshFamily', ({ familyId }) => db.selectFrom('refresh_tokens').selectAll().where('family_id', '=', familyId))
    this.#deleteFamily = prepare('sessions.deleteFamily', ({ familyId, from, below }) =>
      db.deleteFrom('access_tokens').where('family_id', '=', familyId).where('sequence', '>=', from).where('sequence', '<', below))
    this.#deleteRefreshFamily = prepare('sessions.deleteRefreshFamily', ({ familyId, from, below }) =>
      db.deleteFrom('refresh_tokens').where('family_id', '=', familyId).where('sequence', '>=', from).where('sequence', '<', below))
    this.#insertLogin = prepare('sessions.insertLogin', ({ tokenHash, userId, expiryTs }) =>
      db.insertInto('login_tokens').values({ token_hash: tokenHash, user_id: userId, expiry_ts: expiryTs }))
    this.#takeLogin = prepare('sessions.takeLogin', ({ tokenHash }) =>
      db.deleteFrom('login_tokens').where('token_hash', '=', tokenHash).returning(['user_id', 'expiry_ts']))
    this.#expireLogin = prepare('sessions.expireLogin', ({ ts }) => db.deleteFrom('login_tokens').where('expiry_ts', '<', ts))
  }

  byHash(tokenHash: string): Promise<AccessTokenRow | undefined> {
    return this.#byHash.first(this.#database, { tokenHash })
  }

  async insert(tx: Tx, row: AccessTokenRow): Promise<void> {
    await this.#insert.run(tx, row)
  }

  async markUsed(tx: Tx, tokenHash: string): Promise<void> {
    await this.#markUsed.run(tx, { tokenHash })
  }

  async deleteToken(tx: Tx, userId: UserId, tokenId: number): Promise<void> {
    await this.#deleteToken.run(tx, { userId, tokenId })
  }

  async deleteOfDevices(tx: Tx, userId: UserId, deviceIds: readonly string[]): Promise<void> {
    await this.#deleteOfDevices.run(tx, { userId, deviceIds })
    await this.#deleteRefreshOfDevices.run(tx, { userId, deviceIds })
  }

  /** Deletes what logs a user in, except one access token (-1: none). */
  async deleteOfUser(tx: Tx, userId: UserId, exceptTokenId: number): Promise<void> {
    await this.#deleteOfUser.run(tx, { userId, except: exceptTokenId })
    if (exceptTokenId < 0) await this.#deleteRefreshOfUser.run(tx, { userId })
    await this.#deleteLoginOfUser.run(tx, { userId })
  }

  /** Deletes tokens that an administrator has for others; answers for whom. */
  async deletePuppets(tx: Tx, userId: UserId): Promise<UserId[]> {
    return (await this.#deletePuppets.all(tx, { userId })).map((row) => row.user_id)
  }

  async insertRefresh(tx: Tx, row: RefreshTokenRow): Promise<void> {
    await this.#insertRefresh.run(tx, row)
  }

  /** Marks a refresh token as replaced, and keeps others from doing so until the transaction ends. */
  replaceRefresh(tx: Tx, tokenHash: string): Promise<RefreshTokenRow | undefined> {
    return this.#replaceRefresh.first(tx, { tokenHash })
  }

  family(tx: Tx, familyId: string): Promise<AccessTokenRow[]> {
    return this.#family.all(tx, { familyId })
  }

  refreshFamily(tx: Tx, familyId: string): Promise<RefreshTokenRow[]> {
    return this.#refreshFamily.all(tx, { familyId })
  }

  /** Deletes access tokens of a family with `from <= sequence < below`. */
  async deleteAccessFamily(tx: Tx, familyId: string, from: number, below: number): Promise<void> {
    await this.#deleteFamily.run(tx, { familyId, from, below })
  }

  async deleteRefreshFamily(tx: Tx, familyId: string, from: number, below: number): Promise<void> {
    await this.#deleteRefreshFamily.run(tx, { familyId, from, below })
  }

  async insertLogin(tx: Tx, tokenHash: string, userId: UserId, expiryTs: number): Promise<void> {
    await this.#insertLogin.run(tx, { tokenHash, userId, expiryTs })
  }

  takeLogin(tx: Tx, tokenHash: string): Promise<{ user_id: UserId; expiry_ts: number } | undefined> {
    return this.#takeLogin.first(tx, { tokenHash })
  }

  async expireLogin(tx: Tx, ts: number): Promise<void> {
    await this.#expireLogin.run(tx, { ts })
  }
}
