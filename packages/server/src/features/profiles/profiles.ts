/**
 * Profiles of the users of this server.
 *
 * Spec: client-server API, "Profiles".
 */
import { refuse } from '@myelin/protocol/errors.ts'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import type { JsonValue } from '@myelin/protocol/json/json.ts'
import type { Memberships } from '#engine/memberships.ts'
import type { Cache, CacheBudget } from '#platform/cache/cache.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import type { Accounts } from '#features/accounts/accounts.ts'
import { assertFieldName, assertFieldValue, longestProfileBytes } from './profile-field.ts'
import { ProfilesStore } from './profiles.store.ts'
import type { ProfilePropagation } from './propagation.ts'

/** A profile: its fields by name, among them `displayname` and `avatar_url`. */
export type Profile = ReadonlyMap<string, JsonValue>

/** What events and lists show of a user. */
export interface NameAndAvatar {
  readonly displayName: string | undefined
  readonly avatarUrl: string | undefined
}

/** Asks another server for a profile. */
export interface RemoteProfiles {
  /** @throws M_NOT_FOUND, or what says that the server did not answer */
  profileOf(userId: UserId): Promise<Profile>
}

/** Says what an avatar is. */
export interface AvatarMedia {
  describe(mxcUri: string): Promise<{ readonly contentType: string | undefined; readonly sizeBytes: number } | undefined>
}

/** `max_avatar_size` and `allowed_avatar_mimetypes`; null allows all. */
export interface AvatarRules {
  readonly maxBytes: number | null
  readonly types: readonly string[] | null
}

/** Called after a profile has changed durably. */
export type ProfileListener = (userId: UserId, profile: NameAndAvatar) => void

interface Needs {
  readonly database: Database
  readonly caches: CacheBudget
  readonly accounts: Accounts
  readonly propagation: Pick<ProfilePropagation, 'profileChanged'>
  readonly memberships: Pick<Memberships, 'shareRoom'>
  /** `limit_profile_requests_to_users_who_share_rooms` */
  readonly onlyForSharedRooms: boolean
  /** `require_auth_for_profile_requests` */
  readonly onlyForUsers: boolean
  readonly avatarRules: AvatarRules
}

export class Profiles {
  readonly #needs: Needs
  readonly #store: ProfilesStore
  readonly #cache: Cache<string, Profile>
  readonly #listeners: ProfileListener[] = []
  #generation = 0
  #remote: RemoteProfiles | undefined
  #avatarMedia: AvatarMedia | undefined

  constructor(needs: Needs) {
    this.#needs = needs
    this.#store = new ProfilesStore(needs.database)
    this.#cache = needs.caches.cache('profiles', (profile) => 200 + [...profile.values()].reduce((sum: number, value) => sum + JSON.stringify(value).length * 2, 0))
    needs.accounts.onDeactivated(async (tx, userId, { erase }) => {
      if (erase) await this.erase(tx, userId)
    })
  }

  /** The profile of a user of this server; undefined for unknown and deactivated users. */
  async get(userId: UserId): Promise<Profile | undefined> {
    const account = await this.#needs.accounts.get(userId)
    if (!account || account.isDeactivated) return undefined
    return this.#load(userId)
  }

  /** Where profiles of other servers' users come from. */
  useRemote(remote: RemoteProfiles): void {
    this.#remote = remote
  }

  /** Where avatars are looked up, for the limits on them. */
  useAvatarMedia(media: AvatarMedia): void {
    this.#avatarMedia = media
  }

  /**
   * A profile for somebody who asks, also of another server's user.
   * @param asker undefined for a request without a token
   * @throws M_MISSING_TOKEN, M_FORBIDDEN where it is not to be shown; M_NOT_FOUND
   */
  async show(userId: UserId, asker: UserId | undefined): Promise<Profile> {
    const { onlyForUsers, onlyForSharedRooms, memberships, accounts } = this.#needs
    if (asker === undefined && (onlyForUsers || onlyForSharedRooms)) throw refuse('M_MISSING_TOKEN', 'Profiles are shown only to those who are logged in.')
    if (onlyForSharedRooms && asker !== undefined && asker !== userId && !(await memberships.shareRoom(asker, userId))) {
      throw refuse('M_FORBIDDEN', 'Profiles are shown only to those who share a room.')
    }
    const profile = accounts.isLocal(userId) ? await this.get(userId) : await this.#remote?.profileOf(userId)
    if (!profile) throw refuse('M_NOT_FOUND', 'There is no profile of this user.')
    return profile
  }

  /** Name and avatar as events show them; both undefined for unknown users. */
  async displayNameAndAvatar(userId: UserId): Promise<NameAndAvatar> {
    const profile = await this.get(userId)
    return { displayName: textOf(profile?.get('displayname')), avatarUrl: textOf(profile?.get('avatar_url')) }
  }

  /** Gives a new user a profile, inside of the transaction that makes the account. */
  async create(tx: Tx, userId: UserId, displayname: string | undefined): Promise<void> {
    await this.#store.setDisplayname(tx, userId, displayname || null)
    this.#changed(tx, userId)
  }

  /**
   * Sets a field; an empty name or avatar removes it.
   * @throws M_KEY_TOO_LARGE, M_PROFILE_TOO_LARGE, M_INVALID_PARAM, M_FORBIDDEN for an avatar that the operator does not allow
   */
  async set(userId: UserId, name: string, value: JsonValue): Promise<void> {
    assertFieldName(name)
    assertFieldValue(name, value)
    if (name === 'avatar_url' && typeof value === 'string' && value !== '') await this.#assertAvatar(value)
    await this.#assertFits(userId, name, value)
    await this.#write(userId, name, async (tx) => {
      if (name === 'displayname') await this.#store.setDisplayname(tx, userId, textOf(value) || null)
      else if (name === 'avatar_url') await this.#store.setAvatarUrl(tx, userId, textOf(value) || null)
      else await this.#store.setField(tx, userId, name, JSON.stringify(value))
    })
  }

  /** Removes a field; nothing happens where there is none. @throws M_KEY_TOO_LARGE, M_INVALID_PARAM */
  async delete(userId: UserId, name: string): Promise<void> {
    assertFieldName(name)
    await this.#write(userId, name, async (tx) => {
      if (name === 'displayname') await this.#store.setDisplayname(tx, userId, null)
      else if (name === 'avatar_url') await this.#store.setAvatarUrl(tx, userId, null)
      else await this.#store.deleteField(tx, userId, name)
    })
  }

  /** Removes everything, inside of a transaction. */
  async erase(tx: Tx, userId: UserId): Promise<void> {
    await this.#store.setDisplayname(tx, userId, null)
    await this.#store.setAvatarUrl(tx, userId, null)
    await this.#store.deleteFields(tx, userId)
    this.#changed(tx, userId)
  }

  /** Calls `listener` after each durable change of a name or avatar. */
  onChanged(listener: ProfileListener): void {
    this.#listeners.push(listener)
  }

  async #write(userId: UserId, name: string, write: (tx: Tx) => Promise<void>): Promise<void> {
    const before = await this.displayNameAndAvatar(userId)
    await this.#needs.database.transaction(async (tx) => {
      await write(tx)
      this.#changed(tx, userId)
    })
    if (name !== 'displayname' && name !== 'avatar_url') return
    const after = await this.displayNameAndAvatar(userId)
    if (before.displayName === after.displayName && before.avatarUrl === after.avatarUrl) return
    this.#needs.propagation.profileChanged(userId, after)
    for (const listener of this.#listeners) listener(userId, after)
  }

  async #assertFits(userId: UserId, name: string, value: JsonValue): Promise<void> {
    const fields = new Map(await this.#load(userId)).set(name, value)
    if (Buffer.byteLength(JSON.stringify([...fields])) > longestProfileBytes) {
      throw refuse('M_PROFILE_TOO_LARGE', `The whole profile would be larger than ${longestProfileBytes} bytes; remove or shorten a field.`)
    }
  }

  async #assertAvatar(url: string): Promise<void> {
    const { maxBytes, types } = this.#needs.avatarRules
    if (maxBytes === null && types === null) return
    const media = await this.#avatarMedia?.describe(url)
    if (!media) throw refuse('M_FORBIDDEN', 'The avatar must be uploaded to this server first.')
    if (maxBytes !== null && media.sizeBytes > maxBytes) throw refuse('M_FORBIDDEN', `Avatars must not be larger than ${maxBytes} bytes.`)
    if (types !== null && !types.includes(media.contentType ?? '')) throw refuse('M_FORBIDDEN', `Avatars must be of the type ${types.join(' or ')}.`)
  }

  #changed(tx: Tx, userId: UserId): void {
    tx.afterCommit(() => {
      this.#generation += 1
      this.#cache.delete(userId)
    })
  }

  async #load(userId: UserId): Promise<Profile> {
    const cached = this.#cache.get(userId)
    if (cached) return cached
    const generation = this.#generation
    const row = await this.#store.byUser(userId)
    const profile = new Map<string, JsonValue>()
    if (row && row.displayname !== null) profile.set('displayname', row.displayname)
    if (row && row.avatar_url !== null) profile.set('avatar_url', row.avatar_url)
    for (const field of await this.#store.fields(this.#needs.database, userId)) profile.set(field.name, JSON.parse(field.value))
    if (generation === this.#generation) this.#cache.set(userId, profile)
    return profile
  }
}

function textOf(value: JsonValue | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined
}
