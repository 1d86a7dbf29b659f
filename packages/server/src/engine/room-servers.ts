/**
 * Which servers are in a room, and which of them its access control list lets in.
 *
 * Spec: server-server API, "Server Access Control Lists (ACLs)".
 */
import { serverAclOf } from '@myelin/protocol/acl/server-acl.ts'
import type { ServerName } from '@myelin/protocol/ids/ids.ts'
import type { Memberships } from './memberships.ts'
import type { RoomStates } from './room-states.ts'
import type { RoomWriter } from './room-writer.ts'
import type { Room } from './room.ts'
import { emptyRoot } from './trie.ts'

interface Needs {
  readonly memberships: Memberships
  readonly states: RoomStates
  readonly writer: RoomWriter
  readonly serverName: ServerName
}

export class RoomServers {
  readonly #needs: Needs

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /** Whether somebody of a server has joined. */
  async has(room: Room, server: ServerName): Promise<boolean> {
    return (await this.#needs.memberships.serversOf(room)).has(server)
  }

  /** Whether somebody of this server has joined. */
  hasUs(room: Room): Promise<boolean> {
    return this.has(room, this.#needs.serverName)
  }

  /** Whether this server can let somebody in by itself: it is in the room, or has what is left of a room that nobody is in. */
  async isHere(room: Room): Promise<boolean> {
    const servers = await this.#needs.memberships.serversOf(room)
    return servers.has(this.#needs.serverName) || (servers.size === 0 && (await this.#needs.writer.currentRoot(room)) !== emptyRoot)
  }

  /** All servers of the room but this one, those with the most members first. */
  async others(room: Room): Promise<ServerName[]> {
    const servers = [...(await this.#needs.memberships.serversOf(room))].filter(([server]) => server !== this.#needs.serverName)
    return servers.sort(([, a], [, b]) => b - a).map(([server]) => server)
  }

  /** The other servers of all rooms that a user has joined. */
  async sharedWith(userId: string): Promise<ServerName[]> {
    const servers = new Set<ServerName>()
    for (const room of await this.#needs.memberships.joinedRooms(userId)) for (const server of await this.others(room)) servers.add(server)
    return [...servers]
  }

  /** Whether the room's access control list lets a server take part. */
  async allows(room: Room, server: ServerName): Promise<boolean> {
    const acl = await this.#needs.states.get(room, await this.#needs.writer.currentRoot(room), 'm.room.server_acl', '')
    return acl === undefined || serverAclOf(acl.event.content).allows(server)
  }
}
