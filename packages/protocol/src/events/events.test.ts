import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { SigningKey } from '../crypto/ed25519.ts'
import { isEventSigned, signedEventText } from '../crypto/sign-event.ts'
import { MatrixError } from '../errors.ts'
import type { EventId, RoomId, ServerName, UserId } from '../ids/ids.ts'
import { canonicalJson } from '../json/canonical.ts'
import type { JsonObject, JsonValue } from '../json/json.ts'
import { isObject } from '../json/json.ts'
import { parseJson } from '../json/parse.ts'
import { getRoomVersion, listRoomVersions } from '../rooms/versions.ts'
import type { RoomVersion } from '../rooms/versions.ts'
import { buildEvent } from './build.ts'
import type { BuiltEvent, EventDraft } from './build.ts'
import { clientEvent, redactedClientEvent, withMembers, withUnsigned } from './client-format.ts'
import { contentHash, eventIdOf, hasValidContentHash, referenceHash } from './hash.ts'
import { parsePdu } from './parse.ts'
import type { ParsedPdu } from './parse.ts'
import { redactPdu } from './redact.ts'
import { readStrippedState, strippedState } from './stripped-state.ts'

const key = new SigningKey('a_test', new Uint8Array(32).fill(3))
const signer = { serverName: 'here.org' as ServerName, key }
const hash = 'A'.repeat(43)

function version(id: string): RoomVersion {
  const found = getRoomVersion(id)
  assert.ok(found)
  return found
}

function idIn(rules: RoomVersion, letter: string): EventId {
  return (rules.eventIds === 'field' ? `$${letter}:here.org` : `$${letter.repeat(43)}`) as EventId
}

function build(rules: RoomVersion, draft: Partial<EventDraft> = {}): BuiltEvent {
  return buildEvent(
    rules,
    {
      roomId: (rules.roomIdIsCreateHash ? `!${hash}` : '!room:here.org') as RoomId,
      type: 'm.room.message',
      sender: '@a:here.org' as UserId,
      content: { msgtype: 'm.text', body: 'hello' },
      originServerTs: 1_700_000_000_000,
      eventId: '$new:here.org' as EventId,
      ...draft,
    },
    { depth: 5, prevEventIds: [idIn(rules, 'p')], authEventIds: [idIn(rules, 'c'), idIn(rules, 'd')] },
    signer,
  )
}

function parsed(rules: RoomVersion, pdu: JsonValue): ParsedPdu {
  const result = parsePdu(rules, pdu)
  if ('reason' in result) assert.fail(result.reason)
  return result
}

function refused(rules: RoomVersion, pdu: JsonValue): string {
  const result = parsePdu(rules, pdu)
  assert.ok('reason' in result, canonicalJson(pdu))
  return result.reason
}

function fromText(text: string): JsonObject {
  const result = parseJson(text)
  assert.ok('value' in result && isObject(result.value))
  return result.value
}

const drafts: Partial<EventDraft>[] = [
  {},
  { type: 'm.room.member', stateKey: '@b:here.org', content: { membership: 'invite', displayname: 'ß', third_party_invite: { signed: { mxid: 'x' }, display_name: 'y' } } },
  { type: 'm.room.create', stateKey: '', content: { creator: '@a:here.org', room_version: '1', extra: [1] } },
  { type: 'm.room.redaction', redacts: `$${'r'.repeat(43)}` as EventId, content: { reason: 'spam' } },
  { type: 'm.room.power_levels', stateKey: '', content: { users: { '@a:here.org': 100 }, invite: 5, extra: 1 } },
  { type: 'm.room.join_rules', stateKey: '', content: { join_rule: 'restricted', allow: [], x: 1 } },
  { type: 'constructor', stateKey: '__proto__', content: JSON.parse('{"__proto__":{"a":1},"toString":2}') },
]

test('a built event is what every other server reads, in all room versions', () => {
  for (const rules of listRoomVersions()) {
    for (const draft of drafts) {
      const built = build(rules, draft)
      const read = parsed(rules, fromText(built.json))
      assert.equal(read.json, built.json)
      assert.deepEqual(read.event, { ...built.event, pdu: read.event.pdu })
      assert.equal(canonicalJson(built.event.pdu), built.json)
      assert.equal(built.event.eventId, eventIdOf(rules, read.event.pdu))
      assert.ok(hasValidContentHash(read.event.pdu))
      assert.ok(isEventSigned(rules, read.event.pdu, signer.serverName, key.keyId, key.publicKey, read.signedText))
      assert.equal(read.signedText, signedEventText(rules, read.event.pdu))
    }
  }
})

test('redacted, an event keeps its id and its signature, and redaction is idempotent', () => {
  for (const rules of listRoomVersions()) {
    for (const draft of drafts) {
      const { event } = build(rules, draft)
      const redacted = redactPdu(rules, event.pdu)
      assert.deepEqual(redactPdu(rules, redacted), redacted)
      const read = parsed(rules, fromText(canonicalJson(redacted)))
      assert.equal(read.event.eventId, event.eventId)
      assert.equal(read.event.roomId, event.roomId)
      assert.ok(isEventSigned(rules, read.event.pdu, signer.serverName, key.keyId, key.publicKey))
      assert.equal(referenceHash(rules, redacted), referenceHash(rules, event.pdu))
    }
  }
})

test('property: verified events stay verified after redaction and parsing, whatever their content', () => {
  const rules = version('11')
  const content = fc.dictionary(fc.string({ unit: 'binary' }), fc.oneof(fc.maxSafeInteger(), fc.string({ unit: 'binary' }), fc.boolean(), fc.constant(null)))
  const types = fc.constantFrom('m.room.message', 'm.room.member', 'm.room.create', 'm.room.power_levels', '__proto__')
  const stateKeys = fc.option(fc.string({ unit: 'binary', maxLength: 50 }).filter((text) => !text.includes('\0')), { nil: undefined })
  fc.assert(
    fc.property(types, content, stateKeys, (type, draftContent, stateKey) => {
      const made: JsonObject = JSON.parse(JSON.stringify(draftContent))
      const built = build(rules, { type, content: made, ...(stateKey === undefined ? {} : { stateKey }) })
      const read = parsed(rules, fromText(built.json))
      assert.ok(hasValidContentHash(read.event.pdu))
      const redacted = parsed(rules, fromText(canonicalJson(redactPdu(rules, read.event.pdu))))
      assert.equal(redacted.event.eventId, built.event.eventId)
      assert.ok(isEventSigned(rules, redacted.event.pdu, signer.serverName, key.keyId, key.publicKey))
    }),
    { numRuns: 50 },
  )
})

test('what redaction keeps, by room version', () => {
  const cases: [string, string, JsonObject, JsonObject][] = [
    ['1', 'm.room.aliases', { aliases: [], x: 1 }, { aliases: [] }],
    ['6', 'm.room.aliases', { aliases: [] }, {}],
    ['7', 'm.room.join_rules', { join_rule: 'x', allow: [] }, { join_rule: 'x' }],
    ['8', 'm.room.join_rules', { join_rule: 'x', allow: [] }, { join_rule: 'x', allow: [] }],
    ['8', 'm.room.member', { membership: 'join', join_authorised_via_users_server: 'x' }, { membership: 'join' }],
    ['9', 'm.room.member', { membership: 'join', join_authorised_via_users_server: 'x' }, { membership: 'join', join_authorised_via_users_server: 'x' }],
    ['10', 'm.room.create', { creator: 'x', room_version: '10' }, { creator: 'x' }],
    ['11', 'm.room.create', { creator: 'x', room_version: '10' }, { creator: 'x', room_version: '10' }],
    ['10', 'm.room.power_levels', { invite: 1, ban: 2, notifications: {} }, { ban: 2 }],
    ['11', 'm.room.power_levels', { invite: 1, ban: 2, notifications: {} }, { invite: 1, ban: 2 }],
    ['10', 'm.room.redaction', { redacts: 'x' }, {}],
    ['11', 'm.room.redaction', { redacts: 'x', reason: 'y' }, { redacts: 'x' }],
    ['10', 'm.room.member', { third_party_invite: { signed: 1 } }, {}],
    ['11', 'm.room.member', { third_party_invite: { signed: 1, display_name: 2 } }, { third_party_invite: { signed: 1 } }],
    ['11', 'm.room.member', { third_party_invite: { display_name: 2 } }, { third_party_invite: {} }],
    ['11', 'm.room.member', { third_party_invite: 'x' }, {}],
    ['12', 'm.room.history_visibility', { history_visibility: 'joined', x: 1 }, { history_visibility: 'joined' }],
    ['12', 'constructor', { name: 1 }, {}],
  ]
  for (const [id, type, content, kept] of cases) assert.deepEqual(redactPdu(version(id), { type, content })['content'], kept, `${id} ${type}`)
  const full = { origin: 'x', membership: 'x', prev_state: [], unsigned: {}, redacts: 'x', event_id: 'x' }
  assert.deepEqual(Object.keys(redactPdu(version('10'), full)).sort(), ['event_id', 'membership', 'origin', 'prev_state'])
  assert.deepEqual(Object.keys(redactPdu(version('11'), full)), ['event_id'])
})

test('the format of each field', () => {
  for (const id of ['1', '3', '6', '11', '12']) {
    const rules = version(id)
    const good = fromText(build(rules).json)
    parsed(rules, good)
    const wrong: JsonObject[] = [
      { type: 5 }, { type: 'x'.repeat(256) }, { type: 'ä'.repeat(128) }, { sender: 'a' }, { sender: `@${'ä'.repeat(130)}:b` }, { state_key: 5 }, { state_key: null },
      { state_key: 'ä'.repeat(128) }, { content: [] }, { content: 'x' }, { content: null }, { depth: -1 }, { depth: '5' }, { depth: null }, { depth: 1.5 },
      { origin_server_ts: 'x' }, { origin_server_ts: null }, { hashes: {} }, { hashes: [] }, { hashes: { sha256: 1 } }, { signatures: [] }, { signatures: { a: 1 } },
      { signatures: { a: { b: 1 } } }, { prev_events: 'x' }, { prev_events: [1] }, { prev_events: [[]] }, { prev_events: {} }, { auth_events: ['x'] }, { room_id: 5 },
      { room_id: '!x' }, { auth_events: [['$a:b']] }, { prev_events: [null] },
    ]
    for (const change of wrong) refused(rules, { ...good, ...change })
    for (const name of ['type', 'sender', 'content', 'depth', 'origin_server_ts', 'hashes', 'signatures', 'prev_events', 'auth_events', 'room_id']) {
      const { [name]: _left, ...rest } = good
      refused(rules, rest)
    }
    parsed(rules, { ...good, type: 'ä'.repeat(127), state_key: `${'ä'.repeat(127)}x` })
    for (const value of [null, 5, 'x', [], [good]]) refused(rules, value)
    const reference = (index: number): JsonValue => (id === '1' ? [`$${index}:b`, {}] : `$${String(index).padStart(43, 'x')}`)
    const many = (count: number): JsonValue[] => Array.from({ length: count }, (_, index) => reference(index))
    parsed(rules, { ...good, prev_events: many(20), auth_events: many(10) })
    refused(rules, { ...good, prev_events: many(21) })
    refused(rules, { ...good, auth_events: many(11) })
  }
  refused(version('3'), { ...fromText(build(version('3')).json), auth_events: [['$a:b', { sha256: hash }]] })
  refused(version('1'), { ...fromText(build(version('1')).json), event_id: '$nocolon' })
})

test('numbers: strict from room version 6 on, as written before', () => {
  for (const number of ['1.0', '1e3', '-0', '1.5', '9007199254740992', '-9007199254740992', '1E400']) {
    const text = (rules: RoomVersion): string => build(rules).json.replace('"body":"hello"', `"body":${number}`)
    refused(version('6'), fromText(text(version('6'))))
    parsed(version('5'), fromText(text(version('5'))))
  }
  const old = fromText(build(version('5')).json.replace('"depth":5', '"depth":9223372036854775807'))
  const read = parsed(version('5'), old)
  assert.equal(read.event.depth, Number.MAX_SAFE_INTEGER)
  assert.ok(read.json.includes('"depth":9223372036854775807') && read.signedText.includes('"depth":9223372036854775807'))
  refused(version('6'), fromText(build(version('6')).json.replace('"depth":5', '"depth":9223372036854775807')))
  assert.equal(parsed(version('6'), fromText(build(version('6')).json.replace('"depth":5', '"depth":9007199254740991'))).event.depth, Number.MAX_SAFE_INTEGER)
  const power = fromText(
    build(version('5'), { type: 'm.room.power_levels', stateKey: '', content: { ban: 1 } }).json.replace('"ban":1', '"ban":50.0'),
  )
  assert.ok(parsed(version('5'), power).signedText.includes('"content":{"ban":50.0}'))
  refused(version('6'), fromText(build(version('6')).json.replace('hello', '\\ud800')))
})

test('65,536 bytes fit, 65,537 do not; unsigned does not count', () => {
  const rules = version('11')
  const empty = Buffer.byteLength(build(rules, { content: { body: '' } }).json)
  const body = `${'ä'.repeat(1000)}${'a'.repeat(65_536 - empty - 2000)}`
  const built = build(rules, { content: { body } })
  assert.equal(Buffer.byteLength(built.json), 65_536)
  const pdu = fromText(built.json)
  assert.deepEqual(parsed(rules, { ...pdu, unsigned: { age: 1 } }).unsigned, { age: 1 })
  assert.ok(!parsed(rules, { ...pdu, unsigned: { age: 1 } }).json.includes('unsigned'))
  assert.match(refused(rules, { ...pdu, content: { body: `${body}a` } }), /65536/)
  const tooLarge = (error: unknown): boolean => error instanceof MatrixError && error.errcode === 'M_TOO_LARGE' && error.status === 413
  assert.throws(() => build(rules, { content: { body: `${body}a` } }), tooLarge)
  assert.throws(() => build(rules, { type: 'ä'.repeat(128) }), tooLarge)
  assert.throws(() => build(rules, { stateKey: 'ä'.repeat(128) }), tooLarge)
  for (const draft of [{ type: 'a\0' }, { type: 'a\ud800' }, { stateKey: '\0' }]) {
    assert.throws(() => build(rules, draft), (error: unknown) => error instanceof MatrixError && error.errcode === 'M_BAD_JSON')
    refused(version('1'), { ...fromText(build(version('1')).json), ...('type' in draft ? draft : { state_key: '\0' }) })
  }
  for (const content of [{ a: 1.5 }, { a: 2 ** 53 }, { a: '\ud800' }]) {
    assert.throws(() => build(rules, { content }), (error: unknown) => error instanceof MatrixError && error.errcode === 'M_BAD_JSON')
  }
})

test('room version 12: the room id is the hash of the create event', () => {
  const rules = version('12')
  const built = build(rules, { type: 'm.room.create', stateKey: '', content: { room_version: '12' } })
  assert.equal(built.event.roomId, `!${built.event.eventId.slice(1)}`)
  const pdu = fromText(built.json)
  assert.ok(!Object.hasOwn(pdu, 'room_id'))
  assert.equal(parsed(rules, pdu).event.roomId, built.event.roomId)
  refused(rules, { ...pdu, room_id: built.event.roomId })
  refused(rules, { ...pdu, state_key: 'x' })
})

test('room versions 1 and 2 name events with their hashes', () => {
  const rules = version('2')
  const previous = build(rules)
  const place = { depth: 6, prevEventIds: [previous.event.eventId], authEventIds: [], referenceHashes: new Map([[previous.event.eventId, referenceHash(rules, previous.event.pdu)]]) }
  const draft: EventDraft = { roomId: previous.event.roomId, type: 'x', sender: previous.event.sender, content: {}, originServerTs: 1, eventId: '$two:here.org' as EventId }
  const built = buildEvent(rules, draft, place, signer)
  assert.deepEqual(built.event.pdu['prev_events'], [['$new:here.org', { sha256: referenceHash(rules, previous.event.pdu) }]])
})

test('a changed event does not match its content hash, in either base64 form', () => {
  const pdu = fromText(build(version('11')).json)
  assert.ok(!hasValidContentHash({ ...pdu, content: { body: 'other' } }))
  assert.ok(hasValidContentHash({ ...pdu, hashes: { sha256: `${contentHash(pdu)}=` } }))
  for (const sha256 of ['', 'x', null, 5]) assert.ok(!hasValidContentHash({ ...pdu, hashes: { sha256 } }))
})

test('the client format', () => {
  const shown = (text: string): JsonObject => fromText(text)
  const redaction = { type: 'm.room.redaction', redacts: `$${'r'.repeat(43)}` as EventId, content: { reason: 'x' } }
  for (const id of ['10', '11']) {
    const { event } = build(version(id), redaction)
    const client = shown(clientEvent(version(id), event, false))
    assert.equal(client['redacts'], redaction.redacts)
    assert.deepEqual(client['content'], { reason: 'x', redacts: redaction.redacts })
    assert.deepEqual(Object.keys(client), ['content', 'event_id', 'origin_server_ts', 'redacts', 'sender', 'type'])
  }
  const { event } = build(version('11'), { stateKey: '', type: 'm.room.name', content: JSON.parse('{"name":"n","__proto__":1}') })
  const text = clientEvent(version('11'), event, true)
  assert.deepEqual(Object.keys(shown(text)), ['content', 'event_id', 'origin_server_ts', 'room_id', 'sender', 'state_key', 'type'])
  assert.deepEqual(shown(withUnsigned(text, '{"age":5}'))['unsigned'], { age: 5 })
  assert.equal(withUnsigned(text, '{}'), text)
  assert.deepEqual([withMembers('{}', '"a":1'), withMembers('{"a":1}', '"b":2'), withMembers('{}', '')], ['{"a":1}', '{"a":1,"b":2}', '{}'])
  const redacted = shown(redactedClientEvent(version('11'), event, true, '{"event_id":"$x"}'))
  assert.deepEqual([redacted['content'], redacted['unsigned']], [{}, { redacted_because: { event_id: '$x' } }])
})

test('stripped state', () => {
  const { event } = build(version('11'), { stateKey: '', type: 'm.room.name', content: { name: 'n' } })
  const stripped = strippedState(event)
  assert.deepEqual(stripped, { content: { name: 'n' }, sender: '@a:here.org', state_key: '', type: 'm.room.name' })
  assert.deepEqual(readStrippedState([event.pdu, null, 5, {}, { ...event.pdu, content: [] }, { ...event.pdu, state_key: null }]), [stripped])
  for (const value of [null, undefined, 5, {}, 'x']) assert.deepEqual(readStrippedState(value), [])
})

test('building costs little beside the signature', () => {
  const rules = version('11')
  const content = { msgtype: 'm.text', body: 'x'.repeat(200) }
  const time = (work: () => void): number => {
    for (let index = 0; index < 500; index++) work()
    const start = performance.now()
    for (let index = 0; index < 1000; index++) work()
    return performance.now() - start
  }
  const whole = time(() => build(rules, { content }))
  const signing = time(() => key.sign('x'.repeat(600)))
  console.log(`build and sign ${whole.toFixed(0)} µs, of which signing ${signing.toFixed(0)} µs`)
  assert.ok(whole - signing < 250, `${whole} − ${signing} µs`)
})
