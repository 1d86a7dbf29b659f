/**
 * Requests that are broken in the same way at every endpoint, made from the declarations: path parameters that are no identifiers, bodies that are no JSON.
 *
 * Spec: client-server API, "Standard error response".
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { endpoints } from '#app/routes.ts'
import { pathsOf, type Endpoint } from '#platform/http/endpoint.ts'
import { filledPath } from '../kit/endpoint-paths.ts'
import type { TestClient } from '../kit/test-client.ts'
import { testServer, type TestServer } from '../kit/test-server.ts'

const samples: Readonly<Record<string, string>> = {
  roomId: '!room:test.example', roomIdOrAlias: '!room:test.example', eventId: '$event', roomAlias: '#alias:test.example', keyName: 'displayname', kind: 'override',
  scope: 'global', receiptType: 'm.read',
}
/** Those that an unsigned request reaches. */
const reachable = endpoints.filter(({ auth }) => auth !== 'server' && auth !== 'appservice')

/** Names of the path parameters whose form an endpoint checks. */
function checkedParameters({ params }: Endpoint): string[] {
  const properties: unknown = params && 'properties' in params ? params.properties : undefined
  if (typeof properties !== 'object' || properties === null) return []
  return Object.entries(properties).filter(([, schema]: [string, unknown]) => typeof schema === 'object' && schema !== null && 'pattern' in schema).map(([name]) => name)
}

/** Who may call an endpoint. */
async function callers(server: TestServer): Promise<(endpoint: Endpoint) => TestClient> {
  const [alice, admin, anonymous] = [await server.register('alice'), await server.admin(), server.anonymous()]
  return ({ auth }) => (auth === 'none' ? anonymous : auth === 'admin' ? admin : alice)
}

function urlOf(endpoint: Endpoint, userId: string, values: Readonly<Record<string, string>> = {}): string {
  const [path = ''] = pathsOf(endpoint)
  return filledPath(path, { ...samples, userId, ...values }, 'word')
}

test('a path parameter that has not the form of its identifier is refused', async (t) => {
  const server = await testServer(t)
  const callerOf = await callers(server)
  for (const endpoint of reachable) {
    for (const name of checkedParameters(endpoint)) {
      const caller = callerOf(endpoint)
      const body = endpoint.method === 'GET' || endpoint.method === 'DELETE' ? undefined : {}
      await caller.send(endpoint.method, urlOf(endpoint, caller.userId, { [name]: 'no identifier' }), body).fails(400, 'M_INVALID_PARAM')
    }
  }
})

test('a body that is no JSON is refused', async (t) => {
  const server = await testServer(t)
  const callerOf = await callers(server)
  for (const endpoint of reachable) {
    if (endpoint.bodyKind === 'raw' || (endpoint.body === undefined && endpoint.bodyKind === undefined)) continue
    const caller = callerOf(endpoint)
    for (const text of ['{"a":', 'a=b', '']) {
      if (text === '' && endpoint.bodyKind === 'optional-json') continue
      await caller.send(endpoint.method, urlOf(endpoint, caller.userId), text, { headers: { 'content-type': 'application/json' } }).fails(400, 'M_NOT_JSON')
    }
    await caller.send(endpoint.method, urlOf(endpoint, caller.userId), '[]', { headers: { 'content-type': 'application/json' } }).fails(400, 'M_BAD_JSON')
  }
  assert.deepEqual(server.errors, [])
})
