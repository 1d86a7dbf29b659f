/**
 * Takes in events that other servers made. Their signatures and hashes are checked before; here they find their place in the room: the state
 * before them is resolved of their branches, and the auth rules decide whether they are accepted, rejected or soft-failed.
 *
 * Spec: server-server API, "Checks performed on receipt of a PDU", "Rejection", "Soft failure".
 */
import { authTypesFor, checkAuthEvents, createIdOf, type KnownEvent } from '@myelin/protocol/auth/auth-events.ts'
import { checkAuth } from '@myelin/protocol/auth/check.ts'
import { checkRedaction } from '@myelin/protocol/auth/redaction.ts'
import { stateKeyOf, type RoomEvent, type Verdict } from '@myelin/protocol/events/event.ts'
import type { ParsedPdu } from '@myelin/protocol/events/parse.ts'
import type { EventId } from '@myelin/protocol/ids/ids.ts'
import type { Tx } from '#platform/db/database.ts'
import type { Events } from './events.ts'
import type { EventNumbers } from './event-numbers.ts'
import type { Names } from './names.ts'
import type { CommitUnit, Outlier } from './persister.ts'
import type { Extremity, Head, RoomHeads } from './room-heads.ts'
import type { RoomStates } from './room-states.ts'
import type { RoomTurns } from './room-turns.ts'
import type { Room } from './room.ts'
import type { StateResolver } from './state-resolver.ts'
import { StoredEvent } from './stored-event.ts'
import { emptyRoot, trieOf, type NewNodes, type StateEntry } from './trie.ts'

/** What this server lacks to take an event in. */
export class LackingEvents extends Error {
  override readonly name = 'LackingEvents'
  readonly previous: readonly EventId[]
  readonly auth: readonly EventId[]

  constructor(eventId: EventId, previous: readonly EventId[], auth: readonly EventId[]) {
    super(`${eventId} names ${previous.length} earlier events and ${auth.length} auth events that this server does not have`)
    this.previous = previous
    this.auth = auth
  }
}

/** How an event is taken in. */
export interface ReceiveOptions {
  /** Events that are committed with it as ancestors and state, each after its auth events. */
  readonly outliers?: readonly ParsedPdu[]
  /** State after events that it names and whose own ancestors this server does not have: lists of event ids. */
  readonly statesAfter?: ReadonlyMap<EventId, readonly EventId[]>
  /** State before the event itself, where that is all that can be had: a list of event ids. */
  readonly stateBefore?: readonly EventId[]
  /** The room's policy server does not recommend it: it is soft-failed. */
  readonly isUnwanted?: boolean
  /** It is older than what this server has of the room: nothing is built on it, it can only end an old branch that it continues. */
  readonly isHistory?: true
  /** This server comes into the room by it: what it had of the room from an earlier time is no branch of it any more, but for these events. */
  readonly entersRoomBeside?: ReadonlySet<EventId>
  /** Set where the room itself is new. */
  readonly creation?: CommitUnit['creation']
  /** Writes that are committed with the event or not at all. */
  readonly extra?: (tx: Tx, event: StoredEvent) => Promise<void>
}

interface Needs {
  readonly names: Names
  readonly events: Events
  readonly states: RoomStates
  readonly resolver: StateResolver
  readonly heads: RoomHeads
  readonly turns: RoomTurns
  readonly numbers: EventNumbers
}

/** An event while it is taken in. */
interface Intake {
  readonly room: Room
  readonly pdu: ParsedPdu
  readonly head: Head
  readonly options: ReceiveOptions
  readonly nodes: NewNodes
  /** Events by id: those that were known, and the outliers that come with it. */
  readonly known: Map<EventId, StoredEvent>
  readonly outliers: Outlier[]
}

export class RoomReceiver {
  readonly #needs: Needs

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /**
   * Takes an event in and resolves once it is durable.
   * @returns the event, also where it was here before; `rejected` and `softFailed` say what became of it
   * @throws LackingEvents where earlier events or auth events are missing
   */
  async receive(room: Room, pdu: ParsedPdu, options: ReceiveOptions = {}): Promise<StoredEvent> {
    const { event, committed } = await this.#needs.turns.run(room.nid, async () => {
      const [known] = await this.#needs.events.known(room, [pdu.event.eventId])
      if (known?.stateRoot !== undefined) return { event: known, committed: this.#needs.heads.settled(room) }
      return this.#take(room, pdu, known, options)
    })
    await committed
    return event
  }

  /**
   * Notes a membership of a room that this server is not in: an invite, a knock, or the end of one.
   * @param extra writes that are committed with it
   */
  async receiveOutOfBand(room: Room, pdu: ParsedPdu, options: Pick<ReceiveOptions, 'creation' | 'extra'> = {}): Promise<StoredEvent> {
    const { event, committed } = await this.#needs.turns.run(room.nid, async () => {
      const [known] = await this.#needs.events.known(room, [pdu.event.eventId])
      if (known) return { event: known, committed: this.#needs.heads.settled(room) }
      const head = await this.#needs.heads.of(room)
      const received = new StoredEvent(room, pdu.event, pdu.json, {
        nid: this.#needs.numbers.next(), streamOrdering: undefined, stateRoot: undefined, roomRoot: undefined, rejected: false, softFailed: false,
      })
      const unit: CommitUnit = {
        room, lineage: head.lineage, creation: options.creation, events: [received], authEvents: [[]], nodes: new Map(), extremities: undefined, changes: undefined,
        isOutOfBand: true, redactions: [], extra: options.extra && ((tx) => options.extra?.(tx, received) ?? Promise.resolve()),
      }
      return { event: received, committed: this.#needs.heads.commit(unit, head) }
    })
    await committed
    return event
  }

  async #take(room: Room, pdu: ParsedPdu, outlier: StoredEvent | undefined, options: ReceiveOptions): Promise<{ event: StoredEvent; committed: Promise<void> }> {
    const current = await this.#needs.heads.of(room)
    const kept = options.entersRoomBeside
    const head: Head = kept ? { ...current, extremities: current.extremities.filter(({ eventId }) => kept.has(eventId)) } : current
    const intake: Intake = { room, pdu, head, options, nodes: new Map(head.nodes), known: new Map(), outliers: [] }
    await this.#takeOutliers(intake)
    await this.#loadNamed(intake)
    const before = await this.#stateBefore(intake)
    const verdicts = await this.#verdicts(intake, before)
    const event = new StoredEvent(room, pdu.event, pdu.json, {
      nid: outlier?.nid ?? this.#needs.numbers.next(), streamOrdering: undefined, stateRoot: before, roomRoot: undefined,
      rejected: !verdicts.isAccepted.allowed, softFailed: verdicts.isAccepted.allowed && (options.isUnwanted === true || !verdicts.isCurrent.allowed),
    })
    return this.#commit(intake, event, outlier)
  }

  /** Builds the outliers that come with the event, and judges each by its auth events. */
  async #takeOutliers({ room, options, known, outliers }: Intake): Promise<void> {
    const list = options.outliers ?? []
    const named = [...new Set(list.flatMap(({ event }) => [event.eventId, ...event.authEventIds, ...impliedBy(room, event)]))]
    for (const event of await this.#needs.events.known(room, named)) known.set(event.event.eventId, event)
    for (const pdu of list) {
      if (known.has(pdu.event.eventId)) continue
      const verdict = this.#verdictByAuthEvents(room, pdu.event, known)
      const event = new StoredEvent(room, pdu.event, pdu.json, {
        nid: this.#needs.numbers.next(), streamOrdering: undefined, stateRoot: undefined, roomRoot: undefined, rejected: !verdict.allowed, softFailed: false,
      })
      known.set(pdu.event.eventId, event)
      this.#needs.events.pin(event)
      outliers.push({ event, authEvents: authOf(room, pdu.event, known) })
    }
  }

  async #loadNamed({ room, pdu: { event }, options, known }: Intake): Promise<void> {
    const named = [...new Set([...event.prevEventIds, ...event.authEventIds, ...impliedBy(room, event), ...[...(options.statesAfter?.values() ?? [])].flat(), ...(options.stateBefore ?? [])])]
    for (const found of await this.#needs.events.known(room, named.filter((eventId) => !known.has(eventId)))) known.set(found.event.eventId, found)
    const previous = options.stateBefore ? [] : event.prevEventIds.filter((eventId) => known.get(eventId)?.stateRoot === undefined && !options.statesAfter?.has(eventId))
    const auth = [...event.authEventIds, ...impliedBy(room, event)].filter((eventId) => !known.has(eventId))
    if (previous.length > 0 || auth.length > 0) throw new LackingEvents(event.eventId, previous, auth)
  }

  /** Root of the state before the event: what its branches resolve to. */
  async #stateBefore({ room, pdu: { event }, head, options, known, nodes }: Intake): Promise<number> {
    if (options.stateBefore) return this.#rootOf(room, options.stateBefore, known, nodes)
    const roots: number[] = []
    for (const eventId of event.prevEventIds) {
      const given = options.statesAfter?.get(eventId)
      const previous = known.get(eventId)
      const newest = head.extremities.find((extremity) => extremity.eventId === eventId)
      if (newest) roots.push(newest.root)
      else if (previous?.stateRoot !== undefined) roots.push(await this.#stateAfter(previous, previous.stateRoot, nodes))
      else if (given) roots.push(await this.#rootOf(room, given, known, nodes))
    }
    return this.#resolve(room, roots, nodes)
  }

  /** Root of the state after an event, whose nodes need not be stored yet: of what is soft-failed, or is history, nothing was built on it. */
  async #stateAfter({ room, event, nid, rejected }: StoredEvent, before: number, nodes: NewNodes): Promise<number> {
    if (event.stateKey === undefined || rejected) return before
    return this.#needs.states.withEntries(room, before, [await this.#entry(event.type, event.stateKey, nid)], nodes)
  }

  /** The root of a state that is given by its events. */
  async #rootOf(room: Room, eventIds: readonly EventId[], known: ReadonlyMap<EventId, StoredEvent>, nodes: NewNodes): Promise<number> {
    const entries = new Map<string, StateEntry>()
    for (const eventId of eventIds) {
      const found = known.get(eventId)
      if (!found || found.rejected || found.event.stateKey === undefined) continue
      const entry = await this.#entry(found.event.type, found.event.stateKey, found.nid)
      entries.set(`${entry.typeNid} ${entry.stateKeyNid}`, entry)
    }
    const root = trieOf(room.nid, [...entries.values()], nodes)
    this.#needs.states.pin(nodes)
    return root
  }

  /** Branches that differ are resolved only once everything before is stored: the index of auth chains knows stored events. */
  async #resolve(room: Room, roots: readonly number[], nodes: NewNodes): Promise<number> {
    if (new Set(roots).size > 1) await this.#needs.heads.settled(room)
    return this.#needs.resolver.resolve(room, roots, nodes)
  }

  async #verdicts({ room, pdu: { event }, head, options, known }: Intake, before: number): Promise<{ isAccepted: Verdict; isCurrent: Verdict }> {
    const byAuthEvents = this.#verdictByAuthEvents(room, event, known)
    const isAccepted = byAuthEvents.allowed ? await this.#verdictByState(room, event, before) : byAuthEvents
    const isExempt = options.isHistory === true || options.creation !== undefined || options.entersRoomBeside !== undefined || head.extremities.length === 0
    return { isAccepted, isCurrent: isExempt || !isAccepted.allowed ? isAccepted : await this.#verdictByState(room, event, head.root) }
  }

  #verdictByAuthEvents(room: Room, event: RoomEvent, known: ReadonlyMap<EventId, StoredEvent>): Verdict {
    const verdict = checkAuthEvents(room.version, event, (eventId) => knownEvent(known.get(eventId)))
    if (!verdict.allowed) return verdict
    const state = new Map(authOf(room, event, known).map((auth) => [stateKeyOf(auth.event.type, auth.event.stateKey ?? ''), auth.event]))
    return checkAuth(room.version, event, (type, stateKey) => state.get(stateKeyOf(type, stateKey)))
  }

  async #verdictByState(room: Room, event: RoomEvent, root: number): Promise<Verdict> {
    const state = new Map<string, RoomEvent>()
    for (const [type, stateKey] of [...authTypesFor(room.version, event), ['m.room.create', ''] as const]) {
      const found = await this.#needs.states.get(room, root, type, stateKey)
      if (found) state.set(stateKeyOf(type, stateKey), found.event)
    }
    return checkAuth(room.version, event, (type, stateKey) => state.get(stateKeyOf(type, stateKey)))
  }

  async #commit(intake: Intake, event: StoredEvent, outlier: StoredEvent | undefined): Promise<{ event: StoredEvent; committed: Promise<void> }> {
    const { room, head, options, nodes, known, outliers } = intake
    const moves = !event.rejected && !event.softFailed && options.isHistory === undefined
    const after = moves ? await this.#headAfter(intake, event) : options.isHistory && !event.rejected ? await this.#headBehind(intake, event) : head
    const branch = moves ? after.extremities.at(-1)?.root : undefined
    const placed = branch === after.root || options.isHistory ? event : withRoomRoot(event, after.root)
    const redactions = await this.#redactions(intake, placed)
    const unit: CommitUnit = {
      room, lineage: head.lineage, creation: options.creation, events: [placed], authEvents: [authOf(room, event.event, known)], nodes, outliers,
      extremities: options.isHistory && after === head ? undefined : after.extremities,
      changes: options.isHistory && after === head ? undefined : await this.#needs.states.changes(room, head.root, after.root),
      ...(outlier ? { known: new Set([outlier.nid]) } : {}), ...(options.isHistory ? { isHistory: true as const } : {}),
      ...redactions, extra: options.extra && ((tx) => options.extra?.(tx, placed) ?? Promise.resolve()),
    }
    return { event: placed, committed: this.#needs.heads.commit(unit, after) }
  }

  /** The head once the event is there: it takes the place of the branches that it names. */
  async #headAfter({ room, head, nodes }: Intake, event: StoredEvent): Promise<Head> {
    const { eventId, depth, prevEventIds } = event.event
    const root = await this.#stateAfter(event, event.stateRoot ?? emptyRoot, nodes)
    this.#needs.events.pin(event)
    const named = new Set(prevEventIds)
    const extremities: Extremity[] = [...head.extremities.filter((extremity) => !named.has(extremity.eventId)), { nid: event.nid, eventId, depth, root }]
    const resolved = await this.#resolve(room, extremities.map((extremity) => extremity.root), nodes)
    return { lineage: head.lineage, extremities, root: resolved, nodes: new Map() }
  }

  /**
   * The head once history is there: a branch that it continues has gone on in what came later. Its old state must not be resolved with that any
   * longer: rules that have changed since could bring back what was overruled.
   */
  async #headBehind({ room, head, nodes }: Intake, { event: { prevEventIds } }: StoredEvent): Promise<Head> {
    const extremities = head.extremities.filter((extremity) => !prevEventIds.includes(extremity.eventId))
    if (extremities.length === head.extremities.length || extremities.length === 0) return head
    const root = await this.#resolve(room, extremities.map((extremity) => extremity.root), nodes)
    return { lineage: head.lineage, extremities, root, nodes: new Map() }
  }

  async #entry(type: string, stateKey: string, eventNid: number): Promise<StateEntry> {
    return { typeNid: await this.#needs.names.intern(type), stateKeyNid: await this.#needs.names.intern(stateKey), eventNid }
  }

  /** What the event redacts, and what redacts it because it came later than its redaction. */
  async #redactions({ room }: Intake, event: StoredEvent): Promise<Pick<CommitUnit, 'redactions' | 'pendingRedactions'>> {
    const { events } = this.#needs
    if (event.rejected || event.softFailed) return { redactions: [] }
    const redactions: { redaction: StoredEvent; target: StoredEvent }[] = []
    for (const redaction of (await events.byNids(await events.store.pendingRedactions(room.nid, event.event.eventId))).values()) {
      if (await this.#mayRedact(redaction, event)) redactions.push({ redaction, target: event })
    }
    const { redacts, type } = event.event
    if (type !== 'm.room.redaction' || redacts === undefined) return { redactions }
    const [target] = await events.known(room, [redacts])
    if (!target) return { redactions, pendingRedactions: [event] }
    if (await this.#mayRedact(event, target)) redactions.push({ redaction: event, target })
    return { redactions }
  }

  async #mayRedact(redaction: StoredEvent, target: StoredEvent): Promise<boolean> {
    const { room, stateRoot = emptyRoot } = redaction
    if (target.event.type === 'm.room.create' || redaction.room.nid !== target.room.nid) return false
    const state = new Map<string, RoomEvent>()
    for (const type of ['m.room.create', 'm.room.power_levels']) {
      const found = await this.#needs.states.get(room, stateRoot, type, '')
      if (found) state.set(type, found.event)
    }
    return checkRedaction(room.version, redaction.event, target.event, (type) => state.get(type)).allowed
  }
}

/** The create event, where the room id alone names it. */
function impliedBy(room: Room, event: RoomEvent): EventId[] {
  return room.version.roomIdIsCreateHash && event.type !== 'm.room.create' ? [createIdOf(event)] : []
}

/** The auth events of an event that are known, with the create event that a room id implies. */
function authOf(room: Room, event: RoomEvent, known: ReadonlyMap<EventId, StoredEvent>): StoredEvent[] {
  return [...event.authEventIds, ...impliedBy(room, event)].map((eventId) => known.get(eventId)).filter((auth) => auth !== undefined)
}

function knownEvent(stored: StoredEvent | undefined): KnownEvent | undefined {
  return stored && { ...stored.event, rejected: stored.rejected }
}

function withRoomRoot(event: StoredEvent, roomRoot: number): StoredEvent {
  return new StoredEvent(event.room, event.event, event.json, {
    nid: event.nid, streamOrdering: undefined, stateRoot: event.stateRoot, roomRoot, rejected: event.rejected, softFailed: event.softFailed,
  })
}
