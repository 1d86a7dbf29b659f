import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MatrixError } from '@myelin/protocol/errors.ts'
import type { EventId } from '@myelin/protocol/ids/ids.ts'
import { listRoomVersions } from '@myelin/protocol/rooms/versions.ts'
import { testEngineRooms } from '#test/kit/test-engine.ts'
import { emptyRoot } from './trie.ts'

for (const version of listRoomVersions()) {
  test(`a room of version ${version.id} is made, written to and read again after a restart`, async (t) => {
    const engine = await testEngineRooms(t)
    const { room, alice, bob } = await engine.publicRoom(version)
    await engine.writer.propose(room, [{ type: 'm.room.member', stateKey: bob, sender: bob, content: { membership: 'join' } }])
    const [sent] = await engine.writer.propose(room, [{ type: 'm.room.message', sender: bob, content: { body: 'hello' } }])
    assert.ok(sent)
    assert.equal(sent.event.depth, 7)
    const again = await engine.restart()
    const known = await again.rooms.require(room.id)
    assert.equal(known.version.id, version.id)
    const stored = await again.events.get(known, sent.event.eventId)
    assert.deepEqual(stored?.event, sent.event)
    assert.equal(stored?.json, sent.json)
    assert.deepEqual([...(await again.memberships.ofRoom(known)).values()].map((entry) => [entry.userId, entry.membership]).sort(), [[alice, 'join'], [bob, 'join']])
    const [next] = await again.writer.propose(known, [{ type: 'm.room.topic', stateKey: '', sender: alice, content: { topic: 'x' } }])
    assert.deepEqual(next?.event.prevEventIds, [sent.event.eventId])
    const root = await again.writer.currentRoot(known)
    assert.equal((await again.states.get(known, root, 'm.room.topic', ''))?.nid, next?.nid)
    assert.equal(await again.states.get(known, emptyRoot, 'm.room.topic', ''), undefined)
  })
}

test('what the auth rules refuse is not written', async (t) => {
  const engine = await testEngineRooms(t)
  const { room, bob } = await engine.publicRoom()
  const before = engine.eventsStream.position
  await assert.rejects(engine.writer.propose(room, [{ type: 'm.room.message', sender: bob, content: { body: 'x' } }]), (error) =>
    error instanceof MatrixError && error.errcode === 'M_FORBIDDEN')
  assert.equal(engine.eventsStream.position, before)
})

test('simultaneous messages of many senders form one chain', async (t) => {
  const engine = await testEngineRooms(t)
  const { room, alice } = await engine.publicRoom()
  const sent = await Promise.all(Array.from({ length: 50 }, (_, index) =>
    engine.writer.propose(room, [{ type: 'm.room.message', sender: alice, content: { body: `${index}` } }])))
  const events = sent.flat()
  const previous = new Set(events.flatMap((event) => event.event.prevEventIds))
  assert.equal(previous.size, 50)
  assert.deepEqual(events.map((event) => event.streamOrdering), [...events.map((event) => event.streamOrdering)].sort((a, b) => (a ?? 0) - (b ?? 0)))
  const tail = await engine.events.roomTail(room, 0, engine.eventsStream.position, 100)
  assert.equal(tail.length, 55)
})

test('a state event that changes nothing is not sent again', async (t) => {
  const engine = await testEngineRooms(t)
  const { room, alice } = await engine.publicRoom()
  const topic = { type: 'm.room.topic', stateKey: '', sender: alice, content: { topic: 'x', a: 1 } }
  const [first] = await engine.writer.propose(room, [topic])
  const [second] = await engine.writer.propose(room, [{ ...topic, content: { a: 1, topic: 'x' } }])
  assert.equal(second?.event.eventId, first?.event.eventId)
})

test('a redacted event is read without its content, also after a restart', async (t) => {
  const engine = await testEngineRooms(t)
  const { room, alice } = await engine.publicRoom()
  const [secret] = await engine.writer.propose(room, [{ type: 'm.room.message', sender: alice, content: { body: 'secret' } }])
  assert.ok(secret)
  await engine.writer.propose(room, [{ type: 'm.room.redaction', sender: alice, content: {}, redacts: secret.event.eventId }])
  assert.deepEqual((await engine.events.get(room, secret.event.eventId))?.event.content, {})
  const again = await engine.restart()
  const stored = await again.events.get(await again.rooms.require(room.id), secret.event.eventId)
  assert.deepEqual(stored?.event.content, {})
  assert.equal(stored?.redactedBecause?.event.type, 'm.room.redaction')
})

test('an event of another room is an unknown event', async (t) => {
  const engine = await testEngineRooms(t)
  const { room, alice } = await engine.publicRoom()
  const [event] = await engine.writer.propose(room, [{ type: 'm.room.message', sender: alice, content: {} }])
  const other = await engine.publicRoom()
  assert.ok(event)
  assert.equal(await engine.events.get(other.room, event.event.eventId), undefined)
  assert.equal(await engine.events.get(room, '$unknown' as EventId), undefined)
})

test('a commit that fails fails what was built on it, and the room goes on', async (t) => {
  const engine = await testEngineRooms(t)
  const { room, alice } = await engine.publicRoom()
  const message = { type: 'm.room.message', sender: alice, content: { body: 'x' } }
  const failing = engine.writer.propose(room, [message], { extra: async () => { throw new Error('participant failed') } })
  const after = engine.writer.propose(room, [message])
  const results = await Promise.allSettled([failing, after])
  assert.deepEqual(results.map((result) => result.status), ['rejected', 'rejected'])
  const [event] = await engine.writer.propose(room, [message])
  assert.equal(event?.event.depth, 6)
  assert.equal((await engine.events.roomTail(room, 0, engine.eventsStream.position, 100)).length, 6)
})

test('auth chains are indexed: the difference of two states names what only one of them reaches', async (t) => {
  const engine = await testEngineRooms(t)
  const { room, alice, bob } = await engine.publicRoom()
  const [join] = await engine.writer.propose(room, [{ type: 'm.room.member', stateKey: bob, sender: bob, content: { membership: 'join' } }])
  const [kick] = await engine.writer.propose(room, [{ type: 'm.room.member', stateKey: bob, sender: alice, content: { membership: 'leave' } }])
  assert.ok(join && kick)
  const difference = await engine.persister.chainCover.difference({ events: [], authEvents: [] }, [{ events: [], authEvents: [join.nid] }, { events: [], authEvents: [kick.nid] }])
  assert.equal(difference?.has(kick.nid), true)
  assert.equal(difference?.has(join.nid), false)
})
