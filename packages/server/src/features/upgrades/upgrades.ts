/**
 * Replacing a room by one of another version.
 *
 * Spec: client-server API, "Room Upgrades", `POST /rooms/{roomId}/upgrade`; rooms/v12, "Room upgrades".
 */
import { creatorsOf } from '@myelin/protocol/auth/creators.ts'
import { powerLevelsOf } from '@myelin/protocol/auth/power-levels.ts'
import { MatrixError, refuse } from '@myelin/protocol/errors.ts'
import type { RoomId, UserId } from '@myelin/protocol/ids/ids.ts'
import { isUserId } from '@myelin/protocol/ids/user-id.ts'
import { own, type JsonObject } from '@myelin/protocol/json/json.ts'
import { getRoomVersion, listRoomVersions, type RoomVersion } from '@myelin/protocol/rooms/versions.ts'
import { contentString } from '#engine/client-events.ts'
import type { Events } from '#engine/events.ts'
import { membershipOf, type Memberships } from '#engine/memberships.ts'
import type { RoomStates } from '#engine/room-states.ts'
import type { Room } from '#engine/room.ts'
import type { Rooms } from '#engine/rooms.ts'
import type { Proposal, RoomView, RoomWriter } from '#engine/room-writer.ts'
import type { StoredEvent } from '#engine/stored-event.ts'
import type { Requester } from '#platform/http/requester.ts'
import type { RateLimits } from '#platform/limits/rate-limits.ts'
import type { DirectoryMoves } from './carried-settings.ts'
import { copiedPowerLevels, withFullPower } from './copied-power-levels.ts'

/** What upgrading needs of the membership slice. */
export interface MemberContents {
  /** Content of a membership event with the user's profile. */
  memberContent(userId: UserId, content: JsonObject): Promise<JsonObject>
}

/** What upgrading needs of what users have set for rooms. */
export interface SettingsOfRooms {
  /** Copies what a user has set for a room to another. */
  carry(userId: UserId, from: Room, to: Room): Promise<void>
}

interface Needs {
  readonly rooms: Rooms
  readonly events: Events
  readonly states: RoomStates
  readonly memberships: Memberships
  readonly writer: RoomWriter
  readonly directory: DirectoryMoves
  readonly membership: MemberContents
  readonly settings: SettingsOfRooms
  readonly limits: Pick<RateLimits, 'consume'>
  /** The persisted position of the events stream. */
  readonly position: () => number
}

/** State that is copied as it is; power levels, join rules and bans are copied as well, adapted. */
const copiedTypes: readonly string[] = [
  'm.room.server_acl', 'm.room.encryption', 'm.room.name', 'm.room.avatar', 'm.room.topic', 'm.room.guest_access', 'm.room.history_visibility',
]
const maxAdditionalCreators = 100

/** The state of the old room that the new one is made from. */
interface OldRoom {
  readonly room: Room
  readonly create: StoredEvent
  readonly state: readonly StoredEvent[]
}

export class Upgrades {
  readonly #needs: Needs

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /**
   * Replaces a room.
   * @param additionalCreators creators beside the requester, where the new version knows such
   * @returns the new room's id
   * @throws M_NOT_FOUND, M_FORBIDDEN, M_UNSUPPORTED_ROOM_VERSION, M_INVALID_PARAM, M_LIMIT_EXCEEDED
   */
  async upgrade(requester: Requester, roomId: RoomId, newVersion: string, additionalCreators: readonly string[]): Promise<RoomId> {
    const { rooms, limits, writer } = this.#needs
    const version = getRoomVersion(newVersion)
    if (!version) {
      const known = listRoomVersions().map((other) => other.id).join(', ')
      throw refuse('M_UNSUPPORTED_ROOM_VERSION', `This server does not support room version "${newVersion}"; it supports ${known}.`)
    }
    const room = await rooms.require(roomId)
    await this.#assertMayUpgrade(await writer.view(room), requester.userId)
    const creators = version.privilegedCreators ? creatorsFrom(additionalCreators, requester.userId) : []
    if (requester.rateLimited) limits.consume('rc_room_creation', requester.userId)
    const old = await this.#read(room)
    const replacement = await this.#create(requester.userId, old, version, creators)
    await this.#needs.settings.carry(requester.userId, room, replacement)
    await this.#close(requester.userId, room, replacement)
    return replacement.id
  }

  async #assertMayUpgrade(view: RoomView, userId: UserId): Promise<void> {
    if (!(await this.#needs.memberships.isJoined(view.room, userId))) throw refuse('M_FORBIDDEN', 'You are not in the room.')
    const levels = await levelsIn(view)
    const needed = levels.eventLevel('m.room.tombstone', true)
    if (levels.userLevel(userId) < needed) throw refuse('M_FORBIDDEN', `Upgrading this room needs power level ${needed}.`)
  }

  async #read(room: Room): Promise<OldRoom> {
    const { states, writer } = this.#needs
    const types = [...copiedTypes, 'm.room.create', 'm.room.member', 'm.room.power_levels', 'm.room.join_rules', 'm.room.canonical_alias', 'm.space.child']
    const state = await states.all(room, await writer.currentRoot(room), types)
    const create = state.find(({ event }) => event.type === 'm.room.create')
    if (!create) throw refuse('M_FORBIDDEN', 'This server does not know the beginning of the room and cannot upgrade it.')
    return { room, create, state }
  }

  async #create(userId: UserId, old: OldRoom, version: RoomVersion, additional: readonly string[]): Promise<Room> {
    const { writer, membership, directory, events, position } = this.#needs
    const [last] = (await events.roomTail(old.room, Number.MIN_SAFE_INTEGER, position(), 1)).slice(-1)
    const content = createContent(old, version, userId, additional, last)
    const proposals = [
      state(userId, 'm.room.member', await membership.memberContent(userId, { membership: 'join' }), userId),
      // Before power levels are set the creator may ban everybody.
      ...bans(userId, old, new Set([userId, ...additional])),
      ...firstState(userId, old, version, new Set([userId, ...additional])),
    ]
    const { room } = await writer.createRoom(version, userId, content, () => proposals, {
      extra: async (tx, created) => {
        const [first] = created
        if (first) await directory.move(tx, old.room, first.room)
      },
    })
    return room
  }

  /** Ends the old room: tombstone, no alias any more, and nobody writes to it. */
  async #close(userId: UserId, room: Room, replacement: Room): Promise<void> {
    const { writer } = this.#needs
    const tombstone = { body: 'This room has been replaced', replacement_room: replacement.id }
    await writer.propose(room, [state(userId, 'm.room.tombstone', tombstone)])
    await this.#ifAllowed(room, async (view) => {
      const alias = await view.state('m.room.canonical_alias', '')
      return alias ? [state(userId, 'm.room.canonical_alias', {})] : []
    })
    await this.#ifAllowed(room, async (view) => {
      const current = (await view.state('m.room.power_levels', ''))?.event.content
      const levels = await levelsIn(view)
      const closed = Math.max(50, levels.usersDefault + 1)
      const raised = { events_default: Math.max(closed, levels.eventsDefault), invite: Math.max(closed, levels.invite) }
      return current ? [state(userId, 'm.room.power_levels', { ...current, ...raised })] : []
    })
  }

  /** What the user's power does not reach is left as it is. */
  async #ifAllowed(room: Room, proposals: (view: RoomView) => Promise<readonly Proposal[]>): Promise<void> {
    try {
      await this.#needs.writer.propose(room, proposals)
    } catch (error) {
      if (!(error instanceof MatrixError) || error.errcode !== 'M_FORBIDDEN') throw error
    }
  }
}

async function levelsIn(view: RoomView) {
  const create = await view.state('m.room.create', '')
  return powerLevelsOf(view.room.version, (await view.state('m.room.power_levels', ''))?.event, create?.event)
}

function state(sender: UserId, type: string, content: JsonObject, stateKey = ''): Proposal {
  return { type, stateKey, sender, content }
}

function creatorsFrom(listed: readonly string[], userId: UserId): string[] {
  const wrong = listed.find((creator) => !isUserId(creator))
  if (wrong !== undefined) throw refuse('M_INVALID_PARAM', `"${wrong}" in "additional_creators" is not a user id.`)
  if (listed.length > maxAdditionalCreators) throw refuse('M_INVALID_PARAM', `A room has at most ${maxAdditionalCreators} additional creators.`)
  return [...new Set(listed)].filter((creator) => creator !== userId)
}

function createContent({ room, create }: OldRoom, version: RoomVersion, userId: UserId, additional: readonly string[], last: StoredEvent | undefined): JsonObject {
  const { content } = create.event
  const [type, federate] = [own(content, 'type'), own(content, 'm.federate')]
  return {
    room_version: version.id,
    ...(version.creatorField ? { creator: userId } : {}),
    ...(type === undefined ? {} : { type }),
    ...(federate === undefined ? {} : { 'm.federate': federate }),
    ...(additional.length === 0 ? {} : { additional_creators: [...additional] }),
    predecessor: { room_id: room.id, ...(last && !version.privilegedCreators ? { event_id: last.event.eventId } : {}) },
  }
}

/** State of the new room: first enough power to set it, at the end the power levels as they were. */
function firstState(userId: UserId, old: OldRoom, version: RoomVersion, newCreators: ReadonlySet<string>): Proposal[] {
  const found = (type: string): StoredEvent | undefined => old.state.find(({ event }) => event.type === type && event.stateKey === '')
  const oldCreators = creatorsOf(old.room.version, old.create.event)
  const copying = { from: old.room.version, to: version, oldCreators, newCreators }
  const oldLevels = found('m.room.power_levels')?.event.content
  const final = copiedPowerLevels(oldLevels ?? { users: Object.fromEntries([...oldCreators].map((creator) => [creator, 100])) }, copying)
  const first = version.privilegedCreators ? final : withFullPower(final, userId)
  const proposals = [state(userId, 'm.room.power_levels', first)]
  for (const type of copiedTypes) {
    const event = found(type)
    if (event) proposals.push(state(userId, type, event.event.content))
  }
  // Said aloud what counts anyhow: clients wait for the state that every new room has.
  if (!found('m.room.guest_access')) proposals.push(state(userId, 'm.room.guest_access', { guest_access: 'forbidden' }))
  proposals.push(state(userId, 'm.room.join_rules', joinRules(found('m.room.join_rules'), version)))
  const alias = found('m.room.canonical_alias')
  if (alias) proposals.push(state(userId, 'm.room.canonical_alias', alias.event.content))
  for (const { event } of old.state) {
    if (event.type === 'm.space.child' && Array.isArray(own(event.content, 'via'))) proposals.push(state(userId, event.type, event.content, event.stateKey))
  }
  proposals.push(state(userId, 'm.room.power_levels', final))
  return proposals
}

/** Join rules that the new version does not know become `invite`, so that nobody gets in who could not before. */
function joinRules(event: StoredEvent | undefined, version: RoomVersion): JsonObject {
  const rule = contentString(event, 'join_rule')
  const isKnown = (rule !== 'restricted' || version.restrictedJoins) && (rule !== 'knock' || version.knocking) &&
    (rule !== 'knock_restricted' || version.knockRestricted)
  return event && isKnown ? event.event.content : { join_rule: 'invite' }
}

function bans(userId: UserId, old: OldRoom, newCreators: ReadonlySet<string>): Proposal[] {
  return old.state.flatMap((event) => {
    const target = event.event.stateKey ?? ''
    if (event.event.type !== 'm.room.member' || membershipOf(event) !== 'ban' || newCreators.has(target)) return []
    const reason = contentString(event, 'reason')
    return [state(userId, 'm.room.member', { membership: 'ban', ...(reason === undefined ? {} : { reason }) }, target)]
  })
}
