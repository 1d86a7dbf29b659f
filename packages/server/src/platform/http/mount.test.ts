/** Endpoints at the HTTP door, over real sockets. */
import assert from 'node:assert/strict'
import { createServer, request as httpRequest } from 'node:http'
import type { IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { connect } from 'node:net'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { Type } from 'typebox'
import { MatrixError, refuse } from '@myelin/protocol/errors.ts'
import type { ServerName, UserId } from '@myelin/protocol/ids/ids.ts'
import { RemoteError } from '#platform/fetch/remote-error.ts'
import { RateLimits } from '#platform/limits/rate-limits.ts'
import { logContext } from '#platform/log/context.ts'
import type { Logger } from '#platform/log/logger.ts'
import { Metrics } from '#platform/metrics/metrics.ts'
import { TestClock } from '#test/kit/test-clock.ts'
import { Application } from './application.ts'
import { endpoint } from './endpoint.ts'
import { HttpMetrics } from './http-metrics.ts'
import { mountEndpoints } from './mount.ts'
import { JsonText, RawReply, redirect, withStatus } from './reply.ts'
import type { Authenticator, Requester } from './requester.ts'
import { ActiveRequests } from './served-request.ts'

interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
  readonly json: { readonly [key: string]: unknown }
}

interface Sent {
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Buffer
}

const alice: Requester = {
  userId: '@alice:test' as UserId, deviceId: 'D', accessTokenId: 1, isGuest: false, isAdmin: false, isSuspended: false, isLocked: false,
  appserviceId: undefined, rateLimited: true,
}
const requesters = new Map<string, Requester>([
  ['alice', alice],
  ['guest', { ...alice, isGuest: true }],
  ['admin', { ...alice, isAdmin: true, rateLimited: false }],
  ['locked', { ...alice, isLocked: true }],
  ['suspended', { ...alice, isSuspended: true }],
  ['bridge', { ...alice, appserviceId: 'bridge' }],
])
const authenticate: Authenticator = ({ token, userId }) => {
  const requester = requesters.get(token)
  if (requester === undefined) throw refuse('M_UNKNOWN_TOKEN', 'Unknown token.', { soft_logout: false })
  return userId === undefined ? requester : Promise.resolve({ ...requester, userId: userId as UserId })
}

const plain = { method: 'GET', base: 'client', versions: ['v3', 'r0'], spec: '', limit: 'none', role: 'generic', errors: [] } as const

type Needs = { release: { wait(signal: AbortSignal): Promise<void> } }

const endpoints = [
  endpoint({ ...plain, id: 'open', path: '/open', auth: 'none', handler: () => ({ open: true }) }),
  endpoint({
    ...plain, id: 'whoami', path: '/whoami', auth: 'guest',
    handler: (_, { requester, ip }) => ({ user_id: requester.userId, ip }),
  }),
  endpoint({ ...plain, id: 'member', path: '/member', auth: 'user', handler: (_, { requester }) => ({ user_id: requester.userId }) }),
  endpoint({
    ...plain, id: 'maybe', path: '/maybe', auth: 'optional', handler: (_, { requester }) => ({ user_id: requester?.userId ?? null }),
  }),
  endpoint({ ...plain, id: 'boss', path: '/boss', auth: 'admin', handler: () => ({}) }),
  endpoint({ ...plain, id: 'bridge', path: '/bridge', auth: 'appservice', handler: () => ({}) }),
  endpoint({ ...plain, id: 'logout', path: '/logout', method: 'POST', auth: 'user', lockedAllowed: true, handler: () => ({}) }),
  endpoint({ ...plain, id: 'post', path: '/post', method: 'POST', auth: 'user', suspendedRefused: true, handler: () => ({}) }),
  endpoint({
    ...plain, id: 'send', method: 'PUT', path: '/rooms/:roomId/send/:eventType/:txnId', auth: 'none',
    body: Type.Object({
      count: Type.Optional(Type.Integer()),
      kind: Type.Optional(Type.Union([Type.Literal('a'), Type.Literal('b')])),
      nested: Type.Optional(Type.Object({ list: Type.Array(Type.Object({ id: Type.String() })) })),
      must: Type.String(),
    }),
    maxBodyBytes: 70_000,
    handler: (_, { params, body }) => ({ params, body }),
  }),
  endpoint({
    ...plain, id: 'state', path: '/rooms/:roomId/state/:eventType/:stateKey?', auth: 'none',
    handler: (_, { params }) => ({ stateKey: params.stateKey, eventType: params.eventType }),
  }),
  endpoint({
    ...plain, id: 'query', path: '/query', auth: 'none',
    query: Type.Object({
      limit: Type.Optional(Type.Integer({ minimum: 0 })),
      full: Type.Optional(Type.Boolean()),
      server: Type.Optional(Type.Array(Type.String())),
      dir: Type.Union([Type.Literal('f'), Type.Literal('b')]),
      text: Type.Optional(Type.String()),
      room: Type.Optional(Type.String({ pattern: '^!', description: 'a room id such as !abc:example.org' })),
      user: Type.Optional(Type.String({ pattern: '^@' })),
    }),
    handler: (_, { query }) => ({ ...query, isNumber: typeof query.limit === 'number' }),
  }),
  endpoint({
    ...plain, id: 'loose', path: '/loose', method: 'POST', auth: 'none', bodyKind: 'optional-json',
    handler: (_, { body }) => ({ keys: Object.keys(body) }),
  }),
  endpoint({
    ...plain, id: 'upload', path: '/upload', method: 'POST', auth: 'none', bodyKind: 'raw',
    handler: async (_, { stream }) => {
      let size = 0
      for await (const chunk of stream) size += Buffer.byteLength(chunk)
      return { size }
    },
  }),
  endpoint({
    ...plain, id: 'context', path: '/context', method: 'POST', auth: 'none', bodyKind: 'json',
    handler: () => ({ request: logContext()?.request }),
  }),
  endpoint({ ...plain, id: 'text', path: '/text', auth: 'none', handler: () => new JsonText('{"a":1}') }),
  endpoint({
    ...plain, id: 'page', path: '/page', auth: 'none',
    handler: () => new RawReply({ headers: { 'content-type': 'text/html', 'Access-Control-Allow-Origin': 'https://x' }, body: '<p>ü' }),
  }),
  endpoint({
    ...plain, id: 'stream', path: '/stream', auth: 'none',
    handler: () => new RawReply({ headers: { 'Content-Type': 'text/plain' }, body: Readable.from(['one', 'two']) }),
  }),
  endpoint({ ...plain, id: 'away', path: '/away', auth: 'none', handler: () => redirect('https://example.org/') }),
  endpoint({ ...plain, id: 'uia', path: '/uia', auth: 'none', handler: () => withStatus(401, { session: 's' }) }),
  endpoint({
    ...plain, id: 'fail', path: '/fail/:how', auth: 'none',
    handler: (_, { params }) => {
      if (params.how === 'bug') throw new TypeError('secret detail')
      if (params.how === 'slow') throw new RemoteError('timeout', 'https://x/', 'too slow')
      if (params.how === 'remote') throw new RemoteError('connection', 'https://x/', 'refused')
      throw new MatrixError(429, 'M_LIMIT_EXCEEDED', 'Slow down.', { retry_after_ms: 1500 })
    },
  }),
  endpoint({
    ...plain, id: 'limited', path: '/limited', auth: 'optional', limit: { rc: 'rc_message', by: 'user' }, handler: () => ({}),
  }),
  endpoint({
    ...plain, id: 'poll', path: '/poll', auth: 'none',
    handler: async ({ release }: Needs, { signal }) => {
      await release.wait(signal)
      return { woken: true }
    },
  }),
  endpoint({
    ...plain, id: 'signed', base: 'federation', versions: ['v1'], method: 'PUT', path: '/signed', auth: 'server', bodyKind: 'json',
    handler: (_, { origin, body }) => ({ origin, keys: Object.keys(body) }),
  }),
  endpoint({ ...plain, id: 'rules', path: '/pushrules/', auth: 'none', handler: () => ({}) }),
  endpoint({
    ...plain, id: 'health', base: 'root', versions: [], path: '/health', auth: 'none', handler: () => new RawReply({ body: 'OK' }),
  }),
]

async function serve(t: TestContext) {
  const lines: string[] = []
  const access: string[] = []
  const log = (sink: string[]): Logger => {
    const write = (message: string, fields?: Readonly<Record<string, unknown>>): void => {
      sink.push(fields?.['error'] instanceof Error ? `${message} ${fields['error'].message}` : message)
    }
    return { debug: write, info: write, warn: write, error: write }
  }
  const clock = new TestClock()
  const metrics = new Metrics('test')
  const active = new ActiveRequests()
  const waiting: AbortSignal[] = []
  const wait = (signal: AbortSignal): Promise<void> => {
    waiting.push(signal)
    return new Promise((resolve) => signal.addEventListener('abort', () => resolve()))
  }
  const application = new Application()
  mountEndpoints(application, endpoints, { release: { wait } }, {
    authenticate,
    authenticateServer: ({ authorization, uri }) => `${authorization}|${uri}` as ServerName,
    limits: new RateLimits({ clock, rates: new Map([['rc_message', { perSecond: 1, burstCount: 2 }]]) }),
    logger: log(lines),
    accessLogger: log(access),
    metrics: new HttpMetrics(metrics),
    active,
    listener: { siteTag: '8008', xForwarded: false, requestIdHeader: 'x-request-id', compress: true },
  })
  const server = createServer(application.routing)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  t.after(() => server.closeAllConnections())
  const { port } = server.address() as AddressInfo
  const ask = (method: string, path: string, { headers = {}, body }: Sent = {}): Promise<Answer> => new Promise((resolve, reject) => {
    const full = path.startsWith('/_') || path === '/health' ? path : `/_matrix/client/v3${path}`
    const sent = httpRequest({ port, method, path: full, headers }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString()
        const json = String(response.headers['content-type']).includes('json') && text.startsWith('{') ? JSON.parse(text) : {}
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text, json })
      })
    })
    sent.on('error', reject)
    sent.end(body)
  })
  const refused = async (sent: Promise<Answer>, status: number, errcode: string, words?: RegExp): Promise<void> => {
    const answer = await sent
    assert.deepEqual([answer.status, answer.json['errcode']], [status, errcode], answer.text)
    if (words !== undefined) assert.match(String(answer.json['error']), words)
  }
  return { ask, refused, lines, access, metrics, active, waiting, port, clock }
}

const as = (token: string): Sent => ({ headers: { Authorization: `Bearer ${token}` } })

test('answers JSON with CORS and security headers, at every version', async (t) => {
  const { ask } = await serve(t)
  for (const path of ['/open', '/_matrix/client/r0/open']) {
    const answer = await ask('GET', path)
    assert.equal(answer.status, 200)
    assert.deepEqual(answer.json, { open: true })
    assert.equal(answer.headers['content-type'], 'application/json')
    assert.equal(answer.headers['content-length'], '13')
    assert.equal(answer.headers['access-control-allow-origin'], '*')
    assert.equal(answer.headers['x-content-type-options'], 'nosniff')
  }
  const head = await ask('HEAD', '/open')
  assert.deepEqual([head.status, head.text, head.headers['content-length']], [200, '', '13'])
})

test('OPTIONS answers 204 with CORS on any path, without a token', async (t) => {
  const { ask } = await serve(t)
  for (const path of ['/whoami', '/nothing/here', '/rooms/%ff/x']) {
    const answer = await ask('OPTIONS', path)
    assert.match(String(answer.headers['access-control-allow-methods']), /PUT/)
    assert.equal(answer.headers['access-control-allow-headers'], 'X-Requested-With, Content-Type, Authorization, Date, If-Match, If-None-Match')
    assert.equal(answer.status, 204, path)
  }
})

test('unknown paths are 404, wrong methods 405', async (t) => {
  const { ask, refused } = await serve(t)
  await refused(ask('GET', '/nothing'), 404, 'M_UNRECOGNIZED')
  await refused(ask('POST', '/nothing', { headers: { 'content-type': 'strange/x;;' }, body: 'x' }), 404, 'M_UNRECOGNIZED')
  await refused(ask('DELETE', '/open'), 405, 'M_UNRECOGNIZED')
  await refused(ask('GET', '/rooms/!a:b/send/m.x/1?y=1'), 405, 'M_UNRECOGNIZED')
  await refused(ask('PUT', '/rooms//send/m.x/1', { body: '{}' }), 404, 'M_UNRECOGNIZED')
  await refused(ask('PUT', '/rooms/!a/send/m.x/', { body: '{"must":""}' }), 404, 'M_UNRECOGNIZED')
  assert.equal((await ask('GET', '/pushrules/')).status, 200)
  assert.equal((await ask('GET', '/pushrules')).status, 200)
})

test('tokens: missing, empty, malformed, unknown, by header and by query', async (t) => {
  const { ask, refused } = await serve(t)
  await refused(ask('GET', '/whoami'), 401, 'M_MISSING_TOKEN')
  await refused(ask('GET', '/whoami', { headers: { Authorization: 'Bearer ' } }), 401, 'M_MISSING_TOKEN')
  await refused(ask('GET', '/whoami', { headers: { Authorization: 'Bearer' } }), 401, 'M_MISSING_TOKEN')
  await refused(ask('GET', '/whoami', { headers: { Authorization: 'Basic YTpi' } }), 401, 'M_MISSING_TOKEN')
  await refused(ask('GET', '/whoami?access_token='), 401, 'M_MISSING_TOKEN')
  await refused(ask('GET', '/whoami?access_token=alice%00'), 401, 'M_UNKNOWN_TOKEN')
  await refused(ask('GET', '/whoami?access_token=alice%20'), 401, 'M_UNKNOWN_TOKEN')
  await refused(ask('GET', '/whoami?access_token=alice&access_token=alice'), 401, 'M_UNKNOWN_TOKEN')
  await refused(ask('GET', '/whoami', as('nobody')), 401, 'M_UNKNOWN_TOKEN')
  await refused(ask('GET', '/whoami', as('Alice')), 401, 'M_UNKNOWN_TOKEN')
  await refused(ask('GET', '/maybe', as('nobody')), 401, 'M_UNKNOWN_TOKEN')
  assert.equal((await ask('GET', '/whoami', as('alice'))).json['user_id'], '@alice:test')
  assert.equal((await ask('GET', '/whoami', { headers: { authorization: 'bearer alice' } })).status, 200)
  assert.equal((await ask('GET', '/whoami?access_token=alice')).status, 200)
  assert.equal((await ask('GET', '/maybe')).json['user_id'], null)
  assert.equal((await ask('GET', '/whoami?user_id=@ghost:test', as('bridge'))).json['user_id'], '@ghost:test')
})

test('levels of authentication', async (t) => {
  const { ask, refused } = await serve(t)
  assert.equal((await ask('GET', '/whoami', as('guest'))).status, 200)
  await refused(ask('GET', '/member', as('guest')), 403, 'M_GUEST_ACCESS_FORBIDDEN')
  await refused(ask('GET', '/boss', as('alice')), 403, 'M_FORBIDDEN')
  assert.equal((await ask('GET', '/boss', as('admin'))).status, 200)
  await refused(ask('GET', '/bridge', as('alice')), 403, 'M_FORBIDDEN')
  assert.equal((await ask('GET', '/bridge', as('bridge'))).status, 200)
  const locked = await ask('GET', '/whoami', as('locked'))
  assert.deepEqual([locked.status, locked.json['errcode'], locked.json['soft_logout']], [401, 'M_USER_LOCKED', true])
  assert.equal((await ask('POST', '/logout', as('locked'))).status, 200)
  await refused(ask('POST', '/post', as('suspended')), 403, 'M_USER_SUSPENDED')
  assert.equal((await ask('GET', '/whoami', as('suspended'))).status, 200)
  const signed = await ask('PUT', '/_matrix/federation/v1/signed?x=1', { headers: { authorization: 'X-Matrix a' }, body: '{"k":1}' })
  assert.deepEqual(signed.json, { origin: 'X-Matrix a|/_matrix/federation/v1/signed?x=1', keys: ['k'] })
})

test('bodies: any content type, kept open, refused with a sentence', async (t) => {
  const { ask, refused } = await serve(t)
  const put = (body: string | Buffer, headers: Readonly<Record<string, string>> = {}): Promise<Answer> =>
    ask('PUT', '/rooms/!r:x/send/m.room.message/1', { body, headers })
  for (const type of ['application/json', 'text/plain', 'nonsense', 'application/json; charset=x;;']) {
    assert.equal((await put('{"must":"x","other":{"y":[1]}}', { 'content-type': type })).status, 200, type)
  }
  const proto = await put('{"must":"x","__proto__":{"a":1},"constructor":1,"must":"y"}')
  assert.ok(proto.text.includes('"__proto__":{"a":1}') && proto.text.includes('"must":"y"'), proto.text)
  await refused(put(''), 400, 'M_NOT_JSON', /no body/)
  await refused(put('{"must":'), 400, 'M_NOT_JSON')
  await refused(put(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x7d])), 400, 'M_NOT_JSON', /UTF-8/)
  for (const body of ['null', '[]', '1', '"x"']) await refused(put(body), 400, 'M_BAD_JSON', /must be a JSON object/)
  await refused(put('{"must":"\\ud800"}'), 400, 'M_BAD_JSON', /surrogate/)
  assert.equal((await put('{"must":"\\ud83d\\ude00"}')).status, 200)
  await refused(put('{}'), 400, 'M_MISSING_PARAM', /'must'/)
  await refused(put('{"must":1}'), 400, 'M_BAD_JSON', /'must'.*string/)
  await refused(put('{"must":"","count":1.5}'), 400, 'M_BAD_JSON', /'count'.*integer/)
  await refused(put('{"must":"","kind":"z"}'), 400, 'M_BAD_JSON', /'kind'.*"a", "b"/)
  await refused(put('{"must":"","nested":{"list":[{"id":2}]}}'), 400, 'M_BAD_JSON', /nested\.list\.0\.id/)
  const nulls = await put('{"must":"","count":null,"kind":null,"nested":null,"other":null,"__proto__":null}')
  assert.ok(nulls.text.endsWith('"body":{"must":"","other":null,"__proto__":null}}'), nulls.text)
  await refused(put('{"must":null,"count":null}'), 400, 'M_BAD_JSON', /'must'.*string/)
  await refused(put('{"must":"","count":null,"kind":"z"}'), 400, 'M_BAD_JSON')
  await refused(put('{"must":"","nested":{"list":null}}'), 400, 'M_BAD_JSON', /'nested.list'/)
  await refused(put('{"must":"","nested":{"list":[{}]}}'), 400, 'M_MISSING_PARAM', /nested\.list\.0\.id/)
  await refused(put(JSON.stringify({ must: 'x'.repeat(70_000) })), 413, 'M_TOO_LARGE', /70000/)
  const chunked = { headers: { 'transfer-encoding': 'chunked' }, body: 'x'.repeat(99_000) }
  await refused(ask('PUT', '/rooms/!r:x/send/m.x/1', chunked), 413, 'M_TOO_LARGE')
})

test('deep nesting is refused before anything recurses', async (t) => {
  const { ask, refused } = await serve(t)
  const deep = `{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}`
  const startedAt = performance.now()
  await refused(ask('POST', '/loose', { body: deep }), 400, 'M_BAD_JSON', /256/)
  assert.ok(performance.now() - startedAt < 2000)
  assert.equal((await ask('POST', '/loose', { body: JSON.stringify({ brackets: '[{'.repeat(1000), quote: '\\"[' }) })).status, 200)
})

test('optional and raw bodies', async (t) => {
  const { ask, refused } = await serve(t)
  assert.deepEqual((await ask('POST', '/loose')).json, { keys: [] })
  assert.deepEqual((await ask('POST', '/loose', { body: '{"a":1}' })).json, { keys: ['a'] })
  await refused(ask('POST', '/loose', { body: 'x' }), 400, 'M_NOT_JSON')
  assert.deepEqual((await ask('POST', '/upload', { body: Buffer.alloc(3_000_000) })).json, { size: 3_000_000 })
})

test('path parameters are decoded once; broken encoding is 400; long ones pass', async (t) => {
  const { ask, refused } = await serve(t)
  const body = '{"must":""}'
  const sent = await ask('PUT', '/rooms/%21a%2Fb%3Ac%2541/send/m.%C3%BC/a%20b', { body })
  assert.deepEqual(sent.json['params'], { roomId: '!a/b:c%41', eventType: 'm.ü', txnId: 'a b' })
  const long = await ask('PUT', `/rooms/!r/send/m.x/${'%41'.repeat(4000)}`, { body })
  assert.equal(long.status, 200)
  await refused(ask('PUT', '/rooms/%ff/send/m.x/1', { body }), 400, 'M_INVALID_PARAM')
  await refused(ask('PUT', '/rooms/%zz/send/m.x/1', { body }), 400, 'M_INVALID_PARAM')
})

test('an optional last parameter may be absent or empty', async (t) => {
  const { ask } = await serve(t)
  for (const [path, key] of [['', ''], ['/', ''], ['/k', 'k'], ['/%2F', '/']] as const) {
    assert.deepEqual((await ask('GET', `/rooms/!r/state/m.room.name${path}`)).json, { stateKey: key, eventType: 'm.room.name' }, path)
  }
})

test('query parameters are converted by their schema', async (t) => {
  const { ask, refused } = await serve(t)
  const answer = await ask('GET', '/query?limit=10&full=true&server=a&server=b&dir=f&text=1&extra=x&__proto__=y')
  assert.ok(answer.text.includes('"__proto__":"y"'))
  assert.deepEqual({ ...answer.json, ['__proto__']: undefined }, {
    ['__proto__']: undefined, limit: 10, full: true, server: ['a', 'b'], dir: 'f', text: '1', extra: 'x', isNumber: true,
  })
  assert.deepEqual((await ask('GET', '/query?dir=b&server=one')).json['server'], ['one'])
  assert.equal((await ask('GET', '/query?dir=b&limit=1&limit=2')).json['limit'], 1)
  await refused(ask('GET', '/query'), 400, 'M_MISSING_PARAM', /'dir'/)
  await refused(ask('GET', '/query?dir=x'), 400, 'M_INVALID_PARAM', /'dir'.*"f", "b"/)
  await refused(ask('GET', '/query?dir=f&limit=ten'), 400, 'M_INVALID_PARAM', /'limit'.*integer/)
  await refused(ask('GET', '/query?dir=f&limit=-1'), 400, 'M_INVALID_PARAM', /'limit'/)
  await refused(ask('GET', '/query?dir=f&room=x'), 400, 'M_INVALID_PARAM', /'room' must be a room id such as !abc:example\.org\./)
  await refused(ask('GET', '/query?dir=f&user=x'), 400, 'M_INVALID_PARAM', /'user' must be of the form/)
  await refused(ask('GET', '/query?dir=f&full=yes'), 400, 'M_INVALID_PARAM', /'full'.*boolean/)
})

test('the special forms of a reply', async (t) => {
  const { ask } = await serve(t)
  assert.equal((await ask('GET', '/text')).text, '{"a":1}')
  const page = await ask('GET', '/page')
  assert.deepEqual([page.text, page.headers['content-type'], page.headers['content-length'], page.headers['access-control-allow-origin']],
    ['<p>ü', 'text/html', '5', 'https://x'])
  assert.equal((await ask('GET', '/stream')).text, 'onetwo')
  const away = await ask('GET', '/away')
  assert.deepEqual([away.status, away.headers.location], [302, 'https://example.org/'])
  const uia = await ask('GET', '/uia')
  assert.deepEqual([uia.status, uia.json['session']], [401, 's'])
})

test('a bug is 500 with its text in the log only; remote failures are 502 and 504; 429 has Retry-After', async (t) => {
  const { ask, refused, lines } = await serve(t)
  const bug = await ask('GET', '/fail/bug?access_token=hidden')
  assert.deepEqual([bug.status, bug.json['errcode']], [500, 'M_UNKNOWN'])
  assert.ok(!bug.text.includes('secret detail'))
  assert.ok(lines.some((line) => line.includes('secret detail')) && !lines.some((line) => line.includes('hidden')))
  await refused(ask('GET', '/fail/slow'), 504, 'M_CONNECTION_TIMEOUT')
  await refused(ask('GET', '/fail/remote'), 502, 'M_CONNECTION_FAILED')
  const limited = await ask('GET', '/fail/limit')
  assert.deepEqual([limited.status, limited.json['retry_after_ms'], limited.headers['retry-after']], [429, 1500, '2'])
})

test('rate limits count by user, spare exempt users and fall back to the address', async (t) => {
  const { ask, refused, clock } = await serve(t)
  for (let i = 0; i < 2; i++) assert.equal((await ask('GET', '/limited', as('alice'))).status, 200)
  await refused(ask('GET', '/limited', as('alice')), 429, 'M_LIMIT_EXCEEDED')
  for (let i = 0; i < 4; i++) assert.equal((await ask('GET', '/limited', as('admin'))).status, 200)
  for (let i = 0; i < 2; i++) assert.equal((await ask('GET', '/limited')).status, 200)
  await refused(ask('GET', '/limited'), 429, 'M_LIMIT_EXCEEDED')
  clock.advance(1000)
  assert.equal((await ask('GET', '/limited', as('alice'))).status, 200)
})

test('access log and metrics', async (t) => {
  const { ask, access, metrics } = await serve(t)
  await ask('GET', '/whoami?access_token=alice&x=1', { headers: { 'user-agent': 'Agent" 1', 'x-request-id': 'req-7' } })
  await ask('GET', '/health')
  await ask('GET', '/nothing')
  await ask('GET', '/nothing')
  assert.match(access[0] ?? '', new RegExp('^127\\.0\\.0\\.1 - 8008 - \\{@alice:test\\} Processed request: 0\\.\\d{3}sec/0\\.\\d{3}sec '
    + 'ru=\\(0\\.000sec, 0\\.000sec\\) db=\\(0\\.000sec/0\\.000sec/0\\) 42B 200 '
    + '"GET /_matrix/client/v3/whoami\\?access_token=<redacted>&x=1 HTTP/1\\.1" "Agent\\? 1" \\[0 dbevts\\]$'))
  assert.ok(!access.some((line) => line.includes('/health')))
  const text = await metrics.expose()
  assert.match(text, /synapse_http_server_requests_received_total\{method="GET",servlet="whoami",server_name="test"\} 1/)
  assert.match(text, /synapse_http_server_responses_total\{method="GET",code="200",server_name="test"\}/)
  assert.match(text, /synapse_http_server_in_flight_requests_count\{method="GET",servlet="whoami",server_name="test"\} 0/)
})

test('compresses large answers for clients that ask for it', async (t) => {
  const { ask } = await serve(t)
  const body = JSON.stringify({ must: 'x'.repeat(5000) })
  const zipped = await ask('PUT', '/rooms/!r/send/m.x/1', { body, headers: { 'accept-encoding': 'gzip' } })
  assert.equal(zipped.headers['content-encoding'], 'gzip')
  const plainAnswer = await ask('PUT', '/rooms/!r/send/m.x/1', { body })
  assert.equal(plainAnswer.headers['content-encoding'], undefined)
})

test('a client that leaves in the middle of its body harms nobody', async (t) => {
  const { ask, active, lines, access, port } = await serve(t)
  for (const path of ['/loose', '/upload', '/open']) {
    const socket = connect(port, '127.0.0.1')
    const method = path === '/open' ? 'GET' : 'POST'
    socket.write(`${method} /_matrix/client/v3${path} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"a"`)
    const count = access.length
    while (active.size === 0 && access.length === count) await new Promise((resolve) => setImmediate(resolve))
    socket.destroy()
    while (access.length === count) await new Promise((resolve) => setImmediate(resolve))
  }
  assert.match(access[0] ?? '', / 0B 499! "POST /)
  assert.equal(active.size, 0)
  assert.ok(!lines.some((line) => line.includes('secret') || line.includes('Error')), lines.join('\n'))
  assert.equal((await ask('GET', '/open')).status, 200)
})

test('log lines of a handler carry the id of its request', async (t) => {
  const { ask } = await serve(t)
  assert.deepEqual((await ask('POST', '/context', { body: '{}', headers: { 'x-request-id': 'mine-1' } })).json, { request: 'mine-1' })
})

test('a waiting request learns that its client left, or that the server drains', async (t) => {
  const { ask, active, waiting, port } = await serve(t)
  const socket = connect(port, '127.0.0.1')
  socket.write('GET /_matrix/client/v3/poll HTTP/1.1\r\nHost: x\r\n\r\n')
  while (waiting.length === 0) await new Promise((resolve) => setImmediate(resolve))
  const left = new Promise<void>((resolve) => waiting[0]?.addEventListener('abort', () => resolve()))
  socket.destroy()
  await left
  const polling = ask('GET', '/poll')
  while (waiting.length < 2) await new Promise((resolve) => setImmediate(resolve))
  const drained = active.drain()
  const answer = await polling
  assert.deepEqual([answer.json, answer.headers.connection], [{ woken: true }, 'close'])
  await drained
  assert.equal(active.size, 0)
})
