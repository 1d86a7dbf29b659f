/**
 * Which fields a profile may have, and which values.
 *
 * Spec: client-server API, "Profiles"; appendices, "Common Namespaced Identifier Grammar".
 */
import { refuse } from '@myelin/protocol/errors.ts'
import type { JsonValue } from '@myelin/protocol/json/json.ts'

const fieldName = /^(avatar_url|displayname|m\.tz|[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+)$/
const longestNameBytes = 255
const longestDisplayname = 256
const longestAvatarUrl = 1000
const longestTimeZone = 255

/** Bytes that a whole profile may take as JSON. */
export const longestProfileBytes = 65_536

/** @throws M_KEY_TOO_LARGE, M_INVALID_PARAM */
export function assertFieldName(name: string): void {
  if (Buffer.byteLength(name) > longestNameBytes) throw refuse('M_KEY_TOO_LARGE', `The name of a profile field must not be longer than ${longestNameBytes} bytes.`)
  if (!fieldName.test(name)) {
    throw refuse('M_INVALID_PARAM', 'A profile field is displayname, avatar_url, m.tz or a namespaced name such as org.example.job_title.')
  }
}

/** @throws M_INVALID_PARAM for a value that the field cannot have */
export function assertFieldValue(name: string, value: JsonValue): void {
  if (name !== 'displayname' && name !== 'avatar_url' && name !== 'm.tz') return
  if (typeof value !== 'string') throw refuse('M_INVALID_PARAM', `"${name}" must be a text; use DELETE to remove it.`)
  if (name === 'displayname' && value.length > longestDisplayname) {
    throw refuse('M_INVALID_PARAM', `The display name is longer than ${longestDisplayname} characters.`)
  }
  if (name === 'm.tz' && value.length > longestTimeZone) throw refuse('M_INVALID_PARAM', 'The time zone is not an identifier of the IANA database.')
  if (name === 'avatar_url' && value.length > longestAvatarUrl) throw refuse('M_INVALID_PARAM', `The avatar's URI is longer than ${longestAvatarUrl} characters.`)
}
