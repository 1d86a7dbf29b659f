/** Queries of `stripped_states`. */
import { sql } from 'kysely'
import type { Database, Tx } from '#platform/db/database.ts'
import { anyOf } from '#platform/db/dialect.ts'
import { buildersFor, prepare, type Prepared } from '#platform/db/query.ts'
import type { Tables } from '#schema/tables.gen.ts'

export class StrippedStatesStore {
  readonly #database: Database
  readonly #of: Prepared<{ nid: number }, { state_json: string }>
  readonly #delete: Prepared<{ nids: readonly number[] }, unknown>
  readonly #put: Prepared<{ nid: number; json: string }, unknown>

  constructor(database: Database) {
    this.#database = database
    const db = buildersFor<Pick<Tables, 'stripped_states'>>(database.dialect)
    this.#of = prepare('strippedStates.of', ({ nid }) => db.selectFrom('stripped_states').select('state_json').where('event_nid', '=', nid))
    this.#delete = prepare('strippedStates.delete', ({ nids }) => db.deleteFrom('stripped_states').where(anyOf(database.dialect, sql.ref('event_nid'), nids)))
    this.#put = prepare('strippedStates.put', ({ nid, json }) =>
      db.insertInto('stripped_states').values({ event_nid: nid, state_json: json }).onConflict((conflict) => conflict.doNothing()))
  }

  /** The list of stripped events that came with a membership event, as JSON text. */
  async of(nid: number): Promise<string | undefined> {
    return (await this.#of.first(this.#database, { nid }))?.state_json
  }

  async delete(tx: Tx, nids: readonly number[]): Promise<void> {
    await this.#delete.run(tx, { nids })
  }

  async put(tx: Tx, nid: number, json: string): Promise<void> {
    await this.#put.run(tx, { nid, json })
  }
}
