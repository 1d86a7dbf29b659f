/**
 * One room in the answer of a sync, as JSON text.
 *
 * Spec: client-server API, `GET /sync`, `rooms`.
 */
import { projectFields } from '@myelin/protocol/filters/event-fields.ts'
import { isObject } from '@myelin/protocol/json/json.ts'
import type { Membership } from '#engine/memberships.ts'
import type { Room } from '#engine/room.ts'
import type { StoredEvent } from '#engine/stored-event.ts'
import type { VisibleEvent } from '#engine/visibility.ts'
import type { AccountDataEntry } from '#features/account-data/account-data.ts'
import { receiptContent, type Receipt } from '#features/receipts/receipts.ts'
import { pastMembership, wasJoined } from './past-memberships.ts'
import type { RoomNews } from './room-news.ts'
import type { RoomSummaries } from './room-summaries.ts'
import { unreadOfAllThreads, type SyncSources, type UnreadCount } from './sources.ts'
import type { StateChanges } from './state-changes.ts'
import type { SyncContext } from './sync-context.ts'
import type { SyncParts } from './sync-parts.ts'
import { formatSyncToken } from './sync-token.ts'
import type { Timeline, Timelines } from './timelines.ts'

/** A room in which something has happened. */
export interface RoomChange {
  readonly membership: Membership
  /** The events since the token, oldest first, where memory has them. */
  readonly recent: readonly StoredEvent[] | undefined
  readonly receipts: readonly Receipt[]
  readonly typingChanged: boolean
  readonly accountData: readonly AccountDataEntry[]
}

export class RoomSections {
  readonly #sources: SyncSources
  readonly #news: RoomNews
  readonly #timelines: Timelines
  readonly #states: StateChanges
  readonly #summaries: RoomSummaries

  constructor({ sources, news, timelines, states, summaries }: SyncParts) {
    this.#sources = sources
    this.#news = news
    this.#timelines = timelines
    this.#states = states
    this.#summaries = summaries
  }

  /** A joined room; undefined where there is nothing to tell. `isNew`: the client does not know the room as joined. */
  async joined(context: SyncContext, change: RoomChange, isNew: boolean): Promise<string | undefined> {
    const { room } = change.membership
    const isFull = isNew || context.fullState
    const readableRoot = once(() => this.#states.rootAt(room, context.upTo.events))
    const timeline = await this.#timeline(context, change, isNew, context.upTo.events, readableRoot)
    if (!isNew && context.since && !change.recent && !timeline.newest) this.#news.quiet(room.nid, context.since.events, context.upTo.events)
    const endRoot = this.#endRoot(room, timeline, context.upTo.events)
    const summary = isFull || mayChangeMembers(change, timeline) ? await this.#summaries.of(room, await endRoot(), context.userId) : undefined
    const state = await this.#states.of(context, {
      room, timeline, endRoot, knownUpTo: isFull ? undefined : context.since?.events,
      needed: [...(isFull ? [context.userId] : []), ...(summary?.heroes ?? [])],
    })
    this.#states.noteTimeline(context, room, timeline)
    const sticky = await this.#sticky(context, room, timeline, isNew)
    const ephemeral = await this.#ephemeral(context, change, isNew)
    const accountData = await this.#accountData(context, change, isNew)
    if (!isFull && !timeline.limited && timeline.shown.length + state.length + sticky.length + ephemeral.length + accountData.length === 0) return undefined
    const members = [
      this.#timelineText(context, timeline, await this.#format(context, timeline.shown), isNew && context.since !== undefined),
      `"${context.stateAfter ?? 'state'}":{"events":[${(await this.#format(context, state.map((event) => ({ event })))).join(',')}]}`,
      `"account_data":{"events":[${accountData.join(',')}]}`,
      `"ephemeral":{"events":[${ephemeral.join(',')}]}`,
      await this.#unread(context, room),
    ]
    if (sticky.length > 0) members.push(`"msc4354_sticky":{"events":[${sticky.join(',')}]}`)
    if (summary) members.push(`"summary":${summary.json}`)
    return `{${members.join(',')}}`
  }

  /** Sticky events that came since the token, or that there are where the room is new, and that the timeline does not show. */
  async #sticky(context: SyncContext, room: Room, timeline: Timeline, isNew: boolean): Promise<readonly string[]> {
    const found = this.#sources.stickyEvents.between(room.nid, isNew ? 0 : (context.since?.events ?? 0), context.upTo.events)
    if (found.length === 0) return []
    const shown = new Set(timeline.shown.map(({ event }) => event.nid))
    const events = await this.#sources.events.byNids(found.map(({ nid }) => nid).filter((nid) => !shown.has(nid)))
    const wanted = [...events.values()].filter((event) => !event.redactedBecause && !context.ignored.has(event.event.sender))
    return this.#format(context, wanted.map((event) => ({ event })))
  }

  /** A room that the user has left, or was banned from, up to that moment. */
  async left(context: SyncContext, change: RoomChange): Promise<string> {
    const { membership } = change
    const { room } = membership
    const upTo = Math.min(context.upTo.events, membership.streamOrdering)
    const past = context.since && (await pastMembership(this.#sources, membership, context.since.events))
    const wasMember = await wasJoined(this.#sources, membership)
    const isNew = past === undefined || (past.membership !== 'join' && past.joinedSince)
    const timeline = await this.#timeline(context, change, isNew, upTo)
    const isKnown = !isNew && !context.fullState
    const state = wasMember
      ? await this.#states.of(context, {
        room, timeline, endRoot: this.#endRoot(room, timeline, upTo), knownUpTo: isKnown ? context.since?.events : undefined, needed: [context.userId],
      })
      : this.#states.ofOutsider(context, timeline)
    this.#states.noteTimeline(context, room, timeline)
    const accountData = await this.#accountData(context, change, false)
    return `{${[
      this.#timelineText(context, timeline, await this.#format(context, timeline.shown), false),
      `"${context.stateAfter ?? 'state'}":{"events":[${(await this.#format(context, state.map((event) => ({ event })))).join(',')}]}`,
      `"account_data":{"events":[${accountData.join(',')}]}`,
    ].join(',')}}`
  }

  /** A room to which the user is invited or on which the user knocks; undefined for invites that the user does not want to see. */
  async outside(context: SyncContext, membership: Membership, name: 'invite_state' | 'knock_state'): Promise<string | undefined> {
    if (name === 'invite_state' && context.ignored.has(membership.sender)) return undefined
    const event = await this.#sources.events.byNid(membership.eventNid)
    return event && `{"${name}":{"events":[${(await this.#sources.prejoinState.of(event)).join(',')}]}}`
  }

  #timeline(context: SyncContext, change: RoomChange, isNew: boolean, upTo: number, readableRoot?: () => Promise<number>): Promise<Timeline> {
    const recent = isNew ? undefined : change.recent
    return this.#timelines.load({
      room: change.membership.room, userId: context.userId, upTo, filter: context.filter.timeline, limit: context.timelineLimit, ignored: context.ignored,
      readableRoot,
      after: isNew ? Number.MIN_SAFE_INTEGER : (context.since?.events ?? Number.MIN_SAFE_INTEGER),
      recent: recent && upTo < context.upTo.events ? recent.filter((event) => (event.streamOrdering ?? 0) <= upTo) : recent,
    })
  }

  #endRoot(room: Room, timeline: Timeline, upTo: number): () => Promise<number> {
    return once(() => (timeline.newest ? this.#states.rootAfter(timeline.newest) : this.#states.rootAt(room, upTo)))
  }

  #timelineText(context: SyncContext, timeline: Timeline, events: readonly string[], newlyJoined: boolean): string {
    const { shown, limited } = timeline
    const isLimited = limited || (newlyJoined && shown[0]?.event.event.type !== 'm.room.create')
    // A first sync that tells a whole room has nothing before it to point to: as from Synapse, its token reads the room from the end.
    const isWhole = context.since === undefined && !isLimited
    const previous = (isWhole ? undefined : timeline.previous) ?? formatSyncToken(context.upTo)
    return `"timeline":{"events":[${events.join(',')}],"limited":${isLimited},"prev_batch":${JSON.stringify(previous)}}`
  }

  /** Events in the form and with the fields that the filter asks for. */
  async #format({ filter, userId, deviceId }: SyncContext, shown: readonly (VisibleEvent | { readonly event: StoredEvent })[]): Promise<readonly string[]> {
    if (shown.length === 0) return []
    const texts = filter.eventFormat === 'federation'
      ? shown.map(({ event }) => withEventId(event))
      : await this.#sources.clientEvents.format({ userId, deviceId }, shown, { roomId: false })
    const fields = filter.eventFields
    if (!fields) return texts
    return texts.map((text) => {
      const event: unknown = JSON.parse(text)
      return JSON.stringify(isObject(event) ? projectFields(event, fields) : {})
    })
  }

  async #ephemeral(context: SyncContext, change: RoomChange, isNew: boolean): Promise<string[]> {
    const { ephemeral } = context.filter
    const { room } = change.membership
    const events: string[] = []
    if (ephemeral.matchesNothing || !ephemeral.matchesRoom(room.id)) return events
    const typing = change.typingChanged || isNew ? this.#sources.typing.inRoom(room.nid).filter((userId) => !context.ignored.has(userId)) : []
    if ((change.typingChanged || typing.length > 0) && ephemeral.matchesType('m.typing')) {
      events.push(`{"type":"m.typing","content":{"user_ids":${JSON.stringify(typing)}}}`)
    }
    if (!ephemeral.matchesType('m.receipt')) return events
    const all = isNew ? await this.#sources.receipts.forRoom(room, context.userId) : change.receipts
    const receipts = all.filter((receipt) => !context.ignored.has(receipt.userId))
    if (receipts.length > 0) events.push(`{"type":"m.receipt","content":${receiptContent(receipts)}}`)
    return events
  }

  async #accountData({ filter, userId, since }: SyncContext, change: RoomChange, isNew: boolean): Promise<string[]> {
    const { roomAccountData } = filter
    const { room } = change.membership
    if (roomAccountData.matchesNothing || !roomAccountData.matchesRoom(room.id)) return []
    const entries = isNew && since
      ? [...(await this.#sources.accountData.roomFor(userId, room.id))].map(([type, content]) => ({ type, content }))
      : change.accountData
    return accountDataEvents(entries.filter(({ type }) => roomAccountData.matchesType(type)))
  }

  async #unread({ userId, filter, upTo }: SyncContext, room: Room): Promise<string> {
    const counts = await this.#sources.notifications.unreadCounts(userId, room, upTo.events)
    const threads = [...counts.threads].filter(([, count]) => count.notificationCount > 0 || count.highlightCount > 0)
    if (filter.timeline.unreadThreadNotifications) {
      const texts = threads.map(([thread, count]) => `${JSON.stringify(thread)}:${countText(count)}`)
      return `"unread_notifications":${countText(counts)}${texts.length === 0 ? '' : `,"unread_thread_notifications":{${texts.join(',')}}`}`
    }
    return `"unread_notifications":${countText(unreadOfAllThreads(counts))}`
  }
}

/** An event as servers exchange it, with its id, without which a client could do nothing with it. */
function withEventId({ json, event, room }: StoredEvent): string {
  return room.version.eventIds === 'field' ? json : `{"event_id":${JSON.stringify(event.eventId)},${json.slice(1)}`
}

/** Account data as events. */
export function accountDataEvents(entries: readonly { readonly type: string; readonly content: string }[]): string[] {
  return entries.map(({ type, content }) => `{"type":${JSON.stringify(type)},"content":${content}}`)
}

function countText({ notificationCount, highlightCount }: UnreadCount): string {
  return `{"notification_count":${notificationCount},"highlight_count":${highlightCount}}`
}

/** Whether the room's members may have changed since the token. */
function mayChangeMembers(change: RoomChange, timeline: Timeline): boolean {
  if (change.recent) return change.recent.some((event) => event.event.type === 'm.room.member')
  return timeline.isComplete ? timeline.shown.some((item) => item.event.event.type === 'm.room.member') : timeline.newest !== undefined
}

/** Work that is done when it is first asked for, and then known. */
function once<Result>(work: () => Promise<Result>): () => Promise<Result> {
  let result: Promise<Result> | undefined
  return () => (result ??= work())
}
