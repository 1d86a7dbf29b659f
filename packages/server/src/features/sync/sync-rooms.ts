/**
 * The rooms of a sync: which ones have news, and in which section they stand.
 *
 * Spec: client-server API, `GET /sync`, `rooms`.
 */
import type { Membership } from '#engine/memberships.ts'
import type { Room } from '#engine/room.ts'
import type { StoredEvent } from '#engine/stored-event.ts'
import type { AccountDataEntry } from '#features/account-data/account-data.ts'
import type { Receipt } from '#features/receipts/receipts.ts'
import { nextTurn } from './next-turn.ts'
import { pastMembership } from './past-memberships.ts'
import type { RoomNews } from './room-news.ts'
import { RoomSections, type RoomChange } from './room-sections.ts'
import { noSharingChanges, othersWhoMoved, type SharingChanges } from './sharing.ts'
import type { SyncSources } from './sources.ts'
import type { SyncContext } from './sync-context.ts'
import type { SyncParts } from './sync-parts.ts'

/** The rooms part of an answer, and what it showed about who shares rooms with the user. */
export interface SyncedRooms {
  /** Members of `rooms` by section; empty where nothing has happened. */
  readonly sections: readonly string[]
  readonly sharing: SharingChanges
}

/** What has changed, by room number. */
interface Changes {
  readonly events: ReadonlyMap<number, readonly StoredEvent[]> | undefined
  readonly receipts: ReadonlyMap<number, readonly Receipt[]>
  readonly typing: ReadonlySet<number>
  readonly accountData: ReadonlyMap<number, readonly AccountDataEntry[]>
}

/** Rooms that are worked on before other requests get their turn. */
const roomsPerTurn = 20

export class SyncRooms {
  readonly #sources: SyncSources
  readonly #news: RoomNews
  readonly #sections: RoomSections

  constructor(parts: SyncParts) {
    this.#sources = parts.sources
    this.#news = parts.news
    this.#sections = new RoomSections(parts)
  }

  /**
   * The rooms with news.
   * @param memberships of the user at the moment `context.upTo`
   * @param accountData of rooms that changed, or of all rooms in an initial sync
   */
  async of(context: SyncContext, memberships: ReadonlyMap<number, Membership>, accountData: readonly AccountDataEntry[]): Promise<SyncedRooms> {
    const changes = await this.#changes(context, memberships, accountData)
    const candidates = this.#candidates(context, memberships, changes)
    if (candidates.length === 0) return { sections: [], sharing: changes.events ? noSharingChanges : { ...noSharingChanges, isKnown: false } }
    const texts = new Map<string, string[]>([['join', []], ['invite', []], ['knock', []], ['leave', []]])
    const joinedRooms: Room[] = []
    const leftRooms: Room[] = []
    for (const [index, change] of candidates.entries()) {
      if (index > 0 && index % roomsPerTurn === 0) await nextTurn()
      const { room, membership } = change.membership
      const { name, text, isNew } = await this.#room(context, change)
      if (isNew && membership === 'join') joinedRooms.push(room)
      if (name === 'leave') leftRooms.push(room)
      if (text !== undefined) texts.get(name)?.push(`${JSON.stringify(room.id)}:${text}`)
    }
    const sections = [...texts].filter(([, rooms]) => rooms.length > 0).map(([name, rooms]) => `"${name}":{${rooms.join(',')}}`)
    return { sections, sharing: { isKnown: changes.events !== undefined, joinedRooms, leftRooms, ...(await othersWhoMoved(this.#sources, context.userId, changes.events, memberships)) } }
  }

  async #room(context: SyncContext, change: RoomChange): Promise<{ name: 'join' | 'invite' | 'knock' | 'leave'; text: string | undefined; isNew: boolean }> {
    const { membership } = change.membership
    if (membership === 'invite') return { name: 'invite', text: await this.#sections.outside(context, change.membership, 'invite_state'), isNew: false }
    if (membership === 'knock') return { name: 'knock', text: await this.#sections.outside(context, change.membership, 'knock_state'), isNew: false }
    if (membership !== 'join') return { name: 'leave', text: await this.#sections.left(context, change), isNew: false }
    const isNew = !context.since || (await pastMembership(this.#sources, change.membership, context.since.events)).membership !== 'join'
    return { name: 'join', text: await this.#sections.joined(context, change, isNew), isNew }
  }

  async #changes(context: SyncContext, memberships: ReadonlyMap<number, Membership>, accountData: readonly AccountDataEntry[]): Promise<Changes> {
    const { since, upTo, userId } = context
    const { receipts, rooms } = this.#sources
    const byRoom = new Map<number, readonly AccountDataEntry[]>()
    for (const [roomId, entries] of Map.groupBy(accountData, (entry) => entry.scope)) {
      const room = await rooms.get(roomId)
      if (room) byRoom.set(room.nid, entries)
    }
    if (!since) return { events: undefined, receipts: new Map(), typing: new Set(), accountData: byRoom }
    const events = await this.#news.between(since.events, upTo.events, (nid) => memberships.has(nid))
    const changedReceipts = since.receipts < upTo.receipts
      ? await receipts.changesSince(this.#roomsWithReceipts(memberships, since.receipts), since.receipts, upTo.receipts, userId)
      : []
    return { events, receipts: Map.groupBy(changedReceipts, (receipt) => receipt.roomNid), typing: this.#typing(since.typing, upTo.typing), accountData: byRoom }
  }

  /** The user's rooms whose receipts may have changed. */
  #roomsWithReceipts(memberships: ReadonlyMap<number, Membership>, since: number): Set<number> {
    const recent = this.#sources.receipts.stream.since(since)
    const nids = recent ? recent.map(({ row }) => row.roomNid) : [...memberships.keys()]
    return new Set(nids.filter((nid) => memberships.get(nid)?.membership === 'join'))
  }

  #typing(since: number, upTo: number): Set<number> {
    if (since >= upTo) return new Set()
    const recent = this.#sources.typing.stream.since(since)
    return new Set(recent?.filter(({ id }) => id <= upTo).map(({ row }) => row.roomNid))
  }

  /** The user's rooms that may have something to tell. */
  #candidates(context: SyncContext, memberships: ReadonlyMap<number, Membership>, changes: Changes): RoomChange[] {
    const { since, fullState } = context
    const isScan = !since || fullState || !changes.events
    const nids = isScan
      ? memberships.keys()
      : new Set([...(changes.events?.keys() ?? []), ...changes.receipts.keys(), ...changes.typing, ...changes.accountData.keys()])
    const found: RoomChange[] = []
    for (const nid of nids) {
      const membership = memberships.get(nid)
      if (!membership || !this.#isWanted(context, membership, changes)) continue
      found.push({
        membership,
        recent: changes.events && (changes.events.get(nid) ?? []),
        receipts: changes.receipts.get(nid) ?? [],
        typingChanged: changes.typing.has(nid),
        accountData: changes.accountData.get(nid) ?? [],
      })
    }
    return found
  }

  #isWanted(context: SyncContext, entry: Membership, changes: Changes): boolean {
    const { filter, since, fullState } = context
    const { room, membership } = entry
    if (!filter.includesRoom(room.id) || this.#sources.options.excludedRooms.has(room.id)) return false
    const isNews = !since || entry.streamOrdering > since.events
    if (membership === 'invite' || membership === 'knock') return isNews
    if (membership !== 'join') {
      if (entry.forgotten) return false
      return since && !fullState ? isNews : filter.includeLeave || (since !== undefined && isNews)
    }
    if (!since || fullState || changes.events) return true
    return this.#news.mayHaveNews(room.nid, since.events) || changes.receipts.has(room.nid) || changes.typing.has(room.nid) || changes.accountData.has(room.nid)
  }
}
