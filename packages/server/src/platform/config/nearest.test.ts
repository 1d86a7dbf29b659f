import assert from 'node:assert/strict'
import { test } from 'node:test'
import { editDistance, nearestName } from './nearest.ts'

test('counts insertions, deletions, replacements and swapped neighbours', () => {
  assert.equal(editDistance('', 'abc'), 3)
  assert.equal(editDistance('presence', 'presence'), 0)
  assert.equal(editDistance('listners', 'listeners'), 1)
  assert.equal(editDistance('rc_mesasge', 'rc_message'), 1)
})

test('finds the name that was meant, and none where nothing is near', () => {
  const names = ['server_name', 'listeners', 'log_config', 'media_store_path']
  assert.equal(nearestName('sever_name', names), 'server_name')
  assert.equal(nearestName('mediastore_path', names), 'media_store_path')
  assert.equal(nearestName('constructor', names), undefined)
  assert.equal(nearestName('zzz', names), undefined)
})
