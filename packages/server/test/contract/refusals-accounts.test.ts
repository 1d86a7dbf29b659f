/**
 * What the endpoints of accounts, their data and keys, of media and of administrators declare that they refuse, as far as no test of their slices shows it.
 *
 * Spec: client-server API, the error responses of each endpoint.
 */
import { createHmac } from 'node:crypto'
import { test } from 'node:test'
import { assertRefused } from '../kit/refusals.ts'
import { TestClock } from '../kit/test-clock.ts'
import type { TestClient } from '../kit/test-client.ts'
import { testServer } from '../kit/test-server.ts'

const v1 = '/_matrix/client/v1'
const own = (client: TestClient): string => `/user/${encodeURIComponent(client.userId)}`
const room = '/rooms/!room%3Atest.example'
const large = 'x'.repeat(70_000)
/** Longer than any body may be. */
const excessive = 'x'.repeat(1_100_000)

test('accounts and devices, with a wrong password', async (t) => {
  const server = await testServer(t, { config: 'login_via_existing_session: {enabled: true}\n' })
  const [alice, bob, admin] = [await server.register('alice'), await server.register('bob'), await server.admin()]
  const wrong = { auth: { type: 'm.login.password', identifier: { type: 'm.id.user', user: 'alice' }, password: 'wrong' } }
  await admin.put(`${v1}/admin/suspend/${encodeURIComponent(bob.userId)}`, { suspended: true }).ok()
  await assertRefused([
    ['401 M_FORBIDDEN', alice, 'POST', '/account/deactivate', wrong],
    ['401 M_FORBIDDEN', alice, 'POST', '/delete_devices', { devices: [alice.deviceId], ...wrong }],
    ['401 M_FORBIDDEN', alice, 'POST', `${v1}/login/get_token`, wrong],
    ['403 M_USER_SUSPENDED', bob, 'POST', `${v1}/login/get_token`, {}],
  ])
})

test('profiles', async (t) => {
  const server = await testServer(t)
  const [alice, bob, admin, guest] = [await server.register('alice'), await server.register('bob'), await server.admin(), await server.guest()]
  await admin.put(`${v1}/admin/suspend/${encodeURIComponent(bob.userId)}`, { suspended: true }).ok()
  const profile = (client: TestClient, field: string): string => `/profile/${encodeURIComponent(client.userId)}/${field}`
  const longName = `org.${'x'.repeat(300)}`
  await assertRefused([
    ['400 M_KEY_TOO_LARGE', alice, 'GET', profile(alice, longName)],
    ['400 M_KEY_TOO_LARGE', alice, 'DELETE', profile(alice, longName)],
    ['400 M_INVALID_PARAM', alice, 'DELETE', '/profile/alice/displayname'],
    ['404 M_NOT_FOUND', admin, 'DELETE', '/profile/%40nobody%3Atest.example/displayname'],
    ['403 M_GUEST_ACCESS_FORBIDDEN', guest, 'DELETE', profile(guest, 'avatar_url')],
    ['403 M_USER_SUSPENDED', bob, 'DELETE', profile(bob, 'displayname')],
  ])
})

test('profiles that are shown only to those who share a room', async (t) => {
  const server = await testServer(t, { config: 'limit_profile_requests_to_users_who_share_rooms: true\n' })
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const name = `/profile/${encodeURIComponent(alice.userId)}/displayname`
  await assertRefused([['403 M_FORBIDDEN', bob, 'GET', name], ['401 M_MISSING_TOKEN', server.anonymous(), 'GET', name]])
})

test('account data, tags, filters and push rules', async (t) => {
  const server = await testServer(t, { config: 'experimental_features: {msc3391_enabled: true}\n' })
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const unstable = '/_matrix/client/unstable/org.matrix.msc3391'
  const ignored = Object.fromEntries(Array.from({ length: 10_001 }, (_, index) => [`@user${index}:test.example`, {}]))
  const rule = '/pushrules/device/override/.m.rule.master'
  await assertRefused([
    ['413 M_TOO_LARGE', alice, 'PUT', `${own(alice)}/account_data/m.ignored_user_list`, { ignored_users: ignored }],
    ['413 M_TOO_LARGE', alice, 'PUT', `${own(alice)}${room}/account_data/org.example.x`, { text: excessive }],
    ['403 M_FORBIDDEN', bob, 'PUT', `${own(alice)}${room}/account_data/org.example.x`, {}],
    ['403 M_FORBIDDEN', bob, 'GET', `${own(alice)}${room}/account_data/org.example.x`],
    ['403 M_FORBIDDEN', bob, 'DELETE', `${unstable}${own(alice)}${room}/account_data/org.example.x`],
    ['405 M_BAD_JSON', alice, 'DELETE', `${unstable}${own(alice)}${room}/account_data/m.fully_read`],
    ['400 M_INVALID_PARAM', alice, 'GET', `${own(alice)}/rooms/room/tags`],
    ['400 M_INVALID_PARAM', alice, 'DELETE', `${own(alice)}/rooms/room/tags/m.favourite`],
    ['413 M_TOO_LARGE', alice, 'POST', `${own(alice)}/filter`, { room: { timeline: { types: [large] } } }],
    ['400 M_INVALID_PARAM', alice, 'GET', `${rule}/actions`],
    ['400 M_INVALID_PARAM', alice, 'GET', `${rule}/enabled`],
    ['400 M_INVALID_PARAM', alice, 'PUT', `${rule}/enabled`, { enabled: true }],
    ['413 M_TOO_LARGE', alice, 'PUT', `${rule.replace('device', 'global')}/actions`, { actions: [{ set_tweak: 'sound', value: large }] }],
  ])
})

test('backups of keys and dehydrated devices', async (t) => {
  const server = await testServer(t, { config: 'experimental_features: {msc3814_enabled: true}\n' })
  const alice = await server.register('alice')
  const dehydrated = '/_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device'
  await assertRefused([
    ['404 M_NOT_FOUND', alice, 'PUT', '/room_keys/keys?version=1', { rooms: {} }],
    ['404 M_NOT_FOUND', alice, 'PUT', `/room_keys/keys/!room%3Atest.example?version=1`, { sessions: {} }],
    ['403 M_FORBIDDEN', alice, 'GET', `${dehydrated}/${alice.deviceId}/events`],
  ])
  const { version } = await alice.post('/room_keys/version', { algorithm: 'm.megolm_backup.v1', auth_data: {} }).ok()
  await assertRefused([
    ['413 M_TOO_LARGE', alice, 'PUT', `/room_keys/version/${String(version)}`, { algorithm: 'm.megolm_backup.v1', auth_data: { signature: large } }],
  ])
})

test('what is switched off', async (t) => {
  const server = await testServer(t)
  const [alice, admin] = [await server.register('alice'), await server.admin()]
  const dehydrated = '/_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device'
  await assertRefused([
    ['404 M_UNRECOGNIZED', alice, 'DELETE', dehydrated],
    ['404 M_UNRECOGNIZED', alice, 'GET', `${dehydrated}/x/events`],
    ['404 M_UNRECOGNIZED', alice, 'DELETE', `/_matrix/client/unstable/org.matrix.msc3391${own(alice)}${room}/account_data/org.example.x`],
    ['400 M_UNKNOWN', admin, 'POST', '/_synapse/admin/v1/send_server_notice', { user_id: alice.userId, content: { msgtype: 'm.text', body: 'x' } }],
  ])
})

test('media that are not there yet', async (t) => {
  const server = await testServer(t, { config: 'enable_authenticated_media: false\n', clock: new TestClock() })
  const alice = await server.register('alice')
  const { content_uri: uri } = await alice.post('/_matrix/media/v1/create', {}).ok()
  const id = String(uri).replace('mxc://', '')
  const [authed, frozen] = [`${v1}/media`, '/_matrix/media/v3']
  const size = 'width=32&height=32'
  const name = 'x'.repeat(1025)
  await assertRefused([
    ['504 M_NOT_YET_UPLOADED', alice, 'GET', `${authed}/download/${id}/name.png?timeout_ms=0`],
    ['504 M_NOT_YET_UPLOADED', alice, 'GET', `${authed}/thumbnail/${id}?${size}&timeout_ms=0`],
    ['400 M_INVALID_PARAM', alice, 'GET', `${authed}/download/${id}/${name}`],
    ['504 M_NOT_YET_UPLOADED', alice, 'GET', `${frozen}/download/${id}?timeout_ms=0`],
    ['504 M_NOT_YET_UPLOADED', alice, 'GET', `${frozen}/download/${id}/name.png?timeout_ms=0`],
    ['504 M_NOT_YET_UPLOADED', alice, 'GET', `${frozen}/thumbnail/${id}?${size}&timeout_ms=0`],
    ['400 M_INVALID_PARAM', alice, 'GET', `${frozen}/download/${id}?timeout_ms=x`],
    ['400 M_INVALID_PARAM', alice, 'GET', `${frozen}/download/${id}/${name}`],
    ['400 M_INVALID_PARAM', alice, 'GET', `${frozen}/thumbnail/${id}?${size}&method=squeeze`],
    ['400 M_MISSING_PARAM', alice, 'GET', `${frozen}/thumbnail/${id}`],
  ])
})

test('pictures of which no thumbnail is made', async (t) => {
  const server = await testServer(t, { config: 'enable_authenticated_media: false\nmax_image_pixels: 10\n' })
  const alice = await server.register('alice')
  const thumbnail = async (content: Uint8Array | string, type: string): Promise<string> => {
    const { content_uri: uri } = await alice.post('/_matrix/media/v3/upload', content, { headers: { 'content-type': type } }).ok()
    return `/_matrix/media/v3/thumbnail/${String(uri).replace('mxc://', '')}?width=32&height=32`
  }
  const picture = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAQAAAAECAIAAAAmkwkpAAAAEElEQVR4nGNgYPgPRwzEcQBZIg/xuMMHKgAAAABJRU5ErkJggg==', 'base64')
  await assertRefused([
    ['400 M_UNKNOWN', alice, 'GET', await thumbnail('no picture', 'image/png')],
    ['413 M_TOO_LARGE', alice, 'GET', await thumbnail(picture, 'image/png')],
  ])
})

test('administration', async (t) => {
  const server = await testServer(t, { config: 'server_notices: {system_mxid_localpart: notices}\n' })
  const [admin, alice] = [await server.admin(), await server.register('alice')]
  const base = '/_synapse/admin/v1'
  const content = { msgtype: 'm.text', body: 'x' }
  await admin.post(`${base}/registration_tokens/new`, { token: 'a-token' }).ok()
  const signed = async (username: string, password: string): Promise<object> => {
    const nonce = String((await server.anonymous().get(`${base}/register`).ok())['nonce'])
    const mac = createHmac('sha1', 'shared-secret-of-tests').update([nonce, username, password, 'notadmin'].join('\0')).digest('hex')
    return { nonce, username, password, mac }
  }
  await assertRefused([
    ['400 M_INVALID_USERNAME', server.anonymous(), 'POST', `${base}/register`, await signed('no name', 'a long password')],
    ['400 M_WEAK_PASSWORD', server.anonymous(), 'POST', `${base}/register`, await signed('carol', '')],
    ['400 M_INVALID_PARAM', server.anonymous(), 'GET', '/_matrix/key/v2/query/no%20name'],
    ['404 M_NOT_FOUND', admin, 'GET', `${base}/whois/%40nobody%3Atest.example`],
    ['400 M_USER_IN_USE', admin, 'GET', `${base}/username_available?username=alice`],
    ['400 M_INVALID_USERNAME', admin, 'GET', `${base}/username_available?username=%20`],
    ['400 M_MISSING_PARAM', admin, 'GET', `${base}/username_available`],
    ['400 M_INVALID_PARAM', admin, 'GET', `${base}/registration_tokens?valid=perhaps`],
    ['400 M_INVALID_PARAM', admin, 'PUT', `${base}/registration_tokens/a-token`, { uses_allowed: -1 }],
    ['403 M_FORBIDDEN', alice, 'POST', `${base}/send_server_notice`, { user_id: alice.userId, content }],
    ['400 M_MISSING_PARAM', admin, 'POST', `${base}/send_server_notice`, {}],
    ['400 M_BAD_JSON', admin, 'POST', `${base}/send_server_notice`, { user_id: alice.userId, content: 5 }],
    ['400 M_INVALID_PARAM', admin, 'POST', `${base}/send_server_notice`, { user_id: '@alice:elsewhere.example', content }],
    ['404 M_NOT_FOUND', admin, 'POST', `${base}/send_server_notice`, { user_id: '@nobody:test.example', content }],
    ['413 M_TOO_LARGE', admin, 'POST', `${base}/send_server_notice`, { user_id: alice.userId, content: { body: large } }],
  ])
})
