/** Which servers carry calls. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { testServer } from '#test/kit/test-server.ts'

test('transports for calls are told as they are configured', async (t) => {
  const path = '/_matrix/client/unstable/org.matrix.msc4143/rtc/transports'
  const server = await testServer(t, {
    config: 'experimental_features: {msc4143_enabled: true}\nmatrix_rtc: {transports: [{type: livekit, livekit_service_url: "https://rtc.test.example/jwt"}]}\n',
  })
  const alice = await server.register('alice')
  assert.deepEqual(await alice.get(path).ok(), { rtc_transports: [{ type: 'livekit', livekit_service_url: 'https://rtc.test.example/jwt' }] })
  await server.anonymous().get(path).fails(401, 'M_MISSING_TOKEN')
  await (await (await testServer(t)).register('bob')).get(path).fails(404, 'M_UNRECOGNIZED')
})
