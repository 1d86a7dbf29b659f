/** Listeners over real sockets: addresses, resources, proxies' headers, TLS, unix sockets, stopping. */
import assert from 'node:assert/strict'
import { copyFileSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import type { RequestOptions } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { refuse } from '@myelin/protocol/errors.ts'
import { RateLimits } from '#platform/limits/rate-limits.ts'
import type { Logger } from '#platform/log/logger.ts'
import { Metrics } from '#platform/metrics/metrics.ts'
import { TestClock } from '#test/kit/test-clock.ts'
import { endpoint } from './endpoint.ts'
import { Listeners } from './listeners.ts'
import type { ListenerConfig } from './listeners.ts'
import { RawReply } from './reply.ts'

const plain = { method: 'GET', spec: '', auth: 'none', limit: 'none', role: 'generic', errors: [] } as const
type Needs = { entered: (signal: AbortSignal) => void }

const endpoints = [
  endpoint({
    ...plain, id: 'origin', base: 'client', versions: ['v3'], path: '/origin',
    handler: (_, { ip, scheme, requestId }) => ({ ip, scheme, requestId }),
  }),
  endpoint({ ...plain, id: 'version', base: 'federation', versions: ['v1'], path: '/version', handler: () => ({}) }),
  endpoint({ ...plain, id: 'userinfo', base: 'federation', versions: ['v1'], path: '/openid/userinfo', handler: () => ({}) }),
  endpoint({ ...plain, id: 'config', base: 'media', versions: ['v3'], path: '/config', handler: () => ({}) }),
  endpoint({ ...plain, id: 'key', base: 'key', versions: ['v2'], path: '/server', handler: () => ({}) }),
  endpoint({ ...plain, id: 'health', base: 'root', versions: [], path: '/health', handler: () => new RawReply({ body: 'OK' }) }),
  endpoint({
    ...plain, id: 'poll', base: 'client', versions: ['v3'], path: '/poll',
    handler: async ({ entered }: Needs, { signal }) => {
      entered(signal)
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
      return { woken: true }
    },
  }),
  endpoint({
    ...plain, id: 'stuck', base: 'client', versions: ['v3'], path: '/stuck',
    handler: ({ entered }: Needs, { signal }) => {
      entered(signal)
      return new Promise<object>(() => undefined)
    },
  }),
]

const basic: ListenerConfig = {
  port: 0, bind_addresses: ['127.0.0.1'], type: 'http', tls: false, x_forwarded: false, resources: [{ names: ['client'], compress: false }],
}

type Files = { certificatePath?: string, privateKeyPath?: string }

async function start(t: TestContext, configs: readonly Partial<ListenerConfig>[], tls: Files = {}) {
  const lines: string[] = []
  const write = (message: string): void => void lines.push(message)
  const logger: Logger = { debug: write, info: write, warn: write, error: write }
  const entries: (() => void)[] = []
  const listeners = await Listeners.start({
    listeners: configs.map((config) => ({ ...basic, ...config })),
    endpoints,
    needs: { entered: () => entries.shift()?.() },
    authenticate: () => { throw refuse('M_UNKNOWN_TOKEN', 'No.') },
    limits: new RateLimits({ clock: new TestClock(), rates: new Map() }),
    logger: () => logger,
    metrics: new Metrics('test'),
    exposeMetrics: true,
    ...tls,
  })
  t.after(() => listeners.close(0))
  return { listeners, lines, entered: () => new Promise<void>((resolve) => entries.push(resolve)) }
}

function get(options: RequestOptions, secure = false): Promise<{ status: number, text: string, connection: string | undefined }> {
  return new Promise((resolve, reject) => {
    const settings = { host: '127.0.0.1', ...options, ...(secure ? { rejectUnauthorized: false } : {}) }
    const sent = (secure ? httpsRequest : httpRequest)(settings, (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => (text += chunk))
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text, connection: response.headers.connection }))
      response.on('error', reject)
    })
    sent.on('error', reject)
    sent.end()
  })
}

const originPath = '/_matrix/client/v3/origin'

test('the default addresses tolerate a machine without IPv6, and share port 0', async (t) => {
  const { listeners } = await start(t, [{ bind_addresses: undefined }])
  const [first] = listeners.addresses
  assert.ok(listeners.addresses.every(({ port }) => port === first?.port && port > 0))
  const port = listeners.addresses.find(({ host }) => host === '0.0.0.0')?.port
  assert.equal((await get({ port, path: '/health' })).text, 'OK')
})

test('a taken port stops the start with advice', async (t) => {
  const { listeners } = await start(t, [{}])
  const again = start(t, [{ port: listeners.addresses[0]?.port }])
  await assert.rejects(again, /Cannot listen on 127\.0\.0\.1 port \d+: another process already listens there/)
})

test('resources decide what is mounted', async (t) => {
  const { listeners } = await start(t, [
    {},
    { resources: [{ names: ['federation', 'metrics'], compress: false }] },
    { resources: [{ names: ['keys'], compress: false }] },
    { type: 'metrics' },
    { resources: [{ names: ['openid', 'media'], compress: false }] },
  ])
  const paths = [
    originPath, '/_matrix/federation/v1/version', '/_matrix/federation/v1/openid/userinfo', '/_matrix/media/v3/config',
    '/_matrix/key/v2/server', '/health', '/_synapse/metrics',
  ]
  const table: number[][] = []
  for (const { port } of listeners.addresses) table.push(await Promise.all(paths.map(async (path) => (await get({ port, path })).status)))
  assert.deepEqual(table, [
    [200, 404, 404, 200, 404, 200, 404],
    [404, 200, 200, 200, 200, 200, 200],
    [404, 404, 404, 404, 200, 200, 404],
    [404, 404, 404, 404, 404, 404, 200],
    [404, 404, 200, 200, 404, 200, 404],
  ])
  const port = listeners.addresses[3]?.port
  assert.equal((await get({ port, path: '/_synapse/metrics', method: 'HEAD' })).status, 405)
  assert.match((await get({ port, path: '/_synapse/metrics/x' })).text, /synapse_http_server_requests_received_total/)
})

test('forwarded headers count only where they are trusted', async (t) => {
  const { listeners, lines } = await start(t, [{}, { x_forwarded: true, request_id_header: 'X-Request-Id' }])
  const [open, trusted] = listeners.addresses
  const ask = async (port: number | undefined, headers: Readonly<Record<string, string>>): Promise<Record<string, string>> =>
    JSON.parse((await get({ port, path: originPath, headers: { ...headers } })).text)
  const forwarded = { 'X-Forwarded-For': '203.0.113.9, 10.0.0.1', 'X-Forwarded-Proto': 'https', 'X-Request-Id': 'abc' }
  const ignored = await ask(open?.port, forwarded)
  assert.deepEqual([ignored['ip'], ignored['scheme']], ['127.0.0.1', 'http'])
  assert.match(ignored['requestId'] ?? '', /^GET-\d+$/)
  assert.deepEqual(await ask(trusted?.port, forwarded), { ip: '203.0.113.9', scheme: 'https', requestId: 'abc' })
  const bare = await ask(trusted?.port, {})
  assert.deepEqual([bare['ip'], bare['scheme']], ['127.0.0.1', 'http'])
  assert.ok(!lines.some((line) => line.includes('X-Forwarded-Proto')))
  assert.equal((await ask(trusted?.port, { 'X-Forwarded-For': '2001:db8::1' }))['scheme'], 'https')
  assert.equal(lines.filter((line) => line.includes('X-Forwarded-Proto')).length, 1)
  const forged = await ask(trusted?.port, { 'X-Forwarded-For': 'evil"\t', 'X-Forwarded-Proto': 'http', 'X-Request-Id': 'a b' })
  assert.equal(forged['ip'], '127.0.0.1')
})

test('TLS with certificates that can be read again', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'listeners-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const file = (name: string): string => fileURLToPath(new URL(`../../../test/kit/tls/${name}`, import.meta.url))
  const certificatePath = join(folder, 'crt')
  const privateKeyPath = join(folder, 'key')
  await assert.rejects(start(t, [{ tls: true }]), /tls_certificate_path/)
  await assert.rejects(start(t, [{ tls: true }], { certificatePath, privateKeyPath }), /Cannot read .*crt, given by `tls_certificate_path`/)
  copyFileSync(file('localhost.crt'), certificatePath)
  copyFileSync(file('localhost.key'), privateKeyPath)
  const { listeners } = await start(t, [{ tls: true }], { certificatePath, privateKeyPath })
  const port = listeners.addresses[0]?.port
  assert.equal(JSON.parse((await get({ port, path: originPath }, true)).text).scheme, 'https')
  await listeners.reload()
  rmSync(certificatePath)
  await assert.rejects(listeners.reload(), /Cannot read/)
  assert.equal((await get({ port, path: originPath }, true)).status, 200)
})

test('unix sockets have their mode; a stale file is replaced, a living one is not', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'listeners-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'socket')
  const { listeners } = await start(t, [{ port: undefined, path, mode: 0o660 }])
  assert.equal(statSync(path).mode & 0o777, 0o660)
  assert.equal((await get({ socketPath: path, path: '/health' })).text, 'OK')
  assert.deepEqual(listeners.addresses, [{ host: path, port: 0 }])
  await assert.rejects(start(t, [{ port: undefined, path }]), /already listens/)
})

test('what is not HTTP, or has endless headers, gets an answer in JSON', async (t) => {
  const { listeners } = await start(t, [{}])
  const port = listeners.addresses[0]?.port ?? 0
  const say = (text: string): Promise<string> => new Promise((resolve) => {
    let answer = ''
    const socket = connect(port, '127.0.0.1', () => socket.write(text))
    socket.on('data', (chunk) => (answer += chunk.toString()))
    socket.on('close', () => resolve(answer))
  })
  assert.match(await say('nonsense\r\n\r\n'), /^HTTP\/1\.1 400 .*"errcode":"M_UNKNOWN"/s)
  assert.match(await say(`GET / HTTP/1.1\r\nHost: x\r\nX: ${'y'.repeat(40_000)}\r\n\r\n`), /^HTTP\/1\.1 431 /)
})

test('stopping wakes what waits, answers it, and cuts what is stuck after the deadline', async (t) => {
  const { listeners, entered } = await start(t, [{}])
  const port = listeners.addresses[0]?.port
  let waiting = entered()
  const polling = get({ port, path: '/_matrix/client/v3/poll' })
  await waiting
  const startedAt = performance.now()
  await listeners.close(4000)
  assert.ok(performance.now() - startedAt < 3500)
  assert.deepEqual(await polling, { status: 200, text: '{"woken":true}', connection: 'close' })
  await assert.rejects(get({ port, path: originPath }), /ECONNREFUSED/)

  const other = await start(t, [{}])
  waiting = other.entered()
  const stuck = get({ port: other.listeners.addresses[0]?.port, path: '/_matrix/client/v3/stuck' })
  const cut = assert.rejects(stuck, /socket hang up|ECONNRESET/)
  await waiting
  const before = performance.now()
  await other.listeners.close(100)
  assert.ok(performance.now() - before < 3500)
  await cut
})
