/** Endpoint by which identity servers tell that an address belongs to a user now. */
import { endpoint } from '#platform/http/endpoint.ts'
import { JsonObjectSchema } from '#platform/http/schemas.ts'
import type { ThirdPartyInvites } from './third-party-invites.ts'

function onBind(id: string, method: 'PUT' | 'POST') {
  return endpoint({
    id, method, base: 'federation', versions: ['v1'], path: '/3pid/onbind',
    spec: 'https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv13pidonbind',
    // The invites that it brings are signed; whoever sends them does not matter.
    auth: 'none', limit: 'none', role: 'main', body: JsonObjectSchema, errors: ['M_BAD_JSON', 'M_FORBIDDEN'],
    handler: async ({ thirdPartyInvites }: { readonly thirdPartyInvites: ThirdPartyInvites }, { body }) => {
      await thirdPartyInvites.bound(body)
      return {}
    },
  })
}

/** The specification says PUT; the identity servers that people run, and its own sequence diagram, say POST (matrix-spec issue 524). */
export const thirdPartyInvitesRoutes = [onBind('onBindThirdPartyIdentifier', 'PUT'), onBind('onBindThirdPartyIdentifierByPost', 'POST')]
