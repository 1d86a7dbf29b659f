/**
 * What the directory asks of other servers.
 *
 * Spec: server-server API, "Published Room Directory", `GET /query/directory`.
 */
import { refuse } from '@myelin/protocol/errors.ts'
import type { RoomAlias, RoomId, ServerName } from '@myelin/protocol/ids/ids.ts'
import { parseRoomAlias } from '@myelin/protocol/ids/room-alias.ts'
import { isRoomId } from '@myelin/protocol/ids/room-id.ts'
import { isServerName } from '@myelin/protocol/ids/server-name.ts'
import { isObject, own, type JsonObject } from '@myelin/protocol/json/json.ts'
import { RemoteError } from '#platform/fetch/remote-error.ts'
import { FederationRefusal, pathOf, type Federation } from '#features/federation/federation.ts'

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
  publicRooms(server: ServerName, query: PublicRoomsQuery): Promise<object>
}

/** The directories of other servers. */
export function remoteDirectory(federation: Pick<Federation, 'allows' | 'request'>): RemoteDirectory {
  return {
    resolveAlias: async (alias) => {
      const server = parseRoomAlias(alias)?.serverName
      if (!isServerName(server) || !federation.allows(server)) return undefined
      try {
        return targetOf(await federation.request(server, { method: 'GET', path: pathOf(['federation/v1/query/directory'], { room_alias: alias }), insists: true }))
      } catch (error) {
        if (error instanceof FederationRefusal) return undefined
        throw error
      }
    },
    publicRooms: async (server, query) => {
      try {
        return pageOf(await federation.request(server, { method: 'POST', path: pathOf(['federation/v1/publicRooms']), body: bodyOf(query), insists: true }), server)
      } catch (error) {
        if (error instanceof FederationRefusal) throw refuse('M_FORBIDDEN', `${server} does not show its directory of rooms. ${error.message}`)
        throw error
      }
    },
  }
}

function targetOf(answer: JsonObject): AliasTarget | undefined {
  const [roomId, servers] = [own(answer, 'room_id'), own(answer, 'servers')]
  return typeof roomId === 'string' && isRoomId(roomId) && Array.isArray(servers) ? { roomId, servers: servers.filter(isServerName) } : undefined
}

function bodyOf({ limit, since, searchTerm, roomTypes, includeAllNetworks, network }: PublicRoomsQuery): JsonObject {
  const filter: JsonObject = {
    ...(searchTerm === undefined ? {} : { generic_search_term: searchTerm }), ...(roomTypes === undefined ? {} : { room_types: roomTypes }),
  }
  return {
    ...(limit === undefined ? {} : { limit }), ...(since === undefined ? {} : { since }), ...(Object.keys(filter).length === 0 ? {} : { filter }),
    ...(includeAllNetworks ? { include_all_networks: true } : {}), ...(network === undefined ? {} : { third_party_instance_id: network }),
  }
}

/** What of a page clients are shown: entries without a room id are left out. */
function pageOf(answer: JsonObject, server: ServerName): JsonObject {
  const chunk = own(answer, 'chunk')
  if (!Array.isArray(chunk)) throw new RemoteError('bad-answer', `https://${server}/`, `The directory of ${server} has no list of rooms.`)
  const [next, previous, total] = [own(answer, 'next_batch'), own(answer, 'prev_batch'), own(answer, 'total_room_count_estimate')]
  return {
    chunk: chunk.filter((room) => isObject(room) && typeof own(room, 'room_id') === 'string'),
    ...(typeof next === 'string' ? { next_batch: next } : {}), ...(typeof previous === 'string' ? { prev_batch: previous } : {}),
    ...(typeof total === 'number' ? { total_room_count_estimate: total } : {}),
  }
}
