/** Queries of `destination_rooms` and `destination_positions`: what each server has to be told, and how far it has been. */
import type { Selectable } from 'kysely'
import { BulkInsert } from '#platform/db/bulk-insert.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import { PagedDelete } from '#platform/db/paged-delete.ts'
import { buildersFor, prepare, type Prepared } from '#platform/db/query.ts'
import type { DestinationRoomsTable, Tables } from '#schema/tables.gen.ts'

type OutboxTables = Pick<Tables, 'destination_rooms' | 'destination_positions'>

/** The newest event of a room that a server is to be told of. */
export type DestinationRoom = Selectable<DestinationRoomsTable>

export class OutboxStore {
  readonly #database: Database
  readonly #put = new BulkInsert<DestinationRoom>('outbox.put', 'destination_rooms', [['destination', 'TEXT'], ['room_nid', 'BIGINT'], ['stream_ordering', 'BIGINT']],
    '(destination, room_nid) DO UPDATE SET stream_ordering = excluded.stream_ordering')
  readonly #deleteRoom = new PagedDelete('outbox.deleteRoom', 'destination_rooms', 'room_nid', ['destination'])
  readonly #sent: Prepared<{ destination: string; place: number }, unknown>
  readonly #position: Prepared<{ destination: string }, { last_successful_stream_ordering: number }>
  readonly #after: Prepared<{ destination: string; place: number; limit: number }, DestinationRoom>
  readonly #behind: Prepared<Record<string, never>, { destination: string }>

  constructor(database: Database) {
    this.#database = database
    const db = buildersFor<OutboxTables>(database.dialect)
    this.#sent = prepare('outbox.sent', ({ destination, place }) =>
      db.insertInto('destination_positions').values({ destination, last_successful_stream_ordering: place })
        .onConflict((conflict) => conflict.column('destination').doUpdateSet((eb) => ({ last_successful_stream_ordering: eb.ref('excluded.last_successful_stream_ordering') }))))
    this.#position = prepare('outbox.position', ({ destination }) =>
      db.selectFrom('destination_positions').select('last_successful_stream_ordering').where('destination', '=', destination))
    this.#after = prepare('outbox.after', ({ destination, place, limit }) =>
      db.selectFrom('destination_rooms').selectAll().where('destination', '=', destination).where('stream_ordering', '>', place).orderBy('stream_ordering').limit(limit))
    this.#behind = prepare('outbox.behind', () =>
      db.selectFrom('destination_rooms').leftJoin('destination_positions', 'destination_positions.destination', 'destination_rooms.destination')
        .select('destination_rooms.destination').distinct()
        .where((eb) => eb('destination_rooms.stream_ordering', '>', eb.fn.coalesce('destination_positions.last_successful_stream_ordering', eb.lit(0)))))
  }

  /** Notes the newest event of each room that servers are to be told of. */
  async put(tx: Tx, rows: readonly DestinationRoom[]): Promise<void> {
    await this.#put.run(tx, rows)
  }

  /** Deletes at most `limit` rows of a room. @returns whether there may be more */
  async deleteRoom(tx: Tx, roomNid: number, limit: number): Promise<boolean> {
    return (await this.#deleteRoom.run(tx, roomNid, limit)).length === limit
  }

  /** Notes up to which event a server has been told. */
  async sent(tx: Tx, destination: string, place: number): Promise<void> {
    await this.#sent.run(tx, { destination, place })
  }

  /** Place of the newest event that a server has been told of. */
  async position(destination: string): Promise<number> {
    return (await this.#position.first(this.#database, { destination }))?.last_successful_stream_ordering ?? 0
  }

  /** Newest events of rooms that a server has not been told of, oldest first. */
  after(destination: string, place: number, limit: number): Promise<DestinationRoom[]> {
    return this.#after.all(this.#database, { destination, place, limit })
  }

  /** Servers that have not been told of everything. */
  async behind(): Promise<string[]> {
    return (await this.#behind.all(this.#database, {})).map((row) => row.destination)
  }
}
