/** Secret tokens: how they look, and how they are stored. */
import { hash, randomBytes, randomInt } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { localpartOf } from '@myelin/protocol/ids/user-id.ts'

const base62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

/** `syt`: access token, `syr`: refresh token, `syl`: login token. */
export type TokenKind = 'syt' | 'syr' | 'syl'

/** A new token: kind, localpart, 142 random bits, and a checksum by which secret scanners recognise it. */
export function newToken(kind: TokenKind, userId: string): string {
  const body = `${kind}_${Buffer.from(localpartOf(userId)).toString('base64url')}_${randomText(24)}`
  return `${body}_${checksum(body)}`
}

/** What is stored of a token: who reads the database cannot use it. */
export function tokenHash(token: string): string {
  return hash('sha256', token, 'base64url')
}

/** A random text of letters and digits. */
export function randomText(length: number): string {
  let text = ''
  while (text.length < length) text += base62[randomInt(62)]
  return text
}

/** A random number that JavaScript and the database hold exactly. */
export function randomNumber(): number {
  return randomBytes(6).readUIntBE(0, 6) * 32 + randomInt(32)
}

function checksum(text: string): string {
  let value = crc32(text)
  let digits = ''
  for (let place = 0; place < 6; place++) {
    digits = base62[value % 62] + digits
    value = Math.floor(value / 62)
  }
  return digits
}
