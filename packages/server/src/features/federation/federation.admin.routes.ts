/** Endpoints by which administrators see which servers do not answer, and have one asked again. */
import { Type } from 'typebox'
import { refuse } from '@myelin/protocol/errors.ts'
import { isServerName } from '@myelin/protocol/ids/server-name.ts'
import { endpoint } from '#platform/http/endpoint.ts'
import type { Destinations } from './destinations.ts'
import type { DestinationRow } from './destinations.store.ts'
import type { Reconnecting } from './reconnecting.ts'

interface Needs {
  readonly destinations: Destinations
}

const common = { base: 'admin', versions: ['v1'], spec: 'usage/administration/admin_api/federation.html', auth: 'admin', limit: 'none', role: 'main' } as const

const orders = ['destination', 'retry_last_ts', 'retry_interval', 'failure_ts', 'last_successful_stream_ordering'] as const
const listQuery = Type.Object({
  from: Type.Optional(Type.Integer({ minimum: 0 })),
  limit: Type.Optional(Type.Integer({ minimum: 0 })),
  order_by: Type.Optional(Type.Union(orders.map((order) => Type.Literal(order)))),
  dir: Type.Optional(Type.Union([Type.Literal('f'), Type.Literal('b')])),
  destination: Type.Optional(Type.String()),
})

/** How far events have been sent is not known yet. */
function shown(row: DestinationRow) {
  return { ...row, last_successful_stream_ordering: null }
}

const listDestinations = endpoint({
  ...common, id: 'adminListDestinations', method: 'GET', path: '/federation/destinations', query: listQuery, errors: ['M_FORBIDDEN', 'M_INVALID_PARAM'],
  handler: async ({ destinations }: Needs, { query }) => {
    const { from = 0, limit = 100, order_by: orderBy = 'destination', dir = 'f', destination: filter = '' } = query
    const { rows, total } = await destinations.list({ from, limit, orderBy, isBackwards: dir === 'b', filter })
    return { destinations: rows.map(shown), total, ...(from + limit < total ? { next_token: String(from + limit) } : {}) }
  },
})

const getDestination = endpoint({
  ...common, id: 'adminGetDestination', method: 'GET', path: '/federation/destinations/:destination', errors: ['M_FORBIDDEN', 'M_NOT_FOUND'],
  handler: async ({ destinations }: Needs, { params }) => shown(await destinations.require(params.destination)),
})

const resetConnection = endpoint({
  ...common, id: 'adminResetConnection', method: 'POST', path: '/federation/destinations/:destination/reset_connection', bodyKind: 'optional-json',
  errors: ['M_FORBIDDEN', 'M_NOT_FOUND', 'M_UNKNOWN'],
  handler: async ({ destinations, reconnecting }: Needs & { readonly reconnecting: Reconnecting }, { params: { destination } }) => {
    if (!isServerName(destination)) throw refuse('M_NOT_FOUND', 'Unknown destination')
    await destinations.reset(destination)
    reconnecting.start(destination)
    return {}
  },
})

export const federationAdminRoutes = [listDestinations, getDestination, resetConnection] as const
