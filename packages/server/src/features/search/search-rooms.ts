/**
 * In which rooms a user's search looks: where the user is or was, those that were replaced included, and never in encrypted ones.
 *
 * Spec: client-server API, "Server Side Search", `room_events`.
 */
import type { EventFilter } from '@myelin/protocol/filters/event-filter.ts'
import { isObject, own } from '@myelin/protocol/json/json.ts'
import type { Memberships } from '#engine/memberships.ts'
import type { Room } from '#engine/room.ts'
import type { RoomWriter } from '#engine/room-writer.ts'
import type { Rooms } from '#engine/rooms.ts'

interface Needs {
  readonly rooms: Rooms
  readonly memberships: Memberships
  readonly writer: RoomWriter
}

/** Rooms that were replaced one after the other are followed so far back. */
const mostPredecessors = 20

/** The rooms by number. A filter that names a room means its predecessors as well. */
export async function searchedRooms(needs: Needs, userId: string, filter: EventFilter): Promise<ReadonlyMap<number, Room>> {
  const known = new Map<number, Room>()
  // What can be read of a room that was left, or of one to which the user is invited anew, is asked for each event.
  for (const { room, forgotten } of (await needs.memberships.ofUser(userId)).values()) if (!forgotten) known.set(room.nid, room)
  const wanted = filter.rooms ? await withPredecessors(needs, known, filter.rooms) : known
  const unwanted = new Set(filter.notRooms)
  const searched = new Map<number, Room>()
  for (const room of wanted.values()) if (!unwanted.has(room.id) && !(await isEncrypted(needs, room))) searched.set(room.nid, room)
  return searched
}

async function withPredecessors(needs: Needs, known: ReadonlyMap<number, Room>, roomIds: readonly string[]): Promise<Map<number, Room>> {
  const wanted = new Map<number, Room>()
  for (const roomId of new Set(roomIds)) {
    let room = await needs.rooms.get(roomId)
    for (let step = 0; room && known.has(room.nid) && !wanted.has(room.nid) && step <= mostPredecessors; step += 1) {
      wanted.set(room.nid, room)
      room = await predecessor(needs, room)
    }
  }
  return wanted
}

async function predecessor(needs: Needs, room: Room): Promise<Room | undefined> {
  const create = await (await needs.writer.view(room)).state('m.room.create', '')
  const named = create && own(create.event.content, 'predecessor')
  const roomId = isObject(named) ? own(named, 'room_id') : undefined
  return typeof roomId === 'string' ? needs.rooms.get(roomId) : undefined
}

async function isEncrypted(needs: Needs, room: Room): Promise<boolean> {
  return (await (await needs.writer.view(room)).state('m.room.encryption', '')) !== undefined
}
