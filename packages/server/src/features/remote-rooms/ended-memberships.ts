/**
 * Takes in what ends an invite or a knock of a user of ours in a room that this server is not in: somebody there took it back or refused it.
 *
 * Spec: server-server API, "Inviting to a room", "Knocking upon a room"; rooms, "Authorization rules", `m.room.member`.
 */
import type { RoomEvent } from '@myelin/protocol/events/event.ts'
import type { ParsedPdu } from '@myelin/protocol/events/parse.ts'
import { own } from '@myelin/protocol/json/json.ts'
import type { Memberships } from '#engine/memberships.ts'
import type { RoomReceiver } from '#engine/room-receiver.ts'
import type { RoomStates } from '#engine/room-states.ts'
import type { Room } from '#engine/room.ts'
import type { Tx } from '#platform/db/database.ts'

interface Needs {
  readonly memberships: Memberships
  readonly states: RoomStates
  readonly receiver: RoomReceiver
}

export class EndedMemberships {
  readonly #needs: Needs

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /**
   * Whether an event ends an invite or a knock. This server knows no state by which to judge who may do that; but an event that rests on the
   * invite or knock itself comes from somebody who is in the room.
   */
  async isOne(room: Room, { type, stateKey, content, authEventIds }: RoomEvent): Promise<boolean> {
    const { memberships, states } = this.#needs
    const membership = own(content, 'membership')
    if (type !== 'm.room.member' || stateKey === undefined || !memberships.isLocal(stateKey) || (membership !== 'leave' && membership !== 'ban')) return false
    const current = await memberships.of(room, stateKey)
    if (current?.membership !== 'invite' && current?.membership !== 'knock') return false
    const event = await states.eventByNid(current.eventNid)
    return event !== undefined && authEventIds.includes(event.event.eventId)
  }

  /** Takes such an event in. @param extra writes that are committed with it */
  async take(room: Room, pdu: ParsedPdu, extra: (tx: Tx) => Promise<void>): Promise<void> {
    await this.#needs.receiver.receiveOutOfBand(room, pdu, { extra })
  }
}
