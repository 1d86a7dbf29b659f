/**
 * Power levels of a room that replaces another one.
 *
 * Spec: client-server API, "Room Upgrades"; rooms/v10 (integers), rooms/v12 (creators).
 */
import { readPowerLevel } from '@myelin/protocol/auth/power-level-value.ts'
import { isObject, own, type JsonObject, type JsonValue } from '@myelin/protocol/json/json.ts'
import type { RoomVersion } from '@myelin/protocol/rooms/versions.ts'

/** Between which rooms power levels are copied. */
export interface Copying {
  readonly from: RoomVersion
  readonly to: RoomVersion
  /** Creators of the old room, who had power by themselves in some versions. */
  readonly oldCreators: ReadonlySet<string>
  /** Creators of the new room. */
  readonly newCreators: ReadonlySet<string>
}

const levels = ['ban', 'kick', 'redact', 'invite', 'events_default', 'state_default', 'users_default', 'historical']
const mappings = ['users', 'events', 'notifications']

/** The levels of the old room in the words of the new version. */
export function copiedPowerLevels(old: JsonObject, copying: Copying): JsonObject {
  const copied: Record<string, JsonValue> = Object.create(null)
  for (const key of levels) {
    const level = readPowerLevel(copying.from, own(old, key))
    if (level !== undefined) copied[key] = level
  }
  for (const key of mappings) {
    const entries = own(old, key)
    if (isObject(entries)) copied[key] = integers(copying.from, entries)
  }
  return { ...copied, users: usersOf(isObject(copied['users']) ? copied['users'] : {}, copying) }
}

/** The same levels, with a user who may do everything that the copying needs. */
export function withFullPower(content: JsonObject, userId: string): JsonObject {
  const users = own(content, 'users')
  return { ...content, users: entriesWith(isObject(users) ? users : {}, userId, Math.max(100, highest(content))) }
}

function integers(version: RoomVersion, entries: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(entries).flatMap(([key, value]) => {
    const level = readPowerLevel(version, value)
    return level === undefined ? [] : [[key, level]]
  }))
}

/** Privileged creators have no entry; where they lose that privilege, they get one. */
function usersOf(users: JsonObject, { from, to, oldCreators, newCreators }: Copying): JsonObject {
  if (to.privilegedCreators) return Object.fromEntries(Object.entries(users).filter(([userId]) => !newCreators.has(userId)))
  let all = users
  if (from.privilegedCreators) for (const creator of oldCreators) all = entriesWith(all, creator, 100)
  return all
}

function entriesWith(users: JsonObject, userId: string, level: number): JsonObject {
  return Object.fromEntries([...Object.entries(users).filter(([other]) => other !== userId), [userId, level]])
}

/** The highest level that anything in the content names. */
function highest(content: JsonObject): number {
  const named = levels.map((key) => own(content, key))
  const mapped = mappings.flatMap((key) => {
    const entries = own(content, key)
    return isObject(entries) ? Object.values(entries) : []
  })
  return Math.max(...[...named, ...mapped].filter((value) => typeof value === 'number'), 50)
}
