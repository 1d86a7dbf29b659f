/**
 * The tree of rooms below a space, as far as a user may see it.
 *
 * Spec: client-server API, "Spaces", "Discovering rooms within spaces", "Ordering of children within a space".
 */
import { randomBytes } from 'node:crypto'
import { refuse } from '@myelin/protocol/errors.ts'
import { strippedState } from '@myelin/protocol/events/stripped-state.ts'
import type { RoomId, ServerName, UserId } from '@myelin/protocol/ids/ids.ts'
import { parseRoomId } from '@myelin/protocol/ids/room-id.ts'
import type { Memberships } from '#engine/memberships.ts'
import type { RoomServers } from '#engine/room-servers.ts'
import type { RoomStates } from '#engine/room-states.ts'
import type { Room } from '#engine/room.ts'
import type { Rooms } from '#engine/rooms.ts'
import type { RoomWriter } from '#engine/room-writer.ts'
import { roomSummary, type RoomSummaries, type RoomSummary } from '#features/room-summaries/room-summaries.ts'
import type { Clock } from '#platform/clock.ts'
import type { RemoteRoom, RemoteSpaces } from './remote-spaces.ts'
import { childrenOf, type SpaceChild } from './space-child.ts'

interface Needs {
  readonly clock: Clock
  readonly rooms: Rooms
  readonly states: RoomStates
  readonly writer: RoomWriter
  readonly memberships: Memberships
  readonly roomServers: Pick<RoomServers, 'isHere'>
  readonly summaries: RoomSummaries
  readonly remote: RemoteSpaces
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
  readonly roomId: RoomId
  readonly depth: number
  /** Servers by which it may be found. */
  readonly via: readonly ServerName[]
  /** As the server of its parent shows it, where that is another one. */
  readonly shown: RemoteRoom | undefined
}

/** A room that was found. */
interface Found {
  readonly roomId: RoomId
  /** As another server shows it, where this one is not in it. */
  readonly remote: RemoteRoom | undefined
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
  readonly found: Found[]
  usedTs: number
  /** The last request of this walk: those of one walk wait for each other. */
  turn: Promise<unknown>
}

const maxLimit = 50
const deepest = 100
/** Rooms that one walk visits at most. */
const maxVisited = 10_000
/** Children of one space that another server is shown. */
const mostShown = 200
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
    if (!(await this.#find(userId, rootVisit(rootId)))) throw refuse('M_FORBIDDEN', 'You may not see this room, or it does not exist.')
    const { walk, walkId, offset } = request.from === undefined ? this.#begin(userId, rootId, request) : this.#resume(userId, rootId, request, request.from)
    const limit = Math.min(maxLimit, Math.max(1, request.limit))
    const advance = walk.turn.then(() => this.#advance(walk, offset + limit))
    walk.turn = advance.catch(() => undefined)
    await advance
    walk.usedTs = this.#needs.clock.now()
    const rooms: object[] = []
    for (const found of walk.found.slice(offset, offset + limit)) {
      const entry = await this.#entry(userId, found, walk.suggestedOnly)
      if (entry) rooms.push(entry)
    }
    const end = offset + limit
    if (walk.open.length === 0 && walk.found.length <= end) return { rooms }
    this.#keep(walkId, walk)
    return { rooms, next_batch: `${walkId}.${end}` }
  }

  #begin(userId: UserId, rootId: RoomId, { suggestedOnly, maxDepth }: HierarchyRequest): { walk: Walk; walkId: string; offset: number } {
    const walk: Walk = {
      userId, rootId, suggestedOnly, maxDepth, open: [rootVisit(rootId)], visited: new Set(), found: [], usedTs: this.#needs.clock.now(),
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
      const found = await this.#find(walk.userId, visit)
      if (!found) continue
      walk.found.push({ roomId: visit.roomId, remote: found.remote })
      if (visit.depth >= Math.min(walk.maxDepth ?? deepest, deepest)) continue
      for (const { roomId, via } of (await found.children(walk.suggestedOnly)).reverse()) {
        walk.open.push({ roomId, via, depth: visit.depth + 1, shown: found.shown.get(roomId) })
      }
    }
  }

  /** A room that the user may see: as this server has it, or else as another one shows it. */
  async #find(userId: UserId, visit: Visit) {
    const room = await this.#here(visit.roomId)
    if (room) {
      const summary = await this.#summary(userId, room)
      if (!summary) return undefined
      const children = (suggestedOnly: boolean): Promise<SpaceChild[]> => (summary.roomType === 'm.space' ? this.#children(room, suggestedOnly) : Promise.resolve([]))
      return { remote: undefined, shown: new Map<string, RemoteRoom>(), children }
    }
    const asked = visit.shown?.isSpace === false ? undefined : await this.#needs.remote.room(visit.roomId, visit.via)
    const remote = asked?.room ?? visit.shown
    if (!remote || !(await this.#mayPreview(userId, remote))) return undefined
    return { remote, shown: asked?.children ?? new Map<string, RemoteRoom>(), children: (suggestedOnly: boolean) => Promise.resolve(childrenOf(remote.isSpace ? remote.children : [], suggestedOnly)) }
  }

  /** A room that this server is in. */
  async #here(roomId: RoomId): Promise<Room | undefined> {
    const room = await this.#needs.rooms.get(roomId)
    return room && (await this.#needs.roomServers.isHere(room)) ? room : undefined
  }

  /** Whether a user may see a room that another server shows to this one. */
  async #mayPreview(userId: UserId, { roomId, joinRule, isWorldReadable, allowedRoomIds }: RemoteRoom): Promise<boolean> {
    const { rooms, memberships } = this.#needs
    if (isWorldReadable || ['public', 'knock', 'knock_restricted'].includes(joinRule)) return true
    const room = await rooms.get(roomId)
    if (room && (await memberships.of(room, userId))?.membership === 'invite') return true
    for (const allowedId of joinRule === 'restricted' ? allowedRoomIds : []) {
      const allowed = await rooms.get(allowedId)
      if (allowed && (await memberships.isJoined(allowed, userId))) return true
    }
    return false
  }

  /**
   * What another server is shown of a space and its children, as far as its users could come in.
   * @throws M_NOT_FOUND where it may not see the room, or this server is not in it
   */
  async forServer(server: ServerName, roomId: RoomId, suggestedOnly: boolean): Promise<{ room: object; children: object[]; inaccessible_children: string[] }> {
    const room = await this.#here(roomId)
    const summary = room && (await this.#needs.summaries.of(room))
    if (!room || !summary || !(await this.#needs.summaries.mayServerPreview(server, summary))) throw refuse('M_NOT_FOUND', `This server does not have that room, or ${server} may not see it.`)
    const events = summary.roomType === 'm.space' ? await this.#children(room, suggestedOnly) : []
    const children: object[] = []
    const inaccessible: string[] = []
    for (const { roomId: childId } of events.slice(0, mostShown)) {
      const child = await this.#here(childId)
      const found = child && (await this.#needs.summaries.of(child))
      if (!found) continue
      if (await this.#needs.summaries.mayServerPreview(server, found)) children.push(await this.#shown(found, suggestedOnly))
      else inaccessible.push(childId)
    }
    return { room: { ...roomSummary(summary), children_state: events.map(({ shown }) => shown) }, children, inaccessible_children: inaccessible }
  }

  async #summary(userId: UserId, room: Room) {
    const summary = await this.#needs.summaries.of(room)
    return (await this.#needs.summaries.mayPreview(userId, summary)) ? summary : undefined
  }

  async #entry(userId: UserId, { roomId, remote }: Found, suggestedOnly: boolean): Promise<object | undefined> {
    if (remote) return { ...remote.summary, children_state: childrenOf(remote.isSpace ? remote.children : [], suggestedOnly).map(({ shown }) => shown) }
    const room = await this.#here(roomId)
    const summary = room && (await this.#summary(userId, room))
    return summary && this.#shown(summary, suggestedOnly)
  }

  async #shown(summary: RoomSummary, suggestedOnly: boolean): Promise<object> {
    const children = summary.roomType === 'm.space' ? await this.#children(summary.room, suggestedOnly) : []
    return { ...roomSummary(summary), children_state: children.map(({ shown }) => shown) }
  }

  /** Valid children of a space in their order. */
  async #children(room: Room, suggestedOnly: boolean): Promise<SpaceChild[]> {
    const root = await this.#needs.writer.currentRoot(room)
    const events = await this.#needs.states.all(room, root, ['m.space.child'])
    return childrenOf(events.map(({ event }) => ({ ...strippedState(event), originServerTs: event.originServerTs })), suggestedOnly)
  }
}

/** The begin of a walk: the server in the room's id may know the room. */
function rootVisit(roomId: RoomId): Visit {
  const named = parseRoomId(roomId)?.serverName
  return { roomId, depth: 0, via: named === undefined ? [] : [named], shown: undefined }
}
