/**
 * What users report to the server's moderators: events, rooms, users.
 *
 * Spec: client-server API, "Reporting Content".
 */
import { refuse } from '@myelin/protocol/errors.ts'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import type { Events } from '#engine/events.ts'
import type { Memberships } from '#engine/memberships.ts'
import type { Rooms } from '#engine/rooms.ts'
import type { Visibility } from '#engine/visibility.ts'
import type { Clock } from '#platform/clock.ts'
import type { Database } from '#platform/db/database.ts'
import { ReportsStore } from './reports.store.ts'

const reasonLimitBytes = 10_000

interface Needs {
  readonly database: Database
  readonly clock: Clock
  readonly rooms: Rooms
  readonly events: Events
  readonly memberships: Memberships
  readonly visibility: Visibility
}

export class Reports {
  readonly #needs: Needs
  readonly #store: ReportsStore
  #last: number

  private constructor(needs: Needs, last: number) {
    this.#needs = needs
    this.#store = new ReportsStore(needs.database)
    this.#last = last
  }

  static async open(needs: Needs): Promise<Reports> {
    return new Reports(needs, await ReportsStore.last(needs.database))
  }

  /** @throws M_NOT_FOUND unless the reporter is joined to the room and can see the event */
  async reportEvent(reporter: UserId, roomId: string, eventId: string, reason: string | undefined, score: number | undefined): Promise<void> {
    const { rooms, events, memberships, visibility } = this.#needs
    assertReason(reason)
    const room = await rooms.get(roomId)
    const joined = room && (await memberships.isJoined(room, reporter))
    const event = joined ? await events.get(room, eventId) : undefined
    if (!room || !event || !(await visibility.canSee(reporter, event))) {
      throw refuse('M_NOT_FOUND', 'The event was not found, or you are not joined to its room.')
    }
    const { eventId: reported } = event.event
    await this.#store.insertEvent({
      ...this.#report(reporter), room_id: room.id, event_id: reported, reason: reason ?? null, score: score ?? null,
    })
  }

  /** @throws M_NOT_FOUND */
  async reportRoom(reporter: UserId, roomId: string, reason: string): Promise<void> {
    assertReason(reason)
    const room = await this.#needs.rooms.get(roomId)
    if (!room) throw refuse('M_NOT_FOUND', 'The room was not found; check the room id.')
    await this.#store.insertRoom({ ...this.#report(reporter), room_id: room.id, reason })
  }

  /** Stores the report whether or not the user exists, so that nobody can find out this way who does. */
  async reportUser(reporter: UserId, target: UserId, reason: string): Promise<void> {
    assertReason(reason)
    await this.#store.insertUser({ ...this.#report(reporter), target_user_id: target, reason })
  }

  #report(reporter: UserId): { report_nid: number; received_ts: number; user_id: UserId } {
    return { report_nid: ++this.#last, received_ts: this.#needs.clock.now(), user_id: reporter }
  }
}

function assertReason(reason: string | undefined): void {
  if (reason !== undefined && Buffer.byteLength(reason) > reasonLimitBytes) {
    throw refuse('M_TOO_LARGE', `A reason has at most ${reasonLimitBytes} bytes; shorten it.`)
  }
}
