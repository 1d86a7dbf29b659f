/**
 * The tree of rooms below a space, as far as a user may see it.
 *
 * Spec: client-server API, "Spaces", "Discovering rooms within spaces", "Ordering of children within a space".
 */
import { randomBytes } from 'node:crypto'
import { refuse } from '@myelin/protocol/errors.ts'
import { strippedState } from '@myelin/protocol/events/stripped-state.ts'
import type { RoomId, UserId } from '@myelin/protocol/ids/ids.ts'
import { own } from '@myelin/protocol/json/json.ts'
import { contentString } from '#engine/client-events.ts'
import type { RoomStates } from '#engine/room-states.ts'
import type { Room } from '#engine/room.ts'
import type { Rooms } from '#engine/rooms.ts'
import type { RoomWriter } from '#engine/room-writer.ts'
import type { StoredEvent } from '#engine/stored-event.ts'
import { roomSummary, type RoomSummaries } from '#features/room-summaries/room-summaries.ts'
import type { Clock } from '#platform/clock.ts'

interface Needs {
  readonly clock: Clock
  readonly rooms: Rooms
  readonly states: RoomStates
  readonly writer: RoomWriter
  readonly summaries: RoomSummaries
}

/** A request for a page of a tree. */
export interface HierarchyRequest {
  readonly suggestedOnly: boolean
  /** Undefined for as deep as the server goes. */
  readonly maxDepth: number | undefined
  readonly limit: number
  readonly from: string | undefined
}

/** A room that is still to be visited. */
interface Visit {
  readonly roomId: string
  readonly depth: number
}

/** A walk over a tree that has given a page and waits for the next. */
interface Walk {
  readonly userId: UserId
  readonly rootId: RoomId
  readonly suggestedOnly: boolean
  readonly maxDepth: number | undefined
  /** Rooms still to be visited, the next one last. */
  readonly open: Visit[]
  readonly visited: Set<string>
  /** Rooms found so far, in order: a page may be asked for again. */
  readonly found: Visit[]
  usedTs: number
  /** The last request of this walk: those of one walk wait for each other. */
  turn: Promise<unknown>
}

const maxLimit = 50
const deepest = 100
/** Rooms that one walk visits at most, and children of one space that are considered. */
const maxVisited = 10_000
const maxChildren = 1000
const walkLifetimeMs = 10 * 60_000
const maxWalks = 500
const maxWalksPerUser = 10

export class Spaces {
  readonly #needs: Needs
  readonly #walks = new Map<string, Walk>()

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /** A page of the rooms below a space, depth first. @throws M_FORBIDDEN, M_INVALID_PARAM */
  async hierarchy(userId: UserId, rootId: RoomId, request: HierarchyRequest): Promise<{ rooms: object[]; next_batch?: string }> {
    const room = await this.#needs.rooms.get(rootId)
    if (!room || !(await this.#summary(userId, room))) throw refuse('M_FORBIDDEN', 'You may not see this room, or it does not exist.')
    const { walk, walkId, offset } = request.from === undefined ? this.#begin(userId, rootId, request) : this.#resume(userId, rootId, request, request.from)
    const limit = Math.min(maxLimit, Math.max(1, request.limit))
    const advance = walk.turn.then(() => this.#advance(walk, offset + limit))
    walk.turn = advance.catch(() => undefined)
    await advance
    walk.usedTs = this.#needs.clock.now()
    const rooms: object[] = []
    for (const { roomId } of walk.found.slice(offset, offset + limit)) {
      const found = await this.#needs.rooms.get(roomId)
      const entry = found && (await this.#entry(userId, found, walk.suggestedOnly))
      if (entry) rooms.push(entry)
    }
    const end = offset + limit
    if (walk.open.length === 0 && walk.found.length <= end) return { rooms }
    this.#keep(walkId, walk)
    return { rooms, next_batch: `${walkId}.${end}` }
  }

  #begin(userId: UserId, rootId: RoomId, { suggestedOnly, maxDepth }: HierarchyRequest): { walk: Walk; walkId: string; offset: number } {
    const walk: Walk = {
      userId, rootId, suggestedOnly, maxDepth, open: [{ roomId: rootId, depth: 0 }], visited: new Set(), found: [], usedTs: this.#needs.clock.now(),
      turn: Promise.resolve(),
    }
    return { walk, walkId: randomBytes(12).toString('base64url'), offset: 0 }
  }

  #resume(userId: UserId, rootId: RoomId, request: HierarchyRequest, token: string): { walk: Walk; walkId: string; offset: number } {
    const [walkId = '', offset = ''] = token.split('.')
    const walk = this.#walks.get(walkId)
    const isLive = walk?.userId === userId && walk.rootId === rootId && walk.usedTs + walkLifetimeMs > this.#needs.clock.now()
    if (!isLive || !/^\d{1,6}$/.test(offset) || Number(offset) > walk.found.length + maxLimit) {
      throw refuse('M_INVALID_PARAM', 'The token in "from" is unknown or too old; begin without a token.')
    }
    if (walk.suggestedOnly !== request.suggestedOnly || walk.maxDepth !== request.maxDepth) {
      throw refuse('M_INVALID_PARAM', '"suggested_only" and "max_depth" cannot change on paginated requests.')
    }
    return { walk, walkId, offset: Number(offset) }
  }

  /** Keeps a walk for its next page; the oldest give way, first those of the same user. */
  #keep(walkId: string, walk: Walk): void {
    this.#walks.delete(walkId)
    this.#walks.set(walkId, walk)
    const ofUser = [...this.#walks].filter(([, other]) => other.userId === walk.userId)
    for (const [id] of ofUser.slice(0, -maxWalksPerUser)) this.#walks.delete(id)
    const expired = this.#needs.clock.now() - walkLifetimeMs
    for (const [id, other] of this.#walks) {
      if (other.usedTs > expired && this.#walks.size <= maxWalks) break
      this.#walks.delete(id)
    }
  }

  /** Goes on until so many rooms are found or none is left. */
  async #advance(walk: Walk, count: number): Promise<void> {
    while (walk.found.length < count) {
      const visit = walk.open.pop()
      if (!visit) return
      if (walk.visited.has(visit.roomId) || walk.visited.size >= maxVisited) continue
      walk.visited.add(visit.roomId)
      const room = await this.#needs.rooms.get(visit.roomId)
      const summary = room && (await this.#summary(walk.userId, room))
      if (!summary) continue
      walk.found.push(visit)
      if (summary.roomType !== 'm.space' || visit.depth >= Math.min(walk.maxDepth ?? deepest, deepest)) continue
      const children = await this.#children(summary.room, walk.suggestedOnly)
      for (const child of children.reverse()) walk.open.push({ roomId: child.event.stateKey ?? '', depth: visit.depth + 1 })
    }
  }

  async #summary(userId: UserId, room: Room) {
    const summary = await this.#needs.summaries.of(room)
    return (await this.#needs.summaries.mayPreview(userId, summary)) ? summary : undefined
  }

  async #entry(userId: UserId, room: Room, suggestedOnly: boolean): Promise<object | undefined> {
    const summary = await this.#summary(userId, room)
    if (!summary) return undefined
    const children = summary.roomType === 'm.space' ? await this.#children(room, suggestedOnly) : []
    return {
      ...roomSummary(summary),
      children_state: children.map(({ event }) => ({ ...strippedState(event), origin_server_ts: event.originServerTs })),
    }
  }

  /** Valid children of a space in their order. */
  async #children(room: Room, suggestedOnly: boolean): Promise<StoredEvent[]> {
    const root = await this.#needs.writer.currentRoot(room)
    const events = await this.#needs.states.all(room, root, ['m.space.child'])
    return events.filter((event) => isValidChild(event, suggestedOnly)).sort(compareChildren).slice(0, maxChildren)
  }
}

function isValidChild({ event }: StoredEvent, suggestedOnly: boolean): boolean {
  const via = own(event.content, 'via')
  const isValid = event.stateKey?.startsWith('!') === true && Array.isArray(via) && via.length > 0 && via.every((server) => typeof server === 'string')
  return isValid && (!suggestedOnly || own(event.content, 'suggested') === true)
}

/** Children with a valid `order` first, by code points; then by time, then by room id. */
export function compareChildren(a: StoredEvent, b: StoredEvent): number {
  const [orderA, orderB] = [orderOf(a), orderOf(b)]
  if (orderA !== orderB) {
    if (orderA === undefined) return 1
    if (orderB === undefined) return -1
    return orderA < orderB ? -1 : 1
  }
  const byTime = a.event.originServerTs - b.event.originServerTs
  if (byTime !== 0) return byTime
  const [idA, idB] = [a.event.stateKey ?? '', b.event.stateKey ?? '']
  return idA === idB ? 0 : idA < idB ? -1 : 1
}

/** `order`: at most fifty characters from space to tilde. */
function orderOf(event: StoredEvent): string | undefined {
  const order = contentString(event, 'order')
  return order !== undefined && /^[\x20-\x7e]{1,50}$/.test(order) ? order : undefined
}
