/** Builds users' consent to the policy of the server. */
import type { JsonObject } from '@myelin/protocol/json/json.ts'
import type { Accounts } from '#features/accounts/accounts.ts'
import { Consent, ConsentNotices, PolicyPages, type ConsentRules } from '#features/consent/consent.ts'
import type { NoticeRooms, ServerNotices } from '#features/notices/notices.ts'
import type { Presence } from '#features/presence/presence.ts'
import type { Rooms } from '#engine/rooms.ts'
import type { Database } from '#platform/db/database.ts'
import type { Logger } from '#platform/log/logger.ts'
import type { Config } from './config.ts'

function consentRules({ user_consent: options, form_secret: secret, public_baseurl: url, server_name: serverName }: Config): ConsentRules | undefined {
  // The checks of the configuration have assured that these are set.
  if (!options?.template_dir || !options.version || !secret) return undefined
  const baseUrl = url ?? `https://${serverName}`
  return {
    pages: new PolicyPages(options.template_dir, options.version),
    policyName: options.policy_name,
    atRegistration: options.require_at_registration,
    blockMessage: options.block_events_error,
    baseUrl: baseUrl.endsWith('/') ? baseUrl : `${baseUrl}/`,
    secret,
  }
}

/** Consent. */
export function composeConsent(inputs: {
  readonly config: Config
  readonly database: Database
  readonly accounts: Accounts
  readonly rooms: Rooms
  readonly noticeRooms: NoticeRooms
}): Consent {
  return new Consent({ ...inputs, rules: consentRules(inputs.config) })
}

/** Notices that ask those who sync for consent. */
export function composeConsentNotices(inputs: {
  readonly config: Config
  readonly consent: Consent
  readonly accounts: Accounts
  readonly notices: ServerNotices
  readonly presence: Presence
  readonly logger: Logger
  readonly stack: AsyncDisposableStack
}): ConsentNotices {
  const options = inputs.config.user_consent
  const content: JsonObject | undefined = options?.server_notice_content ?? undefined
  const consentNotices = new ConsentNotices({ ...inputs, content, toGuests: options?.send_server_notice_to_guests ?? false })
  inputs.presence.onSyncing((userId) => consentNotices.seen(userId))
  inputs.stack.defer(() => consentNotices.settled())
  return consentNotices
}
