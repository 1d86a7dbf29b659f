/**
 * What one server is to be sent, in order: one transaction at a time, the same again until it is answered. After an outage, and where too much
 * has gathered, the newest event of each room is sent instead of all: the server fetches what lies between.
 *
 * Spec: server-server API, "Transactions".
 */
import type { ServerName } from '@myelin/protocol/ids/ids.ts'
import type { JsonObject } from '@myelin/protocol/json/json.ts'
import type { Clock, Timer } from '#platform/clock.ts'
import type { Tx } from '#platform/db/database.ts'
import { RemoteError } from '#platform/fetch/remote-error.ts'
import type { Logger } from '#platform/log/logger.ts'
import { FederationRefusal, pathOf, type Federation } from '#features/federation/federation.ts'

/** An event that is to be sent. */
export interface OutgoingPdu {
  /** Its place in the events stream. */
  readonly place: number
  readonly pdu: JsonObject
}

/** An EDU that is lost with the process, which is no harm. */
export interface OutgoingEdu {
  readonly edu_type: string
  readonly content: JsonObject
}

/** EDUs that must not be lost: they are read from where they are stored until they are sent. */
export interface DurableEdus {
  /** The next ones for a server, and what notes that they were sent; undefined where there are none. */
  next(destination: ServerName, limit: number): Promise<{ readonly edus: readonly OutgoingEdu[]; readonly sent: (tx: Tx) => Promise<void> } | undefined>
}

interface Needs {
  readonly destination: ServerName
  readonly clock: Clock
  readonly logger: Logger
  readonly federation: Pick<Federation, 'request' | 'retryTs' | 'backOff'>
  readonly transactionId: () => string
  readonly durable: readonly DurableEdus[]
  /** Newest events of rooms that the server has not been told of. */
  readonly behind: (limit: number) => Promise<readonly OutgoingPdu[]>
  /** Notes that a transaction was answered: up to which place events were told, if any were. */
  readonly sent: (place: number | undefined, extra: readonly ((tx: Tx) => Promise<void>)[]) => Promise<void>
}

interface Transaction {
  readonly id: string
  readonly body: JsonObject
  readonly place: number | undefined
  readonly sent: readonly ((tx: Tx) => Promise<void>)[]
}

const mostPdus = 50
const mostEdus = 100
/** More waiting events than this are caught up on room by room. */
const longestQueue = 500

export class DestinationQueue {
  readonly #needs: Needs
  readonly #pdus: OutgoingPdu[] = []
  readonly #edus = new Map<string, OutgoingEdu>()
  #isBehind: boolean
  /** An event came while it was read what the server has not been told of. */
  #cameMeanwhile = false
  #transaction: Transaction | undefined
  #running: Promise<void> | undefined
  #timer: Timer | undefined
  #isStopped = false
  #eduCount = 0

  /** @param isBehind whether the server was not told of everything when this one stopped */
  constructor(needs: Needs, isBehind: boolean) {
    this.#needs = needs
    this.#isBehind = isBehind
  }

  /** Adds an event; events are added in the order of their places. */
  push(pdu: OutgoingPdu): void {
    if (this.#isBehind) this.#cameMeanwhile = true
    else this.#pdus.push(pdu)
    if (this.#pdus.length > longestQueue) this.#fallBehind()
    this.wake()
  }

  /**
   * Adds an EDU.
   * @param key an EDU that waits under the same key is replaced
   */
  pushEdu(edu: OutgoingEdu, key = `#${this.#eduCount++}`): void {
    this.#edus.delete(key)
    this.#edus.set(key, edu)
    const [oldest] = this.#edus.keys()
    if (this.#edus.size > longestQueue && oldest !== undefined) this.#edus.delete(oldest)
    this.wake()
  }

  /** Sends what there is, unless the server is being left alone. */
  wake(): void {
    if (this.#running || this.#isStopped) return
    this.#running = this.#run().catch((error: unknown) => {
      this.#needs.logger.error(`Could not send to ${this.#needs.destination}; it is tried again.`, { error })
      this.#sleepUntil(this.#needs.clock.now() + 60_000)
    }).finally(() => {
      this.#running = undefined
      if (!this.#timer && (this.#pdus.length > 0 || this.#edus.size > 0 || this.#cameMeanwhile)) this.wake()
    })
  }

  /** Sends no more, and waits for the transaction that is under way. */
  async stop(): Promise<void> {
    this.#isStopped = true
    this.#timer?.cancel()
    await this.#running
  }

  /** Resolves once nothing waits, or the server is being left alone. */
  async settled(): Promise<void> {
    while (this.#running) await this.#running
  }

  async #run(): Promise<void> {
    const { federation, destination, clock } = this.#needs
    this.#timer?.cancel()
    this.#timer = undefined
    while (!this.#isStopped) {
      const retryTs = federation.retryTs(destination)
      if (retryTs > clock.now()) {
        this.#sleepUntil(retryTs)
        return
      }
      this.#transaction ??= await this.#next()
      if (!this.#transaction) return
      if (!(await this.#send(this.#transaction))) continue
      await this.#needs.sent(this.#transaction.place, this.#transaction.sent)
      this.#transaction = undefined
    }
  }

  /** @returns whether the transaction is done with: answered, or refused for good */
  async #send({ id, body }: Transaction): Promise<boolean> {
    const { federation, destination, logger, clock } = this.#needs
    try {
      await federation.request(destination, { method: 'PUT', path: pathOf(['federation/v1/send', id]), body })
      return true
    } catch (error) {
      if (error instanceof FederationRefusal && !isPassing(error.status)) {
        logger.warn(`${destination} refuses a transaction, which is not sent again. ${error.message}`)
        return true
      }
      if (!(error instanceof FederationRefusal) && !(error instanceof RemoteError)) throw error
      logger.info(`${destination} did not take a transaction: ${error.message}`)
      if (federation.retryTs(destination) <= clock.now()) await federation.backOff(destination)
      this.#fallBehind()
      return false
    }
  }

  async #next(): Promise<Transaction | undefined> {
    const pdus = await this.#nextPdus()
    const edus = [...this.#edus].slice(0, mostEdus)
    for (const [key] of edus) this.#edus.delete(key)
    const all = edus.map(([, edu]) => edu)
    const sent: ((tx: Tx) => Promise<void>)[] = []
    for (const source of this.#needs.durable) {
      const found = all.length < mostEdus ? await source.next(this.#needs.destination, mostEdus - all.length) : undefined
      if (found) sent.push(found.sent)
      all.push(...(found?.edus ?? []))
    }
    if (pdus.length === 0 && all.length === 0) return undefined
    const body: JsonObject = {
      pdus: pdus.map(({ pdu }) => pdu), ...(all.length === 0 ? {} : { edus: all.map(({ edu_type: type, content }) => ({ edu_type: type, content })) }),
    }
    return { id: this.#needs.transactionId(), body, place: pdus.at(-1)?.place, sent }
  }

  async #nextPdus(): Promise<readonly OutgoingPdu[]> {
    while (this.#isBehind) {
      this.#cameMeanwhile = false
      const found = await this.#needs.behind(mostPdus)
      if (found.length > 0) return found
      this.#isBehind = this.#cameMeanwhile
    }
    return this.#pdus.splice(0, mostPdus)
  }

  #fallBehind(): void {
    this.#isBehind = true
    this.#pdus.length = 0
    // What was to be sent is found again by its room; the EDUs in it that are stored are read again.
    this.#transaction = undefined
  }

  #sleepUntil(ts: number): void {
    this.#timer?.cancel()
    this.#timer = this.#needs.clock.after(ts - this.#needs.clock.now(), () => {
      this.#timer = undefined
      this.wake()
    })
  }
}

/** Whether the same request may be answered otherwise later. */
function isPassing(status: number): boolean {
  return status >= 500 || status === 401 || status === 404 || status === 408 || status === 429
}
