/** What the rest of the server sees of a database: reads, and transactions that are durable when they resolve. */
import type { Runner } from './query.ts'

/** An open transaction. Nothing but database calls may be awaited inside of it. */
export interface Tx extends Runner {
  /** Runs once the transaction is durable, in order of registration: wake, publish, cache. Must not throw. */
  afterCommit(effect: () => void): void
  /** Runs when the transaction was undone. Must not throw. */
  onRollback(effect: () => void): void
}

/** A database whose reads see committed data only. */
export interface Database extends Runner {
  /**
   * Runs `work` in a transaction and resolves once it is durable. Transactions that wait at the same time may share one commit; each is undone
   * alone when its own `work` throws. Never call it inside of another transaction.
   */
  transaction<Result>(work: (tx: Tx) => Promise<Result>): Promise<Result>
  /**
   * Runs reads that take long (search, statistics, exports) beside the event loop, a few at a time; they see what is committed. A read cannot be
   * cut off, so each bounds what it looks at. Rejects with M_LIMIT_EXCEEDED where too many wait.
   */
  readonly scans: Runner
  /** Whether the last commit succeeded; a failed one turns the health check red until the next that succeeds. */
  readonly healthy: boolean
  close(): Promise<void>
}

/** The storage failed, not the request: disk full, connection lost, commit refused. Becomes a 503, is never retried blindly. */
export class StorageError extends Error {
  override readonly name = 'StorageError'
}

/** Effects of a transaction that wait for its end. */
export class Effects {
  readonly #commit: (() => void)[] = []
  readonly #rollback: (() => void)[] = []

  afterCommit(effect: () => void): void {
    this.#commit.push(effect)
  }

  onRollback(effect: () => void): void {
    this.#rollback.push(effect)
  }

  committed(): void {
    for (const effect of this.#commit) effect()
  }

  rolledBack(): void {
    for (const effect of this.#rollback) effect()
  }
}
