/** Push rules at the HTTP door. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import { testServer } from '#test/kit/test-server.ts'
import type { TestClient } from '#test/kit/test-client.ts'

async function ids(client: TestClient, kind: string): Promise<unknown[]> {
  const global = await client.get('/pushrules/global/').ok()
  const rules = global[kind]
  return Array.isArray(rules) ? rules.map((rule: { rule_id: string }) => rule.rule_id) : []
}

const notify = { actions: ['notify'] }

test('push rules: read', async (t) => {
  const server = await testServer(t)
  const alice = await server.register('alice')
  const all = await alice.get('/pushrules/').ok()
  assert.deepEqual(all['global'], await alice.get('/pushrules/global/').ok())
  assert.deepEqual(all, await alice.get('/pushrules').ok())
  assert.deepEqual((await ids(alice, 'override'))[0], '.m.rule.master')
  assert.equal((await alice.get('/pushrules/global/override/.m.rule.master').ok())['enabled'], false)
  assert.deepEqual(await alice.get('/pushrules/global/override/.m.rule.master/enabled').ok(), { enabled: false })
  assert.deepEqual(await alice.get('/pushrules/global/underride/.m.rule.message/actions').ok(), { actions: ['notify'] })
  assert.ok((await alice.get('/pushrules/global/content/')).text.startsWith('[{"rule_id":".m.rule.contains_user_name"'))
  await alice.get('/pushrules/device/').fails(400, 'M_INVALID_PARAM')
  await alice.get('/pushrules/global/constructor/x').fails(400, 'M_INVALID_PARAM')
  for (const end of ['', '/enabled', '/actions']) await alice.get(`/pushrules/global/content/toString${end}`).fails(404, 'M_NOT_FOUND')
  await server.anonymous().get('/pushrules/').fails(401, 'M_MISSING_TOKEN')
})

test('push rules: add, order, change, delete', async (t) => {
  const server = await testServer(t)
  const alice = await server.register('alice')
  const put = (id: string, query = '') => alice.put(`/pushrules/global/override/${id}${query}`, { ...notify, conditions: [] })
  for (const id of ['a', 'b', 'c']) await put(id).ok()
  assert.deepEqual((await ids(alice, 'override')).slice(0, 4), ['.m.rule.master', 'c', 'b', 'a'])
  await put('d', '?after=b').ok()
  await put('e', '?before=c').ok()
  await put('a', '?before=d&after=c').ok()
  assert.deepEqual((await ids(alice, 'override')).slice(1, 6), ['e', 'c', 'b', 'a', 'd'])
  await alice.put('/pushrules/global/override/b/enabled', { enabled: false }).ok()
  await put('b').ok()
  assert.deepEqual((await ids(alice, 'override')).slice(1, 6), ['e', 'c', 'b', 'a', 'd'])
  assert.deepEqual(await alice.get('/pushrules/global/override/b/enabled').ok(), { enabled: false })
  await put('x', '?before=nothing').fails(400, 'M_UNKNOWN')
  await put('x', '?after=.m.rule.master').fails(400, 'M_UNKNOWN')
  await put('.x').fails(400, 'M_INVALID_PARAM')
  await put('a%2Fb').fails(400, 'M_INVALID_PARAM')
  await put('a%5Cb').fails(400, 'M_INVALID_PARAM')
  await put('x'.repeat(256)).fails(400, 'M_INVALID_PARAM')
  await alice.put('/pushrules/global/content/cake', notify).fails(400, 'M_INVALID_PARAM')
  await alice.put('/pushrules/global/content/cake', { ...notify, pattern: 'cake*lie' }).ok()
  assert.deepEqual(await alice.get('/pushrules/global/content/cake').ok(), { rule_id: 'cake', default: false, enabled: true, actions: ['notify'], pattern: 'cake*lie' })
  await alice.put('/pushrules/global/room/__proto__', { actions: ['dont_notify'] }).ok()
  assert.deepEqual(await alice.get('/pushrules/global/room/__proto__/actions').ok(), { actions: ['dont_notify'] })
  await alice.put('/pushrules/global/room/x', { actions: ['dance'] }).fails(400, 'M_INVALID_PARAM')
  await alice.put('/pushrules/other/room/x', notify).fails(400, 'M_INVALID_PARAM')
  await alice.delete('/pushrules/global/override/a').ok()
  await alice.delete('/pushrules/global/override/a').fails(404, 'M_NOT_FOUND')
  await alice.put('/pushrules/global/override/a/enabled', { enabled: true }).fails(404, 'M_NOT_FOUND')
  await alice.put('/pushrules/global/override/a/actions', notify).fails(404, 'M_NOT_FOUND')
  await alice.put('/pushrules/global/override/b/enabled', {}).fails(400, 'M_MISSING_PARAM')
  await alice.put('/pushrules/global/override/b/actions', {}).fails(400, 'M_MISSING_PARAM')
  await alice.put('/pushrules/global/override/b/actions', { actions: [{ set_tweak: 1 }] }).fails(400, 'M_INVALID_PARAM')
})

test('push rules: default rules can be changed, not deleted', async (t) => {
  const server = await testServer(t)
  const alice = await server.register('alice')
  const { pushRules, accountData } = server.services
  const userId = alice.userId as UserId
  const before = { compiled: await pushRules.compiledFor(userId), position: accountData.stream.position }
  await alice.put('/pushrules/global/underride/.m.rule.message/actions', { actions: [] }).ok()
  await alice.put('/pushrules/global/override/.m.rule.master/enabled', { enabled: true }).ok()
  assert.deepEqual(await alice.get('/pushrules/global/underride/.m.rule.message/actions').ok(), { actions: [] })
  assert.deepEqual(await alice.get('/pushrules/global/override/.m.rule.master/enabled').ok(), { enabled: true })
  await alice.delete('/pushrules/global/override/.m.rule.master').fails(400, 'M_INVALID_PARAM')
  await alice.delete('/pushrules/global/override/.m.rule.unknown').fails(404, 'M_NOT_FOUND')
  assert.notEqual(await pushRules.compiledFor(userId), before.compiled)
  const changes = await accountData.changesSince(userId, before.position, accountData.stream.position)
  assert.equal(changes.length, 1)
  const content: unknown = JSON.parse(changes[0]?.content ?? '')
  assert.deepEqual(content, await alice.get('/pushrules/').ok())
  assert.deepEqual(content, await alice.get(`/user/${encodeURIComponent(alice.userId)}/account_data/m.push_rules`).ok())
})
