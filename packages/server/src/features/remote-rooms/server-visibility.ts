/**
 * Which events another server may see; of the others it gets what redaction leaves, so that its graph has no holes.
 *
 * Spec: server-server API, "Retrieving events"; client-server API, "Room History Visibility".
 */
import type { ServerName } from '@myelin/protocol/ids/ids.ts'
import { serverOf } from '@myelin/protocol/ids/user-id.ts'
import { membershipOf } from '#engine/memberships.ts'
import { redactedEvent } from '#engine/redacted-event.ts'
import type { RoomStates } from '#engine/room-states.ts'
import type { Room } from '#engine/room.ts'
import type { StoredEvent } from '#engine/stored-event.ts'
import { historyVisibilityOf } from '#engine/visibility.ts'

export class ServerVisibility {
  readonly #states: RoomStates

  constructor(needs: { readonly states: RoomStates }) {
    this.#states = needs.states
  }

  /** Events as a server that is in their room may see them, in the same order. */
  async shown(server: ServerName, events: readonly StoredEvent[]): Promise<StoredEvent[]> {
    const byRoot = new Map<number, boolean>()
    return Promise.all(events.map(async (event) => ((await this.#maySee(server, event, byRoot)) ? event : redactedEvent(event))))
  }

  /** Whether somebody of a server was in the room before an event happened. */
  async wasThere(server: ServerName, { room, stateRoot }: StoredEvent): Promise<boolean> {
    return stateRoot !== undefined && this.#hadMember(room, stateRoot, server, false)
  }

  async #maySee(server: ServerName, event: StoredEvent, byRoot: Map<number, boolean>): Promise<boolean> {
    const { room, stateRoot } = event
    if (event.isState || stateRoot === undefined || serverOf(event.event.sender) === server) return true
    const known = byRoot.get(stateRoot)
    if (known !== undefined) return known
    const visibility = historyVisibilityOf(await this.#states.get(room, stateRoot, 'm.room.history_visibility', ''))
    const may = visibility === 'world_readable' || visibility === 'shared' || (await this.#hadMember(room, stateRoot, server, visibility === 'invited'))
    byRoot.set(stateRoot, may)
    return may
  }

  /** Whether somebody of a server was in the room in a state, or invited where that is enough. */
  async #hadMember(room: Room, root: number, server: ServerName, invitedToo: boolean): Promise<boolean> {
    for (const member of await this.#states.all(room, root, ['m.room.member'])) {
      const { stateKey } = member.event
      if (stateKey === undefined || !stateKey.includes(':') || serverOf(stateKey) !== server) continue
      const membership = membershipOf(member)
      if (membership === 'join' || (invitedToo && membership === 'invite')) return true
    }
    return false
  }
}
