/** Queries of `users` and `user_threepids`. */
import type { Selectable } from 'kysely'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import { buildersFor, prepare, run, type Prepared } from '#platform/db/query.ts'
import type { Tables, UserThreepidsTable, UsersTable } from '#schema/tables.gen.ts'

type AccountTables = Pick<Tables, 'users' | 'user_threepids'>

/** A row of `users`. */
export type AccountRow = Selectable<UsersTable>
/** Columns that change after an account was made. */
export type AccountChange = Partial<Pick<AccountRow,
  'password_hash' | 'is_admin' | 'is_guest' | 'is_deactivated' | 'is_erased' | 'is_locked' | 'is_suspended' | 'is_shadow_banned' | 'is_approved' | 'is_leaving' | 'user_type' |
  'consent_version' | 'consent_ts' | 'consent_server_notice_sent'>>
/** A row of `user_threepids`. */
export type ThreepidRow = Selectable<UserThreepidsTable>

export class AccountsStore {
  readonly #database: Database
  readonly #byId: Prepared<{ userId: UserId }, AccountRow>
  readonly #byFoldedId: Prepared<{ foldedId: string }, AccountRow>
  readonly #leaving: Prepared<Record<string, never>, { user_id: UserId }>
  readonly #erased: Prepared<Record<string, never>, { user_id: UserId }>
  readonly #insert: Prepared<AccountRow, unknown>
  readonly #threepids: Prepared<{ userId: UserId }, ThreepidRow>
  readonly #ofThreepid: Prepared<{ medium: string; address: string }, ThreepidRow>
  readonly #deleteThreepids: Prepared<{ userId: UserId }, unknown>

  constructor(database: Database) {
    this.#database = database
    const db = buildersFor<AccountTables>(database.dialect)
    const select = db.selectFrom('users').selectAll()
    this.#byId = prepare('accounts.byId', ({ userId }) => select.where('user_id', '=', userId))
    this.#byFoldedId = prepare('accounts.byFoldedId', ({ foldedId }) => select.where('folded_id', '=', foldedId).limit(3))
    this.#leaving = prepare('accounts.leaving', () => db.selectFrom('users').select('user_id').where('is_leaving', '=', 1).orderBy('user_id'))
    this.#erased = prepare('accounts.erased', () => db.selectFrom('users').select('user_id').where('is_erased', '=', 1))
    this.#insert = prepare('accounts.insert', (row) =>
      db.insertInto('users').values({
        user_id: row.user_id, folded_id: row.folded_id, password_hash: row.password_hash, created_ts: row.created_ts, is_guest: row.is_guest,
        is_admin: row.is_admin, is_deactivated: row.is_deactivated, is_erased: row.is_erased, is_locked: row.is_locked, is_suspended: row.is_suspended,
        is_shadow_banned: row.is_shadow_banned, is_approved: row.is_approved, is_leaving: row.is_leaving, user_type: row.user_type, appservice_id: row.appservice_id,
        consent_version: row.consent_version, consent_ts: row.consent_ts, consent_server_notice_sent: row.consent_server_notice_sent,
      }))
    const threepids = db.selectFrom('user_threepids').selectAll()
    this.#threepids = prepare('accounts.threepids', ({ userId }) => threepids.where('user_id', '=', userId).orderBy('medium').orderBy('address'))
    this.#ofThreepid = prepare('accounts.ofThreepid', ({ medium, address }) => threepids.where('medium', '=', medium).where('address', '=', address))
    this.#deleteThreepids = prepare('accounts.deleteThreepids', ({ userId }) => db.deleteFrom('user_threepids').where('user_id', '=', userId))
  }

  byId(userId: UserId): Promise<AccountRow | undefined> {
    return this.#byId.first(this.#database, { userId })
  }

  /** Accounts whose id differs in upper and lower case only; at most three. */
  byFoldedId(runner: Database | Tx, foldedId: string): Promise<AccountRow[]> {
    return this.#byFoldedId.all(runner, { foldedId })
  }

  /** Deactivated users who have not left everything yet. */
  async leaving(): Promise<UserId[]> {
    return (await this.#leaving.all(this.#database, {})).map((row) => row.user_id)
  }

  /** Users who had their account erased. */
  async erased(): Promise<UserId[]> {
    return (await this.#erased.all(this.#database, {})).map((row) => row.user_id)
  }

  async insert(tx: Tx, row: AccountRow): Promise<void> {
    await this.#insert.run(tx, row)
  }

  async update(tx: Tx, userId: UserId, change: AccountChange): Promise<void> {
    await run(tx, buildersFor<AccountTables>(tx.dialect).updateTable('users').set(change).where('user_id', '=', userId))
  }

  threepids(userId: UserId): Promise<ThreepidRow[]> {
    return this.#threepids.all(this.#database, { userId })
  }

  ofThreepid(medium: string, address: string): Promise<ThreepidRow | undefined> {
    return this.#ofThreepid.first(this.#database, { medium, address })
  }

  async deleteThreepids(tx: Tx, userId: UserId): Promise<void> {
    await this.#deleteThreepids.run(tx, { userId })
  }
}
