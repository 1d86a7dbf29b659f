import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SigningKey } from '../crypto/ed25519.ts'
import { signJson } from '../crypto/sign-json.ts'
import type { JsonObject } from '../json/json.ts'
import { listRoomVersions } from '../rooms/versions.ts'
import { checkAuth } from './check.ts'
import { alice, bob, carol, FixtureRoom } from './fixture-room.ts'

const key = new SigningKey('0', new Uint8Array(32).fill(1))
const ephemeral = new SigningKey('ephemeral', new Uint8Array(32).fill(2))
const stranger = new SigningKey('0', new Uint8Array(32).fill(3))
const signed = (by: SigningKey, mxid = bob, token = 'tok'): JsonObject => signJson({ mxid, token }, 'id.example', by)

for (const { id: versionId } of listRoomVersions()) {
  test(`v${versionId}: third-party invites are redeemed by a true signature alone`, () => {
    const room = new FixtureRoom(versionId)
    room.main.send({
      type: 'm.room.third_party_invite', stateKey: 'tok', content: { public_key: key.publicKey, public_keys: [{ public_key: key.publicKey }, { public_key: ephemeral.publicKey }] },
    })
    const redeem = (proof: JsonObject, target = bob): boolean => {
      const content = { membership: 'invite', third_party_invite: { signed: proof } }
      return checkAuth(room.version, room.main.draft({ type: 'm.room.member', stateKey: target, sender: alice, content }), room.main.authState).allowed
    }
    assert.ok(redeem(signed(key)))
    assert.ok(redeem(signed(ephemeral)), 'by another of the listed keys')
    assert.ok(!redeem(signed(stranger)), 'by a key that the room does not list')
    assert.ok(!redeem(signed(key, carol)), 'signed for another user')
    assert.ok(!redeem({ ...signed(key, carol), mxid: bob }), 'changed after it was signed')
    assert.ok(!redeem(signed(key, bob, 'other')), 'for a token that the room does not have')
    assert.ok(!redeem({ mxid: bob, token: 'tok' }), 'without signatures')
    assert.ok(!redeem({ mxid: bob, token: 'tok', signatures: { 'id.example': { 'ed25519:0': 'AAAA' } } }), 'with a malformed signature')
    room.main.send({ type: 'm.room.third_party_invite', stateKey: 'tok', content: {} })
    assert.ok(!redeem(signed(key)), 'after the token was revoked')
  })
}

test('a flood of signatures and keys is refused without trying them', () => {
  const room = new FixtureRoom('11')
  const keys = Array.from({ length: 500 }, (_, n) => ({ public_key: new SigningKey('0', new Uint8Array(32).fill(n % 256)).publicKey + ' '.repeat(n >> 8) }))
  room.main.send({ type: 'm.room.third_party_invite', stateKey: 'tok', content: { public_keys: keys } })
  const signatures = Object.fromEntries(Array.from({ length: 500 }, (_, n) => [`ed25519:${n}`, 'A'.repeat(86)]))
  const content = { membership: 'invite', third_party_invite: { signed: { mxid: bob, token: 'tok', signatures: { 'id.example': signatures } } } }
  const event = room.main.draft({ type: 'm.room.member', stateKey: bob, sender: alice, content })
  const start = performance.now()
  const verdict = checkAuth(room.version, event, room.main.authState)
  assert.ok(!verdict.allowed)
  assert.equal(verdict.rule, '4.4.1.8')
  assert.ok(performance.now() - start < 100)
})
