/**
 * Which passwords are accepted.
 *
 * Spec: client-server API, "Account registration", `M_WEAK_PASSWORD`; MSC2000 for the codes of a configured policy.
 */
import { refuse } from '@myelin/protocol/errors.ts'

/** The options of `password_config.policy`. */
export interface PasswordPolicy {
  readonly enabled: boolean
  readonly minimum_length: number
  readonly require_digit: boolean
  readonly require_symbol: boolean
  readonly require_lowercase: boolean
  readonly require_uppercase: boolean
}

/** Longer passwords are refused: hashing them would cost more than any of them is worth. */
export const longestPassword = 512

/** Throws for a password that is no text, too long, or not what the policy asks for. */
export function assertAcceptablePassword(password: unknown, policy: PasswordPolicy): asserts password is string {
  assertReadablePassword(password)
  if (password === '') throw refuse('M_WEAK_PASSWORD', 'The password is empty; choose one.')
  if (!policy.enabled) return
  if (password.length < policy.minimum_length) {
    throw refuse('M_PASSWORD_TOO_SHORT', `The password must be at least ${policy.minimum_length} characters long.`)
  }
  if (policy.require_digit && !/[0-9]/.test(password)) throw refuse('M_PASSWORD_NO_DIGIT', 'The password must contain a digit.')
  if (policy.require_symbol && !/[^\p{L}\p{N}]/u.test(password)) throw refuse('M_PASSWORD_NO_SYMBOL', 'The password must contain a symbol.')
  if (policy.require_uppercase && !/\p{Lu}/u.test(password)) throw refuse('M_PASSWORD_NO_UPPERCASE', 'The password must contain an upper case letter.')
  if (policy.require_lowercase && !/\p{Ll}/u.test(password)) throw refuse('M_PASSWORD_NO_LOWERCASE', 'The password must contain a lower case letter.')
}

/** Throws for what cannot be any account's password. */
export function assertReadablePassword(password: unknown): asserts password is string {
  if (typeof password !== 'string') throw refuse('M_INVALID_PARAM', 'The password must be a text.')
  if (password.length > longestPassword) throw refuse('M_INVALID_PARAM', `The password is longer than ${longestPassword} characters.`)
}
