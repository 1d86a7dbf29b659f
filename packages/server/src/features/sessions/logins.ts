/**
 * Logging in: which flows there are, and what each asks for.
 *
 * Spec: client-server API, "Login", "Token-based login", "Identifier types".
 */
import { MatrixError, refuse } from '@myelin/protocol/errors.ts'
import { isObject, own, type JsonObject } from '@myelin/protocol/json/json.ts'
import { addressKey } from '#platform/limits/address-key.ts'
import type { RateLimits } from '#platform/limits/rate-limits.ts'
import type { Account, Accounts } from '#features/accounts/accounts.ts'
import { assertSessionRequest, type DeviceRequest, type IssuedTokens, type Sessions } from './sessions.ts'

/** One login type of `GET /login`. */
export interface LoginFlow {
  readonly type: string
  readonly get_login_token?: true
}

/** A successful login. */
export interface LoggedIn extends IssuedTokens {
  readonly userId: string
  readonly deviceId: string
}

interface Needs {
  readonly limits: RateLimits
  readonly accounts: Accounts
  readonly sessions: Sessions
  /** Passwords are accepted for login. */
  readonly passwords: boolean
  /** A logged-in client may get a token for another one. */
  readonly loginTokens: boolean
}

export class Logins {
  readonly #needs: Needs

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /** The login types that clients may use. */
  flows(): readonly LoginFlow[] {
    const { passwords, loginTokens } = this.#needs
    return [
      ...(passwords ? [{ type: 'm.login.password' }] : []),
      ...(loginTokens ? [{ type: 'm.login.token', get_login_token: true } as const] : []),
    ]
  }

  /**
   * Logs in.
   * @param body of `POST /login`
   * @throws M_FORBIDDEN, M_USER_DEACTIVATED, M_USER_LOCKED, M_LIMIT_EXCEEDED, M_UNKNOWN for an unknown type
   */
  async login(body: JsonObject, ip: string): Promise<LoggedIn> {
    this.#needs.limits.consume('rc_login.address', addressKey(ip))
    const device = deviceOf(body)
    assertSessionRequest(device)
    const account = await this.#authenticate(own(body, 'type'), body)
    this.#needs.limits.consume('rc_login.account', limitKey(account.userId))
    if (account.isDeactivated) throw refuse('M_USER_DEACTIVATED', 'This account has been deactivated.')
    if (account.isLocked) throw new MatrixError(401, 'M_USER_LOCKED', 'This account has been locked.', { soft_logout: true })
    return { userId: account.userId, ...(await this.#needs.sessions.start(account.userId, device)) }
  }

  #authenticate(type: unknown, body: JsonObject): Promise<Account> {
    const { passwords, loginTokens } = this.#needs
    if (type === 'm.login.password' && passwords) return this.#byPassword(body)
    if (type === 'm.login.token' && loginTokens) return this.#byToken(body)
    if (type === 'm.login.application_service') {
      throw refuse('M_APPSERVICE_LOGIN_UNSUPPORTED', 'Application services cannot log in here; they act with their as_token and user_id.')
    }
    throw new MatrixError(400, 'M_UNKNOWN', 'This login type is not offered; GET /login names those that are.')
  }

  async #byPassword(body: JsonObject): Promise<Account> {
    const password = own(body, 'password')
    if (password === undefined) throw refuse('M_MISSING_PARAM', 'The password is missing.')
    const user = await this.#userOf(body)
    const known = await this.#needs.accounts.find(user)
    const key = limitKey(known?.userId ?? user)
    this.#needs.limits.assertAllowed('rc_login.failed_attempts', key)
    const account = await this.#needs.accounts.byPassword(user, password)
    if (account) return account
    this.#needs.limits.consume('rc_login.failed_attempts', key)
    if (known?.isDeactivated) return known
    throw refuse('M_FORBIDDEN', 'The user name or the password is not correct.')
  }

  async #byToken(body: JsonObject): Promise<Account> {
    const token = own(body, 'token')
    if (typeof token !== 'string') throw refuse('M_MISSING_PARAM', 'The login token is missing.')
    const userId = await this.#needs.sessions.takeLoginToken(token)
    const account = userId && (await this.#needs.accounts.get(userId))
    if (!account) throw refuse('M_FORBIDDEN', 'The login token is not valid, was used before, or has expired.')
    return account
  }

  /** The user id or localpart that a login names; one that nobody has where a third-party identifier is unknown. */
  async #userOf(body: JsonObject): Promise<string> {
    const identifier = own(body, 'identifier') ?? legacyIdentifier(body)
    if (!isObject(identifier)) throw refuse('M_MISSING_PARAM', 'The identifier of the user is missing.')
    const part = (name: string): string => {
      const value = own(identifier, name)
      if (typeof value !== 'string') throw refuse('M_MISSING_PARAM', `The identifier lacks "${name}".`)
      return value
    }
    switch (own(identifier, 'type')) {
      case 'm.id.user':
        return part('user')
      case 'm.id.thirdparty':
        return (await this.#needs.accounts.ofThreepid(part('medium'), part('address'))) ?? ''
      case 'm.id.phone':
        return (await this.#needs.accounts.ofThreepid('msisdn', part('phone').replace(/^\+|[\s()-]/g, ''))) ?? ''
      default:
        throw new MatrixError(400, 'M_UNKNOWN', 'This type of identifier is not known; use m.id.user.')
    }
  }
}

function limitKey(user: string): string {
  return user.toLowerCase()
}

/** The identifier in the deprecated form, `user`, or `medium` and `address`. */
function legacyIdentifier(body: JsonObject): JsonObject | undefined {
  const [user, medium, address] = [own(body, 'user'), own(body, 'medium'), own(body, 'address')]
  if (user !== undefined) return { type: 'm.id.user', user }
  return medium === undefined ? undefined : { type: 'm.id.thirdparty', medium, address }
}

function deviceOf(body: JsonObject): DeviceRequest {
  const text = (name: string): string | undefined => {
    const value = own(body, name)
    if (value === undefined || value === null) return undefined
    if (typeof value !== 'string') throw refuse('M_INVALID_PARAM', `"${name}" must be a text.`)
    return value
  }
  return { deviceId: text('device_id'), initialDisplayName: text('initial_device_display_name'), refreshToken: own(body, 'refresh_token') === true }
}
