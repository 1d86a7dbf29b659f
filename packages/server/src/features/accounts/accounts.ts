/**
 * The accounts of this server: who exists, what they may do, their passwords and their end.
 *
 * Spec: client-server API, "Account management", "Account deactivation", "Account locking", "Account suspension".
 */
import { refuse, type MatrixError } from '@myelin/protocol/errors.ts'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import { isObject, own, type JsonObject } from '@myelin/protocol/json/json.ts'
import type { Cache, CacheBudget } from '#platform/cache/cache.ts'
import type { Clock } from '#platform/clock.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import { isUniqueViolation } from '#platform/db/dialect.ts'
import type { Logger } from '#platform/log/logger.ts'
import { AccountsStore, type AccountChange, type AccountRow, type ThreepidRow } from './accounts.store.ts'
import type { ErasedUsers } from './erased-users.ts'
import { assertAcceptablePassword, assertReadablePassword, type PasswordPolicy } from './password-policy.ts'
import { Passwords } from './passwords.ts'
import { newUserId } from './username.ts'

/** An account as the rest of the server sees it. */
export interface Account {
  readonly userId: UserId
  /** Milliseconds since 1970. */
  readonly createdTs: number
  readonly isGuest: boolean
  readonly isAdmin: boolean
  readonly isDeactivated: boolean
  readonly isErased: boolean
  readonly isLocked: boolean
  readonly isSuspended: boolean
  readonly isShadowBanned: boolean
  readonly isApproved: boolean
  readonly hasPassword: boolean
  /** `bot`, `support`, or a kind that the operator defined. */
  readonly userType: string | undefined
  /** The application service that made it. */
  readonly appserviceId: string | undefined
  /** Version of the server's policy that the user has agreed to last. */
  readonly consentVersion: string | undefined
  /** When that was, in milliseconds since 1970. */
  readonly consentTs: number | undefined
  /** Version of the policy that a notice has asked the user to agree to. */
  readonly consentServerNoticeSent: string | undefined
}

/** What a new account is made of. */
export interface NewAccount {
  readonly userId: UserId
  /** From `passwordHash`; without one nobody can log in by password. */
  readonly passwordHash?: string | undefined
  readonly isGuest?: boolean
  readonly isAdmin?: boolean
  readonly userType?: string | undefined
  readonly appserviceId?: string | undefined
}

/** Flags of an account that an administrator changes. */
export interface AccountFlags {
  readonly isAdmin?: boolean
  readonly isLocked?: boolean
  readonly isSuspended?: boolean
  readonly isShadowBanned?: boolean
  readonly isApproved?: boolean
  /** null clears it. */
  readonly userType?: string | null
}

/** Called after a deactivation is durable, in the background: leaving rooms takes its time. */
export type AfterDeactivation = (userId: UserId) => Promise<void>

/** Called inside of the transaction that deactivates an account. */
export type DeactivationListener = (tx: Tx, userId: UserId, options: { readonly erase: boolean }) => Promise<void>

/** A third-party identifier that a user has proven to own. */
export type Threepid = ThreepidRow

interface Needs {
  readonly database: Database
  readonly caches: CacheBudget
  readonly clock: Clock
  readonly serverName: string
  readonly pepper: string
  readonly policy: PasswordPolicy
  readonly allowUnderscorePrefix: boolean
  readonly logger: Logger
  readonly erased: ErasedUsers
}

export class Accounts {
  readonly #needs: Needs
  readonly #store: AccountsStore
  readonly #passwords: Passwords
  readonly #cache: Cache<string, Account | null>
  readonly #changed: ((userId: UserId) => void)[] = []
  readonly #deactivated: DeactivationListener[] = []
  readonly #afterDeactivation: AfterDeactivation[] = []
  readonly #running = new Set<Promise<void>>()
  #generation = 0

  constructor(needs: Needs) {
    this.#needs = needs
    this.#store = new AccountsStore(needs.database)
    this.#passwords = new Passwords({ pepper: needs.pepper })
    this.#cache = needs.caches.cache('accounts', () => 300)
  }

  /** The account of a user of this server; undefined where there never was one. */
  async get(userId: string): Promise<Account | undefined> {
    const cached = this.#cache.get(userId)
    if (cached !== undefined) return cached ?? undefined
    if (!this.isLocal(userId)) return undefined
    const generation = this.#generation
    const row = await this.#store.byId(userId as UserId)
    const account = row && accountOf(row)
    if (generation === this.#generation) this.#cache.set(userId, account ?? null)
    return account
  }

  /** Whether there is an account, also a deactivated one. */
  async exists(userId: string): Promise<boolean> {
    return (await this.get(userId)) !== undefined
  }

  /** As `get`. @throws M_NOT_FOUND */
  async require(userId: string): Promise<Account> {
    const account = await this.get(userId)
    if (!account) throw refuse('M_NOT_FOUND', 'There is no such user on this server.')
    return account
  }

  /** Whether a user id belongs to this server. */
  isLocal(userId: string): boolean {
    return userId.startsWith('@') && userId.indexOf(':') === userId.length - this.#needs.serverName.length - 1 && userId.endsWith(this.#needs.serverName)
  }

  /**
   * The user id of a new account with this localpart, if nobody has it yet.
   * @throws M_INVALID_USERNAME, M_USER_IN_USE
   */
  async assertAvailable(localpart: string): Promise<UserId> {
    const userId = newUserId(localpart, this.#needs)
    if ((await this.#store.byFoldedId(this.#needs.database, folded(userId))).length > 0) throw inUse()
    return userId
  }

  /** The user id that a localpart gives under the rules for new accounts. @throws M_INVALID_USERNAME */
  newUserId(localpart: string): UserId {
    return newUserId(localpart, this.#needs)
  }

  /** Adds an account inside of a transaction. @throws M_USER_IN_USE, also where two add the same name at once */
  async create(tx: Tx, account: NewAccount): Promise<void> {
    const foldedId = folded(account.userId)
    if ((await this.#store.byFoldedId(tx, foldedId)).length > 0) throw inUse()
    const row: AccountRow = {
      user_id: account.userId, folded_id: foldedId, password_hash: account.passwordHash ?? null, created_ts: this.#needs.clock.now(),
      is_guest: flag(account.isGuest), is_admin: flag(account.isAdmin), is_deactivated: 0, is_erased: 0, is_locked: 0, is_suspended: 0,
      is_shadow_banned: 0, is_approved: 1, is_leaving: 0, user_type: account.userType ?? null, appservice_id: account.appserviceId ?? null,
      consent_version: null, consent_ts: null, consent_server_notice_sent: null,
    }
    try {
      await this.#store.insert(tx, row)
    } catch (error) {
      throw isUniqueViolation(error) ? inUse() : error
    }
    tx.afterCommit(() => this.#forget(account.userId))
  }

  /** The hash of a new password. @throws M_WEAK_PASSWORD and its family, M_INVALID_PARAM */
  passwordHash(password: unknown): Promise<string> {
    assertAcceptablePassword(password, this.#needs.policy)
    return this.#passwords.hash(password)
  }

  /** Throws where a password could not be set. */
  assertAcceptablePassword(password: unknown): void {
    assertAcceptablePassword(password, this.#needs.policy)
  }

  /** Stores a hash from `passwordHash`. */
  async setPassword(tx: Tx, userId: UserId, passwordHash: string): Promise<void> {
    await this.#update(tx, userId, { password_hash: passwordHash })
  }

  /** Notes that a user has agreed to a version of the server's policy. */
  async setConsent(tx: Tx, userId: UserId, version: string): Promise<void> {
    await this.#update(tx, userId, { consent_version: version, consent_ts: this.#needs.clock.now() })
  }

  /** Notes that a notice has asked a user to agree to a version. */
  async setConsentNoticeSent(tx: Tx, userId: UserId, version: string): Promise<void> {
    await this.#update(tx, userId, { consent_server_notice_sent: version })
  }

  /** Makes a guest a user with a password. */
  async upgradeGuest(tx: Tx, userId: UserId, passwordHash: string): Promise<void> {
    await this.#update(tx, userId, { is_guest: 0, password_hash: passwordHash })
  }

  /**
   * The account that a password opens. It takes as long for an unknown user as for a wrong password.
   * @param user user id or localpart; other spellings in upper and lower case are found where they are unambiguous
   * @returns undefined where there is no such account or the password is wrong
   * @throws M_INVALID_PARAM for what cannot be a password
   */
  async byPassword(user: string, password: unknown): Promise<Account | undefined> {
    assertReadablePassword(password)
    const row = await this.#find(user)
    const { correct, outdated } = await this.#passwords.verify(password, row?.is_deactivated === 0 ? row.password_hash : undefined)
    if (!correct || !row) return undefined
    if (outdated) {
      const passwordHash = await this.#passwords.hash(password)
      await this.#needs.database.transaction((tx) => this.setPassword(tx, row.user_id, passwordHash))
    }
    return accountOf(row)
  }

  /** The account that a client means with a user id or localpart. */
  async find(user: string): Promise<Account | undefined> {
    const row = await this.#find(user)
    return row && accountOf(row)
  }

  /**
   * The `m.login.password` stage: the password must be that of `userId`.
   * @returns whether it speaks of that user at all; of others no password is looked at
   * @throws M_FORBIDDEN for a wrong password
   */
  async confirmPassword(auth: JsonObject, userId: UserId): Promise<boolean> {
    const identifier = own(auth, 'identifier')
    const named = isObject(identifier) ? own(identifier, 'user') : own(auth, 'user')
    if (typeof named === 'string' && (await this.find(named))?.userId !== userId) return false
    if (!(await this.byPassword(userId, own(auth, 'password')))) throw refuse('M_FORBIDDEN', 'The password is not correct.')
    return true
  }

  /** Changes flags; open sessions see it with their next request. */
  async setFlags(userId: UserId, flags: AccountFlags): Promise<void> {
    const change: AccountChange = {
      ...(flags.isAdmin === undefined ? {} : { is_admin: flag(flags.isAdmin) }),
      ...(flags.isLocked === undefined ? {} : { is_locked: flag(flags.isLocked) }),
      ...(flags.isSuspended === undefined ? {} : { is_suspended: flag(flags.isSuspended) }),
      ...(flags.isShadowBanned === undefined ? {} : { is_shadow_banned: flag(flags.isShadowBanned) }),
      ...(flags.isApproved === undefined ? {} : { is_approved: flag(flags.isApproved) }),
      ...(flags.userType === undefined ? {} : { user_type: flags.userType }),
    }
    if (Object.keys(change).length > 0) await this.#needs.database.transaction((tx) => this.#update(tx, userId, change))
  }

  /** Third-party identifiers of a user. */
  threepids(userId: UserId): Promise<Threepid[]> {
    return this.#store.threepids(userId)
  }

  /** The user who owns a third-party identifier. */
  async ofThreepid(medium: string, address: string): Promise<UserId | undefined> {
    return (await this.#store.ofThreepid(medium, medium === 'email' ? address.toLowerCase() : address))?.user_id
  }

  /** Calls `listener` after each durable change of an account. */
  onChanged(listener: (userId: UserId) => void): void {
    this.#changed.push(listener)
  }

  /** Calls `listener` inside of the transaction that deactivates an account. */
  onDeactivated(listener: DeactivationListener): void {
    this.#deactivated.push(listener)
  }

  /** Calls `work` after a deactivation. */
  afterDeactivation(work: AfterDeactivation): void {
    this.#afterDeactivation.push(work)
  }

  /** Resolves once nothing runs in the background. */
  async settled(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running)
  }

  /**
   * Ends an account for good: its password, identifiers and what listeners keep for it are removed; its name stays taken.
   * @param options.erase the user asks that new readers of their messages see them redacted
   */
  async deactivate(userId: UserId, options: { readonly erase: boolean }): Promise<void> {
    await this.#needs.database.transaction(async (tx) => {
      await this.#update(tx, userId, { is_deactivated: 1, is_leaving: 1, password_hash: null, ...(options.erase ? { is_erased: 1 } : {}) })
      await this.#store.deleteThreepids(tx, userId)
      if (options.erase) this.#needs.erased.set(tx, userId, true)
      for (const listener of this.#deactivated) await listener(tx, userId, options)
    })
    this.#startClearing(userId)
  }

  /** Goes on with deactivations that a restart has interrupted; called once everything is built. */
  async resume(): Promise<void> {
    for (const userId of await this.#store.leaving()) this.#startClearing(userId)
  }

  /** Gives a deactivated account back to its user, without a password. */
  async reactivate(userId: UserId): Promise<void> {
    await this.#needs.database.transaction(async (tx) => {
      await this.#update(tx, userId, { is_deactivated: 0, is_erased: 0, is_leaving: 0 })
      this.#needs.erased.set(tx, userId, false)
    })
  }

  #startClearing(userId: UserId): void {
    const run = this.#clearAway(userId).finally(() => this.#running.delete(run))
    this.#running.add(run)
  }

  async #clearAway(userId: UserId): Promise<void> {
    try {
      for (const work of this.#afterDeactivation) await work(userId)
      await this.#needs.database.transaction((tx) => this.#store.update(tx, userId, { is_leaving: 0 }))
    } catch (error) {
      this.#needs.logger.error('A deactivated account could not be cleared away completely; the next start tries again.', { userId, error })
    }
  }

  async #find(user: string): Promise<AccountRow | undefined> {
    const userId = user.startsWith('@') ? user : `@${user}:${this.#needs.serverName}`
    if (!this.isLocal(userId)) return undefined
    const exact = await this.#store.byId(userId as UserId)
    if (exact) return exact
    const candidates = await this.#store.byFoldedId(this.#needs.database, folded(userId))
    return candidates.length === 1 ? candidates[0] : undefined
  }

  async #update(tx: Tx, userId: UserId, change: AccountChange): Promise<void> {
    await this.#store.update(tx, userId, change)
    tx.afterCommit(() => this.#forget(userId))
  }

  #forget(userId: UserId): void {
    this.#generation += 1
    this.#cache.delete(userId)
    for (const listener of this.#changed) listener(userId)
  }
}

function inUse(): MatrixError {
  return refuse('M_USER_IN_USE', 'This user name is already taken; choose another one.')
}

function flag(value: boolean | undefined): number {
  return value ? 1 : 0
}

/** A user id in the spelling by which ids that differ only in upper and lower case meet. */
function folded(userId: string): string {
  return userId.toLowerCase()
}

function accountOf(row: AccountRow): Account {
  return Object.freeze({
    userId: row.user_id,
    createdTs: row.created_ts,
    isGuest: row.is_guest === 1,
    isAdmin: row.is_admin === 1,
    isDeactivated: row.is_deactivated === 1,
    isErased: row.is_erased === 1,
    isLocked: row.is_locked === 1,
    isSuspended: row.is_suspended === 1,
    isShadowBanned: row.is_shadow_banned === 1,
    isApproved: row.is_approved === 1,
    hasPassword: row.password_hash !== null,
    userType: row.user_type ?? undefined,
    appserviceId: row.appservice_id ?? undefined,
    consentVersion: row.consent_version ?? undefined,
    consentTs: row.consent_ts ?? undefined,
    consentServerNoticeSent: row.consent_server_notice_sent ?? undefined,
  })
}
