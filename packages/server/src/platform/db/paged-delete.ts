/** Deletes rows that belong to one thing a page at a time, so that a large thing does not hold up everything else. */
import type { Runner } from './query.ts'

export class PagedDelete {
  readonly #name: string
  readonly #text: string

  /**
   * @param name unique name, `store.query`
   * @param table the table
   * @param owner the column that says what a row belongs to
   * @param key the other columns of the primary key
   * @param returning columns that are given back of each deleted row
   */
  constructor(name: string, table: string, owner: string, key: readonly string[], returning = '1 AS deleted') {
    this.#name = name
    const page = `SELECT ${key.join(', ')} FROM ${table} WHERE ${owner} = $1 LIMIT $2`
    this.#text = `DELETE FROM ${table} WHERE ${owner} = $1 AND (${key.join(', ')}) IN (${page}) RETURNING ${returning}`
  }

  /** Deletes at most `limit` rows. @returns them; fewer than `limit` where no more are left */
  run<Row = { readonly deleted: number }>(runner: Runner, owner: string | number, limit: number): Promise<Row[]> {
    return runner.rows<Row>(this.#text, [owner, limit], this.#name)
  }
}
