/**
 * The auth events of an event: which ones it should name, and whether those that it names are right.
 *
 * Spec: server-server API, "Auth events selection"; rooms, "Authorisation rules", rule "Considering the event's `auth_events`".
 */
import type { RoomEvent, Verdict } from '../events/event.ts'
import { stateKeyOf } from '../events/event.ts'
import type { EventId } from '../ids/ids.ts'
import { isObject, own } from '../json/json.ts'
import type { JsonObject } from '../json/json.ts'
import type { RoomVersion } from '../rooms/versions.ts'
import { ruleNumbers } from './rule-numbers.ts'
import { allowed, refused } from './verdict.ts'

/** Type and state key of a state event. */
export type StatePair = readonly [type: string, stateKey: string]

/** What the selection of auth events reads of an event, sent or yet to be sent. */
export interface AuthDraft {
  readonly type: string
  readonly stateKey?: string | undefined
  readonly sender: string
  readonly content: JsonObject
}

const createPair: StatePair = ['m.room.create', '']
const powerLevelsPair: StatePair = ['m.room.power_levels', '']
const joinRulesPair: StatePair = ['m.room.join_rules', '']

/**
 * Which state makes up the auth events of an event: each pair once, whether or not the room has such state.
 */
export function authTypesFor(version: RoomVersion, draft: AuthDraft): StatePair[] {
  if (draft.type === 'm.room.create') return []
  const pairs: StatePair[] = version.roomIdIsCreateHash ? [] : [createPair]
  pairs.push(powerLevelsPair, ['m.room.member', draft.sender])
  if (draft.type === 'm.room.member' && draft.stateKey !== undefined) addMemberPairs(version, draft, draft.stateKey, pairs)
  return pairs
}

function addMemberPairs(version: RoomVersion, draft: AuthDraft, target: string, pairs: StatePair[]): void {
  if (target !== draft.sender) pairs.push(['m.room.member', target])
  const membership = own(draft.content, 'membership')
  if (membership === 'join' || membership === 'invite' || membership === 'knock') pairs.push(joinRulesPair)
  if (membership === 'invite') {
    const invite = own(draft.content, 'third_party_invite')
    const signed = isObject(invite) ? own(invite, 'signed') : undefined
    const token = isObject(signed) ? own(signed, 'token') : undefined
    if (typeof token === 'string') pairs.push(['m.room.third_party_invite', token])
  }
  if (membership === 'join' && version.restrictedJoins) {
    const authoriser = own(draft.content, 'join_authorised_via_users_server')
    if (typeof authoriser === 'string' && authoriser !== target && authoriser !== draft.sender) pairs.push(['m.room.member', authoriser])
  }
}

/** An event together with whether it was rejected. */
export type KnownEvent = RoomEvent & { readonly rejected: boolean }

/**
 * Checks the list of auth events that an event names; also, where the room id is the hash of the create event, that
 * this event is known and accepted.
 *
 * @param lookup events that this server has; undefined for an unknown one, which refuses the event, so fetch them before
 */
export function checkAuthEvents(version: RoomVersion, event: RoomEvent, lookup: (eventId: EventId) => KnownEvent | undefined): Verdict {
  if (event.type === 'm.room.create') return allowed
  const rules = ruleNumbers(version)
  if (version.roomIdIsCreateHash) {
    const create = lookup(createIdOf(event))
    if (create === undefined || create.rejected || create.type !== 'm.room.create') {
      return refused(`${rules.room}`, 'the room id is not that of an accepted m.room.create event')
    }
  }
  const rule = (step: number): string => `${rules.authEvents}.${step}`
  const entries: KnownEvent[] = []
  for (const eventId of event.authEventIds) {
    const entry = lookup(eventId)
    if (entry === undefined) return refused(rule(3), `the auth event ${eventId} is not known`)
    entries.push(entry)
  }
  // 1
  const seen = new Set<string>()
  for (const entry of entries) {
    const key = entry.stateKey === undefined ? entry.eventId : stateKeyOf(entry.type, entry.stateKey)
    if (seen.has(key)) return refused(rule(1), `auth_events has more than one ${entry.type} for the same state key`)
    seen.add(key)
  }
  // 2
  const expected = new Set(authTypesFor(version, event).map(([type, stateKey]) => stateKeyOf(type, stateKey)))
  for (const entry of entries) {
    if (entry.stateKey === undefined || !expected.has(stateKeyOf(entry.type, entry.stateKey))) {
      return refused(rule(2), `auth_events has a ${entry.type} that does not bear on the event`)
    }
  }
  // 3
  for (const entry of entries) if (entry.rejected) return refused(rule(3), `the auth event ${entry.eventId} was rejected`)
  // 4
  if (!version.roomIdIsCreateHash && !seen.has(stateKeyOf(...createPair))) return refused(rule(4), 'auth_events has no m.room.create event')
  // 5
  for (const entry of entries) if (entry.roomId !== event.roomId) return refused(rule(5), `the auth event ${entry.eventId} is of another room`)
  return allowed
}

/** The id of the create event that the room id stands for, where room ids are hashes. */
export function createIdOf(event: RoomEvent): EventId {
  return `$${event.roomId.slice(1)}` as EventId
}
