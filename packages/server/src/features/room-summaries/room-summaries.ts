/**
 * What a room shows of itself to those who are not in it, and to whom it does.
 *
 * Spec: client-server API, "Published room directory", "Room Summaries", "Discovering rooms within spaces".
 */
import type { RoomAlias, RoomId, ServerName, UserId } from '@myelin/protocol/ids/ids.ts'
import { isRoomAlias } from '@myelin/protocol/ids/room-alias.ts'
import { serverOf } from '@myelin/protocol/ids/user-id.ts'
import { isObject, own } from '@myelin/protocol/json/json.ts'
import { contentString } from '#engine/client-events.ts'
import type { Memberships } from '#engine/memberships.ts'
import type { RoomStates } from '#engine/room-states.ts'
import type { Room } from '#engine/room.ts'
import type { Rooms } from '#engine/rooms.ts'
import type { RoomWriter } from '#engine/room-writer.ts'
import type { EventsRow, StoredEvent } from '#engine/stored-event.ts'
import { historyVisibilityOf } from '#engine/visibility.ts'
import type { Cache, CacheBudget } from '#platform/cache/cache.ts'
import type { Stream } from '#platform/streams/stream.ts'

/** What a room's state says of it. */
interface Facade {
  readonly name: string | undefined
  readonly topic: string | undefined
  readonly avatarUrl: string | undefined
  readonly canonicalAlias: RoomAlias | undefined
  readonly joinRule: string
  /** Rooms whose members may join, where the join rule names any. */
  readonly allowedRoomIds: readonly RoomId[]
  readonly roomType: string | undefined
  readonly encryption: string | undefined
  readonly guestCanJoin: boolean
  readonly isWorldReadable: boolean
}

/** A room as others see it. */
export interface RoomSummary extends Facade {
  readonly room: Room
  readonly joinedMembers: number
}

/** The form of published rooms. */
export interface PublishedRoom {
  readonly room_id: RoomId
  readonly num_joined_members: number
  readonly world_readable: boolean
  readonly guest_can_join: boolean
  readonly join_rule: string
  readonly name?: string
  readonly topic?: string
  readonly avatar_url?: string
  readonly canonical_alias?: RoomAlias
  readonly room_type?: string
}

interface Needs {
  readonly caches: CacheBudget
  readonly rooms: Rooms
  readonly states: RoomStates
  readonly memberships: Memberships
  readonly writer: RoomWriter
  readonly eventsStream: Stream<EventsRow>
}

export class RoomSummaries {
  readonly #needs: Needs
  /** A facade holds as long as the room's state has the same root and none of its events is redacted. */
  readonly #facades: Cache<number, { readonly root: number; readonly facade: Facade }>

  constructor(needs: Needs) {
    this.#needs = needs
    this.#facades = needs.caches.cache('room_facades', ({ facade }) => 400 + ((facade.name?.length ?? 0) + (facade.topic?.length ?? 0)) * 2)
    needs.eventsStream.onAdvance((entries) => {
      for (const { row: { event } } of entries) if (event.event.type === 'm.room.redaction') this.#facades.delete(event.room.nid)
    })
  }

  /** The room as it is now. */
  async of(room: Room): Promise<RoomSummary> {
    let joinedMembers = 0
    for (const member of (await this.#needs.memberships.ofRoom(room)).values()) if (member.membership === 'join') joinedMembers += 1
    return { ...(await this.#facade(room)), room, joinedMembers }
  }

  /**
   * Whether a user may know the room from outside: members, the invited, who could join or knock, and everybody where history is world-readable.
   * @param userId undefined for somebody who is not logged in
   */
  async mayPreview(userId: UserId | undefined, summary: RoomSummary): Promise<boolean> {
    const { room, joinRule } = summary
    if (summary.isWorldReadable) return true
    const membership = userId === undefined ? undefined : (await this.#needs.memberships.of(room, userId))?.membership
    if (membership === 'join' || membership === 'invite') return true
    if (membership === 'ban') return false
    if (joinRule === 'public' || (joinRule === 'knock' && room.version.knocking) || (joinRule === 'knock_restricted' && room.version.knockRestricted)) return true
    if (joinRule !== 'restricted' || !room.version.restrictedJoins || userId === undefined) return false
    for (const roomId of summary.allowedRoomIds) {
      const allowed = await this.#needs.rooms.get(roomId)
      if (allowed && (await this.#needs.memberships.isJoined(allowed, userId))) return true
    }
    return false
  }

  /** Whether a server may know the room for its users: where it is in it or one of them is invited, and where they could come in or read. */
  async mayServerPreview(server: ServerName, summary: RoomSummary): Promise<boolean> {
    const { room, joinRule, allowedRoomIds } = summary
    const { memberships, rooms } = this.#needs
    if (summary.isWorldReadable || joinRule === 'public' || (joinRule === 'knock' && room.version.knocking) || (joinRule === 'knock_restricted' && room.version.knockRestricted)) return true
    if ((await memberships.serversOf(room)).has(server)) return true
    for (const { userId, membership } of (await memberships.ofRoom(room)).values()) if (membership === 'invite' && serverOf(userId) === server) return true
    for (const roomId of joinRule === 'restricted' && room.version.restrictedJoins ? allowedRoomIds : []) {
      const allowed = await rooms.get(roomId)
      if (allowed && (await memberships.serversOf(allowed)).has(server)) return true
    }
    return false
  }

  async #facade(room: Room): Promise<Facade> {
    const root = await this.#needs.writer.currentRoot(room)
    const known = this.#facades.get(room.nid)
    if (known?.root === root) return known.facade
    const read = (type: string): Promise<StoredEvent | undefined> => this.#needs.states.get(room, root, type, '')
    const rules = await read('m.room.join_rules')
    const alias = contentString(await read('m.room.canonical_alias'), 'alias')
    const facade: Facade = {
      name: contentString(await read('m.room.name'), 'name') || undefined,
      topic: contentString(await read('m.room.topic'), 'topic') || undefined,
      avatarUrl: contentString(await read('m.room.avatar'), 'url') || undefined,
      canonicalAlias: isRoomAlias(alias) ? alias : undefined,
      joinRule: contentString(rules, 'join_rule') ?? 'invite',
      allowedRoomIds: allowedRooms(rules),
      roomType: contentString(await read('m.room.create'), 'type'),
      encryption: contentString(await read('m.room.encryption'), 'algorithm'),
      guestCanJoin: contentString(await read('m.room.guest_access'), 'guest_access') === 'can_join',
      isWorldReadable: historyVisibilityOf(await read('m.room.history_visibility')) === 'world_readable',
    }
    this.#facades.set(room.nid, { root, facade })
    return facade
  }
}

function allowedRooms(rules: StoredEvent | undefined): RoomId[] {
  const joinRule = contentString(rules, 'join_rule')
  if (!rules || (joinRule !== 'restricted' && joinRule !== 'knock_restricted')) return []
  const allow = own(rules.event.content, 'allow')
  return (Array.isArray(allow) ? allow : []).flatMap((condition) => {
    if (!isObject(condition) || own(condition, 'type') !== 'm.room_membership') return []
    const roomId = own(condition, 'room_id')
    return typeof roomId === 'string' && roomId.startsWith('!') ? [roomId as RoomId] : []
  })
}

/** The form of published rooms. */
export function publishedRoom(summary: RoomSummary): PublishedRoom {
  const { name, topic, avatarUrl, canonicalAlias, roomType } = summary
  return {
    room_id: summary.room.id,
    num_joined_members: summary.joinedMembers,
    world_readable: summary.isWorldReadable,
    guest_can_join: summary.guestCanJoin,
    join_rule: summary.joinRule,
    ...(name === undefined ? {} : { name }),
    ...(topic === undefined ? {} : { topic }),
    ...(avatarUrl === undefined ? {} : { avatar_url: avatarUrl }),
    ...(canonicalAlias === undefined ? {} : { canonical_alias: canonicalAlias }),
    ...(roomType === undefined ? {} : { room_type: roomType }),
  }
}

/** The form of room summaries and of rooms in a hierarchy. */
export function roomSummary(summary: RoomSummary): object {
  const { allowedRoomIds, encryption } = summary
  return {
    ...publishedRoom(summary),
    room_version: summary.room.version.id,
    ...(allowedRoomIds.length === 0 ? {} : { allowed_room_ids: allowedRoomIds }),
    ...(encryption === undefined ? {} : { encryption }),
  }
}
