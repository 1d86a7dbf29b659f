/** Queries of `room_purges`, and those that take a whole room out of the engine's tables. */
import { sql } from 'kysely'
import type { EventId } from '@myelin/protocol/ids/ids.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import { buildersFor, prepare, type Prepared } from '#platform/db/query.ts'
import type { Tables } from '#schema/tables.gen.ts'

/** An event of a room that is deleted. */
export interface LastEvent {
  readonly event_nid: number
  readonly event_id: EventId
  readonly stream_ordering: number | null
  readonly state_root: number | null
  readonly room_root: number | null
}

export class RoomPurgingStore {
  readonly #database: Database
  readonly #begin: Prepared<{ roomNid: number; ts: number }, unknown>
  readonly #begun: Prepared<Record<string, never>, { room_nid: number }>
  readonly #events: Prepared<{ roomNid: number; limit: number }, LastEvent>
  readonly #end: readonly Prepared<{ roomNid: number }, unknown>[]

  constructor(database: Database) {
    this.#database = database
    const db = buildersFor<Pick<Tables, 'room_purges' | 'events' | 'forward_extremities' | 'rooms'>>(database.dialect)
    this.#begin = prepare('roomPurging.begin', ({ roomNid, ts }) => db.insertInto('room_purges').values({ room_nid: roomNid, begun_ts: ts }))
    this.#begun = prepare('roomPurging.begun', () => db.selectFrom('room_purges').select('room_nid').orderBy('room_nid'))
    this.#events = prepare('roomPurging.events', ({ roomNid, limit }) =>
      db.selectFrom('events').select(['event_nid', sql<EventId>`event_id`.as('event_id'), 'stream_ordering', 'state_root', 'room_root'])
        .where('room_nid', '=', roomNid).limit(limit))
    this.#end = [
      prepare('roomPurging.endExtremities', ({ roomNid }) => db.deleteFrom('forward_extremities').where('room_nid', '=', roomNid)),
      prepare('roomPurging.endRoom', ({ roomNid }) => db.deleteFrom('rooms').where('room_nid', '=', roomNid)),
      prepare('roomPurging.end', ({ roomNid }) => db.deleteFrom('room_purges').where('room_nid', '=', roomNid)),
    ]
  }

  async begin(tx: Tx, roomNid: number, ts: number): Promise<void> {
    await this.#begin.run(tx, { roomNid, ts })
  }

  /** Rooms that are not gone entirely. */
  async begun(): Promise<number[]> {
    return (await this.#begun.all(this.#database, {})).map((row) => row.room_nid)
  }

  /** Some events that are left of a room. */
  events(roomNid: number, limit: number): Promise<LastEvent[]> {
    return this.#events.all(this.#database, { roomNid, limit })
  }

  /** Deletes the room itself. */
  async end(tx: Tx, roomNid: number): Promise<void> {
    for (const query of this.#end) await query.run(tx, { roomNid })
  }
}
