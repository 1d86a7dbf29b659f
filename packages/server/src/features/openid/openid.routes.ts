/** Endpoints of OpenID tokens, for clients and for the services that they show them to. */
import { Type } from 'typebox'
import { refuse } from '@myelin/protocol/errors.ts'
import { endpoint } from '#platform/http/endpoint.ts'
import { openidTokenLifetimeMs, type Openid } from './openid.ts'

type Needs = { readonly openid: Openid; readonly serverName: string }

const requestToken = endpoint({
  id: 'requestOpenIdToken',
  servlet: 'IdTokenServlet',
  method: 'POST', base: 'client', path: '/user/:userId/openid/request_token', versions: ['v3', 'r0', 'unstable'],
  spec: 'client-server-api/#post_matrixclientv3useruseridopenidrequest_token',
  auth: 'user', limit: 'none', role: 'main', bodyKind: 'optional-json', errors: ['M_FORBIDDEN', 'M_GUEST_ACCESS_FORBIDDEN'],
  handler: async ({ openid, serverName }: Needs, { requester, params }) => {
    if (params.userId !== requester.userId) throw refuse('M_FORBIDDEN', 'You can get OpenID tokens only for yourself.')
    const token = await openid.issue(requester.userId)
    return { access_token: token, token_type: 'Bearer', matrix_server_name: serverName, expires_in: openidTokenLifetimeMs / 1000 }
  },
})

const userinfo = endpoint({
  id: 'exchangeOpenIdToken',
  servlet: 'OpenIdUserInfo',
  method: 'GET', base: 'federation', path: '/openid/userinfo', versions: ['v1'],
  spec: 'server-server-api/#get_matrixfederationv1openiduserinfo',
  auth: 'none', limit: 'none', role: 'main', errors: ['M_UNKNOWN_TOKEN', 'M_MISSING_TOKEN'],
  query: Type.Object({ access_token: Type.Optional(Type.String()) }),
  handler: async ({ openid }: Needs, { query }) => {
    if (query.access_token === undefined) throw refuse('M_MISSING_TOKEN', 'The OpenID token is missing; send it as access_token.')
    return { sub: await openid.ownerOf(query.access_token) }
  },
})

export const openidEndpoints = [requestToken, userinfo] as const
