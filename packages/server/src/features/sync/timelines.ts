/**
 * The newest events of a room that a user may and wants to see, in a range of the stream.
 *
 * Spec: client-server API, "Syncing", `timeline`; "Ignoring Users"; "Room History Visibility".
 */
import type { EventFilter } from '@myelin/protocol/filters/event-filter.ts'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import { formatRoomPoint, pointAfter, pointBefore } from '#engine/room-point.ts'
import type { Room } from '#engine/room.ts'
import type { StoredEvent } from '#engine/stored-event.ts'
import type { VisibleEvent } from '#engine/visibility.ts'
import type { SyncSources } from './sources.ts'

/** What is asked for. */
export interface TimelineRequest {
  readonly room: Room
  readonly userId: UserId
  /** Events with `after < position <= upTo`. */
  readonly after: number
  readonly upTo: number
  readonly limit: number
  readonly filter: EventFilter
  readonly ignored: ReadonlySet<string>
  /** All events of the range, oldest first, where memory has them. */
  readonly recent: readonly StoredEvent[] | undefined
  /** Root of the state that the user may read: events that hold it are shown also where the history of their time is hidden. */
  readonly readableRoot?: (() => Promise<number>) | undefined
}

/** A timeline. */
export interface Timeline {
  /** Oldest first. */
  readonly shown: readonly VisibleEvent[]
  readonly limited: boolean
  /** Whether `shown` are all events that the range holds, so that it tells every change of the state. */
  readonly isComplete: boolean
  /** The newest event of the range, shown or not. */
  readonly newest: StoredEvent | undefined
  /** Token from which earlier events can be read; undefined where the range holds none. */
  readonly previous: string | undefined
}

/** First guess of how many events must be read to show one, then more and more. */
const smallestPage = 20
const largestPage = 500
/** Reading stops after this many pages, however little was visible. */
const maxPages = 20

export class Timelines {
  readonly #sources: Pick<SyncSources, 'events' | 'visibility' | 'related' | 'states'>

  constructor(sources: Pick<SyncSources, 'events' | 'visibility' | 'related' | 'states'>) {
    this.#sources = sources
  }

  async load(request: TimelineRequest): Promise<Timeline> {
    const { limit } = request
    const picked: VisibleEvent[] = []
    let newest: StoredEvent | undefined
    let scanned = 0
    let limited = false
    for await (const { page, isFinal } of this.#pages(request)) {
      newest ??= page.at(-1)
      scanned += page.length
      const visible = await this.#visible(request, page)
      const missing = limit - picked.length
      picked.push(...visible.slice(Math.max(0, visible.length - missing)).reverse())
      limited = visible.length > missing || isFinal
      if (limited) break
    }
    const first = picked.at(-1)?.event
    return {
      shown: picked.reverse(),
      limited,
      isComplete: !limited && picked.length === scanned,
      newest,
      previous: first ? formatRoomPoint(pointBefore(first)) : newest && limited ? formatRoomPoint(pointAfter(newest)) : undefined,
    }
  }

  /** Pages from the end of the range to its beginning, each oldest first; `isFinal` where reading stops although the range goes on. */
  async *#pages({ room, after, upTo, limit, recent }: TimelineRequest): AsyncGenerator<{ readonly page: readonly StoredEvent[]; readonly isFinal: boolean }> {
    let size = Math.max(limit + 1, recent ? 1 : smallestPage)
    let end = recent?.length ?? upTo
    for (let count = 0; count < maxPages; count += 1) {
      const page = recent ? recent.slice(Math.max(0, end - size), end) : await this.#sources.events.roomTail(room, after, end, size)
      const isLast = page.length < size
      if (page.length > 0) yield { page, isFinal: !isLast && count === maxPages - 1 }
      if (isLast) return
      end = recent ? end - page.length : (page[0]?.streamOrdering ?? after) - 1
      size = Math.min(largestPage, size * 2)
    }
  }

  async #visible(request: TimelineRequest, page: readonly StoredEvent[]): Promise<VisibleEvent[]> {
    const { filter, ignored } = request
    if (filter.matchesEverything && ignored.size === 0) return this.#readable(request, page)
    const related = filter.needsRelations
      ? await this.#sources.related.lookUp(request.room, page)
      : undefined
    const wanted = page.filter((stored) =>
      filter.matches(stored.event, related?.(stored.nid)) && (stored.isState || !ignored.has(stored.event.sender)))
    return this.#readable(request, wanted)
  }

  async #readable({ userId, room, readableRoot }: TimelineRequest, events: readonly StoredEvent[]): Promise<VisibleEvent[]> {
    const { visibility, states } = this.#sources
    const visible = await visibility.filter(userId, events)
    if (visible.length === events.length || !readableRoot) return visible
    const shown = new Map(visible.map((item) => [item.event.nid, item]))
    const readable: VisibleEvent[] = []
    for (const event of events) {
      const item = shown.get(event.nid)
      const { type, stateKey } = event.event
      if (item) readable.push(item)
      else if (stateKey !== undefined && !event.rejected && (await states.nidOf(room, await readableRoot(), type, stateKey)) === event.nid) {
        readable.push({ event })
      }
    }
    return readable
  }
}
