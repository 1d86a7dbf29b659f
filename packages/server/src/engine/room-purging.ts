/**
 * Deletes whole rooms with everything that is kept about them. From the first step on the room is unknown to everybody; the rest goes page by page,
 * and after a crash the next start goes on where it stopped.
 */
import { refuse } from '@myelin/protocol/errors.ts'
import type { Clock } from '#platform/clock.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import { PagedDelete } from '#platform/db/paged-delete.ts'
import type { ChainCover } from './chain-cover.ts'
import type { Events } from './events.ts'
import type { HistoryPurging, PurgedEvent } from './history-purging.ts'
import type { LastNumbers } from './last-numbers.ts'
import type { Memberships } from './memberships.ts'
import type { RoomHeads } from './room-heads.ts'
import { RoomPurgingStore, type LastEvent } from './room-purging.store.ts'
import type { RoomStates } from './room-states.ts'
import type { RoomTurns } from './room-turns.ts'
import type { Room } from './room.ts'
import type { Rooms } from './rooms.ts'

/** What is kept about rooms elsewhere and must go with them; what is kept about single events goes as `PurgeParticipant` says. */
export interface RoomPurgeParticipant {
  /** Deletes at most about `limit` rows. @returns whether there may be more */
  roomPurged(tx: Tx, room: Room, limit: number): Promise<boolean>
}

interface Needs {
  readonly database: Database
  readonly clock: Clock
  readonly rooms: Rooms
  readonly events: Events
  readonly states: RoomStates
  readonly memberships: Memberships
  readonly heads: RoomHeads
  readonly turns: RoomTurns
  readonly chainCover: ChainCover
  readonly purging: HistoryPurging
  readonly lastNumbers: LastNumbers
}

/** Rows that one transaction deletes. */
const pageSize = 200

export class RoomPurging {
  readonly #needs: Needs
  readonly #store: RoomPurgingStore
  readonly #participants: RoomPurgeParticipant[]

  private constructor(needs: Needs) {
    this.#needs = needs
    this.#store = new RoomPurgingStore(needs.database)
    this.#participants = [
      needs.memberships,
      { roomPurged: (tx, room, limit) => needs.states.purgeCurrent(tx, room, limit) },
      new PendingRedactions(),
    ]
  }

  /** Opens it; rooms whose deletion was interrupted stay unknown. */
  static async open(needs: Needs): Promise<RoomPurging> {
    const purging = new RoomPurging(needs)
    for (const room of (await needs.rooms.byNids(await purging.#store.begun())).values()) purging.#hide(room)
    return purging
  }

  /** Slices add what they keep about rooms when the server is built. */
  addParticipant(participant: RoomPurgeParticipant): void {
    this.#participants.push(participant)
  }

  /**
   * Begins to delete a room; nobody can reach it any more.
   * @param isDue asked once nothing can happen in the room meanwhile
   * @returns false where it was not due
   */
  async begin(room: Room, isDue: () => Promise<boolean>): Promise<boolean> {
    const { turns, heads, database, clock } = this.#needs
    return turns.run(room.nid, async () => {
      await heads.settled(room)
      if (!(await isDue())) return false
      await database.transaction(async (tx) => {
        await this.#store.begin(tx, room.nid, clock.now())
        tx.afterCommit(() => this.#hide(room))
      })
      return true
    })
  }

  /**
   * Deletes all that is left of rooms whose deletion has begun.
   * @param signal stops it between two pages
   * @returns the rooms that are gone now
   */
  async finish(signal: AbortSignal): Promise<Room[]> {
    const gone: Room[] = []
    for (const room of (await this.#needs.rooms.byNids(await this.#store.begun())).values()) {
      if (await this.#finishOne(room, signal)) gone.push(room)
    }
    return gone
  }

  #hide(room: Room): void {
    this.#needs.rooms.hide(room)
    this.#needs.turns.close(room.nid, () => refuse('M_NOT_FOUND', 'This server is just deleting what it had of that room; try again in a while.'))
  }

  async #finishOne(room: Room, signal: AbortSignal): Promise<boolean> {
    const { database } = this.#needs
    if (!(await this.#deleteAround(room, signal))) return false
    for (;;) {
      if (signal.aborted) return false
      const page = await this.#store.events(room.nid, pageSize)
      if (page.length === 0) break
      await database.transaction((tx) => this.#deleteEvents(tx, room, page))
    }
    // What had begun before the room was hidden may have written since.
    if (!(await this.#deleteAround(room, signal))) return false
    await database.transaction((tx) => this.#deleteRoom(tx, room))
    return true
  }

  /** Deletes what is kept about the room beside its events. @returns false where it was stopped */
  async #deleteAround(room: Room, signal: AbortSignal): Promise<boolean> {
    for (const participant of this.#participants) {
      for (let more = true; more;) {
        if (signal.aborted) return false
        more = await this.#needs.database.transaction((tx) => participant.roomPurged(tx, room, pageSize))
      }
    }
    return true
  }

  async #deleteEvents(tx: Tx, room: Room, page: readonly LastEvent[]): Promise<void> {
    const { states, chainCover, purging, lastNumbers } = this.#needs
    const nids = page.map((event) => event.event_nid)
    await states.purgeNodes(tx, page.flatMap((event) => [event.state_root, event.room_root]).filter((root) => root !== null))
    await chainCover.purge(tx, nids)
    await lastNumbers.note(tx, 'events', Math.max(...nids))
    await lastNumbers.note(tx, 'events_stream', Math.max(...page.map((event) => event.stream_ordering ?? 0)))
    await purging.delete(tx, room, page.map((event): PurgedEvent => ({ nid: event.event_nid, eventId: event.event_id, streamOrdering: event.stream_ordering ?? undefined })))
  }

  async #deleteRoom(tx: Tx, room: Room): Promise<void> {
    const { states, events, rooms, heads, lastNumbers } = this.#needs
    await states.purgeNodes(tx, (await events.store.extremities(room.nid)).map((extremity) => extremity.state_root))
    await lastNumbers.note(tx, 'rooms', room.nid)
    await this.#store.end(tx, room.nid)
    tx.afterCommit(() => {
      rooms.forget(room)
      heads.forget(room)
    })
  }
}

/** Redactions that wait for what they redact. */
class PendingRedactions implements RoomPurgeParticipant {
  readonly #delete = new PagedDelete('roomPurging.pendingRedactions', 'pending_redactions', 'room_nid', ['redacts', 'redaction_nid'])

  async roomPurged(tx: Tx, room: Room, limit: number): Promise<boolean> {
    return (await this.#delete.run(tx, room.nid, limit)).length === limit
  }
}
