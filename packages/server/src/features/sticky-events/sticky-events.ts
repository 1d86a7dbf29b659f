/**
 * Events that reach every client for a while, also past the end of its timeline: who is in a call, for instance. All of them are held in memory, since
 * none lives longer than an hour; the table is for restarts.
 *
 * Spec: MSC4354, MSC4480.
 */
import { stickyMsOf } from '@myelin/protocol/events/sticky.ts'
import type { Reader, UnsignedSource } from '#engine/client-events.ts'
import type { PurgedEvent, PurgeParticipant } from '#engine/history-purging.ts'
import type { CommitParticipant } from '#engine/persister.ts'
import type { Room } from '#engine/room.ts'
import type { StoredEvent } from '#engine/stored-event.ts'
import type { Clock } from '#platform/clock.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import type { StickyEventsTable } from '#schema/tables.gen.ts'
import { StickyEventsStore } from './sticky-events.store.ts'

/** A sticky event by its place in the stream. */
export interface StickyEvent {
  readonly nid: number
  readonly place: number
}

interface Needs {
  readonly database: Database
  readonly clock: Clock
  /** `experimental_features.msc4354_enabled`. */
  readonly enabled: boolean
}

export class StickyEvents implements CommitParticipant, PurgeParticipant, UnsignedSource {
  readonly enabled: boolean
  readonly #needs: Needs
  readonly #store: StickyEventsStore
  readonly #byNid = new Map<number, StickyEventsTable>()
  /** In the order of the stream. */
  readonly #byRoom = new Map<number, StickyEventsTable[]>()

  private constructor(needs: Needs) {
    this.enabled = needs.enabled
    this.#needs = needs
    this.#store = new StickyEventsStore(needs.database)
  }

  static async open(needs: Needs): Promise<StickyEvents> {
    const sticky = new StickyEvents(needs)
    if (!needs.enabled) return sticky
    const now = needs.clock.now()
    await needs.database.transaction((tx) => sticky.#store.expire(tx, now))
    for (const row of await sticky.#store.unexpired(now)) sticky.#add(row)
    return sticky
  }

  /** Sticky events of a room with `after < place <= upTo`, oldest first; visibility is not asked for, as the proposal says, but membership is the caller's. */
  between(roomNid: number, after: number, upTo: number): StickyEvent[] {
    const now = this.#needs.clock.now()
    return (this.#byRoom.get(roomNid) ?? []).filter((row) => row.stream_ordering > after && row.stream_ordering <= upTo && row.expires_ts > now)
      .map((row) => ({ nid: row.event_nid, place: row.stream_ordering }))
  }

  async commit(tx: Tx, events: readonly StoredEvent[]): Promise<void> {
    const rows = this.enabled ? events.flatMap((event) => this.#rowOf(event)) : []
    if (rows.length === 0) return
    await this.#store.insert(tx, rows)
    tx.afterCommit(() => {
      for (const row of rows) this.#add(row)
    })
  }

  /** How much longer sticky events are sticky. */
  async collect(_reader: Reader, events: readonly StoredEvent[]): Promise<ReadonlyMap<number, readonly string[]>> {
    const found = new Map<number, readonly string[]>()
    if (this.#byNid.size === 0) return found
    const now = this.#needs.clock.now()
    for (const { nid, redactedBecause } of events) {
      const remainingMs = (this.#byNid.get(nid)?.expires_ts ?? 0) - now
      if (remainingMs > 0 && !redactedBecause) found.set(nid, [`"msc4354_sticky_duration_ttl_ms":${remainingMs}`])
    }
    return found
  }

  async purged(tx: Tx, _room: Room, events: readonly PurgedEvent[]): Promise<void> {
    const nids = events.map((event) => event.nid)
    await this.#store.delete(tx, nids)
    tx.afterCommit(() => this.#remove(new Set(nids)))
  }

  /** Forgets what is no longer sticky. */
  async expire(): Promise<void> {
    const now = this.#needs.clock.now()
    const gone = new Set([...this.#byNid.values()].filter((row) => row.expires_ts <= now).map((row) => row.event_nid))
    if (gone.size === 0) return
    await this.#needs.database.transaction((tx) => this.#store.expire(tx, now))
    this.#remove(gone)
  }

  /** An event begins to be sticky when it was made, and not later than when it came. */
  #rowOf(event: StoredEvent): StickyEventsTable[] {
    const { nid, room, streamOrdering: place } = event
    const durationMs = stickyMsOf(event.event.pdu)
    if (durationMs === undefined || place === undefined || place <= 0 || event.rejected || event.softFailed) return []
    const now = this.#needs.clock.now()
    const expiresTs = Math.min(now, event.event.originServerTs) + durationMs
    return expiresTs > now ? [{ event_nid: nid, room_nid: room.nid, stream_ordering: place, expires_ts: expiresTs }] : []
  }

  #add(row: StickyEventsTable): void {
    this.#byNid.set(row.event_nid, row)
    const ofRoom = this.#byRoom.get(row.room_nid)
    if (ofRoom) ofRoom.push(row)
    else this.#byRoom.set(row.room_nid, [row])
  }

  #remove(nids: ReadonlySet<number>): void {
    const rooms = new Set([...nids].flatMap((nid) => this.#byNid.get(nid)?.room_nid ?? []))
    for (const nid of nids) this.#byNid.delete(nid)
    for (const roomNid of rooms) {
      const left = (this.#byRoom.get(roomNid) ?? []).filter((row) => !nids.has(row.event_nid))
      if (left.length > 0) this.#byRoom.set(roomNid, left)
      else this.#byRoom.delete(roomNid)
    }
  }
}
