/**
 * Hashes of passwords: argon2id for new ones, bcrypt with a pepper for those that came from elsewhere.
 *
 * Spec: none; the PHC string format, RFC 9106.
 */
import { argon2, randomBytes, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'
import bcrypt from 'bcryptjs'

const derive = promisify(argon2)

/** Cost of new hashes: 19 MiB, two passes, one lane. */
const cost = { memory: 19_456, passes: 2, parallelism: 1 } as const
const tagBytes = 32
const phc = /^\$argon2id\$v=19\$m=(\d{1,7}),t=(\d{1,3}),p=(\d{1,2})\$([A-Za-z0-9+/]{11,88})\$([A-Za-z0-9+/]{22,128})$/

/** What checking a password found. */
export interface PasswordVerdict {
  readonly correct: boolean
  /** The hash is of an old kind or cost, and should be replaced by a new one. */
  readonly outdated: boolean
}

/** Makes and checks hashes of passwords. */
export class Passwords {
  readonly #pepper: string
  #decoy: Promise<string> | undefined

  /** @param options.pepper secret text that is part of every hash; changing it invalidates all passwords */
  constructor(options: { readonly pepper: string }) {
    this.#pepper = options.pepper
  }

  /** A new hash as a PHC string. */
  async hash(password: string): Promise<string> {
    const salt = randomBytes(16)
    const tag = await this.#tag(password, salt, cost, tagBytes)
    return `$argon2id$v=19$m=${cost.memory},t=${cost.passes},p=${cost.parallelism}$${unpadded(salt)}$${unpadded(tag)}`
  }

  /** Checks a password. Without a hash it takes as long as with a wrong password, and answers that it is not correct. */
  async verify(password: string, hash: string | null | undefined): Promise<PasswordVerdict> {
    if (!hash) {
      this.#decoy ??= this.hash(randomBytes(16).toString('hex'))
      await this.#verifyArgon2(password, await this.#decoy)
      return { correct: false, outdated: false }
    }
    if (/^\$2[aby]\$/.test(hash)) return { correct: await bcrypt.compare(normalised(password) + this.#pepper, hash), outdated: true }
    return this.#verifyArgon2(password, hash)
  }

  async #verifyArgon2(password: string, hash: string): Promise<PasswordVerdict> {
    const [, memory, passes, parallelism, salt = '', tag = ''] = phc.exec(hash) ?? []
    if (memory === undefined) return { correct: false, outdated: false }
    const used = { memory: Number(memory), passes: Number(passes), parallelism: Number(parallelism) }
    const expected = Buffer.from(tag, 'base64')
    const found = await this.#tag(password, Buffer.from(salt, 'base64'), used, expected.length)
    const outdated = used.memory !== cost.memory || used.passes !== cost.passes || used.parallelism !== cost.parallelism
    return { correct: timingSafeEqual(found, expected), outdated }
  }

  #tag(password: string, salt: Buffer, { memory, passes, parallelism }: { memory: number; passes: number; parallelism: number }, length: number): Promise<Buffer> {
    const parameters = { message: Buffer.from(normalised(password)), nonce: salt, memory, passes, parallelism, tagLength: length }
    return derive('argon2id', this.#pepper === '' ? parameters : { ...parameters, secret: Buffer.from(this.#pepper) })
  }
}

function normalised(password: string): string {
  return password.normalize('NFKC')
}

function unpadded(bytes: Buffer): string {
  return bytes.toString('base64').replace(/=+$/, '')
}
