/**
 * The one writer of each room: proposals wait their turn, are built on the head in memory, checked, signed, and handed to the persister.
 * The next proposal is built while the previous one is still being committed; if that commit fails, everything built on it fails with it.
 *
 * Spec: server-server API, "Checks performed on receipt of a PDU"; rooms, "Authorization rules".
 */
import { MatrixError, refuse } from '@myelin/protocol/errors.ts'
import { authTypesFor } from '@myelin/protocol/auth/auth-events.ts'
import { checkAuth } from '@myelin/protocol/auth/check.ts'
import { checkRedaction } from '@myelin/protocol/auth/redaction.ts'
import { buildEvent, references, type BuiltEvent, type EventDraft, type EventPlace, type EventSigner } from '@myelin/protocol/events/build.ts'
import { referenceHash } from '@myelin/protocol/events/hash.ts'
import { maxPrevEvents } from '@myelin/protocol/events/limits.ts'
import type { EventId, RoomId, UserId } from '@myelin/protocol/ids/ids.ts'
import type { RoomEvent } from '@myelin/protocol/events/event.ts'
import { canonicalJson } from '@myelin/protocol/json/canonical.ts'
import type { JsonObject } from '@myelin/protocol/json/json.ts'
import type { RoomVersion } from '@myelin/protocol/rooms/versions.ts'
import type { Clock } from '#platform/clock.ts'
import type { Tx } from '#platform/db/database.ts'
import type { Events } from './events.ts'
import type { EventNumbers } from './event-numbers.ts'
import type { CommitUnit } from './persister.ts'
import { emptyHead, type Extremity, type Head, type RoomHeads } from './room-heads.ts'
import type { PolicyChecks } from './policy-checks.ts'
import type { RoomStates } from './room-states.ts'
import type { RoomTurns } from './room-turns.ts'
import type { Room } from './room.ts'
import type { Rooms } from './rooms.ts'
import type { StateResolver } from './state-resolver.ts'
import { StoredEvent } from './stored-event.ts'
import type { NewNodes } from './trie.ts'

/** What a caller wants to be sent; the writer adds the place in the room. */
export interface Proposal {
  readonly type: string
  readonly sender: UserId
  readonly content: EventDraft['content']
  readonly stateKey?: string
  /** What a redaction redacts. */
  readonly redacts?: EventId
  /** How long it is to be sticky, in ms. */
  readonly stickyMs?: number
  /** Milliseconds since 1970, where not now (application services). */
  readonly originServerTs?: number
}

/** The state of the room at a proposal's turn. */
export interface RoomView {
  readonly room: Room
  state(type: string, stateKey: string): Promise<StoredEvent | undefined>
}

/** Proposals, or a function that writes them when their turn has come and may refuse or propose nothing. */
export type Proposals = readonly Proposal[] | ((view: RoomView) => Promise<readonly Proposal[]>)

/** Options of a proposal. */
export interface ProposeOptions {
  /** Writes that are committed with the events or not at all. */
  readonly extra?: (tx: Tx, events: readonly StoredEvent[]) => Promise<void>
}

/** What a unit collects while its events are built. */
interface Draft {
  head: Head
  /** Branches that the events do not name. */
  readonly rest: readonly Extremity[]
  readonly nodes: NewNodes
  readonly events: StoredEvent[]
  readonly authEvents: StoredEvent[][]
  readonly redactions: { redaction: StoredEvent; target: StoredEvent }[]
}

interface Needs {
  readonly clock: Clock
  readonly rooms: Rooms
  readonly events: Events
  readonly states: RoomStates
  readonly heads: RoomHeads
  readonly resolver: StateResolver
  readonly turns: RoomTurns
  readonly numbers: EventNumbers
  readonly signer: EventSigner
  readonly policy: Pick<PolicyChecks, 'signed'>
  /** An opaque string of at least 128 random bits, for ids of old room versions. */
  readonly randomId: () => string
}

/** Depths stop here: the largest integer of canonical JSON. */
const maxDepth = Number.MAX_SAFE_INTEGER

export class RoomWriter {
  readonly #needs: Needs
  /** Where the room's id is the hash of its create event, two rooms of one user must not begin in the same millisecond. */
  #lastCreationTs = 0

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /**
   * Sends events into a room, all or none, and resolves once they are durable.
   * @returns the events; for a state event that changes nothing, the event that already holds the place
   * @throws M_FORBIDDEN where the auth rules or the room's policy server refuse one, M_TOO_LARGE, M_BAD_JSON
   */
  async propose(room: Room, proposals: Proposals, options: ProposeOptions = {}): Promise<StoredEvent[]> {
    const { events, committed } = await this.#needs.turns.run(room.nid, async () => {
      const head = await this.#needs.heads.of(room)
      const list = typeof proposals === 'function' ? await proposals(this.#view(room, head.root)) : proposals
      return this.#build(room, head, list, undefined, options)
    })
    await committed
    return events
  }

  /**
   * Makes a room with its first events in one commit.
   * @param create content of the create event, complete for the room version
   * @param rest the events that follow, given the room
   */
  async createRoom(
    version: RoomVersion,
    creator: UserId,
    create: EventDraft['content'],
    rest: (room: Room) => readonly Proposal[],
    options: ProposeOptions = {},
  ): Promise<{ room: Room; events: StoredEvent[] }> {
    const ts = Math.max(this.#needs.clock.now(), this.#lastCreationTs + 1)
    this.#lastCreationTs = ts
    const proposal: Proposal = { type: 'm.room.create', stateKey: '', sender: creator, content: create, originServerTs: ts }
    const roomId = version.roomIdIsCreateHash ? this.#hashedRoomId(version, proposal) : this.#needs.signer.serverName
    const room = this.#needs.rooms.draft(version.roomIdIsCreateHash ? (roomId as RoomId) : (`!${this.#needs.randomId()}:${roomId}` as RoomId), version)
    const head = emptyHead()
    const { events, committed } = await this.#needs.turns.run(room.nid, () => this.#build(room, head, [proposal, ...rest(room)], { creator, ts }, options))
    await committed
    return { room, events }
  }

  /**
   * Builds and signs an event of this server without sending it: another server has to sign it as well.
   * @returns the event, to be taken in by the receiver once it is complete
   * @throws M_FORBIDDEN, M_TOO_LARGE, M_BAD_JSON
   */
  async draft(room: Room, proposal: Proposal): Promise<BuiltEvent> {
    return (await this.#buildOn(room, await this.#emptyDraft(room), proposal)).built
  }

  /**
   * What another server needs to make an event of its user: all fields but hashes and signatures.
   * @throws M_FORBIDDEN where the auth rules would refuse the event
   */
  async template(room: Room, proposal: Proposal & { readonly stateKey: string }): Promise<JsonObject> {
    const { place, auth } = await this.#placeOn(room, await this.#emptyDraft(room), proposal)
    const { type, sender, content, stateKey } = proposal
    const originServerTs = this.#needs.clock.now()
    const pdu: JsonObject = {
      type, sender, content, state_key: stateKey, room_id: room.id, depth: place.depth, origin_server_ts: originServerTs, origin: this.#needs.signer.serverName,
      prev_events: references(room.version, place, place.prevEventIds), auth_events: references(room.version, place, place.authEventIds),
    }
    const event: RoomEvent = {
      eventId: '$template' as EventId, roomId: room.id, type, sender, content, stateKey, originServerTs, depth: place.depth,
      prevEventIds: place.prevEventIds, authEventIds: place.authEventIds, redacts: undefined, pdu,
    }
    assertAllowed(room, event, auth)
    return pdu
  }

  async #emptyDraft(room: Room): Promise<Draft> {
    const head = await this.#withinLimit(room, await this.#needs.heads.of(room))
    return { head, rest: [], nodes: new Map(), events: [], authEvents: [], redactions: [] }
  }

  /** Root of the current state of a room. */
  async currentRoot(room: Room): Promise<number> {
    return (await this.#needs.heads.of(room)).root
  }

  /** The current state of a room, for reading outside of a turn. */
  async view(room: Room): Promise<RoomView> {
    return this.#view(room, (await this.#needs.heads.of(room)).root)
  }

  /** From room version 12 on the room's id is the create event's. */
  #hashedRoomId(version: RoomVersion, create: Proposal): string {
    const built = buildEvent(version, { ...create, originServerTs: create.originServerTs ?? 0 }, { depth: 1, prevEventIds: [], authEventIds: [] }, this.#needs.signer)
    return `!${built.event.eventId.slice(1)}`
  }

  #view(room: Room, root: number): RoomView {
    return { room, state: (type, stateKey) => this.#needs.states.get(room, root, type, stateKey) }
  }

  /** Builds all proposals on the head and hands them to the persister; the head moves at once, the promise follows. */
  async #build(
    room: Room,
    head: Head,
    proposals: readonly Proposal[],
    creation: CommitUnit['creation'],
    options: ProposeOptions,
  ): Promise<{ events: StoredEvent[]; committed: Promise<void> }> {
    const draft: Draft = { head: await this.#withinLimit(room, head), rest: restOf(head), nodes: new Map(head.nodes), events: [], authEvents: [], redactions: [] }
    const results: StoredEvent[] = []
    for (const proposal of proposals) results.push((await this.#unchanged(room, draft, proposal)) ?? (await this.#append(room, draft, proposal)))
    const { extra } = options
    if (draft.events.length === 0 && !extra) return { events: results, committed: Promise.resolve() }
    const after = draft.events.length === 0 ? head : await this.#withRest(room, draft)
    const committed = this.#needs.heads.commit({
      room,
      lineage: head.lineage,
      creation,
      events: draft.events,
      authEvents: draft.authEvents,
      nodes: draft.nodes,
      extremities: after.extremities,
      changes: draft.rest.length === 0 ? undefined : await this.#needs.states.changes(room, head.root, after.root),
      redactions: draft.redactions,
      extra: extra && ((tx) => extra(tx, results)),
    }, after)
    return { events: results, committed }
  }

  /** The head without the branches that an event cannot name because they are too many. */
  async #withinLimit(room: Room, head: Head): Promise<Head> {
    if (head.extremities.length <= maxPrevEvents) return head
    const extremities = longest(head).slice(0, maxPrevEvents)
    const nodes: NewNodes = new Map()
    const root = await this.#needs.resolver.resolve(room, extremities.map((extremity) => extremity.root), nodes)
    return { lineage: head.lineage, extremities, root, nodes }
  }

  /** The head with the branches that the new events did not name. */
  async #withRest(room: Room, { head, rest, nodes }: Draft): Promise<Head> {
    if (rest.length === 0) return head
    const extremities = [...rest, ...head.extremities]
    const root = await this.#needs.resolver.resolve(room, extremities.map((extremity) => extremity.root), nodes)
    return { lineage: head.lineage, extremities, root, nodes: new Map() }
  }

  /** The event that already holds the place, where a state event would change nothing. */
  async #unchanged(room: Room, draft: Draft, proposal: Proposal): Promise<StoredEvent | undefined> {
    if (proposal.stateKey === undefined) return undefined
    const current = await this.#needs.states.get(room, draft.head.root, proposal.type, proposal.stateKey)
    if (!current || current.event.sender !== proposal.sender) return undefined
    return sameContent(current.event, proposal) ? current : undefined
  }

  async #append(room: Room, draft: Draft, proposal: Proposal): Promise<StoredEvent> {
    const { head } = draft
    const { built, auth } = await this.#buildOn(room, draft, proposal)
    const event = new StoredEvent(room, built.event, built.json, {
      nid: this.#needs.numbers.next(), streamOrdering: undefined, stateRoot: head.root, roomRoot: undefined, rejected: false, softFailed: false,
    })
    await this.#redaction(room, draft, event, auth)
    this.#needs.events.pin(event)
    draft.events.push(event)
    draft.authEvents.push([...auth.values()])
    const after = await this.#rootWith(room, draft, event)
    const { eventId, depth } = event.event
    draft.head = { lineage: head.lineage, extremities: [{ nid: event.nid, eventId, depth, root: after }], root: after, nodes: new Map() }
    return event
  }

  /** Builds an event on the head of a draft and has it signed. @throws M_FORBIDDEN where the auth rules or the room's policy server refuse it */
  async #buildOn(room: Room, draft: Draft, proposal: Proposal): Promise<{ built: BuiltEvent; auth: ReadonlyMap<string, StoredEvent> }> {
    const { signer, clock, randomId } = this.#needs
    const { place, auth } = await this.#placeOn(room, draft, proposal)
    const eventId = room.version.eventIds === 'field' ? { eventId: `$${randomId()}:${signer.serverName}` as EventId } : {}
    const built = buildEvent(room.version, { ...proposal, roomId: room.id, originServerTs: proposal.originServerTs ?? clock.now(), ...eventId }, place, signer)
    assertAllowed(room, built.event, auth)
    return { built: await this.#needs.policy.signed(room, draft.head.root, built), auth }
  }

  /** Where in the graph an event stands that is built on the head of a draft, and the events that authorise it. */
  async #placeOn(room: Room, draft: Draft, proposal: Proposal): Promise<{ place: EventPlace; auth: ReadonlyMap<string, StoredEvent> }> {
    const { head } = draft
    const { named, state } = await this.#authState(room, head.root, proposal)
    const previous = head.extremities.map((extremity) => extremity.eventId)
    const place = {
      depth: Math.min(maxDepth, Math.max(0, ...head.extremities.map((extremity) => extremity.depth)) + 1),
      prevEventIds: previous,
      authEventIds: named.map((event) => event.event.eventId),
      ...(room.version.eventIds === 'field' ? { referenceHashes: await this.#referenceHashes(room, draft, previous, named) } : {}),
    }
    return { place, auth: state }
  }

  /** Hashes of the events that an event of room versions 1 and 2 names. */
  async #referenceHashes(room: Room, draft: Draft, previous: readonly EventId[], auth: readonly StoredEvent[]): Promise<Map<EventId, string>> {
    const unbuilt = previous.filter((eventId) => !draft.events.some((event) => event.event.eventId === eventId))
    const named = [...auth, ...draft.events, ...(await this.#needs.events.byIds(room, unbuilt))]
    return new Map(named.map(({ event }) => [event.eventId, referenceHash(room.version, event.pdu)]))
  }

  async #rootWith(room: Room, draft: Draft, event: StoredEvent): Promise<number> {
    const { type, stateKey } = event.event
    if (stateKey === undefined) return draft.head.root
    const root = await this.#needs.states.with(room, draft.head.root, { type, stateKey, eventNid: event.nid }, draft.nodes)
    this.#needs.states.pin(draft.nodes)
    return root
  }

  /** The events that authorise a proposal: those it must name, and with them the create event that room version 12 implies. */
  async #authState(room: Room, root: number, proposal: Proposal): Promise<{ named: StoredEvent[]; state: Map<string, StoredEvent> }> {
    const state = new Map<string, StoredEvent>()
    const named: StoredEvent[] = []
    for (const [type, stateKey] of authTypesFor(room.version, { ...proposal, stateKey: proposal.stateKey })) {
      const event = await this.#needs.states.get(room, root, type, stateKey)
      if (!event) continue
      named.push(event)
      state.set(`${type}\0${stateKey}`, event)
    }
    if (room.version.roomIdIsCreateHash) {
      const create = await this.#needs.states.get(room, root, 'm.room.create', '')
      if (create) state.set('m.room.create\0', create)
    }
    return { named, state }
  }

  async #redaction(room: Room, draft: Draft, event: StoredEvent, auth: ReadonlyMap<string, StoredEvent>): Promise<void> {
    const { redacts, type } = event.event
    if (type !== 'm.room.redaction' || redacts === undefined) return
    const target = draft.events.find((other) => other.event.eventId === redacts) ?? (await this.#needs.events.get(room, redacts))
    if (!target || target.event.type === 'm.room.create') return
    const verdict = checkRedaction(room.version, event.event, target.event, (key, stateKey) => auth.get(`${key}\0${stateKey}`)?.event)
    if (!verdict.allowed) throw new MatrixError(403, 'M_FORBIDDEN', verdict.reason)
    draft.redactions.push({ redaction: event, target })
  }
}

/** The branches of a room, the longest first. */
function longest({ extremities }: Head): Extremity[] {
  return [...extremities].sort((a, b) => b.depth - a.depth)
}

/** The branches that an event cannot name. */
function restOf(head: Head): readonly Extremity[] {
  return head.extremities.length <= maxPrevEvents ? [] : longest(head).slice(maxPrevEvents)
}

/** @throws M_FORBIDDEN */
function assertAllowed(room: Room, event: RoomEvent, auth: ReadonlyMap<string, StoredEvent>): void {
  const verdict = checkAuth(room.version, event, (type, stateKey) => auth.get(`${type}\0${stateKey}`)?.event)
  if (!verdict.allowed) throw refuse('M_FORBIDDEN', verdict.reason)
}

function sameContent(event: RoomEvent, proposal: Proposal): boolean {
  return canonicalJson(event.content) === canonicalJson(proposal.content)
}
