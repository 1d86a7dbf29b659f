/**
 * Removes for good what redactions removed from view: after a period, the stored text of a redacted event is overwritten by what redaction leaves of it.
 *
 * Spec: client-server API, "Redactions"; option `redaction_retention_period`.
 */
import type { Clock, Timer } from '#platform/clock.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import type { Logger } from '#platform/log/logger.ts'
import type { Events } from './events.ts'
import type { PurgedEvent, PurgeParticipant } from './history-purging.ts'
import { RedactionPruningStore } from './redaction-pruning.store.ts'
import type { Room } from './room.ts'
import type { StoredEvent } from './stored-event.ts'

interface Needs {
  readonly database: Database
  readonly clock: Clock
  readonly events: Events
  readonly logger: Logger
  /** How long the original is kept, in ms; null keeps it for ever. */
  readonly periodMs: number | null
}

const intervalMs = 5 * 60_000
const batchSize = 100

export class RedactionPruning implements PurgeParticipant {
  readonly #needs: Needs
  readonly #store: RedactionPruningStore
  readonly #timer: Timer | undefined
  #running: Promise<void> | undefined
  #stopped = false

  constructor(needs: Needs) {
    this.#needs = needs
    this.#store = new RedactionPruningStore(needs.database)
    if (needs.periodMs !== null) this.#timer = needs.clock.every(intervalMs, () => void this.prune())
  }

  /** Notes which events are redacted from now on, in the transaction that says so. */
  async redacted(tx: Tx, targets: readonly StoredEvent[]): Promise<void> {
    if (targets.length === 0) return
    const now = this.#needs.clock.now()
    const nids = new Set(targets.map((target) => target.nid))
    await this.#store.insert(tx, [...nids].map((nid) => ({ event_nid: nid, redacted_ts: now })))
  }

  /** A redacted event as it was sent, as long as that is kept. */
  async originalOf(event: StoredEvent): Promise<StoredEvent | undefined> {
    return (await this.#store.isWaiting(event.nid)) ? this.#needs.events.original(event) : undefined
  }

  /** Of events that are deleted nothing is left to be overwritten. */
  async purged(tx: Tx, _room: Room, events: readonly PurgedEvent[]): Promise<void> {
    await this.#store.done(tx, events.map((event) => event.nid))
  }

  /** Overwrites everything that is due; the timer does it as well. Failures are logged, the next turn tries again. */
  prune(): Promise<void> {
    this.#running ??= this.#prune().catch((error: unknown) => {
      this.#needs.logger.error('The content of redacted events could not be removed; it is tried again.', { error })
    }).finally(() => {
      this.#running = undefined
    })
    return this.#running
  }

  /** Finishes the batch that runs. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#timer?.cancel()
    await this.#running
  }

  async #prune(): Promise<void> {
    const { periodMs, clock, database, events } = this.#needs
    if (periodMs === null) return
    while (!this.#stopped) {
      const nids = await this.#store.due(clock.now() - periodMs, batchSize)
      if (nids.length === 0) return
      const found = await events.byNids(nids)
      await database.transaction(async (tx) => {
        for (const nid of nids) {
          const event = found.get(nid)
          if (event?.redactedBecause) await this.#store.overwrite(tx, nid, event.json)
        }
        await this.#store.done(tx, nids)
      })
    }
  }
}
