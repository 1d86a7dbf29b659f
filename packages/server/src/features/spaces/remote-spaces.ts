/**
 * Rooms of hierarchies that this server is not in, as servers show them that are.
 *
 * Spec: server-server API, "Spaces", `GET /hierarchy`.
 */
import { readStrippedState, type StrippedEvent } from '@myelin/protocol/events/stripped-state.ts'
import type { RoomId, ServerName } from '@myelin/protocol/ids/ids.ts'
import { isRoomId } from '@myelin/protocol/ids/room-id.ts'
import { isObject, own, type JsonObject, type JsonValue } from '@myelin/protocol/json/json.ts'
import { RemoteError } from '#platform/fetch/remote-error.ts'
import type { Clock } from '#platform/clock.ts'
import { FederationRefusal, pathOf, type Federation } from '#features/federation/federation.ts'

/** A room as another server shows it. */
export interface RemoteRoom {
  readonly roomId: RoomId
  /** The fields of a room summary, those that are known and of the right kind. */
  readonly summary: JsonObject
  readonly isSpace: boolean
  readonly joinRule: string
  readonly isWorldReadable: boolean
  readonly allowedRoomIds: readonly RoomId[]
  /** What it says of its children. */
  readonly children: readonly (StrippedEvent & { readonly originServerTs: number })[]
}

/** Asks other servers for rooms of hierarchies. */
export interface RemoteSpaces {
  /** A room, and those of its children that the asked server knows; undefined where no server shows it. */
  room(roomId: RoomId, via: readonly ServerName[]): Promise<{ readonly room: RemoteRoom; readonly children: ReadonlyMap<string, RemoteRoom> } | undefined>
}

type Known = Awaited<ReturnType<RemoteSpaces['room']>>

const mostServers = 3
const timeoutMs = 10_000
const lifetimeMs = 5 * 60_000
const mostKnown = 1000

/** The hierarchies of other servers; answers are kept for a while. */
export function remoteSpaces(federation: Pick<Federation, 'allows' | 'request'>, clock: Clock, serverName: ServerName): RemoteSpaces {
  const known = new Map<string, { readonly answer: NonNullable<Known>; readonly untilTs: number }>()
  const ask = async (roomId: RoomId, via: readonly ServerName[]): Promise<Known> => {
    for (const server of via.filter((each) => each !== serverName && federation.allows(each)).slice(0, mostServers)) {
      try {
        const found = answerOf(await federation.request(server, { method: 'GET', path: pathOf(['federation/v1/hierarchy', roomId]), timeoutMs }), roomId)
        if (found) return found
      } catch (error) {
        if (!(error instanceof FederationRefusal) && !(error instanceof RemoteError)) throw error
      }
    }
    return undefined
  }
  return {
    room: async (roomId, via) => {
      const kept = known.get(roomId)
      if (kept && clock.now() < kept.untilTs) return kept.answer
      const answer = await ask(roomId, via)
      // A room that is not shown yet may be as soon as somebody joins another one.
      if (!answer) return undefined
      if (known.size >= mostKnown) known.clear()
      known.set(roomId, { answer, untilTs: clock.now() + lifetimeMs })
      return answer
    },
  }
}

function answerOf(answer: JsonObject, roomId: RoomId): Known {
  const room = remoteRoom(own(answer, 'room'))
  if (room?.roomId !== roomId) return undefined
  const children = own(answer, 'children')
  const rooms = (Array.isArray(children) ? children : []).flatMap((child: JsonValue) => remoteRoom(child) ?? [])
  return { room, children: new Map(rooms.map((child) => [child.roomId, child])) }
}

function remoteRoom(value: JsonValue | undefined): RemoteRoom | undefined {
  if (!isObject(value)) return undefined
  const [roomId, members, allowed, children] = [own(value, 'room_id'), own(value, 'num_joined_members'), own(value, 'allowed_room_ids'), own(value, 'children_state')]
  if (!isRoomId(roomId) || typeof members !== 'number') return undefined
  const texts = ['name', 'topic', 'avatar_url', 'canonical_alias', 'room_type', 'room_version', 'encryption'].flatMap((name) => {
    const text = own(value, name)
    return typeof text === 'string' ? [[name, text] as const] : []
  })
  const rule = own(value, 'join_rule')
  const joinRule = typeof rule === 'string' ? rule : 'public'
  const isWorldReadable = own(value, 'world_readable') === true
  const allowedRoomIds = (Array.isArray(allowed) ? allowed : []).filter(isRoomId)
  return {
    roomId, isSpace: own(value, 'room_type') === 'm.space', joinRule, isWorldReadable, allowedRoomIds,
    children: (Array.isArray(children) ? children : []).flatMap((event: JsonValue) => {
      const ts = isObject(event) ? own(event, 'origin_server_ts') : undefined
      return readStrippedState([event]).map((stripped) => ({ ...stripped, originServerTs: typeof ts === 'number' ? ts : 0 }))
    }),
    summary: {
      room_id: roomId, num_joined_members: members, world_readable: isWorldReadable, guest_can_join: own(value, 'guest_can_join') === true, join_rule: joinRule,
      ...Object.fromEntries(texts), ...(allowedRoomIds.length === 0 ? {} : { allowed_room_ids: allowedRoomIds }),
    },
  }
}
