/**
 * Who is typing in which room, in memory only.
 *
 * Spec: client-server API, "Typing Notifications".
 */
import { refuse } from '@myelin/protocol/errors.ts'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import { membershipOf, type Memberships } from '#engine/memberships.ts'
import type { EventsRow } from '#engine/stored-event.ts'
import type { Room } from '#engine/room.ts'
import type { Rooms } from '#engine/rooms.ts'
import type { Clock, Timer } from '#platform/clock.ts'
import { Stream } from '#platform/streams/stream.ts'

/** A row of the typing stream: who types in the room has changed. */
export interface TypingRow {
  readonly roomNid: number
  readonly userId: UserId
  readonly typing: boolean
}

/** Without a time-out somebody types this long. */
const defaultTimeoutMs = 30_000
/** Nobody types longer than this without saying so again. */
const maxTimeoutMs = 120_000

interface Needs {
  readonly clock: Clock
  readonly rooms: Rooms
  readonly memberships: Memberships
  /** Whoever leaves a room stops typing there. */
  readonly eventsStream: Stream<EventsRow>
}

export class Typing {
  /** Its positions begin at the time of the start, so that those of an earlier run, in the tokens of clients, lie behind. */
  readonly stream: Stream<TypingRow>
  readonly #needs: Needs
  readonly #rooms = new Map<number, Map<UserId, Timer>>()

  constructor(needs: Needs) {
    this.#needs = needs
    this.stream = new Stream({ name: 'typing', position: needs.clock.now() })
    needs.eventsStream.onAdvance((entries) => {
      for (const { row } of entries) if (row.event.event.type === 'm.room.member' && membershipOf(row.event) !== 'join') this.#left(row)
    })
  }

  /**
   * Says that a user types, or no more.
   * @param timeoutMs how long, 30 s where undefined, at most 120 s
   * @throws M_FORBIDDEN unless joined
   */
  async set(userId: UserId, roomId: string, typing: boolean, timeoutMs: number = defaultTimeoutMs): Promise<void> {
    const room = await this.#needs.rooms.get(roomId)
    if (!room || !(await this.#needs.memberships.isJoined(room, userId))) throw refuse('M_FORBIDDEN', 'You are not in that room; join it first.')
    if (typing && timeoutMs > 0) this.#start(room.nid, userId, Math.min(timeoutMs, maxTimeoutMs))
    else this.#stop(room.nid, userId)
  }

  /** What another server says of its user; whoever is not in the room is dropped. */
  async receive(room: Room, userId: UserId, typing: boolean): Promise<void> {
    if (!(await this.#needs.memberships.isJoined(room, userId))) return
    if (typing) this.#start(room.nid, userId, defaultTimeoutMs * 2)
    else this.#stop(room.nid, userId)
  }

  /** Users who type in a room now, sorted. */
  inRoom(roomNid: number): readonly UserId[] {
    return [...(this.#rooms.get(roomNid)?.keys() ?? [])].sort()
  }

  #start(roomNid: number, userId: UserId, timeoutMs: number): void {
    let users = this.#rooms.get(roomNid)
    if (!users) this.#rooms.set(roomNid, (users = new Map()))
    const running = users.get(userId)
    running?.cancel()
    users.set(userId, this.#needs.clock.after(timeoutMs, () => this.#stop(roomNid, userId)))
    this.stream.publish({ roomNid, userId, typing: true })
  }

  #stop(roomNid: number, userId: UserId): void {
    const users = this.#rooms.get(roomNid)
    const timer = users?.get(userId)
    if (!users || !timer) return
    timer.cancel()
    users.delete(userId)
    if (users.size === 0) this.#rooms.delete(roomNid)
    this.stream.publish({ roomNid, userId, typing: false })
  }

  #left({ event }: EventsRow): void {
    for (const userId of this.inRoom(event.room.nid)) if (userId === event.event.stateKey) this.#stop(event.room.nid, userId)
  }
}
