/** Timelines of long ranges. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { allEvents, EventFilter } from '@myelin/protocol/filters/event-filter.ts'
import { testEngineRooms } from '#test/kit/test-engine.ts'
import { Timelines } from './timelines.ts'

test('a long range is read to its end, or until enough was read', async (t) => {
  const engine = await testEngineRooms(t)
  const { room, alice } = await engine.publicRoom()
  const start = engine.eventsStream.position
  const message = { type: 'm.room.message', sender: alice, content: { body: 'x' } }
  await engine.writer.propose(room, Array.from({ length: 700 }, () => message))
  const timelines = new Timelines({ ...engine, related: { lookUp: async () => () => () => false } })
  const upTo = engine.eventsStream.position
  const request = { room, userId: alice, after: start, upTo, ignored: new Set<string>(), filter: allEvents, recent: undefined, limit: 1000 }
  const whole = await timelines.load(request)
  assert.deepEqual([whole.shown.length, whole.limited, whole.isComplete], [700, false, true])
  const exact = await timelines.load({ ...request, limit: 700 })
  assert.deepEqual([exact.shown.length, exact.limited], [700, false])
  const part = await timelines.load({ ...request, limit: 699 })
  assert.deepEqual([part.shown.length, part.limited, part.isComplete], [699, true, false])
  const none = await timelines.load({ ...request, limit: 10, filter: new EventFilter({ types: ['org.none'] }) })
  assert.deepEqual([none.shown.length, none.limited, none.newest?.streamOrdering], [0, false, upTo])
  const recent = await engine.events.roomTail(room, start, upTo, 1000)
  const fromMemory = await timelines.load({ ...request, recent, limit: 5 })
  assert.deepEqual(fromMemory.shown.map((item) => item.event.nid), part.shown.slice(-5).map((item) => item.event.nid))
  assert.equal(fromMemory.limited, true)
})
