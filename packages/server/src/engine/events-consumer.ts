/**
 * Reads the events stream in order and stores how far it has come together with what it did, so that a restart neither loses nor repeats an effect.
 * It never holds up those who send: it follows at its own pace, and takes what has gathered meanwhile as one batch.
 */
import type { Clock, Timer } from '#platform/clock.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import { Pace } from '#platform/jobs/pace.ts'
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
  /** Where a consumer begins that never ran: with the first event, history that was fetched later included, or with the next. */
  readonly begin: 'oldest' | 'next'
  readonly database: Database
  readonly events: Events
  readonly stream: Stream<EventsRow>
  readonly clock: Clock
  readonly logger: Logger
  readonly work: EventsWork
  /** Events wait so long for others, in ms, so that one batch serves many; who asks for `caughtUp` ends the wait. Default 0. */
  readonly lingerMs?: number
  /** How it catches up when it is more than `above` places behind: batches of about so many ms, and a pause after each. Without, as fast as it can. */
  readonly pace?: { readonly above: number; readonly batchMs: number; readonly pauseMs: number }
}

const batchSize = 200
/** First and smallest batch of a consumer that is paced. */
const firstBatchSize = 50
const leastBatchSize = 10
/** Events without effect after which the position is stored nevertheless. */
const idleReach = 1000
const retryMs = 5000

export class EventsConsumer {
  readonly #needs: Needs
  readonly #positions: ConsumerPositionsStore
  #position: number
  #stored: number
  /** Place up to which everything was worked on and what came of it is stored. */
  #worked: number
  readonly #stop = new AbortController()
  readonly #pace: Pace | undefined
  #running: Promise<void> | undefined
  #retry: Timer | undefined
  #linger: Timer | undefined

  private constructor(needs: Needs, positions: ConsumerPositionsStore, position: number) {
    this.#needs = needs
    this.#positions = positions
    this.#position = position
    this.#stored = position
    this.#worked = position
    this.#pace = needs.pace && new Pace({ targetMs: needs.pace.batchMs, first: firstBatchSize, least: leastBatchSize })
  }

  /** Opens a consumer where it stopped and lets it run. */
  static async open(needs: Needs): Promise<EventsConsumer> {
    const positions = new ConsumerPositionsStore(needs.database)
    let position = await positions.get(needs.name)
    if (position === undefined) {
      position = needs.begin === 'next' ? needs.stream.position : Number.MIN_SAFE_INTEGER
      const first = position
      await needs.database.transaction((tx) => positions.set(tx, needs.name, first))
    }
    const consumer = new EventsConsumer(needs, positions, position)
    needs.stream.onAdvance(() => consumer.#wake())
    consumer.#start()
    return consumer
  }

  /** Number of places in the stream that it has not come to yet. */
  get lag(): number {
    return this.#needs.stream.position - this.#position
  }

  /**
   * Resolves once everything was worked on that had happened when it was called, or when the work failed and waits for its next attempt.
   * @param atMost resolves at once where more places than this are still to come
   */
  async caughtUp(atMost = Number.POSITIVE_INFINITY): Promise<void> {
    if (this.lag > atMost) return
    const target = this.#needs.stream.position
    this.#start()
    while (this.#worked < target && this.#running) await this.#running
  }

  /** Finishes the batch that runs, and stores the position. */
  async stop(): Promise<void> {
    this.#stop.abort()
    this.#retry?.cancel()
    this.#linger?.cancel()
    await this.#running
    if (this.#stored === this.#position) return
    try {
      await this.#store(async () => undefined)
    } catch (error) {
      this.#needs.logger.warn('The position in the events stream could not be stored; the next start goes a little way twice.', { consumer: this.#needs.name, error })
    }
  }

  #wake(): void {
    const { lingerMs = 0, clock } = this.#needs
    if (this.#running || this.#isStopped) return
    if (lingerMs === 0 || this.lag >= batchSize) this.#start()
    else this.#linger ??= clock.after(lingerMs, () => this.#start())
  }

  #start(): void {
    this.#linger?.cancel()
    this.#linger = undefined
    if (this.#running || this.#retry || this.#isStopped || this.lag === 0) return
    this.#running = this.#run().finally(() => {
      this.#running = undefined
      if (this.lag > 0) this.#wake()
    })
  }

  get #isStopped(): boolean {
    return this.#stop.signal.aborted
  }

  async #run(): Promise<void> {
    try {
      const { pace, clock } = this.#needs
      while (!this.#isStopped && this.lag > 0) {
        await this.#batch()
        if (pace && this.lag > pace.above) await clock.sleep(pace.pauseMs, this.#stop.signal)
      }
    } catch (error) {
      if (this.#isStopped && error === this.#stop.signal.reason) return
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
    const began = performance.now()
    const { events, end } = await this.#read(upTo, Math.min(batchSize, this.#pace?.next ?? batchSize))
    const write = await work.process(events)
    this.#position = end
    if (write || end - this.#stored >= idleReach) await this.#store(write ?? (async () => undefined))
    this.#worked = end
    this.#pace?.ran(events.length, performance.now() - began)
  }

  /** The next events as they are now, and the place up to which they reach. */
  async #read(upTo: number, limit: number): Promise<{ events: readonly StoredEvent[]; end: number }> {
    const { stream, events } = this.#needs
    const recent = stream.since(this.#position)?.slice(0, limit)
    if (!recent) {
      const found = await events.streamAfter(this.#position, upTo, limit)
      return { events: found, end: found.length < limit ? upTo : (found.at(-1)?.streamOrdering ?? upTo) }
    }
    const current = await events.byNids(recent.map(({ row }) => row.event.nid))
    // What was deleted since is no longer there.
    const found = recent.map(({ row: { event } }) => current.get(event.nid)).filter((event) => event !== undefined)
    return { events: found, end: recent.length < limit ? upTo : (recent.at(-1)?.id ?? upTo) }
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
