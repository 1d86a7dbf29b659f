/** Accounts under attack: tokens, passwords, races, administration, forged addresses, and what ends with a session. */
import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { test } from 'node:test'
import { newToken } from '#features/sessions/tokens.ts'
import { endpoints } from '#app/routes.ts'
import { pathsOf } from '#platform/http/endpoint.ts'
import { at, besieged, roomOf } from '../kit/security.ts'
import { send, sync, syncOk } from '../kit/syncing.ts'
import type { TestClient } from '../kit/test-client.ts'

const password = (user: string, text = `password-of-${user}`) => ({ type: 'm.login.password', identifier: { type: 'm.id.user', user }, password: text })

test('case 91: routes of administration are for administrators, whoever asks and however', async (t) => {
  const { server, unharmed, keepSecret } = await besieged(t)
  const [alice, guest] = [await server.register('alice'), await server.guest()]
  keepSecret(alice.token, guest.token)
  const routes = endpoints.filter((endpoint) => endpoint.base === 'admin' && endpoint.auth !== 'none')
  assert.ok(routes.every((endpoint) => endpoint.auth === 'admin'))
  const paths = [...new Set([...routes.flatMap(pathsOf), '/_synapse/admin/v1/unknown', '/_synapse/admin/v2/users'].map((path) => path.replace(/:\w+\??/g, 'x')))]
  for (const path of paths) {
    for (const method of ['GET', 'POST', 'PUT', 'DELETE', 'PATCH']) {
      for (const [who, client] of Object.entries({ alice, guest, nobody: server.anonymous(), unknown: server.anonymous().withToken('syt_unknown') })) {
        const reply = await client.send(method, path, method === 'GET' ? undefined : {})
        assert.ok([401, 403, 404, 405].includes(reply.status), `${who}: ${method} ${path} answered ${reply.status}`)
      }
    }
  }
  const register = '/_synapse/admin/v1/register'
  const nonce = async () => String((await alice.get(register).ok())['nonce'])
  const signed = async (secret: string, length?: number) => {
    const body = { nonce: await nonce(), username: 'evil', password: 'x', admin: true }
    const mac = createHmac('sha1', secret).update([body.nonce, 'evil', 'x', 'admin'].join('\0')).digest('hex')
    return { ...body, mac: mac.slice(0, length) }
  }
  await alice.post(register, await signed('wrong')).fails(403, 'M_UNKNOWN')
  for (const mac of ['', 'ä', '0'.repeat(39), '0'.repeat(41), 'x'.repeat(100_000)]) await alice.post(register, { ...(await signed('wrong')), mac }).fails(403, 'M_UNKNOWN')
  await alice.post(register, await signed('shared-secret-of-tests', 39)).fails(403, 'M_UNKNOWN')
  const good = await signed('shared-secret-of-tests')
  await alice.post(register, good).ok()
  await alice.post(register, { ...good, username: 'evil2' }).fails(400, 'M_UNKNOWN')
  await unharmed()
})

test('case 94: what is nearly a token is none', async (t) => {
  const { server, unharmed, keepSecret } = await besieged(t)
  const alice = await server.register('alice')
  keepSecret(alice.token)
  const { token } = alice
  for (const authorization of ['Bearer ', 'Bearer', `Bearer ${token} x`, `Bearer ${token.toLowerCase()}X`, `Bearer ${token.toUpperCase()}`, `Basic ${token}`, 'Bearer __proto__', token]) {
    const reply = await server.anonymous().get('/account/whoami', { headers: { authorization } })
    assert.equal(reply.status, 401, authorization.replace(token, '<token>'))
  }
  for (const query of ['access_token=', `access_token=${token}%00`, `access_token=${token}%20`, `access_token=%20${token}`, `access_token=${token}&access_token=${token}`, `Access_Token=${token}`]) {
    assert.equal((await server.anonymous().get(`/account/whoami?${query}`)).status, 401, query.replaceAll(token, '<token>'))
  }
  await server.anonymous().get(`/account/whoami?access_token=${token}`).ok()
  await unharmed()
})

test('case 95: passwords keep all of their characters, have a longest length, and a login tells nobody which names exist', async (t) => {
  const { server, unharmed, keepSecret } = await besieged(t)
  const nobody = server.anonymous()
  const register = (username: string, text: string) => nobody.post('/register', { username, password: text, auth: { type: 'm.login.dummy' } })
  const long = `${'a'.repeat(100)}end`
  keepSecret(long)
  await register('long', long).ok()
  await nobody.post('/login', password('long', long)).ok()
  for (const wrong of ['a'.repeat(100), 'a'.repeat(72), `${long}x`, '', ' ', '\0']) await nobody.post('/login', password('long', wrong)).fails(403, 'M_FORBIDDEN')
  const nul = await register('nul', 'before\0after')
  if (nul.status === 200) await nobody.post('/login', password('nul', 'before')).fails(403, 'M_FORBIDDEN')
  else assert.equal(nul.status, 400)
  assert.ok([400, 413].includes((await register('huge', 'x'.repeat(1_000_000))).status))
  assert.ok([400, 403, 413].includes((await nobody.post('/login', password('long', 'x'.repeat(1_000_000)))).status))
  const refusals = await Promise.all(['long', 'unknown'].map((user) => nobody.post('/login', password(user, 'wrong')).fails(403, 'M_FORBIDDEN')))
  assert.deepEqual(refusals[0], refusals[1])
  const times = async (user: string): Promise<number> => {
    let shortest = Infinity
    for (let index = 0; index < 10; index += 1) {
      const began = performance.now()
      await nobody.post('/login', password(user, 'wrong')).fails(403, 'M_FORBIDDEN')
      shortest = Math.min(shortest, performance.now() - began)
    }
    return shortest
  }
  const [known, unknown] = [await times('long'), await times('unknown')]
  assert.ok(unknown > known / 3 && known > unknown / 3, `known ${known} ms, unknown ${unknown} ms`)
  await unharmed()
})

test('case 101: of registrations of one name through every path at once, one succeeds', async (t) => {
  const { server, unharmed } = await besieged(t)
  const body = (username: string) => ({ username, password: 'x', auth: { type: 'm.login.dummy' } })
  const nobody = server.anonymous()
  const register = '/_synapse/admin/v1/register'
  const secretly = async (): Promise<number> => {
    const nonce = String((await nobody.get(register).ok())['nonce'])
    const mac = createHmac('sha1', 'shared-secret-of-tests').update([nonce, 'same', 'x', 'notadmin'].join('\0')).digest('hex')
    return (await nobody.post(register, { nonce, username: 'same', password: 'x', admin: false, mac })).status
  }
  const openly = async (name: string): Promise<number> => (await nobody.post('/register', body(name))).status
  const statuses = await Promise.all(Array.from({ length: 18 }, (_, index) => (index % 3 === 0 ? secretly() : openly(index % 3 === 1 ? 'same' : 'SAME'))))
  assert.equal(statuses.filter((status) => status === 200).length, 1)
  assert.ok(statuses.every((status) => status === 200 || status === 400))
  await nobody.get('/register/available?username=same').fails(400, 'M_USER_IN_USE')
  await unharmed()
})

test('case 109: tokens are random, each another', () => {
  const tokens = new Set(Array.from({ length: 100_000 }, () => newToken('syt', '@alice:test.example').split('_')[2] ?? ''))
  assert.equal(tokens.size, 100_000)
  const counts = new Map<string, number>()
  for (const token of tokens) {
    // log2(62^24) = 142 bits
    assert.match(token, /^[0-9A-Za-z]{24}$/)
    for (const letter of token) counts.set(letter, (counts.get(letter) ?? 0) + 1)
  }
  const expected = (100_000 * 24) / 62
  assert.equal(counts.size, 62)
  for (const count of counts.values()) assert.ok(Math.abs(count - expected) < expected * 0.05)
})

test('case 110: without a trusted proxy a forged address changes neither rate limits nor logs', async (t) => {
  const limits = 'rc_login: {address: {per_second: 0.01, burst_count: 3}, account: {per_second: 100, burst_count: 100}, failed_attempts: {per_second: 100, burst_count: 100}}\n'
  const { server, log, unharmed } = await besieged(t, { config: limits })
  await server.register('alice')
  const statuses: number[] = []
  for (let index = 0; index < 6; index += 1) {
    const headers = { 'x-forwarded-for': `203.0.113.${index}`, forwarded: `for=203.0.113.${index}`, 'x-real-ip': `203.0.113.${index}` }
    statuses.push((await server.anonymous().post('/login', password('alice'), { headers })).status)
  }
  assert.deepEqual(statuses, [200, 200, 200, 429, 429, 429])
  assert.ok(!log.some((line) => line.includes('203.0.113.')))
  await unharmed()
})

for (const [end, run] of Object.entries<(by: TestClient, device: string) => Promise<unknown>>({
  'deleting the device': (by, device) => by.delete(`/devices/${device}`, { auth: password('alice') }).ok(),
  'logging out everywhere': (by) => by.post('/logout/all', {}).ok(),
  'changing the password': (by) => by.post('/account/password', { new_password: 'changed', logout_devices: true, auth: password('alice') }).ok(),
})) {
  test(`case 113: ${end} ends token, refresh, pushers, messages and waiting requests of a device`, async (t) => {
    const { server, unharmed, keepSecret } = await besieged(t)
    const alice = await server.register('alice')
    const bob = await server.register('bob')
    const login = await server.anonymous().post('/login', { ...password('alice'), device_id: 'VICTIM', refresh_token: true }).ok()
    const victim = server.anonymous().withToken(String(login['access_token']))
    keepSecret(String(login['access_token']), String(login['refresh_token']))
    const room = await roomOf(alice)
    const pusher = { kind: 'http', app_id: 'a', pushkey: 'k', app_display_name: 'a', device_display_name: 'd', lang: 'en', data: { url: 'https://push.example/_matrix/push/v1/notify' } }
    await victim.post('/pushers/set', pusher).ok()
    const pending = String((await victim.delete('/devices/OTHER', {})).body['session'])
    const { next_batch: since } = await syncOk(victim)
    const waiting = sync(victim, { since, timeout: 20_000 })
    await run(alice, 'VICTIM')
    await victim.get('/account/whoami').fails(401, 'M_UNKNOWN_TOKEN')
    await sync(victim, { since }).fails(401, 'M_UNKNOWN_TOKEN')
    await server.anonymous().post('/refresh', { refresh_token: login['refresh_token'] }).fails(401, 'M_UNKNOWN_TOKEN')
    await victim.delete('/devices/OTHER', { auth: { ...password('alice'), session: pending } }).fails(401, 'M_UNKNOWN_TOKEN')
    await bob.put('/sendToDevice/x/1', { messages: { '@alice:test.example': { VICTIM: { secret: true } } } }).ok()
    assert.deepEqual(await server.services.database.rows("SELECT pushkey FROM pushers WHERE user_id = '@alice:test.example'", []), [])
    assert.deepEqual(await server.services.database.rows("SELECT token_hash FROM access_tokens WHERE device_id = 'VICTIM'", []), [])
    if (end !== 'logging out everywhere') await send(alice, room, 'not for the one that waited')
    const ended = await waiting
    assert.ok(!ended.text.includes('not for the one that waited'), `${ended.status}: a waiting request of an ended session reads on`)
    await unharmed()
  })
}

test('case 86: nothing that is said in a room is a command', async (t) => {
  const { server, unharmed } = await besieged(t)
  const { alice, bob, room } = await server.withRoom()
  for (const body of ['!admin deactivate @alice:test.example', '/admin shutdown', '!shutdown', '\\deactivate']) await send(bob, room, body)
  await alice.get('/account/whoami').ok()
  await alice.get(`${at(room)}/state`).ok()
  await unharmed()
})
