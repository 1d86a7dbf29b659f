/**
 * What every endpoint has in common, asked of each that is declared: pre-flights, CORS headers on every answer, wrong methods, tokens.
 *
 * Spec: client-server API, "Web Browser Clients", "Common error codes", "Using access tokens", "Guest access".
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { endpoints } from '#app/routes.ts'
import { pathsOf } from '#platform/http/endpoint.ts'
import { endpointsAt, filledPath } from '../kit/endpoint-paths.ts'
import type { TestClient } from '../kit/test-client.ts'
import { testServer } from '../kit/test-server.ts'

/** Values by the names of path parameters; what is not named takes a word. */
const samples: Readonly<Record<string, string>> = {
  roomId: '!room:test.example', roomIdOrAlias: '!room:test.example', userId: '@nobody:test.example', eventId: '$event', roomAlias: '#alias:test.example',
  serverName: 'test.example', keyName: 'displayname', scope: 'global', kind: 'override', receiptType: 'm.read', authType: 'm.login.dummy',
}
const methods = ['GET', 'POST', 'PUT', 'DELETE', 'PATCH'] as const

const urlOf = (path: string): string => filledPath(path, samples, 'word')

/** Each path with the methods that some endpoint takes on it; a word may also be the value of another endpoint's parameter. */
function methodsByUrl(): Map<string, ReadonlySet<string>> {
  const urls = new Set(endpoints.flatMap((endpoint) => pathsOf(endpoint).map(urlOf)))
  return new Map([...urls].map((url) => [url, new Set(endpointsAt(url).map((each) => each.method))]))
}

function assertCors(headers: Headers, what: string): void {
  assert.equal(headers.get('access-control-allow-origin'), '*', what)
  assert.match(headers.get('access-control-allow-methods') ?? '', /GET.*POST.*PUT.*DELETE.*OPTIONS/, what)
  assert.match(headers.get('access-control-allow-headers') ?? '', /X-Requested-With.*Content-Type.*Authorization/, what)
}

test('every endpoint answers pre-flights without a token', async (t) => {
  const server = await testServer(t)
  for (const url of methodsByUrl().keys()) {
    const reply = await fetch(server.url + url, { method: 'OPTIONS', headers: { origin: 'https://app.example', 'access-control-request-method': 'PUT' } })
    assert.equal(reply.status, 204, url)
    assertCors(reply.headers, url)
    assert.equal(await reply.text(), '', url)
  }
})

test('a method that no endpoint of the path takes is refused with 405 M_UNRECOGNIZED', async (t) => {
  const server = await testServer(t)
  for (const [url, taken] of methodsByUrl()) {
    const wrong = methods.find((method) => !taken.has(method)) ?? 'PATCH'
    const reply = await fetch(server.url + url, { method: wrong, ...(wrong === 'GET' ? {} : { body: '{}' }) })
    assert.equal(`${reply.status} ${String(errcodeOf(await reply.json()))}`, '405 M_UNRECOGNIZED', `${wrong} ${url}`)
    assertCors(reply.headers, url)
  }
})

test('paths of no endpoint are refused with 404 M_UNRECOGNIZED, below every prefix and with every method', async (t) => {
  const server = await testServer(t)
  const prefixes = new Set([...methodsByUrl().keys()].map((url) => url.split('/').slice(0, 4).join('/')))
  for (const prefix of [...prefixes, '/_matrix', '/_matrix/client/v3', '/_matrix/client/v99', '/_synapse', '/.well-known/matrix']) {
    for (const method of methods) {
      const reply = await fetch(`${server.url}${prefix}/no/such/endpoint/at/all`, { method, ...(method === 'GET' ? {} : { body: '{}' }) })
      assert.equal(`${reply.status} ${String(errcodeOf(await reply.json()))}`, '404 M_UNRECOGNIZED', `${method} ${prefix}`)
      assertCors(reply.headers, prefix)
    }
  }
})

test('endpoints that need a token refuse requests without one, with a wrong one, and guests where these may not call', async (t) => {
  const server = await testServer(t)
  const [guest, anonymous] = [await server.guest(), server.anonymous()]
  for (const endpoint of endpoints) {
    const { auth, method } = endpoint
    if (auth === 'none' || auth === 'server') continue
    for (const path of pathsOf(endpoint)) {
      const what = `${method} ${path}`
      const ask = async (client: TestClient): Promise<string> => {
        const { status, headers, body } = await client.send(method, urlOf(path), method === 'GET' || method === 'DELETE' ? undefined : '{}')
        assertCors(headers, what)
        return `${status} ${String(body['errcode'])}`
      }
      if (auth !== 'optional') assert.equal(await ask(anonymous), '401 M_MISSING_TOKEN', what)
      assert.equal(await ask(anonymous.withToken('nonsense')), '401 M_UNKNOWN_TOKEN', what)
      if (auth === 'user') assert.equal(await ask(guest), '403 M_GUEST_ACCESS_FORBIDDEN', what)
    }
  }
})

function errcodeOf(body: unknown): unknown {
  return typeof body === 'object' && body !== null && 'errcode' in body ? body.errcode : undefined
}
