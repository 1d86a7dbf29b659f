/** Decides who of those that wait has news when a stream advances. It may wake somebody in vain, never miss anybody. */
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import type { Memberships } from '#engine/memberships.ts'
import type { Room } from '#engine/room.ts'
import { Waiters } from '#platform/streams/waiters.ts'
import type { SyncSources } from './sources.ts'

type Needs = Pick<
  SyncSources, 'memberships' | 'rooms' | 'logger' | 'eventsStream' | 'accountData' | 'receipts' | 'typing' | 'presence' | 'toDevice' | 'deviceLists' | 'threadSubscriptions'
>

export class Wakeups {
  /** Those who wait, by user id. */
  readonly waiters = new Waiters()
  readonly #memberships: Memberships
  readonly #needs: Needs

  constructor(needs: Needs) {
    this.#needs = needs
    this.#memberships = needs.memberships
    needs.eventsStream.onAdvance((entries) => {
      const rooms = new Set<Room>()
      for (const { row } of entries) {
        for (const userId of row.changed.localMembers) this.waiters.wake(userId)
        rooms.add(row.event.room)
      }
      this.#later(() => this.#wakeRooms(rooms))
    })
    needs.typing.stream.onAdvance((entries) => this.#later(() => this.#wakeRoomNids(new Set(entries.map(({ row }) => row.roomNid)))))
    needs.receipts.stream.onAdvance((entries) => {
      for (const { row } of entries) this.waiters.wake(row.userId)
      const read = entries.filter(({ row }) => row.type === 'm.read').map(({ row }) => row.roomNid)
      this.#later(() => this.#wakeRoomNids(new Set(read)))
    })
    for (const stream of [needs.accountData.stream, needs.toDevice.stream, needs.threadSubscriptions.stream]) {
      stream.onAdvance((entries: readonly { readonly row: { readonly userId: string } }[]) => {
        for (const { row } of entries) this.waiters.wake(row.userId)
      })
    }
    needs.presence.stream.onAdvance((entries) => this.#later(() => this.#wakeAround(entries.map(({ row }) => row.userId))))
    needs.deviceLists.stream.onAdvance((entries) => {
      for (const { row } of entries) if (row.onlyFor !== undefined) this.waiters.wake(row.onlyFor)
      this.#later(() => this.#wakeAround(entries.filter(({ row }) => row.onlyFor === undefined).map(({ row }) => row.userId)))
    })
  }

  #later(wake: () => Promise<void>): void {
    if (this.waiters.size === 0) return
    wake().catch((error: unknown) => this.#needs.logger.error('Failed to wake those who wait for news', { error }))
  }

  async #wakeRoomNids(nids: ReadonlySet<number>): Promise<void> {
    if (nids.size > 0) await this.#wakeRooms((await this.#needs.rooms.byNids([...nids])).values())
  }

  /** Wakes the joined members of rooms, going through the fewer of members and those who wait. */
  async #wakeRooms(rooms: Iterable<Room>): Promise<void> {
    for (const room of rooms) {
      const members = await this.#memberships.ofRoom(room)
      if (members.size <= this.waiters.size) {
        for (const [userId, entry] of members) if (entry.membership === 'join') this.waiters.wake(userId)
      } else {
        for (const userId of [...this.waiters.keys()]) if (members.get(userId)?.membership === 'join') this.waiters.wake(userId)
      }
      this.waiters.wake(peekersOf(room))
    }
  }

  /** Wakes users and everybody who shares a room with them. */
  async #wakeAround(userIds: readonly UserId[]): Promise<void> {
    for (const userId of new Set(userIds)) {
      this.waiters.wake(userId)
      if (this.waiters.size === 0) return
      await this.#wakeRooms(await this.#memberships.joinedRooms(userId))
    }
  }
}

/** The key under which those wait who watch a room without being its members. */
export function peekersOf(room: Room): string {
  return `peekers of ${room.id}`
}
