/** The endpoint of voice over IP. */
import { endpoint } from '#platform/http/endpoint.ts'
import type { Voip } from './voip.ts'

const getTurnServer = endpoint({
  id: 'getTurnServer', servlet: 'VoipRestServlet', method: 'GET', base: 'client', versions: ['v3', 'r0', 'api/v1', 'unstable'], path: '/voip/turnServer',
  spec: 'https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3voipturnserver',
  auth: 'guest', limit: 'none', role: 'generic',
  errors: ['M_GUEST_ACCESS_FORBIDDEN'],
  handler: ({ voip }: { voip: Voip }, { requester }) => voip.credentials(requester) ?? {},
})

export const voipRoutes = [getTurnServer]
