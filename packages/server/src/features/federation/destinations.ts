/** Which other servers do not answer, and when each may be asked again. */
import { MatrixError, refuse } from '@myelin/protocol/errors.ts'
import type { ServerName } from '@myelin/protocol/ids/ids.ts'
import type { Clock } from '#platform/clock.ts'
import type { Database } from '#platform/db/database.ts'
import { DestinationsStore, type DestinationPage, type DestinationRow } from './destinations.store.ts'

/** `federation.destination_*`, in ms. */
export interface BackoffRules {
  readonly minIntervalMs: number
  readonly multiplier: number
  readonly maxIntervalMs: number
}

interface Needs {
  readonly database: Database
  readonly clock: Clock
  readonly rules: BackoffRules
  /** From 0 to 1, so that servers do not all come back at the same moment. */
  readonly random: () => number
}

export class Destinations {
  readonly #needs: Needs
  readonly #store: DestinationsStore
  readonly #failing = new Map<string, DestinationRow>()
  readonly #listeners: ((server: ServerName) => void)[] = []

  private constructor(needs: Needs) {
    this.#needs = needs
    this.#store = new DestinationsStore(needs.database)
  }

  static async open(needs: Needs): Promise<Destinations> {
    const destinations = new Destinations(needs)
    for (const row of await destinations.#store.failing()) destinations.#failing.set(row.destination, row)
    return destinations
  }

  /** Whether a server may be asked now. */
  mayAsk(server: ServerName): boolean {
    const row = this.#failing.get(server)
    return row === undefined || this.#needs.clock.now() >= row.retry_last_ts + row.retry_interval
  }

  /** When a server may be asked, in ms since 1970; 0 where it may be now. */
  retryTs(server: ServerName): number {
    const row = this.#failing.get(server)
    return row === undefined ? 0 : row.retry_last_ts + row.retry_interval
  }

  /** Calls `listener` when a server that did not answer shows that it lives. */
  onAnswered(listener: (server: ServerName) => void): void {
    this.#listeners.push(listener)
  }

  /** Notes that a server did not answer. Failures while it is left alone do not count. */
  async failed(server: ServerName): Promise<void> {
    if (!this.mayAsk(server)) return
    const { clock, rules, random } = this.#needs
    const before = this.#failing.get(server)
    const grown = before === undefined ? rules.minIntervalMs : before.retry_interval * rules.multiplier * (0.8 + 0.4 * random())
    const now = clock.now()
    await this.#put({ destination: server, failure_ts: before?.failure_ts ?? now, retry_last_ts: now, retry_interval: Math.round(Math.min(rules.maxIntervalMs, grown)) })
  }

  /** Notes a sign of life: an answer of a server, or a request of it. */
  async answered(server: ServerName): Promise<void> {
    if (!this.#failing.has(server)) return
    await this.#put({ destination: server, failure_ts: null, retry_last_ts: 0, retry_interval: 0 })
    for (const listener of this.#listeners) listener(server)
  }

  /** A page of the known servers, and how many there are. */
  list(page: DestinationPage): Promise<{ readonly rows: DestinationRow[]; readonly total: number }> {
    return this.#store.page(page)
  }

  /** What is known of a server. @throws M_NOT_FOUND */
  async require(serverName: string): Promise<DestinationRow> {
    const row = await this.#store.byName(serverName)
    if (row === undefined) throw refuse('M_NOT_FOUND', 'Unknown destination')
    return row
  }

  /** Lets a server be asked again at once. @throws M_NOT_FOUND, 400 M_UNKNOWN where it may be asked already */
  async reset(serverName: string): Promise<void> {
    const row = await this.require(serverName)
    if (row.retry_last_ts === 0) throw new MatrixError(400, 'M_UNKNOWN', 'This server is not being left alone: there is nothing to reset.')
    await this.#put({ ...row, failure_ts: null, retry_last_ts: 0, retry_interval: 0 })
  }

  async #put(row: DestinationRow): Promise<void> {
    if (row.retry_interval === 0) this.#failing.delete(row.destination)
    else this.#failing.set(row.destination, row)
    await this.#needs.database.transaction((tx) => this.#store.put(tx, row))
  }
}
