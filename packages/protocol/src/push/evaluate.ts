/**
 * Evaluates push rules: does an event notify a user, and how?
 *
 * Spec: client-server API, "Push rules".
 */
import type { JsonValue } from '../json/json.ts'
import { isObject, own } from '../json/json.ts'
import { compileCondition, compileContentPattern } from './conditions.ts'
import type { CompiledCondition, PushReader } from './conditions.ts'
import { changedRule, defaultRules, legacyMentionRules, masterRule, postcontentRules } from './default-rules.ts'
import type { PushEvent } from './push-event.ts'
import { currentActions, noUserPushRules, pushRuleKinds } from './rules.ts'
import type { PushAction, PushRule, PushRuleKind, UserPushRules } from './rules.ts'

/** What the rules say of an event. */
export interface PushOutcome {
  /** The rule that matched, or undefined where none did. */
  readonly ruleId: string | undefined
  readonly notify: boolean
  readonly highlight: boolean
  /** The name of the sound, `default` among them, where one is to be played. */
  readonly sound: string | undefined
  /** The actions of the rule without the historical ones, as they are stored and listed. */
  readonly actions: readonly PushAction[]
  /** All tweaks, for the push gateway. */
  readonly tweaks: ReadonlyMap<string, JsonValue>
}

interface CompiledRule {
  readonly conditions: readonly CompiledCondition[]
  /** Whether the rule is void for events with `m.mentions`. */
  readonly isLegacyMention: boolean
  readonly outcome: PushOutcome
}

const nothing: PushOutcome = { ruleId: undefined, notify: false, highlight: false, sound: undefined, actions: [], tweaks: new Map() }

/** Compiled server-default rules that nobody changed; they are the same for all users. */
const unchanged = new Map<PushRule, CompiledRule>()

/** The rules of one user, compiled: keep it for as long as the rules stay the same. */
export class PushRules {
  readonly #rules: readonly CompiledRule[]

  /** @param followsThreads whether users can follow threads on this server */
  constructor(rules: UserPushRules, followsThreads = false) {
    const compiled: CompiledRule[] = []
    addDefault(compiled, 'override', masterRule, rules)
    for (const kind of pushRuleKinds) {
      for (const rule of rules.custom[kind]) if (rule.enabled) compiled.push(compileRule(kind, rule))
      for (const rule of defaultRules[kind]) addDefault(compiled, kind, rule, rules)
      if (kind === 'content' && followsThreads) for (const rule of postcontentRules) addDefault(compiled, 'override', rule, rules)
    }
    this.#rules = compiled
  }

  /** What the rules say of an event for their user. Nobody is notified of what they sent themselves. */
  evaluate(event: PushEvent, reader: PushReader): PushOutcome {
    if (event.sender === reader.userId) return nothing
    for (const rule of this.#rules) {
      if (rule.isLegacyMention && event.hasMentions) continue
      if (holds(rule.conditions, event, reader)) return rule.outcome
    }
    return nothing
  }
}

/** The rules of everybody who changed nothing. */
export const unchangedPushRules: PushRules = new PushRules(noUserPushRules)

function addDefault(compiled: CompiledRule[], kind: PushRuleKind, rule: PushRule, { defaultChanges }: UserPushRules): void {
  const current = changedRule(rule, defaultChanges.get(rule.rule_id))
  if (!current.enabled) return
  const known = unchanged.get(current)
  if (known) {
    compiled.push(known)
    return
  }
  const made = compileRule(kind, current)
  if (current === rule) unchanged.set(rule, made)
  compiled.push(made)
}

function holds(conditions: readonly CompiledCondition[], event: PushEvent, reader: PushReader): boolean {
  for (const condition of conditions) if (!condition(event, reader)) return false
  return true
}

function compileRule(kind: PushRuleKind, rule: PushRule): CompiledRule {
  return {
    conditions: compileConditions(kind, rule),
    isLegacyMention: rule.default && legacyMentionRules.has(rule.rule_id),
    outcome: outcomeOf(rule.rule_id, rule.actions),
  }
}

function compileConditions(kind: PushRuleKind, rule: PushRule): CompiledCondition[] {
  switch (kind) {
    case 'room':
      return [(event) => event.roomId === rule.rule_id]
    case 'sender':
      return [(event) => event.sender === rule.rule_id]
    case 'content':
      if (rule.pattern !== undefined) return [compileContentPattern(rule.pattern)]
      return rule.default ? (rule.conditions ?? []).map(compileCondition) : [() => false]
    default:
      return (rule.conditions ?? []).map(compileCondition)
  }
}

/** What actions amount to. */
export function outcomeOf(ruleId: string, actions: readonly PushAction[]): PushOutcome {
  const tweaks = new Map<string, JsonValue>()
  const current = currentActions(actions)
  for (const action of current) {
    if (!isObject(action)) continue
    const name = own(action, 'set_tweak')
    const value = own(action, 'value')
    if (typeof name !== 'string') continue
    if (value !== undefined) tweaks.set(name, value)
    else if (name === 'highlight') tweaks.set(name, true)
  }
  const sound = tweaks.get('sound')
  return {
    ruleId,
    notify: current.includes('notify'),
    highlight: tweaks.has('highlight') && tweaks.get('highlight') !== false,
    sound: typeof sound === 'string' ? sound : undefined,
    actions: current,
    tweaks,
  }
}
