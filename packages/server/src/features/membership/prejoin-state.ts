/**
 * State of a room that invited and knocking users see before they join.
 *
 * Spec: client-server API, "Stripped state"; option `room_prejoin_state`.
 */
import type { ClientEvents } from '#engine/client-events.ts'
import type { RoomStates } from '#engine/room-states.ts'
import type { Room } from '#engine/room.ts'
import type { StoredEvent } from '#engine/stored-event.ts'

/** A type, or a type with one state key. */
export type PrejoinType = string | readonly [type: string, stateKey: string]

export class PrejoinState {
  readonly #states: RoomStates
  readonly #clientEvents: ClientEvents
  readonly #types: readonly PrejoinType[]

  constructor(needs: { readonly states: RoomStates; readonly clientEvents: ClientEvents; readonly types: readonly PrejoinType[] }) {
    this.#states = needs.states
    this.#clientEvents = needs.clientEvents
    this.#types = needs.types
  }

  /**
   * Stripped state before a membership event, with the event itself and its sender's membership, as JSON texts.
   * @param event the invite or knock
   */
  async of(event: StoredEvent): Promise<string[]> {
    if (event.stateRoot === undefined) return []
    const state = await this.#pick(event.room, event.stateRoot)
    const sender = event.event.sender === event.event.stateKey ? undefined : await this.#states.get(event.room, event.stateRoot, 'm.room.member', event.event.sender)
    const shown = [...state, ...(sender ? [sender] : []), event]
    return shown.map((item) => this.#clientEvents.stripped(item))
  }

  async #pick(room: Room, root: number): Promise<StoredEvent[]> {
    const found: StoredEvent[] = []
    for (const wanted of this.#types) {
      if (typeof wanted !== 'string') {
        const event = await this.#states.get(room, root, wanted[0], wanted[1])
        if (event) found.push(event)
        continue
      }
      const event = await this.#states.get(room, root, wanted, '')
      if (event) found.push(event)
    }
    return found
  }
}
