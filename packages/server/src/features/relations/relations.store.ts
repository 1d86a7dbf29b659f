/** Queries of `event_relations` and `threads`. */
import { sql, type RawBuilder } from 'kysely'
import type { Position } from '#engine/room-point.ts'
import { BulkInsert } from '#platform/db/bulk-insert.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import { anyOf } from '#platform/db/dialect.ts'
import { PagedDelete } from '#platform/db/paged-delete.ts'
import { buildersFor, prepare, run, type Prepared, type Runner } from '#platform/db/query.ts'
import type { EventRelationsTable, Tables, ThreadsTable } from '#schema/tables.gen.ts'

type OwnTables = Pick<Tables, 'event_relations' | 'threads' | 'events'>

/** A child event with what aggregations need of it. */
export interface ChildRow {
  readonly relates_to: string
  readonly relation_type: string
  readonly event_nid: number
  readonly event_id: string
  readonly sender_nid: number
  readonly type_nid: number
  readonly topological_ordering: number
  readonly stream_ordering: number | null
  readonly origin_server_ts: number
}

/** A root event with the place of its thread's latest event. */
export interface ThreadRow {
  readonly event_nid: number
  readonly topological_ordering: number
  readonly stream_ordering: number
}

/** A page of the descendants of an event. */
export interface ChildrenQuery {
  readonly roomNid: number
  readonly parentId: string
  readonly relationType: string | undefined
  readonly typeNid: number | undefined
  readonly from: Position | undefined
  readonly to: Position | undefined
  readonly direction: 'forward' | 'backward'
  readonly limit: number
  readonly depth: number
  readonly maxStream: number
}

export class RelationsStore {
  readonly #database: Database
  readonly #insert = new BulkInsert<EventRelationsTable>(
    'relations.insert', 'event_relations',
    [['event_nid', 'BIGINT'], ['room_nid', 'BIGINT'], ['relates_to', 'TEXT'], ['relation_type', 'TEXT'], ['aggregation_key', 'TEXT']],
    '(event_nid) DO NOTHING',
  )
  readonly #advanceThreads = new BulkInsert<ThreadsTable>(
    'relations.advanceThreads', 'threads',
    [['room_nid', 'BIGINT'], ['root_id', 'TEXT'], ['topological_ordering', 'BIGINT'], ['stream_ordering', 'BIGINT']],
    `(room_nid, root_id) DO UPDATE SET topological_ordering = excluded.topological_ordering, stream_ordering = excluded.stream_ordering
      WHERE (excluded.topological_ordering, excluded.stream_ordering) > (threads.topological_ordering, threads.stream_ordering)`,
  )
  readonly #deleteRoom = new PagedDelete('relations.deleteRoom', 'threads', 'room_nid', ['root_id'])
  readonly #any: Prepared<{ roomNid: number }, { event_nid: number }>
  readonly #children: Prepared<{ roomNid: number; parents: readonly string[] }, ChildRow>
  readonly #annotation: Prepared<{ roomNid: number; parent: string; key: string; senderNid: number; typeNid: number }, { event_nid: number }>
  readonly #parentsOf: Prepared<{ eventIds: readonly string[] }, { room_nid: number; relates_to: string }>
  readonly #deleteRelations: Prepared<{ nids: readonly number[] }, unknown>
  readonly #deleteThreads: Prepared<{ roomNid: number; roots: readonly string[] }, unknown>

  constructor(database: Database) {
    this.#database = database
    const db = buildersFor<OwnTables>(database.dialect)
    const live = db.selectFrom('event_relations').innerJoin('events', 'events.event_nid', 'event_relations.event_nid')
      .where('events.redacted_by_nid', 'is', null).where('events.rejected', '=', 0).where('events.soft_failed', '=', 0)
    this.#any = prepare('relations.any', ({ roomNid }) => db.selectFrom('event_relations').select('event_nid').where('room_nid', '=', roomNid).limit(1))
    this.#children = prepare('relations.children', ({ roomNid, parents }) =>
      live.select(['relates_to', 'relation_type', 'events.event_nid', sql<string>`events.event_id`.as('event_id'), 'sender_nid', 'type_nid',
        'topological_ordering', 'stream_ordering', 'origin_server_ts'])
        .where('event_relations.room_nid', '=', roomNid).where(anyOf(database.dialect, sql.ref('relates_to'), parents))
        .where('events.stream_ordering', 'is not', null))
    this.#annotation = prepare('relations.annotation', ({ roomNid, parent, key, senderNid, typeNid }) =>
      live.select('events.event_nid').where('event_relations.room_nid', '=', roomNid).where('relates_to', '=', parent)
        .where('relation_type', '=', 'm.annotation').where('aggregation_key', '=', key)
        .where('events.sender_nid', '=', senderNid).where('events.type_nid', '=', typeNid).limit(1))
    this.#parentsOf = prepare('relations.parentsOf', ({ eventIds }) =>
      db.selectFrom('event_relations').innerJoin('events', 'events.event_nid', 'event_relations.event_nid')
        .select(['event_relations.room_nid', 'relates_to']).where(anyOf(database.dialect, sql.ref('events.event_id'), eventIds)))
    this.#deleteRelations = prepare('relations.deleteRelations', ({ nids }) => db.deleteFrom('event_relations').where(anyOf(database.dialect, sql.ref('event_nid'), nids)))
    this.#deleteThreads = prepare('relations.deleteThreads', ({ roomNid, roots }) =>
      db.deleteFrom('threads').where('room_nid', '=', roomNid).where(anyOf(database.dialect, sql.ref('root_id'), roots)))
  }

  async insert(tx: Tx, rows: readonly EventRelationsTable[]): Promise<void> {
    await this.#insert.run(tx, rows)
  }

  /** Moves threads up to their newest events; one row for each thread. */
  async advanceThreads(tx: Tx, rows: readonly ThreadsTable[]): Promise<void> {
    await this.#advanceThreads.run(tx, rows)
  }

  async hasAny(roomNid: number): Promise<boolean> {
    return (await this.#any.first(this.#database, { roomNid })) !== undefined
  }

  /** Children of many events that are neither redacted nor rejected. */
  children(roomNid: number, parents: readonly string[]): Promise<ChildRow[]> {
    return this.#children.all(this.#database, { roomNid, parents })
  }

  async hasAnnotation(query: { roomNid: number; parent: string; key: string; senderNid: number; typeNid: number }): Promise<boolean> {
    return (await this.#annotation.first(this.#database, query)) !== undefined
  }

  /** Deletes the relations of events that are deleted, and the threads of which they are the roots. */
  async purge(tx: Tx, roomNid: number, nids: readonly number[], eventIds: readonly string[]): Promise<void> {
    await this.#deleteRelations.run(tx, { nids })
    await this.#deleteThreads.run(tx, { roomNid, roots: eventIds })
  }

  /** Deletes at most `limit` threads of a room. @returns whether there may be more */
  async deleteRoom(tx: Tx, roomNid: number, limit: number): Promise<boolean> {
    return (await this.#deleteRoom.run(tx, roomNid, limit)).length === limit
  }

  /** What events relate to. */
  parentsOf(runner: Runner, eventIds: readonly string[]): Promise<{ room_nid: number; relates_to: string }[]> {
    return this.#parentsOf.all(runner, { eventIds })
  }

  /** Numbers of descendants of an event, in the order of the query's direction. */
  async page(query: ChildrenQuery): Promise<number[]> {
    const ascending = query.direction === 'forward'
    const order = sql.raw(ascending ? 'ASC' : 'DESC')
    const wanted = childCondition(query)
    const from = query.from ? sql`AND ${beside(query.from, ascending ? '>' : '<=')}` : sql``
    const to = query.to ? sql`AND ${beside(query.to, ascending ? '<=' : '>')}` : sql``
    const statement = sql<{ event_nid: number }>`
      WITH RECURSIVE related (event_nid, event_id, depth) AS (
        SELECT e.event_nid, e.event_id, 1 FROM event_relations r JOIN events e ON e.event_nid = r.event_nid
        WHERE r.room_nid = ${query.roomNid} AND r.relates_to = ${query.parentId} AND ${wanted}
        UNION
        SELECT e.event_nid, e.event_id, related.depth + 1 FROM related
        JOIN event_relations r ON r.room_nid = ${query.roomNid} AND r.relates_to = related.event_id
        JOIN events e ON e.event_nid = r.event_nid
        WHERE related.depth < ${sql.raw(String(query.depth))} AND ${wanted}
      )
      SELECT e.event_nid FROM events e WHERE e.event_nid IN (SELECT event_nid FROM related) ${from} ${to}
      ORDER BY e.topological_ordering ${order}, e.stream_ordering ${order} LIMIT ${query.limit}`
    const compiled = statement.compile(buildersFor<OwnTables>(this.#database.dialect))
    return (await this.#database.rows<{ event_nid: number }>(compiled.sql, compiled.parameters)).map((row) => row.event_nid)
  }

  /** Threads of a room whose latest event is before a point, newest first; events that relate to others are no roots. */
  threads(roomNid: number, before: Position | undefined, limit: number): Promise<ThreadRow[]> {
    const db = buildersFor<OwnTables>(this.#database.dialect)
    let select = db.selectFrom('threads')
      .innerJoin('events', (join) => join.on(sql<boolean>`events.event_id = threads.root_id AND events.room_nid = threads.room_nid`))
      .leftJoin('event_relations', 'event_relations.event_nid', 'events.event_nid')
      .select(['events.event_nid', 'threads.topological_ordering', 'threads.stream_ordering'])
      .where('threads.room_nid', '=', roomNid).where('event_relations.event_nid', 'is', null)
      .where('events.rejected', '=', 0).where('events.soft_failed', '=', 0)
    if (before) select = select.where(sql<boolean>`(threads.topological_ordering, threads.stream_ordering) < (${before.topological}, ${before.stream})`)
    return run(this.#database, select.orderBy('threads.topological_ordering', 'desc').orderBy('threads.stream_ordering', 'desc').limit(limit))
  }
}

function beside(position: Position, comparison: '>' | '<='): RawBuilder<boolean> {
  return sql<boolean>`(e.topological_ordering, e.stream_ordering) ${sql.raw(comparison)} (${position.topological}, ${position.stream})`
}

/** Which children count: visible in principle, of the wanted types, and replacements only by the sender and of the type of what they replace. */
function childCondition({ relationType, typeNid, maxStream }: ChildrenQuery): RawBuilder<boolean> {
  const ofRelation = relationType === undefined ? sql`` : sql`AND r.relation_type = ${relationType}`
  const ofType = typeNid === undefined ? sql`` : sql`AND e.type_nid = ${typeNid}`
  return sql<boolean>`e.redacted_by_nid IS NULL AND e.rejected = 0 AND e.soft_failed = 0 AND e.stream_ordering <= ${maxStream} ${ofRelation} ${ofType}
    AND (r.relation_type <> 'm.replace' OR EXISTS (
      SELECT 1 FROM events p WHERE p.event_id = r.relates_to AND p.sender_nid = e.sender_nid AND p.type_nid = e.type_nid))`
}
