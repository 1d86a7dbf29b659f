/** Registration at the HTTP door. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { testServer } from '#test/kit/test-server.ts'

test('a user registers, logs in and logs out', async (t) => {
  const server = await testServer(t)
  const alice = await server.register('alice')
  assert.equal(alice.userId, '@alice:test.example')
  const again = await server.login('alice')
  assert.notEqual(again.token, alice.token)
  await again.post('/logout').ok()
  assert.equal((await again.post('/logout').fails(401, 'M_UNKNOWN_TOKEN'))['soft_logout'], false)
  await alice.post('/logout/all').ok()
  await alice.post('/logout').fails(401, 'M_UNKNOWN_TOKEN')
  assert.deepEqual(server.errors, [])
})
