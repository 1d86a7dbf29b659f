import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { JsonObject, JsonValue } from '../json/json.ts'
import { listRoomVersions } from '../rooms/versions.ts'
import { checkAuth } from './check.ts'
import { alice, bob, carol, FixtureRoom, versionOf } from './fixture-room.ts'
import { readPowerLevel } from './power-level-value.ts'
import { powerLevelsOf } from './power-levels.ts'

const all = listRoomVersions().map(({ id }) => id)
const isLenient = (versionId: string): boolean => Number(versionId) < 10
const dan = '@dan:d.example'

const values: readonly (readonly [JsonValue | undefined, number | undefined, number | undefined])[] = [
  // value, up to v9, since v10
  [50, 50, 50], [-50, -50, -50], [0, 0, 0], [-0, 0, 0],
  [50.57, 50, undefined], [-50.57, -50, undefined], [5.114698e4, 51146, undefined], [Infinity, undefined, undefined], [-Infinity, undefined, undefined],
  [2 ** 53 - 1, 2 ** 53 - 1, 2 ** 53 - 1], [2 ** 53, 2 ** 53, undefined],
  ['50', 50, undefined], ['000100', 100, undefined], ['+100', 100, undefined], ['-100', -100, undefined], ['-0', 0, undefined],
  [' 100 ', 100, undefined], ['\t00100\n', 100, undefined], [' +100 ', 100, undefined], ['\u00a0\u3000-100\u2028', -100, undefined],
  ['\ufeff100', undefined, undefined], ['', undefined, undefined], [' ', undefined, undefined], ['+', undefined, undefined], ['+-1', undefined, undefined],
  ['+ 1', undefined, undefined], ['1 0', undefined, undefined], ['1.0', undefined, undefined], ['1e3', undefined, undefined], ['0x10', undefined, undefined],
  ['Infinity', undefined, undefined], ['NaN', undefined, undefined], ['1_000', undefined, undefined], ['٥', undefined, undefined], ['9'.repeat(400), undefined, undefined],
  [true, undefined, undefined], [null, undefined, undefined], [[], undefined, undefined], [[50], undefined, undefined], [{}, undefined, undefined], [undefined, undefined, undefined],
]
for (const versionId of all) {
  test(`v${versionId}: power levels are read as the version says`, () => {
    const version = versionOf(versionId)
    for (const [value, lenient, strict] of values) {
      const expected = isLenient(versionId) ? lenient : strict
      assert.equal(readPowerLevel(version, value), expected, `${JSON.stringify(value)} is ${expected}`)
    }
  })

  test(`v${versionId}: defaults without and with an empty m.room.power_levels`, () => {
    const room = new FixtureRoom(versionId)
    const none = powerLevelsOf(room.version, undefined, room.create)
    const empty = powerLevelsOf(room.version, room.main.draft({ type: 'm.room.power_levels', stateKey: '' }), room.create)
    for (const levels of [none, empty, powerLevelsOf(room.version, undefined, undefined)]) {
      assert.deepEqual([levels.ban, levels.kick, levels.redact, levels.invite, levels.usersDefault], [50, 50, 50, 0, 0])
      assert.deepEqual([levels.eventLevel('x', true), levels.eventLevel('x', false), levels.notificationLevel('room'), levels.userLevel(bob)], [50, 0, 50, 0])
      assert.equal(levels.userLevel('constructor'), 0)
      assert.equal(levels.eventLevel('__proto__', false), 0)
    }
    assert.equal(none.userLevel(alice), versionId === '12' ? Infinity : 100)
    assert.equal(empty.userLevel(alice), versionId === '12' ? Infinity : 0)
    assert.equal(powerLevelsOf(room.version, undefined, room.create), none, 'levels are kept')
  })

  test(`v${versionId}: levels that are set`, () => {
    const room = new FixtureRoom(versionId)
    const content: JsonObject = JSON.parse(`{
      "ban": 1, "kick": 2, "redact": 3, "invite": 4, "users_default": 5, "events_default": 6, "state_default": 7,
      "users": { "${bob}": 8, "__proto__": 99 }, "events": { "m.room.message": 9, "__proto__": 10 }, "notifications": { "room": 11 } }`)
    const levels = powerLevelsOf(room.version, room.main.draft({ type: 'm.room.power_levels', stateKey: '', content }), room.create)
    assert.deepEqual([levels.ban, levels.kick, levels.redact, levels.invite], [1, 2, 3, 4])
    assert.deepEqual([levels.userLevel(bob), levels.userLevel(carol)], [8, 5])
    assert.deepEqual([levels.eventLevel('m.room.message', false), levels.eventLevel('__proto__', true), levels.eventLevel('y', false), levels.eventLevel('y', true)], [9, 10, 6, 7])
    assert.deepEqual([levels.notificationLevel('room'), levels.notificationLevel('other')], [11, 50])
  })

  test(`v${versionId}: values that are no levels leave the defaults`, () => {
    const room = new FixtureRoom(versionId)
    const content = { ban: [], kick: {}, users: [bob], events: 'x', users_default: null, notifications: 5 }
    const levels = powerLevelsOf(room.version, room.main.draft({ type: 'm.room.power_levels', stateKey: '', content }), room.create)
    assert.deepEqual([levels.ban, levels.kick, levels.userLevel(bob), levels.eventLevel('0', false), levels.notificationLevel('room')], [50, 50, 0, 0, 50])
  })
}

test('the creator without power levels is content.creator up to v10 and the sender since v11', () => {
  const by = (versionId: string) => powerLevelsOf(versionOf(versionId), undefined, new FixtureRoom(versionId, { creator: bob }).create)
  assert.deepEqual([by('10').userLevel(alice), by('10').userLevel(bob)], [0, 100])
  assert.deepEqual([by('11').userLevel(alice), by('11').userLevel(bob)], [100, 0])
})

test('additional creators have infinite power in v12 alone, whatever the power levels say', () => {
  const levelsOf = (versionId: string) => {
    const room = new FixtureRoom(versionId, { additional_creators: [bob] })
    return powerLevelsOf(room.version, room.main.draft({ type: 'm.room.power_levels', stateKey: '', content: { users: { [bob]: 5 } } }), room.create)
  }
  assert.equal(levelsOf('12').userLevel(bob), Infinity)
  assert.equal(levelsOf('11').userLevel(bob), 5)
})

/** The step of the power levels rule by what it is about, as the specification numbers it. */
type What = 'scalars' | 'objects' | 'users' | 'creators' | 'change' | 'before' | 'after' | 'userBefore' | 'userAfter'
function ruleOf(versionId: string, what: What, substep = ''): string {
  const n = Number(versionId)
  const rule = n < 6 || n === 12 ? 10 : 9
  const first = n < 10 ? 1 : 3
  const change = first + (n === 12 ? 3 : 2)
  const step = { scalars: 1, objects: 2, users: first, creators: 4, change, before: change + 1, after: change + 2, userBefore: change + 3, userAfter: change + 4 }[what]
  return `${rule}.${step}${substep}`
}

/** What bob (level 50) or alice (100, or a creator) may turn `before` into; users are added so that they have their power. */
function verdictOf(versionId: string, before: JsonObject | undefined, after: JsonObject, sender = bob): string | undefined {
  const room = new FixtureRoom(versionId)
  const base: Record<string, JsonValue> = versionId === '12' ? { [bob]: 50, [carol]: 50 } : { [alice]: 100, [bob]: 50, [carol]: 50 }
  const withUsers = (content: JsonObject): JsonObject => {
    const users = content['users'] ?? {}
    return typeof users === 'object' && !Array.isArray(users) ? { ...content, users: { ...base, ...users } } : content
  }
  room.main.joinRule('public')
  for (const user of [bob, carol]) room.main.member(user, 'join')
  if (before !== undefined) room.main.powerLevels(withUsers(before))
  const event = room.main.draft({ type: 'm.room.power_levels', stateKey: '', sender, content: withUsers(after) })
  const verdict = checkAuth(room.version, event, room.main.authState)
  return verdict.allowed ? undefined : verdict.rule
}

const scalars = ['users_default', 'events_default', 'state_default', 'ban', 'redact', 'kick', 'invite']
for (const versionId of all) {
  const is = (actual: string | undefined, expected: string | undefined, name: string) => assert.equal(actual, expected, `v${versionId}: ${name}`)
  const lenient = isLenient(versionId)

  test(`v${versionId}: malformed power levels`, () => {
    const first = (content: JsonObject) => verdictOf(versionId, undefined, content, alice)
    is(first({}), undefined, 'the first power levels of the room')
    is(first({ users: [] }), ruleOf(versionId, 'users'), 'users is a list')
    is(first({ users: 'x' }), ruleOf(versionId, 'users'), 'users is a text')
    for (const key of ['bob', '', '@bob', 'constructor', `@${'b'.repeat(255)}:b.example`]) is(first({ users: { [key]: 1 } }), ruleOf(versionId, 'users'), `user ${key}`)
    for (const value of [null, true, [], {}, 'abc', '1.5', Infinity]) is(first({ users: { [dan]: value } }), ruleOf(versionId, 'users'), `level ${JSON.stringify(value)}`)
    is(first({ users: { [dan]: '5' } }), lenient ? undefined : ruleOf(versionId, 'users'), 'a text as level')
    is(first({ users: { [dan]: 5.5 } }), lenient ? undefined : ruleOf(versionId, 'users'), 'a float as level')
    for (const key of scalars) {
      is(first({ [key]: '5' }), lenient ? undefined : ruleOf(versionId, 'scalars'), `${key} is a text`)
      is(first({ [key]: null }), lenient ? undefined : ruleOf(versionId, 'scalars'), `${key} is null`)
      is(first({ [key]: Infinity }), lenient ? ruleOf(versionId, 'users') : ruleOf(versionId, 'scalars'), `${key} is infinite`)
    }
    for (const key of ['events', 'notifications']) {
      is(first({ [key]: { x: 5 } }), undefined, `${key} of integers`)
      is(first({ [key]: { x: '5' } }), lenient ? undefined : ruleOf(versionId, 'objects'), `${key} with a text`)
      is(first({ [key]: [] }), lenient ? undefined : ruleOf(versionId, 'objects'), `${key} is a list`)
      is(first({ [key]: { x: Infinity } }), lenient ? ruleOf(versionId, 'users') : ruleOf(versionId, 'objects'), `${key} with an infinite value`)
    }
    if (versionId === '12') is(first({ users: { [alice]: 100 } }), '10.4', 'a creator among users')
  })

  test(`v${versionId}: nobody raises or guards levels above their own`, () => {
    // so that the sender may send power levels whatever state_default says
    const open = { events: { 'm.room.power_levels': 50 } }
    const change = (before: JsonObject, after: JsonObject): string | undefined => verdictOf(versionId, { ...open, ...before }, { ...open, ...after })
    for (const key of scalars) {
      is(change({ [key]: 10 }, { [key]: 50 }), undefined, `${key} up to the own level`)
      is(change({ [key]: 60 }, { [key]: 10 }), ruleOf(versionId, 'change', '.1'), `${key} from above`)
      is(change({ [key]: 60 }, {}), ruleOf(versionId, 'change', '.1'), `${key} removed from above`)
      is(change({ [key]: 10 }, { [key]: 60 }), ruleOf(versionId, 'change', '.2'), `${key} to above`)
      is(change({}, { [key]: 60 }), ruleOf(versionId, 'change', '.2'), `${key} added above`)
      is(change({ [key]: 60 }, { [key]: 60 }), undefined, `${key} unchanged`)
      if (!lenient) continue
      is(change({ [key]: 60 }, { [key]: ' +60 ' }), undefined, `${key} spelt otherwise`)
      is(change({}, { [key]: 'abc' }), ruleOf(versionId, 'change', '.2'), `${key} no number`)
      is(change({ [key]: 'abc' }, { [key]: null }), undefined, `${key} that was no number is removed`)
    }
    for (const key of ['events', 'notifications']) {
      const when = (expected: string): string | undefined => (key === 'events' || Number(versionId) >= 6 ? expected : undefined)
      is(verdictOf(versionId, { [key]: { x: 10 } }, { [key]: { x: 50, y: 50 } }), undefined, `${key} up to the own level`)
      is(verdictOf(versionId, { [key]: { x: 60 } }, { [key]: { x: 10 } }), when(ruleOf(versionId, 'before', '.1')), `${key} from above`)
      is(verdictOf(versionId, { [key]: { x: 60 } }, {}), when(ruleOf(versionId, 'before', '.1')), `${key} removed from above`)
      is(verdictOf(versionId, { [key]: { x: 10 } }, { [key]: { x: 60 } }), when(ruleOf(versionId, 'after', '.1')), `${key} to above`)
      is(verdictOf(versionId, {}, { [key]: { x: 60 } }), when(ruleOf(versionId, 'after', '.1')), `${key} added above`)
      is(verdictOf(versionId, {}, JSON.parse(`{"${key}": {"__proto__": 60}}`)), when(ruleOf(versionId, 'after', '.1')), `${key} named __proto__`)
      is(verdictOf(versionId, { [key]: { x: 60 } }, { [key]: { x: 60 } }), undefined, `${key} unchanged`)
    }
  })

  test(`v${versionId}: nobody gives more power than they have, nor takes it from their equals`, () => {
    is(verdictOf(versionId, {}, { users: { [dan]: 50 } }), undefined, 'giving the own level')
    is(verdictOf(versionId, {}, { users: { [dan]: 51 } }), ruleOf(versionId, 'userAfter', '.1'), 'giving more')
    is(verdictOf(versionId, {}, { users: { [bob]: 51 } }), ruleOf(versionId, 'userAfter', '.1'), 'raising oneself')
    is(verdictOf(versionId, {}, { users: { [bob]: 10 } }), undefined, 'lowering oneself')
    is(verdictOf(versionId, {}, { users: { [carol]: 10 } }), ruleOf(versionId, 'userBefore', '.1'), 'lowering an equal')
    is(verdictOf(versionId, { users: { [dan]: 49 } }, {}), undefined, 'removing a lower user')
    is(verdictOf(versionId, { users: { [dan]: 50 } }, {}), ruleOf(versionId, 'userBefore', '.1'), 'removing an equal')
    is(verdictOf(versionId, { users: { [dan]: 60 } }, {}), ruleOf(versionId, 'userBefore', '.1'), 'removing a higher user')
    is(verdictOf(versionId, {}, { users: { [carol]: 0, [dan]: 100 } }, alice), undefined, 'the ruler may')
    is(verdictOf(versionId, {}, { users: { [dan]: 101 } }, alice), versionId === '12' ? undefined : ruleOf(versionId, 'userAfter', '.1'), 'the ruler gives more than 100')
  })
}
