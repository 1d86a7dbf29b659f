/**
 * Reads the events stream in order and stores how far it has come together with what it did, so that a restart neither loses nor repeats an effect.
 * It never holds up those who send: it follows at its own pace, and takes what has gathered meanwhile as one batch.
 */
import type { Clock, Timer } from '#platform/clock.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import type { Logger } from '#platform/log/logger.ts'
import type { Stream } from '#platform/streams/stream.ts'
import { ConsumerPositionsStore } from './consumer-positions.store.ts'
import type { Events } from './events.ts'
import type { EventsRow, StoredEvent } from './stored-event.ts'

/** What a consumer does with events. */
export interface EventsWork {
  /**
   * Works on a batch, oldest first, rejected events included. What it does itself may happen again after a crash.
   * @returns writes that are committed with the new position; undefined where nothing happened that is worth a commit
   */
  process(events: readonly StoredEvent[]): Promise<((tx: Tx) => Promise<void>) | undefined>
}

interface Needs {
  /** Name under which the position is stored. */
  readonly name: string
  /** Where a consumer begins that never ran: with the first event, or with the next. */
  readonly begin: 'oldest' | 'next'
  readonly database: Database
  readonly events: Events
  readonly stream: Stream<EventsRow>
  readonly clock: Clock
  readonly logger: Logger
  readonly work: EventsWork
}

const batchSize = 200
/** Events without effect after which the position is stored nevertheless. */
const idleReach = 1000
const retryMs = 5000

export class EventsConsumer {
  readonly #needs: Needs
  readonly #positions: ConsumerPositionsStore
  #position: number
  #stored: number
  #running: Promise<void> | undefined
  #retry: Timer | undefined
  #stopped = false

  private constructor(needs: Needs, positions: ConsumerPositionsStore, position: number) {
    this.#needs = needs
    this.#positions = positions
    this.#position = position
    this.#stored = position
  }

  /** Opens a consumer where it stopped and lets it run. */
  static async open(needs: Needs): Promise<EventsConsumer> {
    const positions = new ConsumerPositionsStore(needs.database)
    let position = await positions.get(needs.name)
    if (position === undefined) {
      position = needs.begin === 'next' ? needs.stream.position : 0
      const first = position
      await needs.database.transaction((tx) => positions.set(tx, needs.name, first))
    }
    const consumer = new EventsConsumer(needs, positions, position)
    needs.stream.onAdvance(() => consumer.#wake())
    consumer.#wake()
    return consumer
  }

  /** Number of places in the stream that it has not come to yet. */
  get lag(): number {
    return this.#needs.stream.position - this.#position
  }

  /** Resolves once everything was worked on that had happened when it was called, or when the work failed and waits for its next attempt. */
  async caughtUp(): Promise<void> {
    const target = this.#needs.stream.position
    while (this.#position < target && this.#running) await this.#running
  }

  /** Finishes the batch that runs, and stores the position. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#retry?.cancel()
    await this.#running
    if (this.#stored === this.#position) return
    try {
      await this.#store(async () => undefined)
    } catch (error) {
      this.#needs.logger.warn('The position in the events stream could not be stored; the next start goes a little way twice.', { consumer: this.#needs.name, error })
    }
  }

  #wake(): void {
    if (this.#running || this.#retry || this.#stopped) return
    this.#running = this.#run().finally(() => {
      this.#running = undefined
      if (this.lag > 0) this.#wake()
    })
  }

  async #run(): Promise<void> {
    try {
      while (!this.#stopped && this.lag > 0) await this.#batch()
    } catch (error) {
      this.#needs.logger.error('Events could not be worked on; it is tried again.', { consumer: this.#needs.name, position: this.#position, error })
      this.#retry = this.#needs.clock.after(retryMs, () => {
        this.#retry = undefined
        this.#wake()
      })
    }
  }

  async #batch(): Promise<void> {
    const { stream, work } = this.#needs
    const upTo = stream.position
    const { events, end } = await this.#read(upTo)
    const write = await work.process(events)
    this.#position = end
    if (write || end - this.#stored >= idleReach) await this.#store(write ?? (async () => undefined))
  }

  /** The next events as they are now, and the place up to which they reach. */
  async #read(upTo: number): Promise<{ events: readonly StoredEvent[]; end: number }> {
    const { stream, events } = this.#needs
    const recent = stream.since(this.#position)?.slice(0, batchSize)
    if (!recent) {
      const found = await events.streamAfter(this.#position, upTo, batchSize)
      return { events: found, end: found.length < batchSize ? upTo : (found.at(-1)?.streamOrdering ?? upTo) }
    }
    const current = await events.byNids(recent.map(({ row }) => row.event.nid))
    const found = recent.map(({ row: { event } }) => current.get(event.nid) ?? event)
    return { events: found, end: recent.length < batchSize ? upTo : (recent.at(-1)?.id ?? upTo) }
  }

  async #store(write: (tx: Tx) => Promise<void>): Promise<void> {
    const before = this.#stored
    const position = this.#position
    try {
      await this.#needs.database.transaction(async (tx) => {
        await write(tx)
        await this.#positions.set(tx, this.#needs.name, position)
      })
      this.#stored = position
    } catch (error) {
      this.#position = before
      throw error
    }
  }
}
