/** Queries of `key_backup_versions` and `key_backup_sessions`. */
import { sql } from 'kysely'
import type { RoomId, UserId } from '@myelin/protocol/ids/ids.ts'
import { BulkInsert } from '#platform/db/bulk-insert.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import { jsonString, pairs, pairsText } from '#platform/db/dialect.ts'
import { buildersFor, prepare, run, type Prepared } from '#platform/db/query.ts'
import type { KeyBackupSessionsTable, Tables } from '#schema/tables.gen.ts'

type BackupTables = Pick<Tables, 'key_backup_versions' | 'key_backup_sessions'>

/** A backup of a user. */
export interface BackupRow {
  readonly version: number
  readonly algorithm: string
  readonly auth_data: string
  readonly etag: number
  readonly key_count: number
  readonly deleted: number
}

/** A key of a session in a backup. */
export type SessionRow = KeyBackupSessionsTable

/** Which keys of a backup; without `roomId` all, without `sessionId` all of the room. */
export interface SessionSelection {
  readonly userId: UserId
  readonly version: number
  readonly roomId?: RoomId | undefined
  readonly sessionId?: string | undefined
}

/** Some keys of one room as JSON text. */
export interface SessionsText {
  readonly room_id: string
  /** `"session id":{…},…` */
  readonly text: string
  /** The last session that is told. */
  readonly last: string
  readonly size: number
}

/** How good the key of a session is that a backup has, if it has one. */
export interface KnownKey {
  readonly room_id: string
  readonly session_id: string
  readonly first_message_index: number | null
  readonly forwarded_count: number | null
  readonly is_verified: number | null
}

/** Where a page of keys begins: after this session of this room. */
export interface SessionPoint {
  readonly roomId: string
  readonly sessionId: string
}

interface VersionParams {
  readonly userId: UserId
  readonly version: number
}

type PointParams = VersionParams & SessionPoint

const backupColumns = ['version', 'algorithm', 'auth_data', 'etag', 'key_count', 'deleted'] as const

export class KeyBackupStore {
  readonly #database: Database
  readonly #latest: Prepared<{ userId: UserId }, BackupRow>
  readonly #one: Prepared<VersionParams, BackupRow>
  readonly #numbers: Prepared<{ userId: UserId }, { last: number | null; live: number | null }>
  readonly #create: Prepared<VersionParams & { algorithm: string; authData: string }, unknown>
  readonly #setAuthData: Prepared<VersionParams & { authData: string }, unknown>
  readonly #bump: Prepared<VersionParams & { change: number; added: number }, BackupRow>
  readonly #markDeleted: Prepared<VersionParams & { deleted: number }, unknown>
  readonly #deleteAll: Prepared<VersionParams, unknown>
  readonly #known: Prepared<VersionParams & { sessions: string }, KnownKey>
  readonly #texts: Readonly<Record<'all' | 'room', Prepared<PointParams & { limit: number }, SessionsText>>>
  readonly #session: Prepared<PointParams, SessionRow>
  readonly #put = new BulkInsert<SessionRow>(
    'keyBackup.put', 'key_backup_sessions',
    [['user_id', 'TEXT'], ['version', 'BIGINT'], ['room_id', 'TEXT'], ['session_id', 'TEXT'], ['first_message_index', 'BIGINT'],
      ['forwarded_count', 'BIGINT'], ['is_verified', 'SMALLINT'], ['session_data', 'TEXT']],
    `(user_id, version, room_id, session_id) DO UPDATE SET first_message_index = excluded.first_message_index,
      forwarded_count = excluded.forwarded_count, is_verified = excluded.is_verified, session_data = excluded.session_data`,
  )

  constructor(database: Database) {
    this.#database = database
    const db = buildersFor<BackupTables>(database.dialect)
    const versions = ({ userId, version }: VersionParams) =>
      db.selectFrom('key_backup_versions').select(backupColumns).where('user_id', '=', userId).where('version', '=', version)
    this.#latest = prepare('keyBackup.latest', ({ userId }) =>
      db.selectFrom('key_backup_versions').select(backupColumns).where('user_id', '=', userId).where('deleted', '=', 0).orderBy('version', 'desc').limit(1))
    this.#one = prepare('keyBackup.one', (params) => versions(params))
    this.#numbers = prepare('keyBackup.numbers', ({ userId }) =>
      db.selectFrom('key_backup_versions').where('user_id', '=', userId)
        .select((eb) => [eb.fn.max('version').as('last'), sql<number>`sum(1 - deleted)`.as('live')]))
    this.#create = prepare('keyBackup.create', ({ userId, version, algorithm, authData }) =>
      db.insertInto('key_backup_versions').values({ user_id: userId, version, algorithm, auth_data: authData }))
    this.#setAuthData = prepare('keyBackup.setAuthData', ({ userId, version, authData }) =>
      db.updateTable('key_backup_versions').set({ auth_data: authData }).where('user_id', '=', userId).where('version', '=', version))
    this.#bump = prepare('keyBackup.bump', ({ userId, version, change, added }) =>
      db.updateTable('key_backup_versions')
        .set({ etag: sql<number>`etag + ${change}`, key_count: sql<number>`key_count + ${added}` })
        .where('user_id', '=', userId).where('version', '=', version).where('deleted', '=', 0).returning(backupColumns))
    this.#markDeleted = prepare('keyBackup.markDeleted', ({ userId, version, deleted }) =>
      db.updateTable('key_backup_versions').set({ deleted, key_count: 0, auth_data: '{}' }).where('user_id', '=', userId).where('version', '=', version))
    this.#deleteAll = prepare('keyBackup.deleteAll', ({ userId, version }) =>
      db.deleteFrom('key_backup_sessions').where('user_id', '=', userId).where('version', '=', version))
    this.#known = prepare('keyBackup.known', ({ userId, version, sessions }) =>
      db.selectFrom(pairs(database.dialect, sessions).as('wanted'))
        // A left join keeps the planner from walking the whole backup for each pair.
        .leftJoin('key_backup_sessions as known', (join) => join.on('known.user_id', '=', userId).on('known.version', '=', version)
          .onRef('known.room_id', '=', 'wanted.first').onRef('known.session_id', '=', 'wanted.second'))
        .select(['wanted.first as room_id', 'wanted.second as session_id', 'first_message_index', 'forwarded_count', 'is_verified']))
    this.#session = prepare('keyBackup.session', ({ userId, version, roomId, sessionId }) =>
      db.selectFrom('key_backup_sessions').selectAll().where('user_id', '=', userId).where('version', '=', version)
        .where(sql.ref('room_id'), '=', roomId).where('session_id', '=', sessionId))
    const keyText = sql<string>`${jsonString(database.dialect, sql.ref('session_id'))} || ':{"first_message_index":' || first_message_index
      || ',"forwarded_count":' || forwarded_count || ',"is_verified":' || CASE WHEN is_verified = 1 THEN 'true' ELSE 'false' END
      || ',"session_data":' || session_data || '}'`
    const texts = (name: 'all' | 'room') => prepare<PointParams & { limit: number }, SessionsText>(`keyBackup.texts.${name}`, ({ userId, version, roomId, sessionId, limit }) => {
      const page = db.selectFrom('key_backup_sessions').selectAll().where('user_id', '=', userId).where('version', '=', version)
        .where(name === 'room'
          ? sql<boolean>`room_id = ${roomId} AND session_id > ${sessionId}`
          : sql<boolean>`(room_id, session_id) > (${roomId}, ${sessionId})`)
        .orderBy('room_id').orderBy('session_id').limit(limit)
      return db.selectFrom(page.as('page')).select(['room_id', sql<string>`string_agg(${keyText}, ',')`.as('text'), sql<string>`max(session_id)`.as('last')])
        .select(({ fn }) => fn.countAll<number>().as('size')).groupBy('room_id').orderBy('room_id')
    })
    this.#texts = { all: texts('all'), room: texts('room') }
  }

  latest(userId: UserId, runner: Database | Tx = this.#database): Promise<BackupRow | undefined> {
    return this.#latest.first(runner, { userId })
  }

  one(userId: UserId, version: number): Promise<BackupRow | undefined> {
    return this.#one.first(this.#database, { userId, version })
  }

  /** The highest version that the user ever had, and how many are not deleted. */
  async numbers(tx: Tx, userId: UserId): Promise<{ last: number; live: number }> {
    const row = await this.#numbers.first(tx, { userId })
    return { last: row?.last ?? 0, live: row?.live ?? 0 }
  }

  async create(tx: Tx, userId: UserId, version: number, algorithm: string, authData: string): Promise<void> {
    await this.#create.run(tx, { userId, version, algorithm, authData })
  }

  async setAuthData(tx: Tx, userId: UserId, version: number, authData: string): Promise<void> {
    await this.#setAuthData.run(tx, { userId, version, authData })
  }

  /**
   * Counts a change of a backup's keys, and keeps other changes out until the transaction ends.
   * @param change added to the etag
   * @param added added to the number of keys
   */
  bump(tx: Tx, userId: UserId, version: number, change: number, added: number): Promise<BackupRow | undefined> {
    return this.#bump.first(tx, { userId, version, change, added })
  }

  /** Deletes a backup with its keys; that it was there is remembered. */
  async deleteVersion(tx: Tx, userId: UserId, version: number): Promise<void> {
    await this.#markDeleted.run(tx, { userId, version, deleted: 1 })
    await this.#deleteAll.run(tx, { userId, version })
  }

  /** What is known of the keys of some sessions; `null` where nothing is. */
  known(tx: Tx, userId: UserId, version: number, sessions: readonly SessionPoint[]): Promise<KnownKey[]> {
    return this.#known.all(tx, { userId, version, sessions: pairsText(sessions.map(({ roomId, sessionId }) => [roomId, sessionId])) })
  }

  async put(tx: Tx, rows: readonly SessionRow[]): Promise<void> {
    await this.#put.run(tx, rows)
  }

  /** The key of one session. */
  session(userId: UserId, version: number, point: SessionPoint): Promise<SessionRow | undefined> {
    return this.#session.first(this.#database, { userId, version, ...point })
  }

  /**
   * A page of the keys of a backup as JSON text, in the order of rooms and sessions.
   * @param within whether only keys of the room of `after` are asked for
   */
  texts(userId: UserId, version: number, within: 'all' | 'room', after: SessionPoint, limit: number): Promise<SessionsText[]> {
    return this.#texts[within].all(this.#database, { userId, version, ...after, limit })
  }

  /** Deletes keys; gives how many there were. */
  async deleteSessions(tx: Tx, { userId, version, roomId, sessionId }: SessionSelection): Promise<number> {
    const db = buildersFor<BackupTables>(this.#database.dialect)
    let remove = db.deleteFrom('key_backup_sessions').where('user_id', '=', userId).where('version', '=', version)
    if (roomId !== undefined) remove = remove.where('room_id', '=', roomId)
    if (sessionId !== undefined) remove = remove.where('session_id', '=', sessionId)
    return (await run(tx, remove.returning(sql<number>`1`.as('deleted')))).length
  }
}
