/**
 * State of a room that invited and knocking users see before they join.
 *
 * Spec: client-server API, "Stripped state"; option `room_prejoin_state`.
 */
import { readStrippedState, type StrippedEvent } from '@myelin/protocol/events/stripped-state.ts'
import type { ServerName } from '@myelin/protocol/ids/ids.ts'
import { isUserId, serverOf } from '@myelin/protocol/ids/user-id.ts'
import type { JsonValue } from '@myelin/protocol/json/json.ts'
import type { ClientEvents } from '#engine/client-events.ts'
import type { PurgedEvent, PurgeParticipant } from '#engine/history-purging.ts'
import type { RoomStates } from '#engine/room-states.ts'
import type { Room } from '#engine/room.ts'
import type { StoredEvent } from '#engine/stored-event.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import { StrippedStatesStore } from './stripped-states.store.ts'

/** A type, or a type with one state key. */
export type PrejoinType = string | readonly [type: string, stateKey: string]

/** What is told may name any number of servers. */
const mostServers = 5

export class PrejoinState implements PurgeParticipant {
  readonly #states: RoomStates
  readonly #clientEvents: ClientEvents
  readonly #types: readonly PrejoinType[]
  readonly #store: StrippedStatesStore

  constructor(needs: { readonly database: Database; readonly states: RoomStates; readonly clientEvents: ClientEvents; readonly types: readonly PrejoinType[] }) {
    this.#store = new StrippedStatesStore(needs.database)
    this.#states = needs.states
    this.#clientEvents = needs.clientEvents
    this.#types = needs.types
  }

  /**
   * Stripped state before a membership event, with the event itself and its sender's membership, as JSON texts.
   * @param event the invite or knock
   */
  async of(event: StoredEvent): Promise<string[]> {
    if (event.stateRoot === undefined) return this.#received(event)
    const state = await this.#pick(event.room, event.stateRoot)
    const sender = event.event.sender === event.event.stateKey ? undefined : await this.#states.get(event.room, event.stateRoot, 'm.room.member', event.event.sender)
    const shown = [...state, ...(sender ? [sender] : []), event]
    return shown.map((item) => this.#clientEvents.stripped(item))
  }

  /** Keeps what another server told of its room, within the transaction that stores the membership event. */
  async keep(tx: Tx, event: StoredEvent, state: readonly StrippedEvent[]): Promise<void> {
    await this.#store.put(tx, event.nid, JSON.stringify(state))
  }

  /** Servers whose users made the state that came with a membership event: some of them are in its room. */
  async serversOf(eventNid: number): Promise<ServerName[]> {
    const kept = readStrippedState(JSON.parse((await this.#store.of(eventNid)) ?? '[]'))
    return [...new Set(kept.flatMap(({ sender }) => (isUserId(sender) ? [serverOf(sender)] : [])))].slice(0, mostServers)
  }

  /**
   * State that another server is sent with an invite or a knock, as PDUs.
   * @param senderId also the membership of this user
   */
  async forServer(room: Room, root: number, senderId: string): Promise<StoredEvent[]> {
    const sender = await this.#states.get(room, root, 'm.room.member', senderId)
    const create = await this.#states.get(room, root, 'm.room.create', '')
    const picked = await this.#pick(room, root)
    return [...new Set([...(create ? [create] : []), ...picked, ...(sender ? [sender] : [])])]
  }

  async purged(tx: Tx, _room: Room, events: readonly PurgedEvent[]): Promise<void> {
    await this.#store.delete(tx, events.map(({ nid }) => nid))
  }

  async #received(event: StoredEvent): Promise<string[]> {
    const kept: readonly JsonValue[] = JSON.parse((await this.#store.of(event.nid)) ?? '[]')
    return [...kept.map((item) => JSON.stringify(item)), this.#clientEvents.stripped(event)]
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
