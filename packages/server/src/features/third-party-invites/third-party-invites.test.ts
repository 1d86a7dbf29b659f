/** Invites by address, with an identity server that signs like a real one. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { JsonObject } from '@myelin/protocol/json/json.ts'
import { emailAt, identityServer, trustsIdentityServers as config } from '#test/kit/identity-server.ts'
import type { TestClient } from '#test/kit/test-client.ts'
import { testServer } from '#test/kit/test-server.ts'

const at = (room: string, path: string): string => `/rooms/${encodeURIComponent(room)}${path}`

async function membershipOf(client: TestClient, room: string, userId: string): Promise<unknown> {
  const reply = await client.get(at(room, `/state/m.room.member/${encodeURIComponent(userId)}`))
  return reply.status === 404 ? undefined : reply.body['membership']
}

test('who has an account under the address is invited at once', async (t) => {
  const identity = await identityServer(t)
  const server = await testServer(t, { config })
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  identity.bind('bob@example.org', bob.userId)
  const room = String((await alice.post('/createRoom', { invite_3pid: [emailAt(identity, 'bob@example.org')] }).ok())['room_id'])
  assert.equal(await membershipOf(alice, room, bob.userId), 'invite')
  await bob.post(`/join/${encodeURIComponent(room)}`, {}).ok()
  assert.deepEqual(identity.kept, [])
})

test('for others the room remembers the invite until they prove to own the address', async (t) => {
  const identity = await identityServer(t)
  const server = await testServer(t, { config })
  const alice = await server.register('alice')
  const room = String((await alice.post('/createRoom', { name: 'Garden' }).ok())['room_id'])
  await alice.post(at(room, '/invite'), emailAt(identity, 'carol@example.org')).ok()
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
  await alice.post(at(room, '/invite'), emailAt(identity, 'dave@example.org')).ok()
  const tell = (signed: JsonObject) => server.anonymous().put('/_matrix/federation/v1/3pid/onbind', {
    medium: 'email', address: 'dave@example.org', mxid: dave.userId,
    invites: [{ medium: 'email', address: 'dave@example.org', mxid: dave.userId, room_id: room, sender: alice.userId, signed }, { room_id: '!unknown:test.example', signed }, 5],
  })
  await tell({ ...identity.signed(dave.userId, 'token1'), token: 'token7' }).ok()
  await tell({ ...identity.signed(dave.userId, 'token1'), sender: dave.userId }).fails(403, 'M_FORBIDDEN')
  assert.equal(await membershipOf(alice, room, dave.userId), undefined)
  await tell(identity.signed(dave.userId, 'token1')).ok()
  assert.equal(await membershipOf(alice, room, dave.userId), 'invite')
  const { rooms } = await dave.get('/sync?timeout=0').ok() as { rooms: { invite: JsonObject } }
  assert.deepEqual(Object.keys(rooms.invite), [room])
  await tell(identity.signed(dave.userId, 'token1')).ok()
  await server.anonymous().put('/_matrix/federation/v1/3pid/onbind', {}).fails(400, 'M_BAD_JSON')
  await dave.post(`/join/${encodeURIComponent(room)}`, {}).ok()
})

test('identity servers that tell by POST are heard', async (t) => {
  const identity = await identityServer(t)
  const server = await testServer(t, { config })
  const [alice, dave] = [await server.register('alice'), await server.register('dave')]
  const room = String((await alice.post('/createRoom', {}).ok())['room_id'])
  await alice.post(at(room, '/invite'), emailAt(identity, 'dave@example.org')).ok()
  const path = '/_matrix/federation/v1/3pid/onbind'
  await server.anonymous().post(path, { invites: [{ room_id: room, signed: identity.signed(dave.userId, 'token1') }] }).ok()
  assert.equal(await membershipOf(alice, room, dave.userId), 'invite')
  await server.anonymous().post(path, {}).fails(400, 'M_BAD_JSON')
  const forged = { ...identity.signed(alice.userId, 'token1'), mxid: (await server.register('erin')).userId }
  await server.anonymous().post(path, { invites: [{ room_id: room, signed: forged }] }).fails(403, 'M_FORBIDDEN')
})

test('a key that its identity server has revoked, or does not answer for, redeems nothing', async (t) => {
  const identity = await identityServer(t)
  const server = await testServer(t, { config })
  const [alice, dave] = [await server.register('alice'), await server.register('dave')]
  const room = String((await alice.post('/createRoom', { preset: 'public_chat' }).ok())['room_id'])
  const signed = identity.signed(dave.userId, 'token')
  const issue = (token: string, key_validity_url: string) =>
    alice.put(at(room, `/state/m.room.third_party_invite/${token}`), { display_name: 'd', public_key: identity.publicKey, key_validity_url }).ok()
  const tell = () => server.anonymous().put('/_matrix/federation/v1/3pid/onbind', { invites: [{ room_id: room, signed }] })
  for (const url of ['https://127.0.0.2:1/isvalid', 'http://127.0.0.1/isvalid', 'no address', `https://${identity.name}/_matrix/identity/v2/nonsense`]) {
    await issue('token', url)
    await tell().fails(403, 'M_FORBIDDEN')
  }
  await issue('token', `https://${identity.name}/_matrix/identity/v2/pubkey/isvalid`)
  identity.revokeKey()
  await tell().fails(403, 'M_FORBIDDEN')
  await dave.post(`/join/${encodeURIComponent(room)}`, { third_party_signed: signed }).fails(403, 'M_FORBIDDEN')
  assert.equal(await membershipOf(alice, room, dave.userId), undefined)
  await issue('token', '')
  await tell().ok()
  assert.equal(await membershipOf(alice, room, dave.userId), 'invite')
})

test('an invite that its room refuses does not keep the owner of an address from the others', async (t) => {
  const identity = await identityServer(t)
  const server = await testServer(t, { config })
  const [alice, dave] = [await server.register('alice'), await server.register('dave')]
  const rooms: string[] = []
  for (let count = 0; count < 2; count += 1) {
    const room = String((await alice.post('/createRoom', {}).ok())['room_id'])
    await alice.post(at(room, '/invite'), emailAt(identity, 'dave@example.org')).ok()
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
  await invite({ ...emailAt(identity, 'x@example.org'), id_access_token: 'wrong' }).fails(403, 'M_THREEPID_DENIED')
  await invite({ ...emailAt(identity, 'x@example.org'), id_server: 'no server/x' }).fails(400, 'M_INVALID_PARAM')
  await invite(emailAt(broken, 'x@example.org')).fails(502, 'M_CONNECTION_FAILED')
  await invite({ ...emailAt(identity, 'x@example.org'), id_server: '127.0.0.2:1' }).fails(502, 'M_CONNECTION_FAILED')
  await invite(emailAt(identity, 'x@example.org')).fails(429, 'M_LIMIT_EXCEEDED')
  await invite(emailAt(identity, 'x@example.org'), await server.register('stranger')).fails(403, 'M_FORBIDDEN')
  await alice.put(at(room, '/state/m.room.power_levels'), { invite: 50 }).ok()
  await invite(emailAt(identity, 'x@example.org'), bob).fails(403, 'M_FORBIDDEN')
  await alice.post('/createRoom', { invite_3pid: [{ medium: 'email' }] }).fails(400, 'M_MISSING_PARAM')
  const off = await testServer(t, { config: `${config}enable_3pid_lookup: false\n` })
  const other = await off.withRoom()
  await other.alice.post(at(other.room, '/invite'), emailAt(identity, 'x@example.org')).fails(403, 'M_FORBIDDEN')
})
