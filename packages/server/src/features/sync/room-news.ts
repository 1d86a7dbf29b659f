/**
 * When something last happened in each room, so that a sync passes over quiet rooms without reading anything; and the newest events of rooms from memory.
 */
import type { Events } from '#engine/events.ts'
import type { EventsRow, StoredEvent } from '#engine/stored-event.ts'
import type { ReadStream } from './sources.ts'

/** More rooms are not remembered; forgotten ones count as rooms with news. */
const roomsLimit = 200_000

export class RoomNews {
  readonly #events: Events
  readonly #stream: ReadStream<EventsRow>
  /** Place of a room's newest event, or a place after which it has none. */
  readonly #last = new Map<number, number>()
  readonly #start: number
  #forgot = false

  constructor(needs: { readonly events: Events; readonly eventsStream: ReadStream<EventsRow> }) {
    this.#events = needs.events
    this.#stream = needs.eventsStream
    this.#start = needs.eventsStream.position
    needs.eventsStream.onAdvance((entries) => {
      for (const { id, row } of entries) this.#set(row.event.room.nid, id)
    })
  }

  /** Whether something may have happened in a room after a position. */
  mayHaveNews(roomNid: number, since: number): boolean {
    const last = this.#last.get(roomNid)
    if (last !== undefined) return last > since
    return this.#forgot || since < this.#start
  }

  /** A look into the tables found nothing in the room after `since`, up to `upTo`. */
  quiet(roomNid: number, since: number, upTo: number): void {
    if (upTo >= this.#start && !this.#last.has(roomNid)) this.#set(roomNid, since)
  }

  /**
   * Events with `since < position <= upTo` by room number, oldest first, for rooms that `wants` accepts.
   * @returns undefined where memory does not reach back to `since`
   */
  async between(since: number, upTo: number, wants: (roomNid: number) => boolean): Promise<Map<number, StoredEvent[]> | undefined> {
    const entries = this.#stream.since(since)
    if (!entries) return undefined
    const byRoom = new Map<number, StoredEvent[]>()
    const nids: number[] = []
    for (const { id, row } of entries) {
      if (id > upTo) break
      const { event } = row
      if (event.rejected || event.softFailed || !wants(event.room.nid)) continue
      nids.push(event.nid)
    }
    if (nids.length === 0) return byRoom
    // The stream holds events as they were sent; what they are now, redactions applied, is known to `Events`.
    const current = await this.#events.byNids(nids)
    for (const nid of nids) {
      const event = current.get(nid)
      if (!event) continue
      const list = byRoom.get(event.room.nid)
      if (list) list.push(event)
      else byRoom.set(event.room.nid, [event])
    }
    return byRoom
  }

  #set(roomNid: number, position: number): void {
    this.#last.delete(roomNid)
    this.#last.set(roomNid, position)
    if (this.#last.size <= roomsLimit) return
    const [oldest] = this.#last.keys()
    if (oldest !== undefined) this.#last.delete(oldest)
    this.#forgot = true
  }
}
