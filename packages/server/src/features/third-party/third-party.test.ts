/** Look-ups in other networks at the HTTP door. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { JsonObject } from '@myelin/protocol/json/json.ts'
import { testServer } from '#test/kit/test-server.ts'

test('third-party look-ups without and with a network', async (t) => {
  const server = await testServer(t)
  const alice = await server.register('alice')
  assert.deepEqual(await alice.get('/thirdparty/protocols').ok(), {})
  await alice.get('/thirdparty/protocol/irc').fails(404, 'M_NOT_FOUND')
  await alice.get('/thirdparty/protocol/constructor').fails(404, 'M_NOT_FOUND')
  for (const path of ['location/irc?channel=x', 'user/irc', 'location?alias=%23a:x', 'user?userid=@a:x']) assert.equal((await alice.get(`/thirdparty/${path}`)).text, '[]')
  await alice.get('/thirdparty/location').fails(400, 'M_MISSING_PARAM')
  await alice.get('/thirdparty/user').fails(400, 'M_MISSING_PARAM')
  await server.anonymous().get('/thirdparty/protocols').fails(401, 'M_MISSING_TOKEN')
  const irc: JsonObject = { user_fields: [], location_fields: [], icon: 'mxc://x/y', field_types: {}, instances: [] }
  server.services.thirdParty.add({
    protocols: async () => new Map([['irc', irc]]),
    lookup: async (kind, protocol, fields) => [kind === 'user'
      ? { userid: '@a:x', protocol, fields: Object.fromEntries([...fields].map(([name, values]) => [name, values.join()])) }
      : { alias: '#a:x', protocol, fields: {} }],
    reverse: async () => [],
  })
  assert.deepEqual(await alice.get('/thirdparty/protocols').ok(), { irc })
  assert.deepEqual(await alice.get('/thirdparty/protocol/irc').ok(), irc)
  const found = await alice.get(`/thirdparty/user/irc?nick=n&access_token=${alice.token}`)
  assert.deepEqual(JSON.parse(found.text), [{ userid: '@a:x', protocol: 'irc', fields: { nick: 'n' } }])
})
