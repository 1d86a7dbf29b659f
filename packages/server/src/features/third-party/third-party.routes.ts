/** Endpoints of look-ups in other networks. */
import { Type } from 'typebox'
import { endpoint } from '#platform/http/endpoint.ts'
import type { LookupFields, ThirdParty } from './third-party.ts'

type Needs = { thirdParty: ThirdParty }
type Query = { readonly [name: string]: string | readonly string[] | undefined }

const shared = { method: 'GET', base: 'client', versions: ['v3', 'r0', 'unstable'], auth: 'user', limit: 'none', role: 'generic' } as const
const spec = 'https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3thirdparty'

/** The network's own fields of a query; a token in the query is not the network's business. */
function fieldsOf(query: Query): LookupFields {
  const fields = new Map<string, readonly string[]>()
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && name !== 'access_token' && name !== 'user_id') fields.set(name, typeof value === 'string' ? [value] : value)
  }
  return fields
}

const getProtocols = endpoint({
  ...shared, id: 'getProtocols', servlet: 'ThirdPartyProtocolsServlet', path: '/thirdparty/protocols', spec: `${spec}protocols`, errors: [],
  handler: async ({ thirdParty }: Needs) => Object.fromEntries(await thirdParty.protocols()),
})

const getProtocolMetadata = endpoint({
  ...shared, id: 'getProtocolMetadata', servlet: 'ThirdPartyProtocolServlet', path: '/thirdparty/protocol/:protocol', spec: `${spec}protocolprotocol`,
  errors: ['M_NOT_FOUND'],
  handler: ({ thirdParty }: Needs, { params }) => thirdParty.protocol(params.protocol),
})

const queryLocationByProtocol = endpoint({
  ...shared, id: 'queryLocationByProtocol', servlet: 'ThirdPartyLocationServlet', path: '/thirdparty/location/:protocol',
  spec: `${spec}locationprotocol`, errors: [],
  handler: ({ thirdParty }: Needs, { params, query }) => thirdParty.lookup('location', params.protocol, fieldsOf(query)),
})

const queryUserByProtocol = endpoint({
  ...shared, id: 'queryUserByProtocol', servlet: 'ThirdPartyUserServlet', path: '/thirdparty/user/:protocol', spec: `${spec}userprotocol`, errors: [],
  handler: ({ thirdParty }: Needs, { params, query }) => thirdParty.lookup('user', params.protocol, fieldsOf(query)),
})

const queryLocationByAlias = endpoint({
  ...shared, id: 'queryLocationByAlias', servlet: 'ThirdPartyLocationServlet', path: '/thirdparty/location', spec: `${spec}location`,
  query: Type.Object({ alias: Type.String() }), errors: ['M_MISSING_PARAM'],
  handler: ({ thirdParty }: Needs, { query }) => thirdParty.reverse('location', query.alias),
})

const queryUserByID = endpoint({
  ...shared, id: 'queryUserByID', servlet: 'ThirdPartyUserServlet', path: '/thirdparty/user', spec: `${spec}user`,
  query: Type.Object({ userid: Type.String() }), errors: ['M_MISSING_PARAM'],
  handler: ({ thirdParty }: Needs, { query }) => thirdParty.reverse('user', query.userid),
})

export const thirdPartyRoutes = [
  getProtocols, getProtocolMetadata, queryLocationByProtocol, queryUserByProtocol, queryLocationByAlias, queryUserByID,
]
