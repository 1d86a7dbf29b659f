/**
 * Deletes rooms that nobody on this server can come back to read: those that every local user who ever was in them has left and forgotten, some time
 * after the last of them did. A deletion that a crash interrupted goes on at the next start, also where the option is gone by then.
 *
 * Spec: option `forgotten_room_retention_period`.
 */
import type { Memberships } from '#engine/memberships.ts'
import type { RoomPurging } from '#engine/room-purging.ts'
import type { Clock, Timer } from '#platform/clock.ts'
import type { Database } from '#platform/db/database.ts'
import type { Logger } from '#platform/log/logger.ts'

interface Needs {
  readonly database: Database
  readonly clock: Clock
  readonly logger: Logger
  readonly memberships: Memberships
  readonly roomPurging: RoomPurging
  /** Time between the last forgetting and the deletion, in ms; null deletes none. */
  readonly periodMs: number | null
}

const intervalMs = 3_600_000
const roomsPerPage = 100

export class ForgottenRooms {
  readonly #needs: Needs
  readonly #timers: readonly Timer[]
  readonly #stopping = new AbortController()
  #running: Promise<void> = Promise.resolve()

  constructor(needs: Needs) {
    this.#needs = needs
    // The slices that take part are built before the first run.
    this.#timers = [needs.clock.after(0, () => this.#start()), needs.clock.every(intervalMs, () => this.#start())]
  }

  /** Resolves when nothing is being deleted. */
  settled(): Promise<void> {
    return this.#running
  }

  /** Finishes the page that is being deleted. */
  async stop(): Promise<void> {
    for (const timer of this.#timers) timer.cancel()
    this.#stopping.abort()
    await this.#running
  }

  #start(): void {
    this.#running = this.#running.then(() => this.#run()).catch((error: unknown) => {
      this.#needs.logger.error('Rooms that everybody has forgotten could not be deleted; the next run tries again.', { error })
    })
  }

  async #run(): Promise<void> {
    const { periodMs, database, memberships, clock } = this.#needs
    const { signal } = this.#stopping
    await this.#finish()
    if (periodMs === null || signal.aborted) return
    await database.transaction((tx) => memberships.noteForgotten(tx))
    const before = clock.now() - periodMs
    for (let after = 0; !signal.aborted;) {
      const rooms = await memberships.forgottenRooms(before, after, roomsPerPage)
      for (const room of rooms) {
        if (signal.aborted) return
        await this.#needs.roomPurging.begin(room, () => memberships.isForgotten(room, before))
        await this.#finish()
      }
      const last = rooms.at(-1)
      if (!last) return
      after = last.nid
    }
  }

  async #finish(): Promise<void> {
    for (const room of await this.#needs.roomPurging.finish(this.#stopping.signal)) {
      this.#needs.logger.info('Deleted a room that all of its local users have forgotten', { room: room.id })
    }
  }
}
