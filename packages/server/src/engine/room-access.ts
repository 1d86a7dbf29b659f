/**
 * What of a room a user may read at all: the current state for members, the state when they left for former members, everything that is
 * world-readable for anybody.
 *
 * Spec: client-server API, "Room History Visibility", "Room Previews".
 */
import { refuse } from '@myelin/protocol/errors.ts'
import type { Memberships, MembershipState } from './memberships.ts'
import type { RoomStates } from './room-states.ts'
import type { Room } from './room.ts'
import type { RoomWriter } from './room-writer.ts'
import { historyVisibilityOf, type Visibility } from './visibility.ts'

/** A user's view of a room. */
export interface RoomReadView {
  readonly room: Room
  /** Root of the state that the user may see. */
  readonly root: number
  readonly membership: MembershipState
  /** Whether the user sees the room as it is now. */
  readonly isCurrent: boolean
}

export class RoomAccess {
  readonly #memberships: Memberships
  readonly #states: RoomStates
  readonly #writer: RoomWriter
  readonly #visibility: Visibility

  constructor(needs: { readonly memberships: Memberships; readonly states: RoomStates; readonly writer: RoomWriter; readonly visibility: Visibility }) {
    this.#memberships = needs.memberships
    this.#states = needs.states
    this.#writer = needs.writer
    this.#visibility = needs.visibility
  }

  /** The user's view. @throws M_FORBIDDEN where the user may not read the room */
  async assertReadable(room: Room, userId: string): Promise<RoomReadView> {
    const membership = await this.#memberships.of(room, userId)
    const state = membership?.membership ?? 'leave'
    if (state === 'join') return { room, root: await this.#writer.currentRoot(room), membership: state, isCurrent: true }
    if (await this.isWorldReadable(room)) return { room, root: await this.#writer.currentRoot(room), membership: state, isCurrent: true }
    if (membership && (state === 'leave' || state === 'ban') && !membership.forgotten) {
      const left = await this.#states.eventByNid(membership.eventNid)
      if (left?.stateRoot !== undefined && (await this.#visibility.membershipIn(room, left.stateRoot, userId)) === 'join') {
        return { room, root: (await this.#states.rootAfter(left)) ?? left.stateRoot, membership: state, isCurrent: false }
      }
    }
    throw refuse('M_FORBIDDEN', 'You are not in the room, and it does not show itself to others.')
  }

  /** @throws M_FORBIDDEN where the user is not joined to the room */
  async assertJoined(room: Room, userId: string): Promise<void> {
    if (!(await this.#memberships.isJoined(room, userId))) throw refuse('M_FORBIDDEN', 'You are not in the room.')
  }

  /** Whether everybody may read the room now. */
  async isWorldReadable(room: Room): Promise<boolean> {
    const root = await this.#writer.currentRoot(room)
    return historyVisibilityOf(await this.#states.get(room, root, 'm.room.history_visibility', '')) === 'world_readable'
  }
}
