/**
 * The rule for `m.room.member`: joins, invites, leaves, kicks, bans, unbans and knocks.
 *
 * Spec: rooms, "Authorisation rules", the rule "If type is `m.room.member`" (5 up to v5 and in v12, 4 in between).
 */
import type { Verdict } from '../events/event.ts'
import { parseUserId } from '../ids/user-id.ts'
import { own } from '../json/json.ts'
import { joinRuleIn, levelsIn, membershipIn } from './auth-check.ts'
import type { AuthCheck } from './auth-check.ts'
import { checkThirdPartyInvite } from './third-party-invite.ts'
import { allowed, allowedIf, refused } from './verdict.ts'

/** Whether a membership may change as the event says. */
export function checkMember(check: AuthCheck): Verdict {
  const { version, rules, event } = check
  const membership = own(event.content, 'membership')
  // 1
  if (event.stateKey === undefined) return refused(`${rules.member}.1`, 'm.room.member has no state_key')
  if (membership === undefined) return refused(`${rules.member}.1`, 'm.room.member has no membership')
  // 2 (since restricted joins)
  if (version.restrictedJoins) {
    const verdict = checkAuthorisingServer(check)
    if (!verdict.allowed) return verdict
  }
  switch (membership) {
    case 'join':
      return checkJoin(check, event.stateKey)
    case 'invite':
      return checkInvite(check, event.stateKey)
    case 'leave':
      return checkLeave(check, event.stateKey)
    case 'ban':
      return checkBan(check, event.stateKey)
    case 'knock':
      if (version.knocking) return checkKnock(check, event.stateKey)
  }
  return refused(rules.memberUnknown, 'the membership is not known in this room version')
}

function checkAuthorisingServer({ rules, event, options }: AuthCheck): Verdict {
  if (!Object.hasOwn(event.content, 'join_authorised_via_users_server')) return allowed
  const userId = own(event.content, 'join_authorised_via_users_server')
  const server = typeof userId === 'string' ? parseUserId(userId)?.serverName : undefined
  const rule = `${rules.memberAuthorised}.1`
  if (server === undefined) return refused(rule, 'join_authorised_via_users_server is not a user id')
  if (options.isSignedBy?.(event, server) === false) return refused(rule, `the event is not signed by ${server}, which is said to authorise it`)
  return allowed
}

function checkJoin(check: AuthCheck, target: string): Verdict {
  const { version, rules: { memberJoin: rule }, event, create } = check
  // 1
  if (event.prevEventIds.length === 1 && event.prevEventIds[0] === create.eventId) {
    const creator = version.creatorField ? own(create.content, 'creator') : create.sender
    if (target === creator) return allowed
  }
  // 2
  if (event.sender !== target) return refused(`${rule}.2`, 'a user can join only for themselves')
  // 3
  const membership = membershipIn(check, target)
  if (membership === 'ban') return refused(`${rule}.3`, `${target} is banned from the room`)
  const isMember = membership === 'invite' || membership === 'join'
  const joinRule = joinRuleIn(check)
  // 4
  if (joinRule === 'invite' || (joinRule === 'knock' && version.knocking)) {
    return allowedIf(isMember, `${rule}.4`, `the room is invite-only and ${target} is not invited`)
  }
  // 5
  if ((joinRule === 'restricted' && version.restrictedJoins) || (joinRule === 'knock_restricted' && version.knockRestricted)) {
    return isMember ? allowed : checkRestrictedJoin(check, `${rule}.5.2`)
  }
  // 5, or 6 since restricted joins
  if (joinRule === 'public') return allowed
  return refused(`${rule}.${version.restrictedJoins ? 7 : 6}`, 'the join rule of the room does not let anybody join')
}

/** Step 5.2 of a join: somebody in the room who may invite vouches for the user. */
function checkRestrictedJoin(check: AuthCheck, rule: string): Verdict {
  const authoriser = own(check.event.content, 'join_authorised_via_users_server')
  if (typeof authoriser !== 'string') return refused(rule, 'the room is restricted, and no member of it authorises the join')
  if (membershipIn(check, authoriser) !== 'join') return refused(rule, `${authoriser} authorises the join but is not in the room`)
  const levels = levelsIn(check)
  return allowedIf(levels.userLevel(authoriser) >= levels.invite, rule, `${authoriser} authorises the join but may not invite users`)
}

function checkInvite(check: AuthCheck, target: string): Verdict {
  const { rules: { memberInvite: rule }, event } = check
  // 1
  if (Object.hasOwn(event.content, 'third_party_invite')) return checkThirdPartyInvite(check, target, `${rule}.1`)
  // 2
  if (membershipIn(check, event.sender) !== 'join') return refused(`${rule}.2`, `${event.sender} is not in the room`)
  // 3
  const membership = membershipIn(check, target)
  if (membership === 'join') return refused(`${rule}.3`, `${target} is in the room already`)
  if (membership === 'ban') return refused(`${rule}.3`, `${target} is banned from the room`)
  // 4, 5
  const levels = levelsIn(check)
  if (levels.userLevel(event.sender) >= levels.invite) return allowed
  return refused(`${rule}.5`, `inviting needs power level ${levels.invite}`)
}

function checkLeave(check: AuthCheck, target: string): Verdict {
  const { version, rules: { memberLeave: rule }, event } = check
  const membership = membershipIn(check, target)
  // 1
  if (event.sender === target) {
    const canLeave = membership === 'join' || membership === 'invite' || (membership === 'knock' && version.knocking)
    return allowedIf(canLeave, `${rule}.1`, `${target} is not in the room`)
  }
  // 2
  if (membershipIn(check, event.sender) !== 'join') return refused(`${rule}.2`, `${event.sender} is not in the room`)
  // 3
  const levels = levelsIn(check)
  const power = levels.userLevel(event.sender)
  if (membership === 'ban' && power < levels.ban) return refused(`${rule}.3`, `unbanning needs power level ${levels.ban}`)
  // 4, 5
  if (power >= levels.kick && levels.userLevel(target) < power) return allowed
  return refused(`${rule}.5`, `removing ${target} needs power level ${levels.kick}, and more power than ${target} has`)
}

function checkBan(check: AuthCheck, target: string): Verdict {
  const { rules: { memberBan: rule }, event } = check
  // 1
  if (membershipIn(check, event.sender) !== 'join') return refused(`${rule}.1`, `${event.sender} is not in the room`)
  // 2, 3
  const levels = levelsIn(check)
  const power = levels.userLevel(event.sender)
  if (power >= levels.ban && levels.userLevel(target) < power) return allowed
  return refused(`${rule}.3`, `banning ${target} needs power level ${levels.ban}, and more power than ${target} has`)
}

function checkKnock(check: AuthCheck, target: string): Verdict {
  const { version, rules: { memberKnock: rule }, event } = check
  // 1
  const joinRule = joinRuleIn(check)
  if (joinRule !== 'knock' && !(joinRule === 'knock_restricted' && version.knockRestricted)) {
    return refused(`${rule}.1`, 'the join rule of the room does not permit knocking')
  }
  // 2
  if (event.sender !== target) return refused(`${rule}.2`, 'a user can knock only for themselves')
  // 3, 4
  const membership = membershipIn(check, target)
  const mayKnock = membership !== 'ban' && membership !== 'invite' && membership !== 'join'
  return allowedIf(mayKnock, `${rule}.4`, `${target} is ${membership === 'ban' ? 'banned from' : 'invited to or in'} the room already`)
}
