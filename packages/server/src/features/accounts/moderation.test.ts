/** Locking and suspending accounts from a client. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { testServer } from '#test/kit/test-server.ts'

for (const [verb, field, effect] of [['suspend', 'suspended', [403, 'M_USER_SUSPENDED']], ['lock', 'locked', [401, 'M_USER_LOCKED']]] as const) {
  const path = (userId: string): string => `/_matrix/client/v1/admin/${verb}/${encodeURIComponent(userId)}`

  test(`${verb} and back`, async (t) => {
    const server = await testServer(t)
    const [admin, alice] = [await server.admin(), await server.register('alice')]
    assert.deepEqual(await admin.get(path(alice.userId)).ok(), { [field]: false })
    assert.deepEqual(await admin.put(path(alice.userId), { [field]: true }).ok(), { [field]: true })
    assert.deepEqual(await admin.get(path(alice.userId)).ok(), { [field]: true })
    await alice.post('/createRoom', {}).fails(effect[0], effect[1])
    assert.deepEqual(await admin.put(path(alice.userId), { [field]: false }).ok(), { [field]: false })
    await alice.post('/createRoom', {}).ok()
  })

  test(`${verb}: who may, and whom`, async (t) => {
    const server = await testServer(t)
    const [admin, other, alice] = [await server.admin(), await server.admin('other'), await server.register('alice')]
    for (const target of [alice.userId, '@nobody:test.example', '@far:elsewhere.example', '@__proto__:test.example']) {
      await server.anonymous().get(path(target)).fails(401, 'M_MISSING_TOKEN')
      await alice.get(path(target)).fails(403, 'M_FORBIDDEN')
      await alice.put(path(target), { [field]: true }).fails(403, 'M_FORBIDDEN')
    }
    for (const target of ['@nobody:test.example', '@__proto__:test.example']) {
      await admin.get(path(target)).fails(404, 'M_NOT_FOUND')
      await admin.put(path(target), { [field]: true }).fails(404, 'M_NOT_FOUND')
    }
    await admin.get(path('@far:elsewhere.example')).fails(400, 'M_INVALID_PARAM')
    await admin.put(path('@far:elsewhere.example'), { [field]: true }).fails(400, 'M_INVALID_PARAM')
    await admin.get(path('alice')).fails(400, 'M_INVALID_PARAM')
    await admin.get(path(other.userId)).fails(403, 'M_FORBIDDEN')
    await admin.put(path(other.userId), { [field]: true }).fails(403, 'M_FORBIDDEN')
    assert.deepEqual(await admin.get(path(admin.userId)).ok(), { [field]: false })
    await admin.put(path(admin.userId), { [field]: true }).fails(403, 'M_FORBIDDEN')
    await admin.put(path(alice.userId), { [field]: 'yes' }).fails(400, 'M_BAD_JSON')
    await admin.put(path(alice.userId), {}).fails(400, 'M_MISSING_PARAM')
    const auth = { type: 'm.login.password', identifier: { type: 'm.id.user', user: 'alice' }, password: 'password-of-alice' }
    await alice.post('/account/deactivate', { auth }).ok()
    await server.services.accounts.settled()
    await admin.get(path(alice.userId)).fails(404, 'M_NOT_FOUND')
  })
}

test('only administrators are told that they can', async (t) => {
  const server = await testServer(t)
  const capabilities = async (client: { get(path: string): { ok(): Promise<Readonly<Record<string, unknown>>> } }): Promise<object> => {
    const { capabilities: shown } = await client.get('/capabilities').ok()
    assert.ok(typeof shown === 'object' && shown !== null)
    return shown
  }
  assert.deepEqual(new Map(Object.entries(await capabilities(await server.admin()))).get('m.account_moderation'), { suspend: true, lock: true })
  assert.equal('m.account_moderation' in (await capabilities(await server.register('alice'))), false)
})
