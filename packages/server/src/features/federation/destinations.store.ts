/** Queries of `destinations`. */
import type { Selectable } from 'kysely'
import type { Database, Tx } from '#platform/db/database.ts'
import { buildersFor, prepare, type Prepared } from '#platform/db/query.ts'
import type { DestinationsTable, Tables } from '#schema/tables.gen.ts'

/** A row of `destinations`: a server that does not answer, and since when. */
export type DestinationRow = Selectable<DestinationsTable>

export class DestinationsStore {
  readonly #database: Database
  readonly #all: Prepared<Record<string, never>, DestinationRow>
  readonly #put: Prepared<DestinationRow, unknown>

  constructor(database: Database) {
    this.#database = database
    const db = buildersFor<Pick<Tables, 'destinations'>>(database.dialect)
    this.#all = prepare('destinations.failing', () => db.selectFrom('destinations').selectAll().where('retry_interval', '>', 0))
    this.#put = prepare('destinations.put', (row) =>
      db.insertInto('destinations').values({ destination: row.destination, failure_ts: row.failure_ts, retry_last_ts: row.retry_last_ts, retry_interval: row.retry_interval })
        .onConflict((conflict) => conflict.column('destination').doUpdateSet((eb) => ({
          failure_ts: eb.ref('excluded.failure_ts'), retry_last_ts: eb.ref('excluded.retry_last_ts'), retry_interval: eb.ref('excluded.retry_interval'),
        }))))
  }

  /** Those that are to be left alone. */
  failing(): Promise<DestinationRow[]> {
    return this.#all.all(this.#database, {})
  }

  async put(tx: Tx, row: DestinationRow): Promise<void> {
    await this.#put.run(tx, row)
  }
}
