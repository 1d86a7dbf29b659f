/**
 * The required state of a room: all of it, or what changed since the client last heard of the room, with the members who matter to the timeline.
 *
 * Spec: MSC4186, "Lazy loaded memberships", "Changes to required_state".
 */
import type { Room } from '#engine/room.ts'
import type { StoredEvent } from '#engine/stored-event.ts'
import { trieDiff, type StateEntry } from '#engine/trie.ts'
import type { SentToDevice } from '../lazy-members.ts'
import type { SyncSources } from '../sources.ts'
import type { StateChanges } from '../state-changes.ts'
import type { Timeline } from '../timelines.ts'
import type { RequiredState } from './required-state.ts'

/** Of which room the state is wanted. */
export interface RequiredStateRequest {
  readonly room: Room
  readonly wish: RequiredState
  /** What the client kept up with so far; undefined where it knows nothing. */
  readonly known: RequiredState | undefined
  /** The client knows the room up to this place of the events stream; undefined where it knows nothing. */
  readonly since: number | undefined
  /** Root of the state at the end of the timeline. */
  readonly endRoot: number
  readonly timeline: Timeline
  readonly sent: SentToDevice
}

/** State to be sent. */
export interface RequiredStateResult {
  readonly events: readonly StoredEvent[]
  /** Types of the state that changed, wanted or not; undefined where nothing was known before. */
  readonly changedTypes: ReadonlySet<string> | undefined
  /** Whether something changed that the client kept up with and no longer wants. */
  readonly hasLost: boolean
}

const memberType = 'm.room.member'

export class RoomRequiredState {
  readonly #sources: Pick<SyncSources, 'events' | 'states' | 'names'>
  readonly #changes: StateChanges

  constructor(sources: Pick<SyncSources, 'events' | 'states' | 'names'>, changes: StateChanges) {
    this.#sources = sources
    this.#changes = changes
  }

  async of(request: RequiredStateRequest): Promise<RequiredStateResult> {
    const { room, wish, known, since, endRoot } = request
    const nids = new Set<number>()
    let changedTypes: Set<string> | undefined
    let hasLost = false
    if (since === undefined || !known) {
      for (const nid of await this.#all(room, endRoot, wish)) nids.add(nid)
    } else {
      const entries = await this.#changed(room, since, endRoot)
      const names = entries.length === 0 ? new Map<number, string>() : await this.#sources.names.strings(entries.flatMap((entry) => [entry.typeNid, entry.stateKeyNid]))
      changedTypes = new Set()
      for (const { typeNid, stateKeyNid, eventNid } of entries) {
        const [type, stateKey] = [names.get(typeNid) ?? '', names.get(stateKeyNid) ?? '']
        changedTypes.add(type)
        const followsMembers = type === memberType && wish.isLazy && !request.timeline.limited
        if (followsMembers || wish.matches(type, stateKey)) nids.add(eventNid)
        else if (known.matches(type, stateKey)) hasLost = true
      }
      if (!known.covers(wish)) for (const nid of await this.#added(room, endRoot, known, wish)) nids.add(nid)
    }
    if (wish.isLazy) for (const nid of await this.#members(request)) nids.add(nid)
    if (nids.size === 0) return { events: [], changedTypes, hasLost }
    const events = [...(await this.#sources.events.byNids([...nids])).values()]
    for (const { event, nid } of events) if (event.type === memberType && event.stateKey !== undefined) request.sent.add(room.nid, event.stateKey, nid)
    return { events, changedTypes, hasLost }
  }

  async #changed(room: Room, since: number, endRoot: number): Promise<readonly StateEntry[]> {
    const startRoot = await this.#changes.rootAt(room, since)
    return startRoot === endRoot ? [] : (await trieDiff(this.#sources.states, room.nid, startRoot, endRoot)).onlyRight
  }

  /** Events of a state that are wanted. */
  async #all(room: Room, root: number, wish: RequiredState): Promise<number[]> {
    if (wish.isExact) return this.#exact(room, root, wish.pairs())
    const types = wish.byType.has('*') ? undefined : [...wish.byType.keys()]
    const entries = await this.#sources.states.entries(room, root, types)
    const names = await this.#sources.names.strings(entries.flatMap((entry) => [entry.typeNid, entry.stateKeyNid]))
    return entries.filter(({ typeNid, stateKeyNid }) => wish.matches(names.get(typeNid) ?? '', names.get(stateKeyNid) ?? '')).map(({ eventNid }) => eventNid)
  }

  /** Events that are wanted now and were not before. */
  async #added(room: Room, root: number, known: RequiredState, wish: RequiredState): Promise<number[]> {
    if (wish.isExact) return this.#exact(room, root, [...wish.pairs()].filter(([type, stateKey]) => !known.matches(type, stateKey)))
    const before = new Set(await this.#all(room, root, known))
    return (await this.#all(room, root, wish)).filter((nid) => !before.has(nid))
  }

  async #exact(room: Room, root: number, pairs: Iterable<readonly [string, string]>): Promise<number[]> {
    const found: number[] = []
    for (const [type, stateKey] of pairs) {
      const nid = await this.#sources.states.nidOf(room, root, type, stateKey)
      if (nid !== undefined) found.push(nid)
    }
    return found
  }

  /** Membership events of those who speak in the timeline and of whom it speaks, as far as the client does not have them. */
  async #members({ room, since, endRoot, timeline, sent }: RequiredStateRequest): Promise<number[]> {
    const users = new Set<string>()
    for (const { event } of timeline.shown) {
      users.add(event.event.sender)
      if (event.event.type === memberType && event.event.stateKey !== undefined) users.add(event.event.stateKey)
    }
    const nids: number[] = []
    for (const userId of users) {
      const nid = await this.#sources.states.nidOf(room, endRoot, memberType, userId)
      // A room that is told from the beginning replaces what the client had of it.
      if (nid !== undefined && (since === undefined || !sent.has(room.nid, userId, nid))) nids.push(nid)
    }
    return nids
  }
}
