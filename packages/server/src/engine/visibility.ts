/**
 * Which events of a room a user may read.
 *
 * Spec: client-server API, "Room History Visibility".
 */
import { own } from '@myelin/protocol/json/json.ts'
import type { Erasure } from './erasure.ts'
import { membershipOf, type Memberships, type MembershipState } from './memberships.ts'
import type { RoomStates } from './room-states.ts'
import type { Room } from './room.ts'
import type { StoredEvent } from './stored-event.ts'

export type HistoryVisibility = 'world_readable' | 'shared' | 'invited' | 'joined'

const order: readonly HistoryVisibility[] = ['world_readable', 'shared', 'invited', 'joined']

/** How long events may be read. */
export interface Lifetimes {
  /** The earliest time of a room's events that may be read, in ms since 1970; undefined where all may. State may be read always. */
  earliest(room: Room): Promise<number | undefined>
}

/** An event that the user may read, with the user's membership when it was sent; without it, where only the event as state may be read. */
export interface VisibleEvent {
  readonly event: StoredEvent
  readonly membership?: MembershipState
}

/** The history visibility that an event sets; `shared` where it names none that exists. */
export function historyVisibilityOf(event: StoredEvent | undefined): HistoryVisibility {
  const value = event && own(event.event.content, 'history_visibility')
  return order.find((known) => known === value) ?? 'shared'
}

/** How long the user's view of the room lasts. */
interface Presence {
  readonly current: MembershipState
  /** Place in the stream up to which the user has seen the room as a member. */
  readonly joinedUntil: number
}

export class Visibility {
  readonly #states: RoomStates
  readonly #memberships: Memberships
  readonly #erasure: Erasure
  #lifetimes: Lifetimes | undefined

  constructor(needs: { readonly states: RoomStates; readonly memberships: Memberships; readonly erasure: Erasure }) {
    this.#states = needs.states
    this.#erasure = needs.erasure
    this.#memberships = needs.memberships
  }

  /** Lets events be seen for a time only; called once when the server is built. */
  useLifetimes(lifetimes: Lifetimes): void {
    this.#lifetimes = lifetimes
  }

  /** Those of the events (of one room, in any order) that the user may read, as they may read them, in the same order. */
  async filter(userId: string, events: readonly StoredEvent[]): Promise<VisibleEvent[]> {
    const room = events[0]?.room
    if (!room) return []
    const presence = await this.#presence(room, userId)
    const earliest = (await this.#lifetimes?.earliest(room)) ?? -Infinity
    const byRoot = new Map<number, { visibility: HistoryVisibility; membership: MembershipState }>()
    const visible: VisibleEvent[] = []
    for (const event of events) {
      if (event.room.nid !== room.nid || event.stateRoot === undefined || event.rejected || event.softFailed) continue
      if (event.event.originServerTs < earliest && !event.isState) continue
      let before = byRoot.get(event.stateRoot)
      if (!before) {
        before = await this.#before(room, event.stateRoot, userId)
        byRoot.set(event.stateRoot, before)
      }
      const membership = this.#membershipAt(event, userId, before.membership)
      if (this.#allowed(event, userId, before, membership, presence)) {
        visible.push({ event: this.#erasure.shown(event, before.membership === 'join' ? 'join' : membership), membership })
      }
    }
    return visible
  }

  /** Whether the user may read one event. */
  async canSee(userId: string, event: StoredEvent): Promise<boolean> {
    return (await this.filter(userId, [event])).length > 0
  }

  /** The user's membership in the state `root`. */
  async membershipIn(room: Room, root: number, userId: string): Promise<MembershipState> {
    const event = await this.#states.get(room, root, 'm.room.member', userId)
    return (event && membershipOf(event)) ?? 'leave'
  }

  async #before(room: Room, root: number, userId: string): Promise<{ visibility: HistoryVisibility; membership: MembershipState }> {
    const visibility = historyVisibilityOf(await this.#states.get(room, root, 'm.room.history_visibility', ''))
    return { visibility, membership: await this.membershipIn(room, root, userId) }
  }

  /** The membership that counts for an event: for the user's own membership event the new one, unless the old one showed more. */
  #membershipAt(event: StoredEvent, userId: string, before: MembershipState): MembershipState {
    if (event.event.type !== 'm.room.member' || event.event.stateKey !== userId) return before
    return membershipOf(event) ?? before
  }

  #allowed(
    event: StoredEvent,
    userId: string,
    before: { readonly visibility: HistoryVisibility; readonly membership: MembershipState },
    membership: MembershipState,
    presence: Presence,
  ): boolean {
    const visibility = this.#visibilityOf(event, before.visibility)
    if (visibility === 'world_readable') return true
    if (before.membership === 'join' || membership === 'join') return true
    if (event.event.type === 'm.room.member' && event.event.stateKey === userId) return true
    if (visibility === 'shared') return (event.streamOrdering ?? 0) <= presence.joinedUntil
    return visibility === 'invited' && before.membership === 'invite'
  }

  /** A change of the visibility itself is readable under the more open of the two. */
  #visibilityOf(event: StoredEvent, before: HistoryVisibility): HistoryVisibility {
    if (event.event.type !== 'm.room.history_visibility' || event.event.stateKey !== '') return before
    const after = historyVisibilityOf(event)
    return order.indexOf(after) < order.indexOf(before) ? after : before
  }

  async #presence(room: Room, userId: string): Promise<Presence> {
    const membership = await this.#memberships.of(room, userId)
    if (!membership) return { current: 'leave', joinedUntil: -Infinity }
    if (membership.membership === 'join') return { current: 'join', joinedUntil: Infinity }
    const left = await this.#lastJoined(room, membership.eventNid)
    return { current: membership.membership, joinedUntil: left ? membership.streamOrdering : -Infinity }
  }

  /** Whether the user was joined until the membership event. */
  async #lastJoined(room: Room, eventNid: number): Promise<boolean> {
    const event = await this.#states.eventByNid(eventNid)
    if (event?.stateRoot === undefined || event.event.stateKey === undefined) return false
    return (await this.membershipIn(room, event.stateRoot, event.event.stateKey)) === 'join'
  }
}
