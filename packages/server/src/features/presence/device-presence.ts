/**
 * What the devices of a user say together.
 *
 * Spec: client-server API, "Presence", "Idle timeout".
 */

/** Values of `presence`; the last one is that of MSC3026. */
export type PresenceValue = 'online' | 'unavailable' | 'offline' | 'org.matrix.msc3026.busy'

export const busy = 'org.matrix.msc3026.busy'

/** How fast presence fades, in milliseconds. */
export interface PresenceTimes {
  /** After the last sync a device counts as gone. */
  readonly syncOnlineTimeoutMs: number
  /** Without activity a device counts as idle. */
  readonly idleTimeoutMs: number
  /** How long after an activity the user is currently active. */
  readonly lastActiveGranularityMs: number
}

/** One device of a local user. */
export interface Device {
  value: PresenceValue
  lastActiveTs: number
  /** When its last sync ended. */
  lastSyncTs: number
  /** Syncs that are running. */
  syncing: number
  /** `set_presence` of its last sync. */
  syncValue: PresenceValue | undefined
}

const priority: readonly PresenceValue[] = ['offline', 'unavailable', 'online', busy]

/** Lets time pass for a device: gone without syncs, idle without activity. @returns false where the device is gone */
export function fade(device: Device, now: number, times: PresenceTimes): boolean {
  if (device.syncing === 0 && now - Math.max(device.lastSyncTs, device.lastActiveTs) >= times.syncOnlineTimeoutMs) return false
  if (device.value === 'online' && now - device.lastActiveTs >= times.idleTimeoutMs) device.value = 'unavailable'
  return true
}

/** The state of a user with these devices: the most present device counts. */
export function combined(devices: Iterable<Device>): PresenceValue {
  let best: PresenceValue = 'offline'
  for (const { value } of devices) if (priority.indexOf(value) > priority.indexOf(best)) best = value
  return best
}
