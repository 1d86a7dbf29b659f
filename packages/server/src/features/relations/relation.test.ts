import assert from 'node:assert/strict'
import { test } from 'node:test'
import { relationOf, relationTypeOf } from './relation.ts'

const message = { type: 'm.room.message', stateKey: undefined }

test('which relations are stored', () => {
  const relates = (value: unknown, rest: object = {}) => relationOf({ ...message, content: JSON.parse(JSON.stringify({ 'm.relates_to': value, ...rest })) })
  const thread = { rel_type: 'm.thread', event_id: '$a' }
  assert.deepEqual(relates(thread), { type: 'm.thread', relatesTo: '$a', key: undefined })
  assert.deepEqual(relates({ rel_type: '__proto__', event_id: 'constructor', key: 'toString' }), { type: '__proto__', relatesTo: 'constructor', key: 'toString' })
  for (const bad of [null, [], 'x', {}, { ...thread, event_id: 5 }, { ...thread, event_id: '' }, { ...thread, event_id: '$\0' }, { ...thread, rel_type: 'ü'.repeat(128) }]) {
    assert.equal(relates(bad), undefined)
  }
  const edit = { rel_type: 'm.replace', event_id: '$a' }
  assert.equal(relates(edit), undefined)
  assert.equal(relates(edit, { 'm.new_content': 'text' }), undefined)
  assert.equal(relates(edit, { 'm.new_content': {} })?.type, 'm.replace')
  assert.equal(relationOf({ type: 'm.room.encrypted', stateKey: undefined, content: { 'm.relates_to': edit } })?.type, 'm.replace')
  assert.equal(relationOf({ type: 'm.room.topic', stateKey: '', content: { 'm.relates_to': edit, 'm.new_content': {} } }), undefined)
  assert.equal(relates({ rel_type: 'm.annotation', event_id: '$a', key: '\0' })?.key, undefined)
  assert.equal(relationTypeOf({ 'm.relates_to': { 'm.in_reply_to': { event_id: '$a' } } }), undefined)
})
