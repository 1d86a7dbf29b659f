/** Builds sync on everything of which it is made. */
import { Connections, parsePos, SlidingSync, Sync, SyncParts, type SyncSources } from '#features/sync/sync.ts'
import type { Devices } from '#features/devices/devices.ts'
import type { RoomActivity } from '#engine/room-activity.ts'
import type { Database } from '#platform/db/database.ts'
import type { Config } from './config.ts'

type Inputs = Omit<SyncSources, 'options'> & {
  readonly config: Config
  readonly devices: Devices
  readonly database: Database
  readonly roomActivity: RoomActivity
  readonly stack: AsyncDisposableStack
}

const hourMs = 3_600_000

/** Sync in its kinds; it follows the deletion of devices. */
export async function composeSync(inputs: Inputs) {
  const { config, devices, clock, logger } = inputs
  const parts = new SyncParts({
    ...inputs,
    options: {
      filterTimelineLimit: config.filter_timeline_limit,
      excludedRooms: new Set(config.exclude_rooms_from_sync),
      responseLifetimeMs: config.caches.sync_response_cache_duration,
      includeOfflinePresence: config.presence.include_offline_users_on_sync,
    },
  })
  const sync = new Sync(parts)
  const connections = await Connections.open(inputs)
  const slidingSync = new SlidingSync({ parts, connections, activity: inputs.roomActivity })
  const timer = clock.every(hourMs, () => {
    connections.expire().catch((error: unknown) => logger.error('Connections of sliding sync that nobody uses could not be ended.', { error }))
  })
  inputs.stack.defer(() => timer.cancel())
  devices.onDeleted((tx, userId, deviceIds) => connections.devicesDeleted(tx, userId, deviceIds))
  devices.onDeleted(async (tx, userId, deviceIds) => {
    tx.afterCommit(() => sync.endWaits(userId, deviceIds))
  })
  return {
    sync, slidingSync, slidingConnections: connections,
    threadSubscriptionPosition: (token: string) => parsePos(token)?.moment.threadSubscriptions,
  }
}
