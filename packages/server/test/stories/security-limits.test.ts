/** What one user can pile up is bounded, and no pattern that they send costs more than its text is long. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { besieged, roomOf } from '../kit/security.ts'
import { send, syncOk } from '../kit/syncing.ts'
import type { TestClient } from '../kit/test-client.ts'

/** Repeats a request until it is refused, some at once. */
async function untilRefused(most: number, request: (index: number) => ReturnType<TestClient['put']>): Promise<string> {
  for (let index = 0; index < most; index += 20) {
    const replies = await Promise.all(Array.from({ length: 20 }, (_, offset) => request(index + offset)))
    const refused = replies.find((reply) => reply.status !== 200)
    if (refused) return `${refused.status} ${String(refused.body['errcode'])}`
  }
  return 'never'
}

test('case 122: heavy patterns of push rules, filters, ignored users and searches cost little', async (t) => {
  const { server, unharmed } = await besieged(t)
  const { alice, bob, room } = await server.withRoom()
  const me = encodeURIComponent(alice.userId)
  const heavy = `${'*a'.repeat(100)}*b`
  for (let index = 0; index < 50; index += 1) {
    await alice.put(`/pushrules/global/content/heavy${index}`, { pattern: heavy, actions: ['notify'] }).ok()
    const conditions = [{ kind: 'event_match', key: 'content.body', pattern: `${heavy}${index}?*` }]
    await alice.put(`/pushrules/global/override/heavy${index}`, { conditions, actions: ['notify'] }).ok()
  }
  await alice.put(`/user/${me}/account_data/m.ignored_user_list`, { ignored_users: { '@*a*a*a*a*:test.example': {}, '.*': {} } }).ok()
  const timed = async (what: string, work: () => Promise<unknown>): Promise<void> => {
    const began = performance.now()
    await work()
    assert.ok(performance.now() - began < 10_000, what)
  }
  await timed('a message of 60,000 characters under a hundred heavy rules', () => send(bob, room, 'a'.repeat(60_000)))
  await timed('a sync with a heavy filter', () => syncOk(alice, { filter: { room: { timeline: { types: [heavy, '*'.repeat(1_000)], not_types: [heavy] } } } }))
  await timed('a search in the user directory', () => alice.post('/user_directory/search', { search_term: heavy }).ok())
  await timed('a search for rooms', () => alice.post('/publicRooms', { filter: { generic_search_term: heavy } }).ok())
  await unharmed()
})

test('case 124: pushers, push rules, filters and aliases of one user are bounded', async (t) => {
  const { server, unharmed } = await besieged(t)
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const me = encodeURIComponent(alice.userId)
  const room = await roomOf(alice)
  const pusher = { kind: 'http', app_id: 'a', app_display_name: 'a', device_display_name: 'd', lang: 'en', data: { url: 'https://push.example/_matrix/push/v1/notify' } }
  assert.equal(await untilRefused(200, (index) => alice.post('/pushers/set', { ...pusher, pushkey: `key${index}` })), '413 M_TOO_LARGE')
  assert.equal(await untilRefused(1_100, (index) => alice.put(`/pushrules/global/room/${encodeURIComponent(`!${index}:test.example`)}`, { actions: [] })), '413 M_TOO_LARGE')
  const alias = (index: number) => `/directory/room/${encodeURIComponent(`#alias${index}:test.example`)}`
  assert.equal(await untilRefused(1_100, (index) => alice.put(alias(index), { room_id: room })), '403 M_FORBIDDEN')
  assert.equal(await untilRefused(1_020, (index) => alice.post(`/user/${me}/filter`, { room: { timeline: { limit: index + 1 } } })), 'never')
  const filters = await server.services.database.rows('SELECT user_id FROM user_filters WHERE user_id = $1', [alice.userId])
  assert.ok(filters.length <= 1_000, `${filters.length} filters are kept`)
  await bob.put('/directory/room/%23bobs%3Atest.example', { room_id: await roomOf(bob) }).ok()
  await unharmed()
})
