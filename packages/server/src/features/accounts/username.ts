/**
 * Which localparts new accounts may have.
 *
 * Spec: appendices, "User Identifiers"; client-server API, "Account registration".
 */
import { refuse } from '@myelin/protocol/errors.ts'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import { isStrictLocalpart } from '@myelin/protocol/ids/user-id.ts'

/** What is allowed beyond the grammar. */
export interface UsernameRules {
  readonly serverName: string
  /** `_name` is usually kept for application services. */
  readonly allowUnderscorePrefix: boolean
}

/**
 * The user id of a new account.
 * @throws M_INVALID_USERNAME for a localpart that new accounts cannot have
 */
export function newUserId(localpart: string, rules: UsernameRules): UserId {
  if (localpart === '') throw refuse('M_INVALID_USERNAME', 'The user name is empty.')
  if (!isStrictLocalpart(localpart)) {
    throw refuse('M_INVALID_USERNAME', 'A user name can contain only the characters a-z, 0-9 and . _ = - / +, in lower case.')
  }
  if (/^[0-9]+$/.test(localpart)) throw refuse('M_INVALID_USERNAME', 'A user name of digits alone is reserved for guests; add a letter.')
  if (localpart.startsWith('_') && !rules.allowUnderscorePrefix) throw refuse('M_INVALID_USERNAME', 'A user name must not begin with an underscore.')
  return assertFits(`@${localpart}:${rules.serverName}`)
}

function assertFits(userId: string): UserId {
  if (Buffer.byteLength(userId) > 255) throw refuse('M_INVALID_USERNAME', 'The user id would be longer than 255 bytes; choose a shorter name.')
  return userId as UserId
}
