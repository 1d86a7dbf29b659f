/**
 * Tokens that let their holders register.
 *
 * Spec: client-server API, "Token-authenticated registration"; Synapse's admin API, "Registration Tokens".
 */
import { MatrixError, refuse } from '@myelin/protocol/errors.ts'
import { own } from '@myelin/protocol/json/json.ts'
import type { Clock } from '#platform/clock.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import type { Stage } from '#features/uia/uia.ts'
import { randomText } from '#features/sessions/sessions.ts'
import { RegistrationTokensStore, type RegistrationTokenRow } from './registration-tokens.store.ts'

/** A registration token with its use so far. */
export type RegistrationToken = RegistrationTokenRow

/** Limits of a token; null means none. */
export interface TokenLimits {
  readonly usesAllowed?: number | null | undefined
  /** Milliseconds since 1970. */
  readonly expiryTs?: number | null | undefined
}

const grammar = /^[A-Za-z0-9._~-]{1,64}$/

export class RegistrationTokens {
  readonly #database: Database
  readonly #clock: Clock
  readonly #store: RegistrationTokensStore

  constructor(needs: { readonly database: Database; readonly clock: Clock }) {
    this.#database = needs.database
    this.#clock = needs.clock
    this.#store = new RegistrationTokensStore(needs.database)
  }

  /** Whether somebody could register with the token now. */
  async isValid(token: string): Promise<boolean> {
    const row = grammar.test(token) ? await this.#store.byToken(token) : undefined
    return row !== undefined && this.#isUsable(row)
  }

  /** The stage `m.login.registration_token`: takes a use when it is completed, gives it back when the registration does not happen. */
  readonly stage: Stage = {
    check: async (auth) => {
      const token = own(auth, 'token')
      if (typeof token !== 'string') throw refuse('M_MISSING_PARAM', 'The registration token is missing.')
      if (!(await this.isValid(token))) throw invalidToken()
      return {
        result: token,
        claim: async (tx) => {
          if (!(await this.#store.reserve(tx, token, this.#clock.now()))) throw invalidToken()
        },
      }
    },
    release: async (tx, result) => {
      if (typeof result === 'string') await this.#store.release(tx, result)
    },
    page: {
      fields: '<p><label>Registration token <input name="token" autocomplete="off" required></label></p>',
      auth: (form) => ({ token: form.get('token') ?? '' }),
    },
  }

  /** Counts a reserved use as done, in the transaction that makes the account. */
  async complete(tx: Tx, token: string): Promise<void> {
    await this.#store.complete(tx, token)
  }

  /** All tokens, or those that can (`valid`) or cannot be used now. */
  async list(valid: boolean | undefined): Promise<RegistrationToken[]> {
    const rows = await this.#store.all()
    return valid === undefined ? rows : rows.filter((row) => this.#isUsable(row) === valid)
  }

  /** @throws M_NOT_FOUND */
  async require(token: string): Promise<RegistrationToken> {
    const row = await this.#store.byToken(token)
    if (!row) throw refuse('M_NOT_FOUND', `No such registration token: ${token}`)
    return row
  }

  /**
   * Makes a token.
   * @param text the token itself; random where it is not given, with `length` characters
   * @throws M_INVALID_PARAM for an impossible token or limit, or where the token exists
   */
  async create(text: string | undefined, length: number, limits: TokenLimits): Promise<RegistrationToken> {
    if (text !== undefined && !grammar.test(text)) {
      throw refuse('M_INVALID_PARAM', 'A token has 1 to 64 characters of A-Z, a-z, 0-9 and . _ ~ -')
    }
    if (length < 1 || length > 64) throw refuse('M_INVALID_PARAM', 'length must be between 1 and 64.')
    this.#assertLimits(limits)
    const token = text ?? randomText(length)
    const isNew = await this.#database.transaction((tx) => this.#store.insert(tx, token, limits.usesAllowed ?? null, limits.expiryTs ?? null))
    if (!isNew) throw refuse('M_INVALID_PARAM', `Token already exists: ${token}`)
    return this.require(token)
  }

  /** Changes the limits that are given. @throws M_NOT_FOUND, M_INVALID_PARAM */
  async update(token: string, limits: TokenLimits): Promise<RegistrationToken> {
    this.#assertLimits(limits)
    await this.require(token)
    const change = {
      ...(limits.usesAllowed === undefined ? {} : { uses_allowed: limits.usesAllowed }),
      ...(limits.expiryTs === undefined ? {} : { expiry_ts: limits.expiryTs }),
    }
    if (Object.keys(change).length > 0) await this.#database.transaction((tx) => this.#store.update(tx, token, change))
    return this.require(token)
  }

  /** @throws M_NOT_FOUND */
  async delete(token: string): Promise<void> {
    const existed = await this.#database.transaction((tx) => this.#store.delete(tx, token))
    if (!existed) throw refuse('M_NOT_FOUND', `No such registration token: ${token}`)
  }

  #assertLimits({ usesAllowed, expiryTs }: TokenLimits): void {
    if (typeof usesAllowed === 'number' && usesAllowed < 0) throw refuse('M_INVALID_PARAM', 'uses_allowed must be a number that is not negative, or null.')
    if (typeof expiryTs === 'number' && expiryTs < this.#clock.now()) throw refuse('M_INVALID_PARAM', 'expiry_time must not be in the past.')
  }

  #isUsable(row: RegistrationTokenRow): boolean {
    const isLive = row.expiry_ts === null || row.expiry_ts > this.#clock.now()
    return isLive && (row.uses_allowed === null || row.pending + row.completed < row.uses_allowed)
  }
}

function invalidToken(): MatrixError {
  return new MatrixError(401, 'M_UNAUTHORIZED', 'The registration token is not valid, or was used too often.')
}
