import assert from 'node:assert/strict'
import { test } from 'node:test'
import { getRoomVersion } from '../rooms/versions.ts'
import type { RoomVersion } from '../rooms/versions.ts'
import { isEventId, isEventIdOf } from './event-id.ts'
import { fitsBytes, isNamespacedId, isOpaqueId } from './identifier.ts'
import { mapUsernameToLocalpart } from './localpart-mapping.ts'
import { isMediaId, parseMxcUri } from './mxc-uri.ts'
import { isRoomAlias } from './room-alias.ts'
import { isRoomId, isRoomIdOf } from './room-id.ts'
import { isIpLiteral, isServerName, parseServerName, withoutPort } from './server-name.ts'
import { isCompliantUserId, isStrictUserId, isUserId, localpartOf, parseUserId, serverOf } from './user-id.ts'

function version(id: string): RoomVersion {
  const found = getRoomVersion(id)
  assert.ok(found)
  return found
}

test('server names', () => {
  for (const name of ['matrix.org', 'matrix.org:8888', '1.2.3.4', '1.2.3.4:1234', '[1234:5678::abcd]', '[1234:5678::abcd]:5678', 'localhost', 'MATRIX.org']) {
    assert.ok(isServerName(name), name)
  }
  for (const name of ['', ':80', 'a:b', 'a:123456', 'a_b', 'a b', '[::1', '::1', 'a/b', 'ä.org', 'a:', '[]', 'a\n']) assert.ok(!isServerName(name), name)
  assert.deepEqual(parseServerName('[::1]:8448'), { host: '::1', kind: 'ipv6', port: 8448 })
  assert.deepEqual(parseServerName('1.2.3.4'), { host: '1.2.3.4', kind: 'ipv4', port: undefined })
  assert.equal(parseServerName('a:65536'), undefined)
  assert.deepEqual(['a.b:1', 'a.b', '[::1]:1', '[::1]', '1.2.3.4:5'].map(withoutPort), ['a.b', 'a.b', '[::1]', '[::1]', '1.2.3.4'])
  assert.deepEqual(['a.b:1', '[::1]:1', '1.2.3.4:5'].map(isIpLiteral), [false, true, true])
})

test('user ids: strict, historical and compliant', () => {
  for (const id of ['@a:b', '@a.b_c=d-e/f+0:example.org:80']) assert.ok(isStrictUserId(id) && isUserId(id), id)
  for (const id of ['@A:b', '@:b', '@ä:b', '@a b:c', '@__proto__!:b']) assert.ok(!isStrictUserId(id) && isUserId(id), id)
  for (const id of ['a:b', '@a', '@a:', '@a\0:b', '@a\ud800:b', '@a:b c', '', 5, null, `@${'a'.repeat(253)}:b`, `@${'ä'.repeat(127)}:b`]) {
    assert.ok(!isUserId(id), String(id))
  }
  assert.ok(isUserId(`@${'a'.repeat(252)}:b`) && isUserId(`@${'ä'.repeat(126)}:b`))
  assert.deepEqual(['@A~:b', '@:b', '@ä:b', '@a b:c'].map(isCompliantUserId), [true, false, false, false])
  assert.deepEqual(parseUserId('@a:b:80'), { localpart: 'a', serverName: 'b:80' })
  assert.equal(serverOf('@a:[::1]:80'), '[::1]:80')
  assert.equal(localpartOf('@a:b'), 'a')
})

test('room ids, event ids and aliases by room version', () => {
  const hash = 'A'.repeat(43)
  assert.ok(isRoomId(`!${hash}`) && isRoomId('!a:b') && !isRoomId('!a') && !isRoomId('!a\0:b'))
  assert.ok(isRoomIdOf(version('12'), `!${hash}`) && !isRoomIdOf(version('12'), '!a:b') && !isRoomIdOf(version('11'), `!${hash}`))
  assert.ok(isEventIdOf(version('1'), '$a:b') && !isEventIdOf(version('1'), `$${hash}`))
  assert.ok(isEventIdOf(version('3'), `$${hash.slice(1)}/`) && !isEventIdOf(version('4'), `$${hash.slice(1)}/`))
  assert.ok(isEventIdOf(version('4'), `$${hash.slice(1)}-`) && !isEventIdOf(version('3'), `$${hash.slice(1)}-`))
  assert.ok(isEventId('$x') && !isEventId('$') && !isEventId('$\0') && !isEventId(`$${'a'.repeat(255)}`))
  assert.ok(isRoomAlias('#a b:c') && isRoomAlias('#__proto__:c') && !isRoomAlias('#:c') && !isRoomAlias('#a') && !isRoomAlias('#a\0:c'))
})

test('opaque and namespaced ids, media', () => {
  assert.ok(isOpaqueId('aZ0.-_~') && !isOpaqueId('') && !isOpaqueId('a/b') && !isOpaqueId('a'.repeat(256)))
  assert.ok(isNamespacedId('m.room') && !isNamespacedId('0a') && !isNamespacedId('A'))
  assert.deepEqual(parseMxcUri('mxc://a.b:80/x_-Y'), { serverName: 'a.b:80', mediaId: 'x_-Y' })
  for (const uri of ['mxc://a/', 'mxc://a', 'mxc:///x', 'http://a/x', 'mxc://a/x/y', 'mxc://a/../x', 'mxc://a/x?y', 'MXC://a/x']) assert.equal(parseMxcUri(uri), undefined)
  assert.ok(!isMediaId('..') && !isMediaId('a.b'))
})

test('limits count bytes', () => {
  assert.ok(fitsBytes('ä'.repeat(127), 255) && !fitsBytes('ä'.repeat(128), 255) && fitsBytes('\u{1f600}'.repeat(63), 255) && !fitsBytes('\u{1f600}'.repeat(64), 255))
})

test('mapping of user names', () => {
  assert.equal(mapUsernameToLocalpart('#á='), '=23=c3=a1=3d')
  assert.equal(mapUsernameToLocalpart('Ab_c'), 'ab_c')
  assert.equal(mapUsernameToLocalpart('Ab_c', true), '_ab__c')
})
