/**
 * The endpoints that `/sync` has replaced: `/initialSync`, `/events` and the initial sync of one room, which also serves previews.
 *
 * Spec: client-server API, "Syncing" (deprecated endpoints), "Room Previews".
 */
import { MatrixError, refuse } from '@myelin/protocol/errors.ts'
import type { EventId, RoomId, UserId } from '@myelin/protocol/ids/ids.ts'
import { allEvents } from '@myelin/protocol/filters/event-filter.ts'
import type { Membership } from '#engine/memberships.ts'
import type { RoomReadView } from '#engine/room-access.ts'
import type { Room } from '#engine/room.ts'
import type { StoredEvent } from '#engine/stored-event.ts'
import type { VisibleEvent } from '#engine/visibility.ts'
import { accountScope } from '#features/account-data/account-data.ts'
import { receiptContent } from '#features/receipts/receipts.ts'
import type { Poll } from './polls.ts'
import { accountDataEvents } from './room-sections.ts'
import type { SyncSources } from './sources.ts'
import type { SyncParts } from './sync-parts.ts'
import { formatSyncToken, notBeyond, requireSyncToken, samePosition, type SyncPosition } from './sync-token.ts'
import { peekersOf } from './wakeups.ts'

/** Who asks. */
interface Asking {
  readonly userId: UserId
  readonly deviceId: string | undefined
}

/** A request for events. */
export interface EventsRequest extends Asking {
  readonly from: string | undefined
  readonly timeoutMs: number
  /** A room to watch, also without being its member. */
  readonly roomId: string | undefined
  /** Most events of rooms in the answer. */
  readonly limit: number | undefined
}

/** Events as JSON texts, and the moment that the client knows with them. */
interface Chunk {
  readonly chunk: readonly string[]
  readonly position: SyncPosition
}

/** Events of all rooms in one answer. */
const chunkLimit = 1000
const mostMessages = 1000
const longestTimeoutMs = 5 * 60_000

export class OldSync {
  readonly #parts: SyncParts
  readonly #sources: SyncSources

  constructor(parts: SyncParts) {
    this.#parts = parts
    this.#sources = parts.sources
  }

  /** Everything that the user has, as JSON text. */
  async initial(asking: Asking, limit: number, includeLeft: boolean): Promise<string> {
    const { userId } = asking
    const { memberships, accountData, presence, options } = this.#sources
    const mine = [...(await memberships.ofUser(userId)).values()]
    const position = this.#parts.position()
    const rooms: string[] = []
    const receipts: string[] = []
    for (const membership of mine) {
      if (membership.forgotten || options.excludedRooms.has(membership.room.id)) continue
      if (!includeLeft && (membership.membership === 'leave' || membership.membership === 'ban')) continue
      rooms.push(await this.#roomInfo(asking, membership, limit))
      if (membership.membership === 'join') receipts.push(...(await this.#receipts(membership.room, userId)))
    }
    const around = presence.enabled ? [...(await memberships.sharingRoomWith(userId)), userId] as UserId[] : []
    const own = [...(await accountData.globalFor(userId))].filter(([type]) => type !== 'm.push_rules')
    const data = accountDataEvents(own.map(([type, content]) => ({ type, content })))
    return `{"end":"${formatSyncToken(position)}","presence":[${(await this.#presence(around)).join(',')}],"receipts":[${receipts.join(',')}],` +
      `"account_data":[${data.join(',')}],"rooms":[${rooms.join(',')}]}`
  }

  /** One room that the user is or was in, or that everybody may read, as JSON text. @throws M_FORBIDDEN */
  async room(asking: Asking, roomId: RoomId, limit: number): Promise<string> {
    const { rooms, access, memberships } = this.#sources
    const room = await rooms.get(roomId)
    if (!room) throw refuse('M_FORBIDDEN', 'You are not in the room, or it does not exist.')
    const view = await access.assertReadable(room, asking.userId)
    const members = (await memberships.ofRoom(room)).values()
    const presence = this.#sources.presence.enabled && view.isCurrent && view.membership === 'join'
      ? await this.#presence([...members].filter((member) => member.membership === 'join').map((member) => member.userId))
      : []
    const receipts = view.isCurrent ? await this.#receipts(room, asking.userId) : []
    const membership = await memberships.of(room, asking.userId)
    return `{${(await this.#roomMembers(asking, view, membership, limit)).join(',')},"presence":[${presence.join(',')}],"receipts":[${receipts.join(',')}]}`
  }

  /** An event that the user may read, as JSON text. @throws M_NOT_FOUND */
  async event(asking: Asking, eventId: EventId): Promise<string> {
    const room = await this.#sources.events.roomOf(eventId)
    const event = room && (await this.#sources.events.get(room, eventId))
    const [shown] = event ? await this.#sources.visibility.filter(asking.userId, [event]) : []
    if (!shown) throw refuse('M_NOT_FOUND', 'There is no such event, or you may not see it.')
    return this.#sources.clientEvents.formatOne(asking, shown)
  }

  /** What happened since a token, waiting for the first news, as JSON text. @throws M_UNKNOWN with 400, M_FORBIDDEN for a room that cannot be read */
  async events(request: EventsRequest, signal: AbortSignal): Promise<string> {
    const start = request.from === undefined || request.from === '' ? this.#parts.position() : notBeyond(requireSyncToken(request.from), this.#parts.position())
    const watched = request.roomId === undefined ? undefined : await this.#watched(request.userId, request.roomId)
    const timeoutMs = Math.min(request.timeoutMs, longestTimeoutMs)
    const present = await this.#sources.presence.syncing(request.userId, request.deviceId)
    const poll = this.#parts.polls.open({
      userId: request.userId, deviceId: request.deviceId, timeoutMs, signal, ...(watched ? { alsoFor: peekersOf(watched.room) } : {}),
    })
    try {
      const { chunk, position } = await this.#wait(request, watched, start, poll)
      return `{"start":"${formatSyncToken(start)}","end":"${formatSyncToken(position)}","chunk":[${chunk.join(',')}]}`
    } finally {
      poll[Symbol.dispose]()
      present[Symbol.dispose]()
    }
  }

  async #wait(request: EventsRequest, watched: RoomReadView | undefined, start: SyncPosition, poll: Poll): Promise<Chunk> {
    let base = start
    for (;;) {
      const wait = poll.listen()
      try {
        const { isOver } = poll
        if (isOver || !samePosition(base, this.#parts.position())) {
          const found = await this.#chunk(request, watched, base)
          if (isOver || found.chunk.length > 0) return found
          base = found.position
        }
        await wait.woken
      } finally {
        wait.cancel()
      }
    }
  }

  async #watched(userId: UserId, roomId: string): Promise<RoomReadView> {
    const room = await this.#sources.rooms.get(roomId)
    if (!room) throw refuse('M_FORBIDDEN', 'You are not in the room, or it does not exist.')
    return this.#sources.access.assertReadable(room, userId)
  }

  async #chunk(request: EventsRequest, watched: RoomReadView | undefined, since: SyncPosition): Promise<Chunk> {
    const { memberships, events, clientEvents } = this.#sources
    const { userId } = request
    const mine = await memberships.ofUser(userId)
    const now = this.#parts.position()
    const isMine = (nid: number): boolean => (watched ? watched.room.nid === nid : mine.has(nid))
    const byRoom = await this.#parts.news.between(since.events, now.events, isMine)
    const all = byRoom ? [...byRoom.values()].flat().sort(byPlace) : await events.streamAfter(since.events, now.events, chunkLimit)
    const limit = Math.min(Math.max(request.limit ?? chunkLimit, 1), chunkLimit)
    const some = all.slice(0, limit)
    const last = some.length < limit ? undefined : some.at(-1)?.streamOrdering
    const position = { ...now, events: last ?? now.events }
    const shown: VisibleEvent[] = []
    const groups = Map.groupBy(some.filter((event) => isMine(event.room.nid)), (event) => event.room.nid)
    for (const group of groups.values()) shown.push(...(await this.#visible(userId, group)))
    shown.sort((a, b) => byPlace(a.event, b.event))
    const joined = [...mine.values()].filter(({ membership }) => membership === 'join').map(({ room }) => room)
    const ephemeral = await this.#ephemeral(userId, since, now, watched ? (watched.isCurrent ? [watched.room] : []) : joined, watched?.room)
    return { chunk: [...(await clientEvents.format(request, shown, { old: true })), ...ephemeral], position }
  }

  async #visible(userId: UserId, events: readonly StoredEvent[]) {
    const ignored = await this.#sources.accountData.ignoredBy(userId)
    return this.#sources.visibility.filter(userId, events.filter((event) => event.isState || !ignored.has(event.event.sender)))
  }

  /**
   * Typing, receipts, presence and account data as events.
   * @param rooms those that the user is in, or the one that is watched: who watches it sees its members as a member would
   */
  async #ephemeral(userId: UserId, since: SyncPosition, now: SyncPosition, rooms: readonly Room[], watched: Room | undefined): Promise<string[]> {
    const { typing, receipts, presence, accountData } = this.#sources
    const found: string[] = []
    const byNid = new Map(rooms.map((room) => [room.nid, room]))
    const inRoom = (nid: number): string => `"room_id":${JSON.stringify(byNid.get(nid)?.id)}`
    const typingRooms = new Set(typing.stream.since(since.typing)?.map(({ row }) => row.roomNid).filter((nid) => byNid.has(nid)))
    for (const nid of typingRooms) found.push(`{"type":"m.typing",${inRoom(nid)},"content":{"user_ids":${JSON.stringify(typing.inRoom(nid))}}}`)
    if (since.receipts < now.receipts) {
      const changes = Map.groupBy(await receipts.changesSince(new Set(byNid.keys()), since.receipts, now.receipts, userId), (receipt) => receipt.roomNid)
      for (const [nid, list] of changes) found.push(`{"type":"m.receipt",${inRoom(nid)},"content":${receiptContent(list)}}`)
    }
    if (presence.enabled && since.presence < now.presence) found.push(...(await this.#presence(await this.#presenceChanges(userId, since, now, rooms, watched))))
    if (!watched && since.accountData < now.accountData) {
      for (const { scope, type, content } of await accountData.changesSince(userId, since.accountData, now.accountData)) {
        const room = scope === accountScope ? '' : `"room_id":${JSON.stringify(scope)},`
        found.push(`{"type":${JSON.stringify(type)},${room}"content":${content}}`)
      }
    }
    return found
  }

  async #presenceChanges(userId: UserId, since: SyncPosition, now: SyncPosition, rooms: readonly Room[], watched: Room | undefined): Promise<UserId[]> {
    const { presence, memberships } = this.#sources
    const changed = (await presence.changesSince(since.presence, now.presence)).map((state) => state.userId)
    const seen: UserId[] = []
    for (const changedId of changed) {
      const isSeen = watched
        ? rooms.includes(watched) && (await memberships.isJoined(watched, changedId))
        : await presence.mayBeSeen(userId, changedId)
      if (isSeen) seen.push(changedId)
    }
    return seen
  }

  async #presence(userIds: readonly UserId[]): Promise<string[]> {
    const { presence } = this.#sources
    const states = await presence.getMany(userIds)
    return [...states.values()].map((state) =>
      `{"type":"m.presence","sender":${JSON.stringify(state.userId)},"content":${JSON.stringify({ ...presence.content(state), user_id: state.userId })}}`)
  }

  async #receipts(room: Room, userId: UserId): Promise<string[]> {
    const receipts = await this.#sources.receipts.forRoom(room, userId)
    return receipts.length === 0 ? [] : [`{"type":"m.receipt","room_id":${JSON.stringify(room.id)},"content":${receiptContent(receipts)}}`]
  }

  async #roomInfo(asking: Asking, membership: Membership, limit: number): Promise<string> {
    const { room } = membership
    if (membership.membership === 'join' || membership.membership === 'leave' || membership.membership === 'ban') {
      const view = await this.#view(room, asking.userId)
      if (view) return `{${(await this.#roomMembers(asking, view, membership, limit)).join(',')}}`
    }
    const event = membership.membership === 'invite' ? await this.#sources.events.byNid(membership.eventNid) : undefined
    const invite = event ? `,"invite":${await this.#sources.clientEvents.formatOne(asking, { event })},"inviter":${JSON.stringify(event.event.sender)}` : ''
    return `{"room_id":${JSON.stringify(room.id)},"membership":"${membership.membership}"${invite}}`
  }

  async #view(room: Room, userId: UserId): Promise<RoomReadView | undefined> {
    try {
      return await this.#sources.access.assertReadable(room, userId)
    } catch (error) {
      // Whoever was never a member sees nothing of the room but that they are out of it.
      if (error instanceof MatrixError && error.errcode === 'M_FORBIDDEN') return undefined
      throw error
    }
  }

  /** The members of a `RoomInfo` object. */
  async #roomMembers(asking: Asking, view: RoomReadView, membership: Membership | undefined, limit: number): Promise<string[]> {
    const { states, clientEvents, accountData, isPublished } = this.#sources
    const { room } = view
    const now = this.#parts.position()
    const upTo = view.isCurrent ? now.events : (membership?.streamOrdering ?? 0)
    const timeline = await this.#parts.timelines.load({
      room, userId: asking.userId, after: Number.MIN_SAFE_INTEGER, upTo, limit: Math.min(limit, mostMessages), filter: allEvents,
      ignored: await accountData.ignoredBy(asking.userId), recent: undefined,
    })
    const messages = await clientEvents.format(asking, timeline.shown, { old: true })
    const state = await states.all(room, view.root)
    const data = membership ? [...(await accountData.roomFor(asking.userId, room.id))].map(([type, content]) => ({ type, content })) : []
    // A token that /events goes on from as well, which is how rooms are previewed.
    const end = formatSyncToken({ ...now, events: upTo })
    return [
      `"room_id":${JSON.stringify(room.id)}`,
      ...(membership ? [`"membership":"${membership.membership}"`] : []),
      `"messages":{"start":${JSON.stringify(timeline.previous ?? end)},"end":${JSON.stringify(end)},"chunk":[${messages.join(',')}]}`,
      `"state":[${(await clientEvents.format(asking, state.map((event) => ({ event })), { old: true })).join(',')}]`,
      `"visibility":"${(await isPublished(room)) ? 'public' : 'private'}"`,
      `"account_data":[${accountDataEvents(data).join(',')}]`,
    ]
  }
}

function byPlace(a: StoredEvent, b: StoredEvent): number {
  return (a.streamOrdering ?? 0) - (b.streamOrdering ?? 0)
}
