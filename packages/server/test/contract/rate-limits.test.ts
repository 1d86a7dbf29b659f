/**
 * Every rate limit that the server acts on, as it is declared: who exceeds it is told when to come back, in the body and in the header, and is let in then.
 * A limit that is declared later fails here until it has a request that exceeds it.
 *
 * Spec: client-server API, "Rate limiting"; RFC 9110, "Retry-After".
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { allOptions } from '#app/options.ts'
import { limitsIn } from '../kit/limits.ts'
import { TestClock } from '../kit/test-clock.ts'
import type { Reply, TestClient } from '../kit/test-client.ts'
import { testServer, type TestServer } from '../kit/test-server.ts'

/** Users in a public room, which Alice made. */
interface Scene {
  readonly server: TestServer
  readonly alice: TestClient
  readonly bob: TestClient
  /** Path of the room. */
  readonly room: string
}

/** A request that counts against a limit; what else it is answered does not matter. @param count differs each time */
type Attempt = (scene: Scene, count: number) => PromiseLike<Reply>

const invite: Attempt = ({ alice, room }) => alice.post(`${room}/invite`, { user_id: '@carol:test.example' })
const join: Attempt = async ({ bob, room }) => {
  await bob.post(`${room}/leave`, {}).ok()
  return bob.post(`${room}/join`, {})
}
const logIn = (password: string): Attempt => ({ server }) =>
  server.anonymous().post('/login', { type: 'm.login.password', identifier: { type: 'm.id.user', user: 'alice' }, password })

const attempts: Readonly<Record<string, Attempt>> = {
  'rc_admin_redaction': async ({ alice, bob, room }, count) => {
    const { event_id: event } = await bob.put(`${room}/send/m.room.message/${count}`, { msgtype: 'm.text', body: 'x' }).ok()
    return alice.put(`${room}/redact/${encodeURIComponent(String(event))}/${count}`, {})
  },
  'rc_delayed_event_mgmt': ({ alice }) => alice.get('/_matrix/client/unstable/org.matrix.msc4140/delayed_events'),
  'rc_invites.per_issuer': invite,
  'rc_invites.per_room': invite,
  'rc_invites.per_user': invite,
  'rc_joins.local': join,
  'rc_joins_per_room': join,
  'rc_login.account': logIn('password-of-alice'),
  'rc_login.address': logIn('password-of-alice'),
  'rc_login.failed_attempts': logIn('wrong'),
  'rc_media_create': ({ alice }) => alice.post('/_matrix/media/v1/create', {}),
  'rc_message': ({ alice, room }, count) => alice.put(`${room}/send/m.room.message/${count}`, { msgtype: 'm.text', body: 'x' }),
  'rc_presence.per_user': ({ alice }) => alice.put(`/presence/${encodeURIComponent(alice.userId)}/status`, { presence: 'online' }),
  'rc_registration': ({ server }, count) => server.anonymous().post('/register', { username: `new${count}`, password: 'a password', auth: { type: 'm.login.dummy' } }),
  'rc_registration_token_validity': ({ server }) => server.anonymous().get('/_matrix/client/v1/register/m.login.registration_token/validity?token=none'),
  'rc_reports': ({ alice, room }) => alice.post(`${room}/report`, { reason: 'x' }),
  'rc_room_creation': ({ alice }) => alice.post('/createRoom', {}),
  'rc_search': ({ alice }) => alice.post('/search', { search_categories: { room_events: { search_term: 'x' } } }),
  'rc_third_party_invite': ({ alice, room }) => alice.post(`${room}/invite`, { medium: 'email', address: 'x@example.org', id_server: '127.0.0.1:1', id_access_token: 'x' }),
  'rc_user_directory': ({ alice }) => alice.post('/user_directory/search', { search_term: 'x' }),
}

const burst = 3
const perSecond = 0.01
const limits = limitsIn(allOptions)

/** The line of homeserver.yaml that sets one limit and lifts those that stand beside it. */
function lineOf(limit: string): string {
  const [section = ''] = limit.split('.')
  const beside = limits.filter((each) => each === section || each.startsWith(`${section}.`))
  const valueOf = (name: string): object => (name === limit ? { per_second: perSecond, burst_count: burst } : { per_second: 1e5, burst_count: 1e5 })
  const value = limit === section ? valueOf(limit) : Object.fromEntries(beside.map((name) => [name.slice(section.length + 1), valueOf(name)]))
  return `${section}: ${JSON.stringify(value)}\n`
}

test('each limit has a request that exceeds it', () => {
  assert.deepEqual([...limits].sort(), Object.keys(attempts).sort())
})

for (const [limit, attempt] of Object.entries(attempts)) {
  test(`${limit}: a request too many is told when to come back`, async (t) => {
    const clock = new TestClock()
    const server = await testServer(t, { clock, config: lineOf(limit) })
    const { alice, bob, room } = await server.withRoom()
    const scene: Scene = { server, alice, bob, room: `/rooms/${encodeURIComponent(room)}` }
    // What making the users and the room has cost is forgotten.
    clock.advance((burst / perSecond) * 1000)
    for (let count = 0; count < burst; count += 1) assert.notEqual((await attempt(scene, count)).status, 429, `attempt ${count + 1} of ${burst}`)
    const { status, body, headers } = await attempt(scene, burst)
    assert.equal(`${status} ${String(body['errcode'])}`, '429 M_LIMIT_EXCEEDED')
    const waitMs = body['retry_after_ms']
    assert.ok(typeof waitMs === 'number' && Number.isInteger(waitMs) && waitMs > 0 && waitMs <= 1000 / perSecond, `retry_after_ms is ${String(waitMs)}`)
    assert.equal(headers.get('retry-after'), String(Math.ceil(waitMs / 1000)))
    assert.match(headers.get('access-control-expose-headers') ?? '', /Retry-After/i)
    clock.advance(waitMs)
    assert.notEqual((await attempt(scene, burst + 1)).status, 429, 'after the wait')
  })
}
