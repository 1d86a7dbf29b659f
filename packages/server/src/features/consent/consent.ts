/**
 * Consent of users to the policy of the server: who has given it, where it is given, and what is refused without.
 *
 * Spec: client-server API, "Terms of service at registration"; Synapse's "Consent Tracking".
 */
import { createHmac, timingSafeEqual } from 'node:crypto'
import { refuse } from '@myelin/protocol/errors.ts'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import { localpartOf } from '@myelin/protocol/ids/user-id.ts'
import type { Room } from '#engine/room.ts'
import type { Rooms } from '#engine/rooms.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import { escapeHtml } from '#platform/http/html-page.ts'
import type { Requester } from '#platform/http/requester.ts'
import type { Account, Accounts } from '#features/accounts/accounts.ts'
import type { Stage } from '#features/uia/uia.ts'
import { withConsentUri } from './consent-uri.ts'
import type { PolicyPages } from './policy-pages.ts'

export { ConsentNotices } from './consent-notices.ts'
export { needsConsent } from './needs-consent.ts'
export { PolicyPages } from './policy-pages.ts'

/** The options. */
export interface ConsentRules {
  readonly pages: PolicyPages
  readonly policyName: string
  /** Whether who registers must agree. */
  readonly atRegistration: boolean
  /** What is said to who has not agreed; null where nothing is refused. */
  readonly blockMessage: string | null
  /** The server's URL for clients, with a slash at the end. */
  readonly baseUrl: string
  /** `form_secret`. */
  readonly secret: string
}

/** The stage `m.login.terms`, and what clients must know for it. */
export interface Terms {
  readonly stage: Stage
  readonly params: object
}

/** Called after a user has agreed for the first time, on the policy's page. */
export type ConsentListener = (account: Account) => Promise<void>

interface Needs {
  /** Undefined where the server has no policy. */
  readonly rules: ConsentRules | undefined
  readonly database: Database
  readonly accounts: Accounts
  readonly rooms: Pick<Rooms, 'get'>
  readonly noticeRooms: { has(room: Room): Promise<boolean> }
}

/** What a request does to the requester's own membership of a room. */
export interface OwnMembership {
  readonly roomId: string
  readonly membership: string
}

export class Consent {
  readonly #needs: Needs
  readonly #listeners: ConsentListener[] = []

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /** The options; undefined where the server has no policy. */
  get rules(): ConsentRules | undefined {
    return this.#needs.rules
  }

  /** Whether anything is refused without consent. */
  get isNeeded(): boolean {
    return (this.#needs.rules?.blockMessage ?? null) !== null
  }

  /** Calls `listener` after the first consent of a user who was registered without, where consent is needed for anything. */
  onFirstGiven(listener: ConsentListener): void {
    this.#listeners.push(listener)
  }

  /** The stage of registration; undefined where it has none. */
  get terms(): Terms | undefined {
    const { rules } = this.#needs
    if (!rules?.atRegistration) return undefined
    const { policyName: name, pages: { version } } = rules
    const url = `${rules.baseUrl}_matrix/consent?v=${encodeURIComponent(version)}`
    return {
      params: { policies: { privacy_policy: { version, en: { name, url } } } },
      stage: {
        check: async () => ({ result: version }),
        page: {
          fields: `<p>Please read <a href="${escapeHtml(url)}" target="_blank" rel="noopener">${escapeHtml(name)}</a> (version ${escapeHtml(version)}).</p>`,
          button: 'I agree',
          auth: () => ({}),
        },
      },
    }
  }

  /** Where a user reads and accepts the policy. */
  uriFor(userId: UserId): string {
    const user = localpartOf(userId)
    return `${this.#needs.rules?.baseUrl ?? ''}_matrix/consent?u=${encodeURIComponent(user)}&h=${this.#signature(user).toString('hex')}`
  }

  /**
   * The account that an address of the policy speaks of.
   * @param user user id or localpart, as in the address
   * @param signature hexadecimal HMAC-SHA256 of `user`
   * @throws M_FORBIDDEN for a wrong signature, M_NOT_FOUND
   */
  async accountOf(user: string, signature: string): Promise<Account> {
    const given = Buffer.from(signature, 'hex')
    const expected = this.#signature(user)
    if (given.length !== expected.length || !timingSafeEqual(given, expected)) throw refuse('M_FORBIDDEN', 'This address is not one that the server has given out; use it as it was sent to you.')
    const account = await this.#needs.accounts.find(user)
    if (!account || account.isDeactivated) throw refuse('M_NOT_FOUND', 'There is no such user on this server.')
    return account
  }

  /** Whether somebody has agreed to the current version, or need not. */
  hasAgreed(account: Account): boolean {
    const { rules } = this.#needs
    return rules === undefined || account.appserviceId !== undefined || account.consentVersion === rules.pages.version
  }

  /** Notes that a user has agreed to a version, as part of a transaction. */
  async note(tx: Tx, userId: UserId, version: string): Promise<void> {
    await this.#needs.accounts.setConsent(tx, userId, version)
  }

  /** Takes a user's consent to the current version. */
  async give(account: Account): Promise<void> {
    const { rules, database } = this.#needs
    if (!rules) return
    await database.transaction((tx) => this.note(tx, account.userId, rules.pages.version))
    if (this.isNeeded && account.consentVersion === undefined) for (const listener of this.#listeners) await listener(account)
  }

  /** Whether a user is kept from writing and joining. */
  async isBlocked(userId: UserId): Promise<boolean> {
    if (!this.isNeeded) return false
    const account = await this.#needs.accounts.get(userId)
    return account !== undefined && !this.hasAgreed(account)
  }

  /**
   * Refuses what needs consent. Leaving is always possible, and so is joining the room in which the server asks for consent.
   * @throws M_CONSENT_NOT_GIVEN with `consent_uri`
   */
  async assertGiven(requester: Requester, own: OwnMembership | undefined): Promise<void> {
    const message = this.#needs.rules?.blockMessage ?? null
    if (message === null || requester.appserviceId !== undefined || !(await this.isBlocked(requester.userId))) return
    if (own?.membership === 'leave') return
    if (own?.membership === 'join') {
      const room = await this.#needs.rooms.get(own.roomId)
      if (room && (await this.#needs.noticeRooms.has(room))) return
    }
    const uri = this.uriFor(requester.userId)
    throw refuse('M_CONSENT_NOT_GIVEN', withConsentUri(message, uri), { consent_uri: uri })
  }

  #signature(user: string): Buffer {
    return createHmac('sha256', this.#needs.rules?.secret ?? '').update(user).digest()
  }
}
