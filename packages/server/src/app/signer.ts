/** The key that signs this server's events. */
import { SigningKey } from '@myelin/protocol/crypto/ed25519.ts'
import type { EventSigner } from '@myelin/protocol/events/build.ts'
import type { LoadedConfig } from './config.ts'

/** The signer of a loaded configuration: its first signing key under the server's name. */
export function eventSignerOf({ config, signingKeys }: Pick<LoadedConfig, 'config' | 'signingKeys'>): EventSigner {
  const [first] = signingKeys
  if (!first) throw new Error('The signing key file holds no key')
  return { serverName: config.server_name, key: new SigningKey(first.version, first.seed) }
}
