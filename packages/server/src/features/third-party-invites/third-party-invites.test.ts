/** Invites by address, with an identity server that signs like a real one. */
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { createServer } from 'node:https'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { generateSigningKey } from '@myelin/protocol/crypto/signing-key-file.ts'
import { signJson } from '@myelin/protocol/crypto/sign-json.ts'
import type { JsonObject } from '@myelin/protocol/json/json.ts'
import type { TestClient } from '#test/kit/test-client.ts'
import { testServer } from '#test/kit/test-server.ts'

const tls = join(import.meta.dirname, '../../../test/kit/tls')
const accessToken = 'token of the identity server'
const pepper = 'a pepper'
const config = `ip_range_whitelist: ["127.0.0.1"]
use_insecure_ssl_client_just_for_testing_do_not_use: true
`
const at = (room: string, path: string): string => `/rooms/${encodeURIComponent(room)}${path}`

interface IdentityServer {
  readonly name: string
  /** Invites that were left for people without an account. */
  readonly kept: JsonObject[]
  /** Says that an address belongs to a user. */
  bind(address: string, userId: string): void
  /** What the server signs for who has proven to own an address. */
  signed(userId: string, token: string): JsonObject
}

/** An identity server on TLS that hashes, keeps invites and signs. */
async function identityServer(t: TestContext, options: { readonly status?: number } = {}): Promise<IdentityServer> {
  const key = generateSigningKey(randomBytes)
  const owners = new Map<string, string>()
  const kept: JsonObject[] = []
  const answer = (path: string, body: JsonObject): JsonObject => {
    if (path === '/_matrix/identity/v2/hash_details') return { algorithms: ['none', 'sha256'], lookup_pepper: pepper }
    if (path === '/_matrix/identity/v2/lookup') {
      const asked = body['addresses']
      assert.ok(Array.isArray(asked) && body['algorithm'] === 'sha256' && body['pepper'] === pepper)
      return { mappings: Object.fromEntries(asked.flatMap((hash) => { const owner = owners.get(String(hash)); return owner === undefined ? [] : [[String(hash), owner]] })) }
    }
    assert.equal(path, '/_matrix/identity/v2/store-invite')
    kept.push(body)
    const url = `https://${name}/_matrix/identity/v2/pubkey/isvalid`
    return { token: `token${kept.length}`, display_name: 'c...@example.org', public_keys: [{ public_key: key.publicKey, key_validity_url: url }] }
  }
  const server = createServer({ cert: readFileSync(join(tls, 'localhost.crt')), key: readFileSync(join(tls, 'localhost.key')) }, (request, response) => {
    void textOf(request).then((text) => {
      const isKnown = request.headers.authorization === `Bearer ${accessToken}`
      const status = options.status ?? (isKnown ? 200 : 401)
      response.writeHead(status, { 'content-type': 'application/json' }).end(status === 200 ? JSON.stringify(answer(request.url ?? '', text === '' ? {} : JSON.parse(text))) : '{}')
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  const address = server.address()
  assert.ok(typeof address === 'object' && address !== null)
  const name = `127.0.0.1:${address.port}`
  return {
    name, kept,
    bind: (email, userId) => void owners.set(createHash('sha256').update(`${email} email ${pepper}`).digest('base64url'), userId),
    signed: (userId, token) => signJson({ mxid: userId, token, sender: '@alice:test.example' }, name, key),
  }
}

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(Buffer.from(chunk))
  return Buffer.concat(chunks).toString()
}

const email = (server: IdentityServer, address: string): object => ({ id_server: server.name, id_access_token: accessToken, medium: 'email', address })

async function membershipOf(client: TestClient, room: string, userId: string): Promise<unknown> {
  const reply = await client.get(at(room, `/state/m.room.member/${encodeURIComponent(userId)}`))
  return reply.status === 404 ? undefined : reply.body['membership']
}

test('who has an account under the address is invited at once', async (t) => {
  const identity = await identityServer(t)
  const server = await testServer(t, { config })
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  identity.bind('bob@example.org', bob.userId)
  const room = String((await alice.post('/createRoom', { invite_3pid: [email(identity, 'bob@example.org')] }).ok())['room_id'])
  assert.equal(await membershipOf(alice, room, bob.userId), 'invite')
  await bob.post(`/join/${encodeURIComponent(room)}`, {}).ok()
  assert.deepEqual(identity.kept, [])
})

test('for others the room remembers the invite until they prove to own the address', async (t) => {
  const identity = await identityServer(t)
  const server = await testServer(t, { config })
  const alice = await server.register('alice')
  const room = String((await alice.post('/createRoom', { name: 'Garden' }).ok())['room_id'])
  await alice.post(at(room, '/invite'), email(identity, 'carol@example.org')).ok()
  assert.deepEqual(identity.kept, [{
    room_join_rules: 'invite', room_name: 'Garden', room_id: room, sender: alice.userId, sender_display_name: 'alice', medium: 'email', address: 'carol@example.org',
  }])
  const state = await alice.get(at(room, '/state/m.room.third_party_invite/token1')).ok()
  assert.equal(state['display_name'], 'c...@example.org')
  const [carol, mallory] = [await server.register('carol'), await server.register('mallory')]
  const redeem = (client: TestClient, signed: JsonObject) => client.post(`/join/${encodeURIComponent(room)}`, { third_party_signed: signed })
  await redeem(mallory, identity.signed(carol.userId, 'token1')).fails(403, 'M_FORBIDDEN')
  await redeem(mallory, { ...identity.signed(carol.userId, 'token1'), mxid: mallory.userId }).fails(403, 'M_FORBIDDEN')
  await redeem(mallory, identity.signed(mallory.userId, 'token2')).fails(403, 'M_FORBIDDEN')
  await redeem(carol, identity.signed(carol.userId, 'token1')).ok()
  assert.equal(await membershipOf(alice, room, carol.userId), 'join')
})

test('the identity server tells when the address has an owner', async (t) => {
  const identity = await identityServer(t)
  const server = await testServer(t, { config })
  const [alice, dave] = [await server.register('alice'), await server.register('dave')]
  const room = String((await alice.post('/createRoom', {}).ok())['room_id'])
  await alice.post(at(room, '/invite'), email(identity, 'dave@example.org')).ok()
  const tell = (signed: JsonObject) => server.anonymous().put('/_matrix/federation/v1/3pid/onbind', {
    medium: 'email', address: 'dave@example.org', mxid: dave.userId,
    invites: [{ medium: 'email', address: 'dave@example.org', mxid: dave.userId, room_id: room, sender: alice.userId, signed }, { room_id: '!unknown:test.example', signed }, 5],
  })
  await tell({ ...identity.signed(dave.userId, 'token1'), token: 'token7' }).ok()
  assert.equal(await membershipOf(alice, room, dave.userId), undefined)
  await tell(identity.signed(dave.userId, 'token1')).ok()
  assert.equal(await membershipOf(alice, room, dave.userId), 'invite')
  const { rooms } = await dave.get('/sync?timeout=0').ok() as { rooms: { invite: JsonObject } }
  assert.deepEqual(Object.keys(rooms.invite), [room])
  await tell(identity.signed(dave.userId, 'token1')).ok()
  await server.anonymous().put('/_matrix/federation/v1/3pid/onbind', {}).fails(400, 'M_BAD_JSON')
  await dave.post(`/join/${encodeURIComponent(room)}`, {}).ok()
})

test('an invite that its room refuses does not keep the owner of an address from the others', async (t) => {
  const identity = await identityServer(t)
  const server = await testServer(t, { config })
  const [alice, dave] = [await server.register('alice'), await server.register('dave')]
  const rooms: string[] = []
  for (let count = 0; count < 2; count += 1) {
    const room = String((await alice.post('/createRoom', {}).ok())['room_id'])
    await alice.post(at(room, '/invite'), email(identity, 'dave@example.org')).ok()
    rooms.push(room)
  }
  const [closed = '', open = ''] = rooms
  await alice.post(at(closed, '/ban'), { user_id: dave.userId }).ok()
  await server.anonymous().put('/_matrix/federation/v1/3pid/onbind', {
    invites: [{ room_id: closed, signed: identity.signed(dave.userId, 'token1') }, { room_id: open, signed: identity.signed(dave.userId, 'token2') }],
  }).ok()
  assert.deepEqual([await membershipOf(alice, closed, dave.userId), await membershipOf(alice, open, dave.userId)], ['ban', 'invite'])
})

test('what does not work is said', async (t) => {
  const identity = await identityServer(t)
  const broken = await identityServer(t, { status: 500 })
  const server = await testServer(t, { config: `${config}rc_third_party_invite: {per_second: 0.001, burst_count: 4}\n` })
  const { alice, bob, room } = await server.withRoom()
  const invite = (body: object, by = alice) => by.post(at(room, '/invite'), body)
  await invite({ medium: 'email', address: 'x@example.org' }).fails(400, 'M_MISSING_PARAM')
  await invite({}).fails(400, 'M_MISSING_PARAM')
  await invite({ ...email(identity, 'x@example.org'), id_access_token: 'wrong' }).fails(403, 'M_THREEPID_DENIED')
  await invite({ ...email(identity, 'x@example.org'), id_server: 'no server/x' }).fails(400, 'M_INVALID_PARAM')
  await invite(email(broken, 'x@example.org')).fails(502, 'M_CONNECTION_FAILED')
  await invite({ ...email(identity, 'x@example.org'), id_server: '127.0.0.2:1' }).fails(502, 'M_CONNECTION_FAILED')
  await invite(email(identity, 'x@example.org')).fails(429, 'M_LIMIT_EXCEEDED')
  await invite(email(identity, 'x@example.org'), await server.register('stranger')).fails(403, 'M_FORBIDDEN')
  await alice.put(at(room, '/state/m.room.power_levels'), { invite: 50 }).ok()
  await invite(email(identity, 'x@example.org'), bob).fails(403, 'M_FORBIDDEN')
  await alice.post('/createRoom', { invite_3pid: [{ medium: 'email' }] }).fails(400, 'M_MISSING_PARAM')
  const off = await testServer(t, { config: `${config}enable_3pid_lookup: false\n` })
  const other = await off.withRoom()
  await other.alice.post(at(other.room, '/invite'), email(identity, 'x@example.org')).fails(403, 'M_FORBIDDEN')
})
