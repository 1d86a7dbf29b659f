/**
 * State resolution of room versions 2 to 11, and 2.1 of room version 12, which starts from nothing and takes in what
 * lies between conflicted events.
 *
 * Spec: rooms/v2, "State resolution"; rooms/v12, "State resolution".
 */
import { stateKeyOf, type RoomEvent, type StateKey } from '../events/event.ts'
import type { EventId } from '../ids/ids.ts'
import type { RoomVersion } from '../rooms/versions.ts'
import { walkAuthChainDifference, walkConflictedSubgraph } from './auth-chain.ts'
import { applyIfAuthorised, eventIn } from './iterative-auth-checks.ts'
import type { PartialState } from './iterative-auth-checks.ts'
import { orderByMainline } from './mainline-order.ts'
import { orderPowerEvents } from './power-order.ts'
import type { ResolutionContext } from './resolution-context.ts'
import { conflictedEvents } from './state-sets.ts'
import type { StateConflict } from './state-sets.ts'

/** What the keys that are not unconflicted resolve to. */
export function resolveV2(version: RoomVersion, conflict: StateConflict, context: ResolutionContext): Map<StateKey, EventId> {
  const isV21 = version.stateResolution === 'v2.1'
  const full = fullConflictedSet(conflict, isV21, context)
  const decided = new Map<StateKey, EventId>()
  const state: PartialState = { decided, start: isV21 ? undefined : conflict.unconflicted }
  // 1
  const powerEvents = orderPowerEvents(version, full, context)
  // 2
  applyIfAuthorised(version, powerEvents, state, context)
  // 3
  const picked = new Set(powerEvents)
  const remaining: RoomEvent[] = []
  for (const eventId of full) {
    const event = context.event(eventId)
    if (event !== undefined && !picked.has(event)) remaining.push(event)
  }
  const ordered = orderByMainline(remaining, eventIn(state, 'm.room.power_levels', '', context), context)
  // 4
  applyIfAuthorised(version, ordered, state, context)
  // 5
  for (const key of decided.keys()) if (conflict.unconflicted.get(key) !== undefined) decided.delete(key)
  return decided
}

/**
 * An event that all states have is in the auth chain of none or of only some of them, and would be in the auth difference as the specification
 * words it. Servers count it as part of every state's chain: what nobody disputes orders nothing. Servers that differ here end up with
 * different states.
 */
function fullConflictedSet(conflict: StateConflict, withSubgraph: boolean, context: ResolutionContext): Set<EventId> {
  const conflicted = conflictedEvents(conflict)
  const full = new Set(conflicted)
  for (const eventId of context.authChainDifference?.(conflict) ?? walkAuthChainDifference(conflict, context)) {
    const event = context.event(eventId)
    const isShared = event?.stateKey !== undefined && conflict.unconflicted.get(stateKeyOf(event.type, event.stateKey)) === eventId
    if (!isShared) full.add(eventId)
  }
  if (withSubgraph) {
    for (const eventId of context.conflictedSubgraph?.(conflicted) ?? walkConflictedSubgraph(conflicted, context)) full.add(eventId)
  }
  return full
}
