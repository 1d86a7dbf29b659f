/**
 * In which rooms a user's search looks: where the user is or was, those that were replaced included, and never in encrypted ones.
 *
 * Spec: client-server API, "Server Side Search", `room_events`.
 */
import type { EventFilter } from '@myelin/protocol/filters/event-filter.ts'
import { isObject, own } from '@myelin/protocol/json/json.ts'
import type { Memberships } from '#engine/memberships.ts'
import type { Room } from '#engine/room.ts'
import type { RoomStates } from '#engine/room-states.ts'
import type { RoomWriter } from '#engine/room-writer.ts'

interface Needs {
  readonly memberships: Memberships
  readonly states: RoomStates
  readonly writer: RoomWriter
}

/** Rooms that were replaced one after the other are followed so far back. */
const mostPredecessors = 20

/** The rooms. A filter that names a room means its predecessors as well. */
export async function searchedRooms(needs: Needs, userId: string, filter: EventFilter): Promise<readonly Room[]> {
  const known = new Map<string, Room>()
  // What can be read of a room that was left, or of one to which the user is invited anew, is asked for each event.
  for (const { room, forgotten } of (await needs.memberships.ofUser(userId)).values()) if (!forgotten) known.set(room.id, room)
  const wanted = filter.rooms ? await withPredecessors(needs, known, filter.rooms) : known
  const unwanted = new Set(filter.notRooms)
  const rooms = [...wanted.values()].filter((room) => !unwanted.has(room.id))
  const encrypted = new Set((await needs.states.currentContents(rooms.map(({ nid }) => nid), ['m.room.encryption'])).map(({ roomNid }) => roomNid))
  return rooms.filter((room) => !encrypted.has(room.nid))
}

async function withPredecessors(needs: Needs, known: ReadonlyMap<string, Room>, roomIds: readonly string[]): Promise<ReadonlyMap<string, Room>> {
  const wanted = new Map<string, Room>()
  for (const roomId of roomIds) {
    let room = known.get(roomId)
    for (let step = 0; room && !wanted.has(room.id) && step <= mostPredecessors; step += 1) {
      wanted.set(room.id, room)
      room = known.get((await predecessorOf(needs, room)) ?? '')
    }
  }
  return wanted
}

async function predecessorOf(needs: Needs, room: Room): Promise<string | undefined> {
  const create = await (await needs.writer.view(room)).state('m.room.create', '')
  const named = create && own(create.event.content, 'predecessor')
  const roomId = isObject(named) ? own(named, 'room_id') : undefined
  return typeof roomId === 'string' ? roomId : undefined
}
