/**
 * Searching for messages, names and topics of rooms. The index finds; whether somebody may read what was found is asked for each event.
 *
 * Spec: client-server API, "Server Side Search".
 */
import { MatrixError, refuse } from '@myelin/protocol/errors.ts'
import type { EventFilter, RelatedBy } from '@myelin/protocol/filters/event-filter.ts'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import type { Events } from '#engine/events.ts'
import type { EventsConsumer } from '#engine/events-consumer.ts'
import type { Memberships } from '#engine/memberships.ts'
import type { Names } from '#engine/names.ts'
import type { RoomStates } from '#engine/room-states.ts'
import type { Room } from '#engine/room.ts'
import type { RoomWriter } from '#engine/room-writer.ts'
import type { StoredEvent } from '#engine/stored-event.ts'
import type { Visibility, VisibleEvent } from '#engine/visibility.ts'
import type { Requester } from '#platform/http/requester.ts'
import type { TextHit, TextIndex, TextOrder, TextQuery } from '#platform/db/text-index.ts'
import { searchedRooms } from './search-rooms.ts'
import { keyFacet, senderFacet } from './search.consumer.ts'
import { searchTermOf, type SearchTerm } from './search-term.ts'
import { formatSearchToken, parseSearchToken, type Group, type GroupKey, type SearchOrder, type SearchPlace } from './search-token.ts'
import { keysByType, type SearchKey } from './searchable-texts.ts'

/** Users whose events a user does not want to see. */
export interface IgnoredUsers {
  ignoredBy(userId: string): Promise<ReadonlySet<string>>
}

/** Which events relate to others, for the filters `related_by_senders` and `related_by_rel_types`. */
export interface RelatedEvents {
  lookUp(room: Room, events: readonly StoredEvent[]): Promise<(nid: number) => RelatedBy>
}

interface Needs {
  /** The option `enable_search`. */
  readonly isEnabled: boolean
  readonly index: TextIndex
  readonly indexing: Pick<EventsConsumer, 'caughtUp'>
  readonly events: Events
  readonly states: RoomStates
  readonly names: Names
  readonly memberships: Memberships
  readonly writer: RoomWriter
  readonly visibility: Visibility
  readonly ignoredUsers: IgnoredUsers
  readonly relatedTo: RelatedEvents
}

/** What is searched for. */
export interface SearchRequest {
  readonly term: string
  readonly keys: readonly SearchKey[] | undefined
  readonly filter: EventFilter
  readonly order: SearchOrder
  readonly groupBy: readonly GroupKey[]
  /** Token of the page before. */
  readonly nextBatch: string | undefined
}

/** A result. */
export interface SearchResult extends VisibleEvent {
  readonly rank: number
}

/** A page of results. */
export interface SearchPage {
  readonly term: SearchTerm
  readonly count: number
  readonly results: readonly SearchResult[]
  readonly nextBatch: string | undefined
  readonly groups: ReadonlyMap<GroupKey, ReadonlyMap<string, ResultGroup>>
}

/** Those of the results that have something in common. */
export interface ResultGroup {
  readonly order: number
  readonly eventIds: readonly string[]
  readonly nextBatch: string | undefined
}

/** What one search looks for, as the index knows it, and from where on. */
interface Search {
  readonly query: TextQuery
  readonly order: TextOrder
  readonly place: SearchPlace | undefined
}

/** A hit that the user may read. */
interface VisibleHit {
  readonly hit: TextHit
  readonly shown: VisibleEvent
}

/** What a search has brought together. */
interface Collected {
  readonly found: readonly VisibleHit[]
  /** The newest hit there is: later pages look at nothing that came after it. */
  readonly newest: number
  /** About how many results there are. */
  readonly count: number
  /** The last hit that was looked at; undefined where nothing is left. */
  readonly lastHit: TextHit | undefined
}

const usualLimit = 10
const mostResults = 100
const mostSenders = 500
/** Hits that are asked for at once, at least. */
const leastHits = 20
/** Times that one request asks the index, however little of what it finds is visible. */
const maxRounds = 10
/** A search waits for events that are not indexed yet, unless there are more than these. */
const patience = 2000

export class MessageSearch {
  readonly #needs: Needs

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /** A page of results. @throws M_INVALID_PARAM; M_UNKNOWN (400) where search is off; M_LIMIT_EXCEEDED where too many search at once */
  async search(requester: Requester, request: SearchRequest): Promise<SearchPage> {
    if (!this.#needs.isEnabled) throw new MatrixError(400, 'M_UNKNOWN', 'Search is disabled on this homeserver.')
    const term = searchTermOf(request.term)
    const place = request.nextBatch === undefined ? undefined : parseSearchToken(request.nextBatch)
    if (place && place.order !== request.order) throw refuse('M_INVALID_PARAM', 'The parameter next_batch belongs to a search of another order; send the same request with it.')
    await this.#needs.indexing.caughtUp(patience)
    const query = await this.#query(requester.userId, term, request, place?.groups ?? [])
    if (!query) return { term, count: 0, results: [], nextBatch: undefined, groups: new Map(request.groupBy.map((key) => [key, new Map()])) }
    const limit = Math.max(1, request.filter.limitWithin(usualLimit, mostResults))
    const search: Search = { query, order: request.order === 'rank' ? 'shortest' : 'newest', place }
    const { found, lastHit, newest, count } = await this.#collect(requester.userId, search, request.filter, limit)
    const next: SearchPlace | undefined = lastHit && { order: request.order, upTo: newest, count, after: lastHit, groups: place?.groups ?? [] }
    return {
      term,
      count,
      results: found.map(({ hit, shown }) => ({ ...shown, rank: Math.min(1, term.length / Math.max(1, hit.length)) })),
      nextBatch: next && formatSearchToken(next),
      groups: new Map(request.groupBy.map((key) => [key, groupsOf(found, key, next)])),
    }
  }

  /** The question to the index; undefined where nothing can be found. */
  async #query(userId: UserId, term: SearchTerm, request: SearchRequest, groups: readonly Group[]): Promise<TextQuery | undefined> {
    const { filter } = request
    const keys = [...keysByType].filter(([type, key]) => filter.matchesType(type) && (request.keys?.includes(key) ?? true)).map(([, key]) => key)
    if (term.alternatives.length === 0 || keys.length === 0) return undefined
    const rooms = await searchedRooms(this.#needs, userId, filter)
    const [inRoom, bySender] = [groupOf(groups, 'room_id'), groupOf(groups, 'sender')]
    const scopes = rooms.filter((room) => inRoom === undefined || inRoom === room.id).map((room) => room.nid)
    const senders = bySender === undefined ? filter.senders : [bySender].filter((sender) => filter.matchesSender(sender))
    const senderFacets = senders && (await this.#senderFacets(senders))
    if (scopes.length === 0 || senderFacets?.length === 0) return undefined
    return {
      scopes,
      facets: [...(keys.length < keysByType.size ? [keys.map(keyFacet)] : []), ...(senderFacets ? [senderFacets] : [])],
      notFacets: await this.#senderFacets(filter.notSenders),
      alternatives: term.alternatives,
    }
  }

  async #senderFacets(senders: readonly string[]): Promise<string[]> {
    if (senders.length > mostSenders) throw refuse('M_INVALID_PARAM', `The filter of a search names at most ${mostSenders} senders.`)
    const nids = await Promise.all([...new Set(senders)].map((sender) => this.#needs.names.find(sender)))
    return nids.filter((nid) => nid !== undefined).map(senderFacet)
  }

  /** Asks the index until enough is visible, nothing is left, or a bounded number of times. */
  async #collect(userId: UserId, { query, order, place }: Search, filter: EventFilter, limit: number): Promise<Collected> {
    const { index } = this.#needs
    const ignored = await this.#needs.ignoredUsers.ignoredBy(userId)
    const found: VisibleHit[] = []
    let [after, newest, count] = [place?.after, place?.upTo ?? 0, place?.count ?? 0]
    for (let round = 0; round < maxRounds; round += 1) {
      // One more than wanted shows whether anything is left.
      const size = Math.max(limit - found.length + 1, leastHits)
      const first = after ? undefined : await index.first(query, order, size)
      if (first) [newest, count] = [first.newest ?? 0, first.count]
      const hits = first?.hits ?? (after ? await index.next(query, order, newest, after, size) : [])
      const visible = await this.#visible(userId, hits, filter, ignored)
      for (const hit of hits) {
        if (found.length === limit) return { found, newest, count, lastHit: after }
        after = hit
        const shown = visible.get(hit.id)
        if (shown) found.push({ hit, shown })
      }
      // What cannot be seen is not counted, where that is known.
      if (hits.length < size) return { found, newest, count: place ? count : found.length, lastHit: undefined }
    }
    return { found, newest, count, lastHit: after }
  }

  /** Those of the hits that the user may and wants to read, by place in the stream. */
  async #visible(userId: UserId, hits: readonly TextHit[], filter: EventFilter, ignored: ReadonlySet<string>): Promise<ReadonlyMap<number, VisibleEvent>> {
    const visible = new Map<number, VisibleEvent>()
    const events = await this.#needs.events.byPlaces(hits.map(({ id }) => id))
    for (const [room, own] of Map.groupBy(events.values(), (event) => event.room)) {
      const related = filter.needsRelations ? await this.#needs.relatedTo.lookUp(room, own) : undefined
      const wanted = own.filter((event) =>
        // The rooms were chosen before: those that the filter names, and those that they replaced.
        !event.redactedBecause && filter.matches({ ...event.event, roomId: undefined }, related?.(event.nid)) && (event.isState || !ignored.has(event.event.sender)))
      const asStored = new Set(wanted)
      for (const shown of await this.#needs.visibility.filter(userId, wanted)) {
        // What looks redacted to the user is not found by what it said.
        if (asStored.has(shown.event)) visible.set(shown.event.streamOrdering ?? 0, shown)
      }
    }
    return visible
  }
}

/** What a token says of a group. */
function groupOf(groups: readonly Group[], key: GroupKey): string | undefined {
  return groups.find((group) => group.key === key)?.value
}

/** Divides the results; each group goes on behind its last result, as long as the search itself goes on. */
function groupsOf(found: readonly VisibleHit[], key: GroupKey, next: SearchPlace | undefined): Map<string, ResultGroup> {
  const valueOf = ({ shown: { event } }: VisibleHit): string => (key === 'room_id' ? event.room.id : event.event.sender)
  const groups = new Map<string, ResultGroup>()
  for (const [value, members] of Map.groupBy(found, valueOf)) {
    const last = members.at(-1)
    groups.set(value, {
      order: groups.size + 1,
      eventIds: members.map(({ shown }) => shown.event.event.eventId),
      nextBatch: next && last && formatSearchToken({ ...next, after: last.hit, groups: [...next.groups.filter((group) => group.key !== key), { key, value }] }),
    })
  }
  return groups
}
