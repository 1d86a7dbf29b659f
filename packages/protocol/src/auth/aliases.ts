/**
 * The rule for `m.room.aliases`, up to room version 5: each server keeps its own list.
 *
 * Spec: rooms/v1 and rooms/v3, "Authorisation rules", rule 4.
 */
import type { Verdict } from '../events/event.ts'
import { serverOf } from '../ids/user-id.ts'
import type { AuthCheck } from './auth-check.ts'
import { allowedIf, refused } from './verdict.ts'

/** Whether an `m.room.aliases` event speaks for its sender's own server. */
export function checkAliases({ event, rules }: AuthCheck): Verdict {
  // 4.1
  if (event.stateKey === undefined) return refused(`${rules.aliases}.1`, 'm.room.aliases has no state_key')
  // 4.2, 4.3
  return allowedIf(serverOf(event.sender) === event.stateKey, `${rules.aliases}.2`, `${event.sender} is not on the server ${event.stateKey}`)
}
