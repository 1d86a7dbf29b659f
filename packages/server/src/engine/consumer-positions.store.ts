/** Queries of `consumer_positions`. */
import type { Database, Tx } from '#platform/db/database.ts'
import { buildersFor, prepare, type Prepared } from '#platform/db/query.ts'
import type { Tables } from '#schema/tables.gen.ts'

export class ConsumerPositionsStore {
  readonly #database: Database
  readonly #get: Prepared<{ name: string }, { position: number }>
  readonly #set: Prepared<{ name: string; position: number }, unknown>

  constructor(database: Database) {
    this.#database = database
    const db = buildersFor<Pick<Tables, 'consumer_positions'>>(database.dialect)
    this.#get = prepare('consumerPositions.get', ({ name }) => db.selectFrom('consumer_positions').select('position').where('name', '=', name))
    this.#set = prepare('consumerPositions.set', ({ name, position }) =>
      db.insertInto('consumer_positions').values({ name, position })
        .onConflict((conflict) => conflict.column('name').doUpdateSet((row) => ({ position: row.ref('excluded.position') }))))
  }

  async get(name: string): Promise<number | undefined> {
    return (await this.#get.first(this.#database, { name }))?.position
  }

  async set(tx: Tx, name: string, position: number): Promise<void> {
    await this.#set.run(tx, { name, position })
  }
}
