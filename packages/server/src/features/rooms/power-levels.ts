/**
 * The power levels of a new room.
 *
 * Spec: client-server API, "Room creation", presets; rooms/v12, "Power levels".
 */
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import { isObject, type JsonObject, type JsonValue } from '@myelin/protocol/json/json.ts'
import type { RoomVersion } from '@myelin/protocol/rooms/versions.ts'
import { refuse } from '@myelin/protocol/errors.ts'
import type { Preset } from './presets.ts'

/** Users who get power when the room is made. */
export interface FirstUsers {
  readonly creator: UserId
  /** Invited users who get the creator's power (`trusted_private_chat`). */
  readonly trusted: readonly UserId[]
  /** Creators beside the sender of the create event, from room version 12 on. */
  readonly additionalCreators: readonly string[]
}

/** Content of the first `m.room.power_levels`. */
export function firstPowerLevels(version: RoomVersion, preset: Preset, users: FirstUsers, overrides: readonly JsonObject[]): JsonObject {
  const named = version.privilegedCreators ? [] : [users.creator, ...users.trusted]
  const levels: Record<string, JsonValue> = {
    users: Object.fromEntries(named.map((userId) => [userId, 100])),
    users_default: 0,
    events: {
      'm.room.name': 50,
      'm.room.power_levels': 100,
      'm.room.history_visibility': 100,
      'm.room.canonical_alias': 50,
      'm.room.avatar': 50,
      'm.room.tombstone': version.privilegedCreators ? 150 : 100,
      'm.room.server_acl': 100,
      'm.room.encryption': 100,
    },
    events_default: 0,
    state_default: 50,
    ban: 50,
    kick: 50,
    redact: 50,
    invite: preset === 'public_chat' ? 50 : 0,
    historical: 100,
  }
  for (const override of overrides) for (const [key, value] of Object.entries(override)) if (value !== undefined) levels[key] = value
  assertNoCreators(version, levels['users'], users)
  return levels
}

function assertNoCreators(version: RoomVersion, levels: JsonValue | undefined, users: FirstUsers): void {
  if (!version.privilegedCreators || !isObject(levels)) return
  const creators = [users.creator, ...users.additionalCreators]
  const named = creators.find((creator) => Object.hasOwn(levels, creator))
  if (named === undefined) return
  throw refuse('M_BAD_JSON', `In rooms of version ${version.id} creators have unlimited power and must not be in power_levels.users: remove ${named}.`)
}
