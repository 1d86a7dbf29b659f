/** Tokens of sync. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatSyncToken, notBeyond, parseSyncToken, samePosition } from './sync-token.ts'

const position = { events: 7, presence: 6, typing: 1_700_000_000_000, receipts: 4, accountData: 3, toDevice: 2, deviceLists: 1, threadSubscriptions: 8 }

test('a token holds one position for each stream', () => {
  assert.equal(formatSyncToken(position), 's7_6_1700000000000_4_3_2_1_8')
  assert.deepEqual(parseSyncToken('s7_6_1700000000000_4_3_2_1_8'), position)
})

test('tokens with fewer and with more fields are understood', () => {
  assert.deepEqual(parseSyncToken('s7_6'), { events: 7, presence: 6, typing: 0, receipts: 0, accountData: 0, toDevice: 0, deviceLists: 0, threadSubscriptions: 0 })
  assert.deepEqual(parseSyncToken('s7_6_1700000000000_4_3_2_1_8_99_98'), position)
})

test('what is no token is none', () => {
  for (const text of ['', 's', 's_1', 's1_', 's-1', 't1-2', 's1_2_x', 's99999999999999999', `s${'1_'.repeat(300)}1`, 's9007199254740993', ' s1']) {
    assert.equal(parseSyncToken(text), undefined, text)
  }
})

test('a token from after a restored backup counts as the newest', () => {
  const current = { ...position, events: 5, deviceLists: 9 }
  assert.deepEqual(notBeyond(position, current), { ...position, events: 5 })
  assert.ok(samePosition(position, { ...position }))
  assert.ok(!samePosition(position, current))
})
