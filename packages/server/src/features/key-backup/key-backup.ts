/**
 * Backups of room keys: each user has versions, of which the newest takes keys.
 *
 * Spec: client-server API, "Server-side key backups".
 */
import { refuse } from '@myelin/protocol/errors.ts'
import type { RoomId, UserId } from '@myelin/protocol/ids/ids.ts'
import { isObject, own, type JsonObject, type JsonValue } from '@myelin/protocol/json/json.ts'
import { canonicalJson } from '@myelin/protocol/json/canonical.ts'
import { isUniqueViolation } from '#platform/db/dialect.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import { KeyBackupStore, type BackupRow, type SessionPoint, type SessionRow, type SessionsText } from './key-backup.store.ts'

/** A key of a session as clients send and get it. */
export interface SessionKey {
  readonly roomId: string
  readonly sessionId: string
  readonly firstMessageIndex: number
  readonly forwardedCount: number
  readonly isVerified: boolean
  /** JSON text. */
  readonly sessionData: string
}

/** What a change of keys answers. */
export interface BackupState {
  readonly etag: string
  readonly count: number
}

/** What a client needs to use a backup, an object; old clients store a text. */
export type AuthData = JsonObject | string

/** Part of a backup: everything, a room, or one session. */
export interface BackupPart {
  readonly roomId?: string | undefined
  readonly sessionId?: string | undefined
}

/** Backups of a user that are not deleted. */
const liveLimit = 100
/** Keys of one backup. */
const keyLimit = 1_000_000
/** Keys that are read at a time. */
const keysPerPage = 500
const longestAuthData = 65_536
const longestSessionData = 65_536
const longestId = 255

export class KeyBackups {
  readonly #database: Database
  readonly #store: KeyBackupStore

  constructor(needs: { readonly database: Database }) {
    this.#database = needs.database
    this.#store = new KeyBackupStore(needs.database)
  }

  /** Makes a new backup, which from now on takes the keys. @throws M_TOO_LARGE, M_RESOURCE_LIMIT_EXCEEDED where the user has very many */
  async create(userId: UserId, algorithm: string, authData: AuthData): Promise<string> {
    const text = authDataText(authData)
    if (algorithm.length > longestId) throw refuse('M_TOO_LARGE', `"algorithm" is longer than ${longestId} characters.`)
    for (;;) {
      try {
        return await this.#database.transaction(async (tx) => {
          const { last, live } = await this.#store.numbers(tx, userId)
          if (live >= liveLimit) throw refuse('M_RESOURCE_LIMIT_EXCEEDED', `You have ${live} key backups; delete some of them first.`)
          await this.#store.create(tx, userId, last + 1, algorithm, text)
          return String(last + 1)
        })
      } catch (error) {
        // Another request has taken the number; the next one is free.
        if (!isUniqueViolation(error)) throw error
      }
    }
  }

  /** A backup, or the newest one, as JSON text. @throws M_NOT_FOUND */
  async info(userId: UserId, version?: string): Promise<string> {
    const row = version === undefined ? await this.#store.latest(userId) : await this.#require(userId, version)
    if (!row) throw refuse('M_NOT_FOUND', 'You have no key backup.')
    const { etag, count } = stateOf(row)
    return `{"algorithm":${JSON.stringify(row.algorithm)},"auth_data":${row.auth_data},"count":${count},"etag":"${etag}","version":"${row.version}"}`
  }

  /** Replaces `auth_data` of a backup. @throws M_NOT_FOUND, M_INVALID_PARAM where algorithm or version differ */
  async update(
    userId: UserId, version: string, body: { readonly algorithm: string; readonly authData: AuthData; readonly version: string | undefined },
  ): Promise<void> {
    const row = await this.#require(userId, version)
    if (body.version !== undefined && body.version !== version) throw refuse('M_INVALID_PARAM', '"version" in the body must be the version in the path.')
    if (body.algorithm !== row.algorithm) throw refuse('M_INVALID_PARAM', `The algorithm of a backup cannot change; it is ${row.algorithm}.`)
    const text = authDataText(body.authData)
    await this.#database.transaction((tx) => this.#store.setAuthData(tx, userId, row.version, text))
  }

  /** Deletes a backup with its keys; a deleted one may be deleted again. @throws M_NOT_FOUND */
  async delete(userId: UserId, version: string): Promise<void> {
    const row = await this.#find(userId, version)
    if (!row) throw unknownVersion()
    if (row.deleted === 0) await this.#database.transaction((tx) => this.#store.deleteVersion(tx, userId, row.version))
  }

  /**
   * Stores keys in the newest backup. Of two keys of a session the better one stays.
   * @throws M_WRONG_ROOM_KEYS_VERSION with `current_version` for another backup, M_NOT_FOUND where there is none, M_TOO_LARGE
   */
  async putKeys(userId: UserId, version: string, keys: readonly SessionKey[]): Promise<BackupState> {
    return this.#database.transaction(async (tx) => {
      const current = await this.#store.latest(userId, tx)
      if (!current) throw refuse('M_NOT_FOUND', 'You have no key backup; create one first.')
      if (String(current.version) !== version) {
        const extra = { current_version: String(current.version) }
        throw refuse('M_WRONG_ROOM_KEYS_VERSION', `Keys can only be stored in the current backup, version ${current.version}.`, extra)
      }
      return this.#write(tx, userId, current.version, keys)
    })
  }

  /** The key of one session as JSON text. @throws M_NOT_FOUND where there is no such backup, or no such key in it */
  async key(userId: UserId, version: string, session: SessionPoint): Promise<string> {
    const row = await this.#require(userId, version)
    const key = await this.#store.session(userId, row.version, session)
    if (!key) throw refuse('M_NOT_FOUND', 'The backup has no key of that session.')
    return `{"first_message_index":${key.first_message_index},"forwarded_count":${key.forwarded_count},"is_verified":${key.is_verified === 1},"session_data":${key.session_data}}`
  }

  /**
   * The keys of a backup as parts of a JSON text `{"rooms":{…}}`, or of `{"sessions":{…}}` of one room; memory holds one page at a time.
   * @throws M_NOT_FOUND where there is no such backup
   */
  async keys(userId: UserId, version: string, roomId?: string): Promise<AsyncIterable<string>> {
    const row = await this.#require(userId, version)
    return roomId === undefined ? this.#allTexts(userId, row.version) : this.#roomTexts(userId, row.version, roomId)
  }

  async *#allTexts(userId: UserId, version: number): AsyncGenerator<string> {
    yield '{"rooms":{'
    let room: string | undefined
    for await (const { room_id: roomId, text } of this.#pages(userId, version, 'all', '')) {
      const begin = `${room === undefined ? '' : '}},'}${JSON.stringify(roomId)}:{"sessions":{`
      yield roomId === room ? `,${text}` : `${begin}${text}`
      room = roomId
    }
    yield room === undefined ? '}}' : '}}}}'
  }

  async *#roomTexts(userId: UserId, version: number, roomId: string): AsyncGenerator<string> {
    yield '{"sessions":{'
    let isFirst = true
    for await (const { text } of this.#pages(userId, version, 'room', roomId)) {
      yield isFirst ? text : `,${text}`
      isFirst = false
    }
    yield '}}'
  }

  async *#pages(userId: UserId, version: number, within: 'all' | 'room', roomId: string): AsyncGenerator<SessionsText> {
    let after: SessionPoint | undefined = { roomId, sessionId: '' }
    while (after !== undefined) {
      const page: readonly SessionsText[] = await this.#store.texts(userId, version, within, after, keysPerPage)
      yield* page
      const last = page.at(-1)
      const isFull = page.reduce((size, part) => size + part.size, 0) === keysPerPage
      after = last && isFull ? { roomId: last.room_id, sessionId: last.last } : undefined
    }
  }

  /** Deletes keys of a backup. @throws M_NOT_FOUND where there is no such backup */
  async deleteKeys(userId: UserId, version: string, part: BackupPart): Promise<BackupState> {
    const row = await this.#require(userId, version)
    return this.#database.transaction(async (tx) => {
      if (!(await this.#store.bump(tx, userId, row.version, 0, 0))) throw unknownVersion()
      const deleted = await this.#store.deleteSessions(tx, selection(userId, row.version, part))
      const after = await this.#store.bump(tx, userId, row.version, deleted > 0 ? 1 : 0, -deleted)
      return stateOf(after ?? row)
    })
  }

  /** Deletes all backups of a user, within a transaction. */
  async deleteUser(tx: Tx, userId: UserId): Promise<void> {
    for (let row = await this.#store.latest(userId, tx); row; row = await this.#store.latest(userId, tx)) {
      await this.#store.deleteVersion(tx, userId, row.version)
    }
  }

  async #write(tx: Tx, userId: UserId, version: number, keys: readonly SessionKey[]): Promise<BackupState> {
    // The first update keeps other requests out, so that what is read next stays true.
    const locked = await this.#store.bump(tx, userId, version, 0, 0)
    if (!locked) throw unknownVersion()
    const known = new Map<string, Rank>()
    for (const row of locked.key_count === 0 ? [] : await this.#store.known(tx, userId, version, keys)) {
      const { first_message_index: firstMessageIndex, forwarded_count: forwardedCount } = row
      if (firstMessageIndex === null || forwardedCount === null) continue
      const rank = { isVerified: row.is_verified === 1, firstMessageIndex, forwardedCount }
      known.set(nameOf(row.room_id, row.session_id), rank)
    }
    const before = known.size
    const better = new Map<string, SessionKey>()
    const added = new Set<string>()
    for (const key of keys) {
      const name = nameOf(key.roomId, key.sessionId)
      const other = known.get(name)
      if (other && !isBetter(key, other)) continue
      if (!other) added.add(name)
      known.set(name, key)
      better.set(name, key)
    }
    if (locked.key_count + added.size > keyLimit) throw refuse('M_TOO_LARGE', `A backup may hold at most ${keyLimit} keys; create a new one.`)
    await this.#store.put(tx, [...better.values()].map((key) => rowOf(userId, version, key)))
    const after = await this.#store.bump(tx, userId, version, better.size > 0 ? 1 : 0, known.size - before)
    return stateOf(after ?? locked)
  }

  async #find(userId: UserId, version: string): Promise<BackupRow | undefined> {
    return /^[1-9]\d{0,14}$/.test(version) ? this.#store.one(userId, Number(version)) : undefined
  }

  async #require(userId: UserId, version: string): Promise<BackupRow> {
    const row = await this.#find(userId, version)
    if (!row || row.deleted === 1) throw unknownVersion()
    return row
  }
}

type Rank = Pick<SessionKey, 'isVerified' | 'firstMessageIndex' | 'forwardedCount'>

/** Whether a key replaces another of the same session: verified before unverified, then the lower index, then fewer hands. */
export function isBetter(key: Rank, other: Rank): boolean {
  if (key.isVerified !== other.isVerified) return key.isVerified
  if (key.firstMessageIndex !== other.firstMessageIndex) return key.firstMessageIndex < other.firstMessageIndex
  return key.forwardedCount < other.forwardedCount
}

/** Reads the key of one session. @throws M_BAD_JSON, M_MISSING_PARAM, M_TOO_LARGE */
export function readSession(roomId: string, sessionId: string, value: JsonValue | undefined): SessionKey {
  const where = `The key of session ${sessionId} of room ${roomId}`
  if (Buffer.byteLength(roomId) > longestId || Buffer.byteLength(sessionId) > longestId) {
    throw refuse('M_TOO_LARGE', `${where} has an id longer than ${longestId} bytes.`)
  }
  if (!isObject(value)) throw refuse('M_BAD_JSON', `${where} must be an object.`)
  for (const field of ['first_message_index', 'forwarded_count', 'is_verified', 'session_data']) {
    if (own(value, field) === undefined) throw refuse('M_MISSING_PARAM', `${where} lacks "${field}".`)
  }
  const [firstMessageIndex, forwardedCount] = [own(value, 'first_message_index'), own(value, 'forwarded_count')]
  const [isVerified, sessionData] = [own(value, 'is_verified'), own(value, 'session_data')]
  if (!isCount(firstMessageIndex) || !isCount(forwardedCount) || typeof isVerified !== 'boolean' || !(isObject(sessionData) || typeof sessionData === 'string')) {
    throw refuse('M_BAD_JSON', `${where} needs the integers first_message_index and forwarded_count from 0, the boolean is_verified, the object or text session_data.`)
  }
  const text = JSON.stringify(sessionData)
  if (text.length > longestSessionData) throw refuse('M_TOO_LARGE', `${where} is larger than ${longestSessionData} bytes.`)
  return { roomId, sessionId, firstMessageIndex, forwardedCount, isVerified, sessionData: text }
}

/** Reads `{ sessions }` of a room. */
export function readRoom(roomId: string, value: JsonValue | undefined): SessionKey[] {
  const sessions = isObject(value) ? own(value, 'sessions') : undefined
  if (!isObject(sessions)) throw refuse('M_BAD_JSON', `The keys of room ${roomId} must be an object with the object "sessions".`)
  return Object.entries(sessions).map(([sessionId, key]) => readSession(roomId, sessionId, key))
}

/** Reads `{ rooms }`. */
export function readRooms(body: JsonObject): SessionKey[] {
  const rooms = own(body, 'rooms')
  if (!isObject(rooms)) throw refuse('M_BAD_JSON', 'The body must have the object "rooms".')
  return Object.entries(rooms).flatMap(([roomId, room]) => readRoom(roomId, room))
}

function isCount(value: JsonValue | undefined): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}

function authDataText(authData: AuthData): string {
  const text = canonicalJson(authData)
  if (text.length > longestAuthData) throw refuse('M_TOO_LARGE', `"auth_data" is larger than ${longestAuthData} bytes.`)
  return text
}

function selection(userId: UserId, version: number, { roomId, sessionId }: BackupPart) {
  return { userId, version, roomId: roomId as RoomId | undefined, sessionId }
}

function rowOf(userId: UserId, version: number, key: SessionKey): SessionRow {
  return {
    user_id: userId,
    version,
    room_id: key.roomId as RoomId,
    session_id: key.sessionId,
    first_message_index: key.firstMessageIndex,
    forwarded_count: key.forwardedCount,
    is_verified: key.isVerified ? 1 : 0,
    session_data: key.sessionData,
  }
}

function stateOf(row: BackupRow): BackupState {
  return { etag: String(row.etag), count: row.key_count }
}

function nameOf(roomId: string, sessionId: string): string {
  return `${roomId.length} ${roomId} ${sessionId}`
}

function unknownVersion(): Error {
  return refuse('M_NOT_FOUND', 'You have no key backup of that version.')
}
