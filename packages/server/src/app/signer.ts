/** The keys that sign in this server's name. */
import { SigningKey } from '@myelin/protocol/crypto/ed25519.ts'
import type { EventSigner } from '@myelin/protocol/events/build.ts'
import type { LoadedConfig } from './config.ts'

/** The signer of events and requests: the first signing key under the server's name. */
export function eventSignerOf({ config, signingKeys }: Pick<LoadedConfig, 'config' | 'signingKeys'>): EventSigner {
  const [key] = usableKeys(signingKeys)
  if (!key) throw new Error('The signing key file holds no key')
  return { serverName: config.server_name, key }
}

/** Keys of a file, ready to sign. */
export function usableKeys(keys: LoadedConfig['signingKeys']): SigningKey[] {
  return keys.map(({ version, seed }) => new SigningKey(version, seed))
}
