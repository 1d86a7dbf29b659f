/** Profiles at the HTTP door. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { testServer } from '#test/kit/test-server.ts'

test('fields are set, read and removed', async (t) => {
  const server = await testServer(t)
  const alice = await server.register('alice')
  const nobody = server.anonymous()
  const path = `/profile/${encodeURIComponent(alice.userId)}`
  assert.deepEqual(await nobody.get(path).ok(), { displayname: 'alice' })
  await alice.put(`${path}/displayname`, { displayname: 'Alice ✨' }).ok()
  await alice.put(`${path}/avatar_url`, { avatar_url: 'mxc://test.example/abc' }).ok()
  await alice.put(`${path}/m.tz`, { 'm.tz': 'Europe/Berlin' }).ok()
  await alice.put(`${path}/org.example.job`, { 'org.example.job': { title: null, __proto__x: 1 } }).ok()
  await alice.put(`${path}/org.example.nothing`, { 'org.example.nothing': null }).ok()
  assert.deepEqual(await nobody.get(path).ok(), {
    'displayname': 'Alice ✨', 'avatar_url': 'mxc://test.example/abc', 'm.tz': 'Europe/Berlin',
    'org.example.job': { title: null, __proto__x: 1 }, 'org.example.nothing': null,
  })
  assert.deepEqual(await nobody.get(`${path}/org.example.nothing`).ok(), { 'org.example.nothing': null })
  assert.deepEqual(await nobody.get(`${path}/displayname`).ok(), { displayname: 'Alice ✨' })
  await alice.delete(`${path}/org.example.job`).ok()
  await alice.delete(`${path}/org.example.job`).ok()
  await nobody.get(`${path}/org.example.job`).fails(404, 'M_NOT_FOUND')
  await alice.put(`${path}/avatar_url`, { avatar_url: '' }).ok()
  await nobody.get(`${path}/avatar_url`).fails(404, 'M_NOT_FOUND')
  await alice.delete(`${path}/displayname`).ok()
  assert.equal((await nobody.get(path).ok())['displayname'], undefined)
  assert.deepEqual(server.errors, [])
})

test('what is refused', async (t) => {
  const server = await testServer(t)
  const [alice, bob, guest] = [await server.register('alice'), await server.register('bob'), await server.guest()]
  const path = `/profile/${alice.userId}`
  const refusals: readonly (readonly [string, unknown, string])[] = [
    ['displayname', {}, 'M_MISSING_PARAM'], ['displayname', { displayname: null }, 'M_INVALID_PARAM'], ['displayname', { displayname: 5 }, 'M_INVALID_PARAM'],
    ['displayname', { displayname: 'x'.repeat(257) }, 'M_INVALID_PARAM'],
    ['avatar_url', { avatar_url: `mxc://x/${'y'.repeat(1000)}` }, 'M_INVALID_PARAM'], ['m.tz', { 'm.tz': 1 }, 'M_INVALID_PARAM'],
    ['__proto__', { a: 1 }, 'M_INVALID_PARAM'], ['constructor', { constructor: 1 }, 'M_INVALID_PARAM'], ['Upper.case', { 'Upper.case': 1 }, 'M_INVALID_PARAM'],
    [`a.${'b'.repeat(254)}`, {}, 'M_KEY_TOO_LARGE'], ['org.example.big', { 'org.example.big': 'x'.repeat(66_000) }, 'M_PROFILE_TOO_LARGE'],
    ['displayname', [], 'M_BAD_JSON'], ['displayname', 'nonsense', 'M_NOT_JSON'],
  ]
  for (const [name, body, errcode] of refusals) await alice.put(`${path}/${name}`, body).fails(400, errcode)
  await alice.put(`${path}/org.example.a`, { 'org.example.a': 'x'.repeat(40_000) }).ok()
  await alice.put(`${path}/org.example.b`, { 'org.example.b': 'x'.repeat(40_000) }).fails(400, 'M_PROFILE_TOO_LARGE')
  await alice.put(`${path}/org.example.a`, { 'org.example.a': 'x'.repeat(60_000) }).ok()
  await bob.put(`${path}/displayname`, { displayname: 'x' }).fails(403, 'M_FORBIDDEN')
  await bob.delete(`${path}/displayname`).fails(403, 'M_FORBIDDEN')
  await alice.put('/profile/@x:elsewhere.example/displayname', { displayname: 'x' }).fails(403, 'M_FORBIDDEN')
  await guest.put(`/profile/${guest.userId}/displayname`, { displayname: 'Visitor' }).ok()
  await guest.put(`/profile/${guest.userId}/avatar_url`, { avatar_url: 'mxc://a/b' }).fails(403, 'M_GUEST_ACCESS_FORBIDDEN')
  await server.anonymous().put(`${path}/displayname`, { displayname: 'x' }).fails(401, 'M_MISSING_TOKEN')
  await server.anonymous().get('/profile/@none:test.example').fails(404, 'M_NOT_FOUND')
  await server.anonymous().get('/profile/@x:elsewhere.example').fails(404, 'M_NOT_FOUND')
  await server.anonymous().get('/profile/alice').fails(400, 'M_INVALID_PARAM')
  await server.anonymous().get(`${path}/__proto__`).fails(400, 'M_INVALID_PARAM')
  const admin = await server.admin()
  await admin.put(`${path}/displayname`, { displayname: 'By the admin' }).ok()
  await admin.put('/profile/@none:test.example/displayname', { displayname: 'x' }).fails(404, 'M_NOT_FOUND')
})

test('options about profiles', async (t) => {
  const fixed = await testServer(t, { config: 'enable_set_displayname: false\nenable_set_avatar_url: false' })
  const alice = await fixed.register('alice')
  await alice.put(`/profile/${alice.userId}/displayname`, { displayname: 'x' }).fails(403, 'M_FORBIDDEN')
  await alice.delete(`/profile/${alice.userId}/avatar_url`).fails(403, 'M_FORBIDDEN')
  const { capabilities } = await alice.get('/capabilities').ok() as { capabilities: Record<string, unknown> }
  assert.deepEqual(capabilities['m.profile_fields'], { enabled: true, disallowed: ['displayname', 'avatar_url'] })
  assert.deepEqual(capabilities['m.set_displayname'], { enabled: false })

  const shy = await testServer(t, { config: 'require_auth_for_profile_requests: true\nlimit_profile_requests_to_users_who_share_rooms: true' })
  const [carol, dave] = [await shy.register('carol'), await shy.register('dave')]
  await shy.anonymous().get(`/profile/${carol.userId}`).fails(401, 'M_MISSING_TOKEN')
  await dave.get(`/profile/${carol.userId}`).fails(403, 'M_FORBIDDEN')
  await dave.get(`/profile/@none:test.example`).fails(403, 'M_FORBIDDEN')
  await carol.get(`/profile/${carol.userId}`).ok()
})

test('a new name and avatar reach the rooms, a removed one as well, and the newest wins', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom()
  const member = async (): Promise<Readonly<Record<string, unknown>>> => {
    await server.services.profilePropagation.settled()
    return alice.get(`/rooms/${encodeURIComponent(room)}/state/m.room.member/${encodeURIComponent(bob.userId)}`).ok()
  }
  const path = `/profile/${bob.userId}`
  for (let index = 0; index < 5; index++) await bob.put(`${path}/displayname`, { displayname: `Bob ${index}` }).ok()
  await bob.put(`${path}/avatar_url`, { avatar_url: 'mxc://test.example/abc' }).ok()
  assert.deepEqual(await member(), { membership: 'join', displayname: 'Bob 4', avatar_url: 'mxc://test.example/abc' })
  await bob.delete(`${path}/avatar_url`).ok()
  assert.deepEqual(await member(), { membership: 'join', displayname: 'Bob 4' })
  assert.deepEqual(server.errors, [])
})

test('limits on avatars', async (t) => {
  const server = await testServer(t, { config: 'max_avatar_size: 10\nallowed_avatar_mimetypes: [image/png]' })
  const alice = await server.register('alice')
  const upload = async (text: string, type: string): Promise<unknown> =>
    (await alice.post('/_matrix/media/v3/upload', text, { headers: { 'content-type': type } }).ok())['content_uri']
  const set = async (uri: unknown) => alice.put(`/profile/${alice.userId}/avatar_url`, { avatar_url: uri })
  assert.equal((await set(await upload('small', 'image/png'))).status, 200)
  for (const uri of [await upload('too large an image', 'image/png'), await upload('small', 'image/gif'), 'mxc://elsewhere.example/x', 'mxc://test.example/none']) {
    assert.equal((await set(uri)).body['errcode'], 'M_FORBIDDEN')
  }
  assert.equal((await set('')).status, 200)
})
