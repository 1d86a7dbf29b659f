/**
 * The directory of published rooms, page by page, largest rooms first.
 *
 * Spec: client-server API, `GET /publicRooms`, `POST /publicRooms`.
 */
import { refuse } from '@myelin/protocol/errors.ts'
import { publishedRoom, type RoomSummaries, type RoomSummary } from '#features/room-summaries/room-summaries.ts'
import { ownNetwork, type Directory } from './directory.ts'
import type { PublicRoomsQuery, RemoteDirectory } from './remote-directory.ts'

interface Needs {
  readonly directory: Directory
  readonly summaries: RoomSummaries
  readonly serverName: string
  /** Undefined where the server asks no others. */
  readonly remote: RemoteDirectory | undefined
  /** False gives an empty list always. */
  readonly isSearchEnabled: boolean
}

/** A place between two rooms of the list, and in which direction to go from it. */
interface Place {
  readonly direction: 'next' | 'previous'
  readonly joinedMembers: number
  readonly roomId: string
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
   * @throws M_INVALID_PARAM, M_NOT_FOUND where the server cannot be asked
   */
  async list(server: string | undefined, query: PublicRoomsQuery): Promise<object> {
    const { serverName, remote, isSearchEnabled } = this.#needs
    if (!isSearchEnabled) return { chunk: [], total_room_count_estimate: 0 }
    if (server === undefined || server === serverName) return this.#own(query)
    if (!remote) throw refuse('M_NOT_FOUND', `This server does not ask other servers for their rooms, so the directory of ${server} cannot be read.`)
    return remote.publicRooms(server, query)
  }

  async #own(query: PublicRoomsQuery): Promise<object> {
    const { directory, summaries } = this.#needs
    const place = query.since === undefined || query.since === '' ? undefined : parsePlace(query.since)
    const network = query.includeAllNetworks ? undefined : (query.network ?? ownNetwork)
    const all: RoomSummary[] = []
    for (const room of await directory.published(network)) {
      const summary = await summaries.of(room)
      if (summary.joinedMembers > 0) all.push(summary)
    }
    const found = all.filter((summary) => matchesQuery(summary, query)).sort(compare)
    const limit = Math.min(maxLimit, query.limit === undefined || query.limit <= 0 ? defaultLimit : query.limit)
    const { start, end } = cut(found, place, limit)
    const chunk = found.slice(start, end)
    const [first, last] = [chunk[0], chunk.at(-1)]
    return {
      chunk: chunk.map(publishedRoom),
      ...(last && end < found.length ? { next_batch: formatPlace('next', last) } : {}),
      ...(first && start > 0 ? { prev_batch: formatPlace('previous', first) } : {}),
      total_room_count_estimate: all.length,
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

function comparePlaces(a: Omit<Place, 'direction'>, b: Omit<Place, 'direction'>): number {
  if (a.joinedMembers !== b.joinedMembers) return b.joinedMembers - a.joinedMembers
  if (a.roomId === b.roomId) return 0
  return a.roomId < b.roomId ? -1 : 1
}

function compare(a: RoomSummary, b: RoomSummary): number {
  return comparePlaces({ joinedMembers: a.joinedMembers, roomId: a.room.id }, { joinedMembers: b.joinedMembers, roomId: b.room.id })
}

function matchesQuery(summary: RoomSummary, { searchTerm, roomTypes }: PublicRoomsQuery): boolean {
  if (roomTypes && !roomTypes.includes(summary.roomType ?? null)) return false
  if (searchTerm === undefined || searchTerm === '') return true
  const term = searchTerm.toLowerCase()
  return [summary.name, summary.topic, summary.canonicalAlias].some((text) => text?.toLowerCase().includes(term))
}

function formatPlace(direction: Place['direction'], { joinedMembers, room }: RoomSummary): string {
  return Buffer.from(JSON.stringify([direction, joinedMembers, room.id])).toString('base64url')
}

function parsePlace(token: string): Place {
  try {
    const value: unknown = JSON.parse(Buffer.from(token, 'base64url').toString())
    if (Array.isArray(value)) {
      const [direction, joinedMembers, roomId]: unknown[] = value
      if ((direction === 'next' || direction === 'previous') && typeof joinedMembers === 'number' && typeof roomId === 'string') {
        return { direction, joinedMembers, roomId }
      }
    }
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
  }
  throw refuse('M_INVALID_PARAM', 'The token in "since" is not one that this server gave out; begin without a token.')
}
