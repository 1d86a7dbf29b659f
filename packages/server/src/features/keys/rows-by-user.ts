/** Rows of users, in memory while they are in use: a query of keys asks for those of hundreds of users at once. */
import type { Cache } from '#platform/cache/cache.ts'
import type { Tx } from '#platform/db/database.ts'

export class RowsByUser<Row> {
  readonly #rows: Cache<string, readonly Row[]>
  readonly #read: (userIds: readonly string[]) => Promise<readonly Row[]>
  readonly #userOf: (row: Row) => string
  #generation = 0

  /**
   * @param read gives the rows of users from the database
   * @param userOf whose a row is
   */
  constructor(rows: Cache<string, readonly Row[]>, read: (userIds: readonly string[]) => Promise<readonly Row[]>, userOf: (row: Row) => string) {
    this.#rows = rows
    this.#read = read
    this.#userOf = userOf
  }

  /** The committed rows of each of the users. */
  async of(userIds: readonly string[]): Promise<Map<string, readonly Row[]>> {
    const found = new Map<string, readonly Row[]>()
    const missing: string[] = []
    for (const userId of userIds) {
      const known = this.#rows.get(userId)
      if (known) found.set(userId, known)
      else missing.push(userId)
    }
    if (missing.length === 0) return found
    const generation = this.#generation
    const read = Map.groupBy(await this.#read(missing), this.#userOf)
    for (const userId of missing) {
      const rows = read.get(userId) ?? []
      found.set(userId, rows)
      if (generation === this.#generation) this.#rows.set(userId, rows)
    }
    return found
  }

  /** Forgets the rows of a user, once the transaction that changes them has committed. */
  changed(tx: Tx, userId: string): void {
    tx.afterCommit(() => {
      this.#generation += 1
      this.#rows.delete(userId)
    })
  }
}
