/**
 * Conditions of push rules, compiled to functions.
 *
 * Spec: client-server API, "Push rules", "Conditions".
 */
import { compileGlob, compileLiteral } from '../acl/glob.ts'
import type { JsonObject, JsonValue } from '../json/json.ts'
import { own } from '../json/json.ts'
import { formatPropertyPath, parsePropertyPath } from '../json/property-path.ts'
import { localpartOf } from '../ids/user-id.ts'
import type { PushEvent } from './push-event.ts'

/** The reader whose rules are evaluated. */
export interface PushReader {
  readonly userId: string
  /** The reader's display name in the room. */
  readonly displayName: string | undefined
  /** Roots of the threads of the room that the reader follows; undefined where threads cannot be followed. */
  readonly followedThreads?: ReadonlySet<string> | undefined
}

/** Whether a condition holds for an event and its reader. */
export type CompiledCondition = (event: PushEvent, reader: PushReader) => boolean

/** Compiles a condition; one that is unknown or malformed never holds. */
export function compileCondition(condition: JsonObject): CompiledCondition {
  switch (own(condition, 'kind')) {
    case 'event_match':
      return eventMatch(condition)
    case 'event_property_is':
      return eventPropertyIs(condition)
    case 'event_property_contains':
      return eventPropertyContains(condition)
    case 'contains_display_name':
      return containsDisplayName
    case 'room_member_count':
      return roomMemberCount(own(condition, 'is'))
    case 'sender_notification_permission':
      return senderNotificationPermission(own(condition, 'key'))
    case 'io.element.msc4306.thread_subscription':
      return threadSubscription(own(condition, 'subscribed'))
    default:
      return never
  }
}

/** Compiles the pattern of a content rule. */
export function compileContentPattern(pattern: string): CompiledCondition {
  return eventMatch({ key: 'content.body', pattern })
}

function never(): boolean {
  return false
}

function eventMatch(condition: JsonObject): CompiledCondition {
  const key = own(condition, 'key')
  const pattern = own(condition, 'pattern')
  const patternType = own(condition, 'pattern_type')
  if (typeof key !== 'string') return never
  const property = propertyOf(key)
  const isBody = property.path === 'content.body'
  if (patternType === 'user_id') {
    return (event, reader) => event.value(property.path, property.names) === reader.userId
  }
  if (patternType === 'user_localpart') {
    return (event, reader) => containsWords(event, localpartOf(reader.userId))
  }
  if (typeof pattern !== 'string') return never
  const glob = compileGlob(pattern.toLowerCase())
  return (event) => {
    const text = event.lowerCase(property.path, property.names)
    return text !== undefined && (isBody ? glob.matchesWord(text) : glob.matches(text))
  }
}

function eventPropertyIs(condition: JsonObject): CompiledCondition {
  const key = own(condition, 'key')
  const value = own(condition, 'value')
  if (typeof key !== 'string' || !isScalar(value)) return never
  const property = propertyOf(key)
  return (event) => event.value(property.path, property.names) === value
}

function eventPropertyContains(condition: JsonObject): CompiledCondition {
  const key = own(condition, 'key')
  const value = own(condition, 'value')
  if (typeof key !== 'string') return never
  const property = propertyOf(key)
  if (own(condition, 'value_type') === 'user_id') {
    return (event, reader) => event.listHolds(property.path, property.names, reader.userId)
  }
  return isScalar(value) ? (event) => event.listHolds(property.path, property.names, value) : never
}

function containsDisplayName(event: PushEvent, { displayName }: PushReader): boolean {
  return displayName !== undefined && containsWords(event, displayName)
}

/** Whether the body of an event holds a text as words of their own. */
function containsWords(event: PushEvent, text: string): boolean {
  const body = event.lowerCase('content.body', bodyNames)
  return body !== undefined && compileLiteral(text.toLowerCase()).matchesWord(body)
}

const bodyNames = ['content', 'body']

function roomMemberCount(is: JsonValue | undefined): CompiledCondition {
  const [, operator = '', digits] = typeof is === 'string' ? (/^(==|<=|>=|<|>)?(\d+)$/.exec(is) ?? []) : []
  if (digits === undefined) return never
  const count = Number(digits)
  switch (operator) {
    case '<':
      return (event) => event.room.memberCount < count
    case '>':
      return (event) => event.room.memberCount > count
    case '<=':
      return (event) => event.room.memberCount <= count
    case '>=':
      return (event) => event.room.memberCount >= count
    default:
      return (event) => event.room.memberCount === count
  }
}

/** Of events in threads: whether the reader follows the thread. Spec: MSC4306, "New Push Rules". */
function threadSubscription(subscribed: JsonValue | undefined): CompiledCondition {
  if (typeof subscribed !== 'boolean') return never
  return (event, { followedThreads }) => event.thread !== undefined && followedThreads !== undefined && followedThreads.has(event.thread) === subscribed
}

function senderNotificationPermission(key: JsonValue | undefined): CompiledCondition {
  if (typeof key !== 'string') return never
  return (event) => event.room.senderPowerLevel >= event.room.notificationLevel(key)
}

/** A path in its one spelling, so that events remember what they were asked. */
function propertyOf(key: string): { readonly path: string; readonly names: readonly string[] } {
  const names = parsePropertyPath(key)
  return { path: formatPropertyPath(names), names }
}

function isScalar(value: JsonValue | undefined): value is string | number | boolean | null {
  if (typeof value === 'number') return Number.isSafeInteger(value)
  return value === null || typeof value === 'string' || typeof value === 'boolean'
}
