/** Policy servers: nothing is sent into a room without the consent of the one that it names, and what comes from elsewhere is looked at by it. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { SigningKey } from '@myelin/protocol/crypto/ed25519.ts'
import { isPolicySigned, policyServerOf } from '@myelin/protocol/crypto/policy-signature.ts'
import { signedEventText } from '@myelin/protocol/crypto/sign-event.ts'
import { signaturesOf, withSignature } from '@myelin/protocol/crypto/sign-json.ts'
import { parsePdu, type ParsedPdu } from '@myelin/protocol/events/parse.ts'
import type { ServerName, UserId } from '@myelin/protocol/ids/ids.ts'
import { own, type JsonObject } from '@myelin/protocol/json/json.ts'
import { parseJson } from '@myelin/protocol/json/parse.ts'
import { getRoomVersion } from '@myelin/protocol/rooms/versions.ts'
import type { StoredEvent } from '#engine/stored-event.ts'
import { FakeMember } from '#test/kit/fake-member.ts'
import { FakeRemote, type FakeAnswer } from '#test/kit/fake-remote.ts'
import { federatingServer } from '#test/kit/federating-server.ts'
import { testEngineRooms } from '#test/kit/test-engine.ts'
import type { TestClient } from '#test/kit/test-client.ts'
import type { TestServer } from '#test/kit/test-server.ts'

const path = '/_matrix/policy/v1/sign'
const policyKey = new SigningKey('policy_server', new Uint8Array(32).fill(77))
const at = (room: string, rest: string): string => `/rooms/${encodeURIComponent(room)}${rest}`
let transactions = 0

const say = (client: TestClient, room: string, body: string) => client.put(at(room, `/send/m.room.message/t${(transactions += 1)}`), { msgtype: 'm.text', body })

/** A user of another server joins, as far as this server's tables tell. */
async function joins(server: TestServer, room: string, userId: string): Promise<void> {
  const { rooms, writer } = server.services
  await writer.propose(await rooms.require(room), [{ type: 'm.room.member', stateKey: userId, sender: userId as UserId, content: { membership: 'join' } }])
}

/** A signature as a policy server answers it. */
function signature(versionId: string, pdu: JsonObject, server: string, key = policyKey): JsonObject {
  const version = getRoomVersion(versionId)
  assert.ok(version)
  return { [server]: { 'ed25519:policy_server': key.sign(signedEventText(version, pdu)) } }
}

async function guarded(t: TestContext, versionId = '12') {
  const [server, policy] = [await federatingServer(t), await FakeRemote.start(t)]
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const room = String((await alice.post('/createRoom', { preset: 'public_chat', room_version: versionId }).ok())['room_id'])
  await bob.post(`/join/${encodeURIComponent(room)}`, {}).ok()
  let answer = (pdu: JsonObject): FakeAnswer => signature(versionId, pdu, policy.serverName)
  policy.on('POST', path, ({ body }) => answer(body))
  const use = (content: object) => alice.put(at(room, '/state/m.room.policy'), content).ok()
  return {
    server, policy, alice, bob, room, use, asked: () => policy.count(path),
    guard: async () => {
      await joins(server, room, `@policy:${policy.serverName}`)
      await use({ via: policy.serverName, public_keys: { ed25519: policyKey.publicKey } })
    },
    answers: (next: (pdu: JsonObject) => FakeAnswer) => { answer = next },
  }
}

for (const versionId of ['1', '10', '12']) {
  test(`room version ${versionId}: what is sent has the policy server's signature beside our own`, async (t) => {
    const { server, policy, alice, room, guard, asked } = await guarded(t, versionId)
    await say(alice, room, 'before').ok()
    await guard()
    assert.equal(asked(), 0, 'the event that names the policy server is not for it to judge')
    const id = String((await say(alice, room, 'checked').ok())['event_id'])
    assert.equal(asked(), 1)
    const request = policy.received.find((each) => each.path === path)
    assert.ok(request)
    const { rooms, events, database } = server.services
    const found = await rooms.require(room)
    const event = await events.get(found, id)
    assert.ok(event)
    assert.deepEqual(request.body, { ...event.event.pdu, signatures: { [server.serverName]: Object.fromEntries(signaturesOf(event.event.pdu, server.serverName)) } })
    assert.equal(isPolicySigned(found.version, event.event.pdu, { serverName: policy.serverName, publicKey: policyKey.publicKey }), true)
    assert.equal(signaturesOf(event.event.pdu, server.serverName).size, 1)
    const [row] = await database.rows<{ json: string }>('SELECT json FROM events WHERE event_id = $1', [id])
    assert.ok(row?.json.includes('"ed25519:policy_server"'))
    await alice.put(at(room, '/state/m.room.topic'), { topic: 'checked as well' }).ok()
    assert.equal(asked(), 2)
  })
}

test('what the policy server refuses is not sent, in its own words; the room can always dismiss it', async (t) => {
  const { alice, bob, room, guard, use, answers, asked, policy, server } = await guarded(t)
  await guard()
  answers(() => [400, { errcode: 'M_FORBIDDEN', error: 'This looks like spam.', 'org.example.rule': 7 }])
  const body = await say(bob, room, 'buy').fails(403, 'M_FORBIDDEN')
  assert.deepEqual([body['error'], body['org.example.rule']], ['This looks like spam.', 7])
  await bob.post(at(room, '/leave'), {}).fails(403, 'M_FORBIDDEN')
  answers(() => [429, { errcode: 'M_LIMIT_EXCEEDED', error: 'Slowly.', retry_after_ms: 4000 }])
  assert.equal((await say(bob, room, 'fast').fails(429, 'M_LIMIT_EXCEEDED'))['retry_after_ms'], 4000)
  for (const wrong of [
    [404, { errcode: 'M_UNRECOGNIZED', error: 'What?' }] as const, {}, { [policy.serverName]: { 'ed25519:other': 'x' } }, { [policy.serverName]: { 'ed25519:policy_server': 'x' } },
  ]) {
    answers(() => wrong)
    await say(bob, room, 'unsigned').fails(403, 'M_FORBIDDEN')
  }
  answers((pdu) => signature('12', pdu, policy.serverName, policy.key))
  await say(bob, room, 'signed with another key').fails(403, 'M_FORBIDDEN')
  answers(() => [500, 'broken'])
  const sofar = asked()
  for (const body of ['broken', 'not asked again so soon']) await say(bob, room, body).fails(502, 'M_UNKNOWN')
  assert.equal(asked(), sofar + 1)
  assert.doesNotMatch((await alice.get(at(room, '/messages?dir=b&limit=50'))).text, /m\.room\.message/)
  const before = asked()
  await use({})
  await say(bob, room, 'free').ok()
  assert.equal(asked(), before)
  assert.deepEqual(server.errors, [])
})

test('a room has a policy server only where that is in the room and is named as it should be', async (t) => {
  const { server, policy, alice, room, use, asked } = await guarded(t)
  const whole = { via: policy.serverName, public_keys: { ed25519: policyKey.publicKey } }
  await use(whole)
  await say(alice, room, 'nobody is there').ok()
  await joins(server, room, `@policy:${policy.serverName}`)
  const before = asked()
  for (const content of [{ ...whole, via: 7 }, { ...whole, via: 'no name' }, { ...whole, public_keys: 'x' }, { ...whole, public_keys: {} }, { via: policy.serverName }]) {
    await use(content)
    await say(alice, room, 'not guarded').ok()
  }
  assert.equal(asked(), before)
  assert.equal(policyServerOf(whole)?.serverName, policy.serverName)
  await use(whole)
  await alice.put(at(room, '/state/m.room.policy/other'), {}).ok()
  assert.equal(asked(), before + 1, 'only the event with the empty state key is free')
})

test('a received event is recommended by its signature, else the policy server is asked', async (t) => {
  const { server, policy, room, guard, answers, asked } = await guarded(t)
  await guard()
  const { rooms, policy: checks, writer } = server.services
  const found = await rooms.require(room)
  const root = await writer.currentRoot(found)
  const remote = await testEngineRooms(t, 'far.example' as ServerName)
  const elsewhere = await remote.publicRoom()
  const [event] = await remote.writer.propose(elsewhere.room, [{ type: 'm.room.message', sender: elsewhere.alice, content: { body: 'hello' } }])
  assert.ok(event)
  const received = asPdu(event)
  const asking = await checks.check(found, root, received)
  assert.deepEqual([asking.verdict.allowed, asked()], [true, 1])
  assert.ok(asking.pdu.json.includes('"ed25519:policy_server"'))
  assert.equal(asking.pdu.event.eventId, received.event.eventId)
  assert.deepEqual((await checks.check(found, root, asking.pdu)).verdict, { allowed: true })
  assert.equal(asked(), 1, 'a valid signature is enough')
  answers(() => [400, { errcode: 'M_FORBIDDEN', error: 'This looks like spam.' }])
  const refused = await checks.check(found, root, received)
  assert.deepEqual([refused.verdict, refused.pdu], [{ allowed: false, rule: 'policy server', reason: 'This looks like spam.' }, received])
  const stale = withSignature(own(received.event.pdu, 'signatures'), policy.serverName, 'ed25519:policy_server', 'AAAA')
  assert.equal((await checks.check(found, root, { ...received, event: { ...received.event, pdu: { ...received.event.pdu, signatures: stale } } })).verdict.allowed, false)
})

test('what other servers send is soft-failed where the policy server refuses it', async (t) => {
  const { server, alice, room, guard, answers } = await guarded(t, '10')
  const eve = await FakeMember.join(await FakeRemote.start(t), server, room, 'eve')
  await guard()
  const sees = async (eventId: string): Promise<boolean> => (await alice.get(at(room, `/event/${encodeURIComponent(eventId)}`))).status === 200
  const good = eve.event()
  await eve.send(good.pdu)
  answers(() => [400, { errcode: 'M_FORBIDDEN', error: 'This looks like spam.' }])
  const spam = eve.event()
  await eve.send(spam.pdu)
  assert.deepEqual([await sees(good.eventId), await sees(spam.eventId)], [true, false])
})

/** The event as another server reads it. */
function asPdu(event: StoredEvent): ParsedPdu {
  const json = parseJson(event.json)
  assert.ok('value' in json)
  const parsed = parsePdu(event.room.version, json.value)
  assert.ok('event' in parsed)
  return parsed
}
