/**
 * The state that a client must be told beside the timeline: all of it, or what changed since its token.
 *
 * Spec: client-server API, `GET /sync`, `state` and `state_after`; "Lazy-loading room members".
 */
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import type { Room } from '#engine/room.ts'
import type { StoredEvent } from '#engine/stored-event.ts'
import { emptyRoot, trieDiff, type StateEntry } from '#engine/trie.ts'
import type { SyncSources } from './sources.ts'
import type { SyncContext } from './sync-context.ts'
import type { Timeline } from './timelines.ts'

/** Of which room the state is wanted, and from where on. */
export interface StateRequest {
  readonly room: Room
  readonly timeline: Timeline
  /** The client knows the state up to this place of the stream; undefined where it knows nothing. */
  readonly knownUpTo: number | undefined
  /** Root of the state at the end of the timeline, computed where it is needed. */
  readonly endRoot: () => Promise<number>
  /** Users whose membership events are needed although they do not speak. */
  readonly needed: readonly UserId[]
}

const memberType = 'm.room.member'

export class StateChanges {
  readonly #sources: Pick<SyncSources, 'events' | 'states' | 'names'>

  constructor(sources: Pick<SyncSources, 'events' | 'states' | 'names'>) {
    this.#sources = sources
  }

  /** Root of a room's state at a place of the stream. */
  async rootAt(room: Room, position: number): Promise<number> {
    const [last] = await this.#sources.events.roomTail(room, Number.MIN_SAFE_INTEGER, position, 1)
    return last ? this.rootAfter(last) : emptyRoot
  }

  /** Root of the state after an event. */
  async rootAfter(event: StoredEvent): Promise<number> {
    return (await this.#sources.states.rootAfter(event)) ?? emptyRoot
  }

  /** The state events to be sent, filtered. */
  async of(context: SyncContext, request: StateRequest): Promise<StoredEvent[]> {
    const { timeline, room, knownUpTo } = request
    if (context.filter.state.matchesNothing) return []
    if (knownUpTo !== undefined && timeline.isComplete && timeline.shown.length === 0) return []
    const startRoot = timeline.shown[0]?.event.stateRoot ?? (await request.endRoot())
    const told = await this.#told(context, request, startRoot)
    const lazy = context.filter.lazyLoadMembers
    const speakers = lazy ? await this.#speakers(context, request, context.stateAfter ? await request.endRoot() : startRoot) : []
    const nids = new Set([...told, ...speakers])
    if (nids.size === 0) return []
    const found = await this.#sources.events.byNids([...nids])
    const { state } = context.filter
    const events = [...found.values()].filter((stored) => state.matchesEverything || state.matches(stored.event))
    if (lazy) this.#remember(context, room, events)
    return events
  }

  /** What is to be sent to somebody whose invite or knock has ended: of a room that they were not in, only the timeline may tell the state. */
  ofOutsider(context: SyncContext, timeline: Timeline): StoredEvent[] {
    return context.stateAfter ? lastStates(timeline).filter((stored) => context.filter.state.matches(stored.event)) : []
  }

  /** Notes the membership events that the timeline itself brings. */
  noteTimeline(context: SyncContext, room: Room, timeline: Timeline): void {
    if (context.sent) this.#remember(context, room, timeline.shown.map((item) => item.event))
  }

  #remember(context: SyncContext, room: Room, events: readonly StoredEvent[]): void {
    for (const { event, nid } of events) {
      if (event.type === memberType && event.stateKey !== undefined) context.sent?.add(room.nid, event.stateKey, nid)
    }
  }

  /** Numbers of the events that tell the state or its change. */
  async #told(context: SyncContext, request: StateRequest, startRoot: number): Promise<number[]> {
    const { room, timeline, knownUpTo } = request
    const isFull = knownUpTo === undefined
    if (!isFull && timeline.isComplete && (await this.#isLinear(timeline))) return context.stateAfter ? lastStates(timeline).map((event) => event.nid) : []
    const endRoot = await request.endRoot()
    const from = isFull ? emptyRoot : await this.rootAt(room, knownUpTo)
    const changes = new Map<string, StateEntry>()
    const collect = async (before: number, after: number): Promise<void> => {
      if (before === after) return
      for (const entry of (await trieDiff(this.#sources.states, room.nid, before, after)).onlyRight) changes.set(`${entry.typeNid} ${entry.stateKeyNid}`, entry)
    }
    if (context.stateAfter) {
      await collect(from, endRoot)
    } else {
      await collect(from, startRoot)
      const inTimeline = new Set(timeline.shown.map((item) => item.event.nid))
      const before = new Map(changes)
      await collect(startRoot, endRoot)
      // What the timeline tells is left to it; what it leaves out (filtered or hidden) is told here.
      for (const [key, entry] of changes) {
        if (!inTimeline.has(entry.eventNid)) continue
        const previous = before.get(key)
        if (previous && !inTimeline.has(previous.eventNid)) changes.set(key, previous)
        else changes.delete(key)
      }
    }
    const entries = [...changes.values()]
    if (!context.filter.lazyLoadMembers || !isFull) return entries.map((entry) => entry.eventNid)
    const memberNid = await this.#sources.names.find(memberType)
    return entries.filter((entry) => entry.typeNid !== memberNid).map((entry) => entry.eventNid)
  }

  /** Whether each event of the timeline stands on the one before it. */
  async #isLinear(timeline: Timeline): Promise<boolean> {
    let root: number | undefined
    for (const { event } of timeline.shown) {
      if (root !== undefined && event.stateRoot !== root) return false
      root = event.isState && timeline.shown.length > 1 ? await this.rootAfter(event) : event.stateRoot
    }
    return true
  }

  /** Membership events of those who speak, and of those who are needed, as far as the device does not have them. */
  async #speakers(context: SyncContext, { room, timeline, needed }: StateRequest, root: number): Promise<number[]> {
    const inTimeline = new Set(timeline.shown.map((item) => item.event.nid))
    const users = new Set<string>(needed)
    for (const { event } of timeline.shown) {
      users.add(event.event.sender)
      if (context.stateAfter && event.event.type === memberType && event.event.stateKey !== undefined) users.add(event.event.stateKey)
    }
    const nids: number[] = []
    for (const userId of users) {
      const nid = await this.#sources.states.nidOf(room, root, memberType, userId)
      if (nid === undefined || context.sent?.has(room.nid, userId, nid)) continue
      if (context.stateAfter || !inTimeline.has(nid)) nids.push(nid)
    }
    return nids
  }
}

/** The last state event of each type and key in a timeline. */
function lastStates(timeline: Timeline): StoredEvent[] {
  const last = new Map<string, StoredEvent>()
  for (const { event } of timeline.shown) if (event.isState) last.set(`${event.event.type}\0${event.event.stateKey ?? ''}`, event)
  return [...last.values()]
}
