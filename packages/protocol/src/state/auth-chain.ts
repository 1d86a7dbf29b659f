/**
 * Walks along auth events: the auth difference of state sets and the subgraph between conflicted events.
 *
 * Both are linear in the number of events walked and keep their own stack, since an auth chain may be very long.
 *
 * Spec: rooms/v2, "State resolution", "Auth chain", "Auth difference"; rooms/v12, "Conflicted state subgraph".
 */
import { stateKeyOf } from '../events/event.ts'
import type { EventId } from '../ids/ids.ts'
import type { ResolutionContext } from './resolution-context.ts'
import type { StateConflict } from './state-sets.ts'

/** The auth difference by plain walk. */
export function walkAuthChainDifference(conflict: StateConflict, context: ResolutionContext): Set<EventId> {
  const { unconflicted, conflicted } = conflict
  const counts = new Map<EventId, number>()
  for (const entries of conflicted) {
    const stack = authEventIdsOf(entries.values(), context)
    const visited = new Set<EventId>()
    for (let eventId = stack.pop(); eventId !== undefined; eventId = stack.pop()) {
      if (visited.has(eventId)) continue
      visited.add(eventId)
      const event = context.event(eventId)
      if (event === undefined) continue
      counts.set(eventId, (counts.get(eventId) ?? 0) + 1)
      // The auth chain of an unconflicted event is in every chain, so what lies behind it is no difference.
      if (event.stateKey !== undefined && unconflicted.get(stateKeyOf(event.type, event.stateKey)) === eventId) continue
      for (const authId of event.authEventIds) stack.push(authId)
    }
  }
  const difference = new Set<EventId>()
  for (const [eventId, count] of counts) if (count < conflicted.length) difference.add(eventId)
  removeAuthChain(difference, unconflicted.values(), context)
  return difference
}

/** Takes the auth chains of `events` out of a set; stops when the set is empty. */
function removeAuthChain(from: Set<EventId>, events: Iterable<EventId>, context: ResolutionContext): void {
  if (from.size === 0) return
  const stack = authEventIdsOf(events, context)
  const visited = new Set<EventId>()
  for (let eventId = stack.pop(); eventId !== undefined; eventId = stack.pop()) {
    if (visited.has(eventId)) continue
    visited.add(eventId)
    if (from.delete(eventId) && from.size === 0) return
    for (const authId of context.event(eventId)?.authEventIds ?? []) if (!visited.has(authId)) stack.push(authId)
  }
}

function authEventIdsOf(events: Iterable<EventId>, context: ResolutionContext): EventId[] {
  const ids = new Set<EventId>()
  for (const eventId of events) for (const authId of context.event(eventId)?.authEventIds ?? []) ids.add(authId)
  return [...ids]
}

/** Each event of the auth chains of `roots` and the roots themselves, with the events that name it as auth event. */
export function authGraphOf(roots: Iterable<EventId>, context: ResolutionContext): Map<EventId, EventId[]> {
  const dependents = new Map<EventId, EventId[]>()
  const stack: EventId[] = []
  for (const root of roots) {
    if (context.event(root) === undefined || dependents.has(root)) continue
    dependents.set(root, [])
    stack.push(root)
  }
  for (let eventId = stack.pop(); eventId !== undefined; eventId = stack.pop()) {
    for (const authId of context.event(eventId)?.authEventIds ?? []) {
      const known = dependents.get(authId)
      if (known !== undefined) {
        known.push(eventId)
      } else if (context.event(authId) !== undefined) {
        dependents.set(authId, [eventId])
        stack.push(authId)
      }
    }
  }
  return dependents
}

/** The conflicted state subgraph by plain walk: what is both behind and ahead of conflicted events. */
export function walkConflictedSubgraph(conflicted: ReadonlySet<EventId>, context: ResolutionContext): Set<EventId> {
  const behind = authGraphOf(conflicted, context)
  const subgraph = new Set<EventId>()
  const stack = [...conflicted]
  for (let eventId = stack.pop(); eventId !== undefined; eventId = stack.pop()) {
    if (subgraph.has(eventId)) continue
    subgraph.add(eventId)
    for (const dependent of behind.get(eventId) ?? []) if (!subgraph.has(dependent)) stack.push(dependent)
  }
  return subgraph
}
