/**
 * State that is scheduled, in memory: when somebody else sets the same state first, what was scheduled would undo it and is cancelled instead, in the
 * transaction that sets the state.
 *
 * Spec: MSC4140, "Delayed state events are cancelled by a more recent state event".
 */
import type { CommitParticipant, StateChange } from '#engine/persister.ts'
import type { StoredEvent } from '#engine/stored-event.ts'
import type { Clock } from '#platform/clock.ts'
import type { Tx } from '#platform/db/database.ts'
import type { DelayedEventsStore, DelayedState } from './delayed-events.store.ts'

/** Why an event was not sent. */
const overtaken = JSON.stringify({
  errcode: 'M_UNKNOWN', error: 'Somebody else has set the same state before the delayed event was sent, so it was cancelled.',
  'org.matrix.msc4140.errcode': 'M_CANCELLED_BY_STATE_UPDATE',
})

export class DelayedStates implements CommitParticipant {
  readonly #store: DelayedEventsStore
  readonly #clock: Clock
  /** Who has scheduled what, by place in a room's state. */
  readonly #scheduled = new Map<string, Map<string, string>>()
  readonly #placeOf = new Map<string, string>()

  constructor(needs: { readonly store: DelayedEventsStore; readonly clock: Clock; readonly scheduled: readonly DelayedState[] }) {
    this.#store = needs.store
    this.#clock = needs.clock
    for (const state of needs.scheduled) this.add(state)
  }

  /** Notes that state is scheduled; for what is no state nothing is noted. */
  add(state: DelayedState): void {
    if (state.state_key === null) return
    const place = placeIn(state.room_nid, state.event_type, state.state_key)
    const there = this.#scheduled.get(place) ?? new Map<string, string>()
    this.#scheduled.set(place, there.set(state.delay_id, state.user_id))
    this.#placeOf.set(state.delay_id, place)
  }

  /** Notes that it no longer is. */
  remove(delayId: string): void {
    const place = this.#placeOf.get(delayId)
    if (place === undefined) return
    this.#placeOf.delete(delayId)
    const there = this.#scheduled.get(place)
    there?.delete(delayId)
    if (there?.size === 0) this.#scheduled.delete(place)
  }

  async commit(tx: Tx, _events: readonly StoredEvent[], changes: readonly StateChange[]): Promise<void> {
    if (this.#scheduled.size === 0) return
    for (const { room, type, stateKey, event } of changes) {
      for (const [delayId, userId] of this.#scheduled.get(placeIn(room.nid, type, stateKey)) ?? []) {
        if (userId === event?.event.sender) continue
        await this.#store.finalise(tx, delayId, Number.MAX_SAFE_INTEGER, this.#clock.now(), { error: overtaken })
        tx.afterCommit(() => this.remove(delayId))
      }
    }
  }
}

function placeIn(roomNid: number, type: string, stateKey: string): string {
  return `${roomNid} ${type} ${type.length} ${stateKey}`
}
