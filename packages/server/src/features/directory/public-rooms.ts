/**
 * The directory of published rooms, page by page, largest rooms first.
 *
 * Spec: client-server API, `GET /publicRooms`, `POST /publicRooms`.
 */
import { refuse } from '@myelin/protocol/errors.ts'
import { isServerName } from '@myelin/protocol/ids/server-name.ts'
import { publishedRoom, type RoomSummary } from '#features/room-summaries/room-summaries.ts'
import { ownNetwork } from './directory.ts'
import { comparePlaces, formatPlace, parsePlace, type Place } from './listed-place.ts'
import type { Listed, PublishedRooms } from './published-rooms.ts'
import type { PublicRoomsQuery, RemoteDirectory } from './remote-directory.ts'

interface Needs {
  readonly published: PublishedRooms
  readonly serverName: string
  readonly remote: Pick<RemoteDirectory, 'publicRooms'>
  /** False gives an empty list always. */
  readonly isSearchEnabled: boolean
}

const defaultLimit = 100
const maxLimit = 1000

export class PublicRooms {
  readonly #needs: Needs

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /**
   * A page of a directory.
   * @param server undefined for this server's
   * @throws M_INVALID_PARAM; M_FORBIDDEN where the server does not show its directory, or is not to be asked
   */
  async list(server: string | undefined, query: PublicRoomsQuery): Promise<object> {
    const { serverName, remote, isSearchEnabled } = this.#needs
    if (!isSearchEnabled) return { chunk: [], total_room_count_estimate: 0 }
    if (server === undefined || server === serverName) return this.#own(query)
    if (!isServerName(server)) throw refuse('M_INVALID_PARAM', `"${server.slice(0, 255)}" is no name of a server.`)
    return remote.publicRooms(server, query)
  }

  async #own(query: PublicRoomsQuery): Promise<object> {
    const place = query.since === undefined || query.since === '' ? undefined : parsePlace(query.since)
    const all = await this.#needs.published.of(query.includeAllNetworks ? undefined : (query.network ?? ownNetwork))
    const found = asked(all, query)
    const limit = Math.min(maxLimit, query.limit === undefined || query.limit <= 0 ? defaultLimit : query.limit)
    const { start, end } = cut(found, place, limit)
    const chunk = found.slice(start, end)
    const [first, last] = [chunk[0], chunk.at(-1)]
    return {
      chunk: chunk.map(publishedRoom),
      ...(last && end < found.length ? { next_batch: formatPlace('next', last) } : {}),
      ...(first && start > 0 ? { prev_batch: formatPlace('previous', first) } : {}),
      total_room_count_estimate: all.rooms.length,
    }
  }
}

/** Which part of the list a page shows. */
function cut(found: readonly RoomSummary[], place: Place | undefined, limit: number): { start: number; end: number } {
  if (!place) return { start: 0, end: Math.min(limit, found.length) }
  const isBehind = (summary: RoomSummary): boolean => comparePlaces(place, { joinedMembers: summary.joinedMembers, roomId: summary.room.id }) < 0
  if (place.direction === 'next') {
    const index = found.findIndex(isBehind)
    const start = index < 0 ? found.length : index
    return { start, end: Math.min(start + limit, found.length) }
  }
  const index = found.findIndex((summary) => isBehind(summary) || summary.room.id === place.roomId)
  const end = index < 0 ? found.length : index
  return { start: Math.max(0, end - limit), end }
}

/** The rooms that a query asks for, in order. */
function asked({ rooms, texts }: Listed, { searchTerm, roomTypes }: PublicRoomsQuery): readonly RoomSummary[] {
  const term = searchTerm?.toLowerCase() ?? ''
  const named = term === '' ? rooms : texts.indicesOf(term).map((index) => rooms[index]).filter((room) => room !== undefined)
  return roomTypes ? named.filter((room) => roomTypes.includes(room.roomType ?? null)) : named
}
