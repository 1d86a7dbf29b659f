/**
 * One room in an answer of sliding sync, as JSON text.
 *
 * Spec: MSC4186, `RoomResult`; in the form of the unstable endpoint.
 */
import { allEvents } from '@myelin/protocol/filters/event-filter.ts'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import { isObject, own } from '@myelin/protocol/json/json.ts'
import { contentString } from '#engine/client-events.ts'
import type { Room } from '#engine/room.ts'
import type { StoredEvent } from '#engine/stored-event.ts'
import type { SentToDevice } from '../lazy-members.ts'
import { wasJoined } from '../past-memberships.ts'
import type { RoomSummaries } from '../room-summaries.ts'
import { unreadOfAllThreads, type SyncSources } from '../sources.ts'
import type { StateChanges } from '../state-changes.ts'
import type { SyncParts } from '../sync-parts.ts'
import type { Timeline, Timelines } from '../timelines.ts'
import { neverTold, upToDate, type RoomRecord } from './connection-state.ts'
import { RequiredState } from './required-state.ts'
import { RoomRequiredState, type RequiredStateResult } from './room-state.ts'
import type { RoomTask } from './told-rooms.ts'

/** For whom an answer is made. */
export interface ResultContext {
  readonly userId: UserId
  readonly deviceId: string | undefined
  /** Place of the events stream in the client's token; undefined for a new connection. */
  readonly since: number | undefined
  readonly upTo: number
  readonly ignored: ReadonlySet<string>
  readonly sent: SentToDevice
  /** Rooms in which the user has read something since. */
  readonly read: ReadonlySet<number>
  /** Places of the events that bumped rooms, by room number. */
  readonly bumps: ReadonlyMap<number, number>
}

/** A room as it is told. */
export interface RoomResult {
  /** Undefined where nothing turned out to be told. */
  readonly text: string | undefined
  /** What the client then knows; undefined where the room is over and the client knows it. */
  readonly record: RoomRecord | undefined
  /** The events of the timeline. */
  readonly timeline: readonly StoredEvent[]
}

const memberType = 'm.room.member'
/** A longer wish is not carried on once it is no longer wished. */
const wishLengthLimit = 20_000

export class RoomResults {
  readonly #sources: SyncSources
  readonly #timelines: Timelines
  readonly #states: StateChanges
  readonly #summaries: RoomSummaries
  readonly #required: RoomRequiredState

  constructor({ sources, timelines, states, summaries }: SyncParts) {
    this.#sources = sources
    this.#timelines = timelines
    this.#states = states
    this.#summaries = summaries
    this.#required = new RoomRequiredState(sources, states)
  }

  of(context: ResultContext, task: RoomTask): Promise<RoomResult> {
    if (task.view === 'outside') return this.#outside(task)
    return task.view === 'member' ? this.#member(context, task) : this.#former(context, task)
  }

  /** A room that the user has joined. */
  async #member(context: ResultContext, task: RoomTask): Promise<RoomResult> {
    const { record, since, wanted } = task
    const { room } = wanted.membership
    const timeline = await this.#timeline(context, task, context.upTo)
    const endRoot = timeline.newest ? await this.#states.rootAfter(timeline.newest) : await this.#states.rootAt(room, context.upTo)
    const state = await this.#required.of({
      room, endRoot, since, timeline, sent: context.sent, wish: wanted.wish.requiredState, known: record?.requiredState,
    })
    const isMarked = since === undefined ? task.isDirect : record?.isDirect !== task.isDirect
    const description = await this.#description(room, endRoot, context.userId, state.changedTypes)
    const next = this.#told(task, timeline, state)
    const hasNews = since === undefined || timeline.shown.length > 0 || timeline.limited || state.events.length > 0 || description.length > 0
    if (!hasNews && !isMarked && !context.read.has(room.nid)) return { text: undefined, record: next, timeline: [] }
    const unread = unreadOfAllThreads(await this.#sources.notifications.unreadCounts(context.userId, room, context.upTo))
    const text = object([
      ...(since === undefined ? ['"initial":true'] : []),
      '"membership":"join"',
      ...description,
      ...(isMarked ? [`"is_dm":${task.isDirect}`] : []),
      ...(await this.#events(context, task, timeline, state.events)),
      `"bump_stamp":${context.bumps.get(room.nid) ?? wanted.membership.streamOrdering}`,
      `"notification_count":${unread.notificationCount}`,
      `"highlight_count":${unread.highlightCount}`,
    ])
    return { text, record: next, timeline: timeline.shown.map(({ event }) => event) }
  }

  /** A room that the user has left, or was removed from, up to that moment. */
  async #former(context: ResultContext, task: RoomTask): Promise<RoomResult> {
    const { record, since, wanted } = task
    const { membership } = wanted
    const { room } = membership
    const upTo = Math.min(context.upTo, membership.streamOrdering)
    const timeline = await this.#timeline(context, task, upTo)
    const wasMember = await wasJoined(this.#sources, membership)
    const own = await this.#sources.events.byNid(membership.eventNid)
    const endRoot = own ? await this.#states.rootAfter(own) : 0
    const state = wasMember
      ? await this.#required.of({ room, endRoot, since, timeline, sent: context.sent, wish: wanted.wish.requiredState, known: record?.requiredState })
      : { events: own && wantsOwn(wanted.wish.requiredState, context.userId) ? [own] : [], changedTypes: undefined, hasLost: false }
    const text = object([
      ...(since === undefined ? ['"initial":true'] : []),
      `"membership":"${membership.membership}"`,
      ...(wasMember ? await this.#names(room, endRoot, state.changedTypes) : []),
      ...(task.isDirect ? ['"is_dm":true'] : []),
      ...(await this.#events(context, task, timeline, state.events)),
      `"bump_stamp":${membership.streamOrdering}`,
    ])
    const isOver = membership.membership === 'leave' && (membership.sender === context.userId || !wasMember) && !wanted.isSubscribed
    return { text, record: isOver ? undefined : this.#told(task, timeline, state), timeline: [] }
  }

  /** A room to which the user is invited or on which the user knocks. */
  async #outside(task: RoomTask): Promise<RoomResult> {
    const { membership } = task.wanted
    const event = await this.#sources.events.byNid(membership.eventNid)
    const state = event ? await this.#sources.prejoinState.of(event) : []
    const record: RoomRecord = {
      events: upToDate, receipts: neverTold, accountData: task.record?.accountData ?? neverTold, requiredState: RequiredState.nothing, timeline: 0, isDirect: task.isDirect,
    }
    const isMarked = task.since === undefined ? task.isDirect : task.record?.isDirect !== task.isDirect
    const text = object([
      ...(task.since === undefined ? ['"initial":true'] : []),
      `"membership":"${membership.membership}"`,
      ...strippedNames(state),
      ...(isMarked ? [`"is_dm":${task.isDirect}`] : []),
      `"invite_state":[${state.join(',')}]`,
      `"stripped_state":[${state.join(',')}]`,
      `"bump_stamp":${membership.streamOrdering}`,
    ])
    return { text, record, timeline: [] }
  }

  #timeline(context: ResultContext, { wanted, since, recent, isExpanded }: RoomTask, upTo: number): Promise<Timeline> {
    const isWhole = since === undefined || isExpanded
    return this.#timelines.load({
      room: wanted.membership.room, userId: context.userId, upTo, filter: allEvents, limit: wanted.wish.timelineLimit, ignored: context.ignored,
      after: isWhole ? Number.MIN_SAFE_INTEGER : since,
      recent: isWhole ? undefined : recent?.filter((event) => (event.streamOrdering ?? 0) <= upTo),
    })
  }

  /** What the client knows once it has been told. */
  #told({ wanted, record, since, isExpanded, isDirect }: RoomTask, timeline: Timeline, state: RequiredStateResult): RoomRecord {
    const { timelineLimit, requiredState: wish } = wanted.wish
    const isWhole = since === undefined || isExpanded
    return {
      events: upToDate,
      receipts: since === undefined ? neverTold : (record?.receipts ?? neverTold),
      accountData: record?.accountData ?? neverTold,
      requiredState: record && since !== undefined && !state.hasLost ? carriedOn(record.requiredState, wish) : wish,
      timeline: timeline.limited ? timelineLimit : isWhole || !record ? Infinity : record.timeline,
      isDirect,
    }
  }

  /** Timeline and required state. */
  async #events(context: ResultContext, task: RoomTask, timeline: Timeline, state: readonly StoredEvent[]): Promise<string[]> {
    const { shown, limited, previous } = timeline
    const { since, isExpanded } = task
    const isInitial = since === undefined
    const reader = { userId: context.userId, deviceId: context.deviceId }
    const { clientEvents } = this.#sources
    const members: string[] = []
    if (isInitial || state.length > 0) {
      members.push(`"required_state":[${(await clientEvents.format(reader, state.map((event) => ({ event })), { roomId: false })).join(',')}]`)
    }
    if (isInitial || shown.length > 0 || limited) {
      const live = context.since === undefined ? 0 : shown.filter(({ event }) => (event.streamOrdering ?? 0) > (context.since ?? 0)).length
      members.push(
        `"timeline":[${(await clientEvents.format(reader, shown, { roomId: false })).join(',')}]`, `"limited":${limited}`, `"num_live":${live}`,
        ...(previous === undefined ? [] : [`"prev_batch":${JSON.stringify(previous)}`]),
      )
    }
    if (isExpanded && shown.some(({ event }) => (event.streamOrdering ?? 0) <= (since ?? 0))) members.push('"unstable_expanded_timeline":true')
    return members
  }

  /** Name, avatar and members: all that there is, or what changed. */
  async #description(room: Room, root: number, userId: UserId, changed: ReadonlySet<string> | undefined): Promise<string[]> {
    const members = await this.#names(room, root, changed)
    if (changed && !changed.has(memberType) && !changed.has('m.room.name')) return members
    const { joined, invited, heroes } = await this.#summaries.members(room, userId)
    if (!contentString(await this.#sources.states.get(room, root, 'm.room.name', ''), 'name')) members.push(`"heroes":[${(await this.#heroes(room, root, heroes)).join(',')}]`)
    members.push(`"joined_count":${joined}`, `"invited_count":${invited}`)
    return members
  }

  /** Name and avatar: where they are set, or where they changed. */
  async #names(room: Room, root: number, changed: ReadonlySet<string> | undefined): Promise<string[]> {
    const members: string[] = []
    for (const [member, type, key] of [['name', 'm.room.name', 'name'], ['avatar', 'm.room.avatar', 'url']] as const) {
      if (changed && !changed.has(type)) continue
      const text = contentString(await this.#sources.states.get(room, root, type, ''), key)
      if (text || changed) members.push(`"${member}":${JSON.stringify(text || null)}`)
    }
    return members
  }

  async #heroes(room: Room, root: number, userIds: readonly UserId[]): Promise<string[]> {
    const heroes: string[] = []
    for (const userId of userIds) {
      const event = await this.#sources.states.get(room, root, memberType, userId)
      heroes.push(JSON.stringify({ user_id: userId, displayname: contentString(event, 'displayname'), avatar_url: contentString(event, 'avatar_url') }))
    }
    return heroes
  }
}

function object(members: readonly string[]): string {
  return `{${members.join(',')}}`
}

/** The state that the client keeps up with: what it wished before stays for as long as nothing of it was left out. */
function carriedOn(known: RequiredState, wish: RequiredState): RequiredState {
  if (known.covers(wish)) return known
  if (wish.covers(known)) return wish
  const all = known.with(wish)
  return all.text.length > wishLengthLimit ? wish : all
}

function wantsOwn(wish: RequiredState, userId: string): boolean {
  return wish.isLazy || wish.matches(memberType, userId)
}

/** Name and avatar as an invite shows them. */
function strippedNames(state: readonly string[]): string[] {
  const members: string[] = []
  for (const text of state) {
    const event: unknown = JSON.parse(text)
    const content = isObject(event) ? own(event, 'content') : undefined
    if (!isObject(event) || !isObject(content) || own(event, 'state_key') !== '') continue
    const [member, value] = own(event, 'type') === 'm.room.name' ? ['name', own(content, 'name')] : own(event, 'type') === 'm.room.avatar' ? ['avatar', own(content, 'url')] : []
    if (member !== undefined && typeof value === 'string' && value !== '') members.push(`"${member}":${JSON.stringify(value)}`)
  }
  return members
}
