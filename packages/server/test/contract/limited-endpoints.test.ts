/**
 * Every endpoint that is declared to be limited refuses a good request once the limits of its caller are used up. One that is declared later fails here
 * until it has such a request.
 *
 * Spec: client-server API, "Rate limiting".
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { allOptions } from '#app/options.ts'
import { endpoints } from '#app/routes.ts'
import { remoteBytesLimit } from '#features/media/remote-media.ts'
import { sessionsOfAddress } from '#features/rendezvous/rendezvous.ts'
import { limitsIn } from '../kit/limits.ts'
import { TestClock } from '../kit/test-clock.ts'
import type { Sent, TestClient } from '../kit/test-client.ts'
import { testServer } from '../kit/test-server.ts'

interface Scene {
  /** Has made the room and sent the event. */
  readonly alice: TestClient
  /** Is not in the room. */
  readonly bob: TestClient
  readonly anonymous: TestClient
  readonly roomId: string
  /** Path of the room. */
  readonly room: string
  readonly eventId: string
}

const delayed = '/_matrix/client/unstable/org.matrix.msc4140/delayed_events'
const message = { msgtype: 'm.text', body: 'x' }
const carol = { user_id: '@carol:test.example' }
const withPassword = { auth: { type: 'm.login.password', identifier: { type: 'm.id.user', user: 'alice' }, password: 'password-of-alice' } }
const searched = { search_categories: { room_events: { search_term: 'x' } } }

const requests: Readonly<Record<string, (scene: Scene) => Sent>> = {
  cancelDelayedEvent: ({ alice }) => alice.post(`${delayed}/x/cancel`, {}),
  changePassword: ({ alice }) => alice.post('/account/password', { new_password: 'another password', ...withPassword }),
  checkUsernameAvailability: ({ anonymous }) => anonymous.get('/register/available?username=carol'),
  createPlainRendezvous: ({ anonymous }) => anonymous.post('/_matrix/client/unstable/org.matrix.msc4108/rendezvous', 'x', { headers: { 'content-type': 'text/plain' } }),
  createRendezvous: ({ anonymous }) => anonymous.post('/_matrix/client/unstable/io.element.msc4388/rendezvous', { data: 'x' }),
  createContent: ({ alice }) => alice.post('/_matrix/media/v1/create', {}),
  createRoom: ({ alice }) => alice.post('/createRoom', {}),
  createRoomTransaction: ({ alice }) => alice.put('/createRoom/1', {}),
  deactivateAccount: ({ alice }) => alice.post('/account/deactivate', withPassword),
  deleteDevice: ({ alice }) => alice.delete(`/devices/${alice.deviceId}`, withPassword),
  deleteDevices: ({ alice }) => alice.post('/delete_devices', { devices: [alice.deviceId], ...withPassword }),
  generateLoginToken: ({ alice }) => alice.post('/_matrix/client/v1/login/get_token', withPassword),
  getContent: ({ anonymous }) => anonymous.get('/_matrix/media/v3/download/other.example/x'),
  getContentAuthed: ({ alice }) => alice.get('/_matrix/client/v1/media/download/other.example/x'),
  getContentOverrideName: ({ anonymous }) => anonymous.get('/_matrix/media/v3/download/other.example/x/name'),
  getContentOverrideNameAuthed: ({ alice }) => alice.get('/_matrix/client/v1/media/download/other.example/x/name'),
  getContentThumbnail: ({ anonymous }) => anonymous.get('/_matrix/media/v3/thumbnail/other.example/x?width=1&height=1'),
  getContentThumbnailAuthed: ({ alice }) => alice.get('/_matrix/client/v1/media/thumbnail/other.example/x?width=1&height=1'),
  getDelayedEvent: ({ alice }) => alice.get(`${delayed}/x`),
  getDelayedEvents: ({ alice }) => alice.get(delayed),
  inviteUser: ({ alice, room }) => alice.post(`${room}/invite`, carol),
  inviteUserTransaction: ({ alice, room }) => alice.put(`${room}/invite/1`, carol),
  joinRoom: ({ bob, roomId }) => bob.post(`/join/${encodeURIComponent(roomId)}`, {}),
  joinRoomById: ({ bob, room }) => bob.post(`${room}/join`, {}),
  joinRoomByIdTransaction: ({ bob, room }) => bob.put(`${room}/join/1`, {}),
  joinRoomTransaction: ({ bob, roomId }) => bob.put(`/join/${encodeURIComponent(roomId)}/1`, {}),
  knockRoom: ({ bob, roomId }) => bob.post(`/knock/${encodeURIComponent(roomId)}`, {}),
  login: ({ anonymous }) => anonymous.post('/login', withPassword.auth),
  redactEvent: ({ alice, room, eventId }) => alice.put(`${room}/redact/${eventId}/1`, {}),
  redactEventWithoutTransaction: ({ alice, room, eventId }) => alice.post(`${room}/redact/${eventId}`, {}),
  register: ({ anonymous }) => anonymous.post('/register', { username: 'carol', password: 'a password', auth: { type: 'm.login.dummy' } }),
  registrationTokenValidity: ({ anonymous }) => anonymous.get('/_matrix/client/v1/register/m.login.registration_token/validity?token=x'),
  reportEvent: ({ alice, room, eventId }) => alice.post(`${room}/report/${eventId}`, { reason: 'x' }),
  reportRoom: ({ alice, room }) => alice.post(`${room}/report`, { reason: 'x' }),
  reportUser: ({ alice }) => alice.post('/users/@bob:test.example/report', { reason: 'x' }),
  restartDelayedEvent: ({ alice }) => alice.post(`${delayed}/x/restart`, {}),
  search: ({ alice }) => alice.post('/search', searched),
  searchUserDirectory: ({ alice }) => alice.post('/user_directory/search', { search_term: 'x' }),
  sendDelayedEvent: ({ alice }) => alice.post(`${delayed}/x/send`, {}),
  sendMessage: ({ alice, room }) => alice.put(`${room}/send/m.room.message/1`, message),
  sendMessageWithoutTransaction: ({ alice, room }) => alice.post(`${room}/send/m.room.message`, message),
  setPresence: ({ alice }) => alice.put(`/presence/${alice.userId}/status`, { presence: 'online' }),
  setRoomState: ({ alice, room }) => alice.put(`${room}/state/m.room.topic`, { topic: 'x' }),
  updateDelayedEvent: ({ alice }) => alice.post(`${delayed}/x`, { action: 'send' }),
  upgradeRoom: ({ alice, room }) => alice.post(`${room}/upgrade`, { new_version: '11' }),
}

const limits = limitsIn(allOptions)
const burst = 100

/** Content of another server is refused before that server is asked. */
const fetching = 'federation_domain_whitelist: [other.example]\nenable_authenticated_media: false\nremote_media_download_burst_count: 100\nremote_media_download_per_second: 1\n'

const meeting = 'experimental_features: {msc4108_enabled: true, msc4388_mode: open}\n'

/** All limits at a rate that fills no bucket again during the test. */
function configuration(): string {
  const rate = { per_second: 0.001, burst_count: burst }
  const sections = Map.groupBy(limits, (name) => name.split('.')[0] ?? name)
  return [...sections].map(([section, names]) => {
    const parts = names.map((name) => name.slice(section.length + 1))
    return `${section}: ${JSON.stringify(parts.includes('') ? rate : Object.fromEntries(parts.map((part) => [part, rate])))}\n`
  }).join('')
}

test('every endpoint that is declared to be limited refuses when the limit is used up', async (t) => {
  const declared = endpoints.filter(({ base, errors, limit }) => (base === 'client' || base === 'media') && (limit !== 'none' || errors.includes('M_LIMIT_EXCEEDED')))
    .map(({ id }) => id)
  assert.deepEqual(Object.keys(requests).sort(), declared.sort())
  const server = await testServer(t, { config: `${configuration()}${fetching}login_via_existing_session: {enabled: true}\n${meeting}`, clock: new TestClock() })
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const roomId = String((await alice.post('/createRoom', { preset: 'public_chat' }).ok())['room_id'])
  const room = `/rooms/${encodeURIComponent(roomId)}`
  const { event_id: eventId } = await alice.put(`${room}/send/m.room.message/0`, message).ok()
  const scene: Scene = { alice, bob, anonymous: server.anonymous(), roomId, room, eventId: encodeURIComponent(String(eventId)) }
  for (const name of [...limits, remoteBytesLimit]) {
    for (const key of [alice.userId, bob.userId, roomId, '127.0.0.1']) {
      while (server.services.limits.check(name, key) === 0) server.services.limits.consume(name, key)
    }
  }
  for (const rendezvous of [server.services.plainRendezvous, server.services.jsonRendezvous]) {
    for (let count = 0; count < sessionsOfAddress; count += 1) rendezvous?.sessions.create('', '127.0.0.1')
  }
  for (const request of Object.values(requests)) {
    const { retry_after_ms: waitMs } = await request(scene).fails(429, 'M_LIMIT_EXCEEDED')
    assert.ok(typeof waitMs === 'number' && waitMs > 0)
  }
})
