/** Endpoints of federation itself. */
import { Type } from 'typebox'
import { refuse } from '@myelin/protocol/errors.ts'
import { endpoint } from '#platform/http/endpoint.ts'
import type { ServerPolicy } from './server-policy.ts'

interface Needs {
  /** Name and version of this program. */
  readonly implementation: { readonly name: string; readonly version: string }
}

interface WhitelistNeeds {
  /** Undefined unless `federation_whitelist_endpoint_enabled`. */
  readonly shownWhitelist: Pick<ServerPolicy, 'whitelist'> | undefined
}

const getVersion = endpoint({
  id: 'getVersion', servlet: 'FederationVersionServlet', method: 'GET', base: 'federation', versions: ['v1'], path: '/version',
  spec: 'https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1version', auth: 'none', limit: 'none', role: 'generic', errors: [],
  handler: ({ implementation }: Needs) => ({ server: { ...implementation } }),
})

const queryInfo = endpoint({
  id: 'queryInfo', servlet: 'FederationQueryServlet', method: 'GET', base: 'federation', versions: ['v1'], path: '/query/:queryType',
  spec: 'https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1queryquerytype', auth: 'server', limit: 'none', role: 'generic', errors: ['M_UNRECOGNIZED'],
  handler: (_: unknown, { params }) => {
    throw refuse('M_UNRECOGNIZED', `This server answers no queries of the type '${params.queryType.slice(0, 100)}'.`)
  },
})

const getFederationWhitelist = endpoint({
  id: 'getFederationWhitelist', servlet: 'FederationWhitelistResource', method: 'GET', base: 'synapse-client', versions: ['v1'], path: '/config/federation_whitelist',
  spec: 'usage/configuration/config_documentation.html#federation_whitelist_endpoint_enabled', auth: 'user', limit: 'none', role: 'main',
  reply: Type.Object({ whitelist_enabled: Type.Boolean(), whitelist: Type.Array(Type.String()) }), errors: ['M_UNRECOGNIZED'],
  handler: ({ shownWhitelist }: WhitelistNeeds) => {
    if (shownWhitelist === undefined) throw refuse('M_UNRECOGNIZED', 'This server does not tell which servers it talks to.')
    const { whitelist } = shownWhitelist
    return { whitelist_enabled: whitelist !== undefined, whitelist: [...(whitelist ?? [])] }
  },
})

export const federationRoutes = [getVersion, queryInfo, getFederationWhitelist] as const
