/**
 * What users keep on the server for themselves: account data of the account and of rooms.
 *
 * Spec: client-server API, "Client Config", "Ignoring Users".
 */
import { MatrixError, refuse } from '@myelin/protocol/errors.ts'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import { isObject, type JsonObject } from '@myelin/protocol/json/json.ts'
import type { LastNumbers } from '#engine/last-numbers.ts'
import type { RoomPurgeParticipant } from '#engine/room-purging.ts'
import type { Room } from '#engine/room.ts'
import type { Cache, CacheBudget } from '#platform/cache/cache.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import type { Requester } from '#platform/http/requester.ts'
import { Stream } from '#platform/streams/stream.ts'
import { AccountDataStore, type AccountDataEntry } from './account-data.store.ts'
import { ignoredUserListType, ignoredUsersOf } from './ignored-users.ts'

export type { AccountDataEntry } from './account-data.store.ts'

/** Scope of the account data that belongs to no room. */
export const accountScope = ''

/** A row of the account data stream. */
export interface AccountDataRow extends AccountDataEntry {
  readonly userId: UserId
}

/** Turns the stored text of a type that the server manages into the content that clients read; `stored` is undefined where nothing is. */
export type RenderContent = (userId: UserId, stored: string | undefined) => string

/** Longest account data type in bytes, as for event types. */
const typeLimitBytes = 255
/** A user has at most this many pieces of account data, rooms included. */
const entriesLimit = 20_000

interface Needs {
  readonly database: Database
  readonly caches: CacheBudget
  readonly lastNumbers: LastNumbers
  /** What has an empty content counts as deleted (MSC3391). */
  readonly deletesEmpty: boolean
}

export class AccountData implements RoomPurgeParticipant {
  /** Every change, for `/sync`. */
  readonly stream: Stream<AccountDataRow>
  readonly #deletesEmpty: boolean
  readonly #database: Database
  readonly #lastNumbers: LastNumbers
  readonly #store: AccountDataStore
  readonly #global: Cache<string, ReadonlyMap<string, string>>
  readonly #ignored: Cache<string, ReadonlySet<string>>
  readonly #turns = new Map<string, Promise<void>>()
  /** Types that clients cannot write, with how they are read. */
  readonly #managed = new Map<string, RenderContent | undefined>([['m.fully_read', undefined], ['m.push_rules', undefined]])
  #generation = 0

  private constructor(needs: Needs, stream: Stream<AccountDataRow>) {
    this.stream = stream
    this.#deletesEmpty = needs.deletesEmpty
    this.#database = needs.database
    this.#lastNumbers = needs.lastNumbers
    this.#store = new AccountDataStore(needs.database)
    this.#global = needs.caches.cache('account_data', (map) => [...map.values()].reduce((sum, content) => sum + content.length + 100, 100))
    this.#ignored = needs.caches.cache('ignored_users', (users) => 100 + users.size * 100)
  }

  static async open(needs: Needs): Promise<AccountData> {
    const [row] = await needs.database.rows<{ last: number | null }>('SELECT max(stream_id) AS last FROM account_data', [])
    return new AccountData(needs, new Stream({ name: 'account_data', position: await needs.lastNumbers.above('account_data', row?.last) }))
  }

  /** Declares how the account's data of a managed type is read from what is stored under it. */
  addManaged(type: string, render: RenderContent): void {
    this.#managed.set(type, render)
  }

  /**
   * Stores what a client wants to be kept.
   * @param scope `accountScope` or a room's id
   * @throws M_BAD_JSON with 405 for a type that the server manages, M_INVALID_PARAM, M_TOO_LARGE
   */
  async put(userId: UserId, scope: string, type: string, content: JsonObject): Promise<void> {
    this.#assertUnmanaged(type)
    if (Buffer.byteLength(type) > typeLimitBytes) throw refuse('M_INVALID_PARAM', `An account data type has at most ${typeLimitBytes} bytes.`)
    const ignored = scope === accountScope && type === ignoredUserListType ? ignoredUsersOf(userId, content) : undefined
    await this.change(userId, scope, type, () => JSON.stringify(content), async (tx) => {
      if (!ignored) return
      await this.#store.setIgnored(tx, userId, ignored)
      tx.afterCommit(() => this.#ignored.delete(userId))
    })
  }

  /**
   * Deletes what a client has stored; a deleted type is told to the other devices with an empty content and is then as if it had never been.
   * @throws M_UNRECOGNIZED where the server deletes none, M_BAD_JSON with 405 for a type that the server manages
   */
  async delete(userId: UserId, scope: string, type: string): Promise<void> {
    if (!this.#deletesEmpty) throw refuse('M_UNRECOGNIZED', 'This server deletes no account data; store an empty object instead.')
    this.#assertUnmanaged(type)
    if ((await this.#store.one(userId, scope, type)) !== undefined) await this.put(userId, scope, type, {})
  }

  /**
   * Changes a stored text; changes of one user wait for each other.
   * @param edit gives the new text from the stored one, or undefined to leave it
   * @param extra writes that are committed with the change or not at all
   */
  async change(
    userId: UserId, scope: string, type: string,
    edit: (stored: string | undefined) => string | undefined, extra?: (tx: Tx) => Promise<void>,
  ): Promise<void> {
    await this.#inTurn(userId, () => this.#database.transaction(async (tx) => {
      const stored = await this.#store.one(userId, scope, type, tx)
      const content = edit(stored)
      if (content === undefined) return
      if (stored === undefined && (await this.#store.count(tx, userId)) >= entriesLimit) {
        throw refuse('M_TOO_LARGE', `An account keeps at most ${entriesLimit} pieces of account data; reuse an existing type.`)
      }
      await this.#write(tx, userId, { scope, type, content })
      await extra?.(tx)
    }))
  }

  /** Deletes everything of a user, because the account goes. An empty list stays, so that the stream's position never goes back. */
  async deleteOf(tx: Tx, userId: UserId): Promise<void> {
    await this.#store.deleteAll(tx, userId)
    await this.#store.setIgnored(tx, userId, [])
    tx.afterCommit(() => this.#ignored.delete(userId))
    await this.#write(tx, userId, { scope: accountScope, type: ignoredUserListType, content: '{"ignored_users":{}}' })
  }

  async roomPurged(tx: Tx, room: Room, limit: number): Promise<boolean> {
    await this.#lastNumbers.note(tx, 'account_data', this.stream.position)
    return this.#store.deleteRoom(tx, room.id, limit)
  }

  /** The stored text of a type. */
  getStored(userId: UserId, scope: string, type: string): Promise<string | undefined> {
    return this.#store.one(userId, scope, type)
  }

  /** Content as clients read it, JSON text. @throws M_NOT_FOUND */
  async require(userId: UserId, scope: string, type: string): Promise<string> {
    const content = scope === accountScope ? (await this.globalFor(userId)).get(type) : await this.#ofRoom(userId, scope, type)
    if (content === undefined) throw refuse('M_NOT_FOUND', `There is no account data of the type ${type}.`)
    return content
  }

  /** The account's data by type, JSON texts. What it holds is not older than the stream's position at the call. */
  async globalFor(userId: UserId): Promise<ReadonlyMap<string, string>> {
    const cached = this.#global.get(userId)
    if (cached) return cached
    const generation = this.#generation
    const map = new Map<string, string>()
    for (const { type, content } of this.#kept(await this.#store.ofScope(userId, accountScope))) map.set(type, content)
    for (const [type, render] of this.#managed) if (render) map.set(type, render(userId, map.get(type)))
    if (generation === this.#generation) this.#global.set(userId, map)
    return map
  }

  /** A room's data by type, JSON texts. */
  async roomFor(userId: UserId, roomId: string): Promise<ReadonlyMap<string, string>> {
    return new Map(this.#kept(await this.#store.ofScope(userId, roomId)).map(({ type, content }) => [type, content]))
  }

  /** The data of all rooms, by room id. */
  async roomsFor(userId: UserId): Promise<ReadonlyMap<string, readonly AccountDataEntry[]>> {
    return Map.groupBy(this.#kept(await this.#store.rooms(userId)), (entry) => entry.scope)
  }

  /** The data of some rooms. */
  async ofRooms(userId: UserId, roomIds: readonly string[]): Promise<readonly AccountDataEntry[]> {
    return this.#kept(await this.#store.ofRooms(userId, roomIds))
  }

  /** The data of one type, of all rooms. */
  async ofTypeInRooms(userId: UserId, type: string): Promise<readonly AccountDataEntry[]> {
    return this.#kept(await this.#store.ofType(userId, type))
  }

  /** What changed with `since < position <= upTo`, each type once with its newest content, as clients read it. */
  async changesSince(userId: UserId, since: number, upTo: number): Promise<AccountDataEntry[]> {
    const recent = this.stream.since(since)
    if (recent && !recent.some(({ id, row }) => id <= upTo && row.userId === userId)) return []
    const entries = recent
      ? newest(recent.filter(({ id, row }) => id <= upTo && row.userId === userId).map(({ row }) => row))
      : await this.#store.changes(userId, since, upTo)
    return entries.map((entry) => this.#rendered(userId, entry))
  }

  /** Users whom a user ignores. */
  async ignoredBy(userId: UserId): Promise<ReadonlySet<string>> {
    const cached = this.#ignored.get(userId)
    if (cached) return cached
    const generation = this.#generation
    const users = new Set(await this.#store.ignored(userId))
    if (generation === this.#generation) this.#ignored.set(userId, users)
    return users
  }

  /** Users who ignore a user. */
  ignoring(userId: string): Promise<string[]> {
    return this.#store.ignoring(userId)
  }

  #assertUnmanaged(type: string): void {
    if (this.#managed.has(type)) throw new MatrixError(405, 'M_BAD_JSON', `The server manages ${type}; use the endpoints that exist for it.`)
  }

  async #ofRoom(userId: UserId, roomId: string, type: string): Promise<string | undefined> {
    const content = await this.#store.one(userId, roomId, type)
    return content === undefined || this.#isDeleted(content) ? undefined : content
  }

  /** Without what is deleted. */
  #kept(entries: readonly AccountDataEntry[]): readonly AccountDataEntry[] {
    return entries.filter((entry) => !this.#isDeleted(entry.content))
  }

  #isDeleted(content: string): boolean {
    return this.#deletesEmpty && content === '{}'
  }

  #rendered(userId: UserId, entry: AccountDataEntry): AccountDataEntry {
    const render = entry.scope === accountScope ? this.#managed.get(entry.type) : undefined
    return render ? { ...entry, content: render(userId, entry.content) } : entry
  }

  async #write(tx: Tx, userId: UserId, entry: AccountDataEntry): Promise<void> {
    tx.afterCommit(() => {
      this.#generation += 1
      if (entry.scope === accountScope) this.#global.delete(userId)
    })
    await this.#store.set(tx, userId, entry, this.stream.append(tx, { userId, ...entry }))
  }

  async #inTurn(userId: string, work: () => Promise<void>): Promise<void> {
    const previous = this.#turns.get(userId)
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#turns.set(userId, promise)
    if (previous) await previous
    try {
      await work()
    } finally {
      resolve()
      if (this.#turns.get(userId) === promise) this.#turns.delete(userId)
    }
  }
}

/** @throws M_FORBIDDEN unless the requester is the user whose things are meant */
export function assertOwn(requester: Requester, userId: string, what: string): void {
  if (requester.userId !== userId) throw refuse('M_FORBIDDEN', `You can only use your own ${what}; put your own user id into the path.`)
}

/** A stored JSON text as an object. */
export function storedObject(text: string | undefined): JsonObject {
  const value: unknown = text === undefined ? {} : JSON.parse(text)
  return isObject(value) ? value : {}
}

function newest(rows: readonly AccountDataEntry[]): AccountDataEntry[] {
  const byKey = new Map(rows.map(({ scope, type, content }) => [`${scope}\0${type}`, { scope, type, content }]))
  return [...byKey.values()]
}
