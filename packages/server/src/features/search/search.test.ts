import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TestClock } from '#test/kit/test-clock.ts'
import type { TestClient } from '#test/kit/test-client.ts'
import { testServer, type TestServer } from '#test/kit/test-server.ts'
import { EventsConsumer } from '#engine/events-consumer.ts'
import { TextIndex } from '#platform/db/text-index.ts'
import { SearchIndexing } from './search.consumer.ts'

interface ShownEvent {
  readonly event_id: string
  readonly room_id: string
  readonly sender: string
  readonly type: string
  readonly content: Readonly<Record<string, unknown>>
}

interface Found {
  readonly count: number
  readonly highlights: readonly string[]
  readonly next_batch?: string
  readonly results: readonly {
    readonly rank: number
    readonly result: ShownEvent
    readonly context?: { readonly events_before: readonly ShownEvent[]; readonly events_after: readonly ShownEvent[]; readonly start: string; readonly end: string; readonly profile_info?: object }
  }[]
  readonly groups?: Readonly<Record<string, Readonly<Record<string, { readonly order: number; readonly results: readonly string[]; readonly next_batch?: string }>>>>
  readonly state?: Readonly<Record<string, readonly (ShownEvent & { readonly state_key: string })[]>>
}

const at = (room: string): string => `/rooms/${encodeURIComponent(room)}`

async function search(client: TestClient, term: string, more: Readonly<Record<string, unknown>> = {}, nextBatch?: string): Promise<Found> {
  const query = nextBatch === undefined ? '' : `?next_batch=${encodeURIComponent(nextBatch)}`
  const body = await client.post(`/search${query}`, { search_categories: { room_events: { search_term: term, ...more } } }).ok()
  return (body['search_categories'] as { room_events: Found }).room_events
}

/** Bodies of the messages that are found, newest first. */
async function bodies(client: TestClient, term: string, more: Readonly<Record<string, unknown>> = {}): Promise<unknown[]> {
  return bodiesOf(await search(client, term, { order_by: 'recent', ...more }))
}

function bodiesOf(found: Found): unknown[] {
  return found.results.map(({ result }) => result.content['body'] ?? result.content['name'] ?? result.content['topic'])
}

let transactions = 0
async function say(client: TestClient, room: string, body: string, more: Readonly<Record<string, unknown>> = {}): Promise<string> {
  const sent = await client.put(`${at(room)}/send/m.room.message/search${(transactions += 1)}`, { msgtype: 'm.text', body, ...more }).ok()
  return String(sent['event_id'])
}

function edit(client: TestClient, room: string, eventId: string, body: string): Promise<string> {
  return say(client, room, `* ${body}`, { 'm.new_content': { msgtype: 'm.text', body }, 'm.relates_to': { rel_type: 'm.replace', event_id: eventId } })
}

async function redact(client: TestClient, room: string, eventId: string): Promise<void> {
  await client.put(`${at(room)}/redact/${encodeURIComponent(eventId)}/${(transactions += 1)}`, {}).ok()
}

async function newRoom(client: TestClient, create: Readonly<Record<string, unknown>> = {}): Promise<string> {
  return String((await client.post('/createRoom', create).ok())['room_id'])
}

test('what is found: words in any order, phrases, other forms, alternatives, exclusions', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom()
  await say(alice, room, 'The quick brown foxes are jumping')
  await say(alice, room, 'brown and quick, said the fox')
  await say(bob, room, 'Ganz schön übermütig, der Fuchs')
  assert.deepEqual(await bodies(bob, 'FOX quick'), ['brown and quick, said the fox', 'The quick brown foxes are jumping'])
  assert.deepEqual(await bodies(bob, '"quick brown"'), ['The quick brown foxes are jumping'])
  assert.deepEqual(await bodies(bob, 'jumped'), ['The quick brown foxes are jumping'])
  assert.deepEqual(await bodies(bob, 'schon ubermutig'), ['Ganz schön übermütig, der Fuchs'])
  assert.deepEqual(await bodies(bob, 'fuchs or jumping'), ['Ganz schön übermütig, der Fuchs', 'The quick brown foxes are jumping'])
  assert.deepEqual(await bodies(bob, 'fox -jumping'), ['brown and quick, said the fox'])
  assert.deepEqual(await bodies(bob, 'fox nowhere'), [])
  const { highlights, count } = await search(bob, 'fox')
  assert.deepEqual([...highlights].sort(), ['fox', 'foxes'])
  assert.equal(count, 2)
})

test('languages without spaces, from right to left, and pictures', async (t) => {
  const server = await testServer(t)
  const { alice, room } = await server.withRoom()
  for (const body of ['我们明天去北京大学', '東京都に住んでいます。ｶﾀｶﾅ', '내일 서울에서 만나요', 'مَرْحَبًا بالعالم', 'ฉันรักภาษาไทย', 'well done 👍🏽 ❤️']) await say(alice, room, body)
  assert.deepEqual(await bodies(alice, '北京'), ['我们明天去北京大学'])
  assert.deepEqual(await bodies(alice, '京大'), ['我们明天去北京大学'])
  assert.deepEqual(await bodies(alice, '明天 大学'), ['我们明天去北京大学'])
  assert.deepEqual(await bodies(alice, '京'), ['東京都に住んでいます。ｶﾀｶﾅ', '我们明天去北京大学'])
  assert.deepEqual(await bodies(alice, '北大'), [])
  assert.deepEqual(await bodies(alice, '住んで'), ['東京都に住んでいます。ｶﾀｶﾅ'])
  assert.deepEqual(await bodies(alice, 'カタ'), ['東京都に住んでいます。ｶﾀｶﾅ'])
  assert.deepEqual(await bodies(alice, '서울'), ['내일 서울에서 만나요'])
  assert.deepEqual(await bodies(alice, 'مرحبا'), ['مَرْحَبًا بالعالم'])
  assert.deepEqual(await bodies(alice, 'ภาษา'), ['ฉันรักภาษาไทย'])
  assert.deepEqual(await bodies(alice, '👍'), ['well done 👍🏽 ❤️'])
  assert.deepEqual(await bodies(alice, '❤'), ['well done 👍🏽 ❤️'])
  assert.deepEqual((await search(alice, '北京')).highlights, ['北京'])
})

test('hostile terms and bodies are answered, never 500', async (t) => {
  const server = await testServer(t)
  const { alice, room } = await server.withRoom()
  await say(alice, room, 'near the column')
  for (const term of ['NEAR(', 'NEAR("a" "b", 5)', '"', '""', "'", "' OR 1=1 --", '*', 'near*', 'column:', '{facets} : x', 'in1 : *', '^near', '\\', '\0', '%', '_', ':*', '&|!()<->', '-', '-near', 'or or or', '() () ()', '$1', '🦊'.repeat(100), 'ﷺ'.repeat(50), '__proto__', 'constructor']) {
    assert.equal((await alice.post('/search', { search_categories: { room_events: { search_term: term } } })).status, 200, term)
  }
  await alice.post('/search', { search_categories: { room_events: { search_term: '\ud800' } } }).fails(400, 'M_BAD_JSON')
  assert.deepEqual(await bodies(alice, 'NEAR('), ['near the column'])
  assert.deepEqual(await bodies(alice, 'column:'), ['near the column'])
  const send = (roomEvents: unknown, query = '') => alice.post(`/search${query}`, { search_categories: { room_events: roomEvents } })
  await send({ search_term: 'x'.repeat(10_000) }).fails(400, 'M_INVALID_PARAM')
  await send({ search_term: 'a '.repeat(60) }).fails(400, 'M_INVALID_PARAM')
  await send({}).fails(400, 'M_MISSING_PARAM')
  await alice.post('/search', {}).fails(400, 'M_MISSING_PARAM')
  await alice.post('/search', 'no json').fails(400, 'M_NOT_JSON')
  for (const wrong of [
    { search_term: 1 }, { search_term: 'x', keys: ['content.secret'] }, { search_term: 'x', keys: 'content.body' }, { search_term: 'x', order_by: 'best' },
    { search_term: 'x', filter: [] }, { search_term: 'x', filter: { rooms: ['no room'] } }, { search_term: 'x', filter: { limit: -1 } },
    { search_term: 'x', event_context: { before_limit: -1 } }, { search_term: 'x', event_context: true }, { search_term: 'x', include_state: 'yes' },
    { search_term: 'x', groupings: { group_by: [{ key: 'type' }] } }, { search_term: 'x', groupings: [] },
  ]) await send(wrong).fails(400, 'M_BAD_JSON')
  const forged = (parts: unknown): string => `?next_batch=${Buffer.from(JSON.stringify(parts)).toString('base64url')}`
  for (const query of ['?next_batch=x', '?next_batch=', `?next_batch=${'A'.repeat(5000)}`, forged([]), forged(['rank', 1, 2, 3]), forged(['rank', 1, 2, 3, '4']), forged(['rank', 1, 2, 3, 4, 'type', 'x']),
    forged(['rank', 1, 2, 3, 4, 'room_id']), forged(['recent', 1, 2, 3, 4]), forged({ length: 5 }), forged(['rank', 1.5, 2, 3, 4])]) {
    await send({ search_term: 'near' }, query).fails(400, 'M_INVALID_PARAM')
  }
  await send({ search_term: 'near' }, forged(['rank', 9e15, 1, -9e15, 0, 'room_id', '\0', 'sender', '__proto__'])).ok()
  const many = Array.from({ length: 501 }, (_, index) => `@user${index}:test.example`)
  for (const filter of [{ senders: many }, { not_senders: many }]) await send({ search_term: 'near', filter }).fails(400, 'M_INVALID_PARAM')
  await send({ search_term: 'near', filter: { rooms: Array.from({ length: 10_000 }, (_, index) => `!room${index}:test.example`) } }).ok()
  assert.deepEqual(await alice.post('/search', { search_categories: {} }).ok(), { search_categories: {} })
  assert.deepEqual(server.errors, [])
})

test('keys, and the filter of events', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom({ name: 'Banana room', topic: 'All about the banana' })
  const other = await newRoom(bob, { preset: 'public_chat', name: 'other' })
  await alice.post(`/join/${encodeURIComponent(other)}`, {}).ok()
  await say(alice, room, 'banana one')
  await say(bob, room, 'banana two', { url: 'mxc://test.example/x' })
  await say(bob, other, 'banana three', { 'org.matrix.labels': ['#fruit'] })
  await alice.put(`${at(other)}/send/m.other/${(transactions += 1)}`, { body: 'banana hidden' }).ok()
  assert.deepEqual(await bodies(alice, 'banana'), ['banana three', 'banana two', 'banana one', 'All about the banana', 'Banana room'])
  assert.deepEqual(await bodies(alice, 'banana', { keys: ['content.name'] }), ['Banana room'])
  assert.deepEqual(await bodies(alice, 'banana', { keys: ['content.topic', 'content.name'] }), ['All about the banana', 'Banana room'])
  assert.deepEqual(await bodies(alice, 'banana', { keys: ['content.topic'], filter: { types: ['m.room.name'] } }), [])
  assert.deepEqual(await bodies(alice, 'banana', { filter: { types: ['m.room.message'] } }), ['banana three', 'banana two', 'banana one'])
  assert.deepEqual(await bodies(alice, 'banana', { filter: { not_types: ['m.room.*'] } }), [])
  assert.deepEqual(await bodies(alice, 'banana', { filter: { rooms: [other] } }), ['banana three'])
  assert.deepEqual(await bodies(alice, 'banana', { filter: { not_rooms: [room] } }), ['banana three'])
  assert.deepEqual(await bodies(alice, 'banana', { filter: { rooms: [] } }), [])
  assert.deepEqual(await bodies(alice, 'banana', { filter: { senders: [bob.userId] } }), ['banana three', 'banana two'])
  assert.deepEqual(await bodies(alice, 'banana', { filter: { not_senders: [bob.userId], types: ['m.room.message'] } }), ['banana one'])
  assert.deepEqual(await bodies(alice, 'banana', { filter: { senders: ['@nobody:test.example'] } }), [])
  assert.deepEqual(await bodies(alice, 'banana', { filter: { contains_url: true } }), ['banana two'])
  assert.deepEqual(await bodies(alice, 'banana', { filter: { 'org.matrix.labels': ['#fruit'] } }), ['banana three'])
  assert.deepEqual(await bodies(alice, 'banana', { filter: { limit: 2 } }), ['banana three', 'banana two'])
  await alice.put(`${at(room)}/state/m.room.topic`, { topic: 'short', 'm.topic': { 'm.text': [{ body: 'a kumquat appears' }, { mimetype: 'text/html', body: '<b>papaya</b>' }] } }).ok()
  assert.deepEqual(await bodies(alice, 'kumquat'), ['short'])
  assert.deepEqual(await bodies(alice, 'papaya'), [])
})

test('order and pages', async (t) => {
  const server = await testServer(t)
  const { alice, room } = await server.withRoom()
  for (let index = 1; index <= 9; index += 1) await say(alice, room, `word${' filler'.repeat(index % 3)} ${index}`)
  const pages = async (order: string): Promise<unknown[][]> => {
    const all: unknown[][] = []
    let next: string | undefined
    for (let page = 0; page < 10; page += 1) {
      const found = await search(alice, 'word', { order_by: order, filter: { limit: 4 } }, next)
      all.push(bodiesOf(found).map((body) => String(body).slice(-1)))
      assert.equal(found.count, 9)
      if (page === 0) await say(alice, room, 'word filler filler filler a newcomer')
      next = found.next_batch
      if (next === undefined) break
    }
    return all
  }
  assert.deepEqual(await pages('recent'), [['9', '8', '7', '6'], ['5', '4', '3', '2'], ['1']])
  await redact(alice, room, (await search(alice, 'newcomer')).results[0]?.result.event_id ?? '')
  assert.deepEqual(await pages('rank'), [['9', '6', '3', '7'], ['4', '1', '8', '5'], ['2']])
  const { results } = await search(alice, 'word', { filter: { limit: 100 } })
  assert.ok(results.every(({ rank }, index) => rank > 0 && rank <= (results[index - 1]?.rank ?? 1)))
  const first = await search(alice, 'word', { order_by: 'recent', filter: { limit: 1 } })
  await alice.post(`/search?next_batch=${first.next_batch}`, { search_categories: { room_events: { search_term: 'word' } } }).fails(400, 'M_INVALID_PARAM')
})

test('groups, each with its own pages', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom()
  const other = await newRoom(alice, { preset: 'public_chat' })
  await bob.post(`/join/${encodeURIComponent(other)}`, {}).ok()
  const ids: string[] = []
  for (let index = 0; index < 8; index += 1) ids.push(await say(index % 2 === 0 ? alice : bob, index < 4 ? room : other, `word ${index}`))
  const wanted = { order_by: 'recent', filter: { limit: 3 }, groupings: { group_by: [{ key: 'room_id' }, { key: 'sender' }] } }
  const first = await search(alice, 'word', wanted)
  assert.deepEqual(first.groups?.['room_id']?.[other]?.results, [ids[7], ids[6], ids[5]])
  assert.deepEqual(Object.keys(first.groups?.['room_id'] ?? {}), [other])
  assert.deepEqual(first.groups?.['sender']?.[bob.userId]?.results, [ids[7], ids[5]])
  assert.deepEqual([first.groups?.['sender']?.[bob.userId]?.order, first.groups?.['sender']?.[alice.userId]?.order], [1, 2])
  const inRoom = await search(alice, 'word', wanted, first.groups?.['room_id']?.[other]?.next_batch)
  assert.deepEqual(bodiesOf(inRoom), ['word 4'])
  assert.equal(inRoom.next_batch, undefined)
  const ofBob = await search(alice, 'word', { ...wanted, filter: { limit: 1 } }, first.groups?.['sender']?.[bob.userId]?.next_batch)
  assert.deepEqual(bodiesOf(ofBob), ['word 3'])
  const rest = await search(alice, 'word', wanted, ofBob.groups?.['room_id']?.[room]?.next_batch)
  assert.deepEqual(bodiesOf(rest), ['word 1'])
  const none = await search(alice, 'nothing', wanted)
  assert.deepEqual([none.groups, none.count, none.results], [{ room_id: {}, sender: {} }, 0, []])
})

test('context, profiles, state', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom({ name: 'where' })
  await alice.put(`/profile/${encodeURIComponent(alice.userId)}/displayname`, { displayname: 'Alice of old' }).ok()
  for (let index = 0; index < 12; index += 1) await say(alice, room, index === 6 ? 'the needle' : `hay ${index}`)
  await alice.put(`/profile/${encodeURIComponent(alice.userId)}/displayname`, { displayname: 'Alice of now' }).ok()
  const plain = await search(bob, 'needle')
  assert.equal(plain.results[0]?.context, undefined)
  assert.equal(plain.state, undefined)
  const { results: [usual] } = await search(bob, 'needle', { event_context: {} })
  const bodyOf = (event: ShownEvent): unknown => event.content['body']
  assert.deepEqual(usual?.context?.events_before.map(bodyOf), ['hay 5', 'hay 4', 'hay 3', 'hay 2', 'hay 1'])
  assert.deepEqual(usual?.context?.events_after.map(bodyOf), ['hay 7', 'hay 8', 'hay 9', 'hay 10', 'hay 11'])
  const { results: [narrow], state } = await search(bob, 'needle', {
    event_context: { before_limit: 1, after_limit: 0, include_profile: true }, include_state: true,
  })
  assert.deepEqual(narrow?.context?.events_before.map(bodyOf), ['hay 5'])
  assert.deepEqual(narrow?.context?.events_after, [])
  assert.deepEqual(narrow?.context?.profile_info, { [alice.userId]: { displayname: 'Alice of old' } })
  const before = await bob.get(`${at(room)}/messages?dir=b&limit=1&from=${narrow?.context?.start}`).ok()
  assert.equal((before['chunk'] as ShownEvent[])[0]?.content['body'], 'hay 4')
  const after = await bob.get(`${at(room)}/messages?dir=f&limit=1&from=${narrow?.context?.end}`).ok()
  assert.equal((after['chunk'] as ShownEvent[])[0]?.content['body'], 'hay 7')
  assert.ok(state?.[room]?.some((event) => event.type === 'm.room.name' && event.content['name'] === 'where'))
  assert.equal(state?.[room]?.filter((event) => event.type === 'm.room.member').length, 2)
  const lazy = await search(bob, 'needle', { include_state: true, filter: { lazy_load_members: true } })
  assert.deepEqual(lazy.state?.[room]?.filter((event) => event.type === 'm.room.member').map((event) => event.state_key), [alice.userId])
})

test('who finds what: strangers, those who left, history visibility, forgotten rooms', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom({ initial_state: [{ type: 'm.room.history_visibility', state_key: '', content: { history_visibility: 'joined' } }] })
  const stranger = await server.register('stranger')
  await say(alice, room, 'secret before')
  await bob.post(`${at(room)}/leave`, {}).ok()
  await say(alice, room, 'secret while away')
  assert.deepEqual(await bodies(stranger, 'secret'), [])
  assert.deepEqual(await bodies(stranger, 'secret', { filter: { rooms: [room] } }), [])
  assert.deepEqual(await bodies(bob, 'secret'), ['secret before'])
  assert.ok((await search(bob, 'secret', { include_state: true })).state?.[room])
  await bob.post(`/join/${encodeURIComponent(room)}`, {}).ok()
  await say(alice, room, 'secret again')
  assert.deepEqual(await bodies(bob, 'secret'), ['secret again', 'secret before'])
  await alice.post(`${at(room)}/ban`, { user_id: bob.userId }).ok()
  await say(alice, room, 'secret after the ban')
  assert.deepEqual(await bodies(bob, 'secret'), ['secret again', 'secret before'])
  await alice.post(`${at(room)}/unban`, { user_id: bob.userId }).ok()
  await alice.post(`${at(room)}/invite`, { user_id: bob.userId }).ok()
  assert.deepEqual(await bodies(bob, 'secret'), ['secret again', 'secret before'])
  assert.ok((await search(bob, 'secret', { include_state: true })).state?.[room])
  await bob.post(`${at(room)}/leave`, {}).ok()
  await bob.post(`${at(room)}/forget`, {}).ok()
  assert.deepEqual(await bodies(bob, 'secret'), [])
  await server.anonymous().post('/search', { search_categories: { room_events: { search_term: 'secret' } } }).fails(401, 'M_MISSING_TOKEN')
  const guest = await server.guest()
  await guest.post('/search', { search_categories: { room_events: { search_term: 'secret' } } }).fails(403, 'M_GUEST_ACCESS_FORBIDDEN')
})

test('ignored users and encrypted rooms are left out', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom()
  await say(bob, room, 'word of bob')
  await say(alice, room, 'word of alice')
  await alice.put(`/user/${encodeURIComponent(alice.userId)}/account_data/m.ignored_user_list`, { ignored_users: { [bob.userId]: {} } }).ok()
  assert.deepEqual(await bodies(alice, 'word'), ['word of alice'])
  assert.deepEqual(await bodies(bob, 'word'), ['word of alice', 'word of bob'])
  await alice.put(`${at(room)}/state/m.room.encryption`, { algorithm: 'm.megolm.v1.aes-sha2' }).ok()
  assert.deepEqual(await bodies(bob, 'word'), [])
})

test('redacted messages are found no more, and are gone from the index', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom()
  const eventId = await say(bob, room, 'an embarrassing slip')
  assert.deepEqual(await bodies(alice, 'embarrassing'), ['an embarrassing slip'])
  await redact(bob, room, eventId)
  for (const order of ['rank', 'recent']) assert.deepEqual(await bodies(alice, 'embarrassing', { order_by: order }), [])
  await server.services.searchIndexing.caughtUp()
  assert.doesNotMatch(await indexText(server), /slip/)
  const never = await say(bob, room, 'redacted before it was indexed')
  await redact(bob, room, never)
  assert.deepEqual(await bodies(alice, 'indexed'), [])
  assert.doesNotMatch(await indexText(server), /index/)
})

/** Everything that the index holds of words. */
async function indexText({ services: { database } }: TestServer): Promise<string> {
  const text = database.dialect === 'postgres' ? 'SELECT document::text AS words FROM event_search' : 'SELECT words FROM event_search'
  return (await database.rows<{ words: string }>(text, [])).map(({ words }) => words).join('\n')
}

test('an edited message is found by what it says now', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom()
  const eventId = await say(bob, room, 'the first wording')
  await edit(alice, room, eventId, 'a forged wording')
  const second = await edit(bob, room, eventId, 'the second wording')
  const found = async (term: string): Promise<string[]> => (await search(alice, term)).results.map(({ result }) => result.event_id)
  assert.deepEqual(await found('second'), [eventId])
  assert.deepEqual(await found('first'), [])
  assert.deepEqual(await found('forged'), [])
  assert.deepEqual(await found('wording'), [eventId])
  assert.deepEqual((await search(alice, 'WORDINGS')).highlights, ['WORDINGS', 'wording'])
  await redact(bob, room, second)
  assert.deepEqual(await found('second'), [])
  assert.deepEqual(await found('first'), [eventId])
  await edit(bob, room, eventId, 'the third wording')
  await redact(bob, room, eventId)
  assert.deepEqual(await found('wording'), [])
  assert.doesNotMatch(await indexText(server), /third|first|second|forg/)
})

test('a room that replaced another one brings the old one along', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom()
  await say(bob, room, 'word in the old room')
  const replacement = String((await alice.post(`${at(room)}/upgrade`, { new_version: '11' }).ok())['replacement_room'])
  await say(alice, replacement, 'word in the new room')
  assert.deepEqual(await bodies(alice, 'word', { filter: { rooms: [replacement] } }), ['word in the new room', 'word in the old room'])
  assert.deepEqual(await bodies(alice, 'word', { filter: { rooms: [room] } }), ['word in the old room'])
  assert.deepEqual(await bodies(alice, 'word', { filter: { rooms: [replacement], not_rooms: [room] } }), ['word in the new room'])
  // Somebody may call any room the predecessor of theirs.
  const mallory = await server.register('mallory')
  const forged = await newRoom(mallory, { creation_content: { predecessor: { room_id: room, event_id: '$x' } } })
  assert.deepEqual(await bodies(mallory, 'word', { filter: { rooms: [forged] } }), [])
})

test('search can be off, and is limited', async (t) => {
  const off = await testServer(t, { config: 'enable_search: false\n' })
  const { alice, room } = await off.withRoom()
  await say(alice, room, 'word')
  await alice.post('/search', { search_categories: { room_events: { search_term: 'word' } } }).fails(400, 'M_UNKNOWN')
  const limited = await testServer(t, { config: 'rc_search: {per_second: 0.001, burst_count: 1}\n' })
  const bob = await limited.register('bob')
  await search(bob, 'word')
  await bob.post('/search', { search_categories: { room_events: { search_term: 'word' } } }).fails(429, 'M_LIMIT_EXCEEDED')
})

test('events wait to be indexed together, until somebody searches', async (t) => {
  const clock = new TestClock()
  const server = await testServer(t, { clock })
  const { alice, room } = await server.withRoom()
  const { searchIndexing } = server.services
  await searchIndexing.caughtUp()
  await say(alice, room, 'one')
  await say(alice, room, 'two')
  assert.equal(searchIndexing.lag, 2)
  assert.deepEqual(await bodies(alice, 'two'), ['two'])
  assert.equal(searchIndexing.lag, 0)
  await say(alice, room, 'three')
  clock.advance(1000)
  await searchIndexing.caughtUp()
  assert.match(await indexText(server), /three/)
})

test('a database from before search is indexed in steps, with pauses', async (t) => {
  const clock = new TestClock()
  const server = await testServer(t, { clock })
  const { alice, room } = await server.withRoom()
  const { searchIndexing, database, eventsStream, relations } = server.services
  await searchIndexing.stop()
  for (let index = 0; index < 30; index += 1) await Promise.all(Array.from({ length: 20 }, (_, n) => say(alice, room, `word ${index} ${n}`)))
  await database.transaction(async (tx) => {
    await tx.rows('DELETE FROM event_search', [])
    await tx.rows("DELETE FROM consumer_positions WHERE name = 'search'", [])
  })
  const logger = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: assert.fail }
  const work = new SearchIndexing({ ...server.services, edits: relations, index: new TextIndex(database, 'event_search') })
  const again = await EventsConsumer.open({ ...server.services, name: 'search', begin: 'oldest', stream: eventsStream, logger, work, pace: { above: 100, batchMs: 5, pauseMs: 100 } })
  t.after(() => again.stop())
  const began = clock.now()
  const done = new AbortController()
  void again.caughtUp().then(() => done.abort())
  while (!done.signal.aborted) await clock.advanceSlowly(100)
  assert.ok(clock.now() - began >= 200, 'it paused')
  const [row] = await database.rows<{ count: number }>('SELECT count(*) AS count FROM event_search', [])
  assert.equal(row?.count, 600)
})
