/** A user's push rules as JSON text: custom rules by kind, and what was changed of the server's. */
import { isObject, own, type JsonObject, type JsonValue } from '@myelin/protocol/json/json.ts'
import {
  noUserPushRules, pushRuleKinds, type DefaultRuleChange, type PushRule, type PushRuleKind, type PushRuleset, type UserPushRules,
} from '@myelin/protocol/push/rules.ts'

/** Reads what `writeRules` wrote; undefined is a user who changed nothing. */
export function readRules(stored: string | undefined): UserPushRules {
  if (stored === undefined) return noUserPushRules
  const value: unknown = JSON.parse(stored)
  if (!isObject(value)) return noUserPushRules
  const custom = objectAt(value, 'custom')
  const defaultChanges = new Map<string, DefaultRuleChange>()
  for (const [ruleId, change] of Object.entries(objectAt(value, 'default_changes'))) if (isObject(change)) defaultChanges.set(ruleId, readChange(change))
  return { custom: rulesetOf((kind) => listAt(custom, kind).filter(isObject).map(readRule)), defaultChanges }
}

/** JSON text of a user's push rules. */
export function writeRules(rules: UserPushRules): string {
  return JSON.stringify({ custom: rules.custom, default_changes: Object.fromEntries(rules.defaultChanges) })
}

/** A ruleset with the rules that `make` gives for each kind. */
export function rulesetOf(make: (kind: PushRuleKind) => readonly PushRule[]): PushRuleset {
  const [override, content, room, sender, underride] = pushRuleKinds
  return { override: make(override), content: make(content), room: make(room), sender: make(sender), underride: make(underride) }
}

function readRule(rule: JsonObject): PushRule {
  const conditions = own(rule, 'conditions')
  const pattern = own(rule, 'pattern')
  return {
    rule_id: String(own(rule, 'rule_id')), default: false, enabled: own(rule, 'enabled') !== false, actions: listAt(rule, 'actions'),
    ...(Array.isArray(conditions) ? { conditions: conditions.filter(isObject) } : {}),
    ...(typeof pattern === 'string' ? { pattern } : {}),
  }
}

function readChange(change: JsonObject): DefaultRuleChange {
  const enabled = own(change, 'enabled')
  const actions = own(change, 'actions')
  return { ...(typeof enabled === 'boolean' ? { enabled } : {}), ...(Array.isArray(actions) ? { actions } : {}) }
}

function objectAt(object: JsonObject, key: string): JsonObject {
  const value = own(object, key)
  return isObject(value) ? value : {}
}

function listAt(object: JsonObject, key: string): readonly JsonValue[] {
  const value = own(object, key)
  return Array.isArray(value) ? value : []
}
