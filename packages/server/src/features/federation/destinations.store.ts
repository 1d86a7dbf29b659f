/** Queries of `destinations`. */
import { sql, type Selectable } from 'kysely'
import type { Database, Tx } from '#platform/db/database.ts'
import { buildersFor, prepare, run, runFirst, type Prepared } from '#platform/db/query.ts'
import type { DestinationsTable, Tables } from '#schema/tables.gen.ts'

/** A row of `destinations`: a server that does not answer, and since when. */
export type DestinationRow = Selectable<DestinationsTable>

/** By what the destinations of a list are ordered; how far events have been sent is not known yet, and orders nothing. */
export type DestinationOrder = 'destination' | 'retry_last_ts' | 'retry_interval' | 'failure_ts' | 'last_successful_stream_ordering'

/** Which destinations a list shows. */
export interface DestinationPage {
  /** How many are passed over. */
  readonly from: number
  readonly limit: number
  readonly orderBy: DestinationOrder
  readonly isBackwards: boolean
  /** Only those whose name contains it, whatever its case; '' for all. */
  readonly filter: string
}

export class DestinationsStore {
  readonly #database: Database
  readonly #byName: Prepared<{ destination: string }, DestinationRow>
  readonly #all: Prepared<Record<string, never>, DestinationRow>
  readonly #put: Prepared<DestinationRow, unknown>

  constructor(database: Database) {
    this.#database = database
    const db = buildersFor<Pick<Tables, 'destinations'>>(database.dialect)
    this.#all = prepare('destinations.failing', () => db.selectFrom('destinations').selectAll().where('retry_interval', '>', 0))
    this.#byName = prepare('destinations.byName', ({ destination }) => db.selectFrom('destinations').selectAll().where('destination', '=', destination))
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

  byName(destination: string): Promise<DestinationRow | undefined> {
    return this.#byName.first(this.#database, { destination })
  }

  /** A page of the destinations, and how many there are. */
  async page({ from, limit, orderBy, isBackwards, filter }: DestinationPage): Promise<{ readonly rows: DestinationRow[]; readonly total: number }> {
    const db = buildersFor<Pick<Tables, 'destinations'>>(this.#database.dialect)
    const pattern = `%${filter.toLowerCase().replaceAll(/[\\%_]/g, '\\$&')}%`
    const shown = db.selectFrom('destinations').where(sql<boolean>`lower(destination) LIKE ${pattern} ESCAPE '\\'`)
    const direction = isBackwards ? 'desc' : 'asc'
    const ordered = orderBy === 'destination' || orderBy === 'last_successful_stream_ordering' ? shown : shown.orderBy(sql`coalesce(${sql.ref(orderBy)}, 0)`, direction)
    const count = await runFirst(this.#database, shown.select(sql<number>`count(*)`.as('count')))
    const rows = await run(this.#database, ordered.selectAll().orderBy('destination', direction).limit(limit).offset(from))
    return { rows, total: count?.count ?? 0 }
  }
}
