/**
 * Transaction identifiers of devices: a repeated request gets the answer of the first, and a device recognises its own events.
 *
 * Spec: client-server API, "Transaction identifiers".
 */
import type { EventId, UserId } from '@myelin/protocol/ids/ids.ts'
import type { Reader, UnsignedSource } from '#engine/client-events.ts'
import type { StoredEvent } from '#engine/stored-event.ts'
import type { Cache, CacheBudget } from '#platform/cache/cache.ts'
import type { Clock, Timer } from '#platform/clock.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import { TransactionIdsStore } from './transaction-ids.store.ts'

/** One request of one device, as far as repeating it goes. */
export interface Transaction {
  readonly userId: UserId
  /** Device, or what stands for it where the token has none. */
  readonly device: string
  readonly roomNid: number
  /** Kind of request: transaction ids of different endpoints do not meet. */
  readonly kind: 'send' | 'redact'
  readonly txnId: string
}

/** Transactions are remembered this long. */
const lifetimeMs = 24 * 3600 * 1000
/** Rows that are deleted at once. */
const expiryPage = 500

/** The transaction's key among those of its device. */
function keyOf({ roomNid, kind, txnId }: Transaction): string {
  return `${roomNid} ${kind} ${txnId}`
}

export class TransactionIds implements UnsignedSource, Disposable {
  readonly #store: TransactionIdsStore
  readonly #database: Database
  readonly #clock: Clock
  readonly #running = new Map<string, Promise<EventId>>()
  readonly #ofEvents: Cache<number, { readonly device: string; readonly txnId: string } | null>
  readonly #timer: Timer

  constructor(needs: { readonly database: Database; readonly caches: CacheBudget; readonly clock: Clock }) {
    this.#store = new TransactionIdsStore(needs.database)
    this.#database = needs.database
    this.#clock = needs.clock
    this.#ofEvents = needs.caches.cache('event_transaction_ids', () => 120)
    this.#timer = needs.clock.every(3600 * 1000, () => void this.expire())
  }

  /** Runs a request once: a repetition, also a simultaneous one, gets the same event id. */
  async once(transaction: Transaction, send: () => Promise<EventId>): Promise<EventId> {
    const key = `${transaction.userId} ${transaction.device} ${keyOf(transaction)}`
    const running = this.#running.get(key)
    if (running) return running
    const promise = this.#first(transaction, send)
    this.#running.set(key, promise)
    try {
      return await promise
    } finally {
      this.#running.delete(key)
    }
  }

  /** Writes the transaction with the event that it made. */
  async record(tx: Tx, transaction: Transaction, event: StoredEvent): Promise<void> {
    await this.#store.insert(tx, {
      event_nid: event.nid, user_id: transaction.userId, device: transaction.device, txn_key: keyOf(transaction), event_id: event.event.eventId,
      received_ts: this.#clock.now(),
    })
    tx.afterCommit(() => this.#ofEvents.set(event.nid, { device: transaction.device, txnId: transaction.txnId }))
  }

  async collect(reader: Reader, events: readonly StoredEvent[]): Promise<ReadonlyMap<number, readonly string[]>> {
    const found = new Map<number, readonly string[]>()
    const since = this.#clock.now() - lifetimeMs
    const own = events.filter((event) => event.event.sender === reader.userId && event.event.originServerTs >= since)
    if (own.length === 0 || reader.deviceId === undefined) return found
    await this.#load(own.map((event) => event.nid).filter((nid) => this.#ofEvents.get(nid) === undefined))
    for (const event of own) {
      const entry = this.#ofEvents.get(event.nid)
      if (entry && entry.device === reader.deviceId) found.set(event.nid, [`"transaction_id":${JSON.stringify(entry.txnId)}`])
    }
    return found
  }

  /** Forgets transactions that are too old to be repeated, oldest first and a page at a time. */
  async expire(): Promise<void> {
    const before = this.#clock.now() - lifetimeMs
    for (;;) {
      const page = await this.#store.oldest(expiryPage)
      const last = page.filter((row) => row.received_ts < before).at(-1)
      if (!last) return
      await this.#database.transaction((tx) => this.#store.deleteUpTo(tx, last.event_nid))
      if (page.length < expiryPage) return
    }
  }

  [Symbol.dispose](): void {
    this.#timer.cancel()
  }

  async #first(transaction: Transaction, send: () => Promise<EventId>): Promise<EventId> {
    const known = await this.#store.find(transaction.userId, transaction.device, keyOf(transaction))
    return known ?? send()
  }

  async #load(nids: readonly number[]): Promise<void> {
    if (nids.length === 0) return
    const rows = await this.#store.ofEvents(nids)
    for (const nid of nids) this.#ofEvents.set(nid, null)
    for (const row of rows) this.#ofEvents.set(row.event_nid, { device: row.device, txnId: row.txn_key.split(' ').slice(2).join(' ') })
  }
}
