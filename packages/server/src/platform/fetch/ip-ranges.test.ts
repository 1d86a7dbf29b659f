/** Address ranges and the policy of destinations. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AddressPolicy, IpRanges } from './ip-ranges.ts'

const policy = new AddressPolicy({
  deny: ['127.0.0.0/8', '10.0.0.0/8', '169.254.0.0/16', '100.64.0.0/10', '::1/128', 'fc00::/7', 'fe80::/10'],
  allow: ['10.1.2.3'],
})

test('addresses in denied ranges are refused in every spelling', () => {
  for (const address of [
    '127.0.0.1', '127.255.0.1', '10.0.0.1', '169.254.169.254', '100.100.1.1', '0.0.0.0', '0.1.2.3', '::', '::1', 'fd00::1', 'fe80::1',
    '::ffff:127.0.0.1', '::ffff:7f00:1', '::127.0.0.1', '64:ff9b::10.0.0.1', '2002:7f00:1::', '2001:0:a00:1::', '::ffff:0:10.0.0.1', 'nonsense', '',
  ]) assert.equal(policy.permits(address), false, address)
})

test('other addresses, and exceptions, are permitted', () => {
  for (const address of ['1.1.1.1', '10.1.2.3', '::ffff:10.1.2.3', '2606:4700::1', '::ffff:8.8.8.8']) {
    assert.equal(policy.permits(address), true, address)
  }
})

test('a range that is none is named', () => {
  for (const range of ['10.0.0.0/33', 'x/8', '10.0.0.0/8/8', '::/129', '1.2.3/8', '10.0.0.0/']) {
    assert.throws(() => new IpRanges([range]), new RegExp(`'${range}' is not an IP address range`))
  }
})
