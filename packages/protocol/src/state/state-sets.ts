/**
 * Sets of room state, and what two or more of them agree and disagree on.
 *
 * Spec: rooms/v2, "State resolution", "Unconflicted state map and conflicted state set".
 */
import type { StateKey } from '../events/event.ts'
import type { EventId } from '../ids/ids.ts'

/** Room state: the event of each type and state key. */
export type StateMap = ReadonlyMap<StateKey, EventId>

/** What every state set has alike. A `StateMap` is one; a store may answer from its own structure instead. */
export interface UnconflictedState {
  get(key: StateKey): EventId | undefined
  values(): Iterable<EventId>
}

/** State sets to resolve, given by their differences. */
export interface StateConflict<Unconflicted extends UnconflictedState = UnconflictedState> {
  readonly unconflicted: Unconflicted
  /** For each state set its entries that some other set lacks or has with another event. */
  readonly conflicted: readonly StateMap[]
}

/** Splits full state sets into what they agree on and what they do not. */
export function splitStateSets(stateSets: readonly StateMap[]): StateConflict<StateMap> {
  const [first = new Map<StateKey, EventId>(), ...others] = stateSets
  const unconflicted = new Map<StateKey, EventId>()
  for (const [key, eventId] of first) {
    if (others.every((other) => other.get(key) === eventId)) unconflicted.set(key, eventId)
  }
  const conflicted = stateSets.map((stateSet) => {
    const entries = new Map<StateKey, EventId>()
    if (stateSet.size === unconflicted.size) return entries
    for (const [key, eventId] of stateSet) if (!unconflicted.has(key)) entries.set(key, eventId)
    return entries
  })
  return { unconflicted, conflicted }
}

/** The events of the conflicted entries: the conflicted state set. */
export function conflictedEvents(conflict: StateConflict): Set<EventId> {
  const events = new Set<EventId>()
  for (const entries of conflict.conflicted) for (const eventId of entries.values()) events.add(eventId)
  return events
}
