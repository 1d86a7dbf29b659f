/** The router that endpoints are mounted on, stripped of everything the server does itself. */
import { fastify } from 'fastify'
import type { FastifyInstance } from 'fastify'
import { refuse } from '@myelin/protocol/errors.ts'
import { sendError, sendPreflight } from './send-reply.ts'

/** Longer than any request line that the listener accepts, so that the router itself never answers 414. */
const maxParamLength = 65_536

/**
 * A fresh router. Mount endpoints, `await application.ready()`, then hand `application.routing` to a node HTTP server.
 * A URL whose path is not valid percent-encoded UTF-8 is refused with 400.
 */
export function createApplication(): FastifyInstance {
  return fastify({
    logger: false,
    exposeHeadRoutes: true,
    requestIdHeader: false,
    genReqId: () => '',
    routerOptions: { maxParamLength },
    frameworkErrors(_error, request, reply) {
      reply.hijack()
      if (request.method === 'OPTIONS') {
        sendPreflight(reply.raw)
        return
      }
      const refusal = refuse('M_INVALID_PARAM', 'The path of the URL is not valid percent-encoded UTF-8.')
      void sendError(reply.raw, refusal, { gzip: false, close: false, sizeBytes: 0 })
    },
  })
}
