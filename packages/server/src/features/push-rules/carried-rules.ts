/** Push rules about a room, said of the room that replaces it. */
import type { JsonObject } from '@myelin/protocol/json/json.ts'
import { isObject, own } from '@myelin/protocol/json/json.ts'
import type { PushRule, PushRuleKind, UserPushRules } from '@myelin/protocol/push/rules.ts'
import { rulesetOf } from './stored-rules.ts'

/**
 * The rules with copies of those that are about one room, for another; a copy stands before its original.
 * @param from the room that is replaced
 * @param to the room that replaces it; rules that exist for it stay as they are
 */
export function carriedRules(rules: UserPushRules, from: string, to: string): UserPushRules {
  return { ...rules, custom: rulesetOf((kind) => rules.custom[kind].flatMap((rule) => withCopy(kind, rule, rules.custom[kind]))) }

  function withCopy(kind: PushRuleKind, rule: PushRule, all: readonly PushRule[]): PushRule[] {
    const copy = kind === 'room' ? roomRule(rule) : conditionalRule(rule)
    return copy === undefined || all.some((other) => other.rule_id === copy.rule_id) ? [rule] : [copy, rule]
  }

  function roomRule(rule: PushRule): PushRule | undefined {
    return rule.rule_id === from ? { ...rule, rule_id: to } : undefined
  }

  function conditionalRule(rule: PushRule): PushRule | undefined {
    if (!rule.conditions?.some(isAboutRoom)) return undefined
    const conditions = rule.conditions.map((condition) => (isAboutRoom(condition) ? { ...condition, pattern: to } : condition))
    return { ...rule, rule_id: rule.rule_id.includes(from) ? rule.rule_id.replaceAll(from, to) : `${rule.rule_id}_${to}`, conditions }
  }

  function isAboutRoom(condition: unknown): condition is JsonObject {
    return isObject(condition) && own(condition, 'kind') === 'event_match' && own(condition, 'key') === 'room_id' && own(condition, 'pattern') === from
  }
}
