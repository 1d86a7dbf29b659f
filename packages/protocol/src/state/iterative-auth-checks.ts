/**
 * Builds state by applying events one after the other, as far as the auth rules allow them.
 *
 * Spec: rooms/v2, "State resolution", "Iterative auth checks".
 */
import { checkAuth } from '../auth/check.ts'
import { stateKeyOf } from '../events/event.ts'
import type { RoomEvent, StateKey } from '../events/event.ts'
import type { EventId } from '../ids/ids.ts'
import type { RoomVersion } from '../rooms/versions.ts'
import { authEventOf, createEventOf } from './resolution-context.ts'
import type { ResolutionContext } from './resolution-context.ts'

/** State under construction: what resolution has decided over what it started from. */
export interface PartialState {
  readonly decided: Map<StateKey, EventId>
  readonly start: { get(key: StateKey): EventId | undefined } | undefined
}

/** The event that a partial state has for a type and state key. */
export function eventIn(state: PartialState, type: string, stateKey: string, context: ResolutionContext): RoomEvent | undefined {
  const key = stateKeyOf(type, stateKey)
  const eventId = state.decided.get(key) ?? state.start?.get(key)
  return eventId === undefined ? undefined : context.event(eventId)
}

/** Applies state events in order to `state.decided`; those that are not allowed are left out. */
export function applyIfAuthorised(version: RoomVersion, events: readonly RoomEvent[], state: PartialState, context: ResolutionContext): void {
  for (const event of events) {
    if (event.stateKey === undefined) continue
    const verdict = checkAuth(version, event, (type, stateKey) => {
      const inState = eventIn(state, type, stateKey, context)
      if (inState !== undefined) return inState
      const authEvent = type === 'm.room.create' ? createEventOf(version, event, context) : authEventOf(event, type, stateKey, context)
      return authEvent === undefined || context.isRejected?.(authEvent.eventId) ? undefined : authEvent
    }, context.auth)
    if (verdict.allowed) state.decided.set(stateKeyOf(event.type, event.stateKey), event.eventId)
  }
}
