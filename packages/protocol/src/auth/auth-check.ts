/**
 * What every rule after the first reads: the event, the state it is checked against, and what follows from both.
 *
 * Spec: rooms, "Authorisation rules".
 */
import type { RoomEvent } from '../events/event.ts'
import { own } from '../json/json.ts'
import type { JsonObject } from '../json/json.ts'
import type { RoomVersion } from '../rooms/versions.ts'
import { powerLevelsOf } from './power-levels.ts'
import type { PowerLevels } from './power-levels.ts'
import type { RuleNumbers } from './rule-numbers.ts'

/** The event that a set of state has for a type and state key. */
export type AuthState = (type: string, stateKey: string) => RoomEvent | undefined

/** What the rules need beyond events. */
export interface AuthOptions {
  /**
   * Whether an event bears a valid signature of a server; asked for `join_authorised_via_users_server`. Left out where
   * signatures were verified on receipt already, or where the event is not signed yet.
   */
  readonly isSignedBy?: (event: RoomEvent, serverName: string) => boolean
  /**
   * Whether any signature in the `signed` object of a third-party invite is of the ed25519 key in unpadded base64.
   * Left out, `crypto/` verifies them.
   */
  readonly verifySigned?: (signed: JsonObject, publicKey: string) => boolean
}

/** One check under way. */
export interface AuthCheck {
  readonly version: RoomVersion
  readonly rules: RuleNumbers
  readonly event: RoomEvent
  readonly create: RoomEvent
  readonly state: AuthState
  readonly options: AuthOptions
}

/** The power levels in force in the state. */
export function levelsIn(check: AuthCheck): PowerLevels {
  return powerLevelsOf(check.version, check.state('m.room.power_levels', ''), check.create)
}

/** The membership of a user in the state: undefined where the user never had one. */
export function membershipIn(check: AuthCheck, userId: string): string | undefined {
  const event = check.state('m.room.member', userId)
  if (event === undefined) return undefined
  const membership = own(event.content, 'membership')
  return typeof membership === 'string' ? membership : undefined
}

/** The join rule in the state; a room without the event is invite-only. */
export function joinRuleIn(check: AuthCheck): string | undefined {
  const event = check.state('m.room.join_rules', '')
  if (event === undefined) return 'invite'
  const rule = own(event.content, 'join_rule')
  return typeof rule === 'string' ? rule : undefined
}
