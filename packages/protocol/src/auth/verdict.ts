/**
 * Making verdicts of the authorisation rules.
 *
 * Spec: rooms, "Authorisation rules".
 */
import type { Verdict } from '../events/event.ts'

/** The one verdict of an event that passes: no allocation on the hot path. */
export const allowed: Verdict = Object.freeze({ allowed: true })

/**
 * @param rule number of the rule as the specification of the room version counts, such as `5.3.1.7`
 * @param reason what is wrong with the event, for logs and for the user who tried to send it
 */
export function refused(rule: string, reason: string): Verdict {
  return { allowed: false, rule, reason }
}

/** Allowed if the condition holds, else refused. For hot paths test the condition first: the reason is built eagerly. */
export function allowedIf(condition: boolean, rule: string, reason: string): Verdict {
  return condition ? allowed : refused(rule, reason)
}
