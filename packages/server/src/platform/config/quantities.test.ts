import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseDuration, parseFileMode, parseSize } from './quantities.ts'

test('durations are milliseconds, whatever their unit', () => {
  const rows: [unknown, number | undefined][] = [
    [500, 500], ['500', 500], ['30s', 30_000], ['5m', 300_000], ['12h', 43_200_000], ['7d', 604_800_000], ['1w', 604_800_000],
    ['1y', 31_536_000_000], ['', undefined], ['1 fortnight', undefined], ['s', undefined], [true, undefined], [Number.NaN, undefined],
  ]
  for (const [written, expected] of rows) assert.equal(parseDuration(written), expected, String(written))
})

test('sizes are bytes, their units powers of 1024', () => {
  const rows: [unknown, number | undefined][] = [
    [500, 500], ['500', 500], ['10K', 10_240], ['50M', 52_428_800], ['87KiB', 89_088], ['500MiB', 524_288_000], ['1G', 1_073_741_824],
    ['1gb', 1_073_741_824], ['-5', undefined], ['5X', undefined], [1.5, undefined], [null, undefined],
  ]
  for (const [written, expected] of rows) assert.equal(parseSize(written), expected, String(written))
})

test('file modes are octal with or without a leading zero', () => {
  assert.equal(parseFileMode('666'), 0o666)
  assert.equal(parseFileMode('0660'), 0o660)
  assert.equal(parseFileMode('0o600'), 0o600)
  assert.equal(parseFileMode('689'), undefined)
})
