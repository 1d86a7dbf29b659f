/** Endpoints of federation itself. */
import { endpoint } from '#platform/http/endpoint.ts'

interface Needs {
  /** Name and version of this program. */
  readonly implementation: { readonly name: string; readonly version: string }
}

const getVersion = endpoint({
  id: 'getVersion', servlet: 'FederationVersionServlet', method: 'GET', base: 'federation', versions: ['v1'], path: '/version',
  spec: 'https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1version', auth: 'none', limit: 'none', role: 'generic', errors: [],
  handler: ({ implementation }: Needs) => ({ server: { ...implementation } }),
})

export const federationRoutes = [getVersion] as const
