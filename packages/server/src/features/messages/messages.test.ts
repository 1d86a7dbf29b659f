import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TestClock } from '#test/kit/test-clock.ts'
import { testServer } from '#test/kit/test-server.ts'

function at(room: string): string {
  return `/rooms/${encodeURIComponent(room)}`
}

test('a repeated transaction gives the same event, on the same device only', async (t) => {
  const server = await testServer(t)
  const { alice, room } = await server.withRoom()
  const path = `${at(room)}/send/m.room.message/txn%2F1`
  const [first, again] = await Promise.all([alice.put(path, { body: 'x' }).ok(), alice.put(path, { body: 'x' }).ok()])
  assert.deepEqual(first, again)
  assert.deepEqual(await alice.put(path, { body: 'changed' }).ok(), first)
  const other = await server.login('alice')
  assert.notDeepEqual(await other.put(path, { body: 'x' }).ok(), first)
  const shown = await alice.get(`${at(room)}/event/${encodeURIComponent(String(first['event_id']))}`).ok()
  assert.equal((shown['unsigned'] as { transaction_id?: string }).transaction_id, 'txn/1')
  const elsewhere = await other.get(`${at(room)}/event/${encodeURIComponent(String(first['event_id']))}`).ok()
  assert.equal((elsewhere['unsigned'] as { transaction_id?: string }).transaction_id, undefined)
})

test('who may send', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom()
  const stranger = await server.register('stranger')
  await stranger.put(`${at(room)}/send/m.room.message/1`, { body: 'x' }).fails(403, 'M_FORBIDDEN')
  await server.anonymous().put(`${at(room)}/send/m.room.message/1`, { body: 'x' }).fails(401, 'M_MISSING_TOKEN')
  await bob.put(`${at(room)}/state/m.room.name/`, { name: 'x' }).fails(403, 'M_FORBIDDEN')
  await alice.put(`${at(room)}/state/m.room.create/`, {}).fails(403, 'M_FORBIDDEN')
  await bob.put(`${at('!unknown:test.example')}/send/m.room.message/1`, {}).fails(404, 'M_NOT_FOUND')
})

test('a tombstone leads to another room', async (t) => {
  const server = await testServer(t)
  const { alice, room } = await server.withRoom()
  await alice.put(`${at(room)}/state/m.room.tombstone`, { body: 'moved', replacement_room: room }).fails(400, 'M_INVALID_PARAM')
  await alice.put(`${at(room)}/send/m.room.tombstone/1`, { body: 'moved', replacement_room: room }).fails(400, 'M_INVALID_PARAM')
  await alice.put(`${at(room)}/state/m.room.tombstone`, { body: 'moved', replacement_room: '!other:test.example' }).ok()
})

test('bad bodies', async (t) => {
  const server = await testServer(t)
  const { alice, room } = await server.withRoom()
  const path = `${at(room)}/send/m.room.message/1`
  await alice.put(path, 'no json').fails(400, 'M_NOT_JSON')
  await alice.put(path, []).fails(400, 'M_BAD_JSON')
  await alice.put(path, '{"a":1.5}').fails(400, 'M_BAD_JSON')
  await alice.put(path, '{"a":9007199254740993}').fails(400, 'M_BAD_JSON')
  await alice.put(path, { body: 'x'.repeat(70_000) }).fails(413, 'M_TOO_LARGE')
  await alice.put(`${at(room)}/send/${'ü'.repeat(128)}/1`, {}).fails(413, 'M_TOO_LARGE')
  await alice.put(`${at(room)}/state/m.test/${'k'.repeat(256)}`, {}).fails(413, 'M_TOO_LARGE')
  await alice.put(path, `${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}`).then((reply) => assert.equal(reply.status, 400))
})

test('names of the prototype are names', async (t) => {
  const server = await testServer(t)
  const { alice, room } = await server.withRoom()
  for (const name of ['__proto__', 'constructor', 'toString']) {
    const text = `{"${name}":{"${name}":1}}`
    const sent = await alice.put(`${at(room)}/send/${name}/${name}`, text).ok()
    const shown = await alice.get(`${at(room)}/event/${encodeURIComponent(String(sent['event_id']))}`)
    assert.ok(shown.text.includes(text), shown.text)
    await alice.put(`${at(room)}/state/${name}/${name}`, text).ok()
    assert.equal((await alice.get(`${at(room)}/state/${name}/${name}`)).text, text)
  }
})

test('state: what is set again is not sent again; the previous content is shown', async (t) => {
  const server = await testServer(t)
  const { alice, room } = await server.withRoom()
  const first = await alice.put(`${at(room)}/state/m.room.topic`, { topic: 'one' }).ok()
  assert.deepEqual(await alice.put(`${at(room)}/state/m.room.topic/`, { topic: 'one' }).ok(), first)
  await alice.put(`${at(room)}/state/m.room.topic`, { topic: 'two' }).ok()
  const event = await alice.get(`${at(room)}/state/m.room.topic/?format=event`).ok()
  const unsigned = event['unsigned'] as Record<string, unknown>
  assert.equal(unsigned['replaces_state'], first['event_id'])
  // What it was before stands in the history, for those who may read that.
  assert.equal(unsigned['prev_content'], undefined)
  const { chunk } = await alice.get(`${at(room)}/messages?dir=b&limit=1`).ok()
  assert.deepEqual((chunk as { unsigned: Record<string, unknown> }[])[0]?.unsigned['prev_content'], { topic: 'one' })
  await alice.get(`${at(room)}/state/m.room.topic/other`).fails(404, 'M_NOT_FOUND')
})

test('redaction: own events always, those of others by power', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom()
  const send = async (client: typeof alice, body: string): Promise<string> =>
    String((await client.put(`${at(room)}/send/m.room.message/${body}`, { body }).ok())['event_id'])
  const [hers, his] = [await send(alice, 'hers'), await send(bob, 'his')]
  await bob.put(`${at(room)}/redact/${encodeURIComponent(hers)}/1`, {}).fails(403, 'M_FORBIDDEN')
  await bob.put(`${at(room)}/redact/${encodeURIComponent(his)}/2`, { reason: 'typo' }).ok()
  const shown = await alice.get(`${at(room)}/event/${encodeURIComponent(his)}`).ok()
  assert.deepEqual(shown['content'], {})
  const unsigned = shown['unsigned'] as { redacted_by: string; redacted_because: { event_id: string; content: Record<string, unknown>; sender: string; redacts: string } }
  const because = unsigned.redacted_because
  assert.equal(unsigned.redacted_by, because.event_id)
  assert.deepEqual(because.content, { reason: 'typo', redacts: his })
  assert.equal(because.redacts, his)
  const other = await send(bob, 'other')
  const first = await alice.put(`${at(room)}/redact/${encodeURIComponent(other)}/3`, {}).ok()
  assert.deepEqual(await alice.put(`${at(room)}/redact/${encodeURIComponent(other)}/3`, {}).ok(), first)
  await alice.put(`${at(room)}/redact/${encodeURIComponent('$unknown')}/4`, {}).fails(400, 'M_INVALID_PARAM')
  const page = await alice.get(`${at(room)}/messages?dir=b&limit=50`).ok()
  assert.ok(!JSON.stringify(page).includes('"body":"his"'))
})

test('messages are limited per user', async (t) => {
  const server = await testServer(t, { config: 'rc_message: {per_second: 0.001, burst_count: 1}\n' })
  const { alice, room } = await server.withRoom()
  const replies = await Promise.all([1, 2, 3].map((txn) => alice.put(`${at(room)}/send/m.room.message/${txn}`, { body: 'x' })))
  assert.deepEqual(replies.map((reply) => reply.status).sort(), [200, 429, 429])
})

test('history: pages in both directions, tokens, filters', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom()
  for (let index = 0; index < 7; index += 1) await alice.put(`${at(room)}/send/m.room.message/${index}`, { body: `${index}` }).ok()
  const bodies = (reply: Readonly<Record<string, unknown>>): (string | undefined)[] =>
    (reply['chunk'] as { content: { body?: string } }[]).map((event) => event.content.body)
  const newest = await bob.get(`${at(room)}/messages?dir=b&limit=3`).ok()
  assert.deepEqual(bodies(newest), ['6', '5', '4'])
  const older = await bob.get(`${at(room)}/messages?dir=b&limit=3&from=${String(newest['end'])}`).ok()
  assert.deepEqual(bodies(older), ['3', '2', '1'])
  const back = await bob.get(`${at(room)}/messages?dir=f&limit=3&from=${String(older['end'])}`).ok()
  assert.deepEqual(bodies(back), ['1', '2', '3'])
  const between = await bob.get(`${at(room)}/messages?dir=f&from=${String(older['end'])}&to=${String(newest['end'])}`).ok()
  assert.deepEqual(bodies(between), ['1', '2', '3'])
  const all = await bob.get(`${at(room)}/messages?dir=f&limit=100`).ok()
  assert.equal((all['chunk'] as { type: string }[])[0]?.type, 'm.room.create')
  const rest = await bob.get(`${at(room)}/messages?dir=f&from=${String(all['end'])}`).ok()
  assert.deepEqual([rest['chunk'], rest['end']], [[], undefined])
  await alice.put(`${at(room)}/send/m.room.message/new`, { body: 'new' }).ok()
  assert.deepEqual(bodies(await bob.get(`${at(room)}/messages?dir=f&from=${String(all['end'])}`).ok()), ['new'])
  const filter = encodeURIComponent(JSON.stringify({ types: ['m.room.member'], lazy_load_members: true }))
  const members = await bob.get(`${at(room)}/messages?dir=b&filter=${filter}`).ok()
  assert.deepEqual((members['chunk'] as { state_key: string }[]).map((event) => event.state_key), [bob.userId, alice.userId])
  const nobody = encodeURIComponent(JSON.stringify({ types: ['org.example.none'], lazy_load_members: true }))
  assert.deepEqual((await bob.get(`${at(room)}/messages?dir=b&filter=${nobody}`).ok())['state'], [])
  assert.equal(all['state'], undefined)
  await bob.get(`${at(room)}/messages`).fails(400, 'M_MISSING_PARAM')
  await bob.get(`${at(room)}/messages?dir=b&from=nonsense`).fails(400, 'M_INVALID_PARAM')
  await bob.get(`${at(room)}/messages?dir=b&filter=nonsense`).fails(400, 'M_NOT_JSON')
})

test('history with lazy loading brings whoever speaks in the page, as they were when they spoke first', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom()
  const say = (body: string) => bob.put(`${at(room)}/send/m.room.message/${body}`, { body }).ok()
  const rename = (displayname: string) => bob.put(`${at(room)}/state/m.room.member/${encodeURIComponent(bob.userId)}`, { membership: 'join', displayname }).ok()
  await rename('Early')
  await say('1')
  await rename('Late')
  await say('2')
  const filter = encodeURIComponent(JSON.stringify({ lazy_load_members: true }))
  const namesIn = async (query: string): Promise<readonly (readonly [string, string | undefined])[]> => {
    const { state } = await alice.get(`${at(room)}/messages?filter=${filter}&${query}`).ok()
    return (state as { state_key: string; content: { displayname?: string } }[]).map((event) => [event.state_key, event.content.displayname])
  }
  assert.deepEqual(await namesIn('dir=b&limit=100'), [[bob.userId, 'Late'], [alice.userId, 'alice']])
  assert.deepEqual(await namesIn('dir=b&limit=1'), [[bob.userId, 'Late']])
  assert.deepEqual(await namesIn('dir=f&limit=100'), [[alice.userId, 'alice'], [bob.userId, 'bob']])
})

test('context and timestamps', async (t) => {
  const server = await testServer(t)
  const { alice, room } = await server.withRoom()
  const ids: string[] = []
  for (let index = 0; index < 5; index += 1) ids.push(String((await alice.put(`${at(room)}/send/m.room.message/${index}`, { body: `${index}` }).ok())['event_id']))
  const context = await alice.get(`${at(room)}/context/${encodeURIComponent(ids[2] ?? '')}?limit=2`).ok()
  const names = (key: string): string[] => (context[key] as { event_id: string }[]).map((event) => event.event_id)
  assert.deepEqual(names('events_before'), [ids[1]])
  assert.deepEqual(names('events_after'), [ids[3]])
  const before = await alice.get(`${at(room)}/messages?dir=b&limit=1&from=${String(context['start'])}`).ok()
  assert.equal((before['chunk'] as { event_id: string }[])[0]?.event_id, ids[0])
  const after = await alice.get(`${at(room)}/messages?dir=f&limit=1&from=${String(context['end'])}`).ok()
  assert.equal((after['chunk'] as { event_id: string }[])[0]?.event_id, ids[4])
  const first = await alice.get(`/_matrix/client/v1${at(room)}/timestamp_to_event?ts=0&dir=f`).ok()
  assert.ok(typeof first['origin_server_ts'] === 'number')
  await alice.get(`/_matrix/client/v1${at(room)}/timestamp_to_event?ts=0&dir=b`).fails(404, 'M_NOT_FOUND')
})

test('transactions are forgotten after a day', async (t) => {
  const clock = new TestClock(Date.UTC(2026, 0, 1))
  const server = await testServer(t, { clock })
  const { alice, room } = await server.withRoom()
  const path = `${at(room)}/send/m.room.message/again`
  const first = await alice.put(path, { body: 'x' }).ok()
  clock.advance(23 * 3600 * 1000)
  await server.services.transactionIds.expire()
  assert.deepEqual(await alice.put(path, { body: 'x' }).ok(), first)
  clock.advance(3 * 3600 * 1000)
  await server.services.transactionIds.expire()
  assert.notDeepEqual(await alice.put(path, { body: 'x' }).ok(), first)
})
