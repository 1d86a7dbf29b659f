/** Reads that take long on PostgreSQL: the server does the work elsewhere, so all that is needed is that they leave connections for the others. */
import { refuse } from '@myelin/protocol/errors.ts'
import type { Runner } from './query.ts'

/** So many scans run at once, and so many may wait. */
const concurrency = 2
const queueLimit = 256

export class PostgresScanner implements Runner {
  readonly dialect = 'postgres'
  readonly #database: Pick<Runner, 'rows'>
  readonly #waiting: (() => void)[] = []
  #running = 0

  constructor(database: Pick<Runner, 'rows'>) {
    this.#database = database
  }

  /**
   * Runs a read. It is never kept prepared: a plan for any value is a bad plan for a scan.
   * @throws M_LIMIT_EXCEEDED when too many wait; StorageError
   */
  async rows<Row>(text: string, values: readonly unknown[]): Promise<Row[]> {
    if (this.#waiting.length >= queueLimit) {
      throw refuse('M_LIMIT_EXCEEDED', 'The server is busy with other searches; try again in a moment.', { retry_after_ms: 2000 })
    }
    if (this.#running >= concurrency) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    else this.#running += 1
    try {
      return await this.#database.rows<Row>(text, values)
    } finally {
      const next = this.#waiting.shift()
      if (next) next()
      else this.#running -= 1
    }
  }
}
