/** Token buckets. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MatrixError } from '@myelin/protocol/errors.ts'
import { TestClock } from '#test/kit/test-clock.ts'
import { addressKey } from './address-key.ts'
import { RateLimits } from './rate-limits.ts'

function limits() {
  const clock = new TestClock()
  const rates = new Map([
    ['rc', { perSecond: 0.5, burstCount: 3 }], ['none', { perSecond: 0, burstCount: 0 }], ['never', { perSecond: 0, burstCount: 1 }],
  ])
  return { clock, limits: new RateLimits({ clock, rates }) }
}

function retryAfter(call: () => void): unknown {
  try {
    call()
  } catch (error) {
    if (error instanceof MatrixError) return [error.status, error.errcode, error.extra['retry_after_ms']]
    throw error
  }
  return undefined
}

test('a burst passes, then one per interval', () => {
  const { clock, limits: rc } = limits()
  for (let i = 0; i < 3; i++) rc.consume('rc', 'a')
  assert.deepEqual(retryAfter(() => rc.consume('rc', 'a')), [429, 'M_LIMIT_EXCEEDED', 2000])
  rc.consume('rc', 'b')
  clock.advance(1500)
  assert.deepEqual(retryAfter(() => rc.consume('rc', 'a')), [429, 'M_LIMIT_EXCEEDED', 500])
  clock.advance(500)
  rc.consume('rc', 'a')
  assert.deepEqual(retryAfter(() => rc.consume('rc', 'a')), [429, 'M_LIMIT_EXCEEDED', 2000])
  clock.advance(60_000)
  for (let i = 0; i < 3; i++) rc.consume('rc', 'a')
  assert.notEqual(retryAfter(() => rc.consume('rc', 'a')), undefined)
})

test('check takes nothing, a refused cost takes nothing', () => {
  const { limits: rc } = limits()
  for (let i = 0; i < 9; i++) assert.equal(rc.check('rc', 'a', 3), 0)
  rc.consume('rc', 'a', 2)
  assert.equal(rc.check('rc', 'a', 2), 2000)
  assert.deepEqual(retryAfter(() => rc.assertAllowed('rc', 'a', 2)), [429, 'M_LIMIT_EXCEEDED', 2000])
  assert.notEqual(retryAfter(() => rc.consume('rc', 'a', 2)), undefined)
  rc.consume('rc', 'a', 1)
  assert.deepEqual(retryAfter(() => rc.consume('rc', 'z', 4)), [429, 'M_LIMIT_EXCEEDED', 3_600_000])
})

test('unknown names and overrides of zero are unlimited; a rate of zero is a wall', () => {
  const { limits: rc } = limits()
  for (let i = 0; i < 50; i++) {
    rc.consume('unknown', 'a')
    rc.consume('none', 'a')
    rc.consume('rc', 'a', 1, { perSecond: 0, burstCount: 0 })
  }
  assert.notEqual(retryAfter(() => rc.consume('never', 'a')), undefined)
})

test('memory is bounded', () => {
  const { limits: rc, clock } = limits()
  for (let i = 0; i < 250_000; i++) rc.consume('rc', `k${i}`)
  assert.ok(rc.size('rc') <= 100_000)
  clock.advance(10_000)
  for (let i = 0; i < 100_001; i++) rc.consume('rc', `n${i}`)
  assert.ok(rc.size('rc') <= 100_000)
})

test('addresses count as one customer', () => {
  assert.equal(addressKey('1.2.3.4'), '1.2.3.4')
  assert.equal(addressKey('::ffff:1.2.3.4'), '1.2.3.4')
  assert.equal(addressKey('::ffff:102:304'), '1.2.3.4')
  assert.equal(addressKey('2001:DB8::1'), '2001:db8:0:0::/64')
  assert.equal(addressKey('2001:db8:0:0:ffff::9'), '2001:db8:0:0::/64')
  assert.equal(addressKey('fe80::1%eth0'), 'fe80:0:0:0::/64')
  assert.equal(addressKey(''), '')
})
