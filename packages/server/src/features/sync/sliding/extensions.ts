/**
 * What a client asks for beside rooms: messages to its device, keys, account data, receipts, typing.
 *
 * Spec: MSC3884 (`e2ee`), MSC3885 (`to_device`), MSC3959 (`account_data`), MSC3960 (`receipts`), MSC4508 (`typing` and what they have in common),
 * MSC4308 (`thread_subscriptions`), MSC4480 (`sticky_events`).
 */
import { refuse } from '@myelin/protocol/errors.ts'
import type { Membership } from '#engine/memberships.ts'
import type { StoredEvent } from '#engine/stored-event.ts'
import { accountScope, type AccountDataEntry } from '#features/account-data/account-data.ts'
import { receiptContent, type Receipt } from '#features/receipts/receipts.ts'
import type { StickyEvent } from '#features/sticky-events/sticky-events.ts'
import { accountDataEvents } from '../room-sections.ts'
import { pastMembership } from '../past-memberships.ts'
import { sharingSince } from '../sharing.ts'
import type { SyncSources } from '../sources.ts'
import type { SyncParts } from '../sync-parts.ts'
import type { SyncPosition } from '../sync-token.ts'
import { neverTold, upToDate, type RoomRecord } from './connection-state.ts'
import type { Draft } from './draft.ts'
import type { WantedRoom } from './room-lists.ts'
import type { RoomScope, SlidingRequest } from './sliding-request.ts'

/** A room as this answer tells it. */
export interface ToldRoom {
  /** What the client knew of it before. */
  readonly before: RoomRecord | undefined
  /** Events of the timeline of which the client may not have the receipts. */
  readonly timeline: readonly StoredEvent[]
}

/** What extensions work on. */
export interface ExtensionContext {
  readonly request: SlidingRequest
  /** The moment of the client's token; undefined for a new connection. */
  readonly since: SyncPosition | undefined
  readonly upTo: SyncPosition
  readonly memberships: ReadonlyMap<number, Membership>
  readonly events: ReadonlyMap<number, readonly StoredEvent[]> | undefined
  readonly wanted: ReadonlyMap<number, WantedRoom>
  /** The rooms that this answer tells, by number. */
  readonly told: ReadonlyMap<number, ToldRoom>
  readonly ignored: ReadonlySet<string>
  readonly draft: Draft
}

/** Members of the answer's `extensions`, and whether they are worth an answer. */
export interface ExtensionResults {
  readonly members: readonly string[]
  readonly hasNews: boolean
}

type Kind = 'receipts' | 'accountData'

const nothing: ExtensionResults = { members: [], hasNews: false }

export class Extensions {
  readonly #parts: SyncParts
  readonly #sources: SyncSources

  constructor(parts: SyncParts) {
    this.#parts = parts
    this.#sources = parts.sources
  }

  /** Deletes the messages that the device has, as the extension's own token tells. @throws M_INVALID_PARAM for a wrong token */
  async acknowledge({ userId, deviceId, extensions }: SlidingRequest): Promise<void> {
    if (deviceId === undefined || !extensions.toDevice) return
    const upTo = Math.min(readSince(extensions.toDevice.since), this.#sources.toDevice.stream.position)
    if (upTo > 0) await this.#parts.devices.acknowledge(userId, deviceId, upTo)
  }

  async of(context: ExtensionContext): Promise<ExtensionResults> {
    return joined([await this.ofDevice(context), await this.#accountData(context), await this.#receipts(context), this.#typing(context), await this.#threadSubscriptions(context), await this.#stickyEvents(context)])
  }

  /** What concerns the device alone: its messages and keys. */
  async ofDevice(context: ExtensionContext): Promise<ExtensionResults> {
    return joined([await this.#toDevice(context), await this.#e2ee(context)])
  }

  async #toDevice({ request: { userId, deviceId, extensions: { toDevice } }, upTo }: ExtensionContext): Promise<ExtensionResults> {
    if (!toDevice || deviceId === undefined) return nothing
    const since = Math.min(readSince(toDevice.since), upTo.toDevice)
    const { messages, last } = await this.#parts.devices.messages(userId, deviceId, since, upTo.toDevice, toDevice.limit)
    return { members: [`"to_device":{"next_batch":"${last}","events":[${messages.join(',')}]}`], hasNews: messages.length > 0 }
  }

  async #e2ee(context: ExtensionContext): Promise<ExtensionResults> {
    const { request: { userId, deviceId, extensions }, since, upTo, memberships, events } = context
    if (!extensions.e2ee || deviceId === undefined) return nothing
    const sharing = since && (await sharingSince(this.#sources, userId, events, memberships, since.events))
    const lists = sharing ? await this.#parts.people.deviceLists({ userId, since, upTo }, sharing) : []
    return { members: [`"e2ee":{${[...(await this.#parts.devices.keys(userId, deviceId)), ...lists].join(',')}}`], hasNews: lists.length > 0 }
  }

  async #accountData(context: ExtensionContext): Promise<ExtensionResults> {
    const { request, since, upTo, draft } = context
    const { accountData } = this.#sources
    const scope = request.extensions.accountData
    const changes = since && since.accountData < upTo.accountData ? await accountData.changesSince(request.userId, since.accountData, upTo.accountData) : []
    const ofRooms = new Map<number, readonly AccountDataEntry[]>()
    for (const [roomId, entries] of Map.groupBy(changes.filter((entry) => entry.scope !== accountScope), (entry) => entry.scope)) {
      const room = await this.#sources.rooms.get(roomId)
      if (room) ofRooms.set(room.nid, entries)
    }
    const inScope = scope ? roomsIn(context, scope) : []
    markMissed(context, 'accountData', new Set(inScope.map(({ membership }) => membership.room.nid)), new Set(ofRooms.keys()), since?.accountData)
    if (!scope) {
      if (draft.hasAccountData && changes.some((entry) => entry.scope === accountScope)) draft.accountDataTold = false
      return nothing
    }
    const global = since && draft.hasAccountData
      ? accountDataEvents(changes.filter((entry) => entry.scope === accountScope))
      : accountDataEvents([...(await accountData.globalFor(request.userId))].map(([type, content]) => ({ type, content })))
    if (!draft.hasAccountData) draft.accountDataTold = true
    const rooms = await this.#roomAccountData(context, inScope, ofRooms)
    if (global.length + rooms.length === 0) return nothing
    return { members: [`"account_data":{"global":[${global.join(',')}],"rooms":{${rooms.join(',')}}}`], hasNews: true }
  }

  async #roomAccountData({ request: { userId }, upTo, draft }: ExtensionContext, inScope: readonly WantedRoom[], changed: ReadonlyMap<number, readonly AccountDataEntry[]>): Promise<string[]> {
    const { accountData } = this.#sources
    const missing = inScope.filter(({ membership: { room } }) => draft.get(room.nid)?.accountData === neverTold)
    const all = missing.length === 0 ? [] : await accountData.ofRooms(userId, missing.map(({ membership }) => membership.room.id))
    const entries = Map.groupBy(all, (entry) => entry.scope)
    const texts: string[] = []
    for (const { membership: { room } } of inScope) {
      const record = draft.get(room.nid)
      if (!record) continue
      let own = changed.get(room.nid) ?? []
      if (record.accountData === neverTold) own = entries.get(room.id) ?? []
      else if (record.accountData !== upToDate) {
        own = (await accountData.changesSince(userId, record.accountData, upTo.accountData)).filter((entry) => entry.scope === room.id)
      }
      if (record.accountData !== upToDate) draft.set(room.nid, { ...record, accountData: upToDate })
      if (own.length > 0) texts.push(`${JSON.stringify(room.id)}:[${accountDataEvents(own).join(',')}]`)
    }
    return texts
  }

  async #receipts(context: ExtensionContext): Promise<ExtensionResults> {
    const { request, since, upTo, draft, told, ignored } = context
    const { receipts } = this.#sources
    const scope = request.extensions.receipts
    const inScope = (scope ? roomsIn(context, scope) : []).filter(({ membership }) => membership.membership === 'join' && draft.get(membership.room.nid))
    const scopeNids = new Set(inScope.map(({ membership }) => membership.room.nid))
    if (since) {
      const recent = receipts.stream.since(since.receipts)
      markMissed(context, 'receipts', scopeNids, recent && new Set(recent.filter(({ id }) => id <= upTo.receipts).map(({ row }) => row.roomNid)), since.receipts)
    }
    if (inScope.length === 0) return nothing
    const found: Receipt[] = []
    const current = new Set<number>()
    const fresh: number[] = []
    const eventIds: string[] = []
    for (const nid of scopeNids) {
      const record = draft.get(nid)
      if (!record) continue
      if (record.receipts === upToDate) current.add(nid)
      else if (record.receipts === neverTold) fresh.push(nid)
      else found.push(...(await receipts.changesSince(new Set([nid]), record.receipts, upTo.receipts, request.userId)))
      for (const event of told.get(nid)?.timeline ?? []) eventIds.push(event.event.eventId)
      draft.set(nid, { ...record, receipts: upToDate })
    }
    if (since && current.size > 0 && since.receipts < upTo.receipts) found.push(...(await receipts.changesSince(current, since.receipts, upTo.receipts, request.userId)))
    if (fresh.length + eventIds.length > 0) found.push(...(await receipts.ofEvents(fresh, [...scopeNids], eventIds, request.userId)))
    const byRoom = Map.groupBy(found.filter((receipt) => !ignored.has(receipt.userId)), (receipt) => receipt.roomNid)
    if (byRoom.size === 0) return nothing
    const texts = [...byRoom].map(([nid, list]) => `${JSON.stringify(context.wanted.get(nid)?.membership.room.id)}:{"type":"m.receipt","content":${receiptContent(list)}}`)
    return { members: [`"receipts":{"rooms":{${texts.join(',')}}}`], hasNews: true }
  }

  async #threadSubscriptions({ request: { userId, extensions }, since, upTo }: ExtensionContext): Promise<ExtensionResults> {
    const { threadSubscriptions } = this.#sources
    const wish = extensions.threadSubscriptions
    if (!wish || !threadSubscriptions.enabled) return nothing
    const { members, before } = await threadSubscriptions.page({
      userId, after: since?.threadSubscriptions ?? 0, upTo: upTo.threadSubscriptions, limit: wish.limit,
    })
    if (members.length === 0) return nothing
    const more = before === undefined ? [] : [`"prev_batch":"${before}"`]
    return { members: [`"io.element.msc4308.thread_subscriptions":{${[...members, ...more].join(',')}}`], hasNews: true }
  }

  /** Oldest first, so that the client can go on where it stopped; of rooms that the user has joined since, all. */
  async #stickyEvents({ request: { userId, deviceId, extensions: { stickyEvents: wish } }, upTo, wanted, told, ignored }: ExtensionContext): Promise<ExtensionResults> {
    const { stickyEvents, events, clientEvents } = this.#sources
    if (!wish || !stickyEvents.enabled) return nothing
    const since = Math.min(readSince(wish.since, 'sticky_events'), upTo.events)
    const joined: StickyEvent[] = []
    const recent: StickyEvent[] = []
    for (const { membership } of wanted.values()) {
      if (membership.membership !== 'join') continue
      const found = stickyEvents.between(membership.room.nid, 0, upTo.events)
      if (found.length === 0) continue
      const isNew = since > 0 && membership.streamOrdering > since && (await pastMembership(this.#sources, membership, since)).membership !== 'join'
      if (isNew) joined.push(...found)
      else recent.push(...found.filter(({ place }) => place > since))
    }
    const page = recent.sort((a, b) => a.place - b.place).slice(0, wish.limit)
    if (page.length + joined.length === 0) return nothing
    const next = page.length < recent.length ? (page.at(-1)?.place ?? upTo.events) : upTo.events
    const inTimelines = new Set([...told.values()].flatMap(({ timeline }) => timeline.map((event) => event.nid)))
    const found = await events.byNids([...joined, ...page].map(({ nid }) => nid).filter((nid) => !inTimelines.has(nid)))
    const shown = [...found.values()].filter((event) => !event.redactedBecause && !ignored.has(event.event.sender))
    const rooms: string[] = []
    for (const [room, own] of Map.groupBy(shown, (event) => event.room)) {
      const texts = await clientEvents.format({ userId, deviceId }, own.map((event) => ({ event })), { roomId: false })
      rooms.push(`${JSON.stringify(room.id)}:{"events":[${texts.join(',')}]}`)
    }
    return { members: [`"org.matrix.msc4354.sticky_events":{"next_batch":"${next}","rooms":{${rooms.join(',')}}}`], hasNews: true }
  }

  #typing(context: ExtensionContext): ExtensionResults {
    const { request, since, upTo, told, ignored } = context
    const { typing } = this.#sources
    const scope = request.extensions.typing
    if (!scope) return nothing
    const recent = since && typing.stream.since(since.typing)
    const changed = new Set(recent?.filter(({ id }) => id <= upTo.typing).map(({ row }) => row.roomNid))
    const texts: string[] = []
    for (const { membership: { room, membership } } of roomsIn(context, scope)) {
      if (membership !== 'join') continue
      const entered = !since || (told.has(room.nid) && told.get(room.nid)?.before?.events !== upToDate)
      if (!changed.has(room.nid) && !entered) continue
      const userIds = typing.inRoom(room.nid).filter((userId) => !ignored.has(userId))
      if (changed.has(room.nid) || userIds.length > 0) texts.push(`${JSON.stringify(room.id)}:{"type":"m.typing","content":{"user_ids":${JSON.stringify(userIds)}}}`)
    }
    return texts.length === 0 ? nothing : { members: [`"typing":{"rooms":{${texts.join(',')}}}`], hasNews: true }
  }
}

function joined(results: readonly ExtensionResults[]): ExtensionResults {
  return { members: results.flatMap(({ members }) => members), hasNews: results.some(({ hasNews }) => hasNews) }
}

/** The wanted rooms that an extension is about. */
function roomsIn({ wanted }: ExtensionContext, scope: RoomScope): WantedRoom[] {
  const lists = scope.lists && new Set(scope.lists)
  const rooms = scope.rooms && new Set(scope.rooms)
  return [...wanted.values()].filter((room) =>
    room.lists.some((name) => !lists || lists.has(name)) || (room.isSubscribed && (!rooms || rooms.has(room.membership.room.id))))
}

/**
 * Notes of rooms that are not told, and in which something has changed since the token, that the client has them up to the token only.
 * @param changed undefined where it is not known: then all count as changed
 */
function markMissed({ draft }: ExtensionContext, kind: Kind, inScope: ReadonlySet<number>, changed: ReadonlySet<number> | undefined, since: number | undefined): void {
  if (since === undefined) return
  for (const nid of changed ?? [...draft.known()]) {
    const record = inScope.has(nid) ? undefined : draft.get(nid)
    if (record?.[kind] === upToDate) draft.set(nid, { ...record, [kind]: since })
  }
}

/** Position in the token of an extension. @throws M_INVALID_PARAM */
function readSince(since: string | undefined, extension = 'to_device'): number {
  if (since === undefined || since === '') return 0
  if (!/^\d{1,15}$/.test(since)) throw refuse('M_INVALID_PARAM', `The field since of ${extension} must be a next_batch that the extension gave.`)
  return Number(since)
}
