import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import fc from 'fast-check'
import type { ServerName } from '../ids/ids.ts'
import type { JsonObject } from '../json/json.ts'
import { parsePdu } from '../events/parse.ts'
import { contentHash } from '../events/hash.ts'
import { getRoomVersion } from '../rooms/versions.ts'
import { decodeBase64, decodeBase64Url, encodeBase64, encodeBase64Url } from './base64.ts'
import { SigningKey, verifySignature } from './ed25519.ts'
import { isEventSigned, requiredSigners, signEvent } from './sign-event.ts'
import { isSigned, isSignedByKey, signaturesOf, signJson } from './sign-json.ts'
import { formatSigningKey, generateSigningKey, parseSigningKeys } from './signing-key-file.ts'

interface SigningVectors {
  seed: string
  server_name: ServerName
  key_id: string
  cases: { input: JsonObject; signature: string; content_hash: string }[]
}

function vectors<Content>(name: string): Content {
  return JSON.parse(readFileSync(new URL(`../../vectors/${name}.json`, import.meta.url), 'utf8'))
}

function keyOf({ seed, key_id }: SigningVectors): SigningKey {
  const bytes = decodeBase64(seed)
  assert.ok(bytes)
  return new SigningKey(key_id.slice('ed25519:'.length), bytes)
}

test('base64: the examples, and one reading for each text', () => {
  for (const [text = '', encoded = ''] of vectors<{ cases: string[][] }>('base64').cases) {
    assert.equal(encodeBase64(Buffer.from(text)), encoded)
    assert.deepEqual(decodeBase64(encoded), Buffer.from(text))
  }
  for (const text of ['Zg==', 'Zh']) assert.deepEqual(decodeBase64(text), Buffer.from('f'))
  for (const text of ['Zg=', 'Zg===', 'Z', 'Zm9v=', 'Zm 9v', 'Zm9v\n', 'Z-_v', '=', 'Zg==Zg', 'Zm9v====']) assert.equal(decodeBase64(text), undefined, text)
  assert.deepEqual(decodeBase64Url('-_-_'), Buffer.from([0xfb, 0xff, 0xbf]))
  assert.equal(decodeBase64Url('+/+/'), undefined)
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      assert.deepEqual(decodeBase64(encodeBase64(bytes)), Buffer.from(bytes))
      assert.deepEqual(decodeBase64Url(encodeBase64Url(bytes)), Buffer.from(bytes))
    }),
  )
})

test('JSON signing: the vectors of the specification', () => {
  const all = vectors<SigningVectors>('json-signing')
  const key = keyOf(all)
  for (const { input, signature } of all.cases) {
    const signed = signJson({ ...input, unsigned: { age: 1 } }, all.server_name, key)
    assert.equal(signaturesOf(signed, all.server_name).get(key.keyId), signature)
    assert.ok(isSigned(signed, all.server_name, key.keyId, key.publicKey) && isSignedByKey(signed, key.publicKey))
    assert.ok(!isSigned({ ...signed, more: 1 }, all.server_name, key.keyId, key.publicKey))
    assert.ok(!isSigned(signed, 'other', key.keyId, key.publicKey))
  }
})

test('event signing: the vectors of the specification', () => {
  const all = vectors<SigningVectors>('event-signing')
  const key = keyOf(all)
  const version = getRoomVersion('1')
  assert.ok(version)
  for (const { input, content_hash, signature } of all.cases) {
    assert.equal(contentHash(input), content_hash)
    const signed = signEvent(version, { ...input, hashes: { sha256: content_hash } }, all.server_name, key)
    assert.equal(signaturesOf(signed, all.server_name).get(key.keyId), signature)
    assert.ok(isEventSigned(version, signed, all.server_name, key.keyId, key.publicKey))
  }
})

test('a signature has one text, and wrong ones are no errors', () => {
  const key = new SigningKey('1', new Uint8Array(32).fill(7))
  const signature = key.sign('x')
  assert.ok(verifySignature(key.publicKey, 'x', signature) && verifySignature(`${key.publicKey}=`, 'x', `${signature}==`))
  const bytes = decodeBase64(signature)
  assert.ok(bytes)
  const malleable = Buffer.from(bytes)
  // S + L, the group's order: the same signature to those who do not check the range of S
  const order = BigInt('0x1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed')
  let s = BigInt(`0x${Buffer.from(malleable.subarray(32)).reverse().toString('hex')}`) + order
  for (let index = 32; index < 64; index++, s >>= 8n) malleable[index] = Number(s & 255n)
  for (const wrong of [encodeBase64(malleable), '', 'x', encodeBase64Url(Buffer.alloc(64, 255)), encodeBase64(bytes.subarray(1)), `${signature}A`]) {
    assert.ok(!verifySignature(key.publicKey, 'x', wrong), wrong)
  }
  for (const wrong of ['', 'AAAA', '!', 'A'.repeat(100_000)]) assert.ok(!verifySignature(wrong, 'x', signature))
})

test('the file of signing keys', () => {
  const key = generateSigningKey((count) => new Uint8Array(count).fill(5))
  assert.match(key.version, /^a_[A-Za-z]{4}$/)
  const parsed = parseSigningKeys(formatSigningKey(key))
  assert.ok('keys' in parsed)
  assert.equal(parsed.keys[0]?.publicKey, key.publicKey)
  for (const text of ['', 'ed25519 a_x', 'rsa a_x AAAA', 'ed25519 a:x AAAA', 'ed25519 a_x AAAA']) assert.ok('reason' in parseSigningKeys(text), text)
  assert.deepEqual(parseSigningKeys(`${formatSigningKey(key)}\nnonsense`), { line: 3, reason: 'expected three words: `ed25519 a_XXXX <seed>`' })
})

test('who must have signed', () => {
  const hash = 'A'.repeat(43)
  const base = {
    auth_events: [], prev_events: [], depth: 1, origin_server_ts: 1, hashes: { sha256: hash }, signatures: {},
    room_id: '!r:room', sender: '@a:sender', type: 'm.room.member', state_key: '@b:other',
  }
  const cases: [string, JsonObject, string[]][] = [
    ['10', { content: { membership: 'join' } }, ['sender']],
    ['1', { content: { membership: 'join' }, event_id: '$x:maker' }, ['sender', 'maker']],
    ['10', { content: { membership: 'join', join_authorised_via_users_server: '@c:via' } }, ['sender', 'via']],
    ['7', { content: { membership: 'join', join_authorised_via_users_server: '@c:via' } }, ['sender']],
    ['10', { content: { membership: 'invite', third_party_invite: { signed: {} } } }, []],
    ['2', { content: { membership: 'invite', third_party_invite: {} }, event_id: '$x:maker' }, ['maker']],
    ['10', { content: { membership: 'leave', third_party_invite: {} } }, ['sender']],
  ]
  for (const [id, pdu, signers] of cases) {
    const version = getRoomVersion(id)
    assert.ok(version)
    const parsed = parsePdu(version, { ...base, ...pdu })
    assert.ok('event' in parsed, JSON.stringify(parsed))
    assert.deepEqual(requiredSigners(version, parsed.event), signers)
  }
})
