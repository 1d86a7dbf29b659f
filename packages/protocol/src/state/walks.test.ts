import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { RoomEvent } from '../events/event.ts'
import type { EventId } from '../ids/ids.ts'
import { walkAuthChainDifference, walkConflictedSubgraph } from './auth-chain.ts'
import { populated, steps, take } from './fixture-branches.ts'
import { Heap } from './heap.ts'
import { orderByMainline } from './mainline-order.ts'
import { isPowerEvent, orderPowerEvents, senderPower } from './power-order.ts'
import type { ResolutionContext } from './resolution-context.ts'
import { conflictedEvents, splitStateSets } from './state-sets.ts'

// The definitions of the specification, word by word and slow, to hold the walks against.

function authChain(id: EventId, context: ResolutionContext): Set<EventId> {
  const chain = new Set<EventId>()
  const add = (of: EventId): void => {
    for (const authId of context.event(of)?.authEventIds ?? []) {
      if (chain.has(authId)) continue
      chain.add(authId)
      add(authId)
    }
  }
  add(id)
  return chain
}

function authDifference(sets: readonly ReadonlyMap<string, EventId>[], context: ResolutionContext): Set<EventId> {
  const chains = sets.map((set) => [...set.values()].reduce((union, id) => union.union(authChain(id, context)), new Set<EventId>()))
  const union = chains.reduce((all, chain) => all.union(chain), new Set<EventId>())
  return union.difference(chains.reduce((common, chain) => common.intersection(chain)))
}

function subgraph(conflicted: ReadonlySet<EventId>, all: Iterable<EventId>, context: ResolutionContext): Set<EventId> {
  const between = new Set(conflicted)
  const behind = [...conflicted].reduce((union, id) => union.union(authChain(id, context)), new Set<EventId>())
  for (const id of all) if (behind.has(id) && !authChain(id, context).isDisjointFrom(conflicted)) between.add(id)
  return between
}

function powerOrder(full: ReadonlySet<EventId>, power: (event: RoomEvent) => number, context: ResolutionContext): EventId[] {
  const picked = new Set<EventId>()
  for (const id of full) {
    const event = context.event(id)
    if (event !== undefined && isPowerEvent(event)) for (const member of new Set([id]).union(authChain(id, context)).intersection(full)) picked.add(member)
  }
  const order: EventId[] = []
  const events = [...picked].map((id) => context.event(id)).filter((event) => event !== undefined)
  while (order.length < picked.size) {
    const candidates = events.filter(({ eventId }) => !order.includes(eventId) && authChain(eventId, context).intersection(picked).isSubsetOf(new Set(order)))
    candidates.sort((a, b) => {
      if (power(a) !== power(b)) return power(a) > power(b) ? -1 : 1
      return a.originServerTs - b.originServerTs || (a.eventId < b.eventId ? -1 : 1)
    })
    const [first] = candidates
    assert.ok(first)
    order.push(first.eventId)
  }
  return order
}

for (const versionId of ['2', '11', '12']) {
  test(`v${versionId}: walks and orders are those of the definitions`, (t) => {
    let withDifference = 0
    let withBetween = 0
    fc.assert(fc.property(steps, (taken) => {
      const room = populated(versionId)
      const branches = [room.main, room.main.fork()]
      for (const step of taken) take(room, branches, step)
      const sets = branches.map(({ state }) => state)
      const context: ResolutionContext = { event: room.lookup }
      const conflict = splitStateSets(sets)
      const difference = authDifference(sets, context)
      assert.deepEqual(new Set([...walkAuthChainDifference(conflict, context)].sort()), new Set([...difference].sort()))
      const conflicted = conflictedEvents(conflict)
      const between = subgraph(conflicted, room.events.keys(), context)
      assert.deepEqual(new Set([...walkConflictedSubgraph(conflicted, context)].sort()), new Set([...between].sort()))
      for (const full of [conflicted.union(difference), conflicted.union(difference).union(between)]) {
        const order = orderPowerEvents(room.version, full, context).map(({ eventId }) => eventId)
        assert.deepEqual(order, powerOrder(full, (event) => senderPower(room.version, event, context), context))
      }
      if (difference.size > 0) withDifference += 1
      if (between.size > conflicted.size) withBetween += 1
    }), { numRuns: 300 })
    t.diagnostic(`${withDifference} rooms with an auth difference, ${withBetween} with events between conflicted ones`)
    assert.ok(withDifference > 10)
  })
}

test('mainline ordering: earlier power levels first, none at all before them, then time, then id', () => {
  const room = populated('11')
  const { main } = room
  const topic = (ts: number, id: string): RoomEvent => main.send({ type: 'm.room.topic', stateKey: '', ts, id })
  const first = topic(900, '$first')
  main.powerLevels({ users: { '@alice:a.example': 100 } })
  const second = topic(5, '$b')
  const third = topic(5, '$c')
  const earlier = topic(4, '$d')
  const latest = main.powerLevels({ users: { '@alice:a.example': 100 } })
  const last = topic(1, '$last')
  const aside = main.fork()
  aside.powerLevels({ users: { '@alice:a.example': 100, '@x:x.example': 1 } })
  const onFork = aside.send({ type: 'm.room.topic', stateKey: '', ts: 2, id: '$fork' })
  const without = main.send({ type: 'm.room.topic', stateKey: '', ts: 9999, id: '$none', authEventIds: [room.create.eventId] })
  const events = [last, third, onFork, earlier, first, without, second]
  assert.deepEqual(orderByMainline(events, latest, { event: room.lookup }), [without, first, earlier, second, third, last, onFork])
  assert.deepEqual(orderByMainline(events, undefined, { event: room.lookup }).map(({ originServerTs }) => originServerTs), [1, 2, 4, 5, 5, 900, 9999])
})

test('a heap gives its items in order', () => {
  fc.assert(fc.property(fc.array(fc.integer()), (items) => {
    const heap = new Heap<number>((a, b) => a < b)
    for (const item of items) heap.push(item)
    assert.deepEqual(items.map(() => heap.pop()), items.toSorted((a, b) => a - b))
    assert.equal(heap.pop(), undefined)
  }))
})
