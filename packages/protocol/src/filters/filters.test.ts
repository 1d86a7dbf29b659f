import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { JsonObject } from '../json/json.ts'
import { checkFilter, checkRoomEventFilter } from './check-filter.ts'
import { EventFilter } from './event-filter.ts'
import type { FilterableEvent } from './event-filter.ts'
import { projectFields } from './event-fields.ts'
import { noFilter } from './sync-filter.ts'

const message: FilterableEvent = { type: 'm.room.message', sender: '@a:b', roomId: '!r:b', content: { body: 'x' } }

function passes(filter: JsonObject, event: FilterableEvent = message): boolean {
  const parsed = checkRoomEventFilter(filter)
  assert.ok('filter' in parsed, JSON.stringify(parsed))
  return parsed.filter.matches(event)
}

test('what passes', () => {
  const cases: [JsonObject, boolean][] = [
    [{}, true], [{ types: ['m.room.message'] }, true], [{ types: [] }, false], [{ types: ['m.*'] }, true], [{ types: ['m.room.messag?'] }, false], [{ types: ['*.message'] }, true],
    [{ not_types: ['m.room.*'] }, false], [{ types: ['*'], not_types: ['m.room.message'] }, false], [{ senders: ['@a:b'] }, true], [{ senders: [] }, false],
    [{ senders: ['@a:b'], not_senders: ['@a:b'] }, false], [{ rooms: ['!r:b'] }, true], [{ rooms: ['!x:b'] }, false], [{ not_rooms: ['!r:b'] }, false],
    [{ contains_url: true }, false], [{ contains_url: false }, true], [{ 'org.matrix.labels': ['x'] }, false], [{ 'org.matrix.not_labels': ['x'] }, true],
    [{ types: ['constructor', '__proto__'] }, false],
  ]
  for (const [filter, expected] of cases) assert.equal(passes(filter), expected, JSON.stringify(filter))
  const labelled = { ...message, content: { url: 'mxc://a/b', 'org.matrix.labels': ['x', 5] } }
  assert.ok(passes({ contains_url: true, 'org.matrix.labels': ['y', 'x'] }, labelled))
  assert.ok(!passes({ 'org.matrix.not_labels': ['x'] }, labelled))
  assert.ok(!passes({ contains_url: true }, { ...message, content: JSON.parse('{"constructor":1}') }))
  assert.ok(passes({}, { type: 'm.tag' }) && !passes({ senders: ['@a:b'] }, { type: 'm.tag' }) && passes({ not_senders: ['@a:b'] }, { type: 'm.tag' }))
})

test('relations are the caller\'s to know', () => {
  const filter = new EventFilter({ related_by_senders: ['@x:b'], related_by_rel_types: ['m.thread'] })
  assert.ok(filter.needsRelations && !filter.matches(message))
  assert.ok(filter.matches(message, (senders, types) => senders?.[0] === '@x:b' && types?.[0] === 'm.thread'))
})

test('short cuts and limits', () => {
  assert.ok(new EventFilter({ types: [] }).matchesNothing && new EventFilter({ not_types: ['*'] }).matchesNothing && !new EventFilter({}).matchesNothing)
  assert.ok(new EventFilter({ limit: 5, lazy_load_members: true }).matchesEverything && !new EventFilter({ contains_url: false }).matchesEverything)
  assert.deepEqual([new EventFilter({}).limitWithin(10, 100), new EventFilter({ limit: 1e6 }).limitWithin(10, 100), new EventFilter({ limit: 0 }).limitWithin(10, 100)], [10, 100, 0])
})

test('the filter of a sync', () => {
  const parsed = checkFilter({
    event_fields: ['type', 'content.m\\.x'], event_format: 'federation', presence: { not_types: ['*'] },
    room: { rooms: ['!a:b'], include_leave: true, state: { lazy_load_members: true }, timeline: { limit: 3, unread_thread_notifications: true } }, unknown: 1,
  })
  assert.ok('filter' in parsed)
  const { filter } = parsed
  assert.ok(filter.includesRoom('!a:b') && !filter.includesRoom('!c:b') && filter.includeLeave && filter.lazyLoadMembers)
  assert.deepEqual(filter.eventFields, [['type'], ['content', 'm.x']])
  assert.deepEqual([filter.eventFormat, filter.timeline.limit, filter.timeline.unreadThreadNotifications, filter.presence.matchesNothing], ['federation', 3, true, true])
  assert.ok(noFilter.includesRoom('!x:y') && noFilter.timeline.matchesEverything && noFilter.eventFormat === 'client')
})

test('malformed filters are refused with the field that is wrong', () => {
  const cases: [JsonObject, RegExp][] = [
    [{ room: [] }, /^room must be an object/], [{ room: { timeline: { limit: -1 } } }, /^room\.timeline\.limit/], [{ room: { timeline: { limit: '5' } } }, /limit/],
    [{ room: { timeline: { types: 'x' } } }, /types must be a list/], [{ presence: { senders: ['a'] } }, /presence\.senders\[0\]/], [{ room: { rooms: ['x'] } }, /room\.rooms\[0\]/],
    [{ event_format: 'x' }, /event_format/], [{ event_fields: 'x' }, /event_fields/], [{ room: { include_leave: 1 } }, /include_leave/], [{ account_data: null }, /account_data/],
    [{ room: { state: { lazy_load_members: 'yes' } } }, /lazy_load_members/], [{ room: { timeline: { limit: 1.5 } } }, /limit/],
  ]
  for (const [json, pattern] of cases) {
    const parsed = checkFilter(json)
    assert.ok('reason' in parsed)
    assert.match(parsed.reason, pattern)
  }
  for (const json of [null, [], 5, 'x']) assert.ok('reason' in checkFilter(json))
})

test('event_fields', () => {
  const event: JsonObject = { type: 't', content: { body: 'b', 'm.x': { y: 1, z: 2 } }, sender: 's' }
  assert.deepEqual(projectFields(event, [['type'], ['content', 'm.x', 'y']]), { type: 't', content: { 'm.x': { y: 1 } } })
  assert.deepEqual(projectFields(event, [['content'], ['content', 'body']]), { content: event['content'] })
  assert.deepEqual(projectFields(event, [['content', 'body'], ['content']]), { content: event['content'] })
  assert.deepEqual(projectFields(event, [['type', 'x'], ['missing'], ['constructor'], ['content', 'toString']]), {})
  assert.deepEqual(projectFields(event, []), {})
})
