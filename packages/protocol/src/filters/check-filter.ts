/**
 * Checks filters that a client sends. Fields that the specification does not know are kept and mean nothing.
 *
 * Spec: client-server API, "Filtering".
 */
import { isRoomId } from '../ids/room-id.ts'
import { isUserId } from '../ids/user-id.ts'
import type { JsonObject, JsonValue } from '../json/json.ts'
import { isObject, own } from '../json/json.ts'
import { EventFilter } from './event-filter.ts'
import { SyncFilter } from './sync-filter.ts'

/** The most entries that one list of a filter may have. */
export const maxFilterEntries = 10_000

/** Thrown inside of this file only. */
class Malformed extends Error {}

type Check = (value: JsonValue, name: string) => void

const text: Check = (value, name) => {
  if (typeof value !== 'string') throw new Malformed(`${name} must be a string`)
}
const userId: Check = (value, name) => {
  if (!isUserId(value)) throw new Malformed(`${name} must be a user id such as @user:example.org`)
}
const roomId: Check = (value, name) => {
  if (!isRoomId(value)) throw new Malformed(`${name} must be a room id such as !room:example.org`)
}
const flag: Check = (value, name) => {
  if (typeof value !== 'boolean') throw new Malformed(`${name} must be true or false`)
}
const limit: Check = (value, name) => {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) throw new Malformed(`${name} must be an integer and not negative`)
}
const format: Check = (value, name) => {
  if (value !== 'client' && value !== 'federation') throw new Malformed(`${name} must be "client" or "federation"`)
}

function list(check: Check): Check {
  return (value, name) => {
    if (!Array.isArray(value)) throw new Malformed(`${name} must be a list`)
    if (value.length > maxFilterEntries) throw new Malformed(`${name} must have at most ${maxFilterEntries} entries`)
    for (const [index, entry] of value.entries()) check(entry, `${name}[${index}]`)
  }
}

function fields(checks: ReadonlyMap<string, Check>): Check {
  return (value, name) => {
    if (!isObject(value)) throw new Malformed(`${name} must be an object`)
    for (const [key, check] of checks) {
      const member = own(value, key)
      if (member !== undefined) check(member, name === '' ? key : `${name}.${key}`)
    }
  }
}

const eventFilter = new Map<string, Check>([
  ['limit', limit], ['types', list(text)], ['not_types', list(text)], ['senders', list(userId)], ['not_senders', list(userId)],
])
const roomEventFilter = new Map<string, Check>([
  ...eventFilter,
  ['rooms', list(roomId)], ['not_rooms', list(roomId)], ['contains_url', flag], ['lazy_load_members', flag],
  ['include_redundant_members', flag], ['unread_thread_notifications', flag], ['related_by_senders', list(userId)],
  ['related_by_rel_types', list(text)], ['org.matrix.labels', list(text)], ['org.matrix.not_labels', list(text)],
])
const roomFilter = new Map<string, Check>([
  ['rooms', list(roomId)], ['not_rooms', list(roomId)], ['include_leave', flag], ['state', fields(roomEventFilter)],
  ['timeline', fields(roomEventFilter)], ['ephemeral', fields(roomEventFilter)], ['account_data', fields(roomEventFilter)],
])
const syncFilter = new Map<string, Check>([
  ['event_fields', list(text)], ['event_format', format], ['presence', fields(eventFilter)], ['account_data', fields(eventFilter)],
  ['room', fields(roomFilter)],
])

/** A compiled filter, or what is wrong with it. */
export type FilterParsing<Filter> = { readonly filter: Filter } | { readonly reason: string }

/** Checks and compiles the filter of a sync. */
export function checkFilter(json: JsonValue): FilterParsing<SyncFilter> {
  return checked(json, syncFilter, (object) => new SyncFilter(object))
}

/** Checks and compiles the filter of events in rooms, as `/messages`, `/context` and `/search` take it. */
export function checkRoomEventFilter(json: JsonValue): FilterParsing<EventFilter> {
  return checked(json, roomEventFilter, (object) => new EventFilter(object))
}

function checked<Filter>(json: JsonValue, checks: ReadonlyMap<string, Check>, compile: (object: JsonObject) => Filter): FilterParsing<Filter> {
  if (!isObject(json)) return { reason: 'the filter must be a JSON object' }
  try {
    fields(checks)(json, '')
  } catch (error) {
    if (error instanceof Malformed) return { reason: error.message }
    throw error
  }
  return { filter: compile(json) }
}
