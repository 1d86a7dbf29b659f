/**
 * The order of the remaining events: by the power levels in the mainline that they rest on.
 *
 * Spec: rooms/v2, "State resolution", "Mainline ordering".
 */
import type { RoomEvent } from '../events/event.ts'
import type { EventId } from '../ids/ids.ts'
import { authEventOf } from './resolution-context.ts'
import type { ResolutionContext } from './resolution-context.ts'

/**
 * Sorts events by the mainline ordering based on `powerLevels`.
 *
 * @param powerLevels the `m.room.power_levels` event of the partially resolved state; without one the mainline is empty
 */
export function orderByMainline(events: readonly RoomEvent[], powerLevels: RoomEvent | undefined, context: ResolutionContext): RoomEvent[] {
  const positions = mainlinePositions(powerLevels, context)
  return events
    .map((event) => ({ event, position: mainlinePosition(event, positions, context) }))
    .sort((a, b) => {
      if (a.position !== b.position) return a.position > b.position ? -1 : 1
      if (a.event.originServerTs !== b.event.originServerTs) return a.event.originServerTs - b.event.originServerTs
      return a.event.eventId < b.event.eventId ? -1 : 1
    })
    .map(({ event }) => event)
}

function mainlinePositions(powerLevels: RoomEvent | undefined, context: ResolutionContext): Map<EventId, number> {
  const positions = new Map<EventId, number>()
  for (let event = powerLevels; event !== undefined && !positions.has(event.eventId); event = powerLevelsBehind(event, context)) {
    positions.set(event.eventId, positions.size)
  }
  return positions
}

/** The mainline position of an event. Positions of the power levels on the way are remembered, so that all walks together are linear. */
function mainlinePosition(event: RoomEvent, positions: Map<EventId, number>, context: ResolutionContext): number {
  const path: EventId[] = []
  const onPath = new Set<EventId>()
  let position = Infinity
  for (let levels = powerLevelsBehind(event, context); levels !== undefined; levels = powerLevelsBehind(levels, context)) {
    const known = positions.get(levels.eventId)
    if (known !== undefined) {
      position = known
      break
    }
    // Ids that servers choose themselves (room versions 1 and 2) can form a circle.
    if (onPath.has(levels.eventId)) break
    onPath.add(levels.eventId)
    path.push(levels.eventId)
  }
  for (const eventId of path) positions.set(eventId, position)
  return position
}

function powerLevelsBehind(event: RoomEvent, context: ResolutionContext): RoomEvent | undefined {
  return authEventOf(event, 'm.room.power_levels', '', context)
}
