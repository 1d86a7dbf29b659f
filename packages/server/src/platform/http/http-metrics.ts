/** Counts and times of the requests that this process serves, under Synapse's names. */
import type { CounterMetric, GaugeMetric, HistogramMetric, Metrics } from '#platform/metrics/metrics.ts'

type Served = 'method' | 'servlet' | 'tag'

/** Synapse's buckets, in seconds. */
const responseTimeBuckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 180]

/** `servlet` is the id of the endpoint, `tag` is '' (Synapse tells fast from slow replies there), `code` the HTTP status. */
export class HttpMetrics {
  readonly #received: CounterMetric<'method' | 'servlet'>
  readonly #inFlight: GaugeMetric<'method' | 'servlet'>
  readonly #responses: CounterMetric<'method' | 'code'>
  readonly #responseCount: CounterMetric<Served>
  readonly #responseSize: CounterMetric<Served>
  readonly #responseTime: HistogramMetric<Served | 'code'>

  constructor(metrics: Metrics) {
    this.#received = metrics.counter({
      name: 'synapse_http_server_requests_received_total', help: 'Requests received', labels: ['method', 'servlet'],
    })
    this.#inFlight = metrics.gauge({
      name: 'synapse_http_server_in_flight_requests_count', help: 'Requests being served', labels: ['method', 'servlet'],
    })
    this.#responses = metrics.counter({
      name: 'synapse_http_server_responses_total', help: 'Responses by status', labels: ['method', 'code'],
    })
    this.#responseCount = metrics.counter({
      name: 'synapse_http_server_response_count_total', help: 'Responses by endpoint', labels: ['method', 'servlet', 'tag'],
    })
    this.#responseSize = metrics.counter({
      name: 'synapse_http_server_response_size_total', help: 'Bytes of response bodies', labels: ['method', 'servlet', 'tag'],
    })
    this.#responseTime = metrics.histogram({
      name: 'synapse_http_server_response_time_seconds',
      help: 'Seconds from the request to the end of its response',
      labels: ['method', 'servlet', 'tag', 'code'],
      buckets: responseTimeBuckets,
    })
  }

  /** Call when the request begins to be served. */
  received(labels: { method: string, servlet: string }): void {
    this.#received.add(labels)
    this.#inFlight.add(labels, 1)
  }

  /** Call when its connection is done with it. */
  served(labels: { method: string, servlet: string }, code: string, seconds: number, sizeBytes: number): void {
    const { method, servlet } = labels
    this.#inFlight.add(labels, -1)
    this.#responses.add({ method, code })
    this.#responseCount.add({ method, servlet, tag: '' })
    this.#responseSize.add({ method, servlet, tag: '' }, sizeBytes)
    this.#responseTime.observe({ method, servlet, tag: '', code }, seconds)
  }
}
