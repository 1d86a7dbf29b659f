/**
 * Asks other servers for keys of their users' devices.
 *
 * Spec: server-server API, "End-to-End Encryption".
 */
import type { ServerName } from '@myelin/protocol/ids/ids.ts'
import { isUserId, serverOf } from '@myelin/protocol/ids/user-id.ts'
import { isObject, own, type JsonObject, type JsonValue } from '@myelin/protocol/json/json.ts'
import { RemoteError } from '#platform/fetch/remote-error.ts'
import { FederationRefusal, pathOf, type Federation } from '#features/federation/federation.ts'
import type { RemoteKeyServers } from './keys.ts'

/** Keys of other servers' devices; what a server says of users that are not its own is dropped. */
export function remoteKeys(federation: Pick<Federation, 'allows' | 'request'>): RemoteKeyServers {
  const ask = async (server: ServerName, call: 'query' | 'claim', body: JsonObject, timeoutMs: number): Promise<JsonObject | undefined> => {
    if (!federation.allows(server)) return undefined
    try {
      return await federation.request(server, { method: 'POST', path: pathOf([`federation/v1/user/keys/${call}`]), body, timeoutMs })
    } catch (error) {
      if (error instanceof FederationRefusal || error instanceof RemoteError) return undefined
      throw error
    }
  }
  return {
    queryKeys: async (server, devices, timeoutMs) => {
      const answer = await ask(server, 'query', { device_keys: devices }, timeoutMs)
      return answer && {
        deviceKeys: ofServer(server, own(answer, 'device_keys'), (userId, keys) => ownDevices(userId, keys)),
        masterKeys: ofServer(server, own(answer, 'master_keys'), isOwnKey),
        selfSigningKeys: ofServer(server, own(answer, 'self_signing_keys'), isOwnKey),
      }
    },
    claimKeys: async (server, oneTimeKeys, timeoutMs) => {
      const answer = await ask(server, 'claim', { one_time_keys: oneTimeKeys }, timeoutMs)
      return answer && ofServer(server, own(answer, 'one_time_keys'), (_, keys) => keys)
    },
  }
}

/** Entries by user id of the users of a server, as far as `usable` leaves something of them. */
function ofServer(server: ServerName, value: JsonValue | undefined, usable: (userId: string, entry: JsonObject) => JsonObject | undefined): JsonObject {
  if (!isObject(value)) return {}
  const found = Object.entries(value).map(([userId, entry]) =>
    [userId, isUserId(userId) && serverOf(userId) === server && isObject(entry) ? usable(userId, entry) : undefined] as const)
  return Object.fromEntries(found.filter(([, entry]) => entry !== undefined))
}

/** The devices whose keys say that they belong to this user and device. */
function ownDevices(userId: string, devices: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(devices).filter(([deviceId, keys]) =>
    isObject(keys) && own(keys, 'user_id') === userId && own(keys, 'device_id') === deviceId))
}

function isOwnKey(userId: string, key: JsonObject): JsonObject | undefined {
  return own(key, 'user_id') === userId ? key : undefined
}
