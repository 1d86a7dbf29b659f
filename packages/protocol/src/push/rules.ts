/**
 * Push rules as they go over the wire.
 *
 * Spec: client-server API, "Push rules".
 */
import type { JsonObject, JsonValue } from '../json/json.ts'
import { isObject, own } from '../json/json.ts'

/** The kinds of push rules in the order that they are tried in. */
export const pushRuleKinds = ['override', 'content', 'room', 'sender', 'underride'] as const

export type PushRuleKind = (typeof pushRuleKinds)[number]

/** `notify`, or `{ set_tweak, value? }`. Historical actions are ignored. */
export type PushAction = JsonValue

/** A push rule. `conditions` belongs to override and underride rules, `pattern` to content rules. */
export interface PushRule {
  readonly rule_id: string
  readonly default: boolean
  readonly enabled: boolean
  readonly conditions?: readonly JsonObject[]
  readonly pattern?: string
  readonly actions: readonly PushAction[]
}

/** All rules of a user, each kind from the highest to the lowest priority. */
export type PushRuleset = Readonly<Record<PushRuleKind, readonly PushRule[]>>

/** What a user changed of a server-default rule. */
export interface DefaultRuleChange {
  readonly enabled?: boolean
  readonly actions?: readonly PushAction[]
}

/** What is stored for a user; server-default rules are added from the code. */
export interface UserPushRules {
  readonly custom: PushRuleset
  /** By rule id. */
  readonly defaultChanges: ReadonlyMap<string, DefaultRuleChange>
}

/** The rules of a user who changed nothing. */
export const noUserPushRules: UserPushRules = {
  custom: { override: [], content: [], room: [], sender: [], underride: [] },
  defaultChanges: new Map(),
}

/** Whether a text names a kind of push rules. */
export function isPushRuleKind(text: string): text is PushRuleKind {
  return pushRuleKinds.some((kind) => kind === text)
}

/** The actions without the historical ones, which mean nothing. */
export function currentActions(actions: readonly PushAction[]): readonly PushAction[] {
  return actions.filter((action) => action !== 'dont_notify' && action !== 'coalesce')
}

/**
 * Why a list of actions is not one, or undefined where it is.
 *
 * @param actions as a client sent it
 */
export function checkPushActions(actions: JsonValue | undefined): string | undefined {
  if (!Array.isArray(actions)) return 'actions must be a list'
  for (const action of actions) {
    if (typeof action === 'string') {
      if (!['notify', 'dont_notify', 'coalesce'].includes(action)) return `the action '${action}' is not known; use "notify" or a set_tweak object`
    } else if (!isObject(action) || typeof own(action, 'set_tweak') !== 'string') {
      return 'an action must be "notify" or an object with set_tweak'
    }
  }
  return undefined
}

/**
 * Why a user may not add a push rule, or undefined where it is well-formed.
 *
 * @param body as a client sent it: `actions`, and by the kind `conditions` or `pattern`
 */
export function checkPushRule(kind: PushRuleKind, ruleId: string, body: JsonObject): string | undefined {
  if (ruleId === '' || ruleId.startsWith('.')) return 'a rule id must not be empty or start with a dot: those are the server\'s'
  if (/[/\\]/.test(ruleId)) return 'a rule id must not hold a slash or a backslash'
  if (kind === 'content' && typeof own(body, 'pattern') !== 'string') return 'a content rule needs a pattern'
  const conditions = own(body, 'conditions')
  if ((kind === 'override' || kind === 'underride') && conditions !== undefined) {
    if (!Array.isArray(conditions)) return 'conditions must be a list'
    for (const condition of conditions) {
      if (!isObject(condition) || typeof own(condition, 'kind') !== 'string') return 'a condition must be an object with a kind'
    }
  }
  return checkPushActions(own(body, 'actions'))
}
