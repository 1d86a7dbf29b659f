/**
 * Unpadded base64. A text has one reading or none: the alphabets are not mixed, padding is complete or absent, and nothing else
 * stands between. Unused bits at the end are ignored, because the specification's own test vectors set them.
 *
 * Spec: appendices, "Unpadded Base64".
 */

const standard = /^[A-Za-z0-9+/]*$/
const urlSafe = /^[A-Za-z0-9_-]*$/

/** Bytes as unpadded base64. */
export function encodeBase64(bytes: Uint8Array): string {
  return toBuffer(bytes).toString('base64').replace(/=+$/, '')
}

/** Bytes as URL-safe unpadded base64. */
export function encodeBase64Url(bytes: Uint8Array): string {
  return toBuffer(bytes).toString('base64url')
}

/**
 * The bytes of a base64 text in the standard alphabet, with or without padding.
 *
 * @returns undefined where the text holds anything else, or its length or padding is wrong
 */
export function decodeBase64(text: string): Uint8Array | undefined {
  const bare = withoutPadding(text)
  return bare !== undefined && bare.length % 4 !== 1 && standard.test(bare) ? Buffer.from(bare, 'base64') : undefined
}

/** The bytes of a base64 text in the URL-safe alphabet, by the same rules as `decodeBase64`. */
export function decodeBase64Url(text: string): Uint8Array | undefined {
  const bare = withoutPadding(text)
  return bare !== undefined && bare.length % 4 !== 1 && urlSafe.test(bare) ? Buffer.from(bare, 'base64url') : undefined
}

function withoutPadding(text: string): string | undefined {
  const padding = text.indexOf('=')
  if (padding < 0) return text
  const expected = '='.repeat((4 - (padding % 4)) % 4)
  return expected !== '' && text.slice(padding) === expected ? text.slice(0, padding) : undefined
}

function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
