/**
 * Accounts by the shared secret of registration, which every test server has.
 *
 * Spec: Synapse's admin API, "Shared-Secret Registration".
 */
import { createHmac } from 'node:crypto'
import type { TestClient } from './test-client.ts'

/** `registration_shared_secret` of test servers. */
export const sharedSecret = 'shared-secret-of-tests'

/** Registers a user with the password `password-of-<name>`. @returns the reply, which logs the user in */
export async function registerBySecret(anonymous: TestClient, name: string, isAdmin: boolean): Promise<Readonly<Record<string, unknown>>> {
  const nonce = String((await anonymous.get('/_synapse/admin/v1/register').ok())['nonce'])
  const password = `password-of-${name}`
  const mac = createHmac('sha1', sharedSecret).update([nonce, name, password, isAdmin ? 'admin' : 'notadmin'].join('\0')).digest('hex')
  return anonymous.post('/_synapse/admin/v1/register', { nonce, username: name, password, admin: isAdmin, mac }).ok()
}
