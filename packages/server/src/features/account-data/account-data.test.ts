/** Account data and tags at the HTTP door. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import { testServer } from '#test/kit/test-server.ts'
import { AccountData } from './account-data.ts'

const room = encodeURIComponent('!any:elsewhere.example')

test('account data: put, get, refusals', async (t) => {
  const server = await testServer(t)
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const mine = `/user/${encodeURIComponent(alice.userId)}`
  await alice.get(`${mine}/account_data/org.test`).fails(404, 'M_NOT_FOUND')
  assert.deepEqual(await alice.put(`${mine}/account_data/org.test`, { a: [1.5, '\u0000'] }).ok(), {})
  assert.deepEqual(await alice.get(`${mine}/account_data/org.test`).ok(), { a: [1.5, '\u0000'] })
  await alice.put(`${mine}/account_data/org.test`, { b: 2 }).ok()
  assert.deepEqual(await alice.get(`/_matrix/client/r0${mine}/account_data/org.test`).ok(), { b: 2 })
  await bob.get(`${mine}/account_data/org.test`).fails(403, 'M_FORBIDDEN')
  await bob.put(`${mine}/account_data/org.test`, {}).fails(403, 'M_FORBIDDEN')
  await server.anonymous().get(`${mine}/account_data/org.test`).fails(401, 'M_MISSING_TOKEN')
  await alice.put(`${mine}/account_data/org.test`, '[]').fails(400, 'M_BAD_JSON')
  await alice.put(`${mine}/account_data/org.test`, '{').fails(400, 'M_NOT_JSON')
  for (const type of ['m.fully_read', 'm.push_rules']) {
    await alice.put(`${mine}/account_data/${type}`, {}).fails(405, 'M_BAD_JSON')
    await alice.put(`${mine}/rooms/${room}/account_data/${type}`, {}).fails(405, 'M_BAD_JSON')
  }
  await alice.put(`${mine}/account_data/${'x'.repeat(256)}`, {}).fails(400, 'M_INVALID_PARAM')
  await alice.put(`${mine}/account_data/a%00b`, {}).fails(400, 'M_INVALID_PARAM')
  for (const type of ['__proto__', 'constructor', 'toString']) {
    await alice.get(`${mine}/account_data/${type}`).fails(404, 'M_NOT_FOUND')
    await alice.put(`${mine}/account_data/${type}`, { own: type }).ok()
    assert.deepEqual(await alice.get(`${mine}/account_data/${type}`).ok(), { own: type })
  }
  await (await server.guest()).get(`${mine}/account_data/org.test`).fails(403, 'M_GUEST_ACCESS_FORBIDDEN')
})

test('account data of rooms', async (t) => {
  const server = await testServer(t)
  const alice = await server.register('alice')
  const mine = `/user/${encodeURIComponent(alice.userId)}/rooms`
  await alice.get(`${mine}/${room}/account_data/org.test`).fails(404, 'M_NOT_FOUND')
  await alice.put(`${mine}/${room}/account_data/org.test`, { a: 1 }).ok()
  assert.deepEqual(await alice.get(`${mine}/${room}/account_data/org.test`).ok(), { a: 1 })
  await alice.get(`/user/${encodeURIComponent(alice.userId)}/account_data/org.test`).fails(404, 'M_NOT_FOUND')
  await alice.put(`${mine}/notaroom/account_data/org.test`, {}).fails(400, 'M_INVALID_PARAM')
  await alice.get(`${mine}/notaroom/account_data/org.test`).fails(400, 'M_INVALID_PARAM')
})

test('tags', async (t) => {
  const server = await testServer(t)
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const tags = `/user/${encodeURIComponent(alice.userId)}/rooms/${room}/tags`
  assert.deepEqual(await alice.get(tags).ok(), { tags: {} })
  await alice.put(`${tags}/m.favourite`, { order: 0.25 }).ok()
  await alice.put(`${tags}/__proto__`, {}).ok()
  assert.equal((await alice.get(tags)).text, '{"tags":{"m.favourite":{"order":0.25},"__proto__":{}}}')
  await Promise.all(['a', 'b', 'c', 'd'].map((tag) => alice.put(`${tags}/${tag}`, {}).ok()))
  assert.equal(Object.keys((await alice.get(tags)).body['tags'] ?? {}).length, 6)
  await alice.delete(`${tags}/m.favourite`).ok()
  await alice.delete(`${tags}/m.favourite`).ok()
  await alice.put(`${tags}/m.favourite`, { order: 'first' }).fails(400, 'M_BAD_JSON')
  await alice.put(`${tags}/${'x'.repeat(256)}`, {}).fails(400, 'M_INVALID_PARAM')
  await bob.get(tags).fails(403, 'M_FORBIDDEN')
  await bob.put(`${tags}/x`, {}).fails(403, 'M_FORBIDDEN')
  await bob.delete(`${tags}/a`).fails(403, 'M_FORBIDDEN')
  for (let count = 5; count < 200; count++) await alice.put(`${tags}/t${count}`, {}).ok()
  await alice.put(`${tags}/one-more`, {}).fails(413, 'M_TOO_LARGE')
})

test('account data and pushers go with the account', async (t) => {
  const server = await testServer(t)
  const alice = await server.register('alice')
  const { accountData, database } = server.services
  const userId = alice.userId as UserId
  await alice.put(`/user/${encodeURIComponent(alice.userId)}/account_data/org.test`, { a: 1 }).ok()
  await alice.put(`/user/${encodeURIComponent(alice.userId)}/rooms/${room}/account_data/org.test`, { a: 1 }).ok()
  const before = accountData.stream.position
  await database.transaction((tx) => accountData.deleteOf(tx, userId))
  assert.deepEqual([...(await accountData.globalFor(userId)).keys()].sort(), ['m.ignored_user_list', 'm.push_rules'])
  assert.equal((await accountData.roomsFor(userId)).size, 0)
  assert.ok(accountData.stream.position > before)
  assert.equal((await AccountData.open(server.services)).stream.position, accountData.stream.position)
})

test('ignored users and the stream', async (t) => {
  const server = await testServer(t)
  const alice = await server.register('alice')
  const { accountData } = server.services
  const userId = alice.userId as UserId
  const before = accountData.stream.position
  const list = { '@bob:test.example': {}, '@__proto__:test.example': {}, nobody: {}, [alice.userId]: {} }
  const path = `/user/${encodeURIComponent(alice.userId)}/account_data/m.ignored_user_list`
  await alice.put(path, { ignored_users: list }).ok()
  assert.deepEqual([...(await accountData.ignoredBy(userId))].sort(), ['@__proto__:test.example', '@bob:test.example'])
  assert.deepEqual(await accountData.ignoring('@bob:test.example'), [alice.userId])
  await alice.put(path, { ignored_users: {} }).ok()
  assert.equal((await accountData.ignoredBy(userId)).size, 0)
  await alice.put(path, { ignored_users: 3 }).ok()
  const changes = await accountData.changesSince(userId, before, accountData.stream.position)
  assert.deepEqual(changes, [{ scope: '', type: 'm.ignored_user_list', content: '{"ignored_users":3}' }])
  assert.deepEqual(await accountData.changesSince(userId, accountData.stream.position, accountData.stream.position), [])
  assert.ok((await accountData.globalFor(userId)).get('m.push_rules')?.includes('.m.rule.master'))
})
