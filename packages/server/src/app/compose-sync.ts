/** Builds sync on everything of which it is made. */
import { Sync, SyncParts, type SyncSources } from '#features/sync/sync.ts'
import type { Devices } from '#features/devices/devices.ts'
import type { Config } from './config.ts'

type Inputs = Omit<SyncSources, 'options'> & {
  readonly config: Config
  readonly devices: Devices
}

/** Sync; it follows the deletion of devices. */
export function composeSync(inputs: Inputs): { readonly sync: Sync } {
  const { config, devices } = inputs
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
  devices.onDeleted(async (tx, userId, deviceIds) => {
    tx.afterCommit(() => sync.endWaits(userId, deviceIds))
  })
  return { sync }
}
