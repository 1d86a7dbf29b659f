/**
 * Resolves the states of several branches of a room into one.
 *
 * Only what differs is read: the branches' tries are compared, auth differences come from the chain cover, and events are loaded when the
 * resolution, which has no effects, asks for one that is not there yet.
 *
 * Spec: rooms, "State resolution".
 */
import { stateKeyOf, type RoomEvent, type StateKey } from '@myelin/protocol/events/event.ts'
import type { EventId } from '@myelin/protocol/ids/ids.ts'
import type { ResolutionContext } from '@myelin/protocol/state/resolution-context.ts'
import { resolveConflict } from '@myelin/protocol/state/resolve.ts'
import type { StateConflict, UnconflictedState } from '@myelin/protocol/state/state-sets.ts'
import { standsInAuthChain, type ChainCover, type ChainedState } from './chain-cover.ts'
import type { Events } from './events.ts'
import type { Names } from './names.ts'
import type { ChangedEntry, RoomStates } from './room-states.ts'
import type { Room } from './room.ts'
import type { StoredEvent } from './stored-event.ts'
import { emptyRoot, type NewNodes, type StateEntry } from './trie.ts'

interface Needs {
  readonly names: Names
  readonly events: Events
  readonly states: RoomStates
  readonly chainCover: ChainCover
}

/** Events that one round of a resolution loads beyond those that it asked for: their auth events, so many levels deep. */
const levelsAhead = 4

export class StateResolver {
  readonly #needs: Needs

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /**
   * The state that several states resolve to.
   * @param roots roots of the states; equal ones count once
   * @param made collects nodes that must be stored
   */
  async resolve(room: Room, roots: readonly number[], made: NewNodes): Promise<number> {
    const [first = emptyRoot, ...others] = new Set(roots)
    if (others.length === 0) return first
    const resolution = new Resolution(this.#needs, room)
    return this.#needs.states.withEntries(room, first, await resolution.changesFrom(first, others), made)
  }
}

/** One resolution with the events that it has loaded. */
class Resolution {
  readonly #needs: Needs
  readonly #room: Room
  readonly #known = new Map<EventId, StoredEvent | undefined>()
  readonly #missing = new Set<EventId>()

  constructor(needs: Needs, room: Room) {
    this.#needs = needs
    this.#room = room
  }

  /** What must be changed in the state `first` to make it the resolved state. */
  async changesFrom(first: number, others: readonly number[]): Promise<ChangedEntry[]> {
    const { states } = this.#needs
    const keys = new Map<string, { readonly typeNid: number; readonly stateKeyNid: number }>()
    for (const other of others) for (const entry of await states.changes(this.#room, first, other)) keys.set(nidKey(entry), entry)
    const sets = await Promise.all([first, ...others].map((root) => this.#conflicted(root, keys)))
    await this.#load(sets.flatMap((set) => [...set.values()]))
    const unconflicted = new SharedState(this.#needs, this.#room, first, new Set(sets.flatMap((set) => [...set.keys()])))
    const conflict: StateConflict = { unconflicted, conflicted: sets }
    const difference = this.#room.version.stateResolution === 'v1' ? undefined : await this.#difference(first, keys, sets)
    for (;;) {
      const resolved = resolveConflict(this.#room.version, conflict, this.#context(difference))
      const isComplete = this.#missing.size === 0 && !unconflicted.isLacking
      if (isComplete) return this.#changes(sets[0] ?? new Map(), sets, resolved)
      await this.#loadMissing()
      for (const event of await unconflicted.load()) this.#known.set(event.event.eventId, event)
    }
  }

  /** The entries of a state at the keys on which the states differ. */
  async #conflicted(root: number, keys: ReadonlyMap<string, { readonly typeNid: number; readonly stateKeyNid: number }>): Promise<Map<StateKey, EventId>> {
    const { states, names } = this.#needs
    const found = new Map<StateKey, EventId>()
    for (const { typeNid, stateKeyNid } of keys.values()) {
      const [type, stateKey] = [await names.string(typeNid), await names.string(stateKeyNid)]
      const event = await states.get(this.#room, root, type, stateKey)
      if (!event) continue
      this.#known.set(event.event.eventId, event)
      found.set(stateKeyOf(type, stateKey), event.event.eventId)
    }
    return found
  }

  /** The auth difference from the index; undefined where an event is not in it. */
  async #difference(first: number, keys: ReadonlyMap<string, unknown>, sets: readonly ReadonlyMap<StateKey, EventId>[]): Promise<EventId[] | undefined> {
    const { states, names, events, chainCover } = this.#needs
    const shared = (await states.entries(this.#room, first)).filter((entry) => !keys.has(nidKey(entry)))
    const types = await names.strings(new Set(shared.map(({ typeNid }) => typeNid)))
    const isChained = ({ typeNid }: StateEntry): boolean => standsInAuthChain(types.get(typeNid) ?? '')
    const others = [...(await events.byNids(shared.filter((entry) => !isChained(entry)).map(({ eventNid }) => eventNid))).values()]
    const common: ChainedState = { events: shared.filter(isChained).map(({ eventNid }) => eventNid), authEvents: await this.#authNids(others) }
    const each = await Promise.all(sets.map(async (set) => {
      const own = [...set.values()].map((eventId) => this.#known.get(eventId)).filter((event) => event !== undefined)
      const [chained, rest] = [own.filter(({ event }) => standsInAuthChain(event.type)), own.filter(({ event }) => !standsInAuthChain(event.type))]
      return { events: chained.map(({ nid }) => nid), authEvents: await this.#authNids(rest) }
    }))
    const nids = await chainCover.difference(common, each)
    if (!nids) return undefined
    const found = [...(await events.byNids([...nids])).values()]
    for (const event of found) this.#known.set(event.event.eventId, event)
    return found.map(({ event }) => event.eventId)
  }

  async #authNids(events: readonly StoredEvent[]): Promise<number[]> {
    const ids = new Set(events.flatMap(({ event }) => event.authEventIds))
    return (await this.#needs.events.known(this.#room, [...ids])).map(({ nid }) => nid)
  }

  #context(difference: readonly EventId[] | undefined): ResolutionContext {
    return {
      event: (eventId): RoomEvent | undefined => {
        if (!this.#known.has(eventId)) this.#missing.add(eventId)
        return this.#known.get(eventId)?.event
      },
      isRejected: (eventId) => this.#known.get(eventId)?.rejected === true,
      ...(difference === undefined ? {} : { authChainDifference: () => difference }),
    }
  }

  async #loadMissing(): Promise<void> {
    let wanted = [...this.#missing]
    this.#missing.clear()
    for (let level = 0; level < levelsAhead && wanted.length > 0; level++) {
      await this.#load(wanted)
      const named = wanted.flatMap((eventId) => this.#known.get(eventId)?.event.authEventIds ?? [])
      wanted = [...new Set(named)].filter((eventId) => !this.#known.has(eventId))
    }
  }

  async #load(eventIds: readonly EventId[]): Promise<void> {
    const wanted = eventIds.filter((eventId) => !this.#known.has(eventId))
    for (const eventId of wanted) this.#known.set(eventId, undefined)
    for (const event of await this.#needs.events.known(this.#room, wanted)) this.#known.set(event.event.eventId, event)
  }

  async #changes(first: ReadonlyMap<StateKey, EventId>, sets: readonly ReadonlyMap<StateKey, EventId>[], resolved: ReadonlyMap<StateKey, EventId>): Promise<ChangedEntry[]> {
    const changes: ChangedEntry[] = []
    const { names } = this.#needs
    for (const key of new Set([...sets.flatMap((set) => [...set.keys()]), ...resolved.keys()])) {
      const eventId = resolved.get(key)
      const before = first.get(key)
      if (eventId === before) continue
      const event = this.#known.get(eventId ?? before ?? firstOf(sets, key))
      if (!event || event.event.stateKey === undefined) continue
      const [typeNid, stateKeyNid] = [await names.intern(event.event.type), await names.intern(event.event.stateKey)]
      changes.push({ typeNid, stateKeyNid, eventNid: eventId === undefined ? undefined : event.nid })
    }
    return changes
  }
}

/** What all states have alike, read from one of them as the resolution asks for it. */
class SharedState implements UnconflictedState {
  readonly #needs: Needs
  readonly #room: Room
  readonly #root: number
  readonly #conflicted: ReadonlySet<StateKey>
  readonly #known = new Map<StateKey, EventId | undefined>()
  readonly #lacking = new Set<StateKey>()
  #all: EventId[] | undefined
  #wantsAll = false

  constructor(needs: Needs, room: Room, root: number, conflicted: ReadonlySet<StateKey>) {
    this.#needs = needs
    this.#room = room
    this.#root = root
    this.#conflicted = conflicted
  }

  /** Whether the resolution asked for something that was not loaded. */
  get isLacking(): boolean {
    return this.#lacking.size > 0 || (this.#wantsAll && this.#all === undefined)
  }

  get(key: StateKey): EventId | undefined {
    if (this.#conflicted.has(key)) return undefined
    if (!this.#known.has(key)) this.#lacking.add(key)
    return this.#known.get(key)
  }

  values(): Iterable<EventId> {
    this.#wantsAll = true
    return this.#all ?? []
  }

  /** Loads what was asked for. */
  async load(): Promise<StoredEvent[]> {
    const { states } = this.#needs
    const loaded: StoredEvent[] = []
    for (const key of this.#lacking) {
      const [type, stateKey] = partsOf(key)
      const event = await states.get(this.#room, this.#root, type, stateKey)
      this.#known.set(key, event?.event.eventId)
      if (event) loaded.push(event)
    }
    this.#lacking.clear()
    if (this.#wantsAll && this.#all === undefined) {
      const all = (await states.all(this.#room, this.#root)).filter(({ event }) => !this.#conflicted.has(stateKeyOf(event.type, event.stateKey ?? '')))
      this.#all = all.map(({ event }) => event.eventId)
      loaded.push(...all)
    }
    return loaded
  }
}

function nidKey({ typeNid, stateKeyNid }: { readonly typeNid: number; readonly stateKeyNid: number }): string {
  return `${typeNid} ${stateKeyNid}`
}

function firstOf(sets: readonly ReadonlyMap<StateKey, EventId>[], key: StateKey): EventId {
  const found = sets.map((set) => set.get(key)).find((eventId) => eventId !== undefined)
  if (found === undefined) throw new Error('A conflicted key has no event in any state')
  return found
}

/** Type and state key of a key. */
function partsOf(key: StateKey): [type: string, stateKey: string] {
  const colon = key.indexOf(':')
  const length = Number(key.slice(0, colon))
  return [key.slice(colon + 1, colon + 1 + length), key.slice(colon + 1 + length)]
}
