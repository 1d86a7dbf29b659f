/**
 * What state resolution reads from outside: events, and answers about the auth chain where an index knows them.
 *
 * Spec: rooms/v2, "State resolution".
 */
import { createIdOf } from '../auth/auth-events.ts'
import type { AuthOptions } from '../auth/auth-check.ts'
import type { RoomEvent } from '../events/event.ts'
import type { EventId } from '../ids/ids.ts'
import type { RoomVersion } from '../rooms/versions.ts'
import type { StateConflict } from './state-sets.ts'

export interface ResolutionContext {
  /**
   * An event by its id; undefined for one that is not known, which is treated as if nobody had named it. Read are: the
   * full conflicted set, its auth events, the auth chains of power events in it, the chain of power levels behind it,
   * and of the unconflicted state what the auth rules ask for; without the answers below also all that the walks meet.
   * Resolution has no effects, so a caller may note the ids that it lacks, load them, and resolve again.
   */
  readonly event: (eventId: EventId) => RoomEvent | undefined
  /** Whether an event was rejected; a rejected auth event does not stand in for missing state. Left out, none was. */
  readonly isRejected?: (eventId: EventId) => boolean
  /**
   * The auth difference: the events of ∪ Cᵢ − ∩ Cᵢ, where Cᵢ is the union of the auth chains (without the events
   * themselves) of all events of state set i, the unconflicted ones included. Left out, the chains are walked.
   */
  readonly authChainDifference?: (conflict: StateConflict) => Iterable<EventId>
  /**
   * The conflicted state subgraph: the events on any path along auth events from one of these events to another, ends
   * included. Left out, the chains are walked.
   */
  readonly conflictedSubgraph?: (conflicted: ReadonlySet<EventId>) => Iterable<EventId>
  readonly auth?: AuthOptions
}

/** The auth event of an event that has this type and state key, without a look at whether it was rejected. */
export function authEventOf(event: RoomEvent, type: string, stateKey: string, context: ResolutionContext): RoomEvent | undefined {
  for (const eventId of event.authEventIds) {
    const candidate = context.event(eventId)
    if (candidate !== undefined && candidate.type === type && candidate.stateKey === stateKey) return candidate
  }
  return undefined
}

/** The create event that an event rests on: an auth event, or the one that its room id stands for. */
export function createEventOf(version: RoomVersion, event: RoomEvent, context: ResolutionContext): RoomEvent | undefined {
  if (!version.roomIdIsCreateHash) return authEventOf(event, 'm.room.create', '', context)
  const create = context.event(createIdOf(event))
  return create?.type === 'm.room.create' ? create : undefined
}
