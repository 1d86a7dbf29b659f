/** Metrics of the process itself, and of the runtime under the names that Synapse's dashboard draws. */
import { readFileSync, readdirSync } from 'node:fs'
import { release, type } from 'node:os'
import { PerformanceObserver, constants, monitorEventLoopDelay } from 'node:perf_hooks'
import type { Metrics } from './metrics.ts'

/** Kinds of garbage collection, as "generations" of the dashboard. */
const generations: ReadonlyMap<number, string> = new Map([
  [constants.NODE_PERFORMANCE_GC_MINOR, '0'],
  [constants.NODE_PERFORMANCE_GC_INCREMENTAL, '1'],
  [constants.NODE_PERFORMANCE_GC_WEAKCB, '1'],
  [constants.NODE_PERFORMANCE_GC_MAJOR, '2'],
])

const seconds = [0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5]

/** Declares the metrics of the process; the answer ends the observation. */
export function observeProcess(metrics: Metrics, version: string): Disposable {
  observeUsage(metrics)
  metrics.gaugeOf({ name: 'synapse_build_info', help: 'Version of the server', labels: ['version', 'pythonversion', 'osversion'] },
    () => [[{ version, pythonversion: `node ${process.versions.node}`, osversion: `${type()}-${release()}` }, 1]])
  const collections = observeCollections(metrics)
  const loop = observeLoop(metrics)
  return {
    [Symbol.dispose]() {
      collections.disconnect()
      loop[Symbol.dispose]()
    },
  }
}

function observeUsage(metrics: Metrics): void {
  const gauge = (name: string, help: string, read: () => number | undefined): void => {
    metrics.gaugeOf({ name, help }, () => {
      const value = read()
      return value === undefined ? [] : [[{}, value]]
    }, 'process')
  }
  const startedAt = performance.timeOrigin / 1000
  metrics.counterOf({ name: 'process_cpu_seconds_total', help: 'CPU time of the process in seconds' }, () => {
    const { user, system } = process.cpuUsage()
    return (user + system) / 1e6
  })
  gauge('process_cpu_user_seconds_total', 'User CPU time in seconds', () => process.cpuUsage().user / 1e6)
  gauge('process_cpu_system_seconds_total', 'System CPU time in seconds', () => process.cpuUsage().system / 1e6)
  gauge('process_resident_memory_bytes', 'Resident memory in bytes', () => process.memoryUsage.rss())
  gauge('process_virtual_memory_bytes', 'Virtual memory in bytes', virtualMemoryBytes)
  gauge('process_start_time_seconds', 'Start of the process, seconds since 1970', () => startedAt)
  gauge('process_open_fds', 'Open file descriptors', () => count('/proc/self/fd'))
  gauge('process_max_fds', 'Most file descriptors that may be open', maxDescriptors)
}

/** Pauses by garbage collection. */
function observeCollections(metrics: Metrics): PerformanceObserver {
  const time = metrics.histogram(
    { name: 'python_gc_time', help: 'Seconds of garbage collection', labels: ['gen'], buckets: seconds }, 'process',
  )
  const observer = new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) time.observe({ gen: generations.get(kindOf(entry)) ?? 'other' }, entry.duration / 1000)
  })
  observer.observe({ entryTypes: ['gc'] })
  return observer
}

function kindOf(entry: PerformanceEntry): number {
  const detail: unknown = 'detail' in entry ? entry.detail : undefined
  return typeof detail === 'object' && detail !== null && 'kind' in detail && typeof detail.kind === 'number' ? detail.kind : -1
}

/** Lateness of the event loop, sampled each second: the counterpart of the reactor's tick time. */
function observeLoop(metrics: Metrics): Disposable {
  const tick = metrics.histogram(
    { name: 'python_twisted_reactor_tick_time', help: 'Lateness of the event loop in seconds', buckets: seconds }, 'process',
  )
  metrics.gaugeOf({ name: 'python_twisted_reactor_last_seen', help: 'Last turn of the event loop, seconds since 1970' },
    () => [[{}, Date.now() / 1000]], 'process')
  const delay = monitorEventLoopDelay({ resolution: 20 })
  delay.enable()
  const timer = setInterval(() => {
    tick.observe({}, Math.max(0, delay.percentile(99) / 1e9 - 0.02))
    delay.reset()
  }, 1000).unref()
  return {
    [Symbol.dispose]() {
      clearInterval(timer)
      delay.disable()
    },
  }
}

/** `/proc` exists on Linux only; elsewhere the metric has no series. */
function fromProc<Value>(read: () => Value): Value | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}

function count(folder: string): number | undefined {
  return fromProc(() => readdirSync(folder).length)
}

function virtualMemoryBytes(): number | undefined {
  return fromProc(() => Number(/^VmSize:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]) * 1024)
}

function maxDescriptors(): number | undefined {
  return fromProc(() => Number(/^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1]))
}
