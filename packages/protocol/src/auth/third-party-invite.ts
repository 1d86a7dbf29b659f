/**
 * The rules about third-party invites: issuing one, and redeeming one as an invite.
 *
 * Spec: rooms, "Authorisation rules", step 1 of `invite` in the member rule, and "If type is `m.room.third_party_invite`".
 */
import { isSignedByKey } from '../crypto/sign-json.ts'
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
  const verify = options.verifySigned ?? isSignedByKey
  const keys = inviteKeys(issued.content)
  if (keys.size * countSignatures(signed) > maxVerifications) return refused(`${rule}.8`, 'the third-party invite has too many signatures and keys')
  for (const publicKey of keys.keys()) if (verify(signed, publicKey)) return allowed
  // 8
  return refused(`${rule}.8`, 'no signature of the third-party invite matches a key of the room’s m.room.third_party_invite')
}

/** A key by which a third-party invite can be redeemed. */
export interface InviteKey {
  readonly publicKey: string
  /** Where to ask whether the key has been revoked; without it the key is valid for ever. */
  readonly validityUrl: string | undefined
}

/**
 * The keys of a third-party invite that have signed what redeems it.
 *
 * @param content of the room's `m.room.third_party_invite`
 * @param signed of the `third_party_invite` that redeems it
 * @returns none also where there are too many to try, as in the auth rules
 */
export function keysThatSigned(content: JsonObject, signed: JsonObject): readonly InviteKey[] {
  const keys = inviteKeys(content)
  if (keys.size * countSignatures(signed) > maxVerifications) return []
  return [...keys].flatMap(([publicKey, validityUrl]) => isSignedByKey(signed, publicKey) ? [{ publicKey, validityUrl }] : [])
}

/** Public keys of an invite, and the address of each where there is one. */
function inviteKeys(content: JsonObject): Map<string, string | undefined> {
  const keys = new Map<string, string | undefined>()
  const list = own(content, 'public_keys')
  for (const entry of [content, ...(Array.isArray(list) ? list : [])]) {
    const [key, url] = isObject(entry) ? [own(entry, 'public_key'), own(entry, 'key_validity_url')] : []
    if (typeof key === 'string') keys.set(key, typeof url === 'string' && url !== '' ? url : keys.get(key))
  }
  return keys
}

/** Signatures times keys that are tried; an event of 64 KB could ask for half a minute of verifications otherwise. */
const maxVerifications = 256

function countSignatures(signed: JsonObject): number {
  const signatures = own(signed, 'signatures')
  if (!isObject(signatures)) return 0
  let count = 0
  for (const ofServer of Object.values(signatures)) if (isObject(ofServer)) count += Object.keys(ofServer).length
  return count
}

/** Whether the sender may issue a third-party invite. */
export function checkThirdPartyInviteEvent(check: AuthCheck): Verdict {
  const levels = levelsIn(check)
  const mayInvite = levels.userLevel(check.event.sender) >= levels.invite
  return allowedIf(mayInvite, `${check.rules.thirdPartyInvite}.1`, `inviting needs power level ${levels.invite}`)
}
