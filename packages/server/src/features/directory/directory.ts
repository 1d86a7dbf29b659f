/**
 * Room aliases of this server, and which of its rooms are published.
 *
 * Spec: client-server API, "Room aliases", "Published room directory".
 */
import { powerLevelsOf } from '@myelin/protocol/auth/power-levels.ts'
import { MatrixError, refuse } from '@myelin/protocol/errors.ts'
import type { RoomAlias, RoomId, UserId } from '@myelin/protocol/ids/ids.ts'
import { parseRoomAlias } from '@myelin/protocol/ids/room-alias.ts'
import { own, type JsonObject } from '@myelin/protocol/json/json.ts'
import type { Memberships } from '#engine/memberships.ts'
import type { RoomAccess } from '#engine/room-access.ts'
import type { RoomPurgeParticipant } from '#engine/room-purging.ts'
import type { Room } from '#engine/room.ts'
import type { Rooms } from '#engine/rooms.ts'
import type { RoomWriter } from '#engine/room-writer.ts'
import type { Clock } from '#platform/clock.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import { isUniqueViolation } from '#platform/db/dialect.ts'
import type { Requester } from '#platform/http/requester.ts'
import { isAllowed, type DirectoryRule } from './directory-rules.ts'
import { DirectoryStore } from './directory.store.ts'
import type { AliasTarget, RemoteDirectory } from './remote-directory.ts'

export type { AliasTarget, PublicRoomsQuery, RemoteDirectory } from './remote-directory.ts'

interface Needs {
  readonly database: Database
  readonly clock: Clock
  readonly rooms: Rooms
  readonly memberships: Memberships
  readonly writer: RoomWriter
  readonly access: RoomAccess
  readonly serverName: string
  readonly remote: Pick<RemoteDirectory, 'resolveAlias'>
  readonly isAdmin: (userId: UserId) => Promise<boolean>
  readonly requireMembership: boolean
  /** `alias_creation_rules`; null allows all. */
  readonly aliasRules: readonly DirectoryRule[] | null
  /** `room_list_publication_rules`; null allows administrators only. */
  readonly publicationRules: readonly DirectoryRule[] | null
}

/** The network of rooms that belong to no bridge. */
export const ownNetwork = ''

/** Aliases that one user may have made; application services make as many as they need. */
const aliasesPerUser = 1000

export class Directory implements RoomPurgeParticipant {
  readonly #needs: Needs
  readonly #store: DirectoryStore
  #revision = 0

  constructor(needs: Needs) {
    this.#needs = needs
    this.#store = new DirectoryStore(needs.database)
  }

  /** Changes whenever a room is published or withdrawn. */
  get revision(): number {
    return this.#revision
  }

  /** What an alias points to; asks the alias's server where it is not this one. */
  async resolve(alias: RoomAlias): Promise<AliasTarget | undefined> {
    const parts = parseRoomAlias(alias)
    if (!parts) return undefined
    return parts.serverName === this.#needs.serverName ? this.resolveOwn(alias) : this.#needs.remote.resolveAlias(alias)
  }

  /** What an alias of this server points to; undefined for all others. */
  async resolveOwn(alias: RoomAlias): Promise<AliasTarget | undefined> {
    const row = await this.#store.alias(alias)
    if (!row) return undefined
    const room = await this.#needs.rooms.byNid(row.room_nid)
    return { roomId: room.id, servers: await this.#serversIn(room) }
  }

  /** Checks an alias of this server that is to be made with a room. @throws M_ROOM_IN_USE, M_INVALID_PARAM, M_FORBIDDEN */
  async assertCreatable(_creator: UserId, localpart: string): Promise<RoomAlias> {
    const alias = this.#ownAlias(`#${localpart}:${this.#needs.serverName}`)
    if (await this.#store.alias(alias)) throw inUse(alias)
    return alias
  }

  /** Points a new alias to a room, in the transaction that makes the room. @throws M_ROOM_IN_USE, M_FORBIDDEN */
  async create(tx: Tx, alias: RoomAlias, room: Room, creator: UserId): Promise<void> {
    this.#assertAliasAllowed(alias, room, creator)
    try {
      await this.#store.insertAlias(tx, { alias, room_nid: room.nid, creator, created_ts: this.#needs.clock.now() })
    } catch (error) {
      throw isUniqueViolation(error) ? inUse(alias) : error
    }
  }

  /** Lists a room among the published ones, in the transaction that makes it. @throws M_FORBIDDEN (room_list_publication_rules) */
  async publish(tx: Tx, room: Room, publisher: UserId): Promise<void> {
    await this.#assertMayPublish(room, publisher, await this.#store.aliasesOf(tx, room.nid))
    await this.#list(tx, room, ownNetwork, true)
  }

  /** Points a new alias to a room. @throws M_INVALID_PARAM, M_NOT_FOUND, M_FORBIDDEN, M_UNKNOWN (409) where the alias exists */
  async add(requester: Requester, text: RoomAlias, roomId: RoomId): Promise<void> {
    const { database, rooms, memberships, requireMembership } = this.#needs
    const alias = this.#ownAlias(text)
    const room = await rooms.require(roomId)
    const isTrusted = requester.isAdmin || requester.appserviceId !== undefined
    if (requireMembership && !isTrusted && !(await memberships.isJoined(room, requester.userId))) {
      throw refuse('M_FORBIDDEN', 'Only who is in a room may make aliases for it; join the room first.')
    }
    if (!isTrusted && (await this.#store.countOf(requester.userId)) >= aliasesPerUser) {
      throw refuse('M_FORBIDDEN', `A user may make at most ${aliasesPerUser} aliases; delete some first.`)
    }
    try {
      await database.transaction((tx) => this.create(tx, alias, room, requester.userId))
    } catch (error) {
      if (!(error instanceof MatrixError) || error.errcode !== 'M_ROOM_IN_USE') throw error
      throw new MatrixError(409, 'M_UNKNOWN', `The room alias ${alias} already exists.`)
    }
  }

  /** Deletes an alias; it also vanishes from `m.room.canonical_alias` where the requester may change that. @throws M_NOT_FOUND, M_FORBIDDEN */
  async remove(requester: Requester, alias: RoomAlias): Promise<void> {
    const row = await this.#store.alias(alias)
    if (!row) throw refuse('M_NOT_FOUND', `The room alias ${alias} does not exist on this server.`)
    const room = await this.#needs.rooms.byNid(row.room_nid)
    const isOwn = row.creator === requester.userId
    if (!isOwn && !requester.isAdmin && !(await this.#mayChangeAliases(room, requester.userId))) {
      throw refuse('M_FORBIDDEN', 'Only who made an alias, an administrator of the room, or one of the server may delete it.')
    }
    await this.#needs.database.transaction((tx) => this.#store.deleteAlias(tx, alias))
    await this.#dropFromCanonical(requester.userId, room, alias)
  }

  /** Aliases of this server that point to a room. @throws M_FORBIDDEN */
  async aliasesOf(requester: Requester, roomId: RoomId): Promise<RoomAlias[]> {
    const { rooms, memberships, access, database } = this.#needs
    const room = await rooms.get(roomId)
    const mayRead = room && (requester.isAdmin || (await memberships.isJoined(room, requester.userId)) || (await access.isWorldReadable(room)))
    if (!mayRead) throw refuse('M_FORBIDDEN', 'You are not in the room, or it does not exist.')
    return this.#store.aliasesOf(database, room.nid)
  }

  /** Whether a room is published. @throws M_NOT_FOUND */
  async isPublished(roomId: RoomId): Promise<boolean> {
    return this.#store.isPublished((await this.#needs.rooms.require(roomId)).nid, ownNetwork)
  }

  /** Publishes a room or withdraws it. @throws M_NOT_FOUND, M_FORBIDDEN */
  async setPublished(requester: Requester, roomId: RoomId, isPublished: boolean): Promise<void> {
    const { database, rooms } = this.#needs
    const room = await rooms.require(roomId)
    if (!requester.isAdmin && !(await this.#mayChangeAliases(room, requester.userId))) {
      throw refuse('M_FORBIDDEN', 'Publishing a room needs the power level that changing its m.room.canonical_alias needs.')
    }
    await database.transaction((tx) => (isPublished ? this.publish(tx, room, requester.userId) : this.#list(tx, room, ownNetwork, false)))
  }

  /** Publishes a room for a bridged network of an application service, or withdraws it. @throws M_NOT_FOUND */
  async setPublishedFor(appserviceId: string, networkId: string, roomId: RoomId, isPublished: boolean): Promise<void> {
    const { database, rooms } = this.#needs
    const room = await rooms.require(roomId)
    await database.transaction((tx) => this.#list(tx, room, `${appserviceId}|${networkId}`, isPublished))
  }

  /** Rooms that are published: on this server's own list, on one network's, or on any where `network` is undefined. */
  async published(network: string | undefined): Promise<Room[]> {
    return [...(await this.#needs.rooms.byNids(await this.#store.published(network))).values()]
  }

  /** Moves aliases and publications of a room that is replaced by another one. */
  async move(tx: Tx, from: Room, to: Room): Promise<void> {
    await this.#store.moveAliases(tx, from.nid, to.nid)
    await this.#store.movePublications(tx, from.nid, to.nid)
    this.#countRevision(tx)
  }

  async roomPurged(tx: Tx, room: Room, limit: number): Promise<boolean> {
    this.#countRevision(tx)
    return this.#store.deleteRoom(tx, room.nid, limit)
  }

  async #list(tx: Tx, room: Room, network: string, isPublished: boolean): Promise<void> {
    if (isPublished) await this.#store.publish(tx, { room_nid: room.nid, network_id: network, published_ts: this.#needs.clock.now() })
    else await this.#store.withdraw(tx, room.nid, network)
    this.#countRevision(tx)
  }

  #countRevision(tx: Tx): void {
    tx.afterCommit(() => { this.#revision += 1 })
  }

  #ownAlias(text: string): RoomAlias {
    const parts = parseRoomAlias(text)
    if (!parts || /[\s\p{Cc}]/u.test(text)) throw refuse('M_INVALID_PARAM', `"${text}" is not a room alias; it has the form #name:server, without spaces.`)
    if (parts.serverName !== this.#needs.serverName) throw refuse('M_INVALID_PARAM', `Aliases of this server end with :${this.#needs.serverName}.`)
    return text as RoomAlias
  }

  #assertAliasAllowed(alias: RoomAlias, room: Room, userId: UserId): void {
    if (isAllowed(this.#needs.aliasRules, { userId, roomId: room.id, aliases: [alias] }, true)) return
    throw refuse('M_FORBIDDEN', 'The rules of the directory (alias_creation_rules) do not let you make this alias.')
  }

  async #assertMayPublish(room: Room, userId: UserId, aliases: readonly RoomAlias[]): Promise<void> {
    if (isAllowed(this.#needs.publicationRules, { userId, roomId: room.id, aliases }, false) || (await this.#needs.isAdmin(userId))) return
    throw refuse('M_FORBIDDEN', 'The rules of the directory (room_list_publication_rules) do not let you publish this room.')
  }

  async #mayChangeAliases(room: Room, userId: UserId): Promise<boolean> {
    if (!(await this.#needs.memberships.isJoined(room, userId))) return false
    const view = await this.#needs.writer.view(room)
    const create = await view.state('m.room.create', '')
    const levels = powerLevelsOf(room.version, (await view.state('m.room.power_levels', ''))?.event, create?.event)
    return levels.userLevel(userId) >= levels.eventLevel('m.room.canonical_alias', true)
  }

  async #dropFromCanonical(userId: UserId, room: Room, alias: RoomAlias): Promise<void> {
    try {
      await this.#needs.writer.propose(room, async (view) => {
        const current = (await view.state('m.room.canonical_alias', ''))?.event.content
        const content = current && withoutAlias(current, alias)
        return content ? [{ type: 'm.room.canonical_alias', stateKey: '', sender: userId, content }] : []
      })
    } catch (error) {
      // Who may not change the event may still delete the alias.
      if (!(error instanceof MatrixError) || error.errcode !== 'M_FORBIDDEN') throw error
    }
  }

  async #serversIn(room: Room): Promise<string[]> {
    const servers = new Set<string>([this.#needs.serverName])
    for (const member of (await this.#needs.memberships.ofRoom(room)).values()) {
      if (member.membership === 'join') servers.add(member.userId.slice(member.userId.indexOf(':') + 1))
    }
    return [...servers]
  }
}

function inUse(alias: RoomAlias): MatrixError {
  return refuse('M_ROOM_IN_USE', `The room alias ${alias} is taken; choose another one.`)
}

/** The content of `m.room.canonical_alias` without an alias, or undefined where it does not name it. */
function withoutAlias(content: JsonObject, alias: RoomAlias): JsonObject | undefined {
  const alternatives = own(content, 'alt_aliases')
  const isMain = own(content, 'alias') === alias
  const isListed = Array.isArray(alternatives) && alternatives.includes(alias)
  if (!isMain && !isListed) return undefined
  const { alias: main, alt_aliases: _alternatives, ...rest } = content
  const remaining = Array.isArray(alternatives) ? alternatives.filter((each) => each !== alias) : []
  return { ...rest, ...(isMain || main === undefined ? {} : { alias: main }), ...(remaining.length === 0 ? {} : { alt_aliases: remaining }) }
}
