/**
 * Read receipts and read markers: up to where users have read.
 *
 * Spec: client-server API, "Receipts" and "Read and unread markers".
 */
import { refuse } from '@myelin/protocol/errors.ts'
import { isEventId } from '@myelin/protocol/ids/event-id.ts'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import { own } from '@myelin/protocol/json/json.ts'
import type { Events } from '#engine/events.ts'
import type { Memberships } from '#engine/memberships.ts'
import type { LastNumbers } from '#engine/last-numbers.ts'
import type { RoomPurgeParticipant } from '#engine/room-purging.ts'
import type { Room } from '#engine/room.ts'
import type { Rooms } from '#engine/rooms.ts'
import type { StoredEvent } from '#engine/stored-event.ts'
import type { Visibility } from '#engine/visibility.ts'
import { storedObject, type AccountData } from '#features/account-data/account-data.ts'
import type { Cache, CacheBudget } from '#platform/cache/cache.ts'
import type { Clock } from '#platform/clock.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import { Stream } from '#platform/streams/stream.ts'
import { ReadPosition } from './read-position.ts'
import type { Receipt } from './receipt.ts'
import { ReceiptsStore, unthreaded, type StoredReceipt } from './receipts.store.ts'
import { mainThread, Threads } from './threads.ts'

export type { Receipt, ReceiptType } from './receipt.ts'
export { ReadPosition } from './read-position.ts'
export { receiptContent } from './receipt-content.ts'
export { mainThread } from './threads.ts'

const fullyRead = 'm.fully_read'

/** A user keeps receipts for at most this many threads of a room. */
const threadsLimit = 1000

interface Needs {
  readonly database: Database
  readonly caches: CacheBudget
  readonly clock: Clock
  readonly rooms: Rooms
  readonly events: Events
  readonly memberships: Memberships
  readonly visibility: Visibility
  readonly accountData: AccountData
  readonly lastNumbers: LastNumbers
}

export class Receipts implements RoomPurgeParticipant {
  /** Every change, private receipts included: only their owner may see those. */
  readonly stream: Stream<Receipt>
  readonly #needs: Needs
  readonly #store: ReceiptsStore
  readonly #threads: Threads
  readonly #positions: Cache<string, ReadPosition>
  #generation = 0

  private constructor(needs: Needs, stream: Stream<Receipt>) {
    this.stream = stream
    this.#needs = needs
    this.#store = new ReceiptsStore(needs.database)
    this.#threads = new Threads(needs)
    this.#positions = needs.caches.cache('read_positions', (position) => 100 + position.size * 80)
  }

  static async open(needs: Needs): Promise<Receipts> {
    const [row] = await needs.database.rows<{ last: number | null }>('SELECT max(stream_id) AS last FROM receipts', [])
    return new Receipts(needs, new Stream({ name: 'receipts', position: await needs.lastNumbers.above('receipts', row?.last) }))
  }

  /**
   * Marks a room as read up to an event; a receipt that is further ahead stays.
   * @param threadId undefined for an unthreaded receipt
   * @throws M_FORBIDDEN unless joined, M_NOT_FOUND for an event that the user cannot see there, M_INVALID_PARAM for a wrong thread
   */
  async send(userId: UserId, roomId: string, type: string, eventId: string, threadId: unknown): Promise<void> {
    const room = await this.#joinedRoom(userId, roomId)
    if (threadId !== undefined) assertThreadId(type, threadId)
    await this.#mark(userId, room, type, await this.#seenEvent(userId, room, eventId), typeof threadId === 'string' ? threadId : undefined)
  }

  /** Moves several markers of a room at once. @param markers event ids by type. @throws as `send` */
  async sendMarkers(userId: UserId, roomId: string, markers: ReadonlyMap<string, string>): Promise<void> {
    const room = await this.#joinedRoom(userId, roomId)
    const events = new Map<string, StoredEvent>()
    for (const [type, eventId] of markers) events.set(type, await this.#seenEvent(userId, room, eventId))
    for (const [type, event] of events) await this.#mark(userId, room, type, event, undefined)
  }

  /** Stores the receipt of a remote user; one that does not fit the room is dropped. @returns whether it was stored */
  async receive(room: Room, userId: UserId, eventId: string, threadId: string | undefined, ts: number): Promise<boolean> {
    if (threadId !== undefined && threadId !== mainThread && !isEventId(threadId)) return false
    if (!Number.isSafeInteger(ts) || !(await this.#needs.memberships.isJoined(room, userId))) return false
    const event = await this.#needs.events.get(room, eventId)
    if (event?.streamOrdering === undefined || event.rejected) return false
    await this.#put({ roomNid: room.nid, userId, type: 'm.read', eventId: event.event.eventId, threadId, ts }, event.streamOrdering)
    return true
  }

  /** Up to where a user has read a room. */
  async positionOf(userId: UserId, room: Room): Promise<ReadPosition> {
    const key = `${room.nid} ${userId}`
    const cached = this.#positions.get(key)
    if (cached) return cached
    const generation = this.#generation
    const position = new ReadPosition(await this.#store.ofUser(userId, room.nid))
    if (generation === this.#generation) this.#positions.set(key, position)
    return position
  }

  async roomPurged(tx: Tx, room: Room, limit: number): Promise<boolean> {
    await this.#needs.lastNumbers.note(tx, 'receipts', this.stream.position)
    return this.#store.deleteRoom(tx, room.nid, limit)
  }

  /** The thread of an event: its root's event id, or `main`. */
  threadOf(event: StoredEvent): Promise<string> {
    return this.#threads.of(event)
  }

  /** All receipts of a room that `reader` may see. */
  async forRoom(room: Room, reader: string): Promise<Receipt[]> {
    return (await this.#store.ofRoom(room.nid, reader)).map(receiptOf)
  }

  /**
   * Receipts that `reader` may see: for some events of some rooms, and all of the reader's own in rooms that the reader has no receipts of yet.
   * @param fresh numbers of those rooms
   */
  async ofEvents(fresh: readonly number[], roomNids: readonly number[], eventIds: readonly string[], reader: string): Promise<Receipt[]> {
    const rooms = new Set(roomNids)
    const [own, found] = await Promise.all([
      fresh.length === 0 ? [] : this.#store.ofUserInRooms(reader, fresh), eventIds.length === 0 ? [] : this.#store.ofEvents(eventIds, reader),
    ])
    return [...own, ...found.filter((row) => rooms.has(row.room_nid))].map(receiptOf)
  }

  /** Receipts of rooms that came with `since < position <= upTo` and that `reader` may see, in order. */
  async changesSince(roomNids: ReadonlySet<number>, since: number, upTo: number, reader: string): Promise<Receipt[]> {
    const recent = this.stream.since(since)
    const receipts = recent
      ? newest(recent.filter(({ id, row }) => id <= upTo && roomNids.has(row.roomNid)).map(({ row }) => row))
      : (await this.#store.changes([...roomNids], since, upTo)).map(receiptOf)
    return receipts.filter((receipt) => receipt.type === 'm.read' || receipt.userId === reader)
  }

  async #joinedRoom(userId: UserId, roomId: string): Promise<Room> {
    const room = await this.#needs.rooms.get(roomId)
    if (!room || !(await this.#needs.memberships.isJoined(room, userId))) throw refuse('M_FORBIDDEN', 'You are not in that room; join it first.')
    return room
  }

  async #seenEvent(userId: UserId, room: Room, eventId: string): Promise<StoredEvent> {
    const event = await this.#needs.events.get(room, eventId)
    if (event?.streamOrdering === undefined || !(await this.#needs.visibility.canSee(userId, event))) {
      throw refuse('M_NOT_FOUND', 'That room has no such event.')
    }
    return event
  }

  async #mark(userId: UserId, room: Room, type: string, event: StoredEvent, threadId: string | undefined): Promise<void> {
    if (type === fullyRead) return this.#markFullyRead(userId, room, event)
    if (type !== 'm.read' && type !== 'm.read.private') {
      throw refuse('M_INVALID_PARAM', 'A receipt is of the type m.read, m.read.private or m.fully_read.')
    }
    const { eventId } = event.event
    if (threadId !== undefined && threadId !== eventId && (await this.#threads.of(event)) !== threadId) {
      throw refuse('M_INVALID_PARAM', 'The event is not in that thread; give the thread of the event, or no thread.')
    }
    await this.#put({ roomNid: room.nid, userId, type, eventId, threadId, ts: this.#needs.clock.now() }, event.streamOrdering ?? 0)
  }

  async #markFullyRead(userId: UserId, room: Room, event: StoredEvent): Promise<void> {
    const { accountData, events } = this.#needs
    const stored = own(storedObject(await accountData.getStored(userId, room.id, fullyRead)), 'event_id')
    const current = typeof stored === 'string' ? await events.get(room, stored) : undefined
    if ((current?.streamOrdering ?? -Infinity) >= (event.streamOrdering ?? 0)) return
    await accountData.change(userId, room.id, fullyRead, () => JSON.stringify({ event_id: event.event.eventId }))
  }

  async #put(receipt: Receipt, eventStream: number): Promise<void> {
    const { roomNid, userId, type, eventId, ts } = receipt
    const thread = receipt.threadId ?? unthreaded
    await this.#needs.database.transaction(async (tx) => {
      const own = (await this.#store.ofUser(userId, roomNid, tx)).filter((row) => row.receipt_type === type)
      const previous = own.find((row) => row.thread_id === thread)
      if (previous && previous.event_stream >= eventStream) return
      tx.afterCommit(() => {
        this.#generation += 1
        this.#positions.delete(`${roomNid} ${userId}`)
      })
      await this.#store.set(tx, {
        user_id: userId, room_nid: roomNid, receipt_type: type, thread_id: thread, event_id: eventId, event_stream: eventStream, receipt_ts: ts,
        stream_id: this.stream.append(tx, receipt),
      })
      if (own.length >= threadsLimit) await this.#store.deleteOldest(tx, userId, roomNid, type, threadsLimit)
    })
  }
}

/** Of receipts that replaced each other only the last. */
function newest(receipts: readonly Receipt[]): Receipt[] {
  const byKey = new Map<string, Receipt>()
  for (const receipt of receipts) {
    const key = `${receipt.roomNid} ${receipt.type} ${receipt.threadId ?? ''} ${receipt.userId}`
    byKey.delete(key)
    byKey.set(key, receipt)
  }
  return [...byKey.values()]
}

function receiptOf(row: StoredReceipt): Receipt {
  return {
    roomNid: row.room_nid, userId: row.user_id, type: row.receipt_type === 'm.read' ? 'm.read' : 'm.read.private', eventId: row.event_id,
    threadId: row.thread_id === unthreaded ? undefined : row.thread_id, ts: row.receipt_ts,
  }
}

function assertThreadId(type: string, threadId: unknown): void {
  if (typeof threadId !== 'string' || threadId === '') throw refuse('M_INVALID_PARAM', 'The field thread_id must be a non-empty string.')
  if (type === fullyRead) throw refuse('M_INVALID_PARAM', 'A fully read marker belongs to no thread; leave out thread_id.')
  if (threadId !== mainThread && !isEventId(threadId)) {
    throw refuse('M_INVALID_PARAM', 'The field thread_id must be "main" or the event id of a thread\'s root.')
  }
}
