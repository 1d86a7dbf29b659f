/**
 * When rooms were last active: the place of their newest event, by which room lists are sorted, and of their newest event that a reader would call
 * activity. Known from memory for rooms that somebody asked for or that were active since the start.
 *
 * Spec: MSC4186, "Activity ordering", `bump_stamp`.
 */
import type { Stream } from '#platform/streams/stream.ts'
import type { EventsStore } from './events.store.ts'
import type { Events } from './events.ts'
import type { Names } from './names.ts'
import type { EventsRow } from './stored-event.ts'

/** Types whose events bump a room. */
export const bumpTypes: readonly string[] = [
  'm.room.create', 'm.room.message', 'm.room.encrypted', 'm.sticker', 'm.call.invite', 'm.poll.start', 'org.matrix.msc3381.poll.start', 'm.beacon_info',
  'org.matrix.msc3672.beacon_info',
]

/** More rooms are not remembered; those that were active longest ago are looked up again. */
const roomsLimit = 200_000
/** Events of a room that are looked through at first, then at a time, and at most. Where none of them bumps, the room counts as bumped before them. */
const firstScan = 20
const scanPage = 500
const scanLimit = 10_000

export class RoomActivity {
  readonly #store: EventsStore
  readonly #names: Names
  readonly #last = new Map<number, number>()
  readonly #bumps = new Map<number, number>()

  constructor(needs: { readonly events: Events; readonly names: Names; readonly stream: Stream<EventsRow> }) {
    this.#store = needs.events.store
    this.#names = needs.names
    const bumping = new Set(bumpTypes)
    needs.stream.onAdvance((entries) => {
      for (const { id, row: { event } } of entries) {
        if (event.rejected || event.softFailed) continue
        remember(this.#last, event.room.nid, id)
        if (bumping.has(event.event.type)) remember(this.#bumps, event.room.nid, id)
      }
    })
  }

  /** Place of the newest event of each room, by room number. */
  async lastOf(roomNids: Iterable<number>): Promise<Map<number, number>> {
    return this.#of(roomNids, this.#last, async (missing) => {
      const rows = await this.#store.lastPlaces(missing)
      return rows.map((row) => [row.room_nid, row.place ?? 0])
    })
  }

  /** Place of the newest event of each room that bumps it, by room number. */
  async bumpsOf(roomNids: Iterable<number>): Promise<Map<number, number>> {
    return this.#of(roomNids, this.#bumps, async (missing) => {
      const found = await Promise.all(bumpTypes.map((type) => this.#names.find(type)))
      const typeNids = found.filter((nid) => nid !== undefined)
      const places: [number, number][] = []
      for (const row of await this.#store.lastOfTypes(missing, firstScan, typeNids)) {
        places.push([row.room_nid, row.place ?? (await this.#scan(row.room_nid, typeNids))])
      }
      return places
    })
  }

  async #of(
    roomNids: Iterable<number>, known: Map<number, number>, load: (missing: readonly number[]) => Promise<readonly (readonly [number, number])[]>,
  ): Promise<Map<number, number>> {
    const places = new Map<number, number>()
    const missing: number[] = []
    for (const nid of roomNids) {
      const place = known.get(nid)
      if (place === undefined) missing.push(nid)
      else places.set(nid, place)
    }
    if (missing.length === 0) return places
    for (const [nid, place] of await load(missing)) {
      // An event may have come while the tables were read.
      const newest = Math.max(place, known.get(nid) ?? place)
      remember(known, nid, newest)
      places.set(nid, newest)
    }
    return places
  }

  /** Looks further back in one room, a page at a time. */
  async #scan(roomNid: number, typeNids: readonly number[]): Promise<number> {
    let upTo = Number.MAX_SAFE_INTEGER
    let place = 0
    for (let scanned = 0; scanned < scanLimit; scanned += scanPage) {
      const page = await this.#store.scanTypes({ roomNid, upTo, limit: scanPage, typeNids })
      if (page.place !== null) return page.place
      place = page.oldest ?? place
      if (page.seen < scanPage) return place
      upTo = place - 1
    }
    return place
  }
}

function remember(known: Map<number, number>, roomNid: number, place: number): void {
  known.delete(roomNid)
  known.set(roomNid, place)
  if (known.size <= roomsLimit) return
  const [oldest] = known.keys()
  if (oldest !== undefined) known.delete(oldest)
}
