/**
 * The power levels of a room: what each user has and what each action needs.
 *
 * Spec: client-server API, `m.room.power_levels`; server-server API, "Definitions" of the checks on receipt of a PDU;
 * rooms/v12, "Authorisation rules" (creators).
 */
import type { RoomEvent } from '../events/event.ts'
import { isObject, own } from '../json/json.ts'
import type { JsonObject } from '../json/json.ts'
import type { RoomVersion } from '../rooms/versions.ts'
import { creatorsOf } from './creators.ts'
import { readPowerLevel } from './power-level-value.ts'

/** Power levels in force, with the defaults filled in. Get them with `powerLevelsOf`. */
export class PowerLevels {
  readonly ban: number
  readonly kick: number
  readonly invite: number
  readonly redact: number
  readonly usersDefault: number
  readonly eventsDefault: number
  readonly stateDefault: number
  readonly #version: RoomVersion
  readonly #users: JsonObject | undefined
  readonly #events: JsonObject | undefined
  readonly #notifications: JsonObject | undefined
  readonly #creators: ReadonlySet<string> | undefined
  readonly #creatorLevel: number

  constructor(version: RoomVersion, content: JsonObject | undefined, create: RoomEvent | undefined) {
    const level = (key: string, fallback: number): number =>
      content === undefined ? fallback : (readPowerLevel(version, own(content, key)) ?? fallback)
    const member = (key: string): JsonObject | undefined => {
      const value = content === undefined ? undefined : own(content, key)
      return isObject(value) ? value : undefined
    }
    this.ban = level('ban', 50)
    this.kick = level('kick', 50)
    this.invite = level('invite', 0)
    this.redact = level('redact', 50)
    this.usersDefault = level('users_default', 0)
    this.eventsDefault = level('events_default', 0)
    this.stateDefault = level('state_default', 50)
    this.#version = version
    this.#users = member('users')
    this.#events = member('events')
    this.#notifications = member('notifications')
    this.#creatorLevel = version.privilegedCreators ? Infinity : 100
    this.#creators = version.privilegedCreators || content === undefined ? creatorsOf(version, create) : undefined
  }

  /** The level of a user: `Infinity` for a creator where creators are privileged. */
  userLevel(userId: string): number {
    if (this.#creators?.has(userId)) return this.#creatorLevel
    return this.#entry(this.#users, userId) ?? this.usersDefault
  }

  /** The level that sending an event of this type needs. */
  eventLevel(type: string, isState: boolean): number {
    return this.#entry(this.#events, type) ?? (isState ? this.stateDefault : this.eventsDefault)
  }

  /** The level that triggering a notification of this key (`room`) needs. */
  notificationLevel(key: string): number {
    return this.#entry(this.#notifications, key) ?? 50
  }

  #entry(entries: JsonObject | undefined, key: string): number | undefined {
    return entries === undefined ? undefined : readPowerLevel(this.#version, own(entries, key))
  }
}

interface Cached {
  readonly create: RoomEvent | undefined
  readonly levels: PowerLevels
}
const cache = new WeakMap<RoomEvent, Cached>()
const withoutEvents = new WeakMap<RoomVersion, PowerLevels>()

/**
 * The power levels that an `m.room.power_levels` event sets, or those of a room that has none. Kept per event, because
 * every check of an event asks for them.
 *
 * @param event the `m.room.power_levels` event, if the room has one
 * @param create the room's `m.room.create` event: creators have power by themselves where the room version or a missing
 *   `m.room.power_levels` says so
 */
export function powerLevelsOf(version: RoomVersion, event: RoomEvent | undefined, create: RoomEvent | undefined): PowerLevels {
  const key = event ?? create
  if (key === undefined) {
    const known = withoutEvents.get(version) ?? new PowerLevels(version, undefined, undefined)
    withoutEvents.set(version, known)
    return known
  }
  const known = cache.get(key)
  if (known !== undefined && known.create === create) return known.levels
  const levels = new PowerLevels(version, event?.content, create)
  cache.set(key, { create, levels })
  return levels
}
