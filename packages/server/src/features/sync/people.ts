/**
 * What a sync tells of other users: their presence and whose device lists have changed.
 *
 * Spec: client-server API, "Presence"; "Extensions to /sync" of end-to-end encryption.
 */
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import type { SharingChanges } from './sharing.ts'
import type { SyncSources } from './sources.ts'
import type { SyncContext } from './sync-context.ts'

/** For more users than this it is cheaper to list everybody who shares a room. */
const fewUsers = 20

export class People {
  readonly #sources: Pick<SyncSources, 'presence' | 'deviceLists' | 'memberships' | 'options'>

  constructor(sources: Pick<SyncSources, 'presence' | 'deviceLists' | 'memberships' | 'options'>) {
    this.#sources = sources
  }

  /** `m.presence` events, JSON texts. */
  async presence(context: SyncContext, sharing: SharingChanges): Promise<string[]> {
    const { presence, memberships, options } = this.#sources
    const { filter, since, upTo, userId } = context
    if (!presence.enabled || filter.presence.matchesNothing) return []
    const states = new Map<UserId, Awaited<ReturnType<typeof presence.get>>>()
    if (since) {
      if (since.presence < upTo.presence) {
        for (const state of await presence.changesSince(since.presence, upTo.presence)) {
          if (await presence.mayBeSeen(userId, state.userId)) states.set(state.userId, state)
        }
      }
      // Of those who came it is told what they are, even if that is nothing yet; in a room that the user came into there may be too many.
      for (const other of sharing.joined) if (await presence.mayBeSeen(userId, other)) states.set(other, await presence.get(other))
      for (const [other, state] of await presence.getMany([...(await this.#membersOf(userId, sharing.joinedRooms))])) {
        if (state.value !== 'offline' && (await presence.mayBeSeen(userId, other))) states.set(other, state)
      }
    } else {
      const around = [...(await memberships.sharingRoomWith(userId)), userId] as UserId[]
      for (const [other, state] of await presence.getMany(around)) {
        if ((state.value !== 'offline' || options.includeOfflinePresence) && (await presence.mayBeSeen(userId, other))) states.set(other, state)
      }
    }
    return [...states.values()]
      .filter((state) => filter.presence.matches({ type: 'm.presence', sender: state.userId }))
      .map((state) => `{"type":"m.presence","sender":${JSON.stringify(state.userId)},"content":${JSON.stringify(presence.content(state))}}`)
  }

  /** The members of an answer that concern device lists: at most one. */
  async deviceLists({ since, upTo, userId }: Pick<SyncContext, 'since' | 'upTo' | 'userId'>, sharing: SharingChanges): Promise<string[]> {
    if (!since) return []
    const { changed, left } = sharing.isKnown
      ? await this.#deviceListChanges(userId, since.deviceLists, upTo.deviceLists, sharing)
      : await this.#sources.deviceLists.changesBetween(userId, since, upTo)
    if (changed.length + left.length === 0) return []
    return [`"device_lists":{"changed":${JSON.stringify(changed)},"left":${JSON.stringify(left)}}`]
  }

  async #deviceListChanges(userId: UserId, since: number, upTo: number, sharing: SharingChanges) {
    const { deviceLists } = this.#sources
    const updated = since < upTo ? await deviceLists.changedSince(userId, since, upTo) : new Set<UserId>()
    const candidates = new Set([...updated, ...(await this.#newlySharing(userId, sharing))])
    const changed = candidates.size === 0 ? candidates : await this.#split(userId, candidates, true)
    const gone = new Set([...sharing.departed, ...(await this.#membersOf(userId, sharing.leftRooms))])
    const left = gone.size === 0 ? gone : await this.#split(userId, gone, false)
    return { changed: [...changed], left: [...left] }
  }

  /** Users who share a room with the user since the token, perhaps some who already did. */
  async #newlySharing(userId: UserId, sharing: SharingChanges): Promise<Set<UserId>> {
    return new Set([...sharing.joined, ...(await this.#membersOf(userId, sharing.joinedRooms))])
  }

  async #membersOf(userId: UserId, rooms: SharingChanges['joinedRooms']): Promise<Set<UserId>> {
    const members = new Set<UserId>()
    for (const room of rooms) {
      for (const entry of (await this.#sources.memberships.ofRoom(room)).values()) if (entry.membership === 'join' && entry.userId !== userId) members.add(entry.userId)
    }
    return members
  }

  /** Those of the users who share a room with the user (the user included), or those who share none. */
  async #split(userId: UserId, users: ReadonlySet<UserId>, shares: boolean): Promise<Set<UserId>> {
    const { memberships } = this.#sources
    const all = users.size > fewUsers ? await memberships.sharingRoomWith(userId) : undefined
    const kept = new Set<UserId>()
    for (const other of users) {
      const does = other === userId || (all ? all.has(other) : await memberships.shareRoom(userId, other))
      if (does === shares) kept.add(other)
    }
    return kept
  }
}
