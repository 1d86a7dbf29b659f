/** What room creation asks of the directory. */
import type { RoomAlias, UserId } from '@myelin/protocol/ids/ids.ts'
import type { Room } from '#engine/room.ts'
import type { Tx } from '#platform/db/database.ts'

export interface RoomAliases {
  /** Checks an alias of this server that is to be made. @throws M_ROOM_IN_USE, M_INVALID_PARAM, M_FORBIDDEN (alias_creation_rules) */
  assertCreatable(creator: UserId, localpart: string): Promise<RoomAlias>
  /** Points a new alias to a room. @throws M_ROOM_IN_USE */
  create(tx: Tx, alias: RoomAlias, room: Room, creator: UserId): Promise<void>
  /** Lists the room in the public directory. @throws M_FORBIDDEN (room_list_publication_rules) */
  publish(tx: Tx, room: Room, publisher: UserId): Promise<void>
}
