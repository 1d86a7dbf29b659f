/**
 * Who may redact: the auth rule of room versions 1 and 2, and the check at application since room version 3.
 *
 * Spec: rooms/v1, "Authorisation rules", rule 11; rooms/v3, "Handling redactions".
 */
import type { RoomEvent, Verdict } from '../events/event.ts'
import { serverOf } from '../ids/user-id.ts'
import type { RoomVersion } from '../rooms/versions.ts'
import { levelsIn } from './auth-check.ts'
import type { AuthCheck, AuthState } from './auth-check.ts'
import { powerLevelsOf } from './power-levels.ts'
import { allowed, refused } from './verdict.ts'

/** Rule 11 of room versions 1 and 2. */
export function checkRedactionEvent(check: AuthCheck): Verdict {
  const { event, rules } = check
  // 11.1
  const levels = levelsIn(check)
  if (levels.userLevel(event.sender) >= levels.redact) return allowed
  // 11.2: the domain of the ids, since these versions have ids with a domain
  const target = event.redacts
  if (target?.includes(':') && serverOf(target) === serverOf(event.eventId)) return allowed
  // 11.3
  return refused(`${rules.redaction}.3`, `redacting an event of another server needs power level ${levels.redact}`)
}

/**
 * Whether an accepted redaction takes effect on the event that it names. Ask again when the later of the two arrives.
 *
 * @param redaction an `m.room.redaction` event that passed the auth rules
 * @param target the event to redact
 * @param state the room state that the redaction was checked against
 */
export function checkRedaction(version: RoomVersion, redaction: RoomEvent, target: RoomEvent, state: AuthState): Verdict {
  const rule = 'redaction'
  if (redaction.redacts !== target.eventId) return refused(rule, `the redaction is of another event than ${target.eventId}`)
  if (redaction.roomId !== target.roomId) return refused(rule, 'an event of another room cannot be redacted')
  if (version.redactionAuthRule) return allowed
  // 1
  const levels = powerLevelsOf(version, state('m.room.power_levels', ''), state('m.room.create', ''))
  if (levels.userLevel(redaction.sender) >= levels.redact) return allowed
  // 2
  if (serverOf(redaction.sender) === serverOf(target.sender)) return allowed
  return refused(rule, `redacting an event of another server needs power level ${levels.redact}`)
}
