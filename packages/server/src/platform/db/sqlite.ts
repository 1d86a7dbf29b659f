/** SQLite through the runtime's own driver: one writer that commits groups, one reader that sees committed data only, and a thread for long reads. */
import { setTimeout as pause } from 'node:timers/promises'
import { Effects, StorageError, type Database, type Tx } from './database.ts'
import { SqliteConnection } from './sqlite-connection.ts'
import { SqliteScanner } from './sqlite-scanner.ts'
import { isBusy, sqliteFailure } from './storage-failure.ts'
import { StorageHealth } from './storage-health.ts'

/** How long a group waits for another program's lock, and how often it asks. */
const busyLimitMs = 5000
const busyPauseMs = 20

interface Job {
  readonly work: (tx: Tx) => Promise<unknown>
  readonly resolve: (result: unknown) => void
  readonly reject: (error: unknown) => void
}

interface Done {
  readonly tx: SqliteTx
  readonly job: Job
  readonly result: unknown
}

/** One part of a group: its own effects, undone alone by a savepoint. */
class SqliteTx extends Effects implements Tx {
  readonly dialect = 'sqlite'
  readonly #connection: SqliteConnection

  constructor(connection: SqliteConnection) {
    super()
    this.#connection = connection
  }

  async rows<Row>(text: string, values: readonly unknown[]): Promise<Row[]> {
    return this.#connection.rows(text, values) as Row[]
  }
}

/** The SQLite engine. Groups form by themselves: while a commit runs, requests wait in the sockets and become the next group. */
export class SqliteDatabase implements Database {
  readonly dialect = 'sqlite'
  readonly scans: SqliteScanner
  readonly #path: string
  readonly #synchronous: 'FULL' | 'OFF'
  readonly #reader: SqliteConnection
  readonly #health = new StorageHealth(() => this.#probe())
  #writer: SqliteConnection
  #waiting: Job[] = []
  #scheduled = false
  #closed = false
  #idle: (() => void)[] = []

  /**
   * @param path file of the database
   * @param options `durable: false` skips the fsync of each commit; only for tests
   * @throws StorageError where the file cannot be opened or written
   */
  constructor(path: string, options: { readonly durable?: boolean } = {}) {
    this.#path = path
    this.#synchronous = options.durable === false ? 'OFF' : 'FULL'
    this.#writer = this.#openWriter()
    this.#reader = new SqliteConnection(path, { synchronous: 'FULL', readOnly: true })
    this.scans = new SqliteScanner(path)
  }

  get healthy(): boolean {
    return this.#health.healthy
  }

  async rows<Row>(text: string, values: readonly unknown[]): Promise<Row[]> {
    return this.#reader.rows(text, values) as Row[]
  }

  transaction<Result>(work: (tx: Tx) => Promise<Result>): Promise<Result> {
    if (this.#closed) return Promise.reject(new StorageError('The database is closed.'))
    const { promise, resolve, reject } = Promise.withResolvers<Result>()
    this.#waiting.push({ work, resolve: (result) => resolve(result as Result), reject })
    this.#schedule()
    return promise
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#health.stop()
    if (this.#scheduled) await new Promise<void>((resolve) => this.#idle.push(resolve))
    await this.scans.close()
    this.#reader.close()
    this.#writer.close()
  }

  #openWriter(): SqliteConnection {
    return new SqliteConnection(this.#path, { synchronous: this.#synchronous, readOnly: false })
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(() => void this.#flush())
  }

  async #flush(): Promise<void> {
    const group = this.#waiting
    this.#waiting = []
    await this.#commitGroup(group)
    this.#scheduled = false
    if (this.#waiting.length > 0) this.#schedule()
    else for (const resolve of this.#idle.splice(0)) resolve()
  }

  async #commitGroup(group: readonly Job[]): Promise<void> {
    const done: Done[] = []
    try {
      if (!this.#begin()) await this.#waitForLock()
      const [only] = group
      if (group.length === 1 && only) await this.#runAlone(only, done)
      else for (const job of group) await this.#runPart(job, done)
      if (!this.#writer.database.isTransaction) return
      this.#writer.run('COMMIT')
    } catch (error) {
      this.#undo(group, done, error)
      return
    }
    if (done.length > 0) this.#health.succeeded()
    for (const { tx } of done) tx.committed()
    for (const { job, result } of done) job.resolve(result)
  }

  /** @returns false while another program holds the lock */
  #begin(): boolean {
    try {
      this.#writer.run('BEGIN IMMEDIATE')
      return true
    } catch (error) {
      if (isBusy(error)) return false
      throw error
    }
  }

  /** SQLite tells nobody when a lock is released: it is asked again, without stopping the event loop. */
  async #waitForLock(): Promise<void> {
    for (let waitedMs = 0; waitedMs < busyLimitMs; waitedMs += busyPauseMs) {
      await pause(busyPauseMs)
      if (this.#begin()) return
    }
    this.#writer.run('BEGIN IMMEDIATE')
  }

  /** Runs the only job of a group: its failure undoes the transaction. Throws where that was undone already. */
  async #runAlone(job: Job, done: Done[]): Promise<void> {
    const tx = new SqliteTx(this.#writer)
    try {
      done.push({ tx, job, result: await job.work(tx) })
    } catch (error) {
      tx.rolledBack()
      if (!this.#writer.database.isTransaction) throw error
      this.#writer.run('ROLLBACK')
      this.#refuse(job, error)
    }
  }

  /** Runs one job of several; throws only where the whole group is lost. */
  async #runPart(job: Job, done: Done[]): Promise<void> {
    const tx = new SqliteTx(this.#writer)
    this.#writer.run('SAVEPOINT part')
    try {
      const result = await job.work(tx)
      this.#writer.run('RELEASE part')
      done.push({ tx, job, result })
    } catch (error) {
      tx.rolledBack()
      // A full disk or a failed read undoes the whole transaction, not this part alone.
      if (!this.#writer.database.isTransaction) throw error
      this.#writer.run('ROLLBACK TO part')
      this.#writer.run('RELEASE part')
      this.#refuse(job, error)
    }
  }

  #refuse(job: Job, error: unknown): void {
    if (error instanceof StorageError) this.#health.failed()
    job.reject(error)
  }

  #undo(group: readonly Job[], done: readonly Done[], cause: unknown): void {
    this.#health.failed()
    let failure = sqliteFailure(cause) ?? new StorageError('The database could not commit; look at the disk and its permissions.', { cause })
    try {
      if (this.#writer.database.isTransaction) this.#writer.database.exec('ROLLBACK')
    } catch (error) {
      failure = this.#replaceWriter(error) ?? failure
    }
    for (const { tx } of done) tx.rolledBack()
    for (const job of group) job.reject(failure)
  }

  /** A connection that cannot even roll back is given up; what it had not committed goes with it. */
  #replaceWriter(cause: unknown): StorageError | undefined {
    try {
      this.#writer.close()
      this.#writer = this.#openWriter()
      return undefined
    } catch (error) {
      return new StorageError('The database could not be opened again after a failure; look at the disk, then restart the server.', { cause: new AggregateError([cause, error]) })
    }
  }

  /** Writes the file's user version as it is: a real write that changes nothing. */
  async #probe(): Promise<void> {
    await this.transaction(async (tx) => {
      const [row] = await tx.rows<{ user_version: number }>('PRAGMA user_version', [])
      await tx.rows(`PRAGMA user_version = ${row?.user_version ?? 0}`, [])
    })
  }
}
