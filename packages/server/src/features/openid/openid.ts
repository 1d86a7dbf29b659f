/**
 * Tokens by which other services learn who somebody is.
 *
 * Spec: client-server API, "OpenID"; server-server API, "OpenID".
 */
import { refuse } from '@myelin/protocol/errors.ts'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import type { Clock } from '#platform/clock.ts'
import type { Database } from '#platform/db/database.ts'
import type { Accounts } from '#features/accounts/accounts.ts'
import { randomText, tokenHash } from '#features/sessions/sessions.ts'
import { OpenidStore } from './openid.store.ts'

/** Milliseconds that a token is good for. */
export const openidTokenLifetimeMs = 3_600_000
/** Tokens of one user; the oldest give way. */
const userLimit = 100

export class Openid {
  readonly #database: Database
  readonly #clock: Clock
  readonly #accounts: Accounts
  readonly #store: OpenidStore

  constructor(needs: { readonly database: Database; readonly clock: Clock; readonly accounts: Accounts }) {
    this.#database = needs.database
    this.#clock = needs.clock
    this.#accounts = needs.accounts
    this.#store = new OpenidStore(needs.database)
    needs.accounts.onDeactivated((tx, userId) => this.#store.deleteOfUser(tx, userId, []))
  }

  /** A token that says who its bearer is, and nothing else. */
  async issue(userId: UserId): Promise<string> {
    const token = randomText(32)
    const now = this.#clock.now()
    await this.#database.transaction(async (tx) => {
      await this.#store.expire(tx, now)
      const kept = (await this.#store.ofUser(tx, userId)).slice(0, userLimit - 1)
      await this.#store.deleteOfUser(tx, userId, kept)
      await this.#store.insert(tx, tokenHash(token), userId, now + openidTokenLifetimeMs)
    })
    return token
  }

  /** Whose token it is. @throws M_UNKNOWN_TOKEN */
  async ownerOf(token: string): Promise<UserId> {
    const row = await this.#store.byHash(tokenHash(token))
    const account = row && row.expiry_ts > this.#clock.now() ? await this.#accounts.get(row.user_id) : undefined
    if (!account || account.isDeactivated || account.isLocked) throw refuse('M_UNKNOWN_TOKEN', 'The OpenID token is unknown or has expired.')
    return account.userId
  }
}
