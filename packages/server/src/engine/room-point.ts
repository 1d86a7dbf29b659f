/** Points in a room's history as clients carry them: `t<topological>-<stream>`, behind the event of that place. */
import { refuse } from '@myelin/protocol/errors.ts'
import type { StoredEvent } from './stored-event.ts'

/** A point in a room's history, behind all events up to this topological, then stream order. */
export interface Position {
  readonly topological: number
  readonly stream: number
}

/** The token of a point. */
export function formatRoomPoint(point: Position): string {
  return `t${point.topological}-${point.stream}`
}

/** The point of a token, or undefined where the text is none. */
export function parseRoomPoint(text: string): Position | undefined {
  const match = /^t(\d{1,16})-(-?\d{1,16})(?:_.*)?$/.exec(text)
  return match ? { topological: Number(match[1]), stream: Number(match[2]) } : undefined
}

/** As `parseRoomPoint`. @throws M_INVALID_PARAM */
export function requireRoomPoint(text: string): Position {
  const point = parseRoomPoint(text)
  if (!point) throw refuse('M_INVALID_PARAM', 'The token is not one that this server gave out; begin without a token.')
  return point
}

/** The point just behind an event. */
export function pointAfter(event: StoredEvent): Position {
  return { topological: event.event.depth, stream: event.streamOrdering ?? 0 }
}

/** The point just before an event. */
export function pointBefore(event: StoredEvent): Position {
  return { topological: event.event.depth, stream: (event.streamOrdering ?? 0) - 1 }
}
