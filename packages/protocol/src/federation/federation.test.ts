import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { SigningKey } from '../crypto/ed25519.ts'
import { isSigned, signJson } from '../crypto/sign-json.ts'
import type { JsonObject } from '../json/json.ts'
import { readServerKeys } from './server-keys.ts'
import { parseXMatrix, requestObject, signRequest } from './x-matrix.ts'

const key = new SigningKey('a_1', new Uint8Array(32).fill(3))

test('a signed request is read back and proves its origin', () => {
  const request = { method: 'PUT', uri: '/_matrix/federation/v1/send/1?x=%20', origin: 'a.example:8448', destination: '[::1]:1', content: { b: 1, a: 'é' } }
  const parsed = parseXMatrix(signRequest(request, key))
  assert.ok(parsed)
  assert.deepEqual({ ...parsed, signature: '' }, { origin: request.origin, destination: request.destination, keyId: 'ed25519:a_1', signature: '' })
  const signed = { ...requestObject(request), signatures: { [request.origin]: { [parsed.keyId]: parsed.signature } } }
  assert.ok(isSigned(signed, request.origin, key.keyId, key.publicKey))
  assert.ok(!isSigned({ ...signed, method: 'GET' }, request.origin, key.keyId, key.publicKey))
  assert.ok(!('content' in requestObject({ ...request, content: undefined })))
})

test('headers as other servers write them', () => {
  const expected = { origin: 'o.example', destination: 'd.example', keyId: 'ed25519:1', signature: 'AB+/' }
  for (const header of [
    'X-Matrix origin="o.example",destination="d.example",key="ed25519:1",sig="AB+/"',
    'x-matrix   ORIGIN=o.example , destination=d.example,\tkey=ed25519:1 ,sig="AB+/",',
    'X-Matrix ,, sig="A\\B+/", key="ed2551\\9:1",destination=d.example,origin=o.example,more="a,b=c"',
    'X-Matrix origin=o.example,destination=d.example,key=ed25519:1,sig=AB+/',
  ]) assert.deepEqual(parseXMatrix(header), expected, header)
  assert.equal(parseXMatrix('X-Matrix origin=o,key="k",sig="s"')?.destination, undefined)
})

test('headers that are refused', () => {
  for (const header of [
    '', 'Bearer x', 'X-Matrix', 'X-Matrix ', 'X-Matrixorigin=o,key=k,sig=s', 'X-Matrix origin=o,key=k', 'X-Matrix origin=o,key=k,sig=""', 'X-Matrix origin=o,origin=p,key=k,sig=s',
    'X-Matrix origin="o,key=k,sig=s', 'X-Matrix origin=o key=k sig=s', 'X-Matrix origin=é,key=k,sig=s', `X-Matrix origin=${'o'.repeat(5000)},key=k,sig=s`,
  ]) assert.equal(parseXMatrix(header), undefined, header.slice(0, 60))
  fc.assert(fc.property(fc.string(), (text) => { parseXMatrix(`X-Matrix ${text}`) }))
})

function published(extra: JsonObject = {}, signer = key): JsonObject {
  const document = {
    server_name: 'a.example', valid_until_ts: 1000, verify_keys: { [key.keyId]: { key: key.publicKey }, 'rsa:x': { key: 'y' } },
    old_verify_keys: { 'ed25519:old': { key: key.publicKey, expired_ts: 500 }, 'ed25519:bad': { key: key.publicKey } }, ...extra,
  }
  return signJson(document, 'a.example', signer)
}

test('published keys are read where the server has signed them', () => {
  assert.deepEqual(readServerKeys(published()), {
    serverName: 'a.example', validUntilTs: 1000,
    keys: [{ keyId: key.keyId, publicKey: key.publicKey, validUntilTs: 1000 }],
    oldKeys: [{ keyId: 'ed25519:old', publicKey: key.publicKey, validUntilTs: 500 }],
  })
})

test('published keys that are refused', () => {
  const other = new SigningKey('a_2', new Uint8Array(32).fill(4))
  const impostor = new SigningKey('a_1', new Uint8Array(32).fill(4))
  const many = Object.fromEntries(Array.from({ length: 101 }, (_, index) => [`ed25519:${index}`, { key: key.publicKey }]))
  const refused: (JsonObject | string)[] = [
    'text', {}, published({ server_name: 'a b' }), published({ valid_until_ts: -1 }), published({ valid_until_ts: 1.5 }), published({ verify_keys: [] }),
    published({}, other), published({}, impostor), { ...published(), valid_until_ts: 2000 }, published({ verify_keys: many }), published({ verify_keys: {} }),
    published({ old_verify_keys: many }),
  ]
  for (const document of refused) assert.ok('reason' in readServerKeys(document), JSON.stringify(document).slice(0, 100))
})
