/**
 * What users have set for a room follows them into the room that replaces it: their data of the room (tags among it), its mark as a direct
 * chat, and their push rules about it. What this server's directory says of the room follows as soon as the server is in the replacement.
 *
 * Spec: client-server API, "Room Upgrades": clients and users shall find the new room as they had the old one.
 */
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import { isObject, own } from '@myelin/protocol/json/json.ts'
import { contentString } from '#engine/client-events.ts'
import type { MembershipState } from '#engine/memberships.ts'
import type { Room } from '#engine/room.ts'
import type { RoomWriter } from '#engine/room-writer.ts'
import type { Rooms } from '#engine/rooms.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import { accountScope, storedObject, type AccountData } from '#features/account-data/account-data.ts'
import type { PushRules } from '#features/push-rules/push-rules.ts'

/** What upgrading changes in the directory. */
export interface DirectoryMoves {
  /** Moves aliases and publications of a room. */
  move(tx: Tx, from: Room, to: Room): Promise<void>
}

interface Needs {
  readonly database: Database
  readonly directory: DirectoryMoves
  readonly rooms: Pick<Rooms, 'get'>
  readonly writer: Pick<RoomWriter, 'view'>
  readonly accountData: Pick<AccountData, 'roomFor' | 'change' | 'globalFor'>
  readonly pushRules: Pick<PushRules, 'carry'>
}

const directType = 'm.direct'
/** Places in the old timeline, which mean nothing in the new one. */
const bound: ReadonlySet<string> = new Set(['m.fully_read', 'm.marked_unread', 'com.famedly.marked_unread'])

export class CarriedSettings {
  readonly #needs: Needs

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /** Carries the settings of a user of this server who joins a room for the first time, where it replaces another. */
  async joining(userId: UserId, room: Room, before: MembershipState | undefined): Promise<void> {
    if (before !== undefined && before !== 'invite' && before !== 'knock') return
    const old = await this.#replaced(room)
    if (old) await this.carry(userId, old, room)
  }

  /** This server has come into a room by another server: aliases and listing of the room that it replaces are its own now. */
  async entered(room: Room): Promise<void> {
    const old = await this.#replaced(room)
    if (old) await this.#needs.database.transaction((tx) => this.#needs.directory.move(tx, old, room))
  }

  /** The room that a room replaces, as far as this server knows. */
  async #replaced(room: Room): Promise<Room | undefined> {
    const { writer, rooms } = this.#needs
    const create = await (await writer.view(room)).state('m.room.create', '')
    const predecessor = create && own(create.event.content, 'predecessor')
    const oldId = isObject(predecessor) ? own(predecessor, 'room_id') : undefined
    const old = typeof oldId === 'string' ? await rooms.get(oldId) : undefined
    if (!old) return undefined
    // Anybody can call a room the predecessor of theirs; that it was replaced, only the room itself can say.
    const tombstone = await (await writer.view(old)).state('m.room.tombstone', '')
    return contentString(tombstone, 'replacement_room') === room.id ? old : undefined
  }

  /** Copies what a user has set for a room to another, where nothing is set yet. */
  async carry(userId: UserId, from: Room, to: Room): Promise<void> {
    const { accountData, pushRules } = this.#needs
    for (const [type, content] of await accountData.roomFor(userId, from.id)) {
      if (!bound.has(type)) await accountData.change(userId, to.id, type, (stored) => (stored === undefined ? content : undefined))
    }
    if ((await accountData.globalFor(userId)).has(directType)) await accountData.change(userId, accountScope, directType, (stored) => withDirect(stored, from.id, to.id))
    await pushRules.carry(userId, from.id, to.id)
  }
}

/** The content of `m.direct` with a room beside another wherever that is listed; undefined where it is not. */
function withDirect(stored: string | undefined, from: string, to: string): string | undefined {
  let isChanged = false
  const added = Object.entries(storedObject(stored)).map(([user, rooms]) => {
    if (!Array.isArray(rooms) || !rooms.includes(from) || rooms.includes(to)) return [user, rooms] as const
    isChanged = true
    return [user, [...rooms, to]] as const
  })
  return isChanged ? JSON.stringify(Object.fromEntries(added)) : undefined
}
