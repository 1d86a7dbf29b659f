import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestClient } from '#test/kit/test-client.ts'
import { testServer } from '#test/kit/test-server.ts'

interface Shown {
  readonly event_id: string
  readonly content: Readonly<Record<string, unknown>>
  readonly unsigned: { readonly 'm.relations'?: Readonly<Record<string, unknown>> }
}

const at = (room: string): string => `/rooms/${encodeURIComponent(room)}`
const v1 = (room: string): string => `/_matrix/client/v1${at(room)}`

let txn = 0

async function send(client: TestClient, room: string, content: object, type = 'm.room.message'): Promise<string> {
  txn += 1
  return String((await client.put(`${at(room)}/send/${type}/t${txn}`, content).ok())['event_id'])
}

function relating(type: string, eventId: string, extra: object = {}): object {
  return { body: type, msgtype: 'm.text', 'm.relates_to': { rel_type: type, event_id: eventId, ...extra } }
}

function edit(eventId: string, body: string): object {
  return { ...relating('m.replace', eventId), 'm.new_content': { body, msgtype: 'm.text' } }
}

async function bundle(client: TestClient, room: string, eventId: string): Promise<Readonly<Record<string, unknown>>> {
  const reply = await client.get(`${at(room)}/event/${encodeURIComponent(eventId)}`)
  const body: Shown = JSON.parse(reply.text)
  return body.unsigned['m.relations'] ?? {}
}

async function chunkOf(client: TestClient, path: string): Promise<string[]> {
  return ((await client.get(path).ok())['chunk'] as Shown[]).map((event) => event.event_id)
}

test('the newest valid edit is bundled', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom()
  const original = await send(alice, room, { body: 'one', msgtype: 'm.text' })
  assert.deepEqual(await bundle(alice, room, original), {})
  const first = await send(alice, room, edit(original, 'two'))
  const second = await send(alice, room, edit(original, 'three'))
  await send(bob, room, edit(original, 'not mine'))
  await send(alice, room, edit(original, 'of another type'), 'm.other')
  await send(alice, room, relating('m.replace', original))
  await send(alice, room, edit(second, 'an edit of an edit'))
  assert.equal(((await bundle(bob, room, original))['m.replace'] as Shown).event_id, second)
  assert.deepEqual(await bundle(bob, room, second), {})
  const messages = await bob.get(`${at(room)}/messages?dir=b&limit=50`).ok()
  const shown = (messages['chunk'] as Shown[]).find((event) => event.event_id === original)
  assert.equal((shown?.unsigned['m.relations']?.['m.replace'] as Shown | undefined)?.event_id, second)
  assert.equal(shown?.content['body'], 'one')
  assert.deepEqual(await chunkOf(alice, `${v1(room)}/relations/${encodeURIComponent(original)}/m.replace`), [second, first])
  await alice.put(`${at(room)}/redact/${encodeURIComponent(second)}/r1`, {}).ok()
  assert.equal(((await bundle(bob, room, original))['m.replace'] as Shown).event_id, first)
  await alice.put(`${at(room)}/redact/${encodeURIComponent(original)}/r2`, {}).ok()
  assert.deepEqual(await bundle(bob, room, original), {})
  assert.deepEqual(server.errors, [])
})

test('threads are bundled and listed', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom()
  const root = await send(alice, room, { body: 'root' })
  const other = await send(bob, room, { body: 'other root' })
  await send(alice, room, relating('m.thread', other))
  const reply = await send(bob, room, relating('m.thread', root))
  const edited = await send(bob, room, edit(reply, 'better'))
  const thread = (await bundle(alice, room, root))['m.thread'] as { latest_event: Shown; count: number; current_user_participated: boolean }
  assert.deepEqual([thread.latest_event.event_id, thread.count, thread.current_user_participated], [reply, 1, true])
  assert.equal((thread.latest_event.unsigned['m.relations']?.['m.replace'] as Shown | undefined)?.event_id, edited)
  assert.deepEqual(await chunkOf(alice, `${v1(room)}/threads`), [root, other])
  const page = await alice.get(`${v1(room)}/threads?limit=1`).ok()
  assert.deepEqual((page['chunk'] as Shown[]).map((event) => event.event_id), [root])
  assert.deepEqual(await chunkOf(alice, `${v1(room)}/threads?limit=1&from=${String(page['next_batch'])}`), [other])
  const carol = await server.register('carol')
  await carol.get(`${v1(room)}/threads`).fails(403, 'M_FORBIDDEN')
  await carol.post(`/join/${encodeURIComponent(room)}`, {}).ok()
  assert.deepEqual(await chunkOf(carol, `${v1(room)}/threads?include=participated`), [])
  await send(carol, room, relating('m.thread', other))
  assert.deepEqual(await chunkOf(carol, `${v1(room)}/threads?include=participated`), [other])
  await carol.get(`${v1(room)}/threads?from=nonsense`).fails(400, 'M_INVALID_PARAM')
  await carol.get(`${v1('!unknown:test.example')}/threads`).fails(403, 'M_FORBIDDEN')
  await server.anonymous().get(`${v1(room)}/threads`).fails(401, 'M_MISSING_TOKEN')
  await alice.put(`${at(room)}/send/m.room.message/nested`, relating('m.thread', reply)).fails(400, 'M_UNKNOWN')
  assert.deepEqual(server.errors, [])
})

test('what ignored users wrote is not aggregated', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom()
  const root = await send(alice, room, { body: 'root' })
  const mine = await send(alice, room, relating('m.thread', root))
  await send(bob, room, relating('m.thread', root))
  await send(bob, room, relating('m.reference', root))
  const bobsRoot = await send(bob, room, { body: 'secret' })
  await send(alice, room, relating('m.thread', bobsRoot))
  assert.equal(((await bundle(alice, room, root))['m.thread'] as { count: number }).count, 2)
  const ignored = { ignored_users: { [bob.userId]: {} } }
  await alice.put(`/user/${encodeURIComponent(alice.userId)}/account_data/m.ignored_user_list`, ignored).ok()
  const bundled = await bundle(alice, room, root)
  const thread = bundled['m.thread'] as { latest_event: Shown; count: number }
  assert.deepEqual([thread.latest_event.event_id, thread.count, Object.hasOwn(bundled, 'm.reference')], [mine, 1, false])
  assert.deepEqual(await chunkOf(alice, `${v1(room)}/relations/${encodeURIComponent(root)}`), [mine])
  const listed = (await alice.get(`${v1(room)}/threads`).ok())['chunk'] as Shown[]
  assert.deepEqual(listed.map((event) => [event.event_id, event.content['body']]), [[bobsRoot, undefined], [root, 'root']])
})

test('references and annotations', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom()
  const target = await send(alice, room, { body: 'target' })
  const one = await send(bob, room, relating('m.reference', target))
  assert.deepEqual((await bundle(alice, room, target))['m.reference'], { chunk: [{ event_id: one }] })
  const reaction = { 'm.relates_to': { rel_type: 'm.annotation', event_id: target, key: '__proto__' } }
  const sent = await send(bob, room, reaction, 'm.reaction')
  await bob.put(`${at(room)}/send/m.reaction/again`, reaction).fails(400, 'M_DUPLICATE_ANNOTATION')
  await send(alice, room, reaction, 'm.reaction')
  assert.deepEqual(Object.keys(await bundle(alice, room, target)), ['m.reference'])
  await bob.put(`${at(room)}/redact/${encodeURIComponent(sent)}/r1`, {}).ok()
  await send(bob, room, reaction, 'm.reaction')
  assert.equal((await chunkOf(alice, `${v1(room)}/relations/${encodeURIComponent(target)}/m.annotation/m.reaction`)).length, 2)
  for (const broken of [null, 5, [], {}, { rel_type: 5, event_id: target }, { rel_type: 'm.thread' }, { rel_type: 'x'.repeat(300), event_id: '$x' }]) {
    await send(alice, room, { body: 'x', 'm.relates_to': broken })
  }
  assert.deepEqual(server.errors, [])
})

test('a relation to an event of another room counts nowhere', async (t) => {
  const server = await testServer(t)
  const { alice, room } = await server.withRoom()
  const elsewhere = String((await alice.post('/createRoom', {}).ok())['room_id'])
  const target = await send(alice, room, { body: 'target' })
  const stray = await send(alice, elsewhere, relating('m.reference', target))
  await send(alice, elsewhere, edit(target, 'stray'))
  await send(alice, elsewhere, relating('m.thread', target))
  assert.deepEqual(await bundle(alice, room, target), {})
  assert.deepEqual(await chunkOf(alice, `${v1(room)}/relations/${encodeURIComponent(target)}`), [])
  assert.deepEqual(await chunkOf(alice, `${v1(elsewhere)}/threads`), [])
  await alice.get(`${v1(elsewhere)}/relations/${encodeURIComponent(target)}`).fails(404, 'M_NOT_FOUND')
  await alice.get(`${v1(room)}/relations/${encodeURIComponent(stray)}`).fails(404, 'M_NOT_FOUND')
})

test('pages of relations', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom()
  const root = await send(alice, room, { body: 'root' })
  const ids: string[] = []
  for (let index = 0; index < 5; index += 1) ids.push(await send(bob, room, relating('m.thread', root)))
  const path = `${v1(room)}/relations/${encodeURIComponent(root)}`
  const read = async (query: string): Promise<{ ids: string[]; next: unknown }> => {
    const body = await alice.get(`${path}?${query}`).ok()
    return { ids: (body['chunk'] as Shown[]).map((event) => event.event_id), next: body['next_batch'] }
  }
  const newestFirst = ids.toReversed()
  const first = await read('limit=2')
  assert.deepEqual(first.ids, newestFirst.slice(0, 2))
  const second = await read(`limit=2&from=${String(first.next)}`)
  assert.deepEqual(second.ids, newestFirst.slice(2, 4))
  assert.deepEqual(await read(`limit=2&from=${String(second.next)}`), { ids: newestFirst.slice(4), next: undefined })
  assert.deepEqual((await read(`to=${String(second.next)}`)).ids, newestFirst.slice(0, 4))
  const forward = await read('dir=f&limit=3')
  assert.deepEqual(forward.ids, ids.slice(0, 3))
  assert.deepEqual(await read(`dir=f&from=${String(forward.next)}`), { ids: ids.slice(3), next: undefined })
  const reference = await send(bob, room, relating('m.reference', String(ids[0])))
  const deeper = await send(bob, room, relating('m.reference', reference))
  const tooDeep = await send(bob, room, relating('m.reference', deeper))
  const recursed = await alice.get(`${path}?recurse=true`).ok()
  assert.equal(recursed['recursion_depth'], 3)
  const found = (recursed['chunk'] as Shown[]).map((event) => event.event_id)
  assert.deepEqual(found, [deeper, reference, ...newestFirst])
  assert.ok(!found.includes(tooDeep))
  const sync = await alice.get('/sync').ok()
  assert.deepEqual((await read(`from=${String(sync['next_batch'])}&limit=1`)).ids, newestFirst.slice(0, 1))
  await alice.get(`${path}?from=nonsense`).fails(400, 'M_INVALID_PARAM')
  await alice.get(`${path}?dir=x`).fails(400, 'M_INVALID_PARAM')
  assert.deepEqual(await chunkOf(alice, `${path}/m.thread/never.seen`), [])
  const carol = await server.register('carol')
  await carol.get(path).fails(404, 'M_NOT_FOUND')
  await server.anonymous().get(path).fails(401, 'M_MISSING_TOKEN')
})

test('who left sees nothing of later children', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom()
  const root = await send(alice, room, { body: 'root' })
  await bob.post(`${at(room)}/leave`, {}).ok()
  await send(alice, room, edit(root, 'later'))
  await send(alice, room, relating('m.thread', root))
  await send(alice, room, relating('m.reference', root))
  assert.deepEqual(await bundle(bob, room, root), {})
  assert.deepEqual(await chunkOf(bob, `${v1(room)}/relations/${encodeURIComponent(root)}`), [])
  assert.deepEqual(Object.keys(await bundle(alice, room, root)).sort(), ['m.reference', 'm.replace', 'm.thread'])
})
