/** The text that Prometheus scrapes. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Metrics } from './metrics.ts'
import { observeProcess } from './process-metrics.ts'

test('exposes counters, gauges and histograms with their labels and the server name', async () => {
  const metrics = new Metrics('example.org')
  const counter = metrics.counter({ name: 'synapse_a_total', help: 'A', labels: ['kind'] })
  counter.add({ kind: 'x' })
  counter.add({ kind: 'x' }, 4)
  counter.add({ kind: 'quo"te' })
  const gauge = metrics.gauge({ name: 'synapse_b', help: 'B' })
  gauge.set({}, 7)
  gauge.add({}, -2)
  const histogram = metrics.histogram({ name: 'synapse_c', help: 'C', buckets: [1, 2] })
  histogram.observe({}, 1.5)
  let series: [{ name: string }, number][] = [[{ name: 'one' }, 1], [{ name: 'two' }, 2]]
  metrics.gaugeOf({ name: 'synapse_d', help: 'D', labels: ['name'] }, () => series)
  const text = await metrics.expose()
  for (const line of [
    '# TYPE synapse_a_total counter', 'synapse_a_total{kind="x",server_name="example.org"} 5', 'synapse_a_total{kind="quo\\"te",server_name="example.org"} 1',
    'synapse_b{server_name="example.org"} 5', 'synapse_c_bucket{le="1",server_name="example.org"} 0',
    'synapse_c_bucket{le="+Inf",server_name="example.org"} 1', 'synapse_c_sum{server_name="example.org"} 1.5',
    'synapse_d{name="two",server_name="example.org"} 2',
  ]) assert.ok(text.split('\n').includes(line), `${line}\n${text}`)
  series = [[{ name: 'two' }, 3]]
  const later = await metrics.expose()
  assert.ok(later.includes('synapse_d{name="two",server_name="example.org"} 3') && !later.includes('name="one"'))
})

test('a name is declared once', () => {
  const metrics = new Metrics('example.org')
  metrics.counter({ name: 'synapse_a_total', help: 'A' })
  assert.throws(() => metrics.counter({ name: 'synapse_a_total', help: 'A' }), /already been registered/)
})

test('exposes the process without a server name', async () => {
  const metrics = new Metrics('example.org')
  using _observed = observeProcess(metrics, '1.2.3')
  const text = await metrics.expose()
  for (const name of ['process_cpu_seconds_total', 'process_resident_memory_bytes', 'process_start_time_seconds', 'python_twisted_reactor_last_seen']) {
    assert.match(text, new RegExp(`^${name} [0-9.e+]+$`, 'm'))
  }
  assert.match(text, /^synapse_build_info\{version="1\.2\.3",pythonversion="node [^"]+",osversion="[^"]+",server_name="example\.org"\} 1$/m)
  assert.match(text, /^# TYPE process_cpu_seconds_total counter$/m)
})
