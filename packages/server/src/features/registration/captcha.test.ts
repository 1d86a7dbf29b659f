/** The captcha of registration, with a server that stands in for the one that checks answers. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { text } from 'node:stream/consumers'
import { test, type TestContext } from 'node:test'
import { ConfigError } from '#platform/config/fault.ts'
import { testServer, type TestServer } from '#test/kit/test-server.ts'

interface Verifier {
  readonly url: string
  /** What it was asked. */
  readonly asked: Record<string, string>[]
}

/** A verifier to which the answer `human` is right. @param reply answers everything instead */
async function verifier(t: TestContext, reply?: { readonly status: number; readonly body: string }): Promise<Verifier> {
  const asked: Record<string, string>[] = []
  const server = createServer(async (request, response) => {
    const fields = Object.fromEntries(new URLSearchParams(await text(request)))
    asked.push({ ...fields, method: request.method ?? '', path: request.url ?? '' })
    const isRight = fields['response'] === 'human' && fields['secret'] === 'private key'
    response.writeHead(reply?.status ?? 200, { 'content-type': 'application/json' })
    response.end(reply?.body ?? JSON.stringify(isRight ? { success: true, hostname: 'x' } : { 'success': false, 'error-codes': ['invalid-input-response'] }))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  assert.ok(typeof address === 'object' && address !== null)
  return { url: `http://127.0.0.1:${address.port}/siteverify`, asked }
}

function captchaServer(t: TestContext, url: string, more = ''): Promise<TestServer> {
  return testServer(t, { config: `enable_registration_captcha: true\nrecaptcha_public_key: "public <key>"\nrecaptcha_private_key: private key\nrecaptcha_siteverify_api: ${url}\n${more}` })
}

const body = { username: 'alice', password: 'secret of alice' }

test('who registers solves a captcha', async (t) => {
  const { url, asked } = await verifier(t)
  const nobody = (await captchaServer(t, url)).anonymous()
  const first = await nobody.post('/register', body)
  assert.equal(first.status, 401)
  assert.deepEqual(first.body['flows'], [{ stages: ['m.login.recaptcha'] }])
  assert.deepEqual(first.body['params'], { 'm.login.recaptcha': { public_key: 'public <key>' } })
  const auth = { type: 'm.login.recaptcha', session: first.body['session'] }
  assert.equal((await nobody.post('/register', { ...body, auth }).fails(401, 'M_CAPTCHA_NEEDED'))['session'], auth.session)
  assert.equal(asked.length, 0)
  assert.equal((await nobody.post('/register', { ...body, auth: { ...auth, response: 'machine' } }).fails(401, 'M_CAPTCHA_INVALID'))['session'], auth.session)
  const done = await nobody.post('/register', { ...body, auth: { ...auth, response: 'human' } }).ok()
  assert.equal(done['user_id'], '@alice:test.example')
  assert.deepEqual(asked.at(-1), { secret: 'private key', response: 'human', remoteip: '127.0.0.1', method: 'POST', path: '/siteverify' })
})

test('a browser solves it on a page', async (t) => {
  const { url } = await verifier(t)
  const nobody = (await captchaServer(t, url)).anonymous()
  const session = String((await nobody.post('/register', body)).body['session'])
  const path = `/auth/m.login.recaptcha/fallback/web?session=${session}`
  const page = await nobody.get(path)
  assert.match(page.text, /<script src="https:\/\/www\.recaptcha\.net\/recaptcha\/api\.js"[^>]*>.*data-sitekey="public &#60;key&#62;"/)
  assert.match(page.headers.get('content-security-policy') ?? '', /script-src https:\/\/www\.recaptcha\.net\/recaptcha\/ .*frame-src/)
  const refused = await nobody.post(path, 'g-recaptcha-response=machine')
  assert.equal(refused.status, 401)
  assert.match(refused.text, /not solved; try again.*g-recaptcha/)
  assert.match((await nobody.post(path, 'g-recaptcha-response=human')).text, /onAuthDone/)
  await nobody.post('/register', { ...body, auth: { session } }).ok()
})

test('captcha and registration token follow each other in one flow', async (t) => {
  const { url } = await verifier(t)
  const server = await captchaServer(t, url, 'registration_requires_token: true\n')
  await (await server.admin()).post('/_synapse/admin/v1/registration_tokens/new', { token: 'let-me-in' }).ok()
  const nobody = server.anonymous()
  const first = await nobody.post('/register', body)
  assert.deepEqual(first.body['flows'], [{ stages: ['m.login.recaptcha', 'm.login.registration_token'] }])
  const { session } = first.body
  await nobody.post('/register', { ...body, auth: { type: 'm.login.registration_token', token: 'let-me-in', session } }).fails(401, 'M_FORBIDDEN')
  const next = await nobody.post('/register', { ...body, auth: { type: 'm.login.recaptcha', response: 'human', session } })
  assert.deepEqual([next.status, next.body['completed'], next.body['errcode']], [401, ['m.login.recaptcha'], undefined])
  await nobody.post('/register', { ...body, auth: { type: 'm.login.registration_token', token: 'let-me-in', session } }).ok()
})

test('a verifier that gives no answer is no verdict', async (t) => {
  const gone = await verifier(t)
  const cases = [(await verifier(t, { status: 200, body: 'no JSON' })).url, (await verifier(t, { status: 500, body: '{}' })).url, gone.url.replace(/:\d+/, ':1')]
  for (const url of cases) {
    const nobody = (await captchaServer(t, url)).anonymous()
    const { session } = (await nobody.post('/register', body)).body
    await nobody.post('/register', { ...body, auth: { type: 'm.login.recaptcha', response: 'human', session } }).fails(502, 'M_CONNECTION_FAILED')
    const page = await nobody.post(`/auth/m.login.recaptcha/fallback/web?session=${String(session)}`, 'g-recaptcha-response=human')
    assert.equal(page.status, 502)
    assert.match(page.text, /cannot be checked at the moment/)
  }
})

test('without a captcha there is no such stage, and one without keys stops the start', async (t) => {
  const nobody = (await testServer(t)).anonymous()
  assert.equal((await nobody.get('/auth/m.login.recaptcha/fallback/web?session=x')).status, 404)
  await assert.rejects(testServer(t, { config: 'enable_registration_captcha: true\n' }), (error) => error instanceof ConfigError && /recaptcha_public_key/.test(error.message))
})
