/**
 * State resolution: one room state out of the states of several branches.
 *
 * Spec: rooms, "State resolution".
 */
import type { StateKey } from '../events/event.ts'
import type { EventId } from '../ids/ids.ts'
import type { RoomVersion } from '../rooms/versions.ts'
import type { ResolutionContext } from './resolution-context.ts'
import { resolveV1 } from './resolve-v1.ts'
import { resolveV2 } from './resolve-v2.ts'
import { splitStateSets } from './state-sets.ts'
import type { StateConflict, StateMap } from './state-sets.ts'

/**
 * Resolves full state sets. Sets that agree come back as the first of them.
 */
export function resolve(version: RoomVersion, stateSets: readonly StateMap[], context: ResolutionContext): StateMap {
  const [first = new Map<StateKey, EventId>(), ...others] = new Set(stateSets)
  if (others.length === 0) return first
  const conflict = splitStateSets([first, ...others])
  if (conflict.conflicted.every((entries) => entries.size === 0)) return first
  const resolved = new Map(conflict.unconflicted)
  for (const [key, eventId] of resolveConflict(version, conflict, context)) resolved.set(key, eventId)
  return resolved
}

/**
 * Resolves state sets that are given by their differences; the cost follows the differences and their auth chains, not
 * the size of the state, where `context` answers about auth chains from an index.
 *
 * @returns the event of each key beyond the unconflicted state. A conflicted key that is not among them has no event in
 *   the resolved state; a key that no state set had may be among them, taken from the auth chains.
 */
export function resolveConflict(version: RoomVersion, conflict: StateConflict, context: ResolutionContext): ReadonlyMap<StateKey, EventId> {
  return version.stateResolution === 'v1' ? resolveV1(version, conflict, context) : resolveV2(version, conflict, context)
}
