/** The outbound client against real servers on this machine. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { RequestListener } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { connect } from 'node:net'
import type { AddressInfo, Server } from 'node:net'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib'
import { GuardedClient } from './guarded-client.ts'
import type { FetchOptions } from './guarded-client.ts'
import type { Resolve } from './guarded-lookup.ts'
import { AddressPolicy } from './ip-ranges.ts'
import type { ProxySettings } from './proxies.ts'
import { RemoteError } from './remote-error.ts'
import type { RemoteFailure } from './remote-error.ts'

const cert = readFileSync(new URL('../../../test/kit/tls/localhost.crt', import.meta.url), 'utf8')
const key = readFileSync(new URL('../../../test/kit/tls/localhost.key', import.meta.url), 'utf8')
const denyAll = new AddressPolicy({ deny: ['0.0.0.0/0', '::/0'] })
const allowLocal = new AddressPolicy({ deny: ['0.0.0.0/0', '::/0'], allow: ['127.0.0.1'] })
const noProxies: ProxySettings = { httpProxy: undefined, httpsProxy: undefined, noProxy: [] }

async function portOf(t: TestContext, server: Server & { closeAllConnections?(): void }): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  t.after(() => server.closeAllConnections?.())
  return (server.address() as AddressInfo).port
}

const names: Resolve = (host) => {
  const known: Readonly<Record<string, string[]>> = { 'good.test': ['127.0.0.1'], 'evil.test': ['127.0.0.1', '10.0.0.1'], 'inner.test': ['127.0.0.2'] }
  const addresses = known[host]
  return addresses === undefined
    ? Promise.reject(Object.assign(new Error(`no ${host}`), { code: 'ENOTFOUND' }))
    : Promise.resolve(addresses.map((address) => ({ address, family: 4 })))
}

interface Settings { readonly policy?: AddressPolicy, readonly proxies?: ProxySettings, readonly ca?: string }

function clientOf(t: TestContext, { policy = allowLocal, proxies = noProxies, ca }: Settings = {}): GuardedClient {
  const client = new GuardedClient({ policy, proxies, userAgent: 'Test', resolve: names, tls: ca === undefined ? {} : { ca } })
  t.after(() => client.close())
  return client
}

async function fails(client: GuardedClient, url: string, failure: RemoteFailure, options: FetchOptions = {}): Promise<RemoteError> {
  const error = await client.fetch(url, options).then(() => assert.fail(`${url} was fetched`), (thrown: unknown) => thrown)
  assert.ok(error instanceof RemoteError, String(error))
  assert.equal(error.failure, failure, error.message)
  return error
}

test('sends method, headers and body; answers status, headers, body', async (t) => {
  const port = await portOf(t, createServer((request, response) => {
    response.setHeader('X-Seen', `${request.method} ${request.url} ${request.headers['user-agent']} ${request.headers['x-own']}`)
    response.statusCode = 418
    request.pipe(response)
  }))
  const answer = await clientOf(t).fetch(`http://good.test:${port}/a?b=1`, { method: 'PUT', headers: { 'X-Own': 'yes' }, body: 'böDy' })
  assert.deepEqual([answer.status, answer.headers['x-seen'], answer.body.toString()], [418, 'PUT /a?b=1 Test yes', 'böDy'])
})

test('forbidden addresses get no packet, in any spelling', async (t) => {
  const server = createServer((_, response) => response.end('secret'))
  const port = await portOf(t, server)
  let connections = 0
  server.on('connection', () => connections++)
  const client = clientOf(t, { policy: denyAll })
  const hosts = ['127.0.0.1', '2130706433', '0x7f.1', '0177.0.0.1', '127.1', '[::ffff:127.0.0.1]', '[::1]', '0.0.0.0', '[::]', 'good.test']
  for (const host of hosts) {
    await fails(client, `http://${host}:${port}/`, 'forbidden-address')
  }
  await fails(clientOf(t), `http://evil.test:${port}/`, 'forbidden-address')
  await fails(client, 'file:///etc/passwd', 'forbidden-address')
  await fails(client, 'gopher://127.0.0.1/', 'forbidden-address')
  assert.equal(connections, 0)
  assert.equal((await client.fetch(`http://good.test:${port}/`, { policy: allowLocal })).body.toString(), 'secret')
  await fails(client, `http://good.test:${port}/`, 'forbidden-address')
})

test('every redirect is checked anew, counted, and keeps secrets at their origin', async (t) => {
  const seen: string[] = []
  const port = await portOf(t, createServer((request, response) => {
    seen.push(`${request.method} ${request.url} ${request.headers.authorization ?? ''} ${request.headers.host}`)
    const to = new URL(request.url ?? '', 'http://x').searchParams.get('to')
    if (to === null) response.end('done')
    else response.writeHead(Number(request.url?.slice(1, 4)), { Location: to }).end()
  }))
  const client = clientOf(t)
  const redirect = (to: string, status = 302): string => `http://127.0.0.1:${port}/${status}?to=${encodeURIComponent(to)}`
  const follow: FetchOptions = { maxRedirects: 5 }
  assert.equal((await client.fetch(redirect('/there'))).status, 302)
  assert.equal((await client.fetch(redirect('/there'), follow)).body.toString(), 'done')
  await fails(client, redirect('http://inner.test/'), 'forbidden-address', follow)
  await fails(client, redirect('http://10.0.0.1/'), 'forbidden-address', follow)
  await fails(client, redirect('file:///etc/passwd'), 'forbidden-address', follow)
  await fails(client, redirect('http://0x7f000002/'), 'forbidden-address', follow)
  const fiveHops = [1, 2, 3, 4].reduce((to) => redirect(to), 'http://10.0.0.1/')
  await fails(client, redirect(fiveHops), 'forbidden-address', follow)
  await fails(client, redirect(redirect(redirect('/end'))), 'redirects', { maxRedirects: 2 })
  seen.length = 0
  const answer = await client.fetch(redirect(`http://good.test:${port}/end`), {
    ...follow, method: 'POST', body: 'x', headers: { Authorization: 'secret' },
  })
  assert.equal(answer.url.href, `http://good.test:${port}/end`)
  assert.match(seen[0] ?? '', /^POST .* secret/)
  assert.equal(seen[1], `GET /end  good.test:${port}`)
  await client.fetch(redirect('/same', 307), { ...follow, method: 'POST', body: 'x', headers: { Authorization: 'secret' } })
  assert.match(seen.at(-1) ?? '', /^POST \/same secret/)
})

test('bodies are decompressed and bounded, also bombs and endless ones', async (t) => {
  // A gzip file may have several members.
  const bomb = Buffer.concat(Array<Buffer>(8).fill(gzipSync(Buffer.alloc(50_000_000))))
  let closed = (): void => undefined
  const endless: RequestListener = (_, response) => {
    const write = (): void => void (response.write(Buffer.alloc(10_000)) ? setImmediate(write) : response.once('drain', write))
    response.on('close', () => closed())
    write()
  }
  const encodings = new Map([['gzip', gzipSync('plain')], ['br', brotliCompressSync('plain')], ['deflate', deflateSync('plain')]])
  const port = await portOf(t, createServer((request, response) => {
    const name = (request.url ?? '').slice(1)
    const body = encodings.get(name)
    if (body !== undefined) response.setHeader('Content-Encoding', name).end(body)
    else if (name === 'bomb') response.setHeader('Content-Encoding', 'gzip').end(bomb)
    else if (name === 'broken') response.setHeader('Content-Encoding', 'gzip').end('no gzip')
    else if (name === 'strange') response.setHeader('Content-Encoding', 'gzip, gzip').end('x')
    else if (name === 'announced') response.setHeader('Content-Length', 5000).end(Buffer.alloc(5000))
    else endless(request, response)
  }))
  const client = clientOf(t)
  const at = `http://127.0.0.1:${port}`
  for (const name of encodings.keys()) assert.equal((await client.fetch(`${at}/${name}`)).body.toString(), 'plain')
  const before = process.memoryUsage().rss
  await fails(client, `${at}/bomb`, 'too-large', { maxBytes: 100_000 })
  assert.ok(process.memoryUsage().rss - before < 200_000_000)
  await fails(client, `${at}/broken`, 'bad-answer')
  await fails(client, `${at}/strange`, 'bad-answer')
  await fails(client, `${at}/announced`, 'too-large', { maxBytes: 4999 })
  assert.equal((await client.fetch(`${at}/announced`, { maxBytes: 5000 })).body.length, 5000)
  const gone = new Promise<void>((resolve) => (closed = resolve))
  await fails(client, `${at}/endless`, 'too-large', { maxBytes: 1_000_000 })
  await gone
})

test('time is bounded for the head and for the whole body', async (t) => {
  const port = await portOf(t, createServer((request, response) => {
    if (request.url === '/drip') response.write('x')
  }))
  const client = clientOf(t)
  assert.ok((await fails(client, `http://127.0.0.1:${port}/silent`, 'timeout', { timeoutMs: 100 })).timedOut)
  await fails(client, `http://127.0.0.1:${port}/drip?secret=1`, 'timeout', { timeoutMs: 100 })
  const stop = new AbortController()
  const stopped = fails(client, `http://127.0.0.1:${port}/silent`, 'aborted', { signal: stop.signal })
  stop.abort()
  await stopped
})

test('failures are told apart', async (t) => {
  const port = await portOf(t, createServer((request) => request.socket.end('no http at all\r\n\r\n')))
  const tlsPort = await portOf(t, createTlsServer({ cert, key }, (_, response) => response.end('tls')))
  const client = clientOf(t)
  await fails(client, 'http://127.0.0.1:1/', 'connection')
  await fails(client, 'http://unknown.test/', 'unknown-host')
  await fails(client, `http://127.0.0.1:${port}/`, 'bad-answer')
  await fails(client, 'http://', 'bad-answer')
  await fails(client, `https://127.0.0.1:${tlsPort}/`, 'tls')
  assert.equal((await clientOf(t, { ca: cert }).fetch(`https://127.0.0.1:${tlsPort}/`)).body.toString(), 'tls')
  const error = await fails(client, 'http://127.0.0.1:1/p?access_token=x', 'connection')
  assert.equal(error.url, 'http://127.0.0.1:1/p')
})

test('proxies: absolute form for http, CONNECT for https, the target is still checked', async (t) => {
  const lines: string[] = []
  const targetPort = await portOf(t, createServer((_, response) => response.end('target')))
  const tlsPort = await portOf(t, createTlsServer({ cert, key }, (_, response) => response.end('tls')))
  const proxy = createServer((request, response) => {
    lines.push(`${request.method} ${request.url} ${request.headers['proxy-authorization'] ?? ''}`)
    response.end('by proxy')
  })
  proxy.on('connect', (request, socket) => {
    lines.push(`CONNECT ${request.url}`)
    const upstream = connect(Number(request.url?.split(':')[1]), '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n')
      upstream.pipe(socket).pipe(upstream)
    })
    upstream.on('error', () => socket.destroy())
    socket.on('error', () => upstream.destroy())
  })
  const proxyPort = await portOf(t, proxy)
  const proxies: ProxySettings = {
    httpProxy: `http://u:p@127.0.0.1:${proxyPort}`, httpsProxy: `127.0.0.1:${proxyPort}`, noProxy: ['good.test'],
  }
  const client = clientOf(t, { proxies, ca: cert })
  assert.equal((await client.fetch(`http://127.0.0.1:${targetPort}/x`)).body.toString(), 'by proxy')
  assert.deepEqual(lines, [`GET http://127.0.0.1:${targetPort}/x Basic dTpw`])
  assert.equal((await client.fetch(`https://127.0.0.1:${tlsPort}/`)).body.toString(), 'tls')
  assert.equal(lines[1], `CONNECT 127.0.0.1:${tlsPort}`)
  assert.equal((await client.fetch(`http://good.test:${targetPort}/`)).body.toString(), 'target')
  assert.equal((await client.fetch('http://only-the-proxy-knows.test/')).body.toString(), 'by proxy')
  const count = lines.length
  await fails(client, 'http://inner.test/', 'forbidden-address')
  await fails(client, 'https://10.0.0.1/', 'forbidden-address')
  assert.equal(lines.length, count)
})
