/** Batch sizes follow the measured speed. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Pace } from './pace.ts'

test('a batch is as large as fits into the wanted time', () => {
  const pace = new Pace({ targetMs: 100, first: 100, least: 1 })
  assert.equal(pace.next, 100)
  pace.ran(100, 50)
  assert.equal(pace.next, 200)
  pace.ran(200, 400)
  assert.equal(pace.next, 50)
  assert.equal(pace.items, 300)
  assert.equal(pace.durationMs, 450)
})

test('a batch grows fourfold at most, and never falls below the least', () => {
  const pace = new Pace({ targetMs: 100, first: 10, least: 5 })
  pace.ran(10, 0.1)
  assert.equal(pace.next, 40)
  pace.ran(40, 100_000)
  assert.equal(pace.next, 5)
  pace.ran(0, 3)
  assert.equal(pace.next, 5)
})

test('the first batch is not smaller than the least', () => {
  assert.equal(new Pace({ targetMs: 100, first: 0, least: 0 }).next, 1)
  assert.equal(new Pace({ targetMs: 100, first: 10, least: 50 }).next, 50)
})
