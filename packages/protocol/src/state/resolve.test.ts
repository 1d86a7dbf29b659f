import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { alice, bob, carol, FixtureRoom, versionOf } from '../auth/fixture-room.ts'
import type { Branch } from '../auth/fixture-room.ts'
import { stateKeyOf } from '../events/event.ts'
import type { RoomEvent } from '../events/event.ts'
import type { EventId } from '../ids/ids.ts'
import { listRoomVersions } from '../rooms/versions.ts'
import type { RoomVersion } from '../rooms/versions.ts'
import { dan, populated, steps, take } from './fixture-branches.ts'
import { resolve, resolveConflict } from './resolve.ts'
import { splitStateSets } from './state-sets.ts'
import type { StateMap } from './state-sets.ts'

const all = listRoomVersions().map(({ id }) => id)
const sinceV2 = all.filter((id) => id !== '1')

function resolved(room: FixtureRoom, branches: readonly { readonly state: StateMap }[], version: RoomVersion = room.version) {
  const state = resolve(version, branches.map((branch) => branch.state), { event: room.lookup })
  return (type: string, stateKey = ''): RoomEvent | undefined => {
    const id = state.get(stateKeyOf(type, stateKey))
    return id === undefined ? undefined : room.events.get(id)
  }
}

const topic = (branch: Branch, sender: string, text: string, ts?: number): RoomEvent =>
  branch.send({ type: 'm.room.topic', stateKey: '', sender, content: { topic: text }, ...(ts === undefined ? {} : { ts }) })

for (const versionId of all) {
  test(`v${versionId}: nothing, one state, and states that agree resolve to themselves`, () => {
    const room = populated(versionId)
    const context = { event: room.lookup }
    assert.equal(resolve(room.version, [], context).size, 0)
    assert.equal(resolve(room.version, [room.main.state], context), room.main.state)
    assert.deepEqual(resolve(room.version, [room.main.state, new Map([...room.main.state].reverse())], context), room.main.state)
  })

  test(`v${versionId}: changes of different keys merge`, () => {
    const room = populated(versionId)
    const other = room.main.fork()
    const left = topic(room.main, alice, 'left')
    const right = other.send({ type: 'm.room.name', stateKey: '', sender: bob })
    const state = resolved(room, [room.main, other])
    assert.equal(state('m.room.topic'), left)
    assert.equal(state('m.room.name'), right)
  })
}

test('v1: of two topics the deepest wins, and of equally deep ones that of the lower hash', () => {
  const room = populated('1')
  const other = room.main.fork()
  topic(room.main, alice, 'shallow')
  room.main.fork()
  topic(other, bob, 'first')
  const deep = topic(other, bob, 'deep')
  assert.equal(resolved(room, [room.main, other])('m.room.topic'), deep)
  const equals = ['$a', '$b'].map((id) => {
    const branch = room.main.fork()
    return { branch, event: branch.send({ type: 'm.room.topic', stateKey: '', sender: bob, id, depth: 99 }), hash: createHash('sha1').update(id).digest('hex') }
  })
  const lowest = equals.toSorted((a, b) => (a.hash < b.hash ? -1 : 1))[0]
  assert.equal(resolved(room, equals.map(({ branch }) => branch))('m.room.topic'), lowest?.event)
})

test('v1: power levels apply by depth until one is not allowed', () => {
  const room = populated('1')
  const { main } = room
  const other = main.fork()
  main.powerLevels({ users: { [alice]: 100 } })
  const raised = other.powerLevels({ users: { [alice]: 100, [bob]: 50, [carol]: 50 } }, bob)
  other.send({ type: 'm.room.message', sender: bob })
  const again = other.powerLevels({ users: { [alice]: 100, [bob]: 50, [carol]: 40 } }, bob)
  assert.notEqual(raised, again)
  assert.equal(resolved(room, [main, other])('m.room.power_levels'), room.events.get(main.state.get(stateKeyOf('m.room.power_levels', '')) as EventId))
})

for (const versionId of sinceV2) {
  test(`v${versionId}: a ban wins over what the banned moderator does on a fork`, () => {
    const room = populated(versionId)
    const fork = room.main.fork()
    const before = topic(room.main, alice, 'before')
    fork.state.set(stateKeyOf('m.room.topic', ''), before.eventId)
    const ban = room.main.member(bob, 'ban', alice)
    topic(fork, bob, 'evaded', 1)
    fork.member(carol, 'leave', bob)
    const state = resolved(room, [room.main, fork])
    assert.equal(state('m.room.member', bob), ban)
    assert.equal(state('m.room.topic'), before)
    assert.equal(state('m.room.member', carol)?.content['membership'], 'join', 'the kick of a banned moderator has no effect')
  })

  test(`v${versionId}: a banned user cannot rejoin on a fork from before the ban`, () => {
    const room = populated(versionId)
    const fork = room.main.fork()
    const ban = room.main.member(carol, 'ban', alice)
    fork.member(carol, 'leave')
    fork.member(carol, 'join')
    fork.member(carol, 'join', carol, { displayname: 'still here' })
    assert.equal(resolved(room, [room.main, fork])('m.room.member', carol), ban)
  })

  test(`v${versionId}: in a race of power levels the more powerful sender is first`, () => {
    const room = populated(versionId)
    const fork = room.main.fork()
    const own = room.version.privilegedCreators ? {} : { [alice]: 100 }
    const demotion = room.main.powerLevels({ users: { ...own } })
    fork.send({ type: 'm.room.power_levels', stateKey: '', sender: bob, content: { users: { ...own, [bob]: 50, [dan]: 50 } }, ts: 1 })
    assert.equal(resolved(room, [room.main, fork])('m.room.power_levels'), demotion)
  })

  test(`v${versionId}: a join that all states have does not hold its user's events back`, () => {
    const room = populated(versionId)
    room.main.powerLevels({ users: { ...(room.version.privilegedCreators ? {} : { [alice]: 100 }), [bob]: 50, [carol]: 50 } })
    const fork = room.main.fork()
    // Carol's join is in the auth chain of her event alone, and so is Bob's, who came before her.
    const late = room.main.send({ type: 'm.room.join_rules', stateKey: '', sender: bob, content: { join_rule: 'invite' }, ts: 2000 })
    fork.send({ type: 'm.room.join_rules', stateKey: '', sender: carol, content: { join_rule: 'knock' }, ts: 1000 })
    assert.equal(resolved(room, [room.main, fork])('m.room.join_rules'), late)
  })

  test(`v${versionId}: equally powerful senders are ordered by time, then by id`, () => {
    const room = populated(versionId)
    const fork = room.main.fork()
    const late = room.main.send({ type: 'm.room.join_rules', stateKey: '', content: { join_rule: 'invite' }, ts: 2000 })
    fork.send({ type: 'm.room.join_rules', stateKey: '', content: { join_rule: 'private' }, ts: 1000 })
    assert.equal(resolved(room, [room.main, fork])('m.room.join_rules'), late)
    const third = room.main.fork()
    const greater = third.send({ type: 'm.room.join_rules', stateKey: '', content: { join_rule: 'public' }, ts: 2000, id: '$zzz' })
    assert.equal(resolved(room, [room.main, third])('m.room.join_rules'), greater)
  })

  test(`v${versionId}: joins lose against join rules that close on a fork`, () => {
    const room = populated(versionId)
    const fork = room.main.fork()
    room.main.joinRule('invite')
    fork.member(dan, 'join')
    assert.equal(resolved(room, [room.main, fork])('m.room.member', dan), undefined)
  })

  test(`v${versionId}: an event on later power levels is applied after one on earlier`, () => {
    const room = populated(versionId)
    const fork = room.main.fork()
    topic(fork, alice, 'on old power levels, at a late time', 9_000_000)
    room.main.powerLevels({ users: room.version.privilegedCreators ? { [bob]: 60 } : { [alice]: 100, [bob]: 60 } })
    const newer = topic(room.main, bob, 'on new power levels')
    assert.equal(resolved(room, [room.main, fork])('m.room.topic'), newer)
  })

  test(`v${versionId}: a rejected auth event does not stand in for missing state`, () => {
    const room = populated(versionId)
    const left = room.main.fork()
    const right = room.main.fork()
    const join = left.member(dan, 'join')
    left.powerLevels({ users: room.version.privilegedCreators ? {} : { [alice]: 100 }, events: { 'm.room.topic': 0 } })
    topic(left, dan, 'by dan')
    // A faulty state: dan's topic without dan
    left.state.delete(stateKeyOf('m.room.member', dan))
    right.send({ type: 'm.room.name', stateKey: '' })
    const context = { event: room.lookup, authChainDifference: () => [], conflictedSubgraph: (conflicted: ReadonlySet<EventId>) => conflicted }
    const key = stateKeyOf('m.room.topic', '')
    assert.ok(resolve(room.version, [left.state, right.state], context).has(key))
    assert.ok(!resolve(room.version, [left.state, right.state], { ...context, isRejected: (id) => id === join.eventId }).has(key))
  })
}

// The state resets that room version 12 was made against: the same events under both algorithms.
const v12 = versionOf('12')
const v12ByV2: RoomVersion = { ...v12, stateResolution: 'v2' }

test('a membership is reset by join rules that closed since under v2, and is kept under v2.1', () => {
  const room = new FixtureRoom('12')
  const { main } = room
  main.joinRule('public')
  main.member(bob, 'join')
  const left = main.member(bob, 'leave')
  const joined = main.member(bob, 'join')
  main.joinRule('invite')
  const stale = main.fork()
  stale.state.set(stateKeyOf('m.room.member', bob), left.eventId)
  assert.equal(resolved(room, [main, stale], v12ByV2)('m.room.member', bob), left)
  assert.equal(resolved(room, [main, stale], v12)('m.room.member', bob), joined)
})

test('a membership that one side never saw is lost under v2, and is kept under v2.1', () => {
  const room = new FixtureRoom('12')
  const { main } = room
  main.joinRule('public')
  const joined = main.member(bob, 'join')
  main.member(carol, 'join')
  main.joinRule('invite')
  const unaware = main.fork()
  unaware.state.delete(stateKeyOf('m.room.member', bob))
  assert.equal(resolved(room, [main, unaware], v12ByV2)('m.room.member', bob), undefined)
  assert.equal(resolved(room, [main, unaware], v12)('m.room.member', bob), joined)
})

test('power levels are reset under v2 when the ones between are in every auth chain, and are kept under v2.1', () => {
  const room = new FixtureRoom('12')
  const { main } = room
  main.joinRule('public')
  main.member(bob, 'join')
  const old = main.powerLevels({ users: {} })
  main.powerLevels({ users: { [bob]: 100 } })
  topic(main, alice, 'rests on the second power levels')
  const stale = main.fork()
  stale.state.set(stateKeyOf('m.room.power_levels', ''), old.eventId)
  const latest = main.powerLevels({ users: { [bob]: 100, [carol]: 50 } }, bob)
  assert.equal(resolved(room, [main, stale], v12ByV2)('m.room.power_levels'), old)
  assert.equal(resolved(room, [main, stale], v12)('m.room.power_levels'), latest)
})

test('state on top of lost power levels is lost with them under v2, and is kept under v2.1', () => {
  const room = new FixtureRoom('12')
  const { main } = room
  main.joinRule('public')
  main.member(bob, 'join')
  const old = main.powerLevels({ users: {} })
  main.powerLevels({ users: { [bob]: 50 } })
  main.send({ type: 'm.room.name', stateKey: '' })
  const stale = main.fork()
  stale.state.set(stateKeyOf('m.room.power_levels', ''), old.eventId)
  main.powerLevels({ users: { [bob]: 50 }, ban: 50 }, bob)
  const text = topic(main, bob, 'by a moderator')
  assert.equal(resolved(room, [main, stale], v12ByV2)('m.room.topic'), undefined)
  assert.equal(resolved(room, [main, stale], v12)('m.room.topic'), text)
})

test('creators outrank every listed user in a race', () => {
  const room = new FixtureRoom('12', { additional_creators: [carol] })
  const { main } = room
  main.joinRule('public')
  main.member(bob, 'join')
  main.member(carol, 'join')
  main.powerLevels({ users: { [bob]: Number.MAX_SAFE_INTEGER } })
  const fork = main.fork()
  const demotion = main.powerLevels({ users: {} }, carol)
  fork.send({ type: 'm.room.power_levels', stateKey: '', sender: bob, content: { users: { [bob]: Number.MAX_SAFE_INTEGER }, ban: 0 }, ts: 1 })
  assert.equal(resolved(room, [main, fork])('m.room.power_levels'), demotion)
})

test('answers from an index are used in place of walks', () => {
  const room = populated('12')
  const fork = room.main.fork()
  const ban = room.main.member(bob, 'ban', alice)
  topic(fork, bob, 'evaded')
  const asked: string[] = []
  const conflict = splitStateSets([room.main.state, fork.state])
  const decided = resolveConflict(room.version, conflict, {
    event: room.lookup,
    authChainDifference: (question) => {
      asked.push('difference')
      assert.equal(question, conflict)
      return []
    },
    conflictedSubgraph: (conflicted) => {
      asked.push('subgraph')
      return conflicted
    },
  })
  assert.deepEqual(asked, ['difference', 'subgraph'])
  assert.deepEqual([...decided], [[stateKeyOf('m.room.member', bob), ban.eventId]])
})

for (const versionId of ['1', '2', '6', '11', '12']) {
  test(`v${versionId}: resolution does not depend on the order of sets and entries, and keeps what is agreed`, () => {
    fc.assert(fc.property(steps, fc.infiniteStream(fc.nat(100)), (taken, noise) => {
      const room = populated(versionId)
      const branches = [room.main, room.main.fork()]
      for (const step of taken) take(room, branches, step)
      const context = { event: room.lookup }
      const sets: StateMap[] = branches.map(({ state }) => state)
      const expected = new Map([...resolve(room.version, sets, context)].sort())
      const shuffle = <T>(items: readonly T[]): T[] => items.map((item) => ({ item, at: noise.next().value ?? 0 })).sort((a, b) => a.at - b.at).map(({ item }) => item)
      const shuffled = shuffle(sets).map((set) => new Map(shuffle([...set])))
      assert.deepEqual(new Map([...resolve(room.version, shuffled, context)].sort()), expected)
      assert.deepEqual(new Map([...resolve(room.version, [...sets, ...shuffled], context)].sort()), expected, 'a state given twice counts once')
      for (const [key, id] of splitStateSets(sets).unconflicted) assert.equal(expected.get(key), id)
    }), { numRuns: 150 })
  })
}
