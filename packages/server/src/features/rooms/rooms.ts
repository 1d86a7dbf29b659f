/**
 * Making rooms.
 *
 * Spec: client-server API, "Room creation", `POST /createRoom`.
 */
import { MatrixError, refuse } from '@myelin/protocol/errors.ts'
import type { RoomAlias, RoomId, UserId } from '@myelin/protocol/ids/ids.ts'
import { isUserId } from '@myelin/protocol/ids/user-id.ts'
import { isObject, own, type JsonObject, type JsonValue } from '@myelin/protocol/json/json.ts'
import { getRoomVersion, listRoomVersions, type RoomVersion } from '@myelin/protocol/rooms/versions.ts'
import type { Memberships } from '#engine/memberships.ts'
import type { Room } from '#engine/room.ts'
import type { Proposal, RoomWriter } from '#engine/room-writer.ts'
import type { Tx } from '#platform/db/database.ts'
import type { Requester } from '#platform/http/requester.ts'
import type { RateLimits } from '#platform/limits/rate-limits.ts'
import { firstPowerLevels } from './power-levels.ts'
import { presetState, type Preset } from './presets.ts'
import { questionOf, type ThirdPartyInvites } from '#features/third-party-invites/third-party-invites.ts'
import type { RoomAliases } from './room-aliases.ts'

/** The body of `POST /createRoom`. */
export interface RoomRequest {
  readonly preset?: string
  readonly visibility?: string
  readonly room_alias_name?: string
  readonly name?: string
  readonly topic?: string
  readonly invite?: readonly string[]
  readonly invite_3pid?: readonly JsonObject[]
  readonly room_version?: string
  readonly creation_content?: JsonObject
  readonly initial_state?: readonly { readonly type: string; readonly state_key?: string; readonly content: JsonObject }[]
  readonly is_direct?: boolean
  readonly power_level_content_override?: JsonObject
}

/** What only the server itself may wish of a room. */
export interface RoomWishes {
  /** The room stays without encryption whatever the operator's default is: the server writes into it and has no keys. */
  readonly unencrypted?: true
}

/** What inviting needs of the membership slice. */
export interface Inviting {
  /** Charges the rate limits of invites and checks that the inviter may invite at all. */
  assertMayInvite(requester: Requester, room: Room | undefined, invitees: readonly string[]): Promise<void>
  /** Content of a membership event with the user's profile. */
  memberContent(userId: UserId, content: JsonObject): Promise<JsonObject>
  /** Invites a user of another server. @throws M_FORBIDDEN, M_INVITE_BLOCKED, RemoteError */
  inviteElsewhere(inviter: UserId, room: Room, target: UserId, content: JsonObject): Promise<void>
}

interface Needs {
  readonly writer: RoomWriter
  readonly aliases: RoomAliases
  readonly inviting: Inviting
  readonly memberships: Pick<Memberships, 'isLocal'>
  readonly thirdPartyInvites: Pick<ThirdPartyInvites, 'invite'>
  readonly limits: Pick<RateLimits, 'consume'>
  readonly defaultVersion: string
  readonly encryptionDefault: 'all' | 'invite' | 'off'
  readonly powerLevelOverrides: Readonly<Record<string, unknown>>
}

const presets: readonly string[] = ['private_chat', 'trusted_private_chat', 'public_chat']

function isPreset(value: string): value is Preset {
  return presets.includes(value)
}

export class RoomCreation {
  readonly #needs: Needs

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /**
   * Makes a room and invites its first users; those of other servers, and those who are invited by address, once the room is there. An invite that
   * then fails leaves the room.
   * @returns the room's id
   * @throws M_UNSUPPORTED_ROOM_VERSION, M_ROOM_IN_USE, M_INVALID_ROOM_STATE, M_BAD_JSON, M_FORBIDDEN, M_MISSING_PARAM, M_CONNECTION_FAILED where an
   *   identity server cannot be used, RemoteError where the server of an invited user cannot be reached
   */
  async create(requester: Requester, request: RoomRequest, wishes: RoomWishes = {}): Promise<RoomId> {
    if (requester.rateLimited) this.#needs.limits.consume('rc_room_creation', requester.userId)
    const version = this.#version(request)
    const preset = this.#preset(request)
    const invitees: UserId[] = []
    for (const userId of new Set(request.invite)) {
      if (!isUserId(userId)) throw refuse('M_INVALID_PARAM', `"${userId}" in "invite" is not a user id.`)
      if (userId !== requester.userId) invitees.push(userId)
    }
    const addresses = (request.invite_3pid ?? []).map(questionOf)
    if (invitees.length > 0) await this.#needs.inviting.assertMayInvite(requester, undefined, invitees)
    const alias = request.room_alias_name === undefined ? undefined : await this.#needs.aliases.assertCreatable(requester.userId, request.room_alias_name)
    const encrypted = wishes.unencrypted !== true && this.#encrypts(preset)
    const first = await this.#firstEvents(requester, request, version, { preset, encrypted }, invitees, alias)
    const { room } = await this.#write(requester, request, version, first, alias)
    for (const userId of invitees) if (!this.#needs.memberships.isLocal(userId)) await this.#inviteElsewhere(requester, request, room, userId)
    for (const address of addresses) await this.#needs.thirdPartyInvites.invite(requester, room, address)
    return room.id
  }

  async #write(requester: Requester, request: RoomRequest, version: RoomVersion, first: FirstEvents, alias: RoomAlias | undefined) {
    let refusedByDirectory: unknown
    const list = async (tx: Tx, room: Room): Promise<void> => {
      try {
        if (alias !== undefined) await this.#needs.aliases.create(tx, alias, room, requester.userId)
        if (request.visibility === 'public') await this.#needs.aliases.publish(tx, room, requester.userId)
      } catch (error) {
        refusedByDirectory = error
        throw error
      }
    }
    try {
      return await this.#needs.writer.createRoom(version, requester.userId, first.create, () => first.rest, {
        extra: async (tx, [create]) => {
          if (create) await list(tx, create.room)
        },
      })
    } catch (error) {
      if (error === refusedByDirectory || !(error instanceof MatrixError) || error.errcode !== 'M_FORBIDDEN') throw error
      throw refuse('M_INVALID_ROOM_STATE', `The room would not follow the rules of its version: ${error.message}`)
    }
  }

  #version(request: RoomRequest): RoomVersion {
    const id = request.room_version ?? this.#needs.defaultVersion
    const version = getRoomVersion(id)
    if (version) return version
    const known = listRoomVersions().map((other) => other.id).join(', ')
    throw refuse('M_UNSUPPORTED_ROOM_VERSION', `This server does not support room version "${id}"; it supports ${known}.`)
  }

  #preset(request: RoomRequest): Preset {
    const preset = request.preset ?? (request.visibility === 'public' ? 'public_chat' : 'private_chat')
    if (!isPreset(preset)) throw refuse('M_BAD_JSON', `"preset" must be one of ${presets.join(', ')}.`)
    return preset
  }

  async #firstEvents(
    requester: Requester, request: RoomRequest, version: RoomVersion, { preset, encrypted }: { readonly preset: Preset; readonly encrypted: boolean },
    invitees: readonly UserId[], alias: RoomAlias | undefined,
  ): Promise<FirstEvents> {
    const sender = requester.userId
    const trusted = preset === 'trusted_private_chat' ? invitees : []
    const create = createContent(version, sender, trusted, request.creation_content ?? {})
    const additional = own(create, 'additional_creators')
    const users = { creator: sender, trusted, additionalCreators: Array.isArray(additional) ? additional.map(String) : [] }
    const configured = this.#needs.powerLevelOverrides[preset]
    const overrides = [isObject(configured) ? configured : {}, request.power_level_content_override ?? {}]
    const state = (type: string, content: JsonObject, stateKey = ''): Proposal => ({ type, stateKey, sender, content })
    const rest: Proposal[] = [
      state('m.room.member', await this.#needs.inviting.memberContent(sender, { membership: 'join' }), sender),
      state('m.room.power_levels', firstPowerLevels(version, preset, users, overrides)),
    ]
    if (alias !== undefined) rest.push(state('m.room.canonical_alias', { alias }))
    for (const event of stateOf(request, preset, encrypted)) rest.push(state(event.type, event.content, event.stateKey))
    for (const userId of invitees) {
      if (this.#needs.memberships.isLocal(userId)) rest.push(state('m.room.member', await this.#inviteContent(request, userId), userId))
    }
    return { create, rest }
  }

  #inviteContent(request: RoomRequest, userId: UserId): Promise<JsonObject> {
    return this.#needs.inviting.memberContent(userId, { membership: 'invite', ...(request.is_direct === true ? { is_direct: true } : {}) })
  }

  async #inviteElsewhere(requester: Requester, request: RoomRequest, room: Room, userId: UserId): Promise<void> {
    await this.#needs.inviting.inviteElsewhere(requester.userId, room, userId, await this.#inviteContent(request, userId))
  }

  #encrypts(preset: Preset): boolean {
    const { encryptionDefault } = this.#needs
    return encryptionDefault === 'all' || (encryptionDefault === 'invite' && preset !== 'public_chat')
  }
}

/** The events that a room begins with. */
interface FirstEvents {
  readonly create: JsonObject
  readonly rest: readonly Proposal[]
}

/** Content of the create event: what the server must say, and what the client adds. */
function createContent(version: RoomVersion, sender: UserId, trusted: readonly UserId[], given: JsonObject): JsonObject {
  const content: Record<string, JsonValue | undefined> = { ...given, room_version: version.id }
  delete content['creator']
  if (version.creatorField) content['creator'] = sender
  if (!version.privilegedCreators) return content
  const listed = own(given, 'additional_creators')
  if (listed !== undefined && !(Array.isArray(listed) && listed.every((item) => typeof item === 'string' && isUserId(item)))) {
    throw refuse('M_BAD_JSON', '"additional_creators" must be a list of user ids.')
  }
  const creators = new Set([...(Array.isArray(listed) ? listed.map(String) : []), ...trusted])
  creators.delete(sender)
  if (creators.size > 0) content['additional_creators'] = [...creators]
  return content
}

interface InitialState {
  readonly type: string
  readonly stateKey: string
  readonly content: JsonObject
}

/** State in the order of the specification: preset, then `initial_state`, then name and topic; what comes later replaces what came before. */
function stateOf(request: RoomRequest, preset: Preset, encrypted: boolean): InitialState[] {
  const given: InitialState[] = (request.initial_state ?? []).map(({ type, state_key, content }) => ({ type, stateKey: state_key ?? '', content }))
  const isGiven = (type: string): boolean => given.some((event) => event.type === type && event.stateKey === '')
  const list: InitialState[] = []
  for (const [type, content] of Object.entries(presetState[preset])) if (!isGiven(type)) list.push({ type, stateKey: '', content })
  if (encrypted && !isGiven('m.room.encryption')) list.push({ type: 'm.room.encryption', stateKey: '', content: { algorithm: 'm.megolm.v1.aes-sha2' } })
  list.push(...given.filter((event) => event.type !== 'm.room.create'))
  if (request.name !== undefined) list.push({ type: 'm.room.name', stateKey: '', content: { name: request.name } })
  if (request.topic !== undefined) {
    const topic = { topic: request.topic, 'm.topic': { 'm.text': [{ body: request.topic }] } }
    list.push({ type: 'm.room.topic', stateKey: '', content: topic })
  }
  return list
}
