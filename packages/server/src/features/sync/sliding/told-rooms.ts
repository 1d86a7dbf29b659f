/**
 * Which of the wanted rooms have something to tell a client, and from where on.
 *
 * Spec: MSC4186, "Room results", "Changing room configs".
 */
import type { StoredEvent } from '#engine/stored-event.ts'
import { pastMembership } from '../past-memberships.ts'
import type { RoomNews } from '../room-news.ts'
import type { SyncSources } from '../sources.ts'
import { neverTold, upToDate, type RoomRecord } from './connection-state.ts'
import type { WantedRoom } from './room-lists.ts'

/** A room to be told of. */
export interface RoomTask {
  readonly wanted: WantedRoom
  readonly record: RoomRecord | undefined
  /** The client knows the room up to this place of the events stream; undefined where everything is to be told. */
  readonly since: number | undefined
  /** The events since then, oldest first, where memory has them. */
  readonly recent: readonly StoredEvent[] | undefined
  /** More of the timeline is wanted than the client has. */
  readonly isExpanded: boolean
  /** State is wanted that was not before. */
  readonly wantsMoreState: boolean
  readonly isDirect: boolean
  /** What the room shows of itself follows from this: as a member, as it was when the user left, or as invites do. */
  readonly view: 'member' | 'former' | 'outside'
}

/** What has happened since the client's token. */
export interface TaskContext {
  /** Place of the events stream in the client's token; undefined for a new connection. */
  readonly since: number | undefined
  /** Events since the token by room, undefined where memory does not reach back so far. */
  readonly events: ReadonlyMap<number, readonly StoredEvent[]> | undefined
  /** Rooms in which the user has read something since. */
  readonly read: ReadonlySet<number>
  readonly direct: ReadonlySet<string>
}

export class ToldRooms {
  readonly #sources: Pick<SyncSources, 'events' | 'states'>
  readonly #news: RoomNews

  constructor(sources: Pick<SyncSources, 'events' | 'states'>, news: RoomNews) {
    this.#sources = sources
    this.#news = news
  }

  /** Whether something may have happened in a room since the token. */
  mayHaveNews(context: TaskContext, roomNid: number): boolean {
    if (context.events) return context.events.has(roomNid)
    return context.since === undefined || this.#news.mayHaveNews(roomNid, context.since)
  }

  /** What is to be told of a room; undefined where nothing is. */
  async taskOf(context: TaskContext, wanted: WantedRoom, record: RoomRecord | undefined): Promise<RoomTask | undefined> {
    const { membership, wish } = wanted
    const { nid, id } = membership.room
    const view = viewOf(wanted)
    const isDirect = context.direct.has(id)
    const base = { wanted, record, isDirect, view }
    const place = record?.events ?? neverTold
    if (!record || place === neverTold) return { ...base, since: undefined, recent: undefined, isExpanded: false, wantsMoreState: false }
    const since = place === upToDate ? (context.since ?? 0) : place
    if (membership.streamOrdering > since && (await this.#isAnew(wanted, since))) {
      return { ...base, since: undefined, recent: undefined, isExpanded: false, wantsMoreState: false }
    }
    const isExpanded = view === 'member' && wish.timelineLimit > record.timeline
    const wantsMoreState = view === 'member' && !record.requiredState.covers(wish.requiredState)
    const hasNews = place !== upToDate || (view === 'member' ? this.mayHaveNews(context, nid) || context.read.has(nid) : membership.streamOrdering > since)
    if (!hasNews && !isExpanded && !wantsMoreState && isDirect === record.isDirect) return undefined
    return { ...base, since, isExpanded, wantsMoreState, recent: place === upToDate && context.events ? (context.events.get(nid) ?? []) : undefined }
  }

  /** Whether the user has come to the room, or to its door, since the client last heard of it. */
  async #isAnew({ membership }: WantedRoom, since: number): Promise<boolean> {
    const past = await pastMembership(this.#sources, membership, since)
    if (membership.membership === 'join') return past.membership !== 'join'
    if (membership.membership === 'invite' || membership.membership === 'knock') return true
    return past.membership !== 'join' && past.joinedSince
  }
}

function viewOf({ membership }: WantedRoom): RoomTask['view'] {
  if (membership.membership === 'join') return 'member'
  return membership.membership === 'invite' || membership.membership === 'knock' ? 'outside' : 'former'
}
