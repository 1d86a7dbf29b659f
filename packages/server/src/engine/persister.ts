/**
 * The one door to `events`: everything that waits is committed as one group, takes its place in the stream, and only then is acknowledged.
 */
import type { CacheBudget } from '#platform/cache/cache.ts'
import type { Clock } from '#platform/clock.ts'
import { StorageError, type Database, type Tx } from '#platform/db/database.ts'
import type { Stream } from '#platform/streams/stream.ts'
import { ChainCover, standsInAuthChain, type ChainedEvent } from './chain-cover.ts'
import type { Events } from './events.ts'
import type { EventRow } from './events.store.ts'
import type { HistoryPlaces } from './history-places.ts'
import type { Memberships } from './memberships.ts'
import type { Names } from './names.ts'
import type { RedactionPruning } from './redaction-pruning.ts'
import type { Extremity } from './room-heads.ts'
import type { ChangedEntry, RoomStates } from './room-states.ts'
import type { Room } from './room.ts'
import type { Rooms } from './rooms.ts'
import { redactedEvent } from './redacted-event.ts'
import type { ChangedState, EventsRow, StoredEvent } from './stored-event.ts'
import type { NewNodes } from './trie.ts'

/** Shared by all units that were built on one another; false once one of them failed. */
export interface Lineage {
  valid: boolean
}

/** Events of one room that are committed together or not at all. */
export interface CommitUnit {
  readonly room: Room
  readonly lineage: Lineage
  /** Set when the room itself is new. */
  readonly creation: { readonly creator: string; readonly ts: number } | undefined
  readonly events: readonly StoredEvent[]
  /** For each event, the events it names as authorisation. */
  readonly authEvents: readonly (readonly StoredEvent[])[]
  readonly nodes: NewNodes
  /** The room's branches after the unit; undefined where the unit is history and moves nothing. */
  readonly extremities: readonly Extremity[] | undefined
  /** How the room's state changes; undefined where the unit's state events just take their places. */
  readonly changes: readonly ChangedEntry[] | undefined
  /** Events that are known as ancestors or as state only, each after its auth events. */
  readonly outliers?: readonly Outlier[]
  /** Numbers of events of the unit that were outliers until now. */
  readonly known?: ReadonlySet<number>
  /** Redactions whose target this server does not have yet. */
  readonly pendingRedactions?: readonly StoredEvent[]
  /** The unit is a membership of a room that this server is not in; there is no state for it to change. */
  readonly isOutOfBand?: true
  /** The unit is history: it takes places before all others. */
  readonly isHistory?: true
  /** Redactions in the unit with what they redact. */
  readonly redactions: readonly { readonly redaction: StoredEvent; readonly target: StoredEvent }[]
  /** What else must be atomic with the events. */
  readonly extra: ((tx: Tx) => Promise<void>) | undefined
}

/** An event without a place in the timeline, with the events that it names as authorisation. */
export interface Outlier {
  readonly event: StoredEvent
  readonly authEvents: readonly StoredEvent[]
}

/** A place of a room's current state that has another event, or none, since a commit. */
export interface StateChange {
  readonly room: Room
  readonly type: string
  readonly stateKey: string
  readonly event: StoredEvent | undefined
}

/** Runs inside the commit, for what must be atomic with events of any origin; must be cheap. */
export interface CommitParticipant {
  /**
   * @param events what takes its place in the timeline
   * @param changes how the state of the rooms changes, also by events that are in no timeline: with a join, a whole room comes as state
   */
  commit(tx: Tx, events: readonly StoredEvent[], changes: readonly StateChange[]): Promise<void>
}

interface Waiting {
  readonly unit: CommitUnit
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

interface Needs {
  readonly database: Database
  readonly caches: CacheBudget
  readonly clock: Clock
  readonly names: Names
  readonly rooms: Rooms
  readonly events: Events
  readonly states: RoomStates
  readonly memberships: Memberships
  readonly stream: Stream<EventsRow>
  readonly pruning: Pick<RedactionPruning, 'redacted'>
  /** Places of events that are fetched later: below all that there are. */
  readonly history: HistoryPlaces
}

export class Persister {
  readonly #needs: Needs
  readonly #chainCover: ChainCover
  readonly #participants: CommitParticipant[] = []
  #waiting: Waiting[] = []
  #running = false

  constructor(needs: Needs) {
    this.#needs = needs
    this.#chainCover = new ChainCover(needs)
  }

  /** The auth chain's cover index. */
  get chainCover(): ChainCover {
    return this.#chainCover
  }

  /** Adds what runs inside of every commit of events. */
  addParticipant(participant: CommitParticipant): void {
    this.#participants.push(participant)
  }

  /** Commits a unit; resolves once it is durable. @throws StorageError where the storage failed */
  commit(unit: CommitUnit): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.#needs.states.pin(unit.nodes)
    for (const event of eventsOf(unit)) this.#needs.events.pin(event)
    this.#waiting.push({ unit, resolve, reject })
    this.#schedule()
    return promise
  }

  #schedule(): void {
    if (this.#running) return
    this.#running = true
    setImmediate(() => void this.#drain())
  }

  async #drain(): Promise<void> {
    while (this.#waiting.length > 0) {
      const group = this.#waiting
      this.#waiting = []
      await this.#commitGroup(group)
    }
    this.#running = false
  }

  /** One transaction for all; where that fails for another reason than the storage, each unit alone, so that one cannot fail the others. */
  async #commitGroup(group: readonly Waiting[]): Promise<void> {
    const valid = group.filter((waiting) => waiting.unit.lineage.valid)
    for (const waiting of group) if (!waiting.unit.lineage.valid) this.#fail(waiting, new StorageError('An earlier event of the room could not be stored.'))
    if (valid.length === 0) return
    try {
      await this.#needs.database.transaction((tx) => this.#write(tx, valid.map((waiting) => waiting.unit)))
    } catch (error) {
      if (valid.length === 1 || error instanceof StorageError) for (const waiting of valid) this.#fail(waiting, error)
      else for (const waiting of valid) await this.#commitGroup([waiting])
      return
    }
    for (const waiting of valid) waiting.resolve()
  }

  #fail(waiting: Waiting, error: unknown): void {
    waiting.unit.lineage.valid = false
    this.#needs.states.settled(waiting.unit.nodes, false)
    for (const event of eventsOf(waiting.unit)) this.#needs.events.settled(event, false)
    waiting.reject(error)
  }

  async #write(tx: Tx, units: readonly CommitUnit[]): Promise<void> {
    const { names, rooms, events, states, stream, clock } = this.#needs
    const now = clock.now()
    const all = units.flatMap((unit) => unit.events)
    const history = units.filter((unit) => unit.isHistory)
    for (const unit of history) for (const event of unit.events) event.place(this.#needs.history.next())
    const changes = new Map<CommitUnit, readonly StateChange[]>()
    for (const unit of units) changes.set(unit, await this.#changesOf(unit))
    for (const unit of units) {
      if (unit.isHistory) continue
      for (const event of unit.events) event.place(stream.append(tx, { event, changed: this.#changedBy(unit, event, changes.get(unit) ?? []) }))
    }
    const outliers = units.flatMap((unit) => unit.outliers ?? [])
    const rows = await Promise.all([...outliers.map(({ event }) => event), ...all].map((event) => this.#row(event, now)))
    const known = new Set(units.flatMap((unit) => [...(unit.known ?? [])]))
    for (const unit of units) {
      if (unit.creation) await rooms.insert(tx, unit.room, await names.intern(unit.creation.creator), unit.creation.ts)
    }
    await names.save(tx)
    await events.store.insertEvents(tx, rows.filter((row) => !known.has(row.event_nid)))
    for (const row of rows) if (known.has(row.event_nid)) await events.store.place(tx, row)
    await this.#writeNodes(tx, units)
    await this.#writeCurrentState(tx, units, rows, changes)
    await this.#chainCover.place(tx, units.flatMap(chained))
    const extremities = new Map(units.flatMap((unit) => (unit.extremities ? [[unit.room.nid, unit.extremities] as const] : [])))
    for (const [roomNid, after] of extremities) await events.store.replaceExtremities(tx, roomNid, after.map(({ nid, root }) => ({ event_nid: nid, state_root: root })))
    for (const redaction of units.flatMap((unit) => unit.pendingRedactions ?? [])) await events.store.notePendingRedaction(tx, redaction)
    for (const { redaction, target } of units.flatMap((unit) => unit.redactions)) await events.store.setRedacted(tx, target.nid, redaction.nid)
    await this.#needs.pruning.redacted(tx, units.flatMap((unit) => unit.redactions).map(({ target }) => target))
    const changed = [...changes.values()].flat()
    for (const participant of this.#participants) await participant.commit(tx, all, changed)
    for (const unit of units) await unit.extra?.(tx)
    tx.afterCommit(() => this.#committed(units, states))
  }

  #committed(units: readonly CommitUnit[], states: RoomStates): void {
    for (const unit of units) {
      states.settled(unit.nodes, true)
      for (const event of eventsOf(unit)) this.#needs.events.settled(event, true)
      for (const { redaction, target } of unit.redactions) this.#needs.events.keep(redactedEvent(target, redaction))
    }
  }

  async #row(event: StoredEvent, now: number): Promise<EventRow> {
    const { names } = this.#needs
    const { type, stateKey, sender, depth, originServerTs, eventId } = event.event
    return {
      event_nid: event.nid,
      room_nid: event.room.nid,
      stream_ordering: event.streamOrdering ?? null,
      topological_ordering: depth,
      type_nid: await names.intern(type),
      state_key_nid: stateKey === undefined ? null : await names.intern(stateKey),
      sender_nid: await names.intern(sender),
      origin_server_ts: originServerTs,
      received_ts: now,
      state_root: event.stateRoot ?? null,
      room_root: event.roomRoot ?? null,
      rejected: event.rejected ? 1 : 0,
      soft_failed: event.softFailed ? 1 : 0,
      redacted_by_nid: null,
      event_id: eventId,
      json: event.json,
    }
  }

  async #writeNodes(tx: Tx, units: readonly CommitUnit[]): Promise<void> {
    const rows = new Map<number, { node_id: number; room_nid: number; content: Uint8Array }>()
    for (const unit of units) for (const [id, { content }] of unit.nodes) rows.set(id, { node_id: id, room_nid: unit.room.nid, content })
    await this.#needs.states.store.insertNodes(tx, [...rows.values()])
  }

  /** State events take their places; where a unit says how the state changes, that counts. */
  async #writeCurrentState(tx: Tx, units: readonly CommitUnit[], rows: readonly EventRow[], changes: ReadonlyMap<CommitUnit, readonly StateChange[]>): Promise<void> {
    const plain = units.filter((unit) => unit.changes === undefined && !unit.isHistory && !unit.isOutOfBand).flatMap((unit) => unit.events).filter((event) => !event.rejected)
    const nids = new Set(plain.map((event) => event.nid))
    const current = new Map<string, { room_nid: number; type_nid: number; state_key_nid: number; event_nid: number }>()
    for (const { room_nid, type_nid, state_key_nid, event_nid } of rows) {
      if (state_key_nid !== null && nids.has(event_nid)) current.set(`${room_nid} ${type_nid} ${state_key_nid}`, { room_nid, type_nid, state_key_nid, event_nid })
    }
    await this.#needs.states.store.setCurrent(tx, [...current.values()])
    const outOfBand = units.filter((unit) => unit.isOutOfBand).flatMap((unit) => unit.events)
    await this.#needs.memberships.write(tx, [...plain, ...outOfBand].filter(({ event }) => event.type === 'm.room.member'), 0)
    for (const unit of units) if (unit.changes) await this.#writeChanges(tx, unit, unit.changes, changes.get(unit) ?? [])
  }

  async #writeChanges(tx: Tx, { room, events }: CommitUnit, entries: readonly ChangedEntry[], changes: readonly StateChange[]): Promise<void> {
    const { memberships, states } = this.#needs
    const set = entries.flatMap(({ typeNid, stateKeyNid, eventNid }) => (eventNid === undefined ? [] : [{ room_nid: room.nid, type_nid: typeNid, state_key_nid: stateKeyNid, event_nid: eventNid }]))
    await states.store.setCurrent(tx, set)
    const members = changes.filter(({ type }) => type === 'm.room.member')
    await memberships.write(tx, members.map(({ event }) => event).filter((event) => event !== undefined), Math.max(0, ...events.map((event) => event.streamOrdering ?? 0)))
    for (const { typeNid, stateKeyNid, eventNid } of entries) if (eventNid === undefined) await states.store.unsetCurrent(tx, room.nid, typeNid, stateKeyNid)
    for (const { event, stateKey } of members) if (event === undefined) await memberships.remove(tx, room, stateKey)
  }

  /** How a unit changes the current state of its room, or the memberships of one that this server is not in. */
  async #changesOf({ room, events, changes, isHistory }: CommitUnit): Promise<StateChange[]> {
    if (isHistory) return []
    if (changes === undefined) {
      return events.flatMap((event): StateChange[] => {
        const { type, stateKey } = event.event
        return stateKey === undefined || event.rejected ? [] : [{ room, type, stateKey, event }]
      })
    }
    const removed = changes.filter(({ eventNid }) => eventNid === undefined)
    const strings = await this.#needs.names.strings(removed.flatMap(({ typeNid, stateKeyNid }) => [typeNid, stateKeyNid]))
    const found = await this.#needs.events.byNids(changes.flatMap(({ eventNid }) => eventNid ?? []))
    return changes.map(({ typeNid, stateKeyNid, eventNid }) => {
      if (eventNid === undefined) return { room, type: strings.get(typeNid) ?? '', stateKey: strings.get(stateKeyNid) ?? '', event: undefined }
      const event = found.get(eventNid)
      if (event?.event.stateKey === undefined) throw new Error(`The state of room number ${room.nid} names event number ${eventNid}, which is no state event`)
      return { room, type: event.event.type, stateKey: event.event.stateKey, event }
    })
  }

  /** What of the state the readers of the stream are told with an event: where a unit says how the state changes, with its last one. */
  #changedBy(unit: CommitUnit, event: StoredEvent, changes: readonly StateChange[]): ChangedState {
    const own = unit.changes === undefined ? changes.filter((change) => change.event === event) : unit.events.at(-1) === event ? changes : []
    if (own.length === 0) return unchanged
    const localMembers = own.filter(({ type, stateKey }) => type === 'm.room.member' && this.#needs.memberships.isLocal(stateKey)).map(({ stateKey }) => stateKey)
    return { types: new Set(own.map(({ type }) => type)), localMembers }
  }
}

const unchanged: ChangedState = { types: new Set(), localMembers: [] }

/** The events of a unit that stand in auth chains. */
function chained(unit: CommitUnit): ChainedEvent[] {
  const placed = unit.isOutOfBand ? [] : unit.events.map((event, index) => ({ event, authEvents: unit.authEvents[index] ?? [] }))
  return [...(unit.outliers ?? []), ...placed].flatMap(({ event, authEvents }) => {
    const { type, stateKey } = event.event
    if (stateKey === undefined || !standsInAuthChain(type)) return []
    return [{ nid: event.nid, type, stateKey, isKnown: unit.known?.has(event.nid) === true, authEvents: authEvents.map((auth) => ({ nid: auth.nid, type: auth.event.type, stateKey: auth.event.stateKey ?? '' })) }]
  })
}

/** All events of a unit. */
function eventsOf(unit: CommitUnit): StoredEvent[] {
  return [...(unit.outliers ?? []).map(({ event }) => event), ...unit.events]
}
