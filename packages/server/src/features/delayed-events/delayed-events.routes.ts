/** Endpoints that manage delayed events. */
import { Type } from 'typebox'
import { refuse } from '@myelin/protocol/errors.ts'
import { endpoint } from '#platform/http/endpoint.ts'
import { JsonText } from '#platform/http/reply.ts'
import type { DelayedEvents } from './delayed-events.ts'

interface Needs {
  readonly delayedEvents: DelayedEvents
}

const shared = {
  base: 'client', versions: ['unstable/org.matrix.msc4140'], spec: 'https://github.com/matrix-org/matrix-spec-proposals/pull/4140',
} as const
/** Whoever knows the id may manage the event: it is as good as a token. */
const managed = { ...shared, method: 'POST', auth: 'optional', limit: { rc: 'rc_delayed_event_mgmt', by: 'user' }, role: 'main', bodyKind: 'optional-json' } as const
const sendErrors = [
  'M_NOT_FOUND', 'M_FORBIDDEN', 'M_TOO_LARGE', 'M_BAD_JSON', 'M_DUPLICATE_ANNOTATION', 'M_BAD_ALIAS', 'M_INVALID_PARAM', 'M_LIMIT_EXCEEDED', 'M_UNKNOWN',
  'M_USER_DEACTIVATED', 'M_USER_LOCKED', 'M_USER_SUSPENDED',
] as const

const list = endpoint({
  ...shared, id: 'getDelayedEvents', servlet: 'DelayedEventsServlet', method: 'GET', path: '/delayed_events', auth: 'guest',
  limit: { rc: 'rc_delayed_event_mgmt', by: 'user' }, role: 'generic', errors: ['M_LIMIT_EXCEEDED'],
  handler: async ({ delayedEvents }: Needs, { requester }) => new JsonText(`{"delayed_events":[${(await delayedEvents.scheduled(requester.userId)).join(',')}]}`),
})

const one = endpoint({
  ...shared, id: 'getDelayedEvent', servlet: 'DelayedEventsServlet', method: 'GET', path: '/delayed_events/:delayId', auth: 'guest',
  limit: { rc: 'rc_delayed_event_mgmt', by: 'user' }, role: 'main', errors: ['M_NOT_FOUND', 'M_LIMIT_EXCEEDED'],
  handler: async ({ delayedEvents }: Needs, { requester, params }) => new JsonText(await delayedEvents.require(requester.userId, params.delayId)),
})

const update = endpoint({
  ...managed, id: 'updateDelayedEvent', servlet: 'UpdateDelayedEventServlet', path: '/delayed_events/:delayId', bodyKind: 'json',
  body: Type.Object({ action: Type.String() }), errors: [...sendErrors, 'M_MISSING_PARAM'],
  handler: async ({ delayedEvents }: Needs, { params, body }) => {
    if (body.action === 'send') await delayedEvents.send(params.delayId)
    else if (body.action === 'cancel') await delayedEvents.cancel(params.delayId)
    else if (body.action === 'restart') await delayedEvents.restart(params.delayId)
    else throw refuse('M_INVALID_PARAM', '"action" must be "send", "cancel" or "restart".')
    return {}
  },
})

const restart = endpoint({
  ...managed, id: 'restartDelayedEvent', servlet: 'RestartDelayedEventServlet', path: '/delayed_events/:delayId/restart', role: 'generic',
  errors: ['M_NOT_FOUND', 'M_LIMIT_EXCEEDED'],
  handler: async ({ delayedEvents }: Needs, { params }) => {
    await delayedEvents.restart(params.delayId)
    return {}
  },
})

const cancel = endpoint({
  ...managed, id: 'cancelDelayedEvent', servlet: 'CancelDelayedEventServlet', path: '/delayed_events/:delayId/cancel', errors: ['M_NOT_FOUND', 'M_LIMIT_EXCEEDED'],
  handler: async ({ delayedEvents }: Needs, { params }) => {
    await delayedEvents.cancel(params.delayId)
    return {}
  },
})

const send = endpoint({
  ...managed, id: 'sendDelayedEvent', servlet: 'SendDelayedEventServlet', path: '/delayed_events/:delayId/send', errors: sendErrors,
  handler: async ({ delayedEvents }: Needs, { params }) => {
    await delayedEvents.send(params.delayId)
    return {}
  },
})

export const delayedEventsRoutes = [list, one, update, restart, cancel, send]
