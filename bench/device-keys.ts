/** Keys of a device, signed as a client signs them. */
import { generateKeyPairSync, sign, type KeyObject } from 'node:crypto'
import { canonicalJson } from '@myelin/protocol/json/canonical.ts'
import type { JsonObject } from '@myelin/protocol/json/json.ts'
import type { User } from './client.ts'

function base64(bytes: Buffer): string {
  return bytes.toString('base64').replaceAll('=', '')
}

function signed(value: JsonObject, user: User, key: KeyObject): JsonObject {
  const signature = base64(sign(null, Buffer.from(canonicalJson(value)), key))
  return { ...value, signatures: { [user.id]: { [`ed25519:${user.deviceId}`]: signature } } }
}

/** The body of a key upload: identity keys and `count` one-time keys. */
export function keyUpload(user: User, count: number): JsonObject {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  const ed25519 = base64(publicKey.export({ format: 'der', type: 'spki' }).subarray(-32))
  const deviceKeys = {
    user_id: user.id, device_id: user.deviceId, algorithms: ['m.olm.v1.curve25519-aes-sha2', 'm.megolm.v1.aes-sha2'],
    keys: { [`curve25519:${user.deviceId}`]: ed25519, [`ed25519:${user.deviceId}`]: ed25519 },
  }
  const oneTime = Array.from({ length: count }, (_, index) => [`signed_curve25519:AAAA${index}`, signed({ key: ed25519 }, user, privateKey)])
  return { device_keys: signed(deviceKeys, user, privateKey), one_time_keys: Object.fromEntries(oneTime) }
}
