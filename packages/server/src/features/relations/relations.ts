/**
 * Relations between events: recorded with the events, checked when events are sent, listed for clients.
 *
 * Spec: client-server API, "Forming relationships between events", "Relationships API", "Threading", "Event annotations and reactions".
 */
import { MatrixError, refuse } from '@myelin/protocol/errors.ts'
import type { RelatedBy } from '@myelin/protocol/filters/event-filter.ts'
import type { EventId, RoomId, UserId } from '@myelin/protocol/ids/ids.ts'
import type { JsonObject } from '@myelin/protocol/json/json.ts'
import type { ClientEvents } from '#engine/client-events.ts'
import type { Events } from '#engine/events.ts'
import type { Position } from '#engine/room-point.ts'
import type { Memberships } from '#engine/memberships.ts'
import type { Names } from '#engine/names.ts'
import type { PurgedEvent, PurgeParticipant } from '#engine/history-purging.ts'
import type { CommitParticipant } from '#engine/persister.ts'
import { formatRoomPoint, parseRoomPoint, pointAfter, pointBefore, requireRoomPoint } from '#engine/room-point.ts'
import type { RoomPurgeParticipant } from '#engine/room-purging.ts'
import type { Room } from '#engine/room.ts'
import type { Rooms } from '#engine/rooms.ts'
import type { StoredEvent } from '#engine/stored-event.ts'
import type { Visibility, VisibleEvent } from '#engine/visibility.ts'
import type { CacheBudget } from '#platform/cache/cache.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import type { Requester } from '#platform/http/requester.ts'
import { Aggregations, type IgnoredUsers } from './aggregations.ts'
import { ChildrenCache, replacementKey } from './children.ts'
import { relationOf, relationTypeOf, type Relation } from './relation.ts'
import { RelationsStore } from './relations.store.ts'

interface Needs {
  readonly database: Database
  readonly caches: CacheBudget
  readonly names: Names
  readonly rooms: Rooms
  readonly events: Events
  readonly memberships: Memberships
  readonly visibility: Visibility
  readonly clientEvents: ClientEvents
  readonly ignoredUsers: IgnoredUsers
  /** Place in the events stream of a token of `/sync`, or undefined where the text is none. */
  readonly syncPosition: (token: string) => number | undefined
  /** The persisted position of the events stream. */
  readonly position: () => number
}

/** A request for the children of an event. */
export interface RelationsRequest {
  readonly relationType: string | undefined
  readonly eventType: string | undefined
  readonly from: string | undefined
  readonly to: string | undefined
  readonly direction: 'forward' | 'backward'
  readonly limit: number
  readonly recurse: boolean
}

/** A page of children; events are JSON texts. */
export interface RelationsPage {
  readonly chunk: readonly string[]
  readonly nextBatch: string | undefined
  readonly prevBatch: string | undefined
  /** How many levels of relations were followed, where that was asked for. */
  readonly recursionDepth: number | undefined
}

const maxLimit = 1000
const recursionDepth = 3
/** Pages that one request reads before it gives a token back, however little was visible. */
const maxRounds = 20

export class Relations implements CommitParticipant, PurgeParticipant, RoomPurgeParticipant {
  readonly #needs: Needs
  readonly #store: RelationsStore
  readonly children: ChildrenCache
  /** The source of `m.relations` in `unsigned`. */
  readonly aggregations: Aggregations

  constructor(needs: Needs) {
    this.#needs = needs
    this.#store = new RelationsStore(needs.database)
    this.children = new ChildrenCache({ store: this.#store, names: needs.names, caches: needs.caches })
    this.aggregations = new Aggregations({ ...needs, children: this.children })
  }

  /** The store, for this slice alone. */
  get store(): RelationsStore {
    return this.#store
  }

  /** Records the relations of events in the transaction that stores them. */
  async commit(tx: Tx, events: readonly StoredEvent[]): Promise<void> {
    const related: { event: StoredEvent; relation: Relation }[] = []
    for (const event of events) {
      if (event.rejected || event.softFailed || event.redactedBecause) continue
      const relation = relationOf(event.event)
      if (relation && relation.relatesTo !== event.event.eventId) related.push({ event, relation })
    }
    if (related.length > 0) await this.#record(tx, related)
    const redacted = events.flatMap(({ event }) => (event.redacts === undefined || event.redacts.includes('\0') ? [] : [event.redacts]))
    if (redacted.length === 0) return
    const parents = await this.#store.parentsOf(tx, redacted)
    tx.afterCommit(() => {
      for (const parent of parents) this.children.removed(parent.room_nid, parent.relates_to)
    })
  }

  /** Forgets relations of events that are deleted, and threads below them. */
  async purged(tx: Tx, room: Room, events: readonly PurgedEvent[]): Promise<void> {
    const ids = events.map((event) => event.eventId)
    const parents = await this.#store.parentsOf(tx, ids)
    await this.#store.purge(tx, room.nid, events.map((event) => event.nid), ids)
    tx.afterCommit(() => {
      for (const parent of new Set([...ids, ...parents.map((row) => row.relates_to)])) this.children.removed(room.nid, parent)
    })
  }

  /** Deletes threads whose roots this server never had. */
  roomPurged(tx: Tx, room: Room, limit: number): Promise<boolean> {
    return this.#store.deleteRoom(tx, room.nid, limit)
  }

  /** Whether a user may send an event with this content. @throws M_DUPLICATE_ANNOTATION, M_UNKNOWN (400) */
  async assertMaySend(room: Room, sender: UserId, type: string, content: JsonObject): Promise<void> {
    const relation = relationOf({ type, stateKey: undefined, content })
    if (!relation) return
    if (relation.type === 'm.annotation') await this.#assertNotAnnotated(room, sender, type, relation)
    if (relation.type === 'm.thread') await this.#assertThreadRoot(room, relation)
  }

  async relatedTo(room: Room, eventId: EventId, types: readonly string[]): Promise<readonly StoredEvent[]> {
    const rows = await this.#store.children(room.nid, [eventId])
    const wanted = rows.filter((row) => types.includes('*') || types.includes(row.relation_type))
    return [...(await this.#needs.events.byNids(wanted.map((row) => row.event_nid))).values()]
  }

  /** Reads which senders and relation types relate to the events of a page, for filters. */
  async lookUp(room: Room, events: readonly StoredEvent[]): Promise<(nid: number) => RelatedBy> {
    const nothing: RelatedBy = () => false
    if (events.length === 0 || !(await this.children.hasAny(room.nid))) return () => nothing
    const rows = await this.#store.children(room.nid, events.map(({ event }) => event.eventId))
    const senders = await this.#needs.names.strings(new Set(rows.map((row) => row.sender_nid)))
    const byParent = Map.groupBy(rows, (row) => row.relates_to)
    const byNid = new Map(events.map((event) => [event.nid, byParent.get(event.event.eventId) ?? []]))
    return (nid) => (wantedSenders, wantedTypes) => (byNid.get(nid) ?? []).some((row) =>
      (!wantedSenders || wantedSenders.includes(senders.get(row.sender_nid) ?? '')) && (!wantedTypes || wantedTypes.includes(row.relation_type)))
  }

  /** The most recent valid replacement of each of the events, by event id; of events without one, nothing. */
  async replacements(room: Room, events: readonly StoredEvent[]): Promise<ReadonlyMap<string, StoredEvent>> {
    const children = await this.children.of(room, events.filter((event) => !event.redactedBecause && relationTypeOf(event.event.content) !== 'm.replace'))
    const nids = new Map<string, number>()
    for (const { event } of events) {
      const newest = children.get(event.eventId)?.replacements.get(replacementKey(event.sender, event.type))
      if (newest) nids.set(event.eventId, newest.nid)
    }
    const loaded = nids.size === 0 ? new Map<number, StoredEvent>() : await this.#needs.events.byNids([...nids.values()])
    const found = new Map<string, StoredEvent>()
    for (const [eventId, nid] of nids) {
      const replacement = loaded.get(nid)
      if (replacement) found.set(eventId, replacement)
    }
    return found
  }

  /** The events to which some events relate, also where a redaction has taken that from their content. */
  async parentsOf(room: Room, events: readonly StoredEvent[]): Promise<StoredEvent[]> {
    if (events.length === 0 || !(await this.children.hasAny(room.nid))) return []
    const rows = await this.#store.parentsOf(this.#needs.database, events.map(({ event }) => event.eventId))
    const ids = new Set(rows.filter((row) => row.room_nid === room.nid).map((row) => row.relates_to as EventId))
    return this.#needs.events.byIds(room, [...ids])
  }

  /** A page of the events that relate to an event. @throws M_NOT_FOUND, M_INVALID_PARAM */
  async page(requester: Requester, roomId: RoomId, eventId: EventId, request: RelationsRequest): Promise<RelationsPage> {
    const room = await this.#needs.rooms.get(roomId)
    const parent = room && (await this.#needs.events.get(room, eventId))
    if (!parent || !(await this.#needs.visibility.canSee(requester.userId, parent))) {
      throw refuse('M_NOT_FOUND', 'There is no such event, or you may not see it.')
    }
    const { visible, next } = await this.#read(requester, parent, request)
    return {
      chunk: await this.#needs.clientEvents.format({ userId: requester.userId, deviceId: requester.deviceId }, visible),
      nextBatch: next && formatRoomPoint(next),
      prevBatch: request.from,
      recursionDepth: request.recurse ? recursionDepth : undefined,
    }
  }

  async #read(requester: Requester, parent: StoredEvent, request: RelationsRequest): Promise<{ visible: VisibleEvent[]; next: Position | undefined }> {
    const { room } = parent
    const { direction, relationType } = request
    const to = await this.#point(room, request.to)
    const limit = Math.min(maxLimit, Math.max(1, request.limit))
    const typeNid = request.eventType === undefined ? undefined : await this.#needs.names.find(request.eventType)
    const visible: VisibleEvent[] = []
    let point = await this.#point(room, request.from)
    if (request.eventType !== undefined && typeNid === undefined) return { visible, next: undefined }
    const ignored = await this.#needs.ignoredUsers.ignoredBy(requester.userId)
    for (let round = 0; round < maxRounds; round += 1) {
      const size = Math.max(limit - visible.length + 1, 20)
      const nids = await this.#store.page({
        roomNid: room.nid, parentId: parent.event.eventId, relationType, typeNid, from: point, to, direction, limit: size,
        depth: request.recurse ? recursionDepth : 1, maxStream: this.#needs.position(),
      })
      const loaded = await this.#needs.events.byNids(nids)
      const events = nids.flatMap((nid) => loaded.get(nid) ?? []).filter(({ event, isState }) => isState || !ignored.has(event.sender))
      for (const item of await this.#needs.visibility.filter(requester.userId, events)) {
        const last = visible.at(-1)
        if (last && visible.length === limit) return { visible, next: step(last.event, direction) }
        visible.push(item)
      }
      const last = loaded.get(nids.at(-1) ?? 0)
      if (!last || nids.length < size) return { visible, next: undefined }
      point = step(last, direction)
    }
    return { visible, next: point }
  }

  /** The point of a token: of this list, of history, or of `/sync`. */
  async #point(room: Room, token: string | undefined): Promise<Position | undefined> {
    if (token === undefined || token === '') return undefined
    const stream = parseRoomPoint(token) ? undefined : this.#needs.syncPosition(token)
    if (stream === undefined) return requireRoomPoint(token)
    const [last] = (await this.#needs.events.roomTail(room, Number.MIN_SAFE_INTEGER, stream, 1)).slice(-1)
    return last ? pointAfter(last) : { topological: 0, stream: 0 }
  }

  async #record(tx: Tx, related: readonly { event: StoredEvent; relation: Relation }[]): Promise<void> {
    await this.#store.insert(tx, related.map(({ event, relation }) => ({
      event_nid: event.nid, room_nid: event.room.nid, relates_to: relation.relatesTo, relation_type: relation.type, aggregation_key: relation.key ?? null,
    })))
    const threads = new Map<string, { room_nid: number; root_id: string; topological_ordering: number; stream_ordering: number }>()
    for (const { event, relation } of related) {
      if (relation.type !== 'm.thread' || event.streamOrdering === undefined) continue
      const row = { room_nid: event.room.nid, root_id: relation.relatesTo, topological_ordering: event.event.depth, stream_ordering: event.streamOrdering }
      const key = `${row.room_nid} ${row.root_id}`
      const known = threads.get(key)
      const isBehind = known && (known.topological_ordering - row.topological_ordering || known.stream_ordering - row.stream_ordering) > 0
      if (!isBehind) threads.set(key, row)
    }
    await this.#store.advanceThreads(tx, [...threads.values()])
    tx.afterCommit(() => {
      for (const { event, relation } of related) this.children.added(event, relation)
    })
  }

  async #assertNotAnnotated(room: Room, sender: UserId, type: string, relation: Relation): Promise<void> {
    const senderNid = await this.#needs.names.find(sender)
    const typeNid = await this.#needs.names.find(type)
    if (senderNid === undefined || typeNid === undefined || relation.key === undefined) return
    if (await this.#store.hasAnnotation({ roomNid: room.nid, parent: relation.relatesTo, key: relation.key, senderNid, typeNid })) {
      throw refuse('M_DUPLICATE_ANNOTATION', 'You have annotated this event with the same key already.')
    }
  }

  async #assertThreadRoot(room: Room, relation: Relation): Promise<void> {
    const root = await this.#needs.events.get(room, relation.relatesTo)
    if (root && relationTypeOf(root.event.content) !== undefined) {
      throw new MatrixError(400, 'M_UNKNOWN', 'Cannot start threads from an event with a relation; relate to the root of the thread.')
    }
  }
}

function step(event: StoredEvent, direction: 'forward' | 'backward'): Position {
  return direction === 'forward' ? pointAfter(event) : pointBefore(event)
}
