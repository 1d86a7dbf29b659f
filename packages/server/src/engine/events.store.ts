/** Queries of `events`, `forward_extremities` and what belongs to them. */
import { sql, type Selectable } from 'kysely'
import type { EventId } from '@myelin/protocol/ids/ids.ts'
import { BulkInsert } from '#platform/db/bulk-insert.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import { anyOf, numbersIn } from '#platform/db/dialect.ts'
import { buildersFor, prepare, type Dialect, type Prepared, type Runner } from '#platform/db/query.ts'
import type { EventsTable, Tables } from '#schema/tables.gen.ts'
import type { Position } from './room-point.ts'
import type { StoredEvent } from './stored-event.ts'

type EventTables = Pick<Tables, 'events' | 'forward_extremities' | 'pending_redactions'>

/** A row of `events`. */
export type EventRow = Selectable<EventsTable>

const columns = [
  ['event_nid', 'BIGINT'], ['room_nid', 'BIGINT'], ['stream_ordering', 'BIGINT'], ['topological_ordering', 'BIGINT'], ['type_nid', 'BIGINT'],
  ['state_key_nid', 'BIGINT'], ['sender_nid', 'BIGINT'], ['origin_server_ts', 'BIGINT'], ['received_ts', 'BIGINT'], ['state_root', 'BIGINT'], ['room_root', 'BIGINT'],
  ['rejected', 'SMALLINT'], ['soft_failed', 'SMALLINT'], ['redacted_by_nid', 'BIGINT'], ['event_id', 'TEXT'], ['json', 'TEXT'],
] as const

/** A page of a room's history. */
export interface PageQuery {
  readonly roomNid: number
  /** The point to begin at; undefined for the end (backward) or the beginning (forward) of the room. */
  readonly from: Position | undefined
  /** The point to end at. */
  readonly to: Position | undefined
  readonly direction: 'forward' | 'backward'
  readonly limit: number
  /** Only events up to this place of the stream exist for the reader. */
  readonly maxStream: number
}

/** Which events of a room are looked through for some types. */
export interface TypeScan {
  readonly roomNid: number
  /** The newest place that is looked at. */
  readonly upTo: number
  readonly limit: number
  readonly typeNids: readonly number[]
}

/** Events that readers see; the words of the partial indexes, so that these serve. */
const isShown = sql<boolean>`rejected = 0 AND soft_failed = 0`

export class EventsStore {
  readonly #database: Database
  readonly #insert = new BulkInsert<EventRow>('events.insert', 'events', columns)
  readonly #insertExtremities = new BulkInsert<{ room_nid: number; event_nid: number; state_root: number }>(
    'events.insertExtremities', 'forward_extremities', [['room_nid', 'BIGINT'], ['event_nid', 'BIGINT'], ['state_root', 'BIGINT']],
  )
  readonly #byNids: Prepared<{ nids: readonly number[] }, EventRow>
  readonly #byId: Prepared<{ eventId: string }, EventRow>
  readonly #byIds: Prepared<{ eventIds: readonly string[] }, EventRow>
  readonly #extremities: Prepared<{ roomNid: number }, { event_nid: number; state_root: number }>
  readonly #deleteExtremities: Prepared<{ roomNid: number }, unknown>
  readonly #place: Prepared<{ nid: number; place: number | null; stateRoot: number | null; roomRoot: number | null; rejected: number; softFailed: number }, unknown>
  readonly #notePendingRedaction: Prepared<{ redacts: EventId; roomNid: number; nid: number }, unknown>
  readonly #pendingRedactions: Prepared<{ roomNid: number; eventId: EventId }, { redaction_nid: number }>
  readonly #setRedacted: Prepared<{ nid: number; by: number }, unknown>
  readonly #roomTail: Prepared<{ roomNid: number; after: number; upTo: number; limit: number }, { event_nid: number }>
  readonly #streamAfter: Prepared<{ after: number; upTo: number; limit: number }, EventRow>
  readonly #lastPlaces: Prepared<{ roomNids: readonly number[] }, { room_nid: number; place: number | null }>
  readonly #lastOfTypes: Prepared<{ roomNids: readonly number[]; limit: number; typeNids: readonly number[] }, { room_nid: number; place: number | null }>
  readonly #scanTypes: Prepared<TypeScan, { place: number | null; oldest: number | null; seen: number }>
  readonly #byPlaces: Prepared<{ places: readonly number[] }, EventRow>
  readonly #nearest: Readonly<Record<'forward' | 'backward', Prepared<{ roomNid: number; ts: number; limit: number }, EventRow>>>

  readonly #pages: Readonly<Record<PageShape, Prepared<PageParams, { event_nid: number }>>>

  constructor(database: Database) {
    this.#database = database
    const db = buildersFor<EventTables>(database.dialect)
    const events = db.selectFrom('events').selectAll()
    const placed = events.where(isShown)
    const placedNids = db.selectFrom('events').select('event_nid').where(isShown)
    this.#byNids = prepare('events.byNids', ({ nids }) => events.where(anyOf(database.dialect, sql.ref('event_nid'), nids)))
    this.#byId = prepare('events.byId', ({ eventId }) => events.where(sql.ref('event_id'), '=', eventId))
    this.#byIds = prepare('events.byIds', ({ eventIds }) => events.where(anyOf(database.dialect, sql.ref('event_id'), eventIds)))
    this.#extremities = prepare('events.extremities', ({ roomNid }) =>
      db.selectFrom('forward_extremities').select(['event_nid', 'state_root']).where('room_nid', '=', roomNid))
    this.#deleteExtremities = prepare('events.deleteExtremities', ({ roomNid }) => db.deleteFrom('forward_extremities').where('room_nid', '=', roomNid))
    this.#place = prepare('events.place', ({ nid, place, stateRoot, roomRoot, rejected, softFailed }) =>
      db.updateTable('events').set({ stream_ordering: place, state_root: stateRoot, room_root: roomRoot, rejected, soft_failed: softFailed }).where('event_nid', '=', nid))
    this.#notePendingRedaction = prepare('events.notePendingRedaction', ({ redacts, roomNid, nid }) =>
      db.insertInto('pending_redactions').values({ redacts, room_nid: roomNid, redaction_nid: nid }).onConflict((conflict) => conflict.doNothing()))
    this.#pendingRedactions = prepare('events.pendingRedactions', ({ roomNid, eventId }) =>
      db.selectFrom('pending_redactions').select('redaction_nid').where('redacts', '=', eventId).where('room_nid', '=', roomNid))
    this.#setRedacted = prepare('events.setRedacted', ({ nid, by }) => db.updateTable('events').set({ redacted_by_nid: by }).where('event_nid', '=', nid))
    this.#roomTail = prepare('events.roomTail', ({ roomNid, after, upTo, limit }) =>
      placedNids.where('room_nid', '=', roomNid).where('stream_ordering', '>', after).where('stream_ordering', '<=', upTo)
        .orderBy('stream_ordering', 'desc').limit(limit))
    this.#streamAfter = prepare('events.streamAfter', ({ after, upTo, limit }) =>
      events.where('stream_ordering', '>', after).where('stream_ordering', '<=', upTo).orderBy('stream_ordering').limit(limit))
    const page = (direction: PageQuery['direction'], hasFrom: boolean, hasTo: boolean) => preparePage(database.dialect, direction, hasFrom, hasTo)
    this.#pages = {
      forward: page('forward', false, false), forwardFrom: page('forward', true, false),
      forwardTo: page('forward', false, true), forwardFromTo: page('forward', true, true),
      backward: page('backward', false, false), backwardFrom: page('backward', true, false),
      backwardTo: page('backward', false, true), backwardFromTo: page('backward', true, true),
    }
    this.#lastPlaces = prepare('events.lastPlaces', ({ roomNids }) =>
      db.selectFrom(numbersIn(database.dialect, roomNids).as('asked')).select(['asked.number as room_nid'])
        .select(sql<number | null>`(SELECT max(stream_ordering) FROM events WHERE room_nid = asked.number AND ${isShown})`.as('place')))
    const isOfTypes = (typeNids: readonly number[]) => anyOf(database.dialect, sql.ref('type_nid'), typeNids)
    this.#lastOfTypes = prepare('events.lastOfTypes', ({ roomNids, limit, typeNids }) =>
      db.selectFrom(numbersIn(database.dialect, roomNids).as('asked')).select(['asked.number as room_nid'])
        .select(sql<number | null>`(SELECT max(stream_ordering) FROM (SELECT stream_ordering, type_nid FROM events
          WHERE room_nid = asked.number AND ${isShown} ORDER BY stream_ordering DESC LIMIT ${limit}) AS newest WHERE ${isOfTypes(typeNids)})`.as('place')))
    this.#scanTypes = prepare('events.scanTypes', ({ roomNid, upTo, limit, typeNids }) =>
      db.selectFrom(placed.clearSelect().select(['stream_ordering', 'type_nid']).where('room_nid', '=', roomNid).where('stream_ordering', '<=', upTo)
        .orderBy('stream_ordering', 'desc').limit(limit).as('newest'))
        .select(({ fn }) => [fn.min<number | null>('stream_ordering').as('oldest'), fn.countAll<number>().as('seen')])
        .select(sql<number | null>`max(CASE WHEN ${isOfTypes(typeNids)} THEN stream_ordering END)`.as('place')))
    this.#byPlaces = prepare('events.byPlaces', ({ places }) => events.where(anyOf(database.dialect, sql.ref('stream_ordering'), places)))
    this.#nearest = {
      forward: prepare('events.nearestAfter', ({ roomNid, ts, limit }) =>
        placed.where('room_nid', '=', roomNid).where('stream_ordering', 'is not', null).where('origin_server_ts', '>=', ts)
          .orderBy('origin_server_ts').orderBy('topological_ordering').limit(limit)),
      backward: prepare('events.nearestBefore', ({ roomNid, ts, limit }) =>
        placed.where('room_nid', '=', roomNid).where('stream_ordering', 'is not', null).where('origin_server_ts', '<=', ts)
          .orderBy('origin_server_ts', 'desc').orderBy('topological_ordering', 'desc').limit(limit)),
    }
  }

  byNids(nids: readonly number[]): Promise<EventRow[]> {
    return this.#byNids.all(this.#database, { nids })
  }

  byId(eventId: string): Promise<EventRow | undefined> {
    return this.#byId.first(this.#database, { eventId })
  }

  byIds(eventIds: readonly string[]): Promise<EventRow[]> {
    return this.#byIds.all(this.#database, { eventIds })
  }

  extremities(roomNid: number): Promise<{ event_nid: number; state_root: number }[]> {
    return this.#extremities.all(this.#database, { roomNid })
  }

  /** Numbers of the newest events of a room in a range of the stream, newest first; read from an index alone. */
  async roomTail(roomNid: number, after: number, upTo: number, limit: number): Promise<number[]> {
    return (await this.#roomTail.all(this.#database, { roomNid, after, upTo, limit })).map((row) => row.event_nid)
  }

  /** Place of the newest event of each room; read from an index alone. */
  lastPlaces(roomNids: readonly number[]): Promise<{ room_nid: number; place: number | null }[]> {
    return this.#lastPlaces.all(this.#database, { roomNids })
  }

  /** Place of the newest event of some types among the `limit` newest of each room. */
  lastOfTypes(roomNids: readonly number[], limit: number, typeNids: readonly number[]): Promise<{ room_nid: number; place: number | null }[]> {
    return this.#lastOfTypes.all(this.#database, { roomNids, limit, typeNids })
  }

  /** As `lastOfTypes`, for a page of one room's events; also how far the page reaches. */
  async scanTypes(scan: TypeScan): Promise<{ place: number | null; oldest: number | null; seen: number }> {
    return (await this.#scanTypes.first(this.#database, scan)) ?? { place: null, oldest: null, seen: 0 }
  }

  /** Events of all rooms after a place of the stream, oldest first. */
  streamAfter(after: number, upTo: number, limit: number): Promise<EventRow[]> {
    return this.#streamAfter.all(this.#database, { after, upTo, limit })
  }

  /** Events at places of the stream, in any order. */
  byPlaces(places: readonly number[]): Promise<EventRow[]> {
    return this.#byPlaces.all(this.#database, { places })
  }

  /** Events of a room nearest to a time, nearest first. */
  nearest(roomNid: number, ts: number, direction: 'forward' | 'backward', limit: number): Promise<EventRow[]> {
    return this.#nearest[direction].all(this.#database, { roomNid, ts, limit })
  }

  /** Numbers of a page of history, in the order of its direction; read from an index alone. */
  async page(query: PageQuery): Promise<number[]> {
    const { direction, from, to, roomNid, maxStream, limit } = query
    const rows = await this.#pages[pageShape(direction, from !== undefined, to !== undefined)].all(this.#database, {
      roomNid, maxStream, limit, fromTopological: from?.topological ?? 0, fromStream: from?.stream ?? 0, toTopological: to?.topological ?? 0, toStream: to?.stream ?? 0,
    })
    return rows.map((row) => row.event_nid)
  }

  async insertEvents(tx: Tx, rows: readonly EventRow[]): Promise<void> {
    await this.#insert.run(tx, rows)
  }

  /** Gives an outlier its place in the timeline. */
  async place(tx: Tx, { event_nid: nid, stream_ordering: place, state_root: stateRoot, room_root: roomRoot, rejected, soft_failed: softFailed }: EventRow): Promise<void> {
    await this.#place.run(tx, { nid, place, stateRoot, roomRoot, rejected, softFailed })
  }

  /** Notes a redaction whose target is not there yet. */
  async notePendingRedaction(tx: Tx, { event: { redacts }, room, nid }: StoredEvent): Promise<void> {
    if (redacts !== undefined) await this.#notePendingRedaction.run(tx, { redacts, roomNid: room.nid, nid })
  }

  /** Redactions of an event that came before it. */
  async pendingRedactions(roomNid: number, eventId: EventId): Promise<number[]> {
    return (await this.#pendingRedactions.all(this.#database, { roomNid, eventId })).map((row) => row.redaction_nid)
  }

  async replaceExtremities(tx: Tx, roomNid: number, extremities: readonly { readonly event_nid: number; readonly state_root: number }[]): Promise<void> {
    await this.#deleteExtremities.run(tx, { roomNid })
    await this.#insertExtremities.run(tx, extremities.map((extremity) => ({ room_nid: roomNid, ...extremity })))
  }

  async setRedacted(tx: Runner, nid: number, by: number): Promise<void> {
    await this.#setRedacted.run(tx, { nid, by })
  }
}

function beside(topological: number, stream: number, comparison: '>' | '<=') {
  return sql<boolean>`(topological_ordering, stream_ordering) ${sql.raw(comparison)} (${topological}, ${stream})`
}

/** Which bounds a page has: each combination is a statement of its own. */
type PageShape = `${'forward' | 'backward'}${'' | 'From'}${'' | 'To'}`

function pageShape(direction: PageQuery['direction'], hasFrom: boolean, hasTo: boolean): PageShape {
  return `${direction}${hasFrom ? 'From' : ''}${hasTo ? 'To' : ''}`
}

interface PageParams {
  readonly roomNid: number
  readonly maxStream: number
  readonly limit: number
  readonly fromTopological: number
  readonly fromStream: number
  readonly toTopological: number
  readonly toStream: number
}

/** The statement of a page of history; it is read from an index alone. */
function preparePage(dialect: Dialect, direction: PageQuery['direction'], hasFrom: boolean, hasTo: boolean): Prepared<PageParams, { event_nid: number }> {
  return prepare(`events.page.${pageShape(direction, hasFrom, hasTo)}`, ({ roomNid, maxStream, limit, fromTopological, fromStream, toTopological, toStream }) => {
    const ascending = direction === 'forward'
    const order = ascending ? 'asc' : 'desc'
    let select = buildersFor<EventTables>(dialect).selectFrom('events').select('event_nid').where(isShown)
      .where('room_nid', '=', roomNid).where('stream_ordering', '<=', maxStream)
    if (hasFrom) select = select.where(beside(fromTopological, fromStream, ascending ? '>' : '<='))
    if (hasTo) select = select.where(beside(toTopological, toStream, ascending ? '<=' : '>'))
    return select.orderBy('topological_ordering', order).orderBy('stream_ordering', order).limit(limit)
  })
}
