/** The metrics of a process, exposed as Prometheus text under the names of Synapse's dashboard. */
import { Counter, Gauge, Histogram, Registry } from 'prom-client'

/** Metric names begin with a letter; labels are declared with the metric, their values must be few. */
interface Declaration<Label extends string> {
  readonly name: string
  readonly help: string
  readonly labels?: readonly Label[]
}

/** A count that only grows. */
export interface CounterMetric<Label extends string> {
  add(labels: Readonly<Record<Label, string>>, amount?: number): void
}

/** A value that goes up and down. */
export interface GaugeMetric<Label extends string> {
  set(labels: Readonly<Record<Label, string>>, value: number): void
  add(labels: Readonly<Record<Label, string>>, amount: number): void
  /** Forgets the series of these labels. */
  remove(labels: Readonly<Record<Label, string>>): void
}

/** A distribution over buckets. */
export interface HistogramMetric<Label extends string> {
  observe(labels: Readonly<Record<Label, string>>, value: number): void
}

/** Where slices declare their metrics; each name exactly once. */
export class Metrics {
  /** Content type of `expose`. */
  readonly contentType = 'text/plain; version=0.0.4; charset=utf-8'
  readonly #own = new Registry()
  readonly #process = new Registry()

  /** @param serverName value of the label `server_name`, which every metric of the server (not of the process) carries */
  constructor(serverName: string) {
    this.#own.setDefaultLabels({ server_name: serverName })
  }

  /** Declares a counter; a name for a dashboard ends in `_total`. */
  counter<Label extends string = never>({ name, help, labels = [] }: Declaration<Label>): CounterMetric<Label> {
    const counter = new Counter({ name, help, labelNames: labels, registers: [this.#own] })
    return { add: (values, amount = 1) => counter.inc(values, amount) }
  }

  /** Declares a gauge whose owner sets it. */
  gauge<Label extends string = never>({ name, help, labels = [] }: Declaration<Label>): GaugeMetric<Label> {
    const gauge = new Gauge({ name, help, labelNames: labels, registers: [this.#own] })
    return {
      set: (values, value) => gauge.set(values, value),
      add: (values, amount) => gauge.inc(values, amount),
      remove: (values) => gauge.remove(values),
    }
  }

  /**
   * Declares a gauge whose values are read at each scrape.
   *
   * @param read answers each series with its labels; a series that is no longer answered disappears
   */
  gaugeOf<Label extends string = never>(
    { name, help, labels = [] }: Declaration<Label>,
    read: () => Iterable<readonly [Readonly<Record<Label, string>>, number]>,
    scope: 'server' | 'process' = 'server',
  ): void {
    new Gauge({
      name,
      help,
      labelNames: labels,
      registers: [scope === 'server' ? this.#own : this.#process],
      collect() {
        this.reset()
        for (const [values, value] of read()) this.set(values, value)
      },
    })
  }

  /** Declares a counter of the process that is read at each scrape and never falls. */
  counterOf({ name, help }: Declaration<never>, read: () => number): void {
    new Counter({
      name,
      help,
      registers: [this.#process],
      collect() {
        this.reset()
        this.inc(read())
      },
    })
  }

  /** Declares a histogram. */
  histogram<Label extends string = never>(
    { name, help, labels = [], buckets }: Declaration<Label> & { readonly buckets: readonly number[] },
    scope: 'server' | 'process' = 'server',
  ): HistogramMetric<Label> {
    const registers = [scope === 'server' ? this.#own : this.#process]
    const histogram = new Histogram({ name, help, labelNames: labels, buckets: [...buckets], registers })
    return { observe: (values, value) => histogram.observe(values, value) }
  }

  /** The current values of all metrics in Prometheus' text format. */
  async expose(): Promise<string> {
    const texts = [await this.#process.metrics(), await this.#own.metrics()]
    return texts.filter((text) => text.trim() !== '').map((text) => `${text.trimEnd()}\n`).join('\n')
  }
}
