/**
 * How many members a room has, and who stands for it where it has no name.
 *
 * Spec: client-server API, `GET /sync`, `RoomSummary`.
 */
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import { contentString } from '#engine/client-events.ts'
import type { Membership, Memberships } from '#engine/memberships.ts'
import type { RoomStates } from '#engine/room-states.ts'
import type { Room } from '#engine/room.ts'
import type { Cache } from '#platform/cache/cache.ts'
import type { SyncSources } from './sources.ts'

/** The first members of a room; one more than are named, since a reader is never named to themselves. */
interface Counted {
  readonly joined: number
  readonly invited: number
  readonly present: readonly UserId[]
  readonly gone: readonly UserId[]
}

/** A summary, with the users whose membership events the client needs to show it. */
export interface RoomSummary {
  readonly json: string
  readonly heroes: readonly UserId[]
}

const heroCount = 5

export class RoomSummaries {
  readonly #memberships: Memberships
  readonly #states: RoomStates
  readonly #counted: Cache<number, Counted>

  constructor(needs: Pick<SyncSources, 'caches' | 'memberships' | 'states' | 'eventsStream'>) {
    this.#memberships = needs.memberships
    this.#states = needs.states
    this.#counted = needs.caches.cache('room_summaries', (counted) => 200 + (counted.present.length + counted.gone.length) * 60)
    needs.eventsStream.onAdvance((entries) => {
      for (const { row } of entries) if (row.changed.types.has('m.room.member')) this.#counted.delete(row.event.room.nid)
    })
  }

  /** How many members a room has, and the first of them who are not the reader. */
  async members(room: Room, userId: string): Promise<{ readonly joined: number; readonly invited: number; readonly heroes: readonly UserId[] }> {
    const { joined, invited, present, gone } = await this.#count(room)
    return { joined, invited, heroes: heroesOf(present, gone, userId) }
  }

  /** The summary of a room for one of its members; `root` is the state that says whether the room has a name. */
  async of(room: Room, root: number, userId: string): Promise<RoomSummary> {
    const { joined, invited, present, gone } = await this.#count(room)
    const heroes = (await this.#hasName(room, root)) ? [] : heroesOf(present, gone, userId)
    const named = heroes.length > 0 ? `"m.heroes":${JSON.stringify(heroes)},` : ''
    return { json: `{${named}"m.joined_member_count":${joined},"m.invited_member_count":${invited}}`, heroes }
  }

  async #hasName(room: Room, root: number): Promise<boolean> {
    const name = contentString(await this.#states.get(room, root, 'm.room.name', ''), 'name')
    return Boolean(name) || Boolean(contentString(await this.#states.get(room, root, 'm.room.canonical_alias', ''), 'alias'))
  }

  async #count(room: Room): Promise<Counted> {
    const members = await this.#memberships.ofRoom(room)
    const known = this.#counted.get(room.nid)
    if (known) return known
    let [joined, invited] = [0, 0]
    const present = new First()
    const gone = new First()
    for (const member of members.values()) {
      if (member.membership === 'join') joined += 1
      else if (member.membership === 'invite') invited += 1
      if (member.membership === 'join' || member.membership === 'invite') present.offer(member)
      else if (member.membership !== 'knock') gone.offer(member)
    }
    const counted: Counted = { joined, invited, present: present.userIds, gone: gone.userIds }
    this.#counted.set(room.nid, counted)
    return counted
  }
}

function heroesOf(present: readonly UserId[], gone: readonly UserId[], userId: string): UserId[] {
  const others = present.filter((member) => member !== userId)
  return (others.length > 0 ? others : gone.filter((member) => member !== userId)).slice(0, heroCount)
}

/** The few members who came first. */
class First {
  readonly #members: Membership[] = []

  offer(member: Membership): void {
    const last = this.#members.at(-1)
    if (last && this.#members.length > heroCount && last.streamOrdering <= member.streamOrdering) return
    this.#members.push(member)
    this.#members.sort((a, b) => a.streamOrdering - b.streamOrdering)
    if (this.#members.length > heroCount + 1) this.#members.pop()
  }

  get userIds(): UserId[] {
    return this.#members.map((member) => member.userId)
  }
}
