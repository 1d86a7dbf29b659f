/**
 * Deletes what a room's past said: events that are no state, all but the newest, for good. State stays, because later states are built on it; so do
 * redactions of events that stay.
 */
import type { EventId } from '@myelin/protocol/ids/ids.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import type { Events } from './events.ts'
import { HistoryPurgingStore, type PastEvent } from './history-purging.store.ts'
import type { Names } from './names.ts'
import type { Room } from './room.ts'

/** An event that is deleted. */
export interface PurgedEvent {
  readonly nid: number
  readonly eventId: EventId
  /** Undefined for an event that is no part of the timeline. */
  readonly streamOrdering: number | undefined
}

/** What is kept about events elsewhere and must go with them. */
export interface PurgeParticipant {
  /** Called inside of the transaction that deletes the events. */
  purged(tx: Tx, room: Room, events: readonly PurgedEvent[]): Promise<void>
}

interface Needs {
  readonly database: Database
  readonly events: Events
  readonly names: Names
}

/** Events that are looked at, and deleted, at once. */
const pageSize = 200

export class HistoryPurging {
  readonly #needs: Needs
  readonly #store: HistoryPurgingStore
  readonly #participants: PurgeParticipant[] = []

  constructor(needs: Needs) {
    this.#needs = needs
    this.#store = new HistoryPurgingStore(needs.database)
  }

  /** Slices add what they keep about events when the server is built. */
  addParticipant(participant: PurgeParticipant): void {
    this.#participants.push(participant)
  }

  /**
   * Deletes what the server received before a time, page by page; each page is whole or absent after a crash.
   * @param before milliseconds since 1970
   * @param signal stops it between two pages
   * @returns how many events were deleted
   */
  async purge(room: Room, before: number, signal: AbortSignal): Promise<number> {
    const redactionNid = await this.#needs.names.find('m.room.redaction')
    let count = 0
    let after = Number.MIN_SAFE_INTEGER
    while (!signal.aborted) {
      const page = await this.#store.page(room.nid, after, pageSize)
      const last = page.at(-1)
      if (!last) break
      count += await this.#purgePage(room, page.filter((event) => event.state_key_nid === null && event.received_ts < before), redactionNid)
      // What was received later has a higher place; only history that was fetched afterwards has lower ones.
      if (page.length < pageSize || (last.stream_ordering > 0 && last.received_ts >= before)) break
      after = last.stream_ordering
    }
    return count
  }

  async #purgePage(room: Room, due: readonly PastEvent[], redactionNid: number | undefined): Promise<number> {
    if (due.length === 0) return 0
    const { events, database } = this.#needs
    const newest = new Set((await events.store.extremities(room.nid)).map((row) => row.event_nid))
    const kept = await this.#redactionsToKeep(room, due, redactionNid)
    const gone = due.filter((event) => !newest.has(event.event_nid) && !kept.has(event.event_nid))
      .map((event): PurgedEvent => ({ nid: event.event_nid, eventId: event.event_id, streamOrdering: event.stream_ordering }))
    if (gone.length === 0) return 0
    await database.transaction((tx) => this.delete(tx, room, gone))
    return gone.length
  }

  /** Deletes events with what is kept about them. */
  async delete(tx: Tx, room: Room, events: readonly PurgedEvent[]): Promise<void> {
    for (const participant of this.#participants) await participant.purged(tx, room, events)
    await this.#store.delete(tx, events.map((event) => event.nid))
    tx.afterCommit(() => this.#needs.events.forget(events))
  }

  /** Redactions whose targets stay: without them, the targets would be seen again. */
  async #redactionsToKeep(room: Room, due: readonly PastEvent[], redactionNid: number | undefined): Promise<Set<number>> {
    const redactions = due.filter((event) => event.type_nid === redactionNid)
    if (redactions.length === 0) return new Set()
    const going = new Set<string>(due.map((event) => event.event_id))
    const kept = new Set<number>()
    for (const redaction of (await this.#needs.events.byNids(redactions.map((event) => event.event_nid))).values()) {
      const { redacts } = redaction.event
      if (redacts === undefined || going.has(redacts)) continue
      if (await this.#needs.events.get(room, redacts)) kept.add(redaction.nid)
    }
    return kept
  }
}
