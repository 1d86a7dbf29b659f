/** A room as the engine knows it. */
import type { RoomId } from '@myelin/protocol/ids/ids.ts'
import type { RoomVersion } from '@myelin/protocol/rooms/versions.ts'

/** Identity and rules of a room; never changes. */
export interface Room {
  readonly nid: number
  readonly id: RoomId
  readonly version: RoomVersion
}
