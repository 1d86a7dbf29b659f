import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import type { ParsedPdu } from '@myelin/protocol/events/parse.ts'
import { parsePdu } from '@myelin/protocol/events/parse.ts'
import type { EventId, UserId } from '@myelin/protocol/ids/ids.ts'
import { parseJson } from '@myelin/protocol/json/parse.ts'
import { getRoomVersion } from '@myelin/protocol/rooms/versions.ts'
import { testEngineRooms, type TestEngine } from '#test/kit/test-engine.ts'
import { LackingEvents } from './room-receiver.ts'
import type { Proposal } from './room-writer.ts'
import type { Room } from './room.ts'
import type { StoredEvent } from './stored-event.ts'

/** The event as another server would read it. */
function asPdu(event: StoredEvent): ParsedPdu {
  const json = parseJson(event.json)
  assert.ok('value' in json)
  const parsed = parsePdu(event.room.version, json.value)
  assert.ok('event' in parsed, JSON.stringify(parsed))
  return parsed
}

/** The same room on two engines, which then go their own ways. */
async function twins(t: TestContext, versionId: string) {
  const version = getRoomVersion(versionId)
  const [one, two] = [await testEngineRooms(t), await testEngineRooms(t)]
  const { room, alice, bob } = await one.publicRoom(version)
  const [join] = await one.writer.propose(room, [{ type: 'm.room.member', stateKey: bob, sender: bob, content: { membership: 'join' } }])
  const [message] = await one.writer.propose(room, [text(alice, 'before')])
  assert.ok(join && message)
  const root = message.stateRoot ?? 0
  const state = (await one.states.all(room, root)).map(asPdu)
  const twin = two.rooms.draft(room.id, room.version)
  const options = {
    outliers: inAuthOrder([...state]), creation: { creator: alice, ts: 1 },
    statesAfter: new Map(message.event.prevEventIds.map((eventId) => [eventId, state.map(({ event }) => event.eventId)])),
  }
  const received = await two.receiver.receive(twin, asPdu(message), options)
  assert.deepEqual([received.rejected, received.softFailed, received.stateRoot !== undefined], [false, false, true])
  return { one, two, room, twin, alice, bob }
}

/** Events of a state, each after its auth events. */
function inAuthOrder(pdus: readonly ParsedPdu[]): ParsedPdu[] {
  return [...pdus].sort((a, b) => a.event.depth - b.event.depth)
}

function text(sender: UserId, body: string): Proposal {
  return { type: 'm.room.message', sender, content: { body } }
}

function topic(sender: UserId, value: string): Proposal {
  return { type: 'm.room.topic', stateKey: '', sender, content: { topic: value } }
}

async function send(engine: TestEngine, room: Room, proposal: Proposal): Promise<StoredEvent> {
  const [event] = await engine.writer.propose(room, [proposal])
  assert.ok(event)
  return event
}

async function stateOf(engine: TestEngine, room: Room): Promise<Record<string, EventId>> {
  const all = await engine.states.all(room, await engine.writer.currentRoot(room))
  return Object.fromEntries(all.map(({ event }) => [`${event.type} ${event.stateKey}`, event.eventId]).sort())
}

/** The state that the tables tell. */
async function storedState(engine: TestEngine, room: Room): Promise<EventId[]> {
  const rows = await engine.database.rows<{ event_nid: number }>('SELECT event_nid FROM current_state WHERE room_nid = $1', [room.nid])
  return [...(await engine.events.byNids(rows.map((row) => row.event_nid))).values()].map(({ event }) => event.eventId).sort()
}

async function assertSame(one: TestEngine, two: TestEngine, room: Room, twin: Room): Promise<void> {
  const [left, right] = [await stateOf(one, room), await stateOf(two, twin)]
  assert.deepEqual(left, right)
  assert.deepEqual(await storedState(one, room), Object.values(left).sort())
  assert.deepEqual(await storedState(two, twin), Object.values(left).sort())
  const again = await two.restart()
  const reopened = await again.rooms.require(room.id)
  assert.deepEqual(await stateOf(again, reopened), left)
}

for (const version of ['1', '2', '6', '9', '10', '11', '12']) {
  test(`room version ${version}: branches of two servers come to the same state, whatever the order`, async (t) => {
    const { one, two, room, twin, alice, bob } = await twins(t, version)
    const levels = { users: version === '12' ? { [bob]: 50 } : { [alice]: 100, [bob]: 50 } }
    await two.receiver.receive(twin, asPdu(await send(one, room, { type: 'm.room.power_levels', stateKey: '', sender: alice, content: levels })))
    const left = [
      await send(one, room, topic(alice, 'left')),
      // By the rules of room version 1, what only one branch has stays; there the branches of a ban come together only when the banned one is named.
      await send(one, room, version === '1' ? topic(alice, 'left again') : { type: 'm.room.member', stateKey: bob, sender: alice, content: { membership: 'ban' } }),
      await send(one, room, text(alice, 'left')),
    ]
    const right = [await send(two, twin, topic(bob, 'right')), await send(two, twin, { type: 'm.room.name', stateKey: '', sender: bob, content: { name: 'right' } }), await send(two, twin, text(bob, 'right'))]
    for (const event of left) assert.equal((await two.receiver.receive(twin, asPdu(event))).rejected, false)
    for (const event of right) await one.receiver.receive(room, asPdu(event))
    await assertSame(one, two, room, twin)
    const expected = version === '1' ? 'join' : 'ban'
    assert.deepEqual([(await one.memberships.of(room, bob))?.membership, (await two.memberships.of(twin, bob))?.membership], [expected, expected])
    const merged = await send(one, room, text(alice, 'merged'))
    await two.receiver.receive(twin, asPdu(merged))
    await assertSame(one, two, room, twin)
  })
}

test('a banned user who writes in an old branch is soft-failed, and the room goes on', async (t) => {
  const { one, two, room, twin, alice, bob } = await twins(t, '10')
  await send(one, room, { type: 'm.room.member', stateKey: bob, sender: alice, content: { membership: 'ban' } })
  const late = await send(two, twin, text(bob, 'late'))
  const received = await one.receiver.receive(room, asPdu(late))
  assert.deepEqual([received.rejected, received.softFailed], [false, true])
  const next = await send(one, room, text(alice, 'next'))
  assert.equal(next.event.prevEventIds.length, 1)
  const shown = await one.events.roomTail(room, 0, one.eventsStream.position, 100)
  assert.ok(shown.every(({ event }) => event.eventId !== late.event.eventId))
})

test('an event that the rules forbid is rejected and changes nothing', async (t) => {
  const { one, two, room, twin, alice } = await twins(t, '10')
  const forbidden = await send(one, room, { type: 'm.room.member', stateKey: '@eve:else.example' as UserId, sender: alice, content: { membership: 'invite' } })
  const pdu = asPdu(forbidden)
  const forged: ParsedPdu = { ...pdu, event: { ...pdu.event, eventId: '$forged' as EventId, sender: '@eve:else.example' as UserId } }
  const before = await stateOf(two, twin)
  const received = await two.receiver.receive(twin, forged)
  assert.equal(received.rejected, true)
  assert.deepEqual(await stateOf(two, twin), before)
  assert.deepEqual(received, await two.receiver.receive(twin, forged))
})

test('what is missing is named, and nothing is stored', async (t) => {
  const { one, two, room, twin, alice } = await twins(t, '10')
  const first = await send(one, room, text(alice, 'one'))
  const second = await send(one, room, text(alice, 'two'))
  await assert.rejects(two.receiver.receive(twin, asPdu(second)), (error) => error instanceof LackingEvents && error.previous[0] === first.event.eventId && error.auth.length === 0)
  assert.equal(await two.events.get(twin, second.event.eventId), undefined)
  await two.receiver.receive(twin, asPdu(first))
  assert.equal((await two.receiver.receive(twin, asPdu(second))).rejected, false)
})

test('a redaction that comes before its target is applied when the target comes', async (t) => {
  const { one, two, room, twin, alice } = await twins(t, '10')
  const target = await send(one, room, text(alice, 'secret'))
  const redaction = await send(one, room, { type: 'm.room.redaction', sender: alice, content: {}, redacts: target.event.eventId })
  const root = await one.states.idsAt(room, redaction.stateRoot ?? 0)
  await two.receiver.receive(twin, asPdu(redaction), { statesAfter: new Map([[target.event.eventId, root]]) })
  await two.receiver.receive(twin, asPdu(target), { isHistory: true })
  assert.deepEqual((await two.events.get(twin, target.event.eventId))?.event.content, {})
  const [shown] = await two.events.roomTail(twin, -100, 0, 10)
  assert.equal(shown?.event.eventId, target.event.eventId, 'history takes a place before everything else')
})

test('history that continues an old branch ends it', async (t) => {
  const { one, two, room, twin, alice } = await twins(t, '10')
  await send(one, room, text(alice, 'gap'))
  const middle = await send(one, room, topic(alice, 'middle'))
  const last = await send(one, room, text(alice, 'last'))
  const after = await one.states.all(room, last.stateRoot ?? 0)
  await two.receiver.receive(twin, asPdu(last), { outliers: [asPdu(middle)], statesAfter: new Map([[middle.event.eventId, after.map(({ event }) => event.eventId)]]) })
  const branches = async (): Promise<number> => (await two.database.rows('SELECT event_nid FROM forward_extremities', [])).length
  assert.equal(await branches(), 2)
  const newest = await one.events.page({ roomNid: room.nid, from: undefined, to: undefined, direction: 'backward', limit: 3, maxStream: one.eventsStream.position })
  for (const event of newest.slice(1).reverse()) await two.receiver.receive(twin, asPdu(event), { isHistory: true })
  assert.equal(await branches(), 1)
  await assertSame(one, two, room, twin)
})

test('many events of two branches at once', async (t) => {
  const { one, two, room, twin, alice, bob } = await twins(t, '11')
  const sent = await Promise.all([
    ...Array.from({ length: 20 }, (_, index) => send(one, room, index % 3 === 0 ? topic(alice, `one ${index}`) : text(alice, `${index}`))),
    ...Array.from({ length: 20 }, (_, index) => send(two, twin, text(bob, `${index}`))),
  ])
  await Promise.all(sent.slice(20).map((event) => one.receiver.receive(room, asPdu(event))))
  for (const event of sent.slice(0, 20)) await two.receiver.receive(twin, asPdu(event))
  await assertSame(one, two, room, twin)
})

test('a turn that changes nothing but has something to store keeps the branches of the room', async (t) => {
  const engine = await testEngineRooms(t)
  const { room, alice } = await engine.publicRoom()
  const proposal = topic(alice, 'same')
  await send(engine, room, proposal)
  await engine.writer.propose(room, [proposal], { extra: async () => undefined })
  const again = await engine.restart()
  await send(again, await again.rooms.require(room.id), text(alice, 'still here'))
})
