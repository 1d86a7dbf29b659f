/** Numbers that were given out to rows which are deleted: they are not given out again, also after a restart. */
import type { Database, Tx } from '#platform/db/database.ts'
import { buildersFor, prepare, type Prepared } from '#platform/db/query.ts'
import type { Tables } from '#schema/tables.gen.ts'

/** What is numbered. */
export type Numbered = 'rooms' | 'events' | 'events_stream' | 'receipts' | 'account_data' | 'thread_subscriptions'

export class LastNumbers {
  readonly #database: Database
  readonly #get: Prepared<{ name: Numbered }, { number: number }>
  readonly #note: Prepared<{ name: Numbered; number: number }, unknown>

  constructor(database: Database) {
    this.#database = database
    const db = buildersFor<Pick<Tables, 'last_numbers'>>(database.dialect)
    this.#get = prepare('lastNumbers.get', ({ name }) => db.selectFrom('last_numbers').select('number').where('name', '=', name))
    this.#note = prepare('lastNumbers.note', ({ name, number }) =>
      db.insertInto('last_numbers').values({ name, number }).onConflict((conflict) =>
        conflict.column('name').doUpdateSet((row) => ({ number: row.ref('excluded.number') }))
          .where((row) => row('last_numbers.number', '<', row.ref('excluded.number')))))
  }

  /** The highest number that was given out, by the rows that there are and by what was noted of deleted ones. @param stored the highest of the rows */
  async above(name: Numbered, stored: number | null | undefined): Promise<number> {
    return Math.max(stored ?? 0, (await this.#get.first(this.#database, { name }))?.number ?? 0)
  }

  /** Notes, with the deletion of rows, the highest number among them. */
  async note(tx: Tx, name: Numbered, number: number): Promise<void> {
    await this.#note.run(tx, { name, number })
  }
}
