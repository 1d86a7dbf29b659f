/** Asks users by a notice of the server to agree to its policy: once for each version, when they come. */
import type { EventId, UserId } from '@myelin/protocol/ids/ids.ts'
import { isObject, type JsonObject, type JsonValue } from '@myelin/protocol/json/json.ts'
import type { StoredEvent } from '#engine/stored-event.ts'
import type { Tx } from '#platform/db/database.ts'
import type { Logger } from '#platform/log/logger.ts'
import type { Accounts } from '#features/accounts/accounts.ts'
import { withConsentUri } from './consent-uri.ts'
import type { Consent } from './consent.ts'

interface Notice {
  readonly type: string
  readonly stateKey: undefined
  readonly content: JsonObject
}

interface Needs {
  readonly consent: Consent
  readonly accounts: Pick<Accounts, 'get' | 'setConsentNoticeSent'>
  readonly notices: {
    readonly isEnabled: boolean
    send(userId: UserId, notice: Notice, also: (tx: Tx, event: StoredEvent) => Promise<void>): Promise<EventId>
  }
  /** `server_notice_content`; undefined where no notice is sent. */
  readonly content: JsonObject | undefined
  readonly toGuests: boolean
  readonly logger: Logger
}

export class ConsentNotices {
  readonly #needs: Needs
  /** Users who need not be looked at again until the server starts anew. */
  readonly #done = new Set<UserId>()
  readonly #running = new Set<Promise<void>>()

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /** A user of this server is here: asks in the background, where that was not done. */
  seen(userId: UserId): void {
    const { content, consent, notices } = this.#needs
    if (content === undefined || !consent.rules || !notices.isEnabled || this.#done.has(userId)) return
    this.#done.add(userId)
    const run: Promise<void> = this.#ask(userId, content, consent.rules.pages.version).finally(() => this.#running.delete(run))
    this.#running.add(run)
  }

  /** Resolves once nobody is being asked. */
  async settled(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running)
  }

  async #ask(userId: UserId, content: JsonObject, version: string): Promise<void> {
    const { consent, accounts, notices, toGuests, logger } = this.#needs
    try {
      const account = await accounts.get(userId)
      if (!account || consent.hasAgreed(account) || account.consentServerNoticeSent === version || (account.isGuest && !toGuests)) return
      const own = withUri(content, consent.uriFor(userId))
      await notices.send(userId, { type: 'm.room.message', stateKey: undefined, content: own }, (tx) => accounts.setConsentNoticeSent(tx, userId, version))
    } catch (error) {
      this.#done.delete(userId)
      logger.error('A user could not be asked for consent; it is tried again when they sync.', { userId, error })
    }
  }
}

/** The content with the user's address in all its texts. */
function withUri(content: JsonObject, uri: string): JsonObject {
  return Object.fromEntries(Object.entries(content).map(([key, value]) => [key, value === undefined ? value : filled(value, uri)]))
}

function filled(value: JsonValue, uri: string): JsonValue {
  if (typeof value === 'string') return withConsentUri(value, uri)
  if (Array.isArray(value)) return value.map((item) => filled(item, uri))
  return isObject(value) ? withUri(value, uri) : value
}
