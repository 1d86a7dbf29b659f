/** Extensions of reading and redacting that operators turn on: related events, redacted originals, filters of relation types. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TestClock } from '#test/kit/test-clock.ts'
import type { TestClient } from '#test/kit/test-client.ts'
import { testServer } from '#test/kit/test-server.ts'

const features = 'experimental_features: {msc3912_enabled: true, msc2815_enabled: true, msc3874_enabled: true, msc4169_enabled: true}\n'
const at = (room: string, path: string): string => `/rooms/${encodeURIComponent(room)}${path}`
let transactions = 0

async function send(client: TestClient, room: string, content: object, type = 'm.room.message'): Promise<string> {
  return String((await client.put(at(room, `/send/${type}/t${(transactions += 1)}`), content).ok())['event_id'])
}

const related = (to: string, how: string, body = 'related'): object => ({ msgtype: 'm.text', body, 'm.relates_to': { rel_type: how, event_id: to, ...(how === 'm.annotation' ? { key: body } : {}) } })
const isRedacted = async (client: TestClient, room: string, event: string): Promise<boolean> => {
  const { content } = await client.get(at(room, `/event/${encodeURIComponent(event)}`)).ok()
  return JSON.stringify(content) === '{}'
}

test('a redaction takes what relates to the event with it, as far as the user may', async (t) => {
  const server = await testServer(t, { config: features })
  const { alice, bob, room } = await server.withRoom()
  const root = await send(bob, room, { msgtype: 'm.text', body: 'root' })
  const [answer, edit, foreign] = [await send(bob, room, related(root, 'm.thread')), await send(bob, room, related(root, 'm.replace')), await send(alice, room, related(root, 'm.thread'))]
  const many: string[] = []
  for (let index = 0; index < 120; index += 1) many.push(await send(bob, room, related(root, 'm.thread', `${index}`)))
  const redact = (client: TestClient, event: string, body: object) => client.put(at(room, `/redact/${encodeURIComponent(event)}/r${(transactions += 1)}`), body)
  await redact(bob, foreign, { 'org.matrix.msc3912.with_rel_types': ['*'] }).fails(403, 'M_FORBIDDEN')
  await redact(bob, root, { 'org.matrix.msc3912.with_rel_types': ['m.thread'], reason: 'over' }).ok()
  assert.deepEqual(await Promise.all([root, answer, edit, foreign].map((event) => isRedacted(alice, room, event))), [true, true, false, false])
  assert.ok((await Promise.all(many.map((event) => isRedacted(alice, room, event)))).every(Boolean))
  const second = await send(bob, room, { msgtype: 'm.text', body: 'second' })
  const all = [second, await send(bob, room, related(second, 'm.reference')), await send(alice, room, related(second, 'm.annotation'), 'm.reaction')]
  await redact(alice, second, { 'org.matrix.msc3912.with_relations': ['*'] }).ok()
  assert.deepEqual(await Promise.all(all.map((event) => isRedacted(bob, room, event))), [true, true, true])
  const without = await testServer(t)
  const other = await without.withRoom()
  const parent = await send(other.alice, other.room, { msgtype: 'm.text', body: 'root' })
  const child = await send(other.alice, other.room, related(parent, 'm.thread'))
  await other.alice.put(at(other.room, `/redact/${encodeURIComponent(parent)}/r`), { 'org.matrix.msc3912.with_rel_types': ['*'] }).ok()
  assert.deepEqual([await isRedacted(other.bob, other.room, parent), await isRedacted(other.bob, other.room, child)], [true, false])
})

test('who may redact may read what was redacted, as long as it is kept', async (t) => {
  const clock = new TestClock()
  const server = await testServer(t, { clock, config: features })
  const { alice, bob, room } = await server.withRoom()
  const admin = await server.admin()
  const event = await send(bob, room, { msgtype: 'm.text', body: 'regretted' })
  await bob.put(at(room, `/send/m.room.redaction/r1`), { redacts: event }).ok()
  const path = at(room, `/event/${encodeURIComponent(event)}?fi.mau.msc2815.include_unredacted_content=`)
  const original = await alice.get(`${path}true`).ok()
  assert.deepEqual(original['content'], { msgtype: 'm.text', body: 'regretted' })
  assert.ok(Object.hasOwn(original['unsigned'] as object, 'redacted_because'))
  assert.deepEqual((await alice.get(`${path}false`).ok())['content'], {})
  await bob.get(`${path}true`).fails(403, 'M_FORBIDDEN')
  await admin.get(`${path}true`).fails(404, 'M_NOT_FOUND')
  await admin.post(`/join/${encodeURIComponent(room)}`, {}).ok()
  await admin.get(`${path}true`).ok()
  const plain = await send(bob, room, { msgtype: 'm.text', body: 'plain' })
  const unchanged = await alice.get(at(room, `/event/${encodeURIComponent(plain)}?fi.mau.msc2815.include_unredacted_content=true`)).ok()
  assert.deepEqual(unchanged['content'], { msgtype: 'm.text', body: 'plain' })
  clock.advance(8 * 24 * 3_600_000)
  // The first turn began when nothing was due yet.
  await server.services.pruning.prune()
  await server.services.pruning.prune()
  await alice.get(`${path}true`).fails(404, 'FI.MAU.MSC2815_UNREDACTED_CONTENT_DELETED')
  const without = await testServer(t)
  const other = await without.withRoom()
  const redacted = await send(other.alice, other.room, { msgtype: 'm.text', body: 'gone' })
  await other.alice.put(at(other.room, `/redact/${encodeURIComponent(redacted)}/r`), {}).ok()
  assert.deepEqual((await other.alice.get(at(other.room, `/event/${encodeURIComponent(redacted)}?fi.mau.msc2815.include_unredacted_content=true`)).ok())['content'], {})
})

test('pages of messages can be filtered by relation type', async (t) => {
  const server = await testServer(t, { config: features })
  const { alice, room } = await server.withRoom()
  const root = await send(alice, room, { msgtype: 'm.text', body: 'root' })
  await send(alice, room, related(root, 'm.thread', 'thread'))
  await send(alice, room, related(root, 'm.reference', 'reference'))
  const bodies = async (filter: object, of = alice, where = room): Promise<unknown[]> => {
    const { chunk } = await of.get(at(where, `/messages?dir=f&limit=50&filter=${encodeURIComponent(JSON.stringify({ types: ['m.room.message'], ...filter }))}`)).ok()
    assert.ok(Array.isArray(chunk))
    return chunk.map((event) => event.content.body)
  }
  assert.deepEqual(await bodies({ 'org.matrix.msc3874.rel_types': ['m.thread'] }), ['thread'])
  assert.deepEqual(await bodies({ 'org.matrix.msc3874.not_rel_types': ['m.thread'] }), ['root', 'reference'])
  assert.deepEqual(await bodies({ 'org.matrix.msc3874.rel_types': ['m.thread', 'm.reference'], 'org.matrix.msc3874.not_rel_types': ['m.thread'] }), ['reference'])
  assert.deepEqual(await bodies({}), ['root', 'thread', 'reference'])
  await alice.get(at(room, `/messages?dir=f&filter=${encodeURIComponent('{"org.matrix.msc3874.rel_types":"m.thread"}')}`)).fails(400, 'M_BAD_JSON')
  const { unstable_features: found } = await server.anonymous().get('/_matrix/client/versions').ok() as { unstable_features: Record<string, boolean> }
  for (const name of ['org.matrix.msc3912', 'fi.mau.msc2815', 'org.matrix.msc3874', 'com.beeper.msc4169']) assert.equal(found[name], true, name)
})
