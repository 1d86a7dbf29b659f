/** What the directory asks of other servers. */
import type { RoomAlias, RoomId } from '@myelin/protocol/ids/ids.ts'

/** What an alias points to. */
export interface AliasTarget {
  readonly roomId: RoomId
  /** Servers that are in the room. */
  readonly servers: readonly string[]
}

/** A request for a page of a directory. */
export interface PublicRoomsQuery {
  readonly limit: number | undefined
  readonly since: string | undefined
  readonly searchTerm: string | undefined
  /** Room types, null for rooms without one; undefined for all. */
  readonly roomTypes: readonly (string | null)[] | undefined
  readonly includeAllNetworks: boolean
  readonly network: string | undefined
}

export interface RemoteDirectory {
  /** Asks the alias's own server. */
  resolveAlias(alias: RoomAlias): Promise<AliasTarget | undefined>
  /** The reply of another server's directory. */
  publicRooms(server: string, query: PublicRoomsQuery): Promise<object>
}
