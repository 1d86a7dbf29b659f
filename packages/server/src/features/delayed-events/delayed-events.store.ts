/** Queries of `delayed_events`. A row is scheduled as long as it has a `send_ts`; then it is finalised. */
import { sql, type Selectable } from 'kysely'
import type { EventId, UserId } from '@myelin/protocol/ids/ids.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import { PagedDelete } from '#platform/db/paged-delete.ts'
import { buildersFor, prepare, type Prepared } from '#platform/db/query.ts'
import type { DelayedEventsTable, Tables } from '#schema/tables.gen.ts'

/** A row of `delayed_events`. */
export type DelayedEventRow = Selectable<DelayedEventsTable>

/** State that a delayed event is going to set. */
export type DelayedState = Pick<DelayedEventRow, 'delay_id' | 'user_id' | 'room_nid' | 'event_type' | 'state_key'>

/** What became of a delayed event: its id once it was sent, an error as JSON text, or neither where it was cancelled. */
export interface Outcome {
  readonly eventId?: EventId
  readonly error?: string
}

export class DelayedEventsStore {
  readonly #database: Database
  readonly #one: Prepared<{ delayId: string }, DelayedEventRow>
  readonly #byTransaction: Prepared<{ txnKey: string }, { delay_id: string }>
  readonly #scheduledOf: Prepared<{ userId: UserId }, DelayedEventRow>
  readonly #scheduledStates: Prepared<Record<string, never>, DelayedState>
  readonly #due: Prepared<{ upTo: number; limit: number }, DelayedEventRow>
  readonly #next: Prepared<Record<string, never>, { send_ts: number | null }>
  readonly #insert: Prepared<DelayedEventRow, unknown>
  readonly #restart: Prepared<{ delayId: string; now: number }, { send_ts: number | null }>
  readonly #postpone: Prepared<{ delayId: string; sendTs: number }, unknown>
  readonly #finalise: Prepared<{ delayId: string; dueBy: number; now: number; eventId: EventId | null; error: string | null }, { delay_id: string }>
  readonly #cancelOf: Prepared<{ userId: UserId; now: number }, { delay_id: string }>
  readonly #deleteRoom = new PagedDelete('delayedEvents.deleteRoom', 'delayed_events', 'room_nid', ['delay_id'], 'delay_id')
  readonly #forget: Prepared<{ before: number }, unknown>

  constructor(database: Database) {
    this.#database = database
    const db = buildersFor<Pick<Tables, 'delayed_events'>>(database.dialect)
    const events = db.selectFrom('delayed_events')
    this.#one = prepare('delayedEvents.one', ({ delayId }) => events.selectAll().where('delay_id', '=', delayId))
    this.#byTransaction = prepare('delayedEvents.byTransaction', ({ txnKey }) => events.select('delay_id').where('txn_key', '=', txnKey))
    this.#scheduledOf = prepare('delayedEvents.scheduledOf', ({ userId }) =>
      events.selectAll().where('user_id', '=', userId).where('send_ts', 'is not', null).orderBy('send_ts').orderBy('delay_id'))
    this.#scheduledStates = prepare('delayedEvents.scheduledStates', () =>
      events.select(['delay_id', 'user_id', 'room_nid', 'event_type', 'state_key']).where('send_ts', 'is not', null).where('state_key', 'is not', null))
    this.#due = prepare('delayedEvents.due', ({ upTo, limit }) =>
      events.selectAll().where('send_ts', '<=', upTo).orderBy('send_ts').orderBy('delay_id').limit(limit))
    this.#next = prepare('delayedEvents.next', () => events.select((eb) => eb.fn.min('send_ts').as('send_ts')))
    this.#insert = prepare('delayedEvents.insert', (row) => db.insertInto('delayed_events').values({
      delay_id: row.delay_id, user_id: row.user_id, device_id: row.device_id, txn_key: row.txn_key, room_nid: row.room_nid, event_type: row.event_type,
      state_key: row.state_key, content: row.content, sticky_ms: row.sticky_ms, delay_ms: row.delay_ms, running_since: row.running_since, send_ts: row.send_ts,
      finalised_ts: row.finalised_ts, event_id: row.event_id, error: row.error,
    }))
    this.#restart = prepare('delayedEvents.restart', ({ delayId, now }) =>
      db.updateTable('delayed_events').set({ running_since: now, send_ts: sql<number>`delay_ms + ${now}` })
        .where('delay_id', '=', delayId).where('send_ts', 'is not', null).returning('send_ts'))
    this.#postpone = prepare('delayedEvents.postpone', ({ delayId, sendTs }) =>
      db.updateTable('delayed_events').set({ send_ts: sendTs }).where('delay_id', '=', delayId).where('send_ts', 'is not', null))
    this.#finalise = prepare('delayedEvents.finalise', ({ delayId, dueBy, now, eventId, error }) =>
      db.updateTable('delayed_events').set({ send_ts: null, finalised_ts: now, event_id: eventId, error })
        .where('delay_id', '=', delayId).where('send_ts', '<=', dueBy).returning('delay_id'))
    this.#cancelOf = prepare('delayedEvents.cancelOf', ({ userId, now }) =>
      db.updateTable('delayed_events').set({ send_ts: null, finalised_ts: now })
        .where('user_id', '=', userId).where('send_ts', 'is not', null).returning('delay_id'))
    this.#forget = prepare('delayedEvents.forget', ({ before }) => db.deleteFrom('delayed_events').where('finalised_ts', '<', before))
  }

  one(delayId: string): Promise<DelayedEventRow | undefined> {
    return this.#one.first(this.#database, { delayId })
  }

  /** The delayed event that a request has scheduled before. */
  async byTransaction(txnKey: string): Promise<string | undefined> {
    return (await this.#byTransaction.first(this.#database, { txnKey }))?.delay_id
  }

  /** What a user has scheduled, soonest first. */
  scheduledOf(userId: UserId, runner: Database | Tx = this.#database): Promise<DelayedEventRow[]> {
    return this.#scheduledOf.all(runner, { userId })
  }

  /** All state that is scheduled. */
  scheduledStates(): Promise<DelayedState[]> {
    return this.#scheduledStates.all(this.#database, {})
  }

  /** What must be sent by now, oldest first. */
  due(upTo: number, limit: number): Promise<DelayedEventRow[]> {
    return this.#due.all(this.#database, { upTo, limit })
  }

  /** When the next one must be sent. */
  async next(): Promise<number | undefined> {
    return (await this.#next.first(this.#database, {}))?.send_ts ?? undefined
  }

  async insert(tx: Tx, row: DelayedEventRow): Promise<void> {
    await this.#insert.run(tx, row)
  }

  /** Lets the delay begin anew. @returns false where it is no longer scheduled */
  async restart(tx: Tx, delayId: string, now: number): Promise<boolean> {
    return (await this.#restart.first(tx, { delayId, now })) !== undefined
  }

  async postpone(tx: Tx, delayId: string, sendTs: number): Promise<void> {
    await this.#postpone.run(tx, { delayId, sendTs })
  }

  /**
   * Notes what became of a scheduled event.
   * @param dueBy only where it is to be sent by then
   * @returns false where it is not, or no longer scheduled
   */
  async finalise(tx: Tx, delayId: string, dueBy: number, now: number, { eventId, error }: Outcome): Promise<boolean> {
    return (await this.#finalise.first(tx, { delayId, dueBy, now, eventId: eventId ?? null, error: error ?? null })) !== undefined
  }

  /** Cancels everything that a user has scheduled. @returns what it was */
  async cancelOf(tx: Tx, userId: UserId, now: number): Promise<string[]> {
    return (await this.#cancelOf.all(tx, { userId, now })).map((row) => row.delay_id)
  }

  /** Deletes what was to be sent into a room. @returns which, at most `limit` */
  async deleteRoom(tx: Tx, roomNid: number, limit: number): Promise<string[]> {
    return (await this.#deleteRoom.run<{ delay_id: string }>(tx, roomNid, limit)).map((row) => row.delay_id)
  }

  /** Deletes what was finalised before a moment. */
  async forget(tx: Tx, before: number): Promise<void> {
    await this.#forget.run(tx, { before })
  }
}
