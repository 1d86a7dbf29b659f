/**
 * Finding users by name. Shown are the names of profiles, never those that somebody uses in one room only; of users of other servers, whose profiles are
 * not here, the names that they have in rooms that everybody may read.
 *
 * Spec: client-server API, "User Directory".
 */
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import { isUserId } from '@myelin/protocol/ids/user-id.ts'
import { contentString } from '#engine/client-events.ts'
import { membershipOf, type Memberships } from '#engine/memberships.ts'
import type { Names } from '#engine/names.ts'
import type { CommitParticipant, StateChange } from '#engine/persister.ts'
import type { RoomPurgeParticipant } from '#engine/room-purging.ts'
import type { Room } from '#engine/room.ts'
import type { StoredEvent } from '#engine/stored-event.ts'
import type { CacheBudget, Cache } from '#platform/cache/cache.ts'
import type { Clock } from '#platform/clock.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import type { Logger } from '#platform/log/logger.ts'
import { UserDirectoryStore, type DirectoryUser } from './user-directory.store.ts'
import { folded, localpartOf, searchTermOf, userWords, type SearchTerm } from './words.ts'

/** What the configuration says of searches. */
export interface UserDirectoryRules {
  readonly isEnabled: boolean
  readonly searchAllUsers: boolean
  readonly preferLocalUsers: boolean
  readonly excludeRemoteUsers: boolean
  readonly showLockedUsers: boolean
}

interface Needs {
  readonly database: Database
  readonly caches: CacheBudget
  readonly clock: Clock
  readonly names: Names
  readonly memberships: Memberships
  readonly logger: Logger
  readonly rules: UserDirectoryRules
}

/** A user as a client sees one in the directory. */
export interface FoundUser {
  readonly user_id: UserId
  readonly display_name?: string
  readonly avatar_url?: string
}

/** A user of another server as a room shows one. */
interface RemoteMember extends DirectoryUser {
  readonly roomNid: number
}

const maxLimit = 50
/** Users whom one search ranks. */
const maxCandidates = 500
const batchSize = 500
/** Registrations are looked at again for this long, in case that clocks or commits are out of order. */
const overlapMs = 60_000

export class UserDirectory implements CommitParticipant, RoomPurgeParticipant {
  readonly #needs: Needs
  readonly #store: UserDirectoryStore
  /** What the directory shows of remote users, as `shownText` writes it; empty where only the id is known. */
  readonly #known: Cache<string, string>
  #caughtUpTs: number | undefined
  #work: Promise<void> = Promise.resolve()

  constructor(needs: Needs) {
    this.#needs = needs
    this.#store = new UserDirectoryStore(needs.database)
    this.#known = needs.caches.cache('user_directory_known', () => 100)
  }

  /** Records who may be found, in the transaction of the events that say so. */
  async commit(tx: Tx, _events: readonly StoredEvent[], changes: readonly StateChange[]): Promise<void> {
    const isPublic = new Map<number, boolean>()
    const isWorldReadable = new Map<number, boolean>()
    const remote: RemoteMember[] = []
    for (const { room, type, stateKey, event } of changes) {
      if (type === 'm.room.join_rules' && stateKey === '') isPublic.set(room.nid, contentString(event, 'join_rule') === 'public')
      if (type === 'm.room.history_visibility' && stateKey === '') isWorldReadable.set(room.nid, contentString(event, 'history_visibility') === 'world_readable')
      if (type === 'm.room.member' && event && membershipOf(event) === 'join' && this.#isRemote(stateKey)) remote.push(remoteMember(stateKey, event))
    }
    await this.#store.setPublic(tx, [...isPublic].map(([nid, value]) => ({ room_nid: nid, is_public: value ? 1 : 0, is_world_readable: 0 })))
    await this.#store.setWorldReadable(tx, [...isWorldReadable].map(([nid, value]) => ({ room_nid: nid, is_public: 0, is_world_readable: value ? 1 : 0 })))
    if (remote.length > 0) await this.#learn(tx, remote)
  }

  async #learn(tx: Tx, members: readonly RemoteMember[]): Promise<void> {
    const isShown = (user: RemoteMember): boolean => this.#known.get(user.user_id) === shownText(user)
    const changed = members.filter((member) => !isShown(member))
    if (changed.length === 0) return
    const unknown = new Set(changed.map((member) => member.user_id).filter((userId) => this.#known.get(userId) === undefined))
    await this.#store.learn(tx, [...unknown].map((userId) => ({ userId, words: userWords(userId, undefined) })))
    const open = await this.#store.openAmong(tx, [...new Set(changed.map((member) => member.roomNid))])
    const named = new Map(changed.filter((member) => open.has(member.roomNid)).map((member) => [member.user_id, member]))
    await this.#store.set(tx, [...named.values()].map(withWords))
    tx.afterCommit(() => {
      for (const userId of unknown) this.#known.set(userId, '')
      for (const [userId, member] of named) this.#known.set(userId, shownText(member))
    })
  }

  async roomPurged(tx: Tx, room: Room): Promise<boolean> {
    await this.#store.deleteRoom(tx, room.nid)
    return false
  }

  /** Shows a user's changed profile; of remote users, what their server says it is. */
  profileChanged(userId: UserId, profile: { readonly displayName: string | undefined; readonly avatarUrl: string | undefined }): void {
    const user = { user_id: userId, display_name: profile.displayName ?? null, avatar_url: profile.avatarUrl ?? null }
    this.#work = this.#work.then(() => this.#write([user])).catch((error: unknown) => {
      this.#needs.logger.error('A changed profile could not be shown in the user directory; it will be after the next start.', { error })
    })
  }

  /** Resolves when everything that was handed over is stored. */
  async settled(): Promise<void> {
    await this.#work
  }

  /** Finds users. */
  async search(searcher: UserId, text: string, limit: number): Promise<{ results: FoundUser[]; limited: boolean }> {
    const { rules, names } = this.#needs
    const term = searchTermOf(text)
    const [word] = [...term.words].sort((a, b) => b.length - a.length)
    if (!rules.isEnabled || word === undefined) return { results: [], limited: false }
    await this.#catchUp()
    const candidates = await this.#store.search({
      searcher, searcherNid: await names.find(searcher), word, everybody: rules.searchAllUsers, showLocked: rules.showLockedUsers,
      localOnly: rules.excludeRemoteUsers, limit: maxCandidates,
    })
    const matching = await this.#matching(candidates, term)
    const ranked = matching.map((user) => ({ user, rank: this.#rank(user, term) })).sort((a, b) => b.rank - a.rank || (a.user.user_id < b.user.user_id ? -1 : 1))
    const count = Math.min(maxLimit, Math.max(0, limit))
    return { results: ranked.slice(0, count).map(({ user }) => shown(user)), limited: ranked.length > count || candidates.length === maxCandidates }
  }

  #isRemote(userId: string): userId is UserId {
    return isUserId(userId) && !this.#needs.memberships.isLocal(userId)
  }

  /** Takes in accounts that were made since the last search; the first time all whose profile the directory shows wrongly. */
  async #catchUp(): Promise<void> {
    await this.#work
    const now = this.#needs.clock.now()
    for (;;) {
      const users = await this.#store.outdated(this.#caughtUpTs, batchSize)
      await this.#write(users)
      if (users.length < batchSize) break
    }
    this.#caughtUpTs = now - overlapMs
  }

  async #write(users: readonly DirectoryUser[]): Promise<void> {
    if (users.length === 0) return
    await this.#needs.database.transaction((tx) => this.#store.set(tx, users.map(withWords)))
  }

  /** Those of the candidates of whom every word of the term begins some word. */
  async #matching(candidates: readonly DirectoryUser[], term: SearchTerm): Promise<readonly DirectoryUser[]> {
    const onServer = candidates.filter((user) => folded(user.user_id.slice(user.user_id.indexOf(':') + 1)).startsWith(term.server))
    if (term.words.length === 1 || onServer.length === 0) return onServer
    const words = Map.groupBy(await this.#store.words(onServer.map((user) => user.user_id)), (row) => row.user_id)
    return onServer.filter((user) => term.words.every((word) => (words.get(user.user_id) ?? []).some((row) => row.word.startsWith(word))))
  }

  #rank(user: DirectoryUser, term: SearchTerm): number {
    const localpart = folded(localpartOf(user.user_id))
    const name = folded(user.display_name ?? '')
    const text = term.server === '' ? term.text : term.text.slice(0, term.text.indexOf(':'))
    let rank = 0
    if (localpart === text || name === text) rank += 8
    else if (localpart.startsWith(text) || name.startsWith(text)) rank += 4
    if (this.#needs.rules.preferLocalUsers && this.#needs.memberships.isLocal(user.user_id)) rank += 16
    if (user.display_name !== null) rank += 1
    if (user.avatar_url !== null) rank += 1
    return rank
  }
}

function shown({ user_id, display_name: name, avatar_url: avatar }: DirectoryUser): FoundUser {
  return { user_id, ...(name === null ? {} : { display_name: name }), ...(avatar === null ? {} : { avatar_url: avatar }) }
}

function remoteMember(userId: UserId, event: StoredEvent): RemoteMember {
  // Databases take no NUL in text, and an event with one must not fail.
  const [name, avatar] = ['displayname', 'avatar_url'].map((key) => contentString(event, key)?.replaceAll('\0', '') ?? null)
  return { roomNid: event.room.nid, user_id: userId, display_name: name ?? null, avatar_url: avatar ?? null }
}

function shownText(user: DirectoryUser): string {
  return JSON.stringify([user.display_name, user.avatar_url])
}

function withWords({ user_id, display_name, avatar_url }: DirectoryUser) {
  return { user_id, display_name, avatar_url, words: userWords(user_id, display_name ?? undefined) }
}
