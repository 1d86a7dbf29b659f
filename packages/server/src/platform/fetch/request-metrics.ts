/** Counts of requests to other servers, under Synapse's names. */
import type { CounterMetric, Metrics } from '#platform/metrics/metrics.ts'

/** `synapse_http_matrixfederationclient` for requests to homeservers, `synapse_http_client` for all others. */
export type RequestMetricsPrefix = 'synapse_http_client' | 'synapse_http_matrixfederationclient'

/** Several clients may share one. */
export class RequestMetrics {
  readonly #requests: CounterMetric<'method'>
  readonly #responses: CounterMetric<'method' | 'code'>

  constructor(metrics: Metrics, prefix: RequestMetricsPrefix) {
    this.#requests = metrics.counter({ name: `${prefix}_requests_total`, help: 'Requests to other servers', labels: ['method'] })
    this.#responses = metrics.counter({ name: `${prefix}_responses_total`, help: 'Answers of other servers', labels: ['method', 'code'] })
  }

  sent(method: string): void {
    this.#requests.add({ method })
  }

  answered(method: string, status: number): void {
    this.#responses.add({ method, code: String(status) })
  }
}
