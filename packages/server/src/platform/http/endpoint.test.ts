/** The declaration of endpoints: inferred types, paths. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Type } from 'typebox'
import { endpoint, pathsOf } from './endpoint.ts'
import type { NeedsOf } from './endpoint.ts'
import { withStatus } from './reply.ts'

type Needs = { greetings: { greet(name: string, times: number): string } }

const greet = endpoint({
  id: 'greet',
  method: 'PUT',
  base: 'client',
  path: '/greet/:name/:txnId?',
  versions: ['v3', 'r0', 'unstable/org.example.greet'],
  spec: 'none',
  auth: 'user',
  limit: 'none',
  role: 'generic',
  errors: ['M_FORBIDDEN'],
  query: Type.Object({ times: Type.Optional(Type.Integer()) }),
  body: Type.Object({ suffix: Type.String() }),
  reply: Type.Object({ text: Type.String(), ids: Type.Array(Type.String()) }),
  handler: async ({ greetings }: Needs, { requester, params, query, body }) => {
    const ids: readonly string[] = [requester.userId, params.txnId]
    return { text: greetings.greet(params.name, query.times ?? 1) + body.suffix, ids }
  },
})

const upload = endpoint({
  id: 'upload',
  method: 'POST',
  base: 'media',
  path: '/upload',
  versions: ['v3'],
  spec: 'none',
  auth: 'optional',
  limit: { rc: 'rc_message', by: 'user' },
  role: 'media',
  errors: [],
  bodyKind: 'raw',
  handler: async ({ store }: { store: { size: number } }, { requester, stream }) => {
    const user: string | undefined = requester?.userId
    stream.resume()
    return withStatus(201, { user, size: store.size })
  },
})

test('the needs of a list of endpoints are the intersection of theirs', () => {
  const list = [greet, upload]
  const needs: NeedsOf<(typeof list)[number]> = { greetings: { greet: (name) => name }, store: { size: 1 } }
  assert.equal(needs.store.size, 1)
})

test('a declaration is frozen and knows its paths', () => {
  assert.ok(Object.isFrozen(greet))
  assert.deepEqual(pathsOf(greet), [
    '/_matrix/client/v3/greet/:name/:txnId?',
    '/_matrix/client/r0/greet/:name/:txnId?',
    '/_matrix/client/unstable/org.example.greet/greet/:name/:txnId?',
  ])
  assert.deepEqual(pathsOf({ base: 'client', versions: [], path: '/versions' }), ['/_matrix/client/versions'])
  assert.deepEqual(pathsOf({ base: 'root', versions: [], path: '/health' }), ['/health'])
})
