/** The health check of load balancers. */
import { endpoint } from '#platform/http/endpoint.ts'
import { RawReply } from '#platform/http/reply.ts'
import type { Database } from '#platform/db/database.ts'

const health = endpoint({
  id: 'health', method: 'GET', base: 'root', versions: [], path: '/health', spec: 'Synapse: reverse proxy, "Health check endpoint"',
  auth: 'none', limit: 'none', role: 'every', errors: [],
  handler: ({ database }: { database: Database }) =>
    new RawReply({ status: database.healthy ? 200 : 503, headers: { 'Content-Type': 'text/plain' }, body: database.healthy ? 'OK' : 'The database does not take writes.' }),
})

export const healthRoutes = [health]
