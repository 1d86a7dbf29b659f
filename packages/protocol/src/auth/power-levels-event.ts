/**
 * The rule for `m.room.power_levels`: well-formed, and nobody gives, takes or guards more power than they have.
 *
 * Spec: rooms, "Authorisation rules", the rule "If type is `m.room.power_levels`" (10 up to v5 and in v12, 9 in between).
 */
import type { Verdict } from '../events/event.ts'
import { parseUserId } from '../ids/user-id.ts'
import { isObject, own } from '../json/json.ts'
import type { JsonObject, JsonValue } from '../json/json.ts'
import type { RoomVersion } from '../rooms/versions.ts'
import { levelsIn } from './auth-check.ts'
import type { AuthCheck } from './auth-check.ts'
import { creatorsOf } from './creators.ts'
import { readPowerLevel } from './power-level-value.ts'
import { allowed, refused } from './verdict.ts'

const scalarKeys = ['users_default', 'events_default', 'state_default', 'ban', 'redact', 'kick', 'invite'] as const

/** Whether the sender may set these power levels. */
export function checkPowerLevels(check: AuthCheck): Verdict {
  const { version, rules, event, create, state } = check
  const { content } = event
  let step = 0
  const rule = (substep = ''): string => `${rules.powerLevels}.${step}${substep}`
  if (version.integerPowerLevels) {
    step = 1
    for (const key of scalarKeys) {
      if (Object.hasOwn(content, key) && readPowerLevel(version, own(content, key)) === undefined) return refused(rule(), `${key} is not an integer`)
    }
    step = 2
    for (const key of ['events', 'notifications']) {
      if (Object.hasOwn(content, key) && !isObjectOfLevels(version, own(content, key))) return refused(rule(), `${key} is not an object of integers`)
    }
  }
  // Users: an object from user ids to power levels
  step += 1
  const problem = problemOfUsers(version, content)
  if (problem !== undefined) return refused(rule(), problem)
  if (!version.integerPowerLevels && hasInfiniteValue(content)) return refused(rule(), 'a power level is beyond the range of numbers')
  if (version.privilegedCreators) {
    step += 1
    const users = own(content, 'users')
    for (const creator of creatorsOf(version, create)) {
      if (isObject(users) && Object.hasOwn(users, creator)) return refused(rule(), `users lists the creator ${creator}, whose power cannot be set`)
    }
  }
  // The first power levels of the room
  step += 1
  const current = state('m.room.power_levels', '')
  if (current === undefined) return allowed

  const power = levelsIn(check).userLevel(event.sender)
  const tooHigh = (what: string): string => `${what} is above the sender’s power level ${power}`
  step += 1
  for (const key of scalarKeys) {
    const change = changeOf(version, own(current.content, key), own(content, key))
    if (change === undefined) continue
    if (change.before !== undefined && change.before > power) return refused(rule('.1'), tooHigh(`the current ${key}`))
    if (change.after === undefined) continue
    if (!(change.after <= power)) return refused(rule('.2'), tooHigh(`the new ${key}`))
  }
  const objects = version.notificationLevels ? ['events', 'notifications'] : ['events']
  const changes = objects.flatMap((key) => changesOf(version, own(current.content, key), own(content, key)))
  step += 1
  for (const { key, before } of changes) {
    if (before !== undefined && before > power) return refused(rule('.1'), tooHigh(`the current level of ${key}`))
  }
  step += 1
  for (const { key, after } of changes) {
    if (after !== undefined && !(after <= power)) return refused(rule('.1'), tooHigh(`the new level of ${key}`))
  }
  const userChanges = changesOf(version, own(current.content, 'users'), own(content, 'users'))
  step += 1
  for (const { key, before } of userChanges) {
    if (key !== event.sender && before !== undefined && before >= power) {
      return refused(rule('.1'), `the current level of ${key} is not below the sender’s power level ${power}`)
    }
  }
  step += 1
  for (const { key, after } of userChanges) {
    if (after !== undefined && !(after <= power)) return refused(rule('.1'), tooHigh(`the new level of ${key}`))
  }
  return allowed
}

interface Change {
  /** The level until now; undefined where there was none. */
  readonly before: number | undefined
  /** The level from now on; undefined where it is removed, NaN where the value is no power level and nobody can set it. */
  readonly after: number | undefined
}

function changeOf(version: RoomVersion, current: JsonValue | undefined, next: JsonValue | undefined): Change | undefined {
  if (current === next) return undefined
  const before = readPowerLevel(version, current)
  const after = readPowerLevel(version, next) ?? (next === undefined || next === null ? undefined : NaN)
  return before === after ? undefined : { before, after }
}

function changesOf(version: RoomVersion, current: JsonValue | undefined, next: JsonValue | undefined): (Change & { readonly key: string })[] {
  const old = isObject(current) ? current : {}
  const fresh = isObject(next) ? next : {}
  const changes: (Change & { readonly key: string })[] = []
  for (const key of Object.keys(old)) {
    const change = changeOf(version, own(old, key), own(fresh, key))
    if (change !== undefined) changes.push({ key, ...change })
  }
  for (const key of Object.keys(fresh)) {
    if (Object.hasOwn(old, key)) continue
    const change = changeOf(version, undefined, own(fresh, key))
    if (change !== undefined) changes.push({ key, ...change })
  }
  return changes
}

function problemOfUsers(version: RoomVersion, content: JsonObject): string | undefined {
  if (!Object.hasOwn(content, 'users')) return undefined
  const users = own(content, 'users')
  if (!isObject(users)) return 'users is not an object'
  for (const userId of Object.keys(users)) {
    if (parseUserId(userId) === undefined) return 'users has a key that is not a valid user id'
    if (readPowerLevel(version, own(users, userId)) === undefined) return `the level of ${userId} is not an integer`
  }
  return undefined
}

function isObjectOfLevels(version: RoomVersion, value: JsonValue | undefined): boolean {
  return isObject(value) && Object.keys(value).every((key) => readPowerLevel(version, own(value, key)) !== undefined)
}

/** Whether a level is a number that a double cannot hold, which rejects the event where floats are read. */
function hasInfiniteValue(content: JsonObject): boolean {
  const isInfinite = (value: JsonValue | undefined): boolean => typeof value === 'number' && !Number.isFinite(value)
  if (scalarKeys.some((key) => isInfinite(own(content, key)))) return true
  return ['events', 'notifications'].some((key) => {
    const entries = own(content, key)
    return isObject(entries) && Object.keys(entries).some((entry) => isInfinite(own(entries, entry)))
  })
}
