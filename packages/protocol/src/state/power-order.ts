/**
 * Power events and the order in which resolution applies them.
 *
 * Spec: rooms/v2, "State resolution", "Power events" and "Reverse topological power ordering".
 */
import { powerLevelsOf } from '../auth/power-levels.ts'
import type { RoomEvent } from '../events/event.ts'
import type { EventId } from '../ids/ids.ts'
import { own } from '../json/json.ts'
import type { RoomVersion } from '../rooms/versions.ts'
import { authGraphOf } from './auth-chain.ts'
import { Heap } from './heap.ts'
import { authEventOf, createEventOf } from './resolution-context.ts'
import type { ResolutionContext } from './resolution-context.ts'

/** Whether an event might take away somebody's ability to do something in the room. */
export function isPowerEvent(event: RoomEvent): boolean {
  if (event.stateKey === undefined) return false
  if (event.type === 'm.room.power_levels' || event.type === 'm.room.join_rules') return true
  if (event.type !== 'm.room.member' || event.sender === event.stateKey) return false
  const membership = own(event.content, 'membership')
  return membership === 'leave' || membership === 'ban'
}

interface Candidate {
  readonly event: RoomEvent
  readonly power: number
}

function isBefore(a: Candidate, b: Candidate): boolean {
  if (a.power !== b.power) return a.power > b.power
  if (a.event.originServerTs !== b.event.originServerTs) return a.event.originServerTs < b.event.originServerTs
  return a.event.eventId < b.event.eventId
}

/** The power that the sender of an event has by the auth events of the event. */
export function senderPower(version: RoomVersion, event: RoomEvent, context: ResolutionContext): number {
  const levels = authEventOf(event, 'm.room.power_levels', '', context)
  return powerLevelsOf(version, levels, createEventOf(version, event, context)).userLevel(event.sender)
}

/**
 * Step 1 of the algorithm: the power events among the full conflicted set, with what of it is in their auth chains, in
 * reverse topological power ordering. Events outside the set do not appear, but order those that they connect.
 */
export function orderPowerEvents(version: RoomVersion, conflicted: ReadonlySet<EventId>, context: ResolutionContext): RoomEvent[] {
  const roots: EventId[] = []
  for (const eventId of conflicted) {
    const event = context.event(eventId)
    if (event !== undefined && isPowerEvent(event)) roots.push(eventId)
  }
  const dependents = authGraphOf(roots, context)
  const missing = new Map<EventId, number>()
  for (const ids of dependents.values()) for (const id of ids) missing.set(id, (missing.get(id) ?? 0) + 1)

  // Kahn’s algorithm. An event outside the set is passed as soon as it can be; the others wait in the heap.
  const ordered: RoomEvent[] = []
  const passed: EventId[] = []
  const ready = new Heap(isBefore)
  const release = (eventId: EventId): void => {
    const event = conflicted.has(eventId) ? context.event(eventId) : undefined
    if (event === undefined) passed.push(eventId)
    else ready.push({ event, power: senderPower(version, event, context) })
  }
  for (const eventId of dependents.keys()) if (!missing.has(eventId)) release(eventId)
  for (;;) {
    let done = passed.pop()
    if (done === undefined) {
      const next = ready.pop()
      if (next === undefined) return ordered
      ordered.push(next.event)
      done = next.event.eventId
    }
    for (const dependent of dependents.get(done) ?? []) {
      const left = (missing.get(dependent) ?? 0) - 1
      missing.set(dependent, left)
      if (left === 0) release(dependent)
    }
  }
}
