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
  const steps = new StepCounter(check.rules.powerLevels)
  const verdict = checkForm(check, steps)
  if (!verdict.allowed) return verdict
  // The first power levels of the room
  steps.next()
  const current = check.state('m.room.power_levels', '')
  return current === undefined ? allowed : checkChanges(check, current.content, steps)
}

/** Counts the steps of the rule as the specification does: which there are depends on the room version. */
class StepCounter {
  readonly #rule: number
  #step = 0

  constructor(rule: number) {
    this.#rule = rule
  }

  next(): void {
    this.#step += 1
  }

  refuse(reason: string, substep = ''): Verdict {
    return refused(`${this.#rule}.${this.#step}${substep}`, reason)
  }
}

/** The steps about the form of the content: integers, user ids, and no creators where these are privileged. */
function checkForm({ version, event: { content }, create }: AuthCheck, steps: StepCounter): Verdict {
  if (version.integerPowerLevels) {
    steps.next()
    for (const key of scalarKeys) {
      if (Object.hasOwn(content, key) && readPowerLevel(version, own(content, key)) === undefined) return steps.refuse(`${key} is not an integer`)
    }
    steps.next()
    for (const key of ['events', 'notifications']) {
      if (Object.hasOwn(content, key) && !isObjectOfLevels(version, own(content, key))) return steps.refuse(`${key} is not an object of integers`)
    }
  }
  steps.next()
  const problem = problemOfUsers(version, content)
  if (problem !== undefined) return steps.refuse(problem)
  if (!version.integerPowerLevels && hasInfiniteValue(content)) return steps.refuse('a power level is beyond the range of numbers')
  if (version.privilegedCreators) {
    steps.next()
    const users = own(content, 'users')
    for (const creator of creatorsOf(version, create)) {
      if (isObject(users) && Object.hasOwn(users, creator)) return steps.refuse(`users lists the creator ${creator}, whose power cannot be set`)
    }
  }
  return allowed
}

/** The steps about what changes against the current power levels. */
function checkChanges(check: AuthCheck, current: JsonObject, steps: StepCounter): Verdict {
  const { version, event: { content, sender } } = check
  const power = levelsIn(check).userLevel(sender)
  const tooHigh = (what: string): string => `${what} is above the sender’s power level ${power}`
  steps.next()
  for (const key of scalarKeys) {
    const change = changeOf(version, own(current, key), own(content, key))
    if (change === undefined) continue
    if (isAbove(change.before, power)) return steps.refuse(tooHigh(`the current ${key}`), '.1')
    if (isAbove(change.after, power)) return steps.refuse(tooHigh(`the new ${key}`), '.2')
  }
  const objects = version.notificationLevels ? ['events', 'notifications'] : ['events']
  const changes = objects.flatMap((key) => changesOf(version, own(current, key), own(content, key)))
  steps.next()
  for (const { key, before } of changes) if (isAbove(before, power)) return steps.refuse(tooHigh(`the current level of ${key}`), '.1')
  steps.next()
  for (const { key, after } of changes) if (isAbove(after, power)) return steps.refuse(tooHigh(`the new level of ${key}`), '.1')

  const userChanges = changesOf(version, own(current, 'users'), own(content, 'users'))
  steps.next()
  for (const { key, before } of userChanges) {
    if (key !== sender && before !== undefined && before >= power) {
      return steps.refuse(`the current level of ${key} is not below the sender’s power level ${power}`, '.1')
    }
  }
  steps.next()
  for (const { key, after } of userChanges) if (isAbove(after, power)) return steps.refuse(tooHigh(`the new level of ${key}`), '.1')
  return allowed
}

/** Whether a level exists and is more than this power; a value that is no level (NaN) is more than any power. */
function isAbove(level: number | undefined, power: number): boolean {
  return level !== undefined && !(level <= power)
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
