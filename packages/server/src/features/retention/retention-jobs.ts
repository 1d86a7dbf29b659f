/** Deletes messages whose time is over, room by room: each job cares for rooms whose longest life lies in its range. */
import type { HistoryPurging } from '#engine/history-purging.ts'
import type { Rooms } from '#engine/rooms.ts'
import type { Clock, Timer } from '#platform/clock.ts'
import type { Logger } from '#platform/log/logger.ts'
import type { RoomRetention } from './room-retention.ts'

/** One job; times in ms. */
export interface RetentionJob {
  /** Rooms whose messages live longer than this. */
  readonly aboveMs: number | null
  /** Rooms whose messages live at most so long. */
  readonly upToMs: number | null
  readonly intervalMs: number
}

interface Needs {
  readonly clock: Clock
  readonly logger: Logger
  readonly rooms: Rooms
  readonly purging: HistoryPurging
  readonly retention: RoomRetention
}

const roomsPerPage = 100

export class RetentionJobs {
  readonly #needs: Needs
  readonly #timers: readonly Timer[]
  readonly #stopping = new AbortController()
  #running: Promise<void> = Promise.resolve()

  constructor(needs: Needs, jobs: readonly RetentionJob[]) {
    this.#needs = needs
    this.#timers = jobs.map((job) => needs.clock.every(job.intervalMs, () => this.#start(job)))
  }

  /** Resolves when no job runs. */
  settled(): Promise<void> {
    return this.#running
  }

  /** Finishes the page that is being deleted. */
  async stop(): Promise<void> {
    for (const timer of this.#timers) timer.cancel()
    this.#stopping.abort()
    await this.#running
  }

  #start(job: RetentionJob): void {
    this.#running = this.#running.then(() => this.#run(job)).catch((error: unknown) => {
      this.#needs.logger.error('Messages whose time is over could not be deleted; the next run tries again.', { error })
    })
  }

  async #run(job: RetentionJob): Promise<void> {
    const { rooms, retention, purging, clock, logger } = this.#needs
    const { signal } = this.#stopping
    for (let after = 0; !signal.aborted;) {
      const page = await rooms.page(after, roomsPerPage)
      const longest = await retention.longestOf(page.map((room) => room.nid))
      for (const room of page) {
        const maxMs = longest.get(room.nid)
        if (maxMs === undefined || maxMs <= (job.aboveMs ?? -1) || maxMs > (job.upToMs ?? Infinity) || signal.aborted) continue
        const count = await purging.purge(room, clock.now() - maxMs, signal)
        if (count > 0) logger.info('Deleted messages whose time is over', { room: room.id, count })
      }
      const last = page.at(-1)
      if (!last) return
      after = last.nid
    }
  }
}
