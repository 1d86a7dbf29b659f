/** Builds the slices of end-to-end encryption: keys of devices and users, their backups, messages between devices. */
import { refuse } from '@myelin/protocol/errors.ts'
import type { Accounts } from '#features/accounts/accounts.ts'
import type { Devices } from '#features/devices/devices.ts'
import { KeyBackups } from '#features/key-backup/key-backup.ts'
import { DehydratedDevices } from '#features/keys/dehydrated-devices.ts'
import { DeviceListEdus } from '#features/edus/device-list-edus.ts'
import { ToDeviceEdus } from '#features/edus/to-device-edus.ts'
import { DeviceLists, type DeviceListPosition } from '#features/keys/device-lists.ts'
import { Keys, type RemoteKeyServers } from '#features/keys/keys.ts'
import type { IdentityConfirmation } from '#features/keys/keys.routes.ts'
import { KnownDevices } from '#features/keys/known-devices.ts'
import { parseSyncToken } from '#features/sync/sync.ts'
import { ToDevice } from '#features/to-device/to-device.ts'
import { confirmationFlows, type Uia } from '#features/uia/uia.ts'
import type { RoomServers } from '#engine/room-servers.ts'
import type { Memberships } from '#engine/memberships.ts'
import type { CacheBudget } from '#platform/cache/cache.ts'
import type { Clock } from '#platform/clock.ts'
import type { Database } from '#platform/db/database.ts'
import type { Logger } from '#platform/log/logger.ts'
import type { Config } from './config.ts'
import { isExperimental } from './experimental.ts'

interface EncryptionInputs {
  readonly config: Config
  readonly database: Database
  readonly caches: CacheBudget
  readonly clock: Clock
  readonly logger: (name: string) => Logger
  readonly memberships: Memberships
  readonly roomServers: RoomServers
  readonly accounts: Accounts
  readonly devices: Devices
  readonly uia: Uia
  readonly remote: RemoteKeyServers
  readonly stack: AsyncDisposableStack
}

const hourMs = 3_600_000

/** Services of encryption; they follow what happens to devices and accounts. */
export async function composeEncryption(inputs: EncryptionInputs) {
  const { config, database, caches, clock, memberships, accounts, devices, uia, stack } = inputs
  const serverName = config.server_name
  const logger = inputs.logger('synapse.handlers.devicemessage')
  const isLocal = (userId: string): boolean => memberships.isLocal(userId)
  const knownDevices = new KnownDevices({ devices, caches })
  const deviceLists = await DeviceLists.open({ database, memberships })
  const keys = await Keys.open({
    database, caches, clock, deviceLists, knownDevices, isLocal, remote: inputs.remote, showsNamesToServers: config.allow_device_name_lookup_over_federation,
  })
  const keyBackups = new KeyBackups({ database })
  const toDeviceEdus = await ToDeviceEdus.open({ database, clock })
  const toDevice = await ToDevice.open({ database, caches, clock, devices: knownDevices, isLocal, outbound: toDeviceEdus })
  const dehydratedDevices = new DehydratedDevices({
    database, keys, devices, toDevice, enabled: isExperimental(config, 'msc3814_enabled'),
  })
  devices.onDeleted((tx, userId, deviceIds) => keys.devicesDeleted(tx, userId, deviceIds))
  devices.onDeleted((tx, userId, deviceIds) => toDevice.devicesDeleted(tx, userId, deviceIds))
  devices.onChanged((tx, userId) => keys.devicesChanged(tx, userId))
  accounts.onDeactivated((tx, userId) => keys.crossSigning.deleteUser(tx, userId))
  accounts.onDeactivated((tx, userId) => keyBackups.deleteUser(tx, userId))
  const crossSigningConfirmation: IdentityConfirmation = {
    confirm: async (requester, request) => {
      const operation = { id: 'uploadCrossSigningKeys', description: 'add keys that vouch for your devices' }
      return (await uia.authenticate({ request, requester, operation, flows: confirmationFlows })).body
    },
  }
  const timer = clock.every(hourMs, () => {
    toDevice.expire().catch((error: unknown) => logger.error('Could not forget old transaction ids of messages to devices.', { error }))
  })
  stack.defer(() => timer.cancel())
  const deviceListEdus = new DeviceListEdus({ database, serverName, roomServers: inputs.roomServers, deviceLists, keys })
  return { knownDevices, deviceLists, deviceListEdus, toDeviceEdus, keys, keyBackups, toDevice, dehydratedDevices, crossSigningConfirmation, parseDeviceListPosition }
}

/** What of a token of `/sync` concerns device lists. */
function parseDeviceListPosition(token: string): DeviceListPosition {
  const position = parseSyncToken(token)
  if (!position) throw refuse('M_INVALID_PARAM', `"${token.slice(0, 100)}" is no token of a /sync; pass "next_batch" of its answer.`)
  return position
}
