/** Consent to the server's policy: its page, what is refused without it, the stage of registration, and the notice that asks for it. */
import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { ConfigError } from '#platform/config/fault.ts'
import { writeHomeserverYaml } from '#test/kit/homeserver-yaml.ts'
import { assertRefused } from '#test/kit/refusals.ts'
import type { Reply, TestClient } from '#test/kit/test-client.ts'
import { startTestServer, testServer, type TestServer } from '#test/kit/test-server.ts'

const policy = `<p>{# for lawyers #}Version {{ version }}{% if public_version %} for all{% else %} for {{ user }}{% if has_consented %}, agreed{% endif %}
<form method="post" action="consent"><input name="v" value="{{version}}"><input name="u" value="{{user}}"><input name="h" value="{{userhmac}}"></form>{% endif %}`
const block = '  block_events_error: "Agree at %(consent_uri)s first."\n'
const base = 'https://matrix.test.example/'

/** A folder with a policy in two versions. */
function policyFolder(t: TestContext, files: Readonly<Record<string, string>> = { '1.0.html': policy, '0.9.html': 'An old text' }): string {
  const folder = mkdtempSync(join(tmpdir(), 'myelin-policy-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  mkdirSync(join(folder, 'en'))
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, 'en', name), text)
  return folder
}

function configFor(folder: string, more = ''): string {
  return `public_baseurl: ${base}\nuser_consent:\n  template_dir: ${folder}\n  version: 1.0\n${more}`
}

function consentServer(t: TestContext, more = ''): Promise<TestServer> {
  return testServer(t, { config: configFor(policyFolder(t), more) })
}

const signature = (user: string): string => createHmac('sha256', 'form-secret-of-tests').update(user).digest('hex')
const address = (user: string, more = ''): string => `/_matrix/consent?u=${encodeURIComponent(user)}&h=${signature(user)}${more}`

function agree(server: TestServer, user: string, change: Readonly<Record<string, string>> = {}): PromiseLike<Reply> {
  return server.anonymous().post('/_matrix/consent', new URLSearchParams({ u: user, h: signature(user), v: '1.0', ...change }).toString(), { headers: { 'content-type': 'application/x-www-form-urlencoded' } })
}

async function assertBlocked(client: TestClient, method: 'POST' | 'PUT', path: string, body: object): Promise<void> {
  await assertRefused([['403 M_CONSENT_NOT_GIVEN', client, method, path, body]])
  const refusal = await client.send(method, path, body).fails(403, 'M_CONSENT_NOT_GIVEN')
  const name = client.userId.slice(1, client.userId.indexOf(':'))
  const uri = `${base}_matrix/consent?u=${name}&h=${signature(name)}`
  assert.equal(refusal['consent_uri'], uri)
  assert.equal(refusal['error'], `Agree at ${uri} first.`)
}

async function joinedRooms(client: TestClient): Promise<string[]> {
  const list = (await client.get('/joined_rooms').ok())['joined_rooms']
  assert.ok(Array.isArray(list))
  return list.map(String)
}

test('the page shows the policy to who holds its address, and takes consent', async (t) => {
  const server = await consentServer(t)
  const [alice, visitor] = [await server.register('alice'), server.anonymous()]
  for (const user of ['alice', alice.userId]) {
    const page = await visitor.get(address(user))
    assert.equal(page.status, 200)
    assert.match(page.text, new RegExp(`Version 1\\.0 for ${user}\n`))
    assert.match(page.text, new RegExp(`name="h" value="${signature(user)}"`))
    assert.match(page.headers.get('content-type') ?? '', /^text\/html/)
    assert.equal(page.headers.get('x-frame-options'), 'DENY')
  }
  const thanks = await agree(server, 'alice')
  assert.equal(thanks.status, 200)
  assert.match(thanks.text, /You have agreed to version 1\.0/)
  assert.match((await visitor.get(address('alice'))).text, /agreed/)
  const account = await server.services.accounts.require(alice.userId)
  assert.equal(account.consentVersion, '1.0')
  assert.ok((account.consentTs ?? 0) > 0)
  assert.match((await visitor.get(address('alice', '&v=0.9'))).text, /An old text/)
})

test('wrong addresses are refused with a page', async (t) => {
  const server = await consentServer(t)
  await server.register('alice')
  const answers = async (reply: PromiseLike<Reply>, status: number, text: RegExp): Promise<void> => {
    const { status: got, text: page, headers } = await reply
    assert.equal(got, status, page)
    assert.match(page, text)
    assert.match(headers.get('content-type') ?? '', /^text\/html/)
  }
  const visitor = server.anonymous()
  await answers(visitor.get('/_matrix/consent'), 400, /"?u"?.*missing/)
  await answers(visitor.get('/_matrix/consent?u=alice'), 403, /not one that the server has given out/)
  await answers(visitor.get(`/_matrix/consent?u=alice&h=${signature('bob')}`), 403, /not one/)
  await answers(visitor.get(address('nobody')), 404, /no such user/)
  for (const version of ['2.0', '../../secret', 'success', '.']) await answers(visitor.get(address('alice', `&v=${encodeURIComponent(version)}`)), 404, /no such version/)
  await answers(agree(server, 'alice', { h: signature('bob') }), 403, /not one/)
  await answers(agree(server, 'alice', { h: '' }), 400, /not complete/)
  await answers(agree(server, 'alice', { v: '0.9' }), 400, /at version 1\.0 now/)
  await answers(agree(server, 'nobody'), 404, /no such user/)
  await answers(agree(server, 'alice', { x: 'x'.repeat(20_000) }), 413, /too large/)
  assert.equal((await server.services.accounts.require('@alice:test.example')).consentVersion, undefined)

  const without = await testServer(t)
  await without.anonymous().get('/_matrix/consent').fails(404, 'M_UNRECOGNIZED')
  await without.anonymous().post('/_matrix/consent', 'u=a').fails(404, 'M_UNRECOGNIZED')
})

test('without consent nothing is written, made or joined; leaving is possible', async (t) => {
  const server = await consentServer(t, block)
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  await agree(server, 'bob')
  const room = String((await bob.post('/createRoom', { preset: 'public_chat', invite: [alice.userId] }).ok())['room_id'])
  const at = `/rooms/${encodeURIComponent(room)}`
  await assertBlocked(alice, 'POST', `/join/${encodeURIComponent(room)}`, {})
  await assertBlocked(alice, 'POST', `${at}/join`, {})
  await assertBlocked(alice, 'PUT', `${at}/state/m.room.member/${alice.userId}`, { membership: 'join' })
  await assertBlocked(alice, 'POST', `/knock/${encodeURIComponent(room)}`, {})
  await assertBlocked(alice, 'POST', '/createRoom', {})
  for (const verb of ['invite', 'kick', 'ban', 'unban']) await assertBlocked(alice, 'POST', `${at}/${verb}`, { user_id: bob.userId })
  await assertBlocked(alice, 'PUT', `${at}/send/m.room.message/t1`, { body: 'x' })
  await assertBlocked(alice, 'POST', `${at}/send/m.room.message`, { body: 'x' })
  await assertBlocked(alice, 'PUT', `${at}/state/m.room.topic`, { topic: 'x' })
  await assertBlocked(alice, 'PUT', `${at}/state/m.room.member/${bob.userId}`, { membership: 'leave' })
  await assertBlocked(alice, 'PUT', `${at}/redact/$x/t1`, {})
  await assertBlocked(alice, 'POST', `${at}/redact/$x`, {})
  await assertBlocked(alice, 'POST', `${at}/upgrade`, { new_version: '12' })
  await alice.put(`${at}/state/m.room.member/${alice.userId}`, { membership: 'leave' }).ok()

  await agree(server, 'alice')
  await alice.post(`${at}/join`, {}).ok()
  await alice.put(`${at}/send/m.room.message/t1`, { body: 'x' }).ok()
  await alice.post(`${at}/leave`, {}).ok()
})

test('a new version needs a new consent', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'myelin-test-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const file = await writeHomeserverYaml(t, folder, { config: configFor(policyFolder(t, { '1.0.html': policy, '2.0.html': policy, 'success.html': 'Well done' }), block) })
  const first = await startTestServer(t, folder, file)
  const alice = await first.register('alice')
  assert.equal((await agree(first, 'alice')).text, 'Well done')
  await alice.post('/createRoom', {}).ok()
  await first.services.dispose()
  writeFileSync(file, readFileSync(file, 'utf8').replace('version: 1.0', 'version: 2.0'))
  const second = await startTestServer(t, folder, file)
  await assertBlocked(alice.at(second.url), 'POST', '/createRoom', {})
  await agree(second, 'alice', { v: '2.0' })
  await alice.at(second.url).post('/createRoom', {}).ok()
})

test('rooms of auto_join_rooms are joined once consent is given', async (t) => {
  const server = await consentServer(t, `${block}auto_join_rooms: ["#lobby:test.example"]\n`)
  const alice = await server.register('alice')
  assert.deepEqual(await joinedRooms(alice), [])
  await agree(server, 'alice')
  const [room, ...others] = await joinedRooms(alice)
  assert.ok(room !== undefined && others.length === 0)
  await alice.post(`/rooms/${encodeURIComponent(room)}/leave`, {}).ok()
  await agree(server, 'alice')
  assert.deepEqual(await joinedRooms(alice), [])
})

test('who has left a room of auto_join_rooms before there was a policy is not taken back', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'myelin-test-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const rooms = 'auto_join_rooms: ["#lobby:test.example", "#news:test.example"]\n'
  const file = await writeHomeserverYaml(t, folder, { config: rooms })
  const first = await startTestServer(t, folder, file)
  const alice = await first.register('alice')
  const [left = '', kept] = await joinedRooms(alice)
  await alice.post(`/rooms/${encodeURIComponent(left)}/leave`, {}).ok()
  await first.services.dispose()
  writeFileSync(file, readFileSync(file, 'utf8') + configFor(policyFolder(t), block))
  const second = await startTestServer(t, folder, file)
  await agree(second, 'alice')
  assert.deepEqual(await joinedRooms(alice.at(second.url)), [kept])
})

test('registration asks for agreement, in the client or on the page', async (t) => {
  const server = await consentServer(t, `${block}  require_at_registration: true\n  policy_name: House rules\n`)
  const visitor = server.anonymous()
  assert.match((await visitor.get('/_matrix/consent?v=1.0')).text, /Version 1\.0 for all$/)
  const body = { username: 'alice', password: 'password-of-alice' }
  const first = await visitor.post('/register', body)
  assert.equal(first.status, 401)
  assert.deepEqual(first.body['flows'], [{ stages: ['m.login.terms'] }])
  const params = { 'm.login.terms': { policies: { privacy_policy: { version: '1.0', en: { name: 'House rules', url: `${base}_matrix/consent?v=1.0` } } } } }
  assert.deepEqual(first.body['params'], params)
  assert.equal((await visitor.post('/register', { ...body, auth: { type: 'm.login.dummy', session: first.body['session'] } })).status, 401)
  await visitor.post('/register', { ...body, auth: { type: 'm.login.terms', session: first.body['session'] } }).ok()
  const alice = await server.login('alice')
  await alice.post('/createRoom', {}).ok()
  assert.equal((await server.services.accounts.require(alice.userId)).consentVersion, '1.0')

  const session = String((await visitor.post('/register', { ...body, username: 'bob' })).body['session'])
  const page = `/auth/m.login.terms/fallback/web?session=${session}`
  assert.match((await visitor.get(page)).text, /<a href="https:\/\/matrix\.test\.example\/_matrix\/consent\?v=1\.0"[^>]*>House rules<\/a>.*I agree/)
  assert.match((await visitor.post(page, '')).text, /onAuthDone/)
  const bob = await visitor.post('/register', { ...body, username: 'bob', auth: { session } }).ok()
  assert.equal((await server.services.accounts.require(String(bob['user_id']))).consentVersion, '1.0')
  assert.equal((await visitor.get('/auth/m.login.terms/fallback/web?session=none')).status, 400)
})

test('whoever syncs without consent is asked for it by a notice, once', async (t) => {
  const notice = `  server_notice_content:\n    msgtype: m.text\n    body: "Agree: %(consent_uri)s"\n    more: [{deep: "%(consent_uri)s"}]\nserver_notices: {system_mxid_localpart: notices}\n`
  const server = await consentServer(t, block + notice)
  const [alice, bob, guest] = [await server.register('alice'), await server.register('bob'), await server.guest()]
  await agree(server, 'bob')
  const invites = async (client: TestClient): Promise<string[]> => {
    await client.get('/sync').ok()
    await server.services.consentNotices.settled()
    const { rooms = {} }: { rooms?: { invite?: object } } = JSON.parse((await client.get('/sync')).text)
    return Object.keys(rooms.invite ?? {})
  }
  const [room = '', ...others] = await invites(alice)
  assert.equal(others.length, 0)
  assert.deepEqual(await invites(bob), [])
  assert.deepEqual(await invites(guest), [])
  assert.equal((await server.services.accounts.require(alice.userId)).consentServerNoticeSent, '1.0')

  // The one room that may be joined without consent.
  await alice.post(`/rooms/${encodeURIComponent(room)}/join`, {}).ok()
  const { chunk } = JSON.parse((await alice.get(`/rooms/${encodeURIComponent(room)}/messages?dir=b&limit=2`)).text)
  const uri = `${base}_matrix/consent?u=alice&h=${signature('alice')}`
  assert.deepEqual(chunk[1].content, { msgtype: 'm.text', body: `Agree: ${uri}`, more: [{ deep: uri }] })
  await alice.post(`/rooms/${encodeURIComponent(room)}/leave`, {}).ok()
  assert.deepEqual(await invites(alice), [])
  assert.deepEqual(server.errors, [])
})

test('guests are asked where the operator wants that', async (t) => {
  const notice = '  send_server_notice_to_guests: true\n  server_notice_content: {msgtype: m.text, body: "%(consent_uri)s"}\nserver_notices: {system_mxid_localpart: notices, auto_join: true}\n'
  const server = await consentServer(t, notice)
  const guest = await server.guest()
  await guest.get('/sync').ok()
  await server.services.consentNotices.settled()
  assert.equal((await joinedRooms(guest)).length, 1)
})

test('a policy that cannot be shown stops the start, with its reason', async (t) => {
  const cases: readonly (readonly [string, RegExp])[] = [
    [configFor(policyFolder(t, {})), /no file .*1\.0\.html/],
    [configFor(policyFolder(t, { '1.0.html': 'a\n{% extends "x" %}' })), /line 2 .*extends/],
    ['user_consent: {version: 1.0}\n', /what users are to agree to/],
    [`${configFor(policyFolder(t))}form_secret: null\n`, /form_secret/],
    [configFor(policyFolder(t)).replace('1.0', '"../1"'), /cannot be part of a file/],
  ]
  for (const [config, message] of cases) await assert.rejects(testServer(t, { config }), (error) => error instanceof ConfigError && message.test(error.message))
})
