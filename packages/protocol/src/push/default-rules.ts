/**
 * The server-default push rules. A condition with `pattern_type` or `value_type` stands for one with the reader's own id, so that
 * the rules are compiled once for all users.
 *
 * Spec: client-server API, "Predefined Rules". The three rules that look for mentions in the text were removed from the specification in
 * v1.17; they are kept for clients that send no `m.mentions`, and are void for events that have it.
 */
import { localpartOf } from '../ids/user-id.ts'
import type { JsonObject } from '../json/json.ts'
import { pushRuleKinds } from './rules.ts'
import type { DefaultRuleChange, PushAction, PushRule, PushRuleKind, PushRuleset, UserPushRules } from './rules.ts'

const highlight = { set_tweak: 'highlight' }
const sound = (value: string): PushAction => ({ set_tweak: 'sound', value })
const match = (key: string, pattern: string): JsonObject => ({ kind: 'event_match', key, pattern })
const is = (key: string, value: string | boolean): JsonObject => ({ kind: 'event_property_is', key, value })
const mayNotifyRoom: JsonObject = { kind: 'sender_notification_permission', key: 'room' }
const twoMembers: JsonObject = { kind: 'room_member_count', is: '2' }

function rule(ruleId: string, conditions: readonly JsonObject[], actions: readonly PushAction[], enabled: boolean = true): PushRule {
  return { rule_id: ruleId, default: true, enabled, conditions, actions }
}

/** The rule that silences everything; it comes before the user's own rules. */
export const masterRule: PushRule = rule('.m.rule.master', [], [], false)

const override: readonly PushRule[] = [
  rule('.m.rule.suppress_notices', [match('content.msgtype', 'm.notice')], []),
  rule(
    '.m.rule.invite_for_me',
    [match('type', 'm.room.member'), match('content.membership', 'invite'), { kind: 'event_match', key: 'state_key', pattern_type: 'user_id' }],
    ['notify', sound('default')],
  ),
  rule('.m.rule.member_event', [match('type', 'm.room.member')], []),
  rule(
    '.m.rule.is_user_mention',
    [{ kind: 'event_property_contains', key: 'content.m\\.mentions.user_ids', value_type: 'user_id' }],
    ['notify', sound('default'), highlight],
  ),
  rule('.m.rule.contains_display_name', [{ kind: 'contains_display_name' }], ['notify', sound('default'), highlight]),
  rule('.m.rule.is_room_mention', [is('content.m\\.mentions.room', true), mayNotifyRoom], ['notify', highlight]),
  rule('.m.rule.roomnotif', [match('content.body', '@room'), mayNotifyRoom], ['notify', highlight]),
  rule('.m.rule.tombstone', [match('type', 'm.room.tombstone'), match('state_key', '')], ['notify', highlight]),
  rule('.m.rule.reaction', [match('type', 'm.reaction')], []),
  rule('.m.rule.room.server_acl', [match('type', 'm.room.server_acl'), match('state_key', '')], []),
  rule('.m.rule.suppress_edits', [is('content.m\\.relates_to.rel_type', 'm.replace')], []),
]

const content: readonly PushRule[] = [
  {
    rule_id: '.m.rule.contains_user_name',
    default: true,
    enabled: true,
    conditions: [{ kind: 'event_match', key: 'content.body', pattern_type: 'user_localpart' }],
    actions: ['notify', sound('default'), highlight],
  },
]

const underride: readonly PushRule[] = [
  rule('.m.rule.call', [match('type', 'm.call.invite')], ['notify', sound('ring')]),
  rule('.m.rule.encrypted_room_one_to_one', [twoMembers, match('type', 'm.room.encrypted')], ['notify', sound('default')]),
  rule('.m.rule.room_one_to_one', [twoMembers, match('type', 'm.room.message')], ['notify', sound('default')]),
  rule('.m.rule.message', [match('type', 'm.room.message')], ['notify']),
  rule('.m.rule.encrypted', [match('type', 'm.room.encrypted')], ['notify']),
]

const followsThread = (subscribed: boolean): JsonObject => ({ kind: 'io.element.msc4306.thread_subscription', subscribed })

/** Rules of the kind `postcontent`, between content and room, where users can follow threads; users have none of their own. Spec: MSC4306. */
export const postcontentRules: readonly PushRule[] = [
  rule('.io.element.msc4306.rule.unsubscribed_thread', [followsThread(false)], []),
  rule('.io.element.msc4306.rule.subscribed_thread', [followsThread(true)], ['notify', sound('default')]),
]

/** Rules by kind that come after the user's own. */
export const defaultRules: PushRuleset = { override, content, room: [], sender: [], underride }

/** Rules that look for mentions in the text: void where the event says by `m.mentions` whom it mentions. */
export const legacyMentionRules: ReadonlySet<string> = new Set([
  '.m.rule.contains_display_name',
  '.m.rule.roomnotif',
  '.m.rule.contains_user_name',
])

/** The kind of a server-default rule, or undefined where there is none of this id. */
export function kindOfDefaultRule(ruleId: string): PushRuleKind | undefined {
  if (ruleId === masterRule.rule_id) return 'override'
  return pushRuleKinds.find((kind) => defaultRules[kind].some((known) => known.rule_id === ruleId))
}

/** A server-default rule with what the user changed of it. */
export function changedRule(known: PushRule, change: DefaultRuleChange | undefined): PushRule {
  if (change === undefined) return known
  return { ...known, enabled: change.enabled ?? known.enabled, actions: change.actions ?? known.actions }
}

/** All rules of a user in the order of their priority, as clients see them. */
export function rulesetOf(userId: string, rules: UserPushRules): PushRuleset {
  const shown = (known: PushRule): PushRule => shownRule(userId, changedRule(known, rules.defaultChanges.get(known.rule_id)))
  const kind = (name: PushRuleKind): PushRule[] => [...rules.custom[name], ...defaultRules[name].map(shown)]
  return {
    override: [shown(masterRule), ...kind('override')],
    content: kind('content'),
    room: kind('room'),
    sender: kind('sender'),
    underride: kind('underride'),
  }
}

/** A server-default rule with the user's own id in it. */
function shownRule(userId: string, known: PushRule): PushRule {
  if (known.rule_id === '.m.rule.contains_user_name') {
    const { conditions: _conditions, ...rest } = known
    return { ...rest, pattern: localpartOf(userId) }
  }
  if (!known.conditions?.some((condition) => condition['pattern_type'] !== undefined || condition['value_type'] !== undefined)) return known
  const conditions = known.conditions.map(({ pattern_type: patternType, value_type: valueType, ...condition }) => {
    if (patternType !== undefined) return { ...condition, pattern: userId }
    return valueType === undefined ? condition : { ...condition, value: userId }
  })
  return { ...known, conditions }
}
