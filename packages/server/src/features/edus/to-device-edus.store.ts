/** Queries of `device_federation_outbox` and `device_federation_inbox`. */
import { BulkInsert } from '#platform/db/bulk-insert.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import { buildersFor, prepare, type Prepared } from '#platform/db/query.ts'
import type { DeviceFederationOutboxTable, Tables } from '#schema/tables.gen.ts'

type EduTables = Pick<Tables, 'device_federation_outbox' | 'device_federation_inbox'>

/** Messages to devices of one server. */
export type OutgoingMessages = DeviceFederationOutboxTable

export class ToDeviceEdusStore {
  readonly #database: Database
  readonly #next: Prepared<{ destination: string; limit: number }, { message_nid: number; content_json: string }>
  readonly #sent: Prepared<{ destination: string; upTo: number }, unknown>
  readonly #waiting: Prepared<Record<string, never>, { destination: string }>
  readonly #remember: Prepared<{ origin: string; messageId: string; ts: number }, { message_id: string }>
  readonly #forget: Prepared<{ before: number }, unknown>
  readonly #insert = new BulkInsert<OutgoingMessages>('toDeviceEdus.insert', 'device_federation_outbox', [['message_nid', 'BIGINT'], ['destination', 'TEXT'], ['content_json', 'TEXT']])

  constructor(database: Database) {
    this.#database = database
    const db = buildersFor<EduTables>(database.dialect)
    this.#next = prepare('toDeviceEdus.next', ({ destination, limit }) =>
      db.selectFrom('device_federation_outbox').select(['message_nid', 'content_json']).where('destination', '=', destination).orderBy('message_nid').limit(limit))
    this.#sent = prepare('toDeviceEdus.sent', ({ destination, upTo }) =>
      db.deleteFrom('device_federation_outbox').where('destination', '=', destination).where('message_nid', '<=', upTo))
    this.#waiting = prepare('toDeviceEdus.waiting', () => db.selectFrom('device_federation_outbox').select('destination').distinct())
    this.#remember = prepare('toDeviceEdus.remember', ({ origin, messageId, ts }) =>
      db.insertInto('device_federation_inbox').values({ origin, message_id: messageId, received_ts: ts }).onConflict((conflict) => conflict.doNothing()).returning('message_id'))
    this.#forget = prepare('toDeviceEdus.forget', ({ before }) => db.deleteFrom('device_federation_inbox').where('received_ts', '<', before))
  }

  /** Highest number of a message that waits. */
  static async last(database: Database): Promise<number> {
    const [row] = await database.rows<{ last: number | null }>('SELECT max(message_nid) AS last FROM device_federation_outbox', [])
    return row?.last ?? 0
  }

  async insert(tx: Tx, rows: readonly OutgoingMessages[]): Promise<void> {
    await this.#insert.run(tx, rows)
  }

  /** The oldest messages that wait for a server. */
  next(destination: string, limit: number): Promise<{ message_nid: number; content_json: string }[]> {
    return this.#next.all(this.#database, { destination, limit })
  }

  /** Deletes messages that were sent. */
  async sent(tx: Tx, destination: string, upTo: number): Promise<void> {
    await this.#sent.run(tx, { destination, upTo })
  }

  /** Servers for which messages wait. */
  async waiting(): Promise<string[]> {
    return (await this.#waiting.all(this.#database, {})).map((row) => row.destination)
  }

  /** Notes a message of another server. @returns false where it was delivered before */
  async remember(tx: Tx, origin: string, messageId: string, ts: number): Promise<boolean> {
    return (await this.#remember.first(tx, { origin, messageId, ts })) !== undefined
  }

  async forget(tx: Tx, before: number): Promise<void> {
    await this.#forget.run(tx, { before })
  }
}
