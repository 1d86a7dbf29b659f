/** Endpoints of push rules. */
import { Type } from 'typebox'
import { refuse } from '@myelin/protocol/errors.ts'
import type { JsonValue } from '@myelin/protocol/json/json.ts'
import { endpoint } from '#platform/http/endpoint.ts'
import { JsonObjectSchema } from '#platform/http/schemas.ts'
import type { PushRules } from './push-rules.ts'

type Needs = { pushRules: PushRules }

const shared = {
  servlet: 'PushRuleRestServlet', base: 'client', versions: ['v3', 'r0', 'api/v1', 'unstable'], auth: 'user', limit: 'none', role: 'push_rules',
} as const
const spec = 'https://spec.matrix.org/v1.19/client-server-api/#push-rules-api'
const actionsSchema = Type.Unsafe<JsonValue>(Type.Array(Type.Unknown()))

/** @throws M_INVALID_PARAM */
function assertGlobal(scope: string): void {
  if (scope !== 'global') throw refuse('M_INVALID_PARAM', 'The scope of push rules is "global".')
}

const getPushRules = endpoint({
  ...shared, id: 'getPushRules', method: 'GET', path: '/pushrules/', spec, errors: [],
  handler: async ({ pushRules }: Needs, { requester }) => ({ global: await pushRules.rulesetOf(requester.userId) }),
})

const getPushRulesGlobal = endpoint({
  ...shared, id: 'getPushRulesGlobal', method: 'GET', path: '/pushrules/:scope/', spec, errors: ['M_INVALID_PARAM'],
  handler: async ({ pushRules }: Needs, { requester, params }) => {
    assertGlobal(params.scope)
    return pushRules.rulesetOf(requester.userId)
  },
})

const getPushRulesOfKind = endpoint({
  ...shared, id: 'getPushRulesOfKind', method: 'GET', path: '/pushrules/:scope/:kind/', spec, errors: ['M_INVALID_PARAM'],
  handler: async ({ pushRules }: Needs, { requester, params }) => {
    assertGlobal(params.scope)
    return pushRules.ofKind(requester.userId, params.kind)
  },
})

const getPushRule = endpoint({
  ...shared, id: 'getPushRule', method: 'GET', path: '/pushrules/:scope/:kind/:ruleId', spec, errors: ['M_INVALID_PARAM', 'M_NOT_FOUND'],
  handler: async ({ pushRules }: Needs, { requester, params }) => {
    assertGlobal(params.scope)
    return pushRules.require(requester.userId, params.kind, params.ruleId)
  },
})

const setPushRule = endpoint({
  ...shared, id: 'setPushRule', method: 'PUT', path: '/pushrules/:scope/:kind/:ruleId', spec,
  query: Type.Object({ before: Type.Optional(Type.String()), after: Type.Optional(Type.String()) }),
  body: JsonObjectSchema,
  errors: ['M_INVALID_PARAM', 'M_UNKNOWN', 'M_BAD_JSON', 'M_NOT_JSON', 'M_TOO_LARGE'],
  handler: async ({ pushRules }: Needs, { requester, params, query, body }) => {
    assertGlobal(params.scope)
    await pushRules.put(requester.userId, params.kind, params.ruleId, body, { before: query.before, after: query.after })
    return {}
  },
})

const deletePushRule = endpoint({
  ...shared, id: 'deletePushRule', method: 'DELETE', path: '/pushrules/:scope/:kind/:ruleId', spec, errors: ['M_INVALID_PARAM', 'M_NOT_FOUND'],
  handler: async ({ pushRules }: Needs, { requester, params }) => {
    assertGlobal(params.scope)
    await pushRules.delete(requester.userId, params.kind, params.ruleId)
    return {}
  },
})

const isPushRuleEnabled = endpoint({
  ...shared, id: 'isPushRuleEnabled', method: 'GET', path: '/pushrules/:scope/:kind/:ruleId/enabled', spec, errors: ['M_INVALID_PARAM', 'M_NOT_FOUND'],
  handler: async ({ pushRules }: Needs, { requester, params }) => {
    assertGlobal(params.scope)
    return { enabled: (await pushRules.require(requester.userId, params.kind, params.ruleId)).enabled }
  },
})

const setPushRuleEnabled = endpoint({
  ...shared, id: 'setPushRuleEnabled', method: 'PUT', path: '/pushrules/:scope/:kind/:ruleId/enabled', spec,
  body: Type.Object({ enabled: Type.Boolean() }),
  errors: ['M_INVALID_PARAM', 'M_NOT_FOUND', 'M_MISSING_PARAM', 'M_BAD_JSON', 'M_NOT_JSON'],
  handler: async ({ pushRules }: Needs, { requester, params, body }) => {
    assertGlobal(params.scope)
    await pushRules.setEnabled(requester.userId, params.kind, params.ruleId, body.enabled)
    return {}
  },
})

const getPushRuleActions = endpoint({
  ...shared, id: 'getPushRuleActions', method: 'GET', path: '/pushrules/:scope/:kind/:ruleId/actions', spec, errors: ['M_INVALID_PARAM', 'M_NOT_FOUND'],
  handler: async ({ pushRules }: Needs, { requester, params }) => {
    assertGlobal(params.scope)
    return { actions: (await pushRules.require(requester.userId, params.kind, params.ruleId)).actions }
  },
})

const setPushRuleActions = endpoint({
  ...shared, id: 'setPushRuleActions', method: 'PUT', path: '/pushrules/:scope/:kind/:ruleId/actions', spec,
  body: Type.Object({ actions: actionsSchema }),
  errors: ['M_INVALID_PARAM', 'M_NOT_FOUND', 'M_MISSING_PARAM', 'M_BAD_JSON', 'M_NOT_JSON', 'M_TOO_LARGE'],
  handler: async ({ pushRules }: Needs, { requester, params, body }) => {
    assertGlobal(params.scope)
    await pushRules.setActions(requester.userId, params.kind, params.ruleId, body.actions)
    return {}
  },
})

export const pushRulesRoutes = [
  getPushRules, getPushRulesGlobal, getPushRulesOfKind, getPushRule, setPushRule, deletePushRule, isPushRuleEnabled,
  setPushRuleEnabled, getPushRuleActions, setPushRuleActions,
]
