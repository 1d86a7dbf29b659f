/**
 * Evaluates push rules for one user over events of one room. What the rules ask of the room (members, power levels, the user's display
 * name) is taken from its current state; what is made of an event is shared by all users.
 *
 * Spec: client-server API, "Push Rules".
 */
import { powerLevelsOf } from '@myelin/protocol/auth/power-levels.ts'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import type { PushReader } from '@myelin/protocol/push/conditions.ts'
import type { PushOutcome } from '@myelin/protocol/push/evaluate.ts'
import { PushEvent } from '@myelin/protocol/push/push-event.ts'
import { contentString } from '#engine/client-events.ts'
import type { Memberships } from '#engine/memberships.ts'
import type { Room } from '#engine/room.ts'
import type { RoomWriter } from '#engine/room-writer.ts'
import type { EventsRow, StoredEvent } from '#engine/stored-event.ts'
import type { AccountData } from '#features/account-data/account-data.ts'
import type { PushRules } from '#features/push-rules/push-rules.ts'
import type { Cache, CacheBudget } from '#platform/cache/cache.ts'
import type { Stream } from '#platform/streams/stream.ts'

/** What the rules of a user say of an event of the room; undefined where they are not asked: own events, events of ignored users. */
export type Evaluate = (event: StoredEvent) => PushOutcome | undefined

/** Which threads users follow. */
export interface FollowedThreads {
  readonly enabled: boolean
  /** Roots of the threads of a room that a user follows. */
  followedIn(userId: UserId, roomNid: number): Promise<ReadonlySet<string>>
}

interface Needs {
  readonly caches: CacheBudget
  readonly memberships: Memberships
  readonly writer: RoomWriter
  readonly eventsStream: Stream<EventsRow>
  readonly accountData: AccountData
  readonly pushRules: PushRules
  readonly threadSubscriptions: FollowedThreads
}

export class RoomEvaluations {
  readonly #needs: Needs
  readonly #memberCounts: Cache<number, number>
  readonly #pushEvents = new WeakMap<StoredEvent, PushEvent>()

  constructor(needs: Needs) {
    this.#needs = needs
    this.#memberCounts = needs.caches.cache('joined_member_counts', () => 32)
    needs.eventsStream.onAdvance((entries) => {
      for (const { row } of entries) if (row.changed.types.has('m.room.member')) this.#memberCounts.delete(row.event.room.nid)
    })
  }

  /** Prepares the evaluation of events of a room. */
  async of(userId: UserId, room: Room): Promise<Evaluate> {
    const { accountData, pushRules, writer, threadSubscriptions } = this.#needs
    const [rules, ignored, view, memberCount] = await Promise.all([
      pushRules.compiledFor(userId), accountData.ignoredBy(userId), writer.view(room), this.#memberCount(room),
    ])
    const [member, create, powerLevels] = await Promise.all([
      view.state('m.room.member', userId), view.state('m.room.create', ''), view.state('m.room.power_levels', ''),
    ])
    const followedThreads = threadSubscriptions.enabled ? await threadSubscriptions.followedIn(userId, room.nid) : undefined
    const reader: PushReader = { userId, displayName: contentString(member, 'displayname'), followedThreads }
    const levels = powerLevelsOf(room.version, powerLevels?.event, create?.event)
    return (event) => {
      const { sender } = event.event
      if (sender === userId || ignored.has(sender)) return undefined
      let pushEvent = this.#pushEvents.get(event)
      if (!pushEvent) {
        pushEvent = new PushEvent(event.event, {
          memberCount, senderPowerLevel: levels.userLevel(sender), notificationLevel: (key) => levels.notificationLevel(key),
        })
        this.#pushEvents.set(event, pushEvent)
      }
      return rules.evaluate(pushEvent, reader)
    }
  }

  async #memberCount(room: Room): Promise<number> {
    const cached = this.#memberCounts.get(room.nid)
    if (cached !== undefined) return cached
    const before = this.#needs.eventsStream.position
    let count = 0
    for (const entry of (await this.#needs.memberships.ofRoom(room)).values()) if (entry.membership === 'join') count += 1
    if (before === this.#needs.eventsStream.position) this.#memberCounts.set(room.nid, count)
    return count
  }
}
