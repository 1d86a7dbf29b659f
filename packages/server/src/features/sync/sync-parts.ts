/**
 * The parts that every kind of sync is made of: one module answers what happened to a user between two moments, whoever asks.
 */
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import type { Membership } from '#engine/memberships.ts'
import { DeviceParts } from './device-parts.ts'
import { LazyMembers } from './lazy-members.ts'
import { People } from './people.ts'
import { Polls } from './polls.ts'
import { RoomNews } from './room-news.ts'
import { RoomSummaries } from './room-summaries.ts'
import type { SyncSources } from './sources.ts'
import { StateChanges } from './state-changes.ts'
import type { SyncPosition } from './sync-token.ts'
import { Timelines } from './timelines.ts'
import { Wakeups } from './wakeups.ts'

/** The newest moment, and a user's memberships at it. */
export interface Moment {
  /** By room number. */
  readonly memberships: ReadonlyMap<number, Membership>
  readonly upTo: SyncPosition
}

export class SyncParts {
  readonly sources: SyncSources
  readonly news: RoomNews
  readonly people: People
  readonly devices: DeviceParts
  readonly lazyMembers: LazyMembers
  readonly polls: Polls
  readonly summaries: RoomSummaries
  readonly timelines: Timelines
  readonly states: StateChanges

  constructor(sources: SyncSources) {
    this.sources = sources
    this.news = new RoomNews(sources)
    this.people = new People(sources)
    this.devices = new DeviceParts(sources)
    this.lazyMembers = new LazyMembers(sources)
    this.polls = new Polls({ clock: sources.clock, wakeups: new Wakeups(sources) })
    this.summaries = new RoomSummaries(sources)
    this.timelines = new Timelines(sources)
    this.states = new StateChanges(sources)
  }

  /** The newest moment. */
  position(): SyncPosition {
    const { eventsStream, presence, typing, receipts, accountData, toDevice, deviceLists, threadSubscriptions } = this.sources
    return {
      events: eventsStream.position, presence: presence.stream.position, typing: typing.stream.position, receipts: receipts.stream.position,
      accountData: accountData.stream.position, toDevice: toDevice.stream.position, deviceLists: deviceLists.stream.position,
      threadSubscriptions: threadSubscriptions.stream.position,
    }
  }

  /** The newest moment, and the user's memberships at it. */
  async moment(userId: UserId): Promise<Moment> {
    for (;;) {
      const before = this.sources.eventsStream.position
      const memberships = await this.sources.memberships.ofUser(userId)
      if (before === this.sources.eventsStream.position) return { memberships, upTo: this.position() }
    }
  }

  /** The most events of a timeline, whatever is asked for. */
  get mostEvents(): number {
    const { filterTimelineLimit } = this.sources.options
    return filterTimelineLimit < 0 ? 1_000_000 : filterTimelineLimit
  }
}
