/** SQLite through the runtime's own driver: one writer that commits groups, one reader that sees committed data only. */
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'
import { refuse } from '@myelin/protocol/errors.ts'
import { Effects, StorageError, type Database, type Tx } from './database.ts'

const statementLimit = 500

/** Numbered parameters as both engines can have them are written `$1`. */
const numbered = /\$(\d+)/g

/** A connection with its cache of prepared statements by text. */
class Connection {
  readonly database: DatabaseSync
  readonly #statements = new Map<string, StatementSync>()

  constructor(path: string, options: { readonly synchronous: 'FULL' | 'OFF'; readonly readOnly: boolean }) {
    this.database = new DatabaseSync(path, { readOnly: options.readOnly, enableForeignKeyConstraints: true, timeout: 5000 })
    if (!options.readOnly) {
      this.database.exec(`PRAGMA journal_mode = WAL`)
      this.database.exec(`PRAGMA synchronous = ${options.synchronous}`)
      this.database.exec('PRAGMA journal_size_limit = 67108864')
    }
    this.database.exec('PRAGMA cache_size = -16384')
    this.database.exec('PRAGMA temp_store = MEMORY')
  }

  rows(text: string, values: readonly unknown[]): unknown[] {
    let statement = this.#statements.get(text)
    if (!statement) {
      if (this.#statements.size >= statementLimit) this.#statements.clear()
      statement = this.database.prepare(text.replace(numbered, '?$1'))
      this.#statements.set(text, statement)
    }
    return statement.all(...values.map(bindable))
  }

  close(): void {
    this.#statements.clear()
    this.database.close()
  }
}

/** A value as the driver takes it: lists travel as JSON (see `anyOf`), flags as 0 and 1. */
function bindable(value: unknown): SQLInputValue {
  if (typeof value === 'string') {
    if (value.includes('\0')) throw refuse('M_INVALID_PARAM', 'Text must not contain the NUL character; remove it and try again.')
    return value
  }
  if (typeof value === 'number' || typeof value === 'bigint') return value
  if (value === null || value === undefined) return null
  if (typeof value === 'boolean') return value ? 1 : 0
  if (value instanceof Uint8Array) return value
  return JSON.stringify(value)
}

interface Job {
  readonly work: (tx: Tx) => Promise<unknown>
  readonly resolve: (result: unknown) => void
  readonly reject: (error: unknown) => void
}

/** One part of a group: its own effects, undone alone by a savepoint. */
class SqliteTx extends Effects implements Tx {
  readonly dialect = 'sqlite'
  readonly #connection: Connection

  constructor(connection: Connection) {
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
  readonly #writer: Connection
  readonly #reader: Connection
  #waiting: Job[] = []
  #scheduled = false
  #healthy = true
  #closed = false
  #idle: (() => void)[] = []

  /**
   * @param path file of the database
   * @param options `durable: false` skips the fsync of each commit; only for tests
   */
  constructor(path: string, options: { readonly durable?: boolean } = {}) {
    this.#writer = new Connection(path, { synchronous: options.durable === false ? 'OFF' : 'FULL', readOnly: false })
    this.#reader = new Connection(path, { synchronous: 'FULL', readOnly: true })
  }

  get healthy(): boolean {
    return this.#healthy
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
    if (this.#scheduled) await new Promise<void>((resolve) => this.#idle.push(resolve))
    this.#reader.close()
    this.#writer.close()
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
    const done: { tx: SqliteTx; job: Job; result: unknown }[] = []
    const database = this.#writer.database
    try {
      database.exec('BEGIN IMMEDIATE')
      for (const job of group) {
        const tx = new SqliteTx(this.#writer)
        database.exec('SAVEPOINT part')
        try {
          const result = await job.work(tx)
          database.exec('RELEASE part')
          done.push({ tx, job, result })
        } catch (error) {
          database.exec('ROLLBACK TO part')
          database.exec('RELEASE part')
          tx.rolledBack()
          job.reject(error)
        }
      }
      database.exec('COMMIT')
    } catch (error) {
      this.#undo(group, done, error)
      return
    }
    this.#healthy = true
    for (const { tx } of done) tx.committed()
    for (const { job, result } of done) job.resolve(result)
  }

  #undo(group: readonly Job[], done: readonly { tx: SqliteTx }[], cause: unknown): void {
    this.#healthy = false
    if (this.#writer.database.isTransaction) this.#writer.database.exec('ROLLBACK')
    for (const { tx } of done) tx.rolledBack()
    const error = new StorageError('The database could not commit; look at disk space and permissions.', { cause })
    for (const job of group) job.reject(error)
  }
}
