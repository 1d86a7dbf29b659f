/** Who had their account erased, in memory: every reader of events asks. */
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import { AccountsStore } from './accounts.store.ts'

export class ErasedUsers {
  readonly #users: Set<string>

  private constructor(users: Iterable<string>) {
    this.#users = new Set(users)
  }

  static async open(database: Database): Promise<ErasedUsers> {
    return new ErasedUsers(await new AccountsStore(database).erased())
  }

  has(userId: string): boolean {
    return this.#users.has(userId)
  }

  /** Notes what a transaction does to an account. */
  set(tx: Tx, userId: UserId, isErased: boolean): void {
    tx.afterCommit(() => {
      if (isErased) this.#users.add(userId)
      else this.#users.delete(userId)
    })
  }
}
