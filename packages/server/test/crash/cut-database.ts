/** A database that fails, or is cut off with its process or its power, at the n-th write. */
import { StorageError, type Database, type Tx } from '#platform/db/database.ts'
import type { Runner } from '#platform/db/query.ts'
import { committedEnd, copyDatabase, dropUnsynced, type LogPosition } from './wal.ts'

/**
 * - `fail`: the n-th write meets a full disk, later ones do not;
 * - `kill`: the process ends at the n-th write;
 * - `power`: so does the machine, and what was not synced is lost.
 */
export type Cut = 'fail' | 'kill' | 'power'

/** Wraps the real database; every statement of a transaction, its commit, and the moment before the answer count as writes. */
export class CutDatabase implements Database {
  readonly dialect
  readonly #inner: Database
  readonly #path: string | undefined
  readonly #acknowledgesEarly: boolean
  #synced: LogPosition = { salts: '', bytes: 0 }
  #syncsCommits: boolean | undefined
  #count = 0
  #cutAt = Number.POSITIVE_INFINITY
  #cut: Cut = 'fail'
  #copyTo = ''
  #dead = false

  /**
   * @param path the SQLite file; undefined for PostgreSQL
   * @param options.acknowledgesEarly answers before the commit: the mistake that the tests must find
   */
  constructor(inner: Database, path: string | undefined, options: { readonly acknowledgesEarly?: boolean } = {}) {
    this.#inner = inner
    this.#path = path
    this.dialect = inner.dialect
    this.#acknowledgesEarly = options.acknowledgesEarly ?? false
  }

  get scans(): Runner {
    return { dialect: this.dialect, rows: (text, values) => (this.#dead ? Promise.reject(new StorageError('The process has ended.')) : this.#inner.scans.rows(text, values)) }
  }

  get healthy(): boolean {
    return this.#inner.healthy
  }

  /** Whether the cut has come. */
  get wasCut(): boolean {
    return this.#count >= this.#cutAt
  }

  /** Cuts at the n-th write from now; SQLite's files of that moment are copied. */
  arm(cut: Cut, writes: number, copyTo: string): void {
    this.#cut = cut
    this.#count = 0
    this.#cutAt = writes
    this.#copyTo = copyTo
  }

  /** No cut any more. */
  disarm(): void {
    this.#count = 0
    this.#cutAt = Number.POSITIVE_INFINITY
  }

  async rows<Row>(text: string, values: readonly unknown[], name?: string): Promise<Row[]> {
    if (this.#dead) throw new StorageError('The process has ended.')
    return this.#inner.rows<Row>(text, values, name)
  }

  async transaction<Result>(work: (tx: Tx) => Promise<Result>): Promise<Result> {
    if (this.#dead) throw new StorageError('The process has ended.')
    // What comes before the cut is armed only sets the scene.
    const acknowledgesEarly = this.#acknowledgesEarly && this.#cutAt !== Number.POSITIVE_INFINITY
    const early = Promise.withResolvers<Result>()
    early.promise.catch(() => undefined)
    const committed = this.#inner.transaction(async (tx) => {
      await this.#learnSync(tx)
      const result = await work(this.#counting(tx))
      if (acknowledgesEarly) early.resolve(result)
      this.write()
      return result
    })
    if (acknowledgesEarly) {
      committed.catch((error: unknown) => early.reject(error))
      return early.promise
    }
    const result = await committed
    this.#noteSync()
    // The commit is there; the process may still end before anybody hears of it.
    if (this.#cut !== 'fail') this.write()
    return result
  }

  close(): Promise<void> {
    return this.#inner.close()
  }

  /** Counts a write. @throws StorageError when it is the one */
  write(): void {
    if (this.#dead) throw new StorageError('The process has ended.')
    this.#count += 1
    if (this.#count !== this.#cutAt) return
    if (this.#cut === 'fail') throw new StorageError('The disk of the database is full.')
    this.#dead = true
    if (this.#path !== undefined) {
      copyDatabase(this.#path, this.#copyTo)
      if (this.#cut === 'power') dropUnsynced(this.#copyTo, this.#synced)
    }
    throw new StorageError('The process has ended.')
  }

  #counting(tx: Tx): Tx {
    return {
      dialect: tx.dialect,
      rows: async <Row>(text: string, values: readonly unknown[], name?: string): Promise<Row[]> => {
        if (!/^\s*(select|pragma)\b/i.test(text)) this.write()
        return tx.rows<Row>(text, values, name)
      },
      afterCommit: (effect) => tx.afterCommit(() => this.#dead || effect()),
      onRollback: (effect) => tx.onRollback(effect),
    }
  }

  /** What is already there counts as synced; of a commit only a connection that syncs each (FULL = 2) may say so. */
  async #learnSync(tx: Tx): Promise<void> {
    if (this.#path === undefined || this.#syncsCommits !== undefined) return
    const [row] = await tx.rows<{ synchronous: number }>('PRAGMA synchronous', [])
    this.#syncsCommits = (row?.synchronous ?? 0) >= 2
    this.#synced = committedEnd(this.#path)
  }

  #noteSync(): void {
    if (this.#path !== undefined && this.#syncsCommits) this.#synced = committedEnd(this.#path)
  }
}
