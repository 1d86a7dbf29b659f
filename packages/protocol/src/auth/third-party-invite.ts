/**
 * The rules about third-party invites: issuing one, and redeeming one as an invite.
 *
 * Spec: rooms, "Authorisation rules", step 1 of `invite` in the member rule, and "If type is `m.room.third_party_invite`".
 */
import type { Verdict } from '../events/event.ts'
import { isObject, own } from '../json/json.ts'
import type { JsonObject } from '../json/json.ts'
import { levelsIn, membershipIn } from './auth-check.ts'
import type { AuthCheck } from './auth-check.ts'
import { allowed, allowedIf, refused } from './verdict.ts'

/**
 * Whether an invite that redeems a third-party invite is allowed.
 *
 * @param rule number of the step, the prefix of its own steps
 */
export function checkThirdPartyInvite(check: AuthCheck, target: string, rule: string): Verdict {
  const { event, state, options } = check
  // 1
  if (membershipIn(check, target) === 'ban') return refused(`${rule}.1`, `${target} is banned from the room`)
  // 2
  const invite = own(event.content, 'third_party_invite')
  const signed = isObject(invite) ? own(invite, 'signed') : undefined
  if (!isObject(signed)) return refused(`${rule}.2`, 'third_party_invite has no signed object')
  // 3
  const mxid = own(signed, 'mxid')
  const token = own(signed, 'token')
  if (typeof mxid !== 'string' || typeof token !== 'string') return refused(`${rule}.3`, 'signed of third_party_invite lacks mxid or token')
  // 4
  if (mxid !== target) return refused(`${rule}.4`, `the third-party invite is for ${mxid}, not for ${target}`)
  // 5
  const issued = state('m.room.third_party_invite', token)
  if (issued === undefined) return refused(`${rule}.5`, 'the room has no third-party invite with this token')
  // 6
  if (event.sender !== issued.sender) return refused(`${rule}.6`, `the third-party invite was issued by ${issued.sender}`)
  // 7
  for (const publicKey of publicKeys(issued.content)) if (options.verifySigned?.(signed, publicKey)) return allowed
  // 8
  return refused(`${rule}.8`, 'no signature of the third-party invite matches a key of the room’s m.room.third_party_invite')
}

function publicKeys(content: JsonObject): string[] {
  const keys: string[] = []
  const single = own(content, 'public_key')
  if (typeof single === 'string') keys.push(single)
  const list = own(content, 'public_keys')
  if (!Array.isArray(list)) return keys
  for (const entry of list) {
    const key = isObject(entry) ? own(entry, 'public_key') : undefined
    if (typeof key === 'string') keys.push(key)
  }
  return keys
}

/** Whether the sender may issue a third-party invite. */
export function checkThirdPartyInviteEvent(check: AuthCheck): Verdict {
  const levels = levelsIn(check)
  const mayInvite = levels.userLevel(check.event.sender) >= levels.invite
  return allowedIf(mayInvite, `${check.rules.thirdPartyInvite}.1`, `inviting needs power level ${levels.invite}`)
}
