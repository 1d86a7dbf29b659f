/**
 * What users have to be notified of: unread counts and the list of notifications. Nothing is written when an event is sent; the rules
 * are evaluated when the reader asks, over the events since the last time, and counts are stored from time to time so that a restart
 * does not begin anew.
 *
 * Spec: client-server API, "Receiving notifications", "Listing Notifications".
 */
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import type { PushOutcome } from '@myelin/protocol/push/evaluate.ts'
import type { Events } from '#engine/events.ts'
import type { Memberships } from '#engine/memberships.ts'
import type { RoomPurgeParticipant } from '#engine/room-purging.ts'
import type { Room } from '#engine/room.ts'
import type { RoomWriter } from '#engine/room-writer.ts'
import type { EventsRow, StoredEvent } from '#engine/stored-event.ts'
import type { Visibility } from '#engine/visibility.ts'
import type { AccountData } from '#features/account-data/account-data.ts'
import type { PushRules } from '#features/push-rules/push-rules.ts'
import { mainThread, type ReadPosition, type Receipts } from '#features/receipts/receipts.ts'
import type { Cache, CacheBudget } from '#platform/cache/cache.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import type { Stream } from '#platform/streams/stream.ts'
import { NotificationsStore } from './notifications.store.ts'
import { RoomEvaluations, type Evaluate, type FollowedThreads } from './room-evaluation.ts'
import { Tally, unreadCountsOf, type Scan, type Unread, type UnreadCounts } from './tally.ts'

export { withThreads, type Counts, type UnreadCounts } from './tally.ts'

/** Events that are read at once. */
const chunkSize = 200
/** One count looks back over at most this many events: older ones that were never read and never counted stay uncounted. */
const scanLimit = 2_000
/** After this many events the counts are stored. */
const checkpointEvery = 200
/** Place of a thread that was never read, as it is stored. */
const neverRead = Number.MIN_SAFE_INTEGER

interface Needs {
  readonly database: Database
  readonly caches: CacheBudget
  readonly events: Events
  readonly memberships: Memberships
  readonly writer: RoomWriter
  readonly visibility: Visibility
  readonly eventsStream: Stream<EventsRow>
  readonly accountData: AccountData
  readonly pushRules: PushRules
  readonly threadSubscriptions: FollowedThreads
  readonly receipts: Receipts
}

export class Notifications implements RoomPurgeParticipant {
  readonly #needs: Needs
  readonly #store: NotificationsStore
  readonly #evaluations: RoomEvaluations
  readonly #tallies: Cache<string, Tally>
  readonly #turns = new Map<string, Promise<unknown>>()

  constructor(needs: Needs) {
    this.#needs = needs
    this.#store = new NotificationsStore(needs.database)
    this.#evaluations = new RoomEvaluations(needs)
    this.#tallies = needs.caches.cache('notification_counts', (tally) => tally.weight)
  }

  /**
   * Unread notifications of a user in a room that the user has joined.
   * @param upTo place in the events stream up to which the reader knows the room
   */
  async unreadCounts(userId: UserId, room: Room, upTo: number): Promise<UnreadCounts> {
    const key = `${room.nid} ${userId}`
    const previous = this.#turns.get(key)
    const turn = (previous ?? Promise.resolve()).catch(() => undefined).then(() => this.#count(key, userId, room, upTo))
    this.#turns.set(key, turn)
    try {
      return await turn
    } finally {
      if (this.#turns.get(key) === turn) this.#turns.delete(key)
    }
  }

  /** What the push rules of a user say of an event; undefined where they are not asked: own events, events of ignored users. */
  async evaluate(userId: UserId, event: StoredEvent): Promise<PushOutcome | undefined> {
    return (await this.#evaluations.of(userId, event.room))(event)
  }

  /** Prepares the evaluation of many events of a room for one user. */
  evaluationOf(userId: UserId, room: Room): Promise<Evaluate> {
    return this.#evaluations.of(userId, room)
  }

  roomPurged(tx: Tx, room: Room, limit: number): Promise<boolean> {
    return this.#store.deleteRoom(tx, room.nid, limit)
  }

  async #count(key: string, userId: UserId, room: Room, upTo: number): Promise<UnreadCounts> {
    const position = await this.#needs.receipts.positionOf(userId, room)
    const tally = this.#tallies.get(key) ?? (await this.#load(userId, room, position))
    if (upTo > tally.upTo) tally.add(await this.#scan(userId, room, tally.upTo, upTo, position), upTo)
    const divided = tally.read(position)
    if (divided.length > 0) await this.#recount(userId, room, tally, divided, position)
    tally.fold(position)
    const totals = tally.totals(position)
    if (tally.scanned >= checkpointEvery) await this.#checkpoint(userId, room, tally, position)
    this.#tallies.set(key, tally)
    return unreadCountsOf(totals)
  }

  async #load(userId: UserId, room: Room, position: ReadPosition): Promise<Tally> {
    const rows = await this.#store.of(userId, room.nid)
    const [first] = rows
    if (!first) return new Tally(Math.max(0, position.everywhere))
    const base = rows.filter((row) => row.notify_count > 0).map((row) =>
      [row.thread_id, { notificationCount: row.notify_count, highlightCount: row.highlight_count, readUpTo: row.read_up_to }] as const)
    return new Tally(first.up_to_stream, new Map(base))
  }

  async #checkpoint(userId: UserId, room: Room, tally: Tally, position: ReadPosition): Promise<void> {
    const totals = tally.totals(position)
    if (!totals.has(mainThread)) totals.set(mainThread, { notificationCount: 0, highlightCount: 0, readUpTo: position.in(mainThread) })
    tally.scanned = 0
    await this.#store.replace(userId, room.nid, [...totals].map(([thread, counts]) => ({
      user_id: userId, room_nid: room.nid, thread_id: thread, up_to_stream: tally.upTo, read_up_to: Math.max(neverRead, counts.readUpTo),
      notify_count: counts.notificationCount, highlight_count: counts.highlightCount,
    })))
  }

  /** Counts the base of threads anew, of which a receipt has marked a part as read. */
  async #recount(userId: UserId, room: Room, tally: Tally, threads: readonly string[], position: ReadPosition): Promise<void> {
    const from = Math.max(0, Math.min(...threads.map((thread) => position.in(thread))))
    const { unread } = await this.#scan(userId, room, from, tally.baseUpTo, position)
    for (const thread of threads) tally.rebase(thread, unread.filter((each) => each.thread === thread), position.in(thread))
  }

  /** Looks from `upTo` back to `after` for unread notifications. */
  async #scan(userId: UserId, room: Room, after: number, upTo: number, position: ReadPosition): Promise<Scan> {
    const { events, receipts } = this.#needs
    const unread: Unread[] = []
    const own = new Map<string, number>()
    let evaluate: Evaluate | undefined
    let [end, scanned, joined] = [upTo, 0, false]
    while (!joined && scanned < scanLimit) {
      const chunk = await events.roomTail(room, after, end, chunkSize)
      for (const event of chunk.toReversed()) {
        const place = event.streamOrdering ?? 0
        const thread = await receipts.threadOf(event)
        if (event.event.sender === userId) {
          joined = await this.#isOwnJoin(userId, event)
          if (joined) break
          if (event.event.type !== 'm.room.member' && !own.has(thread)) own.set(thread, place)
        } else if (!own.has(thread) && place > position.in(thread)) {
          evaluate ??= await this.#evaluations.of(userId, room)
          const outcome = evaluate(event)
          if (outcome?.notify) unread.push({ position: place, thread, highlight: outcome.highlight })
        }
      }
      scanned += chunk.length
      const oldest = chunk[0]?.streamOrdering
      if (chunk.length < chunkSize || oldest === undefined) break
      end = oldest - 1
    }
    return { unread: unread.reverse(), own, joined, scanned }
  }

  /** Whether the user joined with this event, and did not only change their profile. */
  async #isOwnJoin(userId: UserId, event: StoredEvent): Promise<boolean> {
    const { type, stateKey } = event.event
    if (type !== 'm.room.member' || stateKey !== userId || event.stateRoot === undefined) return false
    return (await this.#needs.visibility.membershipIn(event.room, event.stateRoot, userId)) !== 'join'
  }
}
