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
  assert.equal((await AccountData.open({ ...server.services, deletesEmpty: false })).stream.position, accountData.stream.position)
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

test('account data is deleted where that is enabled: other devices see it empty, then it is gone', async (t) => {
  const server = await testServer(t, { config: 'experimental_features: {msc3391_enabled: true}\n' })
  const { alice, room } = await server.withRoom()
  const me = encodeURIComponent(alice.userId)
  const prefix = '/_matrix/client/unstable/org.matrix.msc3391'
  const ofRoom = `/user/${me}/rooms/${encodeURIComponent(room)}/account_data/org.example.room`
  await alice.put(`/user/${me}/account_data/org.example.mine`, { value: 1 }).ok()
  await alice.put(`/user/${me}/account_data/m.ignored_user_list`, { ignored_users: { '@bob:test.example': {} } }).ok()
  await alice.put(ofRoom, { value: 2 }).ok()
  const { next_batch: since } = await alice.get('/sync?timeout=0').ok()
  for (const path of [`/user/${me}/account_data/org.example.mine`, `/user/${me}/account_data/m.ignored_user_list`, ofRoom, `/user/${me}/account_data/org.example.never`]) {
    await alice.send('DELETE', prefix + path).ok()
    await alice.get(path).fails(404, 'M_NOT_FOUND')
  }
  const news = JSON.stringify(await alice.get(`/sync?timeout=0&since=${encodeURIComponent(String(since))}`).ok())
  for (const type of ['org.example.mine', 'org.example.room']) assert.ok(news.includes(`{"type":"${type}","content":{}}`), news)
  assert.doesNotMatch(news, /org\.example\.never/)
  assert.doesNotMatch(JSON.stringify(await alice.get('/sync?timeout=0').ok()), /org\.example\.|m\.ignored_user_list/)
  assert.equal((await server.services.accountData.ignoredBy(alice.userId as UserId)).size, 0)
  await alice.put(`/user/${me}/account_data/org.example.mine`, {}).ok()
  await alice.get(`/user/${me}/account_data/org.example.mine`).fails(404, 'M_NOT_FOUND')
  await alice.put(`/user/${me}/account_data/org.example.mine`, { value: 3 }).ok()
  assert.deepEqual(await alice.get(`/user/${me}/account_data/org.example.mine`).ok(), { value: 3 })
  await alice.send('DELETE', `${prefix}/user/${me}/account_data/m.push_rules`).fails(405, 'M_BAD_JSON')
  await alice.send('DELETE', `${prefix}/user/${encodeURIComponent('@bob:test.example')}/account_data/x`).fails(403, 'M_FORBIDDEN')
  await alice.send('DELETE', `${prefix}/user/${me}/rooms/nonsense/account_data/x`).fails(400, 'M_INVALID_PARAM')
  const without = await testServer(t)
  const carol = await without.register('carol')
  await carol.send('DELETE', `${prefix}/user/${encodeURIComponent(carol.userId)}/account_data/x`).fails(404, 'M_UNRECOGNIZED')
})
