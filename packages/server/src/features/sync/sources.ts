/** What sync shows of other slices, as narrow as it needs it. */
import type { RelatedBy } from '@myelin/protocol/filters/event-filter.ts'
import type { SyncFilter } from '@myelin/protocol/filters/sync-filter.ts'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import type { ClientEvents } from '#engine/client-events.ts'
import type { Events } from '#engine/events.ts'
import type { Memberships } from '#engine/memberships.ts'
import type { Names } from '#engine/names.ts'
import type { RoomAccess } from '#engine/room-access.ts'
import type { RoomStates } from '#engine/room-states.ts'
import type { Rooms } from '#engine/rooms.ts'
import type { Room } from '#engine/room.ts'
import type { EventsRow, StoredEvent } from '#engine/stored-event.ts'
import type { Visibility } from '#engine/visibility.ts'
import type { AccountData } from '#features/account-data/account-data.ts'
import type { Presence } from '#features/presence/presence.ts'
import type { Receipts } from '#features/receipts/receipts.ts'
import type { StickyEvents } from '#features/sticky-events/sticky-events.ts'
import type { ThreadSubscriptions } from '#features/thread-subscriptions/thread-subscriptions.ts'
import type { Typing } from '#features/typing/typing.ts'
import type { CacheBudget } from '#platform/cache/cache.ts'
import type { Clock } from '#platform/clock.ts'
import type { Logger } from '#platform/log/logger.ts'
import type { Stream } from '#platform/streams/stream.ts'

/** A stream as its readers see it. */
export type ReadStream<Row> = Pick<Stream<Row>, 'position' | 'since' | 'onAdvance'>

/** Messages that wait for devices. */
export interface ToDeviceSource {
  readonly stream: ReadStream<{ readonly userId: string }>
  /** Messages with `after < position <= upTo`, oldest first, as JSON texts; `last` is the position that the client has with them. */
  list(userId: UserId, deviceId: string, after: number, upTo: number, limit?: number): Promise<{ readonly messages: readonly string[]; readonly last: number }>
  /** Deletes what the device has received. */
  acknowledge(userId: UserId, deviceId: string, upTo: number): Promise<void>
}

/** Whose devices have changed. */
export interface DeviceListSource {
  readonly stream: ReadStream<{ readonly userId: UserId; readonly onlyFor: UserId | undefined }>
  changedSince(observer: UserId, since: number, upTo: number): Promise<ReadonlySet<UserId>>
  changesBetween(
    userId: UserId, from: { readonly deviceLists: number; readonly events: number }, to: { readonly deviceLists: number; readonly events: number },
  ): Promise<{ readonly changed: readonly UserId[]; readonly left: readonly UserId[] }>
}

/** What a device has left of its keys. */
export interface KeySource {
  oneTimeKeyCounts(userId: UserId, deviceId: string): Promise<Readonly<Record<string, number>>>
  unusedFallbackKeyTypes(userId: UserId, deviceId: string): Promise<readonly string[]>
}

/** Unread notifications of one thread, or of the main timeline. */
export interface UnreadCount {
  readonly notificationCount: number
  readonly highlightCount: number
}

/** Unread notifications of a room: of the main timeline, and of each thread by its root. */
export interface UnreadCounts extends UnreadCount {
  readonly threads: ReadonlyMap<string, UnreadCount>
}

/** The numbers of the main timeline and all threads together, for clients that do not ask for threads. */
export function unreadOfAllThreads(counts: UnreadCounts): UnreadCount {
  let { notificationCount, highlightCount } = counts
  for (const thread of counts.threads.values()) {
    notificationCount += thread.notificationCount
    highlightCount += thread.highlightCount
  }
  return { notificationCount, highlightCount }
}

/** Where unread notifications are counted. */
export interface UnreadSource {
  unreadCounts(userId: UserId, room: Room, upTo: number): Promise<UnreadCounts>
}

/** Which events relate to others, for the filters `related_by_senders` and `related_by_rel_types`. */
export interface RelatedSource {
  /** Reads the relations of a page at once; gives the filter's question for each event by number. */
  lookUp(room: Room, events: readonly StoredEvent[]): Promise<(nid: number) => RelatedBy>
}

/** Filters that users have stored. */
export interface FilterSource {
  /** @throws M_NOT_FOUND */
  compiled(userId: UserId, filterId: string): Promise<SyncFilter>
}

/** Everything of which a sync is made. */
export interface SyncSources {
  readonly caches: CacheBudget
  readonly clock: Clock
  readonly logger: Logger
  readonly names: Names
  readonly rooms: Rooms
  readonly events: Events
  readonly states: RoomStates
  readonly memberships: Memberships
  readonly visibility: Visibility
  readonly access: RoomAccess
  readonly clientEvents: ClientEvents
  readonly eventsStream: ReadStream<EventsRow>
  readonly accountData: Pick<AccountData, 'stream' | 'globalFor' | 'roomFor' | 'roomsFor' | 'ofRooms' | 'ofTypeInRooms' | 'changesSince' | 'ignoredBy'>
  readonly receipts: Pick<Receipts, 'stream' | 'forRoom' | 'ofEvents' | 'changesSince'>
  readonly typing: Pick<Typing, 'stream' | 'inRoom'>
  readonly presence: Pick<Presence, 'stream' | 'enabled' | 'syncing' | 'get' | 'getMany' | 'mayBeSeen' | 'changesSince' | 'content'>
  readonly threadSubscriptions: Pick<ThreadSubscriptions, 'stream' | 'enabled' | 'page'>
  readonly stickyEvents: Pick<StickyEvents, 'enabled' | 'between'>
  readonly toDevice: ToDeviceSource
  readonly deviceLists: DeviceListSource
  readonly keys: KeySource
  readonly notifications: UnreadSource
  readonly related: RelatedSource
  readonly filters: FilterSource
  /** Stripped state that invited and knocking users see. */
  readonly prejoinState: { of(event: StoredEvent): Promise<string[]> }
  /** Whether a room is in the public list, for the old APIs. */
  readonly isPublished: (room: Room) => Promise<boolean>
  readonly options: SyncOptions
}

/** Configured values. */
export interface SyncOptions {
  /** The most events of a timeline; -1 for no limit. */
  readonly filterTimelineLimit: number
  readonly excludedRooms: ReadonlySet<string>
  /** How long an answer is kept for a client that asks again. */
  readonly responseLifetimeMs: number
  readonly includeOfflinePresence: boolean
}
