/**
 * Events that a client wants to be sent later, unless it changes its mind: clients in calls renew the event that says that they have gone.
 *
 * Spec: MSC4140.
 */
import { randomBytes } from 'node:crypto'
import { MatrixError, refuse, type Errcode } from '@myelin/protocol/errors.ts'
import type { RoomId, UserId } from '@myelin/protocol/ids/ids.ts'
import type { Memberships } from '#engine/memberships.ts'
import type { RoomPurgeParticipant } from '#engine/room-purging.ts'
import type { Room } from '#engine/room.ts'
import type { Rooms } from '#engine/rooms.ts'
import type { DelayedEvent } from '#features/messages/messages.ts'
import type { Clock } from '#platform/clock.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import { isUniqueViolation } from '#platform/db/dialect.ts'
import type { Requester } from '#platform/http/requester.ts'
import type { RateLimits } from '#platform/limits/rate-limits.ts'
import type { DelayedEventRow, DelayedEventsStore } from './delayed-events.store.ts'
import type { DelayedSending } from './delayed-sending.ts'
import type { DelayedStates } from './delayed-states.ts'

interface Needs {
  readonly database: Database
  readonly clock: Clock
  readonly limits: Pick<RateLimits, 'consume'>
  readonly rooms: Rooms
  readonly memberships: Memberships
  readonly store: DelayedEventsStore
  readonly states: DelayedStates
  readonly sending: DelayedSending
  /** Longest delay in ms; null where events cannot be delayed. */
  readonly longestMs: number | null
}

/** Events that one user may have scheduled. */
const scheduledLimit = 100
/** What became of an event is told for so long. */
const rememberedMs = 7 * 24 * 3600 * 1000
const always = Number.MAX_SAFE_INTEGER

export class DelayedEvents implements RoomPurgeParticipant {
  readonly #needs: Needs

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /**
   * Schedules an event. Whether the user may send it is seen when it is sent.
   * @param delayMs from now on
   * @returns the id by which it is managed; the same for the same transaction id
   * @throws M_INVALID_PARAM, M_FORBIDDEN for who is not in the room, M_LIMIT_EXCEEDED, M_UNKNOWN (400) where the server delays no events, not for so long
   *   or not so many
   */
  async schedule(requester: Requester, roomId: RoomId, event: DelayedEvent, delayMs: number): Promise<string> {
    const { database, clock, rooms, memberships, limits, store, states, sending } = this.#needs
    this.#assertDelay(delayMs)
    const room = await rooms.require(roomId)
    if (!(await memberships.isJoined(room, requester.userId))) throw refuse('M_FORBIDDEN', 'You are not in the room; join it first.')
    const txnKey = transactionKey(requester, room.nid, event)
    const known = txnKey === undefined ? undefined : await store.byTransaction(txnKey)
    if (known !== undefined) return known
    if (requester.rateLimited) limits.consume('rc_message', requester.userId)
    const now = clock.now()
    const row: DelayedEventRow = {
      delay_id: `delay_${randomBytes(18).toString('base64url')}`, user_id: requester.userId, device_id: requester.deviceId ?? null, txn_key: txnKey ?? null,
      room_nid: room.nid, event_type: event.type, state_key: event.stateKey ?? null, content: JSON.stringify(event.content), sticky_ms: event.stickyMs ?? null,
      delay_ms: delayMs, running_since: now, send_ts: now + delayMs, finalised_ts: null, event_id: null, error: null,
    }
    try {
      await database.transaction(async (tx) => {
        if ((await store.scheduledOf(requester.userId, tx)).length >= scheduledLimit) {
          throw refused('M_MAX_DELAYED_EVENTS_EXCEEDED', `You have scheduled ${scheduledLimit} events; cancel some of them first.`)
        }
        await store.insert(tx, row)
        tx.afterCommit(() => {
          states.add(row)
          sending.scheduled(now + delayMs)
        })
      })
    } catch (error) {
      // The same request has arrived twice at once.
      const twin = isUniqueViolation(error) && txnKey !== undefined ? await store.byTransaction(txnKey) : undefined
      if (twin === undefined) throw error
      return twin
    }
    return row.delay_id
  }

  /** Lets the delay begin anew. @throws M_NOT_FOUND where it is not scheduled */
  async restart(delayId: string): Promise<void> {
    const { database, clock, store } = this.#needs
    if (!(await database.transaction((tx) => store.restart(tx, delayId, clock.now())))) throw notScheduled()
  }

  /** Never sends it. @throws M_NOT_FOUND where it is not scheduled */
  async cancel(delayId: string): Promise<void> {
    const { database, clock, store, states } = this.#needs
    const isCancelled = await database.transaction(async (tx) => {
      tx.afterCommit(() => states.remove(delayId))
      return store.finalise(tx, delayId, always, clock.now(), {})
    })
    if (!isCancelled) throw notScheduled()
  }

  /**
   * Sends it now; nothing happens where it was sent already.
   * @throws M_NOT_FOUND where it is unknown or cancelled, M_LIMIT_EXCEEDED, else what sending it refuses or has refused
   */
  async send(delayId: string): Promise<void> {
    const row = await this.#needs.store.one(delayId)
    if (!row) throw notScheduled()
    if (row.send_ts !== null) return this.#needs.sending.sendNow(row)
    if (row.error !== null) throw storedError(row.error)
    if (row.event_id === null) throw notScheduled()
  }

  /** What a user has scheduled, soonest first, as JSON texts. */
  async scheduled(userId: UserId): Promise<string[]> {
    return Promise.all((await this.#needs.store.scheduledOf(userId)).map((row) => this.#text(row)))
  }

  /** One event that a user has scheduled, also when it was sent or cancelled lately, as JSON text. @throws M_NOT_FOUND */
  async require(userId: UserId, delayId: string): Promise<string> {
    const row = await this.#needs.store.one(delayId)
    if (row?.user_id !== userId) throw notScheduled()
    return this.#text(row)
  }

  async roomPurged(tx: Tx, room: Room, limit: number): Promise<boolean> {
    const { store, states } = this.#needs
    const deleted = await store.deleteRoom(tx, room.nid, limit)
    tx.afterCommit(() => {
      for (const delayId of deleted) states.remove(delayId)
    })
    return deleted.length === limit
  }

  /** Cancels everything of a user, because the account goes. */
  async cancelOf(tx: Tx, userId: UserId): Promise<void> {
    const cancelled = await this.#needs.store.cancelOf(tx, userId, this.#needs.clock.now())
    tx.afterCommit(() => { for (const delayId of cancelled) this.#needs.states.remove(delayId) })
  }

  /** Forgets what became of events long ago. */
  async forget(): Promise<void> {
    const { database, store, clock } = this.#needs
    await database.transaction((tx) => store.forget(tx, clock.now() - rememberedMs))
  }

  #assertDelay(delayMs: number): void {
    const { longestMs } = this.#needs
    if (longestMs === null) throw refused('M_MAX_DELAY_UNSUPPORTED', 'This server delays no events; send it without a delay.')
    if (delayMs < 1) throw refuse('M_INVALID_PARAM', 'The delay must be a positive number of milliseconds.')
    if (delayMs > longestMs) {
      throw refused('M_MAX_DELAY_EXCEEDED', `Events can be delayed by at most ${longestMs} ms.`, { 'org.matrix.msc4140.max_delay': longestMs })
    }
  }

  async #text(row: DelayedEventRow): Promise<string> {
    const head = JSON.stringify({
      delay_id: row.delay_id,
      room_id: (await this.#needs.rooms.byNid(row.room_nid)).id,
      type: row.event_type,
      ...(row.state_key === null ? {} : { state_key: row.state_key }),
      delay: row.delay_ms,
      running_since: row.running_since,
      ...(row.finalised_ts === null ? {} : { finalised_ts: row.finalised_ts }),
      ...(row.event_id === null ? {} : { event_id: row.event_id }),
    })
    return `${head.slice(0, -1)}${row.error === null ? '' : `,"error":${row.error}`},"content":${row.content}}`
  }
}

function transactionKey({ userId, deviceId, accessTokenId, appserviceId }: Requester, roomNid: number, { type, txnId }: DelayedEvent): string | undefined {
  if (txnId === undefined) return undefined
  if (txnId.length > 255) throw refuse('M_INVALID_PARAM', 'The transaction id is longer than 255 characters.')
  return JSON.stringify([userId, deviceId ?? accessTokenId ?? appserviceId ?? null, roomNid, type, txnId])
}

function notScheduled(): MatrixError {
  return refuse('M_NOT_FOUND', 'No event of that delay_id is scheduled; it may have been sent or cancelled.')
}

/** A refusal whose code is not in the specification yet. */
function refused(errcode: string, message: string, extra: Readonly<Record<string, unknown>> = {}): MatrixError {
  return new MatrixError(400, 'M_UNKNOWN', message, { 'org.matrix.msc4140.errcode': errcode, ...extra })
}

/** The error with which an event could not be sent. */
function storedError(text: string): MatrixError {
  const { errcode, error, ...extra }: { errcode: Errcode; error: string } = JSON.parse(text)
  return errcode === 'M_UNKNOWN' ? new MatrixError(400, errcode, error, extra) : refuse(errcode, error, extra)
}
