/**
 * Whose devices or identity keys have changed, and who has to know.
 *
 * Spec: client-server API, "Tracking the device list for a user", `GET /keys/changes`; server-server API, "Device Management".
 */
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import type { Room } from '#engine/room.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import { Stream } from '#platform/streams/stream.ts'
import { DeviceListsStore } from './device-lists.store.ts'

/** A change of a user's device list. */
export interface DeviceListRow {
  readonly userId: UserId
  /** The one user who can see the change; undefined for all who share a room with `userId`, and `userId`. */
  readonly onlyFor: UserId | undefined
}

/** What of the engine's memberships decides who tracks whose devices. */
export interface SharedRooms {
  ofUser(userId: string): Promise<ReadonlyMap<number, MembershipOfUser>>
  ofRoom(room: Room): Promise<ReadonlyMap<string, MembershipOfUser>>
  sharingRoomWith(userId: string): Promise<Set<string>>
}

interface MembershipOfUser {
  readonly room: Room
  readonly userId: UserId
  readonly membership: string
  readonly streamOrdering: number
}

/** Two moments that sync tokens name. */
export interface DeviceListPosition {
  /** Position in the device lists stream. */
  readonly deviceLists: number
  /** Position in the events stream. */
  readonly events: number
}

/** Users whose keys must be asked for anew, and users of whom nothing needs to be known any longer. */
export interface DeviceListChanges {
  readonly changed: UserId[]
  readonly left: UserId[]
}

export class DeviceLists {
  /** Advances with each change; its rows say whose. */
  readonly stream: Stream<DeviceListRow>
  readonly #store: DeviceListsStore
  readonly #rooms: SharedRooms
  readonly #listeners: ((tx: Tx, userId: UserId, streamId: number) => Promise<void>)[] = []

  private constructor(needs: { readonly database: Database; readonly memberships: SharedRooms }, last: number) {
    this.stream = new Stream<DeviceListRow>({ name: 'device_lists', position: last })
    this.#store = new DeviceListsStore(needs.database)
    this.#rooms = needs.memberships
  }

  static async open(needs: { readonly database: Database; readonly memberships: SharedRooms }): Promise<DeviceLists> {
    return new DeviceLists(needs, await DeviceListsStore.last(needs.database))
  }

  /**
   * Notes within a transaction that a user's devices, their keys or their cross-signing keys change.
   * @param onlyFor the one user who can see the change: a signature on another user's key is the signer's alone
   */
  async record(tx: Tx, userId: UserId, onlyFor?: UserId): Promise<void> {
    const streamId = this.stream.append(tx, { userId, onlyFor })
    await this.#store.record(tx, userId, onlyFor ?? '', streamId)
    if (onlyFor === undefined) for (const listener of this.#listeners) await listener(tx, userId, streamId)
  }

  /** Calls `listener` within the transaction that changes a user's list for everybody. */
  onRecorded(listener: (tx: Tx, userId: UserId, streamId: number) => Promise<void>): void {
    this.#listeners.push(listener)
  }

  /**
   * Version of a user's device list for other servers; 0 where it never changed. Versions are even, so that an update can refer to one that no
   * server has.
   */
  async versionOf(userId: UserId): Promise<number> {
    return 2 * (await this.#store.lastOf(userId))
  }

  /**
   * Users whose device list changed after `since`, whether or not they share a room with the observer; far back, also some that changed again
   * after `upTo`. Who calls it keeps those who share a room with the observer, and the observer.
   */
  async changedSince(observer: UserId, since: number, upTo: number): Promise<Set<UserId>> {
    const changed = new Set<UserId>()
    if (since >= upTo) return changed
    const recent = this.stream.since(since)
    if (recent) {
      for (const { id, row } of recent) {
        if (id <= upTo && (row.onlyFor === undefined || row.onlyFor === observer)) changed.add(row.userId)
      }
      return changed
    }
    for (const row of await this.#store.since(since, observer)) changed.add(row.user_id)
    return changed
  }

  /**
   * All that a user must know about other users' devices after an absence: whose lists changed, who newly shares a room, and who no longer does.
   * It looks at current memberships, so it may name a user too many (one who only changed their name in a room), never one too few.
   * `/sync` knows the exact membership changes from its timelines, and takes only `changedSince`.
   */
  async changesBetween(userId: UserId, from: DeviceListPosition, to: DeviceListPosition): Promise<DeviceListChanges> {
    const sharing = await this.#rooms.sharingRoomWith(userId)
    const changed = new Set<UserId>()
    for (const other of await this.changedSince(userId, from.deviceLists, to.deviceLists)) {
      if (other === userId || sharing.has(other)) changed.add(other)
    }
    const left = new Set<UserId>()
    for (const own of (await this.#rooms.ofUser(userId)).values()) {
      const isJoined = own.membership === 'join'
      const isNew = own.streamOrdering > from.events
      const hasLeft = isNew && (own.membership === 'leave' || own.membership === 'ban')
      if (!isJoined && !hasLeft) continue
      for (const member of (await this.#rooms.ofRoom(own.room)).values()) {
        if (member.userId === userId) continue
        const isChange = member.streamOrdering > from.events
        if (isJoined && member.membership === 'join') {
          if (isNew || isChange) changed.add(member.userId)
        } else if ((isChange || (hasLeft && member.membership === 'join')) && !sharing.has(member.userId)) {
          left.add(member.userId)
        }
      }
    }
    return { changed: [...changed], left: [...left] }
  }
}
