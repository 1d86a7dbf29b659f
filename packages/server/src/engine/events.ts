/** Reading stored events. An event id names nothing by itself: every look-up by id takes the room as well. */
import type { EventId } from '@myelin/protocol/ids/ids.ts'
import type { Cache, CacheBudget } from '#platform/cache/cache.ts'
import type { Entry, Stream } from '#platform/streams/stream.ts'
import type { Database } from '#platform/db/database.ts'
import { EventsStore, type EventRow, type PageQuery } from './events.store.ts'
import { readStoredPdu } from './read-pdu.ts'
import { redactedEvent } from './redacted-event.ts'
import type { Room } from './room.ts'
import type { Rooms } from './rooms.ts'
import { StoredEvent, type EventPlace, type EventsRow } from './stored-event.ts'

/** So far back the stream's memory is searched instead of the table. */
const ringReach = 300

export class Events {
  readonly #store: EventsStore
  readonly #rooms: Rooms
  readonly #stream: Stream<EventsRow>
  readonly #byNid: Cache<number, StoredEvent>
  readonly #nids: Cache<string, number>
  /** Events that are not committed yet and must not be lost to the cache's budget. */
  readonly #pinned = new Map<number, StoredEvent>()
  readonly #pinnedIds = new Map<EventId, StoredEvent>()

  constructor(needs: { readonly database: Database; readonly caches: CacheBudget; readonly rooms: Rooms; readonly stream: Stream<EventsRow> }) {
    this.#stream = needs.stream
    this.#store = new EventsStore(needs.database)
    this.#rooms = needs.rooms
    this.#byNid = needs.caches.cache('events', (event) => event.json.length * 3 + 600)
    this.#nids = needs.caches.cache('event_nids', () => 100)
  }

  /** The store, for the persister alone. */
  get store(): EventsStore {
    return this.#store
  }

  /** An event of a room, or undefined where the room has no such event (rejected ones included in what is found). */
  async get(room: Room, eventId: string): Promise<StoredEvent | undefined> {
    const nid = this.#nids.get(eventId)
    const cached = nid === undefined ? undefined : this.#byNid.get(nid)
    if (cached) return cached.room.nid === room.nid ? cached : undefined
    if (eventId.includes('\0')) return undefined
    const row = await this.#store.byId(eventId)
    if (!row || row.room_nid !== room.nid) return undefined
    return (await this.#fromRows([row]))[0]
  }

  /** The room of an event id, for endpoints that name events alone. */
  async roomOf(eventId: EventId): Promise<Room | undefined> {
    const nid = this.#nids.get(eventId)
    const cached = nid === undefined ? undefined : this.#byNid.get(nid)
    if (cached || eventId.includes('\0')) return cached?.room
    const row = await this.#store.byId(eventId)
    return row && this.#rooms.byNid(row.room_nid)
  }

  /** Events of a room by id; unknown ones are left out. */
  async byIds(room: Room, eventIds: readonly EventId[]): Promise<StoredEvent[]> {
    const found = await Promise.all(eventIds.map((eventId) => this.get(room, eventId)))
    return found.filter((event) => event !== undefined)
  }

  /** As `byIds`, also those that are being committed: for the engine, which builds on them already. */
  async known(room: Room, eventIds: readonly EventId[]): Promise<StoredEvent[]> {
    const pending = eventIds.map((eventId) => this.#pinnedIds.get(eventId)).filter((event) => event?.room.nid === room.nid).filter((event) => event !== undefined)
    const ids = new Set(pending.map(({ event }) => event.eventId))
    return [...pending, ...(await this.byIds(room, eventIds.filter((eventId) => !ids.has(eventId))))]
  }

  /** Events by number. */
  async byNids(nids: readonly number[]): Promise<Map<number, StoredEvent>> {
    const found = new Map<number, StoredEvent>()
    const missing: number[] = []
    for (const nid of nids) {
      const event = this.#byNid.get(nid) ?? this.#pinned.get(nid)
      if (event) found.set(nid, event)
      else missing.push(nid)
    }
    if (missing.length > 0) for (const event of await this.#fromRows(await this.#store.byNids(missing))) found.set(event.nid, event)
    return found
  }

  /** One event by number. */
  async byNid(nid: number): Promise<StoredEvent | undefined> {
    return this.#byNid.get(nid) ?? this.#pinned.get(nid) ?? (await this.byNids([nid])).get(nid)
  }

  /** A page of a room's history in the order of its direction; visibility is the caller's. */
  async page(query: PageQuery): Promise<StoredEvent[]> {
    return this.#inOrder(await this.#store.page(query))
  }

  /** The newest events of a room with `after < position <= upTo`, oldest first; visibility is the caller's. */
  async roomTail(room: Room, after: number, upTo: number, limit: number): Promise<StoredEvent[]> {
    const recent = this.#stream.position - after <= ringReach ? this.#stream.since(after) : undefined
    if (recent) return this.#recentOf(room, recent, upTo, limit)
    const nids = await this.#store.roomTail(room.nid, after, upTo, limit)
    return this.#inOrder(nids.reverse())
  }

  /** Events of all rooms after a place of the stream, oldest first. */
  async streamAfter(after: number, upTo: number, limit: number): Promise<StoredEvent[]> {
    return this.#fromRows(await this.#store.streamAfter(after, upTo, limit))
  }

  /** Events at places of the stream, by place. */
  async byPlaces(places: readonly number[]): Promise<Map<number, StoredEvent>> {
    const events = places.length === 0 ? [] : await this.#fromRows(await this.#store.byPlaces(places))
    return new Map(events.map((event) => [event.streamOrdering ?? 0, event]))
  }

  /** Events of a room nearest to a time, nearest first; visibility is the caller's. */
  async nearest(room: Room, ts: number, direction: 'forward' | 'backward', limit: number): Promise<StoredEvent[]> {
    return this.#fromRows(await this.#store.nearest(room.nid, ts, direction, limit))
  }

  /** Keeps an event that is committed. */
  keep(event: StoredEvent): void {
    this.#byNid.set(event.nid, event)
    this.#nids.set(event.event.eventId, event.nid)
  }

  /** Holds an event that is about to be committed, until `settled`; it can be found by number only. */
  pin(event: StoredEvent): void {
    this.#pinned.set(event.nid, event)
    this.#pinnedIds.set(event.event.eventId, event)
  }

  /** The event was committed or never will be. */
  settled(event: StoredEvent, committed: boolean): void {
    this.#pinned.delete(event.nid)
    if (this.#pinnedIds.get(event.event.eventId) === event) this.#pinnedIds.delete(event.event.eventId)
    if (committed) this.keep(event)
  }

  /** A redacted event as it lies in the database, with the redaction that was applied to it. */
  async original(event: StoredEvent): Promise<StoredEvent | undefined> {
    const [row] = await this.#store.byNids([event.nid])
    return row && new StoredEvent(event.room, readStoredPdu(event.room, row.event_id, row.json), row.json, event, event.redactedBecause)
  }

  /** Forgets events that were deleted. */
  forget(events: readonly { readonly nid: number; readonly eventId: EventId }[]): void {
    for (const { nid, eventId } of events) {
      this.#byNid.delete(nid)
      this.#nids.delete(eventId)
    }
  }

  /** Events of a room among the newest of the stream, as they are now: a redaction may have come since, or the event was deleted. */
  async #recentOf(room: Room, recent: readonly Entry<EventsRow>[], upTo: number, limit: number): Promise<StoredEvent[]> {
    const own = recent.filter(({ id, row: { event } }) => id <= upTo && event.room.nid === room.nid && !event.rejected && !event.softFailed)
    const current = await this.byNids(own.slice(-limit).map(({ row }) => row.event.nid))
    return own.slice(-limit).map(({ row }) => current.get(row.event.nid)).filter((event) => event !== undefined)
  }

  async #inOrder(nids: readonly number[]): Promise<StoredEvent[]> {
    const events = await this.byNids(nids)
    return nids.map((nid) => events.get(nid)).filter((event) => event !== undefined)
  }

  /** Rows as events, in the same order. */
  async #fromRows(rows: readonly EventRow[]): Promise<StoredEvent[]> {
    const rooms = await this.#rooms.byNids([...new Set(rows.map((row) => row.room_nid))])
    const redactions = rows.map((row) => row.redacted_by_nid).filter((nid) => nid !== null)
    const redactedBy = redactions.length > 0 ? await this.#redactions(redactions) : new Map<number, StoredEvent>()
    const events: StoredEvent[] = []
    for (const row of rows) {
      const cached = this.#byNid.get(row.event_nid)
      const room = rooms.get(row.room_nid)
      if (cached) events.push(cached)
      else if (room) {
        const event = this.#fromRow(row, room, redactedBy)
        this.keep(event)
        events.push(event)
      }
    }
    return events
  }

  #fromRow(row: EventRow, room: Room, redactedBy: ReadonlyMap<number, StoredEvent>): StoredEvent {
    const place: EventPlace = {
      nid: row.event_nid,
      streamOrdering: row.stream_ordering ?? undefined,
      stateRoot: row.state_root ?? undefined,
      roomRoot: row.room_root ?? undefined,
      rejected: row.rejected === 1,
      softFailed: row.soft_failed === 1,
    }
    const event = new StoredEvent(room, readStoredPdu(room, row.event_id, row.json), row.json, place)
    const redaction = row.redacted_by_nid === null ? undefined : redactedBy.get(row.redacted_by_nid)
    return redaction ? redactedEvent(event, redaction) : event
  }

  /** Redactions as they stand alone: a redaction that was itself redacted is read without its redaction, which ends every cycle. */
  async #redactions(nids: readonly number[]): Promise<Map<number, StoredEvent>> {
    const found = new Map<number, StoredEvent>()
    const missing: number[] = []
    for (const nid of nids) {
      const event = this.#byNid.get(nid)
      if (event) found.set(nid, event)
      else missing.push(nid)
    }
    for (const row of missing.length > 0 ? await this.#store.byNids(missing) : []) {
      const room = await this.#rooms.byNid(row.room_nid)
      found.set(row.event_nid, this.#fromRow(row, room, new Map()))
    }
    return found
  }
}
