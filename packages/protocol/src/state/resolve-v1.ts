/**
 * State resolution of room version 1.
 *
 * Spec: rooms/v1, "State resolution".
 */
import { createHash } from 'node:crypto'
import { checkAuth } from '../auth/check.ts'
import type { RoomEvent, StateKey } from '../events/event.ts'
import type { EventId } from '../ids/ids.ts'
import type { RoomVersion } from '../rooms/versions.ts'
import { eventIn } from './iterative-auth-checks.ts'
import type { PartialState } from './iterative-auth-checks.ts'
import type { ResolutionContext } from './resolution-context.ts'
import type { StateConflict } from './state-sets.ts'

/** Types whose conflicts are resolved first, in this order, because the auth rules read them. */
const typesInOrder = ['m.room.power_levels', 'm.room.join_rules', 'm.room.member'] as const

interface Candidate {
  readonly event: RoomEvent
  readonly hash: string
}
interface Conflict {
  readonly key: StateKey
  readonly type: string
  /** Ascending by depth, then descending by the hash of the event id. */
  readonly candidates: readonly Candidate[]
}

/** What the keys that are not in every state set alike resolve to. */
export function resolveV1(version: RoomVersion, conflict: StateConflict, context: ResolutionContext): Map<StateKey, EventId> {
  const decided = new Map<StateKey, EventId>()
  const state: PartialState = { decided, start: conflict.unconflicted }
  // A key that only some state sets have is no conflict, as long as they have the same event.
  const conflicts = findConflicts(conflict, decided, context)
  const isAllowed = (event: RoomEvent): boolean =>
    checkAuth(version, event, (type, stateKey) => eventIn(state, type, stateKey, context), context.auth).allowed

  for (const type of typesInOrder) {
    for (const { key, candidates } of conflicts.filter((candidate) => candidate.type === type)) {
      for (const [index, { event }] of candidates.entries()) {
        if (index > 0 && !isAllowed(event)) break
        decided.set(key, event.eventId)
      }
    }
  }
  const names: readonly string[] = typesInOrder
  for (const { key, type, candidates } of conflicts) {
    if (names.includes(type)) continue
    const best = candidates.findLast(({ event }) => isAllowed(event))
    if (best !== undefined) decided.set(key, best.event.eventId)
  }
  return decided
}

/** The conflicts in the order of their keys; entries without conflict go to `decided`. */
function findConflicts(conflict: StateConflict, decided: Map<StateKey, EventId>, context: ResolutionContext): Conflict[] {
  const eventIds = new Map<StateKey, Set<EventId>>()
  for (const entries of conflict.conflicted) {
    for (const [key, eventId] of entries) {
      const known = eventIds.get(key)
      if (known === undefined) eventIds.set(key, new Set([eventId]))
      else known.add(eventId)
    }
  }
  const conflicts: Conflict[] = []
  for (const [key, ids] of eventIds) {
    const [only] = ids
    if (ids.size === 1 && only !== undefined) {
      decided.set(key, only)
      continue
    }
    const candidates = [...ids].map((eventId) => context.event(eventId)).filter((event) => event !== undefined)
      .map((event): Candidate => ({ event, hash: createHash('sha1').update(event.eventId).digest('hex') }))
      .sort((a, b) => a.event.depth - b.event.depth || (a.hash > b.hash ? -1 : 1))
    const type = candidates[0]?.event.type
    if (type !== undefined) conflicts.push({ key, type, candidates })
  }
  return conflicts.sort((a, b) => (a.key < b.key ? -1 : 1))
}
