/**
 * Threads that users follow: only these notify them, beside mentions.
 *
 * Spec: MSC4306, "Thread Subscriptions"; MSC4308 for the pages of changes.
 */
import { refuse } from '@myelin/protocol/errors.ts'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import type { Events } from '#engine/events.ts'
import type { LastNumbers } from '#engine/last-numbers.ts'
import type { RoomPurgeParticipant } from '#engine/room-purging.ts'
import type { Room } from '#engine/room.ts'
import type { Rooms } from '#engine/rooms.ts'
import type { EventsRow, StoredEvent } from '#engine/stored-event.ts'
import type { Visibility } from '#engine/visibility.ts'
import type { Cache, CacheBudget } from '#platform/cache/cache.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import { Stream } from '#platform/streams/stream.ts'
import { ThreadSubscriptionsStore, type SubscriptionRow } from './thread-subscriptions.store.ts'

/** A change: a user follows a thread, or no more. */
export interface ThreadSubscriptionRow {
  readonly userId: UserId
  readonly roomNid: number
}

/** Changes by room, JSON texts of the members `subscribed` and `unsubscribed`, and how to go on. */
export interface SubscriptionPage {
  /** Members of the answer; none where nothing has changed. */
  readonly members: readonly string[]
  /** Token of the changes before these; undefined where there are none. */
  readonly before: string | undefined
}

/** A range of changes. */
export interface SubscriptionRange {
  readonly userId: UserId
  readonly after: number
  readonly upTo: number
  readonly limit: number
}

/** Which thread an event belongs to: its root's event id, or `main`. */
export interface ThreadsOfEvents {
  threadOf(event: StoredEvent): Promise<string>
}

interface Needs {
  readonly database: Database
  readonly caches: CacheBudget
  readonly rooms: Rooms
  readonly events: Events
  readonly visibility: Visibility
  readonly eventsStream: Stream<EventsRow>
  readonly threads: ThreadsOfEvents
  readonly lastNumbers: LastNumbers
  /** `experimental_features.msc4306_enabled`. */
  readonly enabled: boolean
}

const mainThread = 'main'
/** A user has at most this many threads that are or were followed. */
const subscriptionsLimit = 50_000

export class ThreadSubscriptions implements RoomPurgeParticipant {
  /** Every change, for sync. */
  readonly stream: Stream<ThreadSubscriptionRow>
  readonly enabled: boolean
  readonly #needs: Needs
  readonly #store: ThreadSubscriptionsStore
  readonly #followed: Cache<string, ReadonlySet<string>>
  #generation = 0

  private constructor(needs: Needs, last: number) {
    this.stream = new Stream({ name: 'thread_subscriptions', position: last })
    this.enabled = needs.enabled
    this.#needs = needs
    this.#store = new ThreadSubscriptionsStore(needs.database)
    this.#followed = needs.caches.cache('thread_subscriptions', (threads) => 100 + threads.size * 80)
  }

  static async open(needs: Needs): Promise<ThreadSubscriptions> {
    return new ThreadSubscriptions(needs, await needs.lastNumbers.above('thread_subscriptions', await ThreadSubscriptionsStore.last(needs.database)))
  }

  /** Whether the user follows a thread by a client's own doing. @throws M_NOT_FOUND where the user does not follow it, or cannot see it */
  async require(userId: UserId, roomId: string, threadId: string): Promise<{ readonly automatic: boolean }> {
    const room = await this.#thread(userId, roomId, threadId)
    const row = await this.#store.one(userId, room.nid, threadId)
    if (row?.subscribed !== 1) throw refuse('M_NOT_FOUND', 'You do not follow that thread.')
    return { automatic: row.automatic === 1 }
  }

  /**
   * Follows a thread.
   * @param cause the event for whose sake a client follows it by itself; undefined where its user wants it
   * @throws M_NOT_FOUND, M_NOT_IN_THREAD where the cause is no event of the thread, M_CONFLICTING_UNSUBSCRIPTION where the user ceased to follow
   * the thread after the cause, M_TOO_LARGE
   */
  async subscribe(userId: UserId, roomId: string, threadId: string, cause: string | undefined): Promise<void> {
    const room = await this.#thread(userId, roomId, threadId)
    const place = cause === undefined ? undefined : await this.#placeOf(userId, room, threadId, cause)
    await this.#needs.database.transaction(async (tx) => {
      const row = await this.#store.one(userId, room.nid, threadId, tx)
      const automatic = place !== undefined
      if (row?.subscribed === 1 && (automatic || row.automatic === 0)) return
      if (place !== undefined && row && place <= (row.unsubscribed_at ?? -Infinity)) {
        throw refuse('IO.ELEMENT.MSC4306.M_CONFLICTING_UNSUBSCRIPTION', 'You ceased to follow that thread after this event; follow it yourself if you want to.')
      }
      if (!row && (await this.#store.count(tx, userId)) >= subscriptionsLimit) {
        throw refuse('M_TOO_LARGE', `You have followed ${subscriptionsLimit} threads, the most that is possible.`)
      }
      await this.#write(tx, userId, room, threadId, { subscribed: 1, automatic: automatic ? 1 : 0, unsubscribed_at: row?.unsubscribed_at ?? null })
    })
  }

  /** Ceases to follow a thread. @throws M_NOT_FOUND */
  async unsubscribe(userId: UserId, roomId: string, threadId: string): Promise<void> {
    const room = await this.#thread(userId, roomId, threadId)
    const place = this.#needs.eventsStream.position
    await this.#needs.database.transaction(async (tx) => {
      const row = await this.#store.one(userId, room.nid, threadId, tx)
      if (row?.subscribed !== 1) return
      await this.#write(tx, userId, room, threadId, { subscribed: 0, automatic: 0, unsubscribed_at: place })
    })
  }

  /** Roots of the threads of a room that a user follows. */
  async followedIn(userId: UserId, roomNid: number): Promise<ReadonlySet<string>> {
    const key = `${roomNid} ${userId}`
    const known = this.#followed.get(key)
    if (known) return known
    const generation = this.#generation
    const threads = new Set(await this.#store.subscribedIn(userId, roomNid))
    if (generation === this.#generation) this.#followed.set(key, threads)
    return threads
  }

  /** The newest changes with `after < position <= upTo`, each thread once. */
  async page({ userId, after, upTo, limit }: SubscriptionRange): Promise<SubscriptionPage> {
    const recent = this.stream.since(after)
    if (after >= upTo || (recent && !recent.some(({ id, row }) => id <= upTo && row.userId === userId))) return { members: [], before: undefined }
    const rows = await this.#store.changes(userId, after, upTo, limit + 1)
    const shown = rows.slice(0, limit)
    const rooms = await this.#needs.rooms.byNids([...new Set(shown.map((row) => row.room_nid))])
    const write = (subscribed: number, text: (row: SubscriptionRow) => string): string => {
      const byRoom = Map.groupBy(shown.filter((row) => row.subscribed === subscribed), (row) => row.room_nid)
      return [...byRoom].map(([nid, list]) => `${JSON.stringify(rooms.get(nid)?.id)}:{${list.map((row) => `${JSON.stringify(row.thread_id)}:${text(row)}`).join(',')}}`).join(',')
    }
    const subscribed = write(1, (row) => `{"automatic":${row.automatic === 1},"bump_stamp":${row.stream_id}}`)
    const unsubscribed = write(0, (row) => `{"bump_stamp":${row.stream_id}}`)
    return {
      members: [...(subscribed === '' ? [] : [`"subscribed":{${subscribed}}`]), ...(unsubscribed === '' ? [] : [`"unsubscribed":{${unsubscribed}}`])],
      before: rows.length > limit ? String((shown.at(-1)?.stream_id ?? 1) - 1) : undefined,
    }
  }

  /** Forgets what a user followed, because the account goes. */
  async deleteOf(tx: Tx, userId: UserId): Promise<void> {
    await this.#store.deleteUser(tx, userId)
    tx.afterCommit(() => {
      this.#generation += 1
      this.#followed.clear()
    })
  }

  async roomPurged(tx: Tx, room: Room, limit: number): Promise<boolean> {
    await this.#needs.lastNumbers.note(tx, 'thread_subscriptions', this.stream.position)
    return this.#store.deleteRoom(tx, room.nid, limit)
  }

  /** @throws M_UNRECOGNIZED where the feature is off */
  assertEnabled(): void {
    if (!this.enabled) throw refuse('M_UNRECOGNIZED', 'Thread subscriptions are off on this server (experimental_features.msc4306_enabled).')
  }

  /** The room of a thread that the user can see. @throws M_NOT_FOUND, M_UNRECOGNIZED */
  async #thread(userId: UserId, roomId: string, threadId: string): Promise<Room> {
    this.assertEnabled()
    const room = await this.#needs.rooms.get(roomId)
    const root = room && (await this.#seen(userId, room, threadId))
    if (!room || !root || (await this.#needs.threads.threadOf(root)) !== mainThread) throw refuse('M_NOT_FOUND', 'There is no such thread, or you may not see it.')
    return room
  }

  async #placeOf(userId: UserId, room: Room, threadId: string, cause: string): Promise<number> {
    const event = await this.#seen(userId, room, cause)
    if (event?.streamOrdering === undefined || (await this.#needs.threads.threadOf(event)) !== threadId) {
      throw refuse('IO.ELEMENT.MSC4306.M_NOT_IN_THREAD', 'The event in "automatic" is not part of that thread.')
    }
    return event.streamOrdering
  }

  async #seen(userId: UserId, room: Room, eventId: string): Promise<StoredEvent | undefined> {
    const event = await this.#needs.events.get(room, eventId)
    return event && (await this.#needs.visibility.canSee(userId, event)) ? event : undefined
  }

  async #write(tx: Tx, userId: UserId, room: Room, threadId: string, change: Pick<SubscriptionRow, 'subscribed' | 'automatic' | 'unsubscribed_at'>): Promise<void> {
    tx.afterCommit(() => {
      this.#generation += 1
      this.#followed.delete(`${room.nid} ${userId}`)
    })
    const streamId = this.stream.append(tx, { userId, roomNid: room.nid })
    await this.#store.set(tx, { user_id: userId, room_nid: room.nid, thread_id: threadId, stream_id: streamId, ...change })
  }
}

/** Place of a page's token. @throws M_INVALID_PARAM */
export function readPageToken(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw refuse('M_INVALID_PARAM', 'The token must be an "end" or "prev_batch" that the server gave.')
  return Number(text)
}
