/** State that is told of a room to those who are not in it: kept from other servers, and picked for them. */
import type { StrippedEvent } from '@myelin/protocol/events/stripped-state.ts'
import type { Room } from '#engine/room.ts'
import type { StoredEvent } from '#engine/stored-event.ts'
import type { Tx } from '#platform/db/database.ts'

export interface StrippedStates {
  /** Keeps what another server told with a membership event, within the transaction that stores the event. */
  keep(tx: Tx, event: StoredEvent, state: readonly StrippedEvent[]): Promise<void>
  /** State of a room for somebody whom a user invites. */
  forServer(room: Room, root: number, senderId: string): Promise<StoredEvent[]>
}
