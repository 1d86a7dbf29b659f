/**
 * Making accounts: by their users, by guests, by whoever holds the shared secret.
 *
 * Spec: client-server API, "Account registration", "Guest access".
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { MatrixError, refuse } from '@myelin/protocol/errors.ts'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import { localpartOf } from '@myelin/protocol/ids/user-id.ts'
import { isObject, own, type JsonObject } from '@myelin/protocol/json/json.ts'
import type { Clock } from '#platform/clock.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import { addressKey } from '#platform/limits/address-key.ts'
import type { RateLimits } from '#platform/limits/rate-limits.ts'
import type { Accounts } from '#features/accounts/accounts.ts'
import type { Profiles } from '#features/profiles/profiles.ts'
import { assertSessionRequest, randomText, type DeviceRequest, type IssuedTokens, type Sessions } from '#features/sessions/sessions.ts'
import type { Uia, UiaRequest, UiaSuccess } from '#features/uia/uia.ts'
import type { Consent } from '#features/consent/consent.ts'
import type { Captcha } from './captcha.ts'
import { RegistrationTokens } from './registration-tokens.ts'

/** The options that decide who may register. */
export interface RegistrationRules {
  readonly enabled: boolean
  readonly requiresToken: boolean
  readonly guests: boolean
  /** Names what the operator demands of new users and the server cannot check yet; registration is closed then. */
  readonly unmetDemand: string | undefined
  readonly inhibitUserInUseError: boolean
  readonly sharedSecret: string | null
  readonly defaultUserType: string | null
  readonly userTypes: readonly string[]
}

/** What an account is made of. */
export interface NewUser {
  readonly userId: UserId
  readonly passwordHash?: string | undefined
  /** Undefined: the localpart. */
  readonly displayname?: string | undefined
  readonly isGuest?: boolean
  readonly isAdmin?: boolean
  readonly userType?: string | undefined
  readonly appserviceId?: string | undefined
}

/** An account that was just made, and its first session unless that was not wanted. */
export interface Registered {
  readonly userId: UserId
  readonly session: (IssuedTokens & { readonly deviceId: string }) | undefined
}

/** Called after an account was made (auto-join rooms, statistics, user directory); the reply waits for it. Must not throw. */
export type RegistrationListener = (user: NewUser) => void | Promise<void>

/** The body of the shared-secret registration, checked for its types. */
export interface SharedSecretRequest {
  readonly nonce: string
  readonly username: string
  readonly password: string
  readonly displayname?: string | undefined
  readonly admin?: boolean | undefined
  readonly userType?: string | undefined
  readonly mac: string
  readonly inhibitLogin?: boolean | undefined
}

interface Needs {
  readonly database: Database
  readonly clock: Clock
  readonly limits: RateLimits
  readonly accounts: Accounts
  readonly profiles: Profiles
  readonly sessions: Sessions
  readonly uia: Uia
  readonly consent: Pick<Consent, 'terms' | 'note'>
  /** Undefined where registration asks for none. */
  readonly captcha: Captcha | undefined
  readonly serverName: string
  readonly rules: RegistrationRules
}

const nonceLifetimeMs = 60_000
const nonceLimit = 10_000
/** Localparts of guests are numbers of 48 bits: nobody counts guests by them, and none comes twice. */
const guestBytes = 6

export class Registration {
  readonly tokens: RegistrationTokens
  readonly #needs: Needs
  readonly #nonces = new Map<string, number>()
  readonly #listeners: RegistrationListener[] = []

  constructor(needs: Needs) {
    this.#needs = needs
    this.tokens = new RegistrationTokens(needs)
    needs.uia.addStage('m.login.dummy', { check: async () => ({ result: true }), page: { fields: '', auth: () => ({}) } })
    needs.uia.addStage('m.login.registration_token', this.tokens.stage)
    if (needs.captcha) needs.uia.addStage('m.login.recaptcha', needs.captcha.stage)
    if (needs.consent.terms) needs.uia.addStage('m.login.terms', needs.consent.terms.stage)
  }

  /** Calls `listener` after each new account. */
  onRegistered(listener: RegistrationListener): void {
    this.#listeners.push(listener)
  }

  /**
   * Makes an account with its profile in one transaction; every way to an account leads through here.
   * @param also what must happen with it or not at all
   * @throws M_USER_IN_USE
   */
  async create<Result>(user: NewUser, also: (tx: Tx) => Promise<Result>): Promise<Result> {
    const result = await this.#needs.database.transaction(async (tx) => {
      await this.#needs.accounts.create(tx, { ...user, userType: user.userType ?? this.#needs.rules.defaultUserType ?? undefined })
      await this.#needs.profiles.create(tx, user.userId, user.displayname ?? localpartOf(user.userId))
      return also(tx)
    })
    for (const listener of this.#listeners) await listener(user)
    return result
  }

  /** Registers a user who has passed the interactive authentication of `request`. */
  async register(request: UiaRequest): Promise<Registered> {
    const { limits, accounts, rules } = this.#needs
    limits.assertAllowed('rc_registration', addressKey(request.ip))
    this.assertOpen()
    const wish = wishOf(JSON.parse(JSON.stringify(request.body)))
    this.#assertWish(wish)
    const earlier = await this.#earlier(request, wish)
    if (earlier) return earlier
    if (wish.guestAccessToken !== undefined) await this.#guestOf(wish, wish.guestAccessToken, request.ip)
    else if (wish.username !== undefined && !rules.inhibitUserInUseError) await accounts.assertAvailable(wish.username)
    const success = await this.#needs.uia.authenticate({
      request,
      operation: { id: 'register', description: 'register a new account', deferred: true },
      flows: [this.#stages()],
      params: this.#params(),
    })
    return this.#finish(success, request.ip)
  }

  /** Registers a guest. @throws M_GUEST_ACCESS_FORBIDDEN */
  async registerGuest(ip: string, device: DeviceRequest): Promise<Registered> {
    if (!this.#needs.rules.guests) throw refuse('M_GUEST_ACCESS_FORBIDDEN', 'This server does not take guests.')
    this.#needs.limits.consume('rc_registration', addressKey(ip))
    const userId = `@${randomBytes(guestBytes).readUIntBE(0, guestBytes)}:${this.#needs.serverName}` as UserId
    const session = await this.create({ userId, isGuest: true }, (tx) => this.#needs.sessions.startIn(tx, userId, { ...device, deviceId: undefined }))
    return { userId, session }
  }

  /**
   * Whether a name can be registered.
   * @throws M_INVALID_USERNAME, M_USER_IN_USE, M_FORBIDDEN where registration is closed
   */
  async assertAvailable(wanted: string, ip: string): Promise<void> {
    const username = lowered(wanted)
    this.#needs.limits.consume('rc_registration', addressKey(ip))
    this.assertOpen()
    if (this.#needs.rules.inhibitUserInUseError) this.#needs.accounts.newUserId(username)
    else await this.#needs.accounts.assertAvailable(username)
  }

  /** A number that is good for one shared-secret registration within a minute. */
  issueNonce(): string {
    this.#assertSharedSecret()
    const now = this.#needs.clock.now()
    for (const [nonce, expiryTs] of this.#nonces) {
      if (expiryTs > now && this.#nonces.size < nonceLimit) break
      this.#nonces.delete(nonce)
    }
    const nonce = randomBytes(32).toString('hex')
    this.#nonces.set(nonce, now + nonceLifetimeMs)
    return nonce
  }

  /** Registers a user for the holder of the shared secret, also where registration is closed. */
  async registerBySecret(request: SharedSecretRequest): Promise<Registered> {
    const secret = this.#assertSharedSecret()
    const expiryTs = this.#nonces.get(request.nonce)
    this.#nonces.delete(request.nonce)
    if (expiryTs === undefined || expiryTs <= this.#needs.clock.now()) throw new MatrixError(400, 'M_UNKNOWN', 'unrecognised nonce')
    if ([request.username, request.password].some((text) => text.includes('\0'))) throw refuse('M_INVALID_PARAM', 'Invalid username or password')
    const { userType, accounts } = { userType: request.userType, accounts: this.#needs.accounts }
    if (userType !== undefined && !this.#needs.rules.userTypes.includes(userType)) throw refuse('M_INVALID_PARAM', 'Invalid user type')
    const parts = [request.nonce, request.username, request.password, request.admin ? 'admin' : 'notadmin', ...(userType === undefined ? [] : [userType])]
    const expected = createHmac('sha1', secret).update(parts.join('\0')).digest()
    const given = Buffer.from(request.mac, 'hex')
    if (given.length !== expected.length || !timingSafeEqual(given, expected)) throw new MatrixError(403, 'M_UNKNOWN', 'HMAC incorrect')
    const userId = await accounts.assertAvailable(lowered(request.username))
    const passwordHash = await accounts.passwordHash(request.password)
    const user: NewUser = { userId, passwordHash, displayname: request.displayname, isAdmin: request.admin ?? false, userType }
    const session = await this.create(user, async (tx) => (request.inhibitLogin ? undefined : this.#needs.sessions.startIn(tx, userId, {})))
    return { userId, session }
  }

  async #finish(success: UiaSuccess, ip: string): Promise<Registered> {
    const { accounts, limits, sessions } = this.#needs
    const wish = wishOf(success.body)
    this.#assertWish(wish)
    if (wish.password === undefined) throw refuse('M_MISSING_PARAM', 'The password is missing.')
    const guest = wish.guestAccessToken === undefined ? undefined : await this.#guestOf(wish, wish.guestAccessToken, ip)
    const userId = guest ?? (await accounts.assertAvailable(wish.username ?? randomText(12).toLowerCase().replace(/^\d/, 'u')))
    limits.consume('rc_registration', addressKey(ip))
    const passwordHash = await accounts.passwordHash(wish.password)
    const first = async (tx: Tx): Promise<Registered['session']> => {
      const token = success.completed.get('m.login.registration_token')
      if (typeof token === 'string') await this.tokens.complete(tx, token)
      const version = success.completed.get('m.login.terms')
      if (typeof version === 'string') await this.#needs.consent.note(tx, userId, version)
      const started = wish.inhibitLogin ? undefined : await sessions.startIn(tx, userId, wish.device)
      await success.finish(tx, { userId, deviceId: started?.deviceId ?? null })
      return started
    }
    const session = guest ? await this.#upgrade(guest, passwordHash, first) : await this.create({ userId, passwordHash }, first)
    return { userId, session }
  }

  /** Makes a guest a user: what they did stays theirs, the guest's sessions end. */
  #upgrade(userId: UserId, passwordHash: string, first: (tx: Tx) => Promise<Registered['session']>): Promise<Registered['session']> {
    const { database, accounts, sessions } = this.#needs
    return database.transaction(async (tx) => {
      await accounts.upgradeGuest(tx, userId, passwordHash)
      await sessions.endAll(tx, userId)
      return first(tx)
    })
  }

  /** The guest who wants to become a user under the same name. @throws M_UNKNOWN_TOKEN, M_FORBIDDEN where the token is not that guest's */
  async #guestOf(wish: Wish, token: string, ip: string): Promise<UserId> {
    const { userId, isGuest } = await this.#needs.sessions.authenticate({ token, userId: undefined, deviceId: undefined, ip, userAgent: '' })
    if (!isGuest || wish.username !== localpartOf(userId)) {
      throw refuse('M_FORBIDDEN', '"guest_access_token" must be of the guest whose name is "username": guests keep their names when they become users.')
    }
    return userId
  }

  /**
   * The account that the request's authentication session has made before: a client that lost the answer asks again. It gets new tokens for the
   * same device, against the password.
   */
  async #earlier(request: UiaRequest, wish: Wish): Promise<Registered | undefined> {
    const { uia, accounts, limits, database, sessions } = this.#needs
    const made = await uia.resultOf(request)
    if (!isObject(made)) return undefined
    limits.consume('rc_registration', addressKey(request.ip))
    const [madeId, deviceId] = [own(made, 'userId'), own(made, 'deviceId')]
    const account = typeof madeId === 'string' && wish.password !== undefined ? await accounts.byPassword(madeId, wish.password) : undefined
    if (!account) throw refuse('M_FORBIDDEN', 'This authentication session was already used.')
    const { userId } = account
    if (wish.inhibitLogin) return { userId, session: undefined }
    const device = typeof deviceId === 'string' ? { ...wish.device, deviceId } : wish.device
    return { userId, session: await database.transaction((tx) => sessions.startIn(tx, userId, device)) }
  }

  /** @throws M_FORBIDDEN where nobody may register */
  assertOpen(): void {
    const { enabled, unmetDemand } = this.#needs.rules
    if (!enabled) throw refuse('M_FORBIDDEN', 'Registration is closed on this server; ask its administrator for an account.')
    if (unmetDemand !== undefined) throw refuse('M_FORBIDDEN', `Registration is closed: ${unmetDemand}.`)
  }

  /** What who registers has to do, in order. */
  #stages(): string[] {
    const { captcha, consent, rules } = this.#needs
    const stages = [
      ...(captcha ? ['m.login.recaptcha'] : []), ...(consent.terms ? ['m.login.terms'] : []), ...(rules.requiresToken ? ['m.login.registration_token'] : []),
    ]
    return stages.length > 0 ? stages : ['m.login.dummy']
  }

  #params(): Record<string, unknown> {
    const { captcha, consent: { terms } } = this.#needs
    return { ...(captcha ? { 'm.login.recaptcha': captcha.params } : {}), ...(terms ? { 'm.login.terms': terms.params } : {}) }
  }

  #assertSharedSecret(): string {
    const { sharedSecret } = this.#needs.rules
    if (!sharedSecret) throw new MatrixError(400, 'M_UNKNOWN', 'Shared secret registration is not enabled')
    return sharedSecret
  }

  /** Refuses early what could not be registered in the end. */
  #assertWish(wish: Wish): void {
    if (wish.username !== undefined && wish.guestAccessToken === undefined) this.#needs.accounts.newUserId(wish.username)
    if (wish.password !== undefined) this.#needs.accounts.assertAcceptablePassword(wish.password)
    assertSessionRequest(wish.device)
  }
}

/** What somebody who registers asks for. */
interface Wish {
  readonly username: string | undefined
  readonly password: string | undefined
  readonly inhibitLogin: boolean
  /** A guest's, who becomes a user. */
  readonly guestAccessToken: string | undefined
  readonly device: DeviceRequest
}

/** A wanted username as it will be registered: user ids have no capitals, and whoever types some means their name all the same. */
function lowered<Text extends string | undefined>(username: Text): Text | string {
  return username?.replaceAll(/[A-Z]/g, (letter) => letter.toLowerCase()) ?? username
}

function wishOf(body: JsonObject): Wish {
  return {
    username: lowered(textOf(body, 'username')),
    password: textOf(body, 'password'),
    inhibitLogin: own(body, 'inhibit_login') === true,
    guestAccessToken: textOf(body, 'guest_access_token'),
    device: { deviceId: textOf(body, 'device_id'), initialDisplayName: textOf(body, 'initial_device_display_name'), refreshToken: own(body, 'refresh_token') === true },
  }
}

function textOf(body: JsonObject, name: string): string | undefined {
  const value = own(body, name)
  if (value === undefined || value === null) return undefined
  if (typeof value !== 'string') throw refuse('M_INVALID_PARAM', `"${name}" must be a text.`)
  return value
}
