/** Keys for tests, signed as clients sign them. */
import { randomBytes } from 'node:crypto'
import { encodeBase64 } from '@myelin/protocol/crypto/base64.ts'
import { SigningKey } from '@myelin/protocol/crypto/ed25519.ts'
import { signedText, withSignature } from '@myelin/protocol/crypto/sign-json.ts'
import { own, type JsonObject } from '@myelin/protocol/json/json.ts'

/** A key pair. */
export function newKey(): SigningKey {
  return new SigningKey('test', randomBytes(32))
}

/** 32 random bytes as a curve25519 public key. */
export function newPublicKey(): string {
  return encodeBase64(randomBytes(32))
}

/** A copy of the object with a signature of a user's key. */
export function signed(object: JsonObject, userId: string, keyName: string, key: SigningKey): JsonObject {
  return { ...object, signatures: withSignature(own(object, 'signatures'), userId, `ed25519:${keyName}`, key.sign(signedText(object))) }
}

/** Identity keys of a device. */
export function deviceKeys(userId: string, deviceId: string, key: SigningKey, extra: JsonObject = {}): JsonObject {
  const object = {
    user_id: userId,
    device_id: deviceId,
    algorithms: ['m.olm.v1.curve25519-aes-sha2', 'm.megolm.v1.aes-sha2'],
    keys: { [`curve25519:${deviceId}`]: 'WoIIvYAyfFlXiGXGmcGYz4HQ6CXHB9DX5hYhl2ZhTUQ', [`ed25519:${deviceId}`]: key.publicKey },
    ...extra,
  }
  return signed(object, userId, deviceId, key)
}

/** A cross-signing key, not signed. */
export function crossSigningKey(userId: string, usage: string, key: SigningKey): JsonObject {
  return { user_id: userId, usage: [usage], keys: { [`ed25519:${key.publicKey}`]: key.publicKey } }
}

/** One-time keys `signed_curve25519:k0` and so on. */
export function oneTimeKeys(userId: string, deviceId: string, key: SigningKey, count: number, prefix = 'k'): JsonObject {
  return Object.fromEntries(
    Array.from({ length: count }, (_, index) => [`signed_curve25519:${prefix}${index}`, signed({ key: newPublicKey() }, userId, deviceId, key)]),
  )
}

/** A user's three cross-signing keys. */
export class CrossSigningKeys {
  readonly userId: string
  readonly master = newKey()
  readonly selfSigning = newKey()
  readonly userSigning = newKey()

  constructor(userId: string) {
    this.userId = userId
  }

  /** Body of `/keys/device_signing/upload`. */
  get upload(): JsonObject {
    return {
      master_key: crossSigningKey(this.userId, 'master', this.master),
      self_signing_key: this.#byMaster(crossSigningKey(this.userId, 'self_signing', this.selfSigning)),
      user_signing_key: this.#byMaster(crossSigningKey(this.userId, 'user_signing', this.userSigning)),
    }
  }

  #byMaster(key: JsonObject): JsonObject {
    return signed(key, this.userId, this.master.publicKey, this.master)
  }
}
