/**
 * The children that a space names.
 *
 * Spec: client-server API, "m.space.child", "Ordering of children within a space".
 */
import type { StrippedEvent } from '@myelin/protocol/events/stripped-state.ts'
import type { RoomId, ServerName } from '@myelin/protocol/ids/ids.ts'
import { isRoomId } from '@myelin/protocol/ids/room-id.ts'
import { isServerName } from '@myelin/protocol/ids/server-name.ts'
import { own } from '@myelin/protocol/json/json.ts'

/** A child of a space. */
export interface SpaceChild {
  readonly roomId: RoomId
  /** Servers by which it may be found. */
  readonly via: readonly ServerName[]
  /** Undefined where it has none that is valid. */
  readonly order: string | undefined
  readonly originServerTs: number
  /** The event, as hierarchies show it. */
  readonly shown: object
}

/** Children of one space that are considered. */
const maxChildren = 1000

/** Valid children among the events of a space, in their order. */
export function childrenOf(events: readonly (StrippedEvent & { readonly originServerTs: number })[], suggestedOnly: boolean): SpaceChild[] {
  return events.flatMap((event) => childOf(event, suggestedOnly)).sort(compareChildren).slice(0, maxChildren)
}

function childOf({ originServerTs, ...event }: StrippedEvent & { readonly originServerTs: number }, suggestedOnly: boolean): SpaceChild[] {
  const [via, order] = [own(event.content, 'via'), own(event.content, 'order')]
  const { type, state_key: roomId } = event
  if (type !== 'm.space.child' || !isRoomId(roomId) || !Array.isArray(via) || via.length === 0 || via.some((server) => typeof server !== 'string')) return []
  if (suggestedOnly && own(event.content, 'suggested') !== true) return []
  return [{
    roomId, via: via.filter(isServerName), originServerTs, shown: { ...event, origin_server_ts: originServerTs },
    // At most fifty characters from space to tilde.
    order: typeof order === 'string' && /^[\x20-\x7e]{1,50}$/.test(order) ? order : undefined,
  }]
}

/** Children with a valid `order` first, by code points; then by time, then by room id. */
function compareChildren(a: SpaceChild, b: SpaceChild): number {
  if (a.order !== b.order) {
    if (a.order === undefined) return 1
    if (b.order === undefined) return -1
    return a.order < b.order ? -1 : 1
  }
  const byTime = a.originServerTs - b.originServerTs
  if (byTime !== 0) return byTime
  return a.roomId === b.roomId ? 0 : a.roomId < b.roomId ? -1 : 1
}
