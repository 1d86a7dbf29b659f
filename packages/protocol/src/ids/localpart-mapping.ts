/**
 * Maps any user name to a localpart that a new user id may have.
 *
 * Spec: appendices, "Mapping from other character sets".
 */

/**
 * A localpart for a user name: upper case lowered, everything outside of the grammar and `=` written as `=` and its byte in hexadecimal.
 *
 * @param caseSensitive whether names that differ only by case give different localparts: `A` becomes `_a`, and `_` becomes `__`
 */
export function mapUsernameToLocalpart(username: string, caseSensitive: boolean = false): string {
  let localpart = ''
  for (const byte of Buffer.from(username, 'utf8')) {
    const character = String.fromCharCode(byte)
    if (byte >= 0x41 && byte <= 0x5a) localpart += (caseSensitive ? '_' : '') + character.toLowerCase()
    else if (character === '_') localpart += caseSensitive ? '__' : '_'
    else if (/[a-z0-9./+-]/.test(character)) localpart += character
    else localpart += `=${byte.toString(16).padStart(2, '0')}`
  }
  return localpart
}
