/**
 * Sends what was scheduled when its time has come, exactly once: that it was sent is noted in the transaction that stores the event.
 *
 * Spec: MSC4140, "Homeserver implementation details".
 */
import { MatrixError, refuse } from '@myelin/protocol/errors.ts'
import type { JsonObject } from '@myelin/protocol/json/json.ts'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import type { Account } from '#features/accounts/accounts.ts'
import type { AlongWithEvent, Messages } from '#features/messages/messages.ts'
import type { Rooms } from '#engine/rooms.ts'
import type { Clock, Timer } from '#platform/clock.ts'
import type { Database } from '#platform/db/database.ts'
import type { Requester } from '#platform/http/requester.ts'
import type { Logger } from '#platform/log/logger.ts'
import type { DelayedEventRow, DelayedEventsStore, Outcome } from './delayed-events.store.ts'
import type { DelayedStates } from './delayed-states.ts'

interface Needs {
  readonly database: Database
  readonly clock: Clock
  readonly logger: Logger
  readonly rooms: Rooms
  readonly messages: Messages
  readonly accounts: { get(userId: UserId): Promise<Account | undefined> }
  readonly store: DelayedEventsStore
  readonly states: DelayedStates
}

/** Rows that are read at once. */
const page = 50
/** After a failure of the storage it is tried again so much later. */
const retryMs = 1000
/** A time that every scheduled event is due by. */
const always = Number.MAX_SAFE_INTEGER

/** The event has been sent, cancelled or restarted meanwhile. */
class NoLongerDue extends Error {
  override readonly name = 'NoLongerDue'
}

export class DelayedSending {
  readonly #needs: Needs
  #timer: Timer | undefined
  #wakesAt = Infinity
  #run: Promise<void> | undefined
  #isStopped = false

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /** Sends what became due while the server was down, and from now on everything at its time. */
  start(): void {
    this.#wakeAt(this.#needs.clock.now())
  }

  /** Sends nothing more; resolves when what is being sent has been. */
  async stop(): Promise<void> {
    this.#isStopped = true
    this.#timer?.cancel()
    await this.#run
  }

  /** Notes that something is to be sent at a moment. */
  scheduled(sendTs: number): void {
    if (sendTs < this.#wakesAt) this.#wakeAt(sendTs)
  }

  /**
   * Sends an event now.
   * @throws what sending it refuses; it is then finalised with that error, but for M_LIMIT_EXCEEDED
   */
  async sendNow(row: DelayedEventRow): Promise<void> {
    try {
      await this.#send(row, always)
    } catch (error) {
      if (error instanceof NoLongerDue) return
      if (isFinal(error)) await this.#finalise(row, { error: JSON.stringify(error.body) })
      throw error
    }
  }

  /** Resolves when nothing is being sent. */
  async settled(): Promise<void> {
    await this.#run
  }

  #wakeAt(ts: number): void {
    if (this.#isStopped) return
    this.#timer?.cancel()
    this.#wakesAt = ts
    this.#timer = this.#needs.clock.after(Math.max(0, ts - this.#needs.clock.now()), () => {
      this.#wakesAt = Infinity
      this.#run = (this.#run ?? Promise.resolve()).then(() => this.#sendDue())
    })
  }

  async #sendDue(): Promise<void> {
    const { clock, store, logger } = this.#needs
    try {
      for (;;) {
        const rows = await store.due(clock.now(), page)
        for (const row of rows) if (!this.#isStopped) await this.#sendWhenDue(row)
        if (rows.length < page || this.#isStopped) break
      }
      const next = await store.next()
      if (next !== undefined) this.scheduled(next)
    } catch (error) {
      logger.error('Could not send delayed events; they are tried again.', { error })
      this.scheduled(clock.now() + retryMs)
    }
  }

  async #sendWhenDue(row: DelayedEventRow): Promise<void> {
    try {
      await this.#send(row, this.#needs.clock.now())
    } catch (error) {
      if (error instanceof NoLongerDue) return
      if (isFinal(error)) await this.#finalise(row, { error: JSON.stringify(error.body) })
      else if (error instanceof MatrixError) await this.#postpone(row, error)
      else throw error
    }
  }

  async #send(row: DelayedEventRow, dueBy: number): Promise<void> {
    const { clock, rooms, messages, store, states } = this.#needs
    const requester = await this.#requesterOf(row)
    const roomId = (await rooms.byNid(row.room_nid)).id
    const content: JsonObject = JSON.parse(row.content)
    const finalise: AlongWithEvent = async (tx, event) => {
      if (!(await store.finalise(tx, row.delay_id, dueBy, clock.now(), { eventId: event.event.eventId }))) throw new NoLongerDue()
      tx.afterCommit(() => states.remove(row.delay_id))
    }
    const { event_type: type, state_key: stateKey } = row
    if (stateKey === null) await messages.send(requester, roomId, { type, content, txnId: undefined, stickyMs: row.sticky_ms ?? undefined }, finalise)
    else await messages.setState(requester, roomId, { type, stateKey, content }, finalise)
  }

  /** Who has scheduled an event, as they are now. @throws where they may no longer send */
  async #requesterOf(row: DelayedEventRow): Promise<Requester> {
    const userId = row.user_id as UserId
    const account = await this.#needs.accounts.get(userId)
    if (!account || account.isDeactivated) throw refuse('M_USER_DEACTIVATED', 'The account that has scheduled the event was deactivated.')
    if (account.isLocked) throw refuse('M_USER_LOCKED', 'The account that has scheduled the event is locked.')
    if (account.isSuspended) throw refuse('M_USER_SUSPENDED', 'The account that has scheduled the event is suspended.')
    return {
      userId, deviceId: row.device_id ?? undefined, accessTokenId: undefined, isGuest: account.isGuest, isAdmin: account.isAdmin,
      isSuspended: false, isLocked: false, appserviceId: account.appserviceId, rateLimited: true,
    }
  }

  async #postpone(row: DelayedEventRow, limited: MatrixError): Promise<void> {
    const wait = limited.extra['retry_after_ms']
    const sendTs = this.#needs.clock.now() + (typeof wait === 'number' ? wait : retryMs)
    await this.#needs.database.transaction((tx) => this.#needs.store.postpone(tx, row.delay_id, sendTs))
  }

  async #finalise(row: DelayedEventRow, outcome: Outcome): Promise<void> {
    const { database, store, states, clock } = this.#needs
    await database.transaction(async (tx) => {
      await store.finalise(tx, row.delay_id, always, clock.now(), outcome)
      tx.afterCommit(() => states.remove(row.delay_id))
    })
  }
}

/** Whether an error will be the same the next time. */
function isFinal(error: unknown): error is MatrixError {
  return error instanceof MatrixError && error.errcode !== 'M_LIMIT_EXCEEDED' && error.status < 500
}
