/** PostgreSQL through `pg`: pipelined connections, recurring statements kept prepared. */
import { createHash } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import pg from 'pg'
import { refuse } from '@myelin/protocol/errors.ts'
import { Effects, StorageError, type Database, type Tx } from './database.ts'
import { PostgresScanner } from './postgres-scanner.ts'
import { isCertain, postgresFailure } from './storage-failure.ts'
import { StorageHealth } from './storage-health.ts'

/** How to reach the server, in the words of the driver. */
export interface PostgresOptions {
  readonly host?: string
  readonly port?: number
  readonly user?: string
  readonly password?: string
  readonly database?: string
  /** Most connections that are open at once. */
  readonly poolSize?: number
  readonly ssl?: boolean
  /** How long a lost commit's outcome is asked for, in ms; 30,000 by default. */
  readonly outcomeLimitMs?: number
}

/** Column types whose text form becomes a number: int8 counts and positions stay far below 2^53 by design. */
const int8 = 20
const numeric = 1700

const connectTimeoutMs = 10_000
const outcomePauseMs = 100

const statementNames = new Map<string, string>()

/** A short name for a statement's text: the server limits names to 63 bytes, and the text may differ between versions. */
function statementName(text: string, name: string): string {
  const known = statementNames.get(text)
  if (known) return known
  const made = `${name.slice(0, 40)}_${createHash('sha256').update(text).digest('hex').slice(0, 16)}`
  statementNames.set(text, made)
  return made
}

function bindable(value: unknown): unknown {
  if (typeof value === 'string' ? value.includes('\0') : Array.isArray(value) && value.some((item) => typeof item === 'string' && item.includes('\0'))) {
    throw refuse('M_INVALID_PARAM', 'Text must not contain the NUL character; remove it and try again.')
  }
  if (typeof value === 'boolean') return value ? 1 : 0
  if (value instanceof Uint8Array && !Buffer.isBuffer(value)) return Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  return value
}

async function query<Row>(client: pg.Pool | pg.PoolClient, text: string, values: readonly unknown[], name?: string): Promise<Row[]> {
  const bound = values.map(bindable)
  try {
    const result = await client.query(name === undefined ? { text, values: bound } : { text, values: bound, name: statementName(text, name) })
    return result.rows
  } catch (error) {
    throw postgresFailure(error) ?? error
  }
}

class PostgresTx extends Effects implements Tx {
  readonly dialect = 'postgres'
  readonly #client: pg.PoolClient

  constructor(client: pg.PoolClient) {
    super()
    this.#client = client
  }

  rows<Row>(text: string, values: readonly unknown[], name?: string): Promise<Row[]> {
    return query<Row>(this.#client, text, values, name)
  }
}

/** The PostgreSQL engine, isolation READ COMMITTED. */
export class PostgresDatabase implements Database {
  readonly dialect = 'postgres'
  readonly scans = new PostgresScanner(this)
  readonly #pool: pg.Pool
  readonly #outcomeLimitMs: number
  /** Commits whose answer was lost, until it is known what became of them. */
  readonly #outcomes = new Set<Promise<void>>()
  readonly #health = new StorageHealth(() => this.transaction(async () => undefined))

  constructor(options: PostgresOptions) {
    const types = new pg.TypeOverrides()
    types.setTypeParser(int8, Number)
    types.setTypeParser(numeric, Number)
    this.#outcomeLimitMs = options.outcomeLimitMs ?? 30_000
    this.#pool = new pg.Pool({
      host: options.host,
      port: options.port,
      user: options.user,
      password: options.password,
      database: options.database,
      max: options.poolSize ?? 10,
      ssl: options.ssl,
      connectionTimeoutMillis: connectTimeoutMs,
      keepAlive: true,
      types,
      pipeline: true,
    } as pg.PoolConfig)
    this.#pool.on('error', () => this.#health.failed())
    // Without a listener of its own, a connection that dies while it is in use would end the process; its queries fail by themselves.
    this.#pool.on('connect', (client) => client.on('error', () => this.#health.failed()))
  }

  get healthy(): boolean {
    return this.#health.healthy
  }

  async rows<Row>(text: string, values: readonly unknown[], name?: string): Promise<Row[]> {
    try {
      return await query<Row>(this.#pool, text, values, name)
    } catch (error) {
      if (error instanceof StorageError) this.#health.failed()
      throw error
    }
  }

  async transaction<Result>(work: (tx: Tx) => Promise<Result>): Promise<Result> {
    let client = await this.#connect()
    // After a crash PostgreSQL gives out again the ids of transactions that it lost: none may begin before the fate of those is known.
    while (this.#outcomes.size > 0) {
      client.release()
      await Promise.all(this.#outcomes)
      client = await this.#connect()
    }
    const tx = new PostgresTx(client)
    let result: Result
    let transactionId: string
    try {
      const begun = begin(client)
      result = await work(tx)
      transactionId = await begun
    } catch (error) {
      await this.#rollback(client, tx)
      const failure = postgresFailure(error)
      if (failure) this.#health.failed()
      throw failure ?? error
    }
    await this.#commit(client, tx, transactionId)
    this.#health.succeeded()
    tx.committed()
    return result
  }

  async close(): Promise<void> {
    this.#health.stop()
    await this.#pool.end()
  }

  async #connect(): Promise<pg.PoolClient> {
    try {
      return await this.#pool.connect()
    } catch (cause) {
      this.#health.failed()
      throw postgresFailure(cause) ?? new StorageError('The database cannot be reached; look whether PostgreSQL runs and accepts the configured user.', { cause })
    }
  }

  async #commit(client: pg.PoolClient, tx: PostgresTx, transactionId: string): Promise<void> {
    try {
      const { command } = await client.query('COMMIT')
      // A transaction in which a statement had failed is undone by its COMMIT, without an error.
      if (command !== 'COMMIT') throw new StorageError('The database has undone the transaction because a statement in it failed.')
      client.release()
    } catch (cause) {
      client.release(true)
      const certain = cause instanceof StorageError || isCertain(cause)
      if (!certain && (await this.#outcomeOf(transactionId, cause))) return
      this.#health.failed()
      tx.rolledBack()
      throw postgresFailure(cause) ?? new StorageError('The database could not commit; look at its log.', { cause })
    }
  }

  /** As `#wasCommitted`; new transactions wait for it. */
  async #outcomeOf(transactionId: string, cause: unknown): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#outcomes.add(promise)
    try {
      return await this.#wasCommitted(transactionId, cause)
    } finally {
      this.#outcomes.delete(promise)
      resolve()
    }
  }

  /**
   * Finds out what became of a commit whose answer was lost with the connection: memory must never differ from the database. If the server cannot be
   * asked in time, the process ends; what is stored shows at the next start.
   */
  async #wasCommitted(transactionId: string, cause: unknown): Promise<boolean> {
    this.#health.failed()
    const deadline = performance.now() + this.#outcomeLimitMs
    while (performance.now() < deadline) {
      try {
        const [row] = await query<{ status: string | null }>(this.#pool, 'SELECT pg_xact_status($1::text::xid8) AS status', [transactionId])
        if (row?.status === 'committed') return true
        if (row?.status === 'aborted') return false
      } catch (error) {
        if (isFromTheFuture(error)) return false
        if (!(error instanceof StorageError)) throw error
      }
      await pause(outcomePauseMs)
    }
    const lost = new StorageError('PostgreSQL was lost while it committed, and what it has stored is unknown; start the server again when PostgreSQL runs.', { cause })
    setImmediate(() => {
      throw lost
    })
    return false
  }

  async #rollback(client: pg.PoolClient, tx: PostgresTx): Promise<void> {
    try {
      await client.query('ROLLBACK')
      client.release()
    } catch {
      // The connection is gone, and with it the transaction.
      client.release(true)
    }
    tx.rolledBack()
  }
}

/** Begins a transaction and gives its id, by which its outcome can be asked for; both are on the wire before the first statement. */
function begin(client: pg.PoolClient): Promise<string> {
  const begun = client.query('BEGIN')
  const identified = client.query<{ id: string }>('SELECT pg_current_xact_id()::text AS id')
  const both = Promise.all([begun, identified]).then(([, { rows }]) => rows[0]?.id ?? '')
  both.catch(() => undefined)
  return both
}

/** Whether PostgreSQL never heard of a transaction id: it crashed before anything of that transaction was on disk. */
function isFromTheFuture(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === '22023'
}
