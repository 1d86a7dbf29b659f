/**
 * Loaded into the measured server by `--profile`: watches its event loop and its CPU from the inside, one figure at a time, on the word of the
 * benchmark, which speaks to it over a unix socket.
 */
import { createServer } from 'node:http'
import { writeFileSync } from 'node:fs'
import { Session } from 'node:inspector/promises'
import { monitorEventLoopDelay } from 'node:perf_hooks'

const socket = process.env['MYELIN_BENCH_OBSERVER']
// Programs that the server starts inherit the environment; only the first one is observed.
delete process.env['MYELIN_BENCH_OBSERVER']
delete process.env['NODE_OPTIONS']

/** Sampling interval of the profile in microseconds. */
const samplingInterval = 200

if (socket !== undefined) {
  const session = new Session()
  const delay = monitorEventLoopDelay({ resolution: 1 })
  session.connect()
  await session.post('Profiler.enable')
  await session.post('Profiler.setSamplingInterval', { interval: samplingInterval })
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://observer')
    void answer(url).then((reply) => response.end(JSON.stringify(reply)))
  })
  async function answer(url: URL): Promise<object> {
    if (url.pathname === '/begin') {
      delay.reset()
      delay.enable()
      await session.post('Profiler.start')
      return {}
    }
    const { profile } = await session.post('Profiler.stop')
    delay.disable()
    writeFileSync(url.searchParams.get('file') ?? 'myelin.cpuprofile', JSON.stringify(profile))
    return { worstMs: delay.max / 1e6 }
  }
  server.listen(socket)
  server.unref()
}
