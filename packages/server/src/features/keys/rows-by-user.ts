/** Rows of users, in memory while they are in use: a query of keys asks for those of hundreds of users at once. */
import type { Cache } from '#platform/cache/cache.ts'
import type { Tx } from '#platform/db/database.ts'

export class RowsByUser<Row extends { readonly user_id: string }> {
  readonly #rows: Cache<string, readonly Row[]>
  readonly #read: (userIds: readonly string[]) => Promise<readonly Row[]>
  #generation = 0

  /** @param read gives the rows of users from the database */
  constructor(rows: Cache<string, readonly Row[]>, read: (userIds: readonly string[]) => Promise<readonly Row[]>) {
    this.#rows = rows
    this.#read = read
  }

  /** The committed rows of users. */
  async of(userIds: readonly string[]): Promise<Row[]> {
    const found: Row[] = []
    const missing: string[] = []
    for (const userId of userIds) {
      const known = this.#rows.get(userId)
      if (known) found.push(...known)
      else missing.push(userId)
    }
    if (missing.length === 0) return found
    const generation = this.#generation
    const read = await this.#read(missing)
    found.push(...read)
    if (generation !== this.#generation) return found
    const byUser = Map.groupBy(read, (row) => row.user_id)
    for (const userId of missing) this.#rows.set(userId, byUser.get(userId) ?? [])
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
