/**
 * The push rules of users. They are kept as the account data `m.push_rules`: what is stored are the user's own rules and changes,
 * what clients read has the server's default rules in it.
 *
 * Spec: client-server API, "Push Rules", "Push Rules: API".
 */
import { MatrixError, refuse } from '@myelin/protocol/errors.ts'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import { isObject, own, type JsonObject, type JsonValue } from '@myelin/protocol/json/json.ts'
import { changedRule, kindOfDefaultRule, postcontentRules, rulesetOf as fullRuleset } from '@myelin/protocol/push/default-rules.ts'
import { PushRules as CompiledPushRules, unchangedPushRules } from '@myelin/protocol/push/evaluate.ts'
import {
  checkPushActions, checkPushRule, isPushRuleKind, noUserPushRules, type DefaultRuleChange, type PushAction, type PushRule, type PushRuleKind,
  type PushRuleset, type UserPushRules,
} from '@myelin/protocol/push/rules.ts'
import { accountScope, type AccountData } from '#features/account-data/account-data.ts'
import type { Cache, CacheBudget } from '#platform/cache/cache.ts'
import { carriedRules } from './carried-rules.ts'
import { readRules, rulesetOf, writeRules } from './stored-rules.ts'

const pushRulesType = 'm.push_rules'
/** A user has at most this many rules of their own, and each takes at most this many bytes. */
const rulesLimit = 1_000
const ruleLimitBytes = 16_384
const ruleIdLimitBytes = 255
/** The kind of the rules about threads that users follow. */
const postcontent = 'postcontent'

/** A ruleset as clients see it. */
type ShownRuleset = PushRuleset & { readonly [postcontent]?: readonly PushRule[] }

/** Where a rule is to stand among the user's rules of its kind. */
export interface Placement {
  /** Directly more important than this rule. */
  readonly before: string | undefined
  /** Directly less important than this rule. */
  readonly after: string | undefined
}

export class PushRules {
  readonly #accountData: AccountData
  readonly #compiled: Cache<string, CompiledPushRules>
  readonly #followsThreads: boolean
  readonly #unchanged: CompiledPushRules

  /** @param needs `followsThreads`: whether users can follow threads, which adds the kind `postcontent` (MSC4306) */
  constructor(needs: { readonly accountData: AccountData; readonly caches: CacheBudget; readonly followsThreads: boolean }) {
    this.#accountData = needs.accountData
    this.#followsThreads = needs.followsThreads
    this.#unchanged = needs.followsThreads ? new CompiledPushRules(noUserPushRules, true) : unchangedPushRules
    this.#compiled = needs.caches.cache('push_rules', () => 8_000)
    needs.accountData.addManaged(pushRulesType, (userId, stored) => JSON.stringify({ global: this.#shown(userId, readRules(stored)) }))
    needs.accountData.stream.onAdvance((entries) => {
      for (const { row } of entries) if (row.type === pushRulesType && row.scope === accountScope) this.#compiled.delete(row.userId)
    })
  }

  /** All rules of a user, the server's included. */
  async rulesetOf(userId: UserId): Promise<ShownRuleset> {
    return this.#shown(userId, await this.#stored(userId))
  }

  /** All rules of a kind. @throws M_INVALID_PARAM */
  async ofKind(userId: UserId, kind: string): Promise<readonly PushRule[]> {
    return this.#rulesOf(await this.rulesetOf(userId), kind)
  }

  /** One rule. @throws M_NOT_FOUND, M_INVALID_PARAM */
  async require(userId: UserId, kind: string, ruleId: string): Promise<PushRule> {
    const rule = this.#rulesOf(await this.rulesetOf(userId), kind).find((each) => each.rule_id === ruleId)
    if (!rule) throw notFound()
    return rule
  }

  /** A user's rules, ready to be evaluated. */
  async compiledFor(userId: UserId): Promise<CompiledPushRules> {
    const cached = this.#compiled.get(userId)
    if (cached) return cached
    const before = this.#accountData.stream.position
    const stored = await this.#accountData.getStored(userId, accountScope, pushRulesType)
    const compiled = stored === undefined ? this.#unchanged : new CompiledPushRules(readRules(stored), this.#followsThreads)
    if (before === this.#accountData.stream.position) this.#compiled.set(userId, compiled)
    return compiled
  }

  /**
   * Adds a rule of the user's own, or changes one.
   * @param body `actions`, and by the kind `conditions` or `pattern`
   * @throws M_INVALID_PARAM, M_UNKNOWN with 400 where `before` or `after` name no rule of the user, M_TOO_LARGE
   */
  async put(userId: UserId, kindText: string, ruleId: string, body: JsonObject, placement: Placement): Promise<void> {
    const kind = kindOf(kindText)
    const fault = checkPushRule(kind, ruleId, body)
    if (fault !== undefined) throw refuse('M_INVALID_PARAM', `The push rule is not valid: ${fault}.`)
    if (Buffer.byteLength(ruleId) > ruleIdLimitBytes) throw refuse('M_INVALID_PARAM', `A push rule's id has at most ${ruleIdLimitBytes} bytes.`)
    if (Buffer.byteLength(JSON.stringify(body)) > ruleLimitBytes) throw refuse('M_TOO_LARGE', `A push rule has at most ${ruleLimitBytes} bytes.`)
    await this.#change(userId, (rules) => {
      const list = rules.custom[kind]
      const known = list.find((rule) => rule.rule_id === ruleId)
      if (!known && sizeOf(rules) >= rulesLimit) throw refuse('M_TOO_LARGE', `You have ${rulesLimit} push rules, the most that is possible; delete one first.`)
      return withCustom(rules, kind, placed(list, ruleFrom(kind, ruleId, body, known?.enabled ?? true), placement))
    })
  }

  /** Deletes a rule of the user's own. @throws M_NOT_FOUND, M_INVALID_PARAM for one of the server's */
  async delete(userId: UserId, kindText: string, ruleId: string): Promise<void> {
    const kind = kindOf(kindText)
    if (isDefault(kind, ruleId)) throw refuse('M_INVALID_PARAM', 'Default rules cannot be deleted; disable the rule.')
    await this.#change(userId, (rules) => {
      const left = rules.custom[kind].filter((rule) => rule.rule_id !== ruleId)
      if (left.length === rules.custom[kind].length) throw notFound()
      return withCustom(rules, kind, left)
    })
  }

  /** @throws M_NOT_FOUND */
  async setEnabled(userId: UserId, kind: string, ruleId: string, enabled: boolean): Promise<void> {
    await this.#edit(userId, kind, ruleId, { enabled })
  }

  /** @throws M_NOT_FOUND, M_INVALID_PARAM */
  async setActions(userId: UserId, kind: string, ruleId: string, actions: JsonValue): Promise<void> {
    const fault = checkPushActions(actions)
    if (fault !== undefined || !Array.isArray(actions)) throw refuse('M_INVALID_PARAM', `The actions are not valid: ${fault}.`)
    if (Buffer.byteLength(JSON.stringify(actions)) > ruleLimitBytes) throw refuse('M_TOO_LARGE', `A push rule has at most ${ruleLimitBytes} bytes.`)
    await this.#edit(userId, kind, ruleId, { actions })
  }

  /** Copies the rules about a room for the room that replaces it; as long as there is space for the copies. */
  async carry(userId: UserId, from: string, to: string): Promise<void> {
    await this.#accountData.change(userId, accountScope, pushRulesType, (stored) => {
      const rules = readRules(stored)
      const carried = carriedRules(rules, from, to)
      return sizeOf(carried) === sizeOf(rules) || sizeOf(carried) > rulesLimit ? undefined : writeRules(carried)
    })
  }

  #shown(userId: UserId, rules: UserPushRules): ShownRuleset {
    const ruleset = fullRuleset(userId, rules)
    if (!this.#followsThreads) return ruleset
    return { ...ruleset, [postcontent]: postcontentRules.map((rule) => changedRule(rule, rules.defaultChanges.get(rule.rule_id))) }
  }

  /** @throws M_INVALID_PARAM */
  #rulesOf(ruleset: ShownRuleset, kind: string): readonly PushRule[] {
    return (kind === postcontent ? ruleset[postcontent] : undefined) ?? ruleset[kindOf(kind)]
  }

  /** Whether a rule is one of the kind that users cannot add to. */
  #isPostcontent(kind: string, ruleId: string): boolean {
    return this.#followsThreads && kind === postcontent && postcontentRules.some((rule) => rule.rule_id === ruleId)
  }

  async #stored(userId: UserId): Promise<UserPushRules> {
    return readRules(await this.#accountData.getStored(userId, accountScope, pushRulesType))
  }

  async #change(userId: UserId, edit: (rules: UserPushRules) => UserPushRules): Promise<void> {
    await this.#accountData.change(userId, accountScope, pushRulesType, (stored) => writeRules(edit(readRules(stored))))
  }

  async #edit(userId: UserId, kindText: string, ruleId: string, change: DefaultRuleChange): Promise<void> {
    const isPostcontent = this.#isPostcontent(kindText, ruleId)
    if (kindText === postcontent && this.#followsThreads && !isPostcontent) throw notFound()
    const kind = isPostcontent ? undefined : kindOf(kindText)
    await this.#change(userId, (rules) => {
      if (kind === undefined || isDefault(kind, ruleId)) {
        const defaultChanges = new Map(rules.defaultChanges)
        defaultChanges.set(ruleId, { ...defaultChanges.get(ruleId), ...change })
        return { ...rules, defaultChanges }
      }
      if (!rules.custom[kind].some((rule) => rule.rule_id === ruleId)) throw notFound()
      return withCustom(rules, kind, rules.custom[kind].map((rule) => (rule.rule_id === ruleId ? { ...rule, ...change } : rule)))
    })
  }
}

/** Number of the user's own rules. */
function sizeOf(rules: UserPushRules): number {
  return Object.values(rules.custom).reduce((sum, each) => sum + each.length, 0)
}

function kindOf(text: string): PushRuleKind {
  if (!isPushRuleKind(text)) throw refuse('M_INVALID_PARAM', 'The kind of a push rule is override, content, room, sender or underride.')
  return text
}

function isDefault(kind: PushRuleKind, ruleId: string): boolean {
  return kindOfDefaultRule(ruleId) === kind
}

function notFound(): MatrixError {
  return refuse('M_NOT_FOUND', 'The push rule was not found; GET /pushrules/ lists all rules.')
}

function withCustom(rules: UserPushRules, kind: PushRuleKind, list: readonly PushRule[]): UserPushRules {
  return { ...rules, custom: rulesetOf((each) => (each === kind ? list : rules.custom[each])) }
}

function ruleFrom(kind: PushRuleKind, ruleId: string, body: JsonObject, enabled: boolean): PushRule {
  const actions = own(body, 'actions')
  const conditions = own(body, 'conditions')
  const pattern = own(body, 'pattern')
  const list: readonly PushAction[] = Array.isArray(actions) ? actions : []
  const rule: PushRule = { rule_id: ruleId, default: false, enabled, actions: list }
  if (kind === 'content') return typeof pattern === 'string' ? { ...rule, pattern } : rule
  if (kind !== 'override' && kind !== 'underride') return rule
  return { ...rule, conditions: Array.isArray(conditions) ? conditions.filter(isObject) : [] }
}

/** The list with a rule at its place: where it is told to be, else where it was, else first. */
function placed(list: readonly PushRule[], rule: PushRule, { before, after }: Placement): PushRule[] {
  const previous = list.findIndex((each) => each.rule_id === rule.rule_id)
  const others = list.filter((each) => each.rule_id !== rule.rule_id)
  const neighbour = before ?? after
  let index = Math.max(0, previous)
  if (neighbour !== undefined) {
    const at = others.findIndex((each) => each.rule_id === neighbour)
    if (at < 0) throw new MatrixError(400, 'M_UNKNOWN', `before/after rule not found: ${neighbour}; name one of your own rules of the same kind.`)
    index = before === undefined ? at + 1 : at
  }
  return others.toSpliced(index, 0, rule)
}
