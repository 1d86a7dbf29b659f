/** Queries of `profiles` and `profile_fields`. */
import type { Selectable } from 'kysely'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import { buildersFor, prepare, type Prepared } from '#platform/db/query.ts'
import type { ProfileFieldsTable, ProfilesTable, Tables } from '#schema/tables.gen.ts'

type ProfileTables = Pick<Tables, 'profiles' | 'profile_fields'>

export type ProfileRow = Selectable<ProfilesTable>
export type ProfileFieldRow = Selectable<ProfileFieldsTable>

export class ProfilesStore {
  readonly #database: Database
  readonly #byUser: Prepared<{ userId: UserId }, ProfileRow>
  readonly #fields: Prepared<{ userId: UserId }, ProfileFieldRow>
  readonly #setDisplayname: Prepared<{ userId: UserId; value: string | null }, unknown>
  readonly #setAvatarUrl: Prepared<{ userId: UserId; value: string | null }, unknown>
  readonly #setField: Prepared<{ userId: UserId; name: string; value: string }, unknown>
  readonly #deleteField: Prepared<{ userId: UserId; name: string }, unknown>
  readonly #deleteFields: Prepared<{ userId: UserId }, unknown>

  constructor(database: Database) {
    this.#database = database
    const db = buildersFor<ProfileTables>(database.dialect)
    this.#byUser = prepare('profiles.byUser', ({ userId }) => db.selectFrom('profiles').selectAll().where('user_id', '=', userId))
    this.#fields = prepare('profiles.fields', ({ userId }) => db.selectFrom('profile_fields').selectAll().where('user_id', '=', userId).orderBy('name'))
    this.#setDisplayname = prepare('profiles.setDisplayname', ({ userId, value }) =>
      db.insertInto('profiles').values({ user_id: userId, displayname: value })
        .onConflict((conflict) => conflict.column('user_id').doUpdateSet((eb) => ({ displayname: eb.ref('excluded.displayname') }))))
    this.#setAvatarUrl = prepare('profiles.setAvatarUrl', ({ userId, value }) =>
      db.insertInto('profiles').values({ user_id: userId, avatar_url: value })
        .onConflict((conflict) => conflict.column('user_id').doUpdateSet((eb) => ({ avatar_url: eb.ref('excluded.avatar_url') }))))
    this.#setField = prepare('profiles.setField', ({ userId, name, value }) =>
      db.insertInto('profile_fields').values({ user_id: userId, name, value })
        .onConflict((conflict) => conflict.columns(['user_id', 'name']).doUpdateSet((eb) => ({ value: eb.ref('excluded.value') }))))
    this.#deleteField = prepare('profiles.deleteField', ({ userId, name }) => db.deleteFrom('profile_fields').where('user_id', '=', userId).where('name', '=', name))
    this.#deleteFields = prepare('profiles.deleteFields', ({ userId }) => db.deleteFrom('profile_fields').where('user_id', '=', userId))
  }

  byUser(userId: UserId): Promise<ProfileRow | undefined> {
    return this.#byUser.first(this.#database, { userId })
  }

  fields(runner: Database | Tx, userId: UserId): Promise<ProfileFieldRow[]> {
    return this.#fields.all(runner, { userId })
  }

  async setDisplayname(tx: Tx, userId: UserId, value: string | null): Promise<void> {
    await this.#setDisplayname.run(tx, { userId, value })
  }

  async setAvatarUrl(tx: Tx, userId: UserId, value: string | null): Promise<void> {
    await this.#setAvatarUrl.run(tx, { userId, value })
  }

  async setField(tx: Tx, userId: UserId, name: string, value: string): Promise<void> {
    await this.#setField.run(tx, { userId, name, value })
  }

  async deleteField(tx: Tx, userId: UserId, name: string): Promise<void> {
    await this.#deleteField.run(tx, { userId, name })
  }

  async deleteFields(tx: Tx, userId: UserId): Promise<void> {
    await this.#deleteFields.run(tx, { userId })
  }
}
