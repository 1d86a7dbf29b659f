/** Queries of `registration_tokens`. */
import { sql, type Selectable } from 'kysely'
import type { Database, Tx } from '#platform/db/database.ts'
import { buildersFor, prepare, run, type Prepared } from '#platform/db/query.ts'
import type { RegistrationTokensTable, Tables } from '#schema/tables.gen.ts'

type TokenTables = Pick<Tables, 'registration_tokens'>

export type RegistrationTokenRow = Selectable<RegistrationTokensTable>

export class RegistrationTokensStore {
  readonly #database: Database
  readonly #all: Prepared<Record<string, never>, RegistrationTokenRow>
  readonly #byToken: Prepared<{ token: string }, RegistrationTokenRow>
  readonly #insert: Prepared<{ token: string; usesAllowed: number | null; expiryTs: number | null }, { token: string }>
  readonly #reserve: Prepared<{ token: string; now: number }, { token: string }>
  readonly #release: Prepared<{ token: string }, unknown>
  readonly #complete: Prepared<{ token: string }, unknown>
  readonly #delete: Prepared<{ token: string }, { token: string }>

  constructor(database: Database) {
    this.#database = database
    const db = buildersFor<TokenTables>(database.dialect)
    const select = db.selectFrom('registration_tokens').selectAll()
    this.#all = prepare('registrationTokens.all', () => select.orderBy('token'))
    this.#byToken = prepare('registrationTokens.byToken', ({ token }) => select.where('token', '=', token))
    this.#insert = prepare('registrationTokens.insert', ({ token, usesAllowed, expiryTs }) =>
      db.insertInto('registration_tokens').values({ token, uses_allowed: usesAllowed, expiry_ts: expiryTs })
        .onConflict((conflict) => conflict.column('token').doNothing()).returning('token'))
    this.#reserve = prepare('registrationTokens.reserve', ({ token, now }) =>
      db.updateTable('registration_tokens').set({ pending: sql`pending + 1` }).where('token', '=', token)
        .where((eb) => eb.or([eb('expiry_ts', 'is', null), eb('expiry_ts', '>', now)]))
        .where((eb) => eb.or([eb('uses_allowed', 'is', null), eb(sql`pending + completed`, '<', eb.ref('uses_allowed'))]))
        .returning('token'))
    this.#release = prepare('registrationTokens.release', ({ token }) =>
      db.updateTable('registration_tokens').set({ pending: sql`pending - 1` }).where('token', '=', token).where('pending', '>', 0))
    this.#complete = prepare('registrationTokens.complete', ({ token }) =>
      db.updateTable('registration_tokens').set({ pending: sql`pending - 1`, completed: sql`completed + 1` }).where('token', '=', token).where('pending', '>', 0))
    this.#delete = prepare('registrationTokens.delete', ({ token }) => db.deleteFrom('registration_tokens').where('token', '=', token).returning('token'))
  }

  all(): Promise<RegistrationTokenRow[]> {
    return this.#all.all(this.#database, {})
  }

  byToken(token: string): Promise<RegistrationTokenRow | undefined> {
    return this.#byToken.first(this.#database, { token })
  }

  /** Whether the token is new. */
  async insert(tx: Tx, token: string, usesAllowed: number | null, expiryTs: number | null): Promise<boolean> {
    return (await this.#insert.first(tx, { token, usesAllowed, expiryTs })) !== undefined
  }

  async update(tx: Tx, token: string, change: { readonly uses_allowed?: number | null; readonly expiry_ts?: number | null }): Promise<void> {
    await run(tx, buildersFor<TokenTables>(tx.dialect).updateTable('registration_tokens').set(change).where('token', '=', token))
  }

  /** Takes one use for a registration that has begun; false where none is left. */
  async reserve(tx: Tx, token: string, now: number): Promise<boolean> {
    return (await this.#reserve.first(tx, { token, now })) !== undefined
  }

  async release(tx: Tx, token: string): Promise<void> {
    await this.#release.run(tx, { token })
  }

  async complete(tx: Tx, token: string): Promise<void> {
    await this.#complete.run(tx, { token })
  }

  /** Whether there was such a token. */
  async delete(tx: Tx, token: string): Promise<boolean> {
    return (await this.#delete.first(tx, { token })) !== undefined
  }
}
