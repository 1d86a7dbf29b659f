/**
 * The authorisation rules: may this event happen in a room of this state?
 *
 * Spec: rooms/v1 … rooms/v12, "Authorisation rules".
 */
import type { RoomEvent, Verdict } from '../events/event.ts'
import { serverOf } from '../ids/user-id.ts'
import { own } from '../json/json.ts'
import type { RoomVersion } from '../rooms/versions.ts'
import { checkAliases } from './aliases.ts'
import { levelsIn, membershipIn } from './auth-check.ts'
import type { AuthCheck, AuthOptions, AuthState } from './auth-check.ts'
import { checkCreate } from './create.ts'
import { checkMember } from './member.ts'
import { checkPowerLevels } from './power-levels-event.ts'
import { checkRedactionEvent } from './redaction.ts'
import { ruleNumbers } from './rule-numbers.ts'
import { checkThirdPartyInviteEvent } from './third-party-invite.ts'
import { allowed, refused } from './verdict.ts'

const noOptions: AuthOptions = {}

/**
 * Checks an event against a set of state: its auth events, the state before it, or the current state. What the event
 * lists as auth events is the matter of `checkAuthEvents`.
 *
 * @param state the state; it must not give rejected events
 * @returns the verdict; a refusal names the rule by the number that it has in the specification of the room version
 */
export function checkAuth(version: RoomVersion, event: RoomEvent, state: AuthState, options: AuthOptions = noOptions): Verdict {
  // 1
  if (event.type === 'm.room.create') return checkCreate(version, event)
  const rules = ruleNumbers(version)
  const create = state('m.room.create', '')
  // 2 since v12; in earlier versions the create event is among the auth events (2.4) and of the same room (2.5)
  if (create === undefined) {
    return refused(version.roomIdIsCreateHash ? `${rules.room}` : `${rules.authEvents}.4`, 'the room has no m.room.create event')
  }
  if (version.roomIdIsCreateHash) {
    if (!namesCreate(event.roomId, create.eventId)) return refused(`${rules.room}`, 'the room id is not the hash of the m.room.create event')
  } else if (create.roomId !== event.roomId) {
    return refused(`${rules.authEvents}.5`, 'the m.room.create event is of another room')
  }
  // 3, 4 since v12
  if (own(create.content, 'm.federate') === false && serverOf(event.sender) !== serverOf(create.sender)) {
    return refused(`${rules.federate}`, `the room is closed to other servers than ${serverOf(create.sender)}`)
  }
  const check: AuthCheck = { version, rules, event, create, state, options }
  if (version.aliasesRule && event.type === 'm.room.aliases') return checkAliases(check)
  if (event.type === 'm.room.member') return checkMember(check)
  return checkByMember(check)
}

/** The rules for events that only members of the room may send. */
function checkByMember(check: AuthCheck): Verdict {
  const { version, rules, event } = check
  const { type, sender, stateKey } = event
  if (membershipIn(check, sender) !== 'join') return refused(`${rules.senderJoined}`, `${sender} is not in the room`)
  if (type === 'm.room.third_party_invite') return checkThirdPartyInviteEvent(check)
  const levels = levelsIn(check)
  const required = levels.eventLevel(type, stateKey !== undefined)
  if (required > levels.userLevel(sender)) return refused(`${rules.requiredLevel}`, `sending ${type} needs power level ${required}`)
  if (stateKey?.startsWith('@') && stateKey !== sender) {
    return refused(`${rules.userStateKey}`, `only ${stateKey} may set state with their user id as state key`)
  }
  if (type === 'm.room.power_levels') return checkPowerLevels(check)
  if (version.redactionAuthRule && type === 'm.room.redaction') return checkRedactionEvent(check)
  return allowed
}

/** Whether a room id is the id of this create event with the sigil `!`. */
function namesCreate(roomId: string, createId: string): boolean {
  return roomId.length === createId.length && roomId.startsWith('!') && roomId.endsWith(createId.slice(1))
}
