/** Where devices were last seen: collected in memory, written now and then. */
import type { Clock } from '#platform/clock.ts'
import type { Devices, Sighting } from '#features/devices/devices.ts'
import type { Logger } from '#platform/log/logger.ts'

/** What a cached session remembers of its last note. */
export interface SeenMark {
  ip: string
  userAgent: string
  ts: number
}

/** A device and address are noted at most this often. */
const intervalMs = 120_000
const longestUserAgent = 500
/** Notes that wait; more are dropped, since they come again. */
const pendingLimit = 20_000

export class LastSeen {
  readonly #devices: Pick<Devices, 'recordSeen'>
  readonly #clock: Clock
  readonly #logger: Pick<Logger, 'error'>
  #pending = new Map<string, Sighting>()
  #writing: Promise<void> = Promise.resolve()

  constructor(needs: { readonly devices: Pick<Devices, 'recordSeen'>; readonly clock: Clock; readonly logger: Pick<Logger, 'error'> }) {
    this.#devices = needs.devices
    this.#clock = needs.clock
    this.#logger = needs.logger
  }

  /** Notes a use of a session. `mark` is that session's own. */
  note(userId: Sighting['user_id'], deviceId: string | undefined, ip: string, userAgent: string, mark: SeenMark): void {
    const now = this.#clock.now()
    if (now - mark.ts < intervalMs && mark.ip === ip && mark.userAgent === userAgent) return
    mark.ts = now
    mark.ip = ip
    mark.userAgent = userAgent
    if (this.#pending.size >= pendingLimit) return
    const row = { user_id: userId, device_id: deviceId ?? '', ip, user_agent: readable(userAgent), last_seen_ts: now }
    this.#pending.set(JSON.stringify([row.user_id, row.device_id, row.ip, row.user_agent]), row)
  }

  /** Writes what was noted; resolves when all that was noted before has been written. A failure is logged; the notes come again. */
  flush(): Promise<void> {
    if (this.#pending.size > 0) this.#writing = this.#writing.then(() => this.#write())
    return this.#writing
  }

  async #write(): Promise<void> {
    const rows = [...this.#pending.values()]
    this.#pending = new Map()
    try {
      await this.#devices.recordSeen(rows)
    } catch (error) {
      this.#logger.error('Could not store where devices were last seen.', { error })
    }
  }
}

function readable(userAgent: string): string {
  return userAgent.slice(0, longestUserAgent).replaceAll('\0', '').toWellFormed()
}
