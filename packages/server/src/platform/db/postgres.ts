/** PostgreSQL through `pg`: pipelined connections, recurring statements kept prepared. */
import { createHash } from 'node:crypto'
import pg from 'pg'
import { refuse } from '@myelin/protocol/errors.ts'
import { Effects, StorageError, type Database, type Tx } from './database.ts'

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
}

/** Column types whose text form becomes a number: int8 counts and positions stay far below 2^53 by design. */
const int8 = 20
const numeric = 1700

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
  if (typeof value === 'string' && value.includes('\0')) {
    throw refuse('M_INVALID_PARAM', 'Text must not contain the NUL character; remove it and try again.')
  }
  if (typeof value === 'boolean') return value ? 1 : 0
  if (value instanceof Uint8Array && !Buffer.isBuffer(value)) return Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  return value
}

async function query<Row>(client: pg.Pool | pg.PoolClient, text: string, values: readonly unknown[], name?: string): Promise<Row[]> {
  const bound = values.map(bindable)
  const result = await client.query(name === undefined ? { text, values: bound } : { text, values: bound, name: statementName(text, name) })
  return result.rows
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
  readonly #pool: pg.Pool
  #healthy = true

  constructor(options: PostgresOptions) {
    const types = new pg.TypeOverrides()
    types.setTypeParser(int8, Number)
    types.setTypeParser(numeric, Number)
    this.#pool = new pg.Pool({
      host: options.host,
      port: options.port,
      user: options.user,
      password: options.password,
      database: options.database,
      max: options.poolSize ?? 10,
      ssl: options.ssl,
      types,
      pipeline: true,
    } as pg.PoolConfig)
    this.#pool.on('error', () => {
      this.#healthy = false
    })
  }

  get healthy(): boolean {
    return this.#healthy
  }

  rows<Row>(text: string, values: readonly unknown[], name?: string): Promise<Row[]> {
    return query<Row>(this.#pool, text, values, name)
  }

  async transaction<Result>(work: (tx: Tx) => Promise<Result>): Promise<Result> {
    const client = await this.#connect()
    const tx = new PostgresTx(client)
    let result: Result
    try {
      const begun = client.query('BEGIN')
      begun.catch(() => undefined)
      result = await work(tx)
      await begun
    } catch (error) {
      await this.#rollback(client, tx)
      throw error
    }
    try {
      await client.query('COMMIT')
    } catch (cause) {
      this.#healthy = false
      client.release(true)
      tx.rolledBack()
      throw new StorageError('The database could not commit; look at its log.', { cause })
    }
    client.release()
    this.#healthy = true
    tx.committed()
    return result
  }

  async close(): Promise<void> {
    await this.#pool.end()
  }

  async #connect(): Promise<pg.PoolClient> {
    try {
      return await this.#pool.connect()
    } catch (cause) {
      this.#healthy = false
      throw new StorageError('The database cannot be reached; look whether PostgreSQL runs and accepts the configured user.', { cause })
    }
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
