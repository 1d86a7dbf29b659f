/** The endpoint of transactions. */
import { Type } from 'typebox'
import { endpoint } from '#platform/http/endpoint.ts'
import { JsonObjectSchema } from '#platform/http/schemas.ts'
import type { Transactions } from './transactions.ts'

interface Needs {
  readonly transactions: Transactions
}

/** 50 events of 64 KiB, and 100 EDUs, with room to spare. */
const maxBodyBytes = 16 * 1024 * 1024

const sendTransaction = endpoint({
  id: 'sendTransaction', servlet: 'FederationSendServlet', method: 'PUT', base: 'federation', versions: ['v1'], path: '/send/:txnId',
  spec: 'https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv1sendtxnid', auth: 'server', limit: 'none', role: 'generic',
  params: Type.Object({ txnId: Type.String({ maxLength: 255 }) }), body: JsonObjectSchema, maxBodyBytes,
  errors: ['M_BAD_JSON', 'M_NOT_JSON', 'M_TOO_LARGE', 'M_UNAUTHORIZED', 'M_FORBIDDEN'],
  handler: async ({ transactions }: Needs, { origin, params, body }) => transactions.accept(origin, params.txnId, body),
})

export const transactionsRoutes = [sendTransaction] as const
