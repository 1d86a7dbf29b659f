/**
 * Queries of `open_rooms`, `user_directory` and `user_directory_words`. Accounts and profiles are read, so that the directory can catch up with
 * them; memberships are read, because who is visible depends on them.
 */
import { sql, type RawBuilder, type Selectable, type SqlBool } from 'kysely'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import { BulkInsert } from '#platform/db/bulk-insert.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import { anyOf } from '#platform/db/dialect.ts'
import { PagedDelete } from '#platform/db/paged-delete.ts'
import { buildersFor, prepare, run, type Prepared } from '#platform/db/query.ts'
import type { OpenRoomsTable, Tables, UserDirectoryWordsTable } from '#schema/tables.gen.ts'

type OpenRoomRow = Selectable<OpenRoomsTable>

type OwnTables = Pick<Tables, 'open_rooms' | 'user_directory' | 'user_directory_words' | 'interned_strings' | 'memberships' | 'users' | 'profiles'>

/** A user as the directory shows one. */
export interface DirectoryUser {
  readonly user_id: UserId
  readonly display_name: string | null
  readonly avatar_url: string | null
}

/** Who is looked for, by whom. */
export interface UserQuery {
  readonly searcher: UserId
  /** Number of the searcher's id, undefined where the searcher never was in a room. */
  readonly searcherNid: number | undefined
  /** The first word; users with a word that begins with it are found. */
  readonly word: string
  readonly everybody: boolean
  readonly showLocked: boolean
  readonly localOnly: boolean
  readonly limit: number
}

export class UserDirectoryStore {
  readonly #database: Database
  readonly #setPublic = new BulkInsert<OpenRoomRow>(
    'userDirectory.setPublic', 'open_rooms', [['room_nid', 'BIGINT'], ['is_public', 'SMALLINT'], ['is_world_readable', 'SMALLINT']],
    '(room_nid) DO UPDATE SET is_public = excluded.is_public',
  )
  readonly #setWorldReadable = new BulkInsert<OpenRoomRow>(
    'userDirectory.setWorldReadable', 'open_rooms', [['room_nid', 'BIGINT'], ['is_public', 'SMALLINT'], ['is_world_readable', 'SMALLINT']],
    '(room_nid) DO UPDATE SET is_world_readable = excluded.is_world_readable',
  )
  readonly #learn = new BulkInsert<{ user_id: UserId }>('userDirectory.learn', 'user_directory', [['user_id', 'TEXT']], '(user_id) DO NOTHING')
  readonly #insertWords = new BulkInsert<UserDirectoryWordsTable>(
    'userDirectory.insertWords', 'user_directory_words', [['word', 'TEXT'], ['user_id', 'TEXT']], '(word, user_id) DO NOTHING',
  )
  readonly #deleteRoom = new PagedDelete('userDirectory.deleteRoom', 'open_rooms', 'room_nid', ['room_nid'])
  readonly #set = new BulkInsert<DirectoryUser>(
    'userDirectory.set', 'user_directory', [['user_id', 'TEXT'], ['display_name', 'TEXT'], ['avatar_url', 'TEXT']],
    '(user_id) DO UPDATE SET display_name = excluded.display_name, avatar_url = excluded.avatar_url',
  )
  readonly #deleteWords: Prepared<{ userIds: readonly UserId[] }, unknown>
  readonly #openAmong: Prepared<{ roomNids: readonly number[] }, { room_nid: number }>
  readonly #outdated: Prepared<{ limit: number }, DirectoryUser>
  readonly #outdatedSince: Prepared<{ since: number; limit: number }, DirectoryUser>

  constructor(database: Database) {
    this.#database = database
    const db = buildersFor<OwnTables>(database.dialect)
    this.#deleteWords = prepare('userDirectory.deleteWords', ({ userIds }) => db.deleteFrom('user_directory_words').where(anyOf(database.dialect, sql.ref('user_id'), userIds)))
    this.#openAmong = prepare('userDirectory.openAmong', ({ roomNids }) =>
      db.selectFrom('open_rooms').select('room_nid').where(anyOf(database.dialect, sql.ref('room_nid'), roomNids))
        .where(sql<SqlBool>`(is_public = 1 OR is_world_readable = 1)`))
    const outdated = db.selectFrom('users')
      .leftJoin('profiles', 'profiles.user_id', 'users.user_id').leftJoin('user_directory', 'user_directory.user_id', 'users.user_id')
      .select([sql<UserId>`users.user_id`.as('user_id'), 'profiles.displayname as display_name', 'profiles.avatar_url'])
      .where(sql<SqlBool>`(user_directory.user_id IS NULL OR COALESCE(user_directory.display_name, '') <> COALESCE(profiles.displayname, '')
        OR COALESCE(user_directory.avatar_url, '') <> COALESCE(profiles.avatar_url, ''))`)
    this.#outdated = prepare('userDirectory.outdated', ({ limit }) => outdated.limit(limit))
    this.#outdatedSince = prepare('userDirectory.outdatedSince', ({ since, limit }) => outdated.where('users.created_ts', '>=', since).limit(limit))
  }

  async setPublic(tx: Tx, rows: readonly OpenRoomRow[]): Promise<void> {
    await this.#setPublic.run(tx, rows)
  }

  async setWorldReadable(tx: Tx, rows: readonly OpenRoomRow[]): Promise<void> {
    await this.#setWorldReadable.run(tx, rows)
  }

  /** Deletes what is known of a room. */
  async deleteRoom(tx: Tx, roomNid: number): Promise<void> {
    await this.#deleteRoom.run(tx, roomNid, 1)
  }

  /** Adds users of whom nothing but the id is known. */
  async learn(tx: Tx, users: readonly { readonly userId: UserId; readonly words: readonly string[] }[]): Promise<void> {
    await this.#learn.run(tx, users.map(({ userId }) => ({ user_id: userId })))
    await this.#insertWords.run(tx, users.flatMap(({ userId, words }) => words.map((word) => ({ word, user_id: userId }))))
  }

  /** Sets what is shown of users, and the words by which they are found. No user may come twice. */
  async set(tx: Tx, users: readonly (DirectoryUser & { readonly words: readonly string[] })[]): Promise<void> {
    if (users.length === 0) return
    await this.#set.run(tx, users)
    await this.#deleteWords.run(tx, { userIds: users.map((user) => user.user_id) })
    await this.#insertWords.run(tx, users.flatMap((user) => user.words.map((word) => ({ word, user_id: user.user_id }))))
  }

  /** Those of some rooms that everybody may join or read. */
  async openAmong(tx: Tx, roomNids: readonly number[]): Promise<Set<number>> {
    return new Set((await this.#openAmong.all(tx, { roomNids })).map((row) => row.room_nid))
  }

  /** Local users whose profile is not what the directory shows; of those only that registered since then, where given. */
  outdated(since: number | undefined, limit: number): Promise<DirectoryUser[]> {
    return since === undefined ? this.#outdated.all(this.#database, { limit }) : this.#outdatedSince.all(this.#database, { since, limit })
  }

  /** Users whom a searcher may see, those whose word is the one looked for first. */
  search(query: UserQuery): Promise<DirectoryUser[]> {
    const db = buildersFor<OwnTables>(this.#database.dialect)
    const found = db.selectFrom('user_directory_words').select('user_id').select(sql<number>`MAX(CASE WHEN word = ${query.word} THEN 1 ELSE 0 END)`.as('is_whole'))
      .where('word', '>=', query.word).where('word', '<', `${query.word}\u{10ffff}`).groupBy('user_id')
    let select = db.selectFrom(found.as('found'))
      .innerJoin('user_directory', (join) => join.on(sql<boolean>`user_directory.user_id = found.user_id`))
      .leftJoin('users', (join) => join.on(sql<boolean>`users.user_id = found.user_id`))
      .select([sql<UserId>`user_directory.user_id`.as('user_id'), 'user_directory.display_name', 'user_directory.avatar_url'])
      .where(sql<SqlBool>`(users.user_id IS NULL OR (users.is_deactivated = 0 AND COALESCE(users.user_type, '') <> 'support'))`)
    if (query.everybody) select = select.where(sql<SqlBool>`user_directory.user_id <> ${query.searcher}`)
    else select = select.where(this.#visible(query))
    if (!query.showLocked) select = select.where(sql<SqlBool>`(users.is_locked IS NULL OR users.is_locked = 0)`)
    if (query.localOnly) select = select.where('users.user_id', 'is not', null)
    return run(this.#database, select.orderBy('found.is_whole', 'desc').orderBy('user_directory.user_id').limit(query.limit))
  }

  /** Of some users, the words. */
  words(userIds: readonly string[]): Promise<UserDirectoryWordsTable[]> {
    const db = buildersFor<OwnTables>(this.#database.dialect)
    return run(this.#database, db.selectFrom('user_directory_words').selectAll().where(anyOf(this.#database.dialect, sql.ref('user_id'), userIds)))
  }

  /** Who is in a room that everybody may join or read, the searcher as well, or in one that the searcher is in. */
  #visible({ searcher, searcherNid }: UserQuery): RawBuilder<SqlBool> {
    const shared = searcherNid === undefined ? sql`` : sql`OR EXISTS (
      SELECT 1 FROM memberships mine WHERE user_directory.user_id <> ${searcher} AND mine.user_nid = ${searcherNid} AND mine.membership = 'join' AND mine.room_nid = theirs.room_nid)`
    return sql<SqlBool>`EXISTS (
      SELECT 1 FROM interned_strings JOIN memberships theirs ON theirs.user_nid = interned_strings.string_nid
      LEFT JOIN open_rooms ON open_rooms.room_nid = theirs.room_nid
      WHERE interned_strings.string = user_directory.user_id AND theirs.membership = 'join'
        AND (open_rooms.is_public = 1 OR open_rooms.is_world_readable = 1 ${shared}))`
  }
}
