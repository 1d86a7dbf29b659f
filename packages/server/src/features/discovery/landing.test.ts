import assert from 'node:assert/strict'
import { test } from 'node:test'
import { testServer } from '#test/kit/test-server.ts'

test('the root shows that the server runs, or leads to the web client', async (t) => {
  const plain = await testServer(t)
  assert.match((await plain.anonymous().get('/')).text, /Myelin is running/)
  const other = await testServer(t, { config: 'web_client_location: https://client.example/\n' })
  const reply = await other.anonymous().get('/')
  assert.equal(reply.status, 302)
  assert.equal(reply.headers.get('location'), 'https://client.example/')
})

test('a closed server says so to everybody who is logged in', async (t) => {
  const server = await testServer(t, { config: 'hs_disabled: true\nhs_disabled_message: Back on Monday\nadmin_contact: mailto:admin@test.example\n' })
  const alice = await server.register('alice')
  const refusal = await alice.get('/account/whoami').fails(403, 'M_RESOURCE_LIMIT_EXCEEDED')
  assert.equal(refusal['error'], 'Back on Monday')
  assert.equal(refusal['admin_contact'], 'mailto:admin@test.example')
  await server.anonymous().get('/_matrix/client/versions').ok()
})
