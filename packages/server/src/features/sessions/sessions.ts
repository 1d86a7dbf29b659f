/**
 * Who is logged in: access tokens, refresh tokens and login tokens.
 *
 * Spec: client-server API, "Using access tokens", "Refreshing access tokens", "Soft logout", "Token-based login".
 */
import { refuse, type MatrixError } from '@myelin/protocol/errors.ts'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import type { Cache, CacheBudget } from '#platform/cache/cache.ts'
import type { Clock } from '#platform/clock.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import type { Credentials, Requester } from '#platform/http/requester.ts'
import type { Logger } from '#platform/log/logger.ts'
import type { Accounts } from '#features/accounts/accounts.ts'
import { assertDeviceId, assertDisplayName, newDeviceId, type Devices } from '#features/devices/devices.ts'
import { LastSeen, type SeenMark } from './last-seen.ts'
import { SessionsStore, type AccessTokenRow, type RefreshTokenRow } from './sessions.store.ts'
import { newToken, randomNumber, randomText, tokenHash } from './tokens.ts'

/** Lifetimes in milliseconds; null means for ever. */
export interface SessionLifetimes {
  /** `session_lifetime` or `nonrefreshable_access_token_lifetime`, whichever is set. */
  readonly accessTokenMs: number | null
  readonly refreshableAccessTokenMs: number
  readonly refreshTokenMs: number | null
  /** The whole session, however often it is refreshed. */
  readonly sessionMs: number | null
}

/** What a client asks for when it logs in. */
export interface DeviceRequest {
  readonly deviceId?: string | undefined
  readonly initialDisplayName?: string | undefined
  /** The client can refresh its token. */
  readonly refreshToken?: boolean | undefined
}

/** Tokens of a new session, as `/login`, `/register` and `/refresh` answer them. */
export interface IssuedTokens {
  readonly accessToken: string
  readonly refreshToken: string | undefined
  readonly expiresInMs: number | undefined
}

/** Recognises tokens that are not stored here, such as those of application services. */
export type ForeignAuthenticator = (credentials: Credentials) => Requester | undefined | Promise<Requester | undefined>

/** Whether something else of the user has this id, so that no device may take it (a cross-signing key). */
export type DeviceIdReservation = (userId: UserId, deviceId: string) => Promise<boolean>

interface Needs {
  readonly database: Database
  readonly caches: CacheBudget
  readonly clock: Clock
  readonly logger: Logger
  readonly accounts: Accounts
  readonly devices: Devices
  readonly lifetimes: SessionLifetimes
  readonly trackPuppetedUsers: boolean
}

/** A token that was looked up. */
interface CachedSession {
  readonly requester: Requester
  readonly validUntilTs: number
  /** The user's version when it was looked up. */
  readonly version: number
  /** False for tokens that administrators made to act for others, unless those are tracked. */
  readonly tracked: boolean
  readonly seen: SeenMark
}

/** Replaced refresh tokens of a family that are kept, to notice their re-use. */
const keptGenerations = 20

export class Sessions {
  readonly #needs: Needs
  readonly #store: SessionsStore
  readonly #cache: Cache<string, CachedSession>
  readonly #lastSeen: LastSeen
  /** Counts changes by user: a cached session of an older version is looked up again. */
  readonly #versions = new Map<string, number>()
  readonly #foreign: ForeignAuthenticator[] = []
  readonly #reservations: DeviceIdReservation[] = []

  constructor(needs: Needs) {
    this.#needs = needs
    this.#store = new SessionsStore(needs.database)
    this.#cache = needs.caches.cache('sessions', () => 500)
    this.#lastSeen = new LastSeen(needs)
    needs.accounts.onChanged((userId) => this.#invalidate(userId))
    needs.accounts.onDeactivated((tx, userId) => this.endAll(tx, userId))
    needs.devices.onDeleted(async (tx, userId, deviceIds) => {
      await this.#store.deleteOfDevices(tx, userId, deviceIds)
      tx.afterCommit(() => this.#invalidate(userId))
    })
  }

  /** Asks `authenticator` about tokens that are not stored here. */
  addForeign(authenticator: ForeignAuthenticator): void {
    this.#foreign.push(authenticator)
  }

  /** Asks `isReserved` before a device gets an id. */
  addReservation(isReserved: DeviceIdReservation): void {
    this.#reservations.push(isReserved)
  }

  /**
   * Finds the requester of an access token: the `Authenticator` of the HTTP layer.
   * @throws M_UNKNOWN_TOKEN, with `soft_logout` where the token has expired
   */
  readonly authenticate = (credentials: Credentials): Requester | Promise<Requester> => {
    const hash = tokenHash(credentials.token)
    const cached = this.#cache.get(hash)
    if (cached && cached.version === (this.#versions.get(cached.requester.userId) ?? 0)) return this.#use(hash, cached, credentials)
    return this.#lookUp(hash, credentials)
  }

  /**
   * Logs a user in: makes the device if need be, and a token for it; tokens that the device had before end.
   * @throws M_INVALID_PARAM for an impossible device id or name, M_FORBIDDEN for an id that is reserved
   */
  async start(userId: UserId, request: DeviceRequest): Promise<IssuedTokens & { deviceId: string }> {
    const { deviceId } = request
    for (const isReserved of this.#reservations) {
      if (deviceId !== undefined && (await isReserved(userId, deviceId))) throw refuse('M_FORBIDDEN', 'This device id is that of a cross-signing key.')
    }
    return this.#needs.database.transaction((tx) => this.startIn(tx, userId, request))
  }

  /** As `start`, inside of a transaction. */
  async startIn(tx: Tx, userId: UserId, request: DeviceRequest): Promise<IssuedTokens & { deviceId: string }> {
    const { devices, clock, lifetimes } = this.#needs
    assertSessionRequest(request)
    const deviceId = request.deviceId ?? newDeviceId()
    const isNew = await devices.create(tx, userId, deviceId, request.initialDisplayName)
    if (!isNew) await this.#store.deleteOfDevices(tx, userId, [deviceId])
    const sessionExpiryTs = lifetimes.sessionMs === null ? null : clock.now() + lifetimes.sessionMs
    const tokens = request.refreshToken
      ? await this.#issue(tx, { userId, deviceId, familyId: randomText(24), sequence: 0, sessionExpiryTs })
      : await this.#issuePlain(tx, userId, deviceId)
    tx.afterCommit(() => this.#invalidate(userId))
    return { ...tokens, deviceId }
  }

  /** A token without a device, by which an administrator acts for a user. @param validUntilTs null: until it is revoked */
  async startPuppet(userId: UserId, admin: UserId, validUntilTs: number | null): Promise<string> {
    const token = newToken('syt', userId)
    await this.#needs.database.transaction((tx) =>
      this.#store.insert(tx, this.#row(token, { userId, deviceId: null, validUntilTs, puppetedBy: admin })))
    return token
  }

  /**
   * Exchanges a refresh token for new tokens. The old one can be used again until one of the new ones was used; after that its re-use
   * ends the session, since it means that the token was copied.
   * @throws M_UNKNOWN_TOKEN
   */
  async refresh(refreshToken: string): Promise<IssuedTokens> {
    const issued = await this.#needs.database.transaction((tx) => this.#refreshIn(tx, tokenHash(refreshToken)))
    if (!issued) throw unknownRefreshToken()
    return issued
  }

  /** Ends the requester's own session and removes its device. */
  async end(requester: Requester): Promise<void> {
    await this.#needs.database.transaction(async (tx) => {
      if (requester.deviceId !== undefined) await this.#needs.devices.delete(tx, requester.userId, [requester.deviceId])
      if (requester.accessTokenId !== undefined) await this.#store.deleteToken(tx, requester.userId, requester.accessTokenId)
      tx.afterCommit(() => this.#invalidate(requester.userId))
    })
  }

  /** Ends all sessions of a user, with their devices; also those that this user, an administrator, has for others. */
  async endAll(tx: Tx, userId: UserId): Promise<void> {
    await this.#needs.devices.deleteAll(tx, userId)
    await this.#store.deleteOfUser(tx, userId, -1)
    const puppets = await this.#store.deletePuppets(tx, userId)
    tx.afterCommit(() => [userId, ...puppets].forEach((each) => this.#invalidate(each)))
  }

  /** Ends all sessions of a user but the requester's own. */
  async endOthers(tx: Tx, requester: Requester): Promise<void> {
    await this.#needs.devices.deleteAll(tx, requester.userId, requester.deviceId)
    if (requester.accessTokenId !== undefined) await this.#store.deleteOfUser(tx, requester.userId, requester.accessTokenId)
    tx.afterCommit(() => this.#invalidate(requester.userId))
  }

  /** A token that logs in once, by `m.login.token`. */
  async createLoginToken(userId: UserId, lifetimeMs: number): Promise<string> {
    const token = newToken('syl', userId)
    await this.#needs.database.transaction(async (tx) => {
      await this.#store.expireLogin(tx, this.#needs.clock.now())
      await this.#store.insertLogin(tx, tokenHash(token), userId, this.#needs.clock.now() + lifetimeMs)
    })
    return token
  }

  /** Whom a login token logs in; it can be used once. */
  async takeLoginToken(token: string): Promise<UserId | undefined> {
    const row = await this.#needs.database.transaction((tx) => this.#store.takeLogin(tx, tokenHash(token)))
    return row && row.expiry_ts > this.#needs.clock.now() ? row.user_id : undefined
  }

  /** Writes where devices were seen; called every few seconds and before the end. */
  flush(): Promise<void> {
    return this.#lastSeen.flush()
  }

  #use(hash: string, session: CachedSession, { ip, userAgent }: Credentials): Requester {
    if (session.validUntilTs <= this.#needs.clock.now()) {
      this.#cache.delete(hash)
      throw expired()
    }
    if (session.tracked) this.#lastSeen.note(session.requester.userId, session.requester.deviceId, ip, userAgent, session.seen)
    return session.requester
  }

  async #lookUp(hash: string, credentials: Credentials): Promise<Requester> {
    const row = await this.#store.byHash(hash)
    if (!row) return this.#askForeign(credentials)
    const version = this.#versions.get(row.user_id) ?? 0
    const current = await this.#store.byHash(hash)
    const account = await this.#needs.accounts.get(row.user_id)
    if (!current || !account || account.isDeactivated) throw unknownToken()
    if (row.valid_until_ts !== null && row.valid_until_ts <= this.#needs.clock.now()) throw expired()
    if (row.family_id !== null && row.used === 0) await this.#firstUse(row)
    const session: CachedSession = {
      requester: Object.freeze({
        userId: row.user_id,
        deviceId: row.device_id ?? undefined,
        accessTokenId: row.token_id,
        isGuest: account.isGuest,
        isAdmin: account.isAdmin,
        isSuspended: account.isSuspended,
        isLocked: account.isLocked,
        appserviceId: undefined,
        rateLimited: true,
      }),
      validUntilTs: row.valid_until_ts ?? Number.POSITIVE_INFINITY,
      version,
      tracked: row.puppeted_by === null || this.#needs.trackPuppetedUsers,
      seen: { ip: '', userAgent: '', ts: 0 },
    }
    this.#cache.set(hash, session)
    return this.#use(hash, session, credentials)
  }

  async #askForeign(credentials: Credentials): Promise<Requester> {
    for (const authenticator of this.#foreign) {
      const requester = await authenticator(credentials)
      if (requester) return requester
    }
    throw unknownToken()
  }

  /** The new tokens have arrived: what they replace ends now. */
  async #firstUse(row: AccessTokenRow): Promise<void> {
    const { family_id: familyId, sequence } = row
    if (familyId === null) return
    await this.#needs.database.transaction(async (tx) => {
      await this.#store.markUsed(tx, row.token_hash)
      await this.#store.deleteAccessFamily(tx, familyId, 0, sequence)
      tx.afterCommit(() => this.#invalidate(row.user_id))
    })
  }

  /** @returns undefined where the token is unknown, expired or was used too late; the family is then ended */
  async #refreshIn(tx: Tx, hash: string): Promise<IssuedTokens | undefined> {
    const { clock } = this.#needs
    const token = await this.#store.replaceRefresh(tx, hash)
    if (!token || isPast(token.expiry_ts, clock.now()) || isPast(token.session_expiry_ts, clock.now())) return undefined
    const { family_id: familyId, sequence, user_id: userId, device_id: deviceId } = token
    tx.afterCommit(() => this.#invalidate(userId))
    const newer = (row: AccessTokenRow | RefreshTokenRow): boolean => row.sequence > sequence
    const accessUsed = (await this.#store.family(tx, familyId)).some((row) => newer(row) && row.used === 1)
    const refreshUsed = (await this.#store.refreshFamily(tx, familyId)).some((row) => newer(row) && row.replaced === 1)
    const everything = Number.MAX_SAFE_INTEGER
    if (accessUsed || refreshUsed) {
      await this.#store.deleteAccessFamily(tx, familyId, 0, everything)
      await this.#store.deleteRefreshFamily(tx, familyId, 0, everything)
      return undefined
    }
    await this.#store.deleteAccessFamily(tx, familyId, sequence + 1, everything)
    await this.#store.deleteRefreshFamily(tx, familyId, sequence + 1, everything)
    await this.#store.deleteRefreshFamily(tx, familyId, 0, sequence - keptGenerations)
    return this.#issue(tx, { userId, deviceId, familyId, sequence: sequence + 1, sessionExpiryTs: token.session_expiry_ts })
  }

  async #issuePlain(tx: Tx, userId: UserId, deviceId: string): Promise<IssuedTokens> {
    const { accessTokenMs } = this.#needs.lifetimes
    const accessToken = newToken('syt', userId)
    const validUntilTs = accessTokenMs === null ? null : this.#needs.clock.now() + accessTokenMs
    await this.#store.insert(tx, this.#row(accessToken, { userId, deviceId, validUntilTs }))
    return { accessToken, refreshToken: undefined, expiresInMs: accessTokenMs ?? undefined }
  }

  async #issue(
    tx: Tx,
    family: { readonly userId: UserId; readonly deviceId: string; readonly familyId: string; readonly sequence: number; readonly sessionExpiryTs: number | null },
  ): Promise<IssuedTokens> {
    const { lifetimes, clock } = this.#needs
    const now = clock.now()
    const { userId, deviceId, familyId, sequence, sessionExpiryTs } = family
    const validUntilTs = Math.min(now + lifetimes.refreshableAccessTokenMs, sessionExpiryTs ?? Number.POSITIVE_INFINITY)
    const [accessToken, refreshToken] = [newToken('syt', userId), newToken('syr', userId)]
    await this.#store.insert(tx, { ...this.#row(accessToken, { userId, deviceId, validUntilTs }), family_id: familyId, sequence })
    await this.#store.insertRefresh(tx, {
      token_hash: tokenHash(refreshToken), family_id: familyId, sequence, user_id: userId, device_id: deviceId, replaced: 0,
      expiry_ts: lifetimes.refreshTokenMs === null ? null : now + lifetimes.refreshTokenMs,
      session_expiry_ts: sessionExpiryTs,
    })
    return { accessToken, refreshToken, expiresInMs: validUntilTs - now }
  }

  #row(
    token: string,
    { userId, deviceId, validUntilTs, puppetedBy }: { userId: UserId; deviceId: string | null; validUntilTs: number | null; puppetedBy?: UserId },
  ): AccessTokenRow {
    return {
      token_hash: tokenHash(token), token_id: randomNumber(), user_id: userId, device_id: deviceId, created_ts: this.#needs.clock.now(),
      valid_until_ts: validUntilTs, family_id: null, sequence: 0, used: 0, puppeted_by: puppetedBy ?? null,
    }
  }

  #invalidate(userId: UserId): void {
    this.#versions.set(userId, (this.#versions.get(userId) ?? 0) + 1)
  }
}

/** Tokens as the replies of `/login`, `/register` and `/refresh` carry them. */
export function tokensBody({ accessToken, refreshToken, expiresInMs }: IssuedTokens) {
  return {
    access_token: accessToken,
    ...(refreshToken === undefined ? {} : { refresh_token: refreshToken }),
    ...(expiresInMs === undefined ? {} : { expires_in_ms: expiresInMs }),
  }
}

/** @throws M_INVALID_PARAM for an impossible device id or name */
export function assertSessionRequest(request: DeviceRequest): void {
  if (request.deviceId !== undefined) assertDeviceId(request.deviceId)
  assertDisplayName(request.initialDisplayName)
}

function isPast(ts: number | null, now: number): boolean {
  return ts !== null && ts <= now
}

function unknownToken(): MatrixError {
  return refuse('M_UNKNOWN_TOKEN', 'The access token is not known; log in again.', { soft_logout: false })
}

function expired(): MatrixError {
  return refuse('M_UNKNOWN_TOKEN', 'The access token has expired; refresh it or log in again.', { soft_logout: true })
}

function unknownRefreshToken(): MatrixError {
  return refuse('M_UNKNOWN_TOKEN', 'The refresh token is not known or was already used; log in again.', { soft_logout: true })
}
export { randomText, tokenHash } from './tokens.ts'
