/** Thread subscriptions: the endpoints, what they do to notifications, and how changes reach clients. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { list, SlidingClient } from '#test/kit/sliding.ts'
import { send, syncOk, untilWaiting } from '#test/kit/syncing.ts'
import { TestClock } from '#test/kit/test-clock.ts'
import type { TestClient } from '#test/kit/test-client.ts'
import { testServer } from '#test/kit/test-server.ts'

const config = 'experimental_features: {msc4306_enabled: true}\n'
const conflict = 'IO.ELEMENT.MSC4306.M_CONFLICTING_UNSUBSCRIPTION'
const notInThread = 'IO.ELEMENT.MSC4306.M_NOT_IN_THREAD'
const extension = 'io.element.msc4308.thread_subscriptions'
const pages = '/_matrix/client/unstable/io.element.msc4308/thread_subscriptions'

function at(room: string, thread: string): string {
  return `/_matrix/client/unstable/io.element.msc4306/rooms/${encodeURIComponent(room)}/thread/${encodeURIComponent(thread)}/subscription`
}

function reply(client: TestClient, room: string, root: string, body: string): Promise<string> {
  return send(client, room, body, { 'm.relates_to': { rel_type: 'm.thread', event_id: root } })
}

test('a thread is followed, by hand or by a client, and no more', async (t) => {
  const server = await testServer(t, { config })
  const { alice, bob, room } = await server.withRoom()
  const root = await send(alice, room, 'root')
  const cause = await reply(bob, room, root, 'hello')
  await alice.get(at(room, root)).fails(404, 'M_NOT_FOUND')
  await alice.delete(at(room, root)).ok()
  await alice.put(at(room, root), { automatic: cause }).ok()
  assert.deepEqual(await alice.get(at(room, root)).ok(), { automatic: true })
  await alice.put(at(room, root), {}).ok()
  assert.deepEqual(await alice.get(at(room, root)).ok(), { automatic: false })
  await alice.put(at(room, root), { automatic: cause }).ok()
  assert.deepEqual(await alice.get(at(room, root)).ok(), { automatic: false }, 'what a user did stays')
  await bob.get(at(room, root)).fails(404, 'M_NOT_FOUND')
  await alice.delete(at(room, root)).ok()
  await alice.get(at(room, root)).fails(404, 'M_NOT_FOUND')
  await alice.put(at(room, root), { automatic: cause }).fails(409, conflict)
  const later = await reply(bob, room, root, 'hello again')
  await alice.put(at(room, root), { automatic: later }).ok()
  await alice.delete(at(room, root)).ok()
  await alice.put(at(room, root), { automatic: later }).fails(409, conflict)
  await alice.put(at(room, root), {}).ok()
})

test('what is no thread, not to be seen or not in the thread is refused', async (t) => {
  const server = await testServer(t, { config })
  const { alice, bob, room } = await server.withRoom()
  const root = await send(alice, room, 'root')
  const inside = await reply(bob, room, root, 'x')
  const outside = await send(bob, room, 'outside')
  const carol = await server.register('carol')
  const other = String((await carol.post('/createRoom', { preset: 'private_chat' }).ok())['room_id'])
  const hidden = await send(carol, other, 'hidden')
  for (const [place, thread] of [[room, '$none'], [room, hidden], [other, hidden], [room, inside], ['!none:test.example', root], [other, root]] as const) {
    await alice.put(at(place, thread), {}).fails(404, 'M_NOT_FOUND')
    await alice.get(at(place, thread)).fails(404, 'M_NOT_FOUND')
    await alice.delete(at(place, thread)).fails(404, 'M_NOT_FOUND')
  }
  for (const automatic of [outside, hidden, root, '$none', 'x', 'constructor', 'a\0b']) await alice.put(at(room, root), { automatic }).fails(400, notInThread)
  await alice.put(at(room, root), { automatic: true }).fails(400, 'M_BAD_JSON')
  await alice.put(at('nothing', root), {}).fails(400, 'M_INVALID_PARAM')
  await (await server.guest()).get(at(room, root)).fails(403, 'M_GUEST_ACCESS_FORBIDDEN')
  for (const query of ['', '?dir=f', '?dir=b&limit=0', '?dir=b&from=x', '?dir=b&to=s1_2', '?dir=b&limit=many']) {
    const { status } = await alice.get(`${pages}${query}`)
    assert.equal(status, 400, query)
  }
  await alice.get(pages).fails(400, 'M_MISSING_PARAM')
  await alice.get(`${pages}?dir=b&to=x`).fails(400, 'M_INVALID_PARAM')
  assert.deepEqual(server.errors, [])
})

test('without the option there is nothing of it', async (t) => {
  const server = await testServer(t)
  const { alice, room } = await server.withRoom()
  const root = await send(alice, room, 'root')
  for (const method of ['GET', 'PUT', 'DELETE']) await alice.send(method, at(room, root), method === 'PUT' ? {} : undefined).fails(404, 'M_UNRECOGNIZED')
  await alice.get(`${pages}?dir=b`).fails(404, 'M_UNRECOGNIZED')
  assert.equal(Object.hasOwn(Object((await alice.get('/pushrules/').ok())['global']), 'postcontent'), false)
  await alice.get('/pushrules/global/postcontent/').fails(400, 'M_INVALID_PARAM')
  const features = Object((await alice.get('/_matrix/client/versions').ok())['unstable_features'])
  assert.equal(features['org.matrix.msc4306'], false)
})

test('only threads that are followed notify, whatever else the room does; mentions always do', async (t) => {
  const server = await testServer(t, { config })
  const { alice, bob, room } = await server.withRoom()
  const [followed, other] = [await send(alice, room, 'one'), await send(alice, room, 'two')]
  await alice.put(at(room, followed), {}).ok()
  await alice.put(`/pushrules/global/room/${encodeURIComponent(room)}`, { actions: [] }).ok()
  await reply(bob, room, followed, 'notifies')
  await reply(bob, room, other, 'does not')
  await send(bob, room, 'muted')
  const counts = async () => {
    const joined = (await syncOk(alice, { filter: { room: { timeline: { unread_thread_notifications: true } } } })).rooms?.join?.[room]
    return [joined?.unread_notifications, joined?.unread_thread_notifications]
  }
  assert.deepEqual(await counts(), [{ notification_count: 0, highlight_count: 0 }, { [followed]: { notification_count: 1, highlight_count: 0 } }])
  await send(bob, room, 'alice?', { 'm.mentions': { user_ids: [alice.userId] }, 'm.relates_to': { rel_type: 'm.thread', event_id: other } })
  await alice.delete(`/pushrules/global/room/${encodeURIComponent(room)}`).ok()
  await reply(bob, room, other, 'does not, though the room does')
  await send(bob, room, 'notifies')
  assert.deepEqual(await counts(), [
    { notification_count: 1, highlight_count: 0 }, { [followed]: { notification_count: 1, highlight_count: 0 }, [other]: { notification_count: 1, highlight_count: 1 } },
  ])
  const rules = Object((await alice.get('/pushrules/').ok())['global'])['postcontent']
  assert.deepEqual(rules.map((rule: { rule_id: string }) => rule.rule_id), ['.io.element.msc4306.rule.unsubscribed_thread', '.io.element.msc4306.rule.subscribed_thread'])
  await alice.put('/pushrules/global/postcontent/mine', { actions: [] }).fails(400, 'M_INVALID_PARAM')
  await alice.delete('/pushrules/global/postcontent/.io.element.msc4306.rule.subscribed_thread').fails(400, 'M_INVALID_PARAM')
  await alice.put('/pushrules/global/postcontent/unknown/enabled', { enabled: false }).fails(404, 'M_NOT_FOUND')
  const rule = '/pushrules/global/postcontent/.io.element.msc4306.rule.unsubscribed_thread'
  await alice.put(`${rule}/enabled`, { enabled: false }).ok()
  assert.equal((await alice.get(rule).ok())['enabled'], false)
  await reply(bob, room, other, 'now it does')
  assert.deepEqual((await counts())[1]?.[other], { notification_count: 2, highlight_count: 1 })
  assert.equal(Object((await alice.get('/_matrix/client/versions').ok())['unstable_features'])['org.matrix.msc4306'], true)
})

test('changes come through sliding sync, the newest first, and the rest in pages', async (t) => {
  const server = await testServer(t, { config, clock: new TestClock() })
  const { alice, room } = await server.withRoom()
  const roots: string[] = []
  for (let index = 0; index < 5; index += 1) {
    roots.push(await send(alice, room, `root ${index}`))
    await alice.put(at(room, roots[index] ?? ''), {}).ok()
  }
  const [a = '', b = '', c = '', d = '', e = ''] = roots
  await alice.delete(at(room, b)).ok()
  const sync = new SlidingClient(alice, { lists: { all: list(0, 9) }, extensions: { [extension]: { enabled: true, limit: 2 } } })
  const ids = (part: Readonly<Record<string, object>> | undefined) => Object.keys(part?.[room] ?? {}).map((id) => roots.indexOf(id)).sort()
  const first = (await sync.next()).extensions[extension]
  assert.deepEqual([ids(first?.subscribed), ids(first?.unsubscribed)], [[4], [1]])
  assert.ok(first?.prev_batch)
  const page = async (query: string) => {
    const body = await alice.get(`${pages}?dir=b${query}`).ok()
    return { found: [ids(Object(body['subscribed'])), ids(Object(body['unsubscribed']))], end: body['end'] }
  }
  const second = await page(`&from=${first.prev_batch}&limit=2`)
  assert.deepEqual(second.found, [[2, 3], []])
  const third = await page(`&from=${String(second.end)}`)
  assert.deepEqual(third, { found: [[0], []], end: undefined })
  assert.deepEqual((await page('')).found, [[0, 2, 3, 4], [1]])
  assert.equal((await sync.next()).extensions[extension], undefined)
  const before = sync.pos ?? ''
  const waiting = sync.next({}, { timeout: 30_000 })
  await untilWaiting(server, alice.userId)
  await alice.delete(at(room, e)).ok()
  const woken = (await waiting).extensions[extension]
  assert.deepEqual([ids(woken?.subscribed), ids(woken?.unsubscribed), woken?.prev_batch], [[], [4], undefined])
  for (const root of [a, c, d]) await alice.delete(at(room, root)).ok()
  const many = (await sync.next()).extensions[extension]
  assert.deepEqual([ids(many?.unsubscribed), many?.prev_batch !== undefined], [[2, 3], true])
  assert.deepEqual((await page(`&from=${many?.prev_batch}&to=${encodeURIComponent(before)}`)).found, [[], [0, 4]])
  const stamp = Object.values(many?.unsubscribed?.[room] ?? {})[0]?.bump_stamp ?? 0
  assert.ok(stamp > (first.subscribed?.[room]?.[e]?.bump_stamp ?? 0))
})

test('the number of threads that a user follows is bounded', async (t) => {
  const server = await testServer(t, { config })
  const { alice, bob, room } = await server.withRoom()
  const root = await send(alice, room, 'root')
  await server.services.database.transaction((tx) => tx.rows(
    `INSERT INTO thread_subscriptions (user_id, room_nid, thread_id, stream_id, subscribed, automatic)
     WITH RECURSIVE numbers (number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM numbers WHERE number < 50000)
     SELECT $1, 999, CAST(number AS TEXT), number, 1, 0 FROM numbers`, [alice.userId]))
  await alice.put(at(room, root), {}).fails(413, 'M_TOO_LARGE')
  await bob.put(at(room, root), {}).ok()
})
