/**
 * The number that each rule bears in the authorisation rules of a room version, so that a verdict cites the specification.
 *
 * Spec: rooms/v1 … rooms/v12, "Authorisation rules".
 */
import type { RoomVersion } from '../rooms/versions.ts'

/** Numbers of the top-level rules; 0 where the version does not have the rule. `member…` are steps of the member rule. */
export interface RuleNumbers {
  readonly create: number
  readonly room: number
  readonly authEvents: number
  readonly federate: number
  readonly aliases: number
  readonly member: number
  readonly senderJoined: number
  readonly thirdPartyInvite: number
  readonly requiredLevel: number
  readonly userStateKey: number
  readonly powerLevels: number
  readonly redaction: number
  readonly memberAuthorised: string
  readonly memberJoin: string
  readonly memberInvite: string
  readonly memberLeave: string
  readonly memberBan: string
  readonly memberKnock: string
  readonly memberUnknown: string
}

const cache = new WeakMap<RoomVersion, RuleNumbers>()

/** The rule numbers of a room version; computed once per version. */
export function ruleNumbers(version: RoomVersion): RuleNumbers {
  const known = cache.get(version)
  if (known !== undefined) return known
  const numbers = count(version)
  cache.set(version, numbers)
  return numbers
}

function count(version: RoomVersion): RuleNumbers {
  let last = 0
  const next = (present = true): number => (present ? ++last : 0)
  const create = next()
  const room = next(version.roomIdIsCreateHash)
  const authEvents = next()
  const federate = next()
  const aliases = next(version.aliasesRule)
  const member = next()
  let lastStep = 1
  const step = (present = true): string => (present ? `${member}.${++lastStep}` : '')
  return {
    create,
    room,
    authEvents,
    federate,
    aliases,
    member,
    memberAuthorised: step(version.restrictedJoins),
    memberJoin: step(),
    memberInvite: step(),
    memberLeave: step(),
    memberBan: step(),
    memberKnock: step(version.knocking),
    memberUnknown: step(),
    senderJoined: next(),
    thirdPartyInvite: next(),
    requiredLevel: next(),
    userStateKey: next(),
    powerLevels: next(),
    redaction: next(version.redactionAuthRule),
  }
}
