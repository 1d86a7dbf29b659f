/** `/_synapse/metrics`: the metrics of this process for Prometheus. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Metrics } from '#platform/metrics/metrics.ts'
import { endpoint } from './endpoint.ts'
import type { Endpoint } from './endpoint.ts'
import { RawReply } from './reply.ts'

/** The endpoint for listeners with the resource `metrics`. */
export function metricsEndpoint(metrics: Metrics): Endpoint<unknown> {
  return endpoint({
    id: 'metrics',
    method: 'GET',
    base: 'root',
    path: '/_synapse/metrics',
    versions: [],
    spec: 'metrics',
    auth: 'none',
    limit: 'none',
    role: 'generic',
    errors: [],
    handler: async () => new RawReply({ headers: { 'Content-Type': metrics.contentType }, body: await metrics.expose() }),
  })
}

/** Serves a listener of type `metrics`: every path that begins with `/_synapse/metrics`, nothing else. */
export function metricsHandler(metrics: Metrics): (request: IncomingMessage, response: ServerResponse) => void {
  return (request, response) => {
    const refuse = (status: number): void => void response.writeHead(status, { 'Content-Length': 0 }).end()
    if (!(request.url ?? '').startsWith('/_synapse/metrics')) {
      refuse(404)
      return
    }
    if (request.method !== 'GET') {
      refuse(405)
      return
    }
    metrics.expose().then(
      (text) => response.writeHead(200, { 'Content-Type': metrics.contentType, 'Content-Length': Buffer.byteLength(text) }).end(text),
      () => refuse(500),
    )
  }
}
