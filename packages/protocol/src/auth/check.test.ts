import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RoomEvent, Verdict } from '../events/event.ts'
import type { JsonObject } from '../json/json.ts'
import { listRoomVersions } from '../rooms/versions.ts'
import { checkAuth } from './check.ts'
import type { AuthOptions } from './auth-check.ts'
import { alice, bob, carol, FixtureRoom } from './fixture-room.ts'
import type { Branch, FixtureDraft } from './fixture-room.ts'
import { ruleNumbers } from './rule-numbers.ts'

const all = listRoomVersions().map(({ id }) => id)
const between = (first: number, last: number): string[] => all.filter((id) => Number(id) >= first && Number(id) <= last)

/** Which rule of which versions a case is about: rows are read as "in these versions, after this set-up, this event → rule". */
interface Case {
  readonly name: string
  readonly versions?: readonly string[]
  readonly create?: JsonObject
  readonly setUp?: (branch: Branch) => void
  readonly send: FixtureDraft | ((branch: Branch) => FixtureDraft)
  /** Number of the refusing rule by version, or undefined where the event is allowed. */
  readonly rule?: string | ((versionId: string) => string)
  readonly options?: AuthOptions
}

function verdictOf(row: Case, versionId: string): Verdict {
  const room = new FixtureRoom(versionId, row.create)
  row.setUp?.(room.main)
  const event: RoomEvent = room.main.draft(typeof row.send === 'function' ? row.send(room.main) : row.send)
  return checkAuth(room.version, event, room.main.authState, row.options)
}

function run(cases: readonly Case[]): void {
  for (const row of cases) {
    for (const versionId of row.versions ?? all) {
      test(`v${versionId}: ${row.name}`, () => {
        const verdict = verdictOf(row, versionId)
        const expected = typeof row.rule === 'function' ? row.rule(versionId) : row.rule
        assert.equal(verdict.allowed ? undefined : verdict.rule, expected, verdict.allowed ? 'was allowed' : verdict.reason)
      })
    }
  }
}

/** Number of the member rule and its steps, as the specification prints them. */
const member = (versionId: string): number => (Number(versionId) < 6 || versionId === '12' ? 5 : 4)
const memberStep = (name: 'join' | 'invite' | 'leave' | 'ban' | 'knock' | 'unknown', step = '') => (versionId: string): string => {
  const n = Number(versionId)
  const steps = { join: 2, invite: 3, leave: 4, ban: 5, knock: 6, unknown: n >= 7 ? 7 : 6 }
  return `${member(versionId)}.${steps[name] + (n >= 8 ? 1 : 0)}${step}`
}
const after = (offset: number) => (versionId: string): string => `${member(versionId) + offset}`
const membership = (userId: string, value: string, sender = userId, content: JsonObject = {}): FixtureDraft =>
  ({ type: 'm.room.member', stateKey: userId, sender, content: { membership: value, ...content } })
const message = (sender: string): FixtureDraft => ({ type: 'm.room.message', sender, content: { body: 'x' } })
const joined = (...users: string[]) => (branch: Branch): void => {
  branch.joinRule('public')
  for (const user of users) branch.member(user, 'join')
}
const levels = (content: JsonObject, ...users: string[]) => (branch: Branch): void => {
  joined(...users)(branch)
  branch.powerLevels(content)
}

test('rule numbers are those of the specification', () => {
  const numbers = (id: string) => {
    const version = listRoomVersions().find((candidate) => candidate.id === id)
    assert.ok(version)
    return ruleNumbers(version)
  }
  assert.deepEqual([numbers('1').aliases, numbers('1').member, numbers('1').powerLevels, numbers('1').redaction], [4, 5, 10, 11])
  assert.deepEqual([numbers('3').powerLevels, numbers('3').redaction], [10, 0])
  assert.deepEqual([numbers('6').aliases, numbers('6').member, numbers('6').powerLevels], [0, 4, 9])
  assert.deepEqual([numbers('11').memberAuthorised, numbers('11').memberJoin, numbers('11').memberKnock, numbers('11').memberUnknown], ['4.2', '4.3', '4.7', '4.8'])
  assert.deepEqual([numbers('12').room, numbers('12').authEvents, numbers('12').federate, numbers('12').member, numbers('12').powerLevels], [2, 3, 4, 5, 10])
})

const create = (content: JsonObject, more: Partial<FixtureDraft> = {}): FixtureDraft =>
  ({ type: 'm.room.create', stateKey: '', prevEventIds: [], content: { creator: alice, ...content }, ...more })
run([
  { name: 'a create event is allowed', send: create({}) },
  { name: 'a create event after another event', send: create({}, { prevEventIds: ['$x'] }), rule: '1.1' },
  { name: 'a create event whose room is of another domain', versions: between(1, 11), send: create({}, { sender: bob }), rule: '1.2' },
  { name: 'a create event with a room id', versions: ['12'], send: create({}, { pdu: { room_id: '!create' } }), rule: '1.2' },
  { name: 'a create event of an unknown version', send: create({ room_version: '999' }), rule: '1.3' },
  { name: 'a create event with a number for version', send: create({ room_version: 1 }), rule: '1.3' },
  { name: 'a create event of version constructor', send: create({ room_version: 'constructor' }), rule: '1.3' },
  { name: 'a create event without creator', versions: between(1, 10), send: { ...create({}), content: {} }, rule: '1.4' },
  { name: 'a create event without creator', versions: between(11, 12), send: { ...create({}), content: {} } },
  { name: 'additional creators', versions: ['12'], send: create({ additional_creators: [bob, carol] }) },
  ...[bob, [5], ['bob'], ['@bob'], [''], null, {}, [`@${'b'.repeat(250)}:b.example`]].flatMap((value): Case[] => [
    { name: `additional creators ${JSON.stringify(value).slice(0, 20)}`, versions: ['12'],
      send: create({ additional_creators: value }), rule: '1.4' },
    { name: `additional creators mean nothing: ${JSON.stringify(value).slice(0, 20)}`, versions: between(1, 11),
      send: create({ additional_creators: value }) },
  ]),
])

const authRule = (versionId: string): string => (versionId === '12' ? '2' : '2.5')
run([
  { name: 'an event of another room', send: { ...message(alice), roomId: '!other:a.example' }, rule: authRule },
  { name: 'no create event', setUp: (branch) => branch.state.clear(), send: message(alice), rule: (id) => (id === '12' ? '2' : '2.4') },
  { name: 'unfederated: a foreign join', create: { 'm.federate': false }, setUp: joined(),
    send: membership(bob, 'join'), rule: (id) => (id === '12' ? '4' : '3') },
  { name: 'unfederated: a local join', create: { 'm.federate': false }, setUp: joined(), send: membership('@dan:a.example', 'join') },
  { name: 'm.federate of another type', create: { 'm.federate': 'false' }, setUp: joined(), send: membership(bob, 'join') },
])

run([
  { name: 'aliases of the own server without membership', versions: between(1, 5),
    send: { type: 'm.room.aliases', stateKey: 'b.example', sender: bob } },
  { name: 'aliases without state key', versions: between(1, 5), send: { type: 'm.room.aliases', sender: bob }, rule: '4.1' },
  { name: 'aliases of another server', versions: between(1, 5),
    send: { type: 'm.room.aliases', stateKey: 'c.example', sender: bob }, rule: '4.2' },
  { name: 'aliases without membership', versions: between(6, 12),
    send: { type: 'm.room.aliases', stateKey: 'b.example', sender: bob }, rule: after(1) },
  { name: 'aliases of a member without power', versions: between(6, 12), setUp: joined(bob),
    send: { type: 'm.room.aliases', stateKey: 'b.example', sender: bob }, rule: after(3) },
])

const memberCases: Case[] = [
  { name: 'a member event without state key',
    send: { type: 'm.room.member', content: { membership: 'join' } }, rule: (id) => `${member(id)}.1` },
  { name: 'a member event without membership', send: { type: 'm.room.member', stateKey: alice }, rule: (id) => `${member(id)}.1` },
  { name: 'an unknown membership', send: membership(alice, 'wave'), rule: memberStep('unknown') },
  { name: 'a membership of another type',
    send: { type: 'm.room.member', stateKey: alice, content: { membership: ['join'] } }, rule: memberStep('unknown') },
  { name: 'the creator joins first', setUp: (branch) => { branch.state.delete('13:m.room.member@alice:a.example') },
    send: { ...membership(alice, 'join'), prevEventIds: ['$create'] } },
  { name: 'another user joins first', send: { ...membership(bob, 'join'), prevEventIds: ['$create'] }, rule: memberStep('join', '.4') },
  { name: 'creator is content.creator', versions: between(1, 10), create: { creator: bob },
    send: { ...membership(bob, 'join'), prevEventIds: ['$create'] } },
  { name: 'creator is the sender', versions: between(11, 12), create: { creator: bob },
    send: { ...membership(bob, 'join'), prevEventIds: ['$create'] }, rule: memberStep('join', '.4') },
  { name: 'joining for another user', setUp: joined(), send: membership(bob, 'join', carol), rule: memberStep('join', '.2') },
  { name: 'a banned user joins', setUp: (b) => { joined(bob)(b); b.member(bob, 'ban', alice) },
    send: membership(bob, 'join'), rule: memberStep('join', '.3') },
  { name: 'joining without join rules', send: membership(bob, 'join'), rule: memberStep('join', '.4') },
  { name: 'joining a room by invite', setUp: (b) => { b.member(bob, 'invite', alice) }, send: membership(bob, 'join') },
  { name: 'joining an invite-only room', setUp: (b) => { b.joinRule('invite') },
    send: membership(bob, 'join'), rule: memberStep('join', '.4') },
  { name: 'a member changes the profile', setUp: (b) => { joined(bob)(b); b.joinRule('invite') },
    send: membership(bob, 'join', bob, { displayname: 'B' }) },
  { name: 'joining a public room', setUp: joined(), send: membership(bob, 'join') },
  { name: 'joining a knock room', versions: between(7, 12), setUp: (b) => { b.joinRule('knock') },
    send: membership(bob, 'join'), rule: memberStep('join', '.4') },
  { name: 'joining a knock room by invite', versions: between(7, 12), setUp: (b) => { b.joinRule('knock'); b.member(bob, 'invite', alice) },
    send: membership(bob, 'join') },
  { name: 'knock rooms do not exist', versions: between(1, 6), setUp: (b) => { b.joinRule('knock'); b.member(bob, 'invite', alice) },
    send: membership(bob, 'join'), rule: memberStep('join', '.6') },
  { name: 'restricted rooms do not exist', versions: between(1, 7),
    setUp: (b) => { b.joinRule('restricted'); b.member(bob, 'invite', alice) },
    send: membership(bob, 'join'), rule: memberStep('join', '.6') },
  { name: 'knock_restricted rooms do not exist', versions: between(8, 9),
    setUp: (b) => { b.joinRule('knock_restricted'); b.member(bob, 'invite', alice) },
    send: membership(bob, 'join'), rule: memberStep('join', '.7') },
  { name: 'a private room', setUp: (b) => { b.joinRule('private'); b.member(bob, 'invite', alice) },
    send: membership(bob, 'join'), rule: (id) => memberStep('join', Number(id) < 8 ? '.6' : '.7')(id) },
]
for (const rule of ['restricted', 'knock_restricted']) {
  const versions = between(rule === 'restricted' ? 8 : 10, 12)
  const by = (userId: string): FixtureDraft => membership(bob, 'join', bob, { join_authorised_via_users_server: userId })
  memberCases.push(
    { name: `${rule}: invited`, versions, setUp: (b) => { b.joinRule(rule); b.member(bob, 'invite', alice) },
      send: membership(bob, 'join') },
    { name: `${rule}: nobody authorises`, versions, setUp: (b) => { b.joinRule(rule) },
      send: membership(bob, 'join'), rule: memberStep('join', '.5.2') },
    { name: `${rule}: a member authorises`, versions, setUp: (b) => { b.joinRule(rule) }, send: by(alice) },
    { name: `${rule}: an outsider authorises`, versions, setUp: (b) => { b.joinRule(rule) },
      send: by(carol), rule: memberStep('join', '.5.2') },
    { name: `${rule}: a powerless member authorises`, versions, setUp: (b) => { joined(carol)(b); b.powerLevels({ invite: 50, users: {} }); b.joinRule(rule) },
      send: by(carol), rule: memberStep('join', '.5.2') },
    { name: `${rule}: authorised but banned`, versions, setUp: (b) => { b.joinRule(rule); b.member(bob, 'ban', alice) },
      send: by(alice), rule: memberStep('join', '.3') },
    { name: `${rule}: not signed by the authorising server`, versions, setUp: (b) => { b.joinRule(rule) },
      send: by(alice), options: { isSignedBy: (_, server) => server !== 'a.example' }, rule: (id) => `${member(id)}.2.1` },
    { name: `${rule}: signed by the authorising server`, versions, setUp: (b) => { b.joinRule(rule) },
      send: by(alice), options: { isSignedBy: (_, server) => server === 'a.example' } },
    { name: `${rule}: authorised by no user id`, versions, setUp: (b) => { b.joinRule(rule) },
      send: by('nobody'), rule: (id) => `${member(id)}.2.1` },
  )
}
memberCases.push(
  { name: 'an authorising user means nothing before restricted rooms', versions: between(1, 7), setUp: joined(),
    send: membership(bob, 'join', bob, { join_authorised_via_users_server: 5 }) },
  { name: 'a member invites', send: membership(bob, 'invite', alice) },
  { name: 'an outsider invites', send: membership(bob, 'invite', carol), rule: memberStep('invite', '.2') },
  { name: 'inviting a member', setUp: joined(bob), send: membership(bob, 'invite', alice), rule: memberStep('invite', '.3') },
  { name: 'inviting a banned user', setUp: (b) => { b.member(bob, 'ban', alice) },
    send: membership(bob, 'invite', alice), rule: memberStep('invite', '.3') },
  { name: 'inviting without power', setUp: levels({ invite: 50, users: {} }, bob),
    send: membership(carol, 'invite', bob), rule: memberStep('invite', '.5') },
  { name: 'a member leaves', setUp: joined(bob), send: membership(bob, 'leave') },
  { name: 'an invite is declined', setUp: (b) => { b.member(bob, 'invite', alice) }, send: membership(bob, 'leave') },
  { name: 'a knock is withdrawn', versions: between(7, 12), setUp: (b) => { b.joinRule('knock'); b.member(bob, 'knock') },
    send: membership(bob, 'leave') },
  { name: 'knocks do not exist', versions: between(1, 6), setUp: (b) => { b.member(bob, 'knock') },
    send: membership(bob, 'leave'), rule: memberStep('leave', '.1') },
  { name: 'an outsider leaves', send: membership(bob, 'leave'), rule: memberStep('leave', '.1') },
  { name: 'a banned user leaves', setUp: (b) => { b.member(bob, 'ban', alice) },
    send: membership(bob, 'leave'), rule: memberStep('leave', '.1') },
  { name: 'an outsider kicks', setUp: joined(bob), send: membership(bob, 'leave', carol), rule: memberStep('leave', '.2') },
  { name: 'kicking with power', setUp: joined(bob), send: membership(bob, 'leave', alice) },
  { name: 'kicking without power', setUp: joined(bob, carol), send: membership(bob, 'leave', carol), rule: memberStep('leave', '.5') },
  { name: 'kicking an equal', setUp: levels({ users: { [bob]: 50, [carol]: 50 } }, bob, carol),
    send: membership(bob, 'leave', carol), rule: memberStep('leave', '.5') },
  { name: 'unbanning with power', setUp: (b) => { b.member(bob, 'ban', alice) }, send: membership(bob, 'leave', alice) },
  { name: 'unbanning with power to kick only',
    setUp: (b) => { levels({ kick: 10, ban: 50, users: { [carol]: 20 } }, bob, carol)(b); b.member(bob, 'ban', alice) },
    send: membership(bob, 'leave', carol), rule: memberStep('leave', '.3') },
  { name: 'an outsider bans', send: membership(bob, 'ban', carol), rule: memberStep('ban', '.1') },
  { name: 'banning with power', setUp: joined(bob), send: membership(bob, 'ban', alice) },
  { name: 'banning without power', setUp: joined(bob, carol), send: membership(bob, 'ban', carol), rule: memberStep('ban', '.3') },
  { name: 'banning an equal', setUp: levels({ users: { [bob]: 50, [carol]: 50 } }, bob, carol),
    send: membership(bob, 'ban', carol), rule: memberStep('ban', '.3') },
  { name: 'banning a creator by power 100', versions: ['12'], setUp: levels({ users: { [bob]: 100 } }, bob),
    send: membership(alice, 'ban', bob), rule: memberStep('ban', '.3') },
  { name: 'banning a creator by a creator', versions: ['12'], create: { additional_creators: [bob] }, setUp: joined(bob),
    send: membership(alice, 'ban', bob), rule: memberStep('ban', '.3') },
  { name: 'knocking', versions: between(7, 12), setUp: (b) => { b.joinRule('knock') }, send: membership(bob, 'knock') },
  { name: 'knocking does not exist', versions: between(1, 6), setUp: (b) => { b.joinRule('knock') },
    send: membership(bob, 'knock'), rule: memberStep('unknown') },
  { name: 'knocking on a public room', versions: between(7, 12), setUp: joined(),
    send: membership(bob, 'knock'), rule: memberStep('knock', '.1') },
  { name: 'knocking on a knock_restricted room', versions: between(10, 12), setUp: (b) => { b.joinRule('knock_restricted') },
    send: membership(bob, 'knock') },
  { name: 'knocking on a knock_restricted room', versions: between(7, 9), setUp: (b) => { b.joinRule('knock_restricted') },
    send: membership(bob, 'knock'), rule: memberStep('knock', '.1') },
  { name: 'knocking for another user', versions: between(7, 12), setUp: (b) => { b.joinRule('knock') },
    send: membership(bob, 'knock', carol), rule: memberStep('knock', '.2') },
  { name: 'knocking twice', versions: between(7, 12), setUp: (b) => { b.joinRule('knock'); b.member(bob, 'knock') },
    send: membership(bob, 'knock') },
  ...['ban', 'invite', 'join'].map((value): Case => ({
    name: `knocking after ${value}`,
    versions: between(7, 12),
    setUp: (b) => { b.joinRule('knock'); b.member(bob, value, alice) },
    send: membership(bob, 'knock'),
    rule: memberStep('knock', '.4'),
  })),
)
run(memberCases)

const signed = { mxid: bob, token: 'tok', signatures: { 'id.example': { 'ed25519:0': 'sig' } } }
const redeem = (content: JsonObject, sender = alice): FixtureDraft => membership(bob, 'invite', sender, { third_party_invite: content })
const issue = (content: JsonObject) => (b: Branch): void => { b.send({ type: 'm.room.third_party_invite', stateKey: 'tok', content }) }
const verifySigned = (_: JsonObject, key: string): boolean => key === 'good'
const third = (step: string) => memberStep('invite', `.1.${step}`)
run([
  { name: 'redeeming with public_key', setUp: issue({ public_key: 'good' }), send: redeem({ signed }), options: { verifySigned } },
  { name: 'redeeming with public_keys', setUp: issue({ public_key: 'bad', public_keys: [{ public_key: 'bad' }, 5, { public_key: 'good' }] }),
    send: redeem({ signed }), options: { verifySigned } },
  { name: 'redeeming although the sender left', setUp: (b) => { issue({ public_key: 'good' })(b); b.member(alice, 'leave') },
    send: redeem({ signed }), options: { verifySigned } },
  { name: 'redeeming for a banned user', setUp: (b) => { issue({ public_key: 'good' })(b); b.member(bob, 'ban', alice) },
    send: redeem({ signed }), options: { verifySigned }, rule: third('1') },
  { name: 'redeeming without signed', send: redeem({}), rule: third('2') },
  { name: 'redeeming null', send: membership(bob, 'invite', alice, { third_party_invite: null }), rule: third('2') },
  { name: 'redeeming without mxid', send: redeem({ signed: { token: 'tok' } }), rule: third('3') },
  { name: 'redeeming without token', send: redeem({ signed: { mxid: bob } }), rule: third('3') },
  { name: 'redeeming for another mxid', send: redeem({ signed: { ...signed, mxid: carol } }), rule: third('4') },
  { name: 'redeeming an unknown or used token', send: redeem({ signed }), rule: third('5') },
  { name: 'redeeming by another sender', setUp: (b) => { joined(carol)(b); issue({ public_key: 'good' })(b) },
    send: redeem({ signed }, carol), options: { verifySigned }, rule: third('6') },
  { name: 'redeeming with a bad signature', setUp: issue({ public_key: 'bad' }),
    send: redeem({ signed }), options: { verifySigned }, rule: third('8') },
  { name: 'issuing with power', send: { type: 'm.room.third_party_invite', stateKey: 'x' } },
  { name: 'issuing without power', setUp: levels({ invite: 50, users: {} }, bob),
    send: { type: 'm.room.third_party_invite', stateKey: 'x', sender: bob }, rule: (id) => `${after(2)(id)}.1` },
  { name: 'issuing needs the invite level only', setUp: levels({ state_default: 100, users: {} }, bob),
    send: { type: 'm.room.third_party_invite', stateKey: 'x', sender: bob } },
])

run([
  { name: 'a member sends a message', setUp: joined(bob), send: message(bob) },
  { name: 'an outsider sends a message', setUp: joined(), send: message(bob), rule: after(1) },
  { name: 'an invited user sends a message', setUp: (b) => { b.member(bob, 'invite', alice) }, send: message(bob), rule: after(1) },
  { name: 'a message above events_default', setUp: levels({ events_default: 1, users: {} }, bob), send: message(bob), rule: after(3) },
  { name: 'a message above its own level', setUp: levels({ events: { 'm.room.message': 1 }, users: {} }, bob),
    send: message(bob), rule: after(3) },
  { name: 'state without power levels: the creator', send: { type: 'm.room.topic', stateKey: '' } },
  { name: 'state without power levels: another member', setUp: joined(bob),
    send: { type: 'm.room.topic', stateKey: '', sender: bob }, rule: after(3) },
  { name: 'state of an own user id', setUp: levels({ state_default: 0, users: {} }, bob), send: { type: 'x', stateKey: bob, sender: bob } },
  { name: 'state of another user id', setUp: levels({ state_default: 0, users: {} }, bob),
    send: { type: 'x', stateKey: alice, sender: bob }, rule: after(4) },
  { name: 'state of a key that begins with @', setUp: levels({ state_default: 0, users: {} }, bob),
    send: { type: 'x', stateKey: '@', sender: bob }, rule: after(4) },
  { name: 'an event of type constructor', setUp: levels({ events: {}, users: {} }, bob), send: { type: 'constructor', sender: bob } },
])

const redaction = (redacts: string, sender = bob): FixtureDraft => ({ type: 'm.room.redaction', sender, redacts, id: '$r:b.example' })
run([
  { name: 'redacting with power', versions: ['1', '2'], setUp: joined(bob), send: redaction('$x:c.example', alice) },
  { name: 'redacting an event of the own server', versions: ['1', '2'], setUp: joined(bob), send: redaction('$x:b.example') },
  { name: 'redacting an event of another server', versions: ['1', '2'], setUp: joined(bob), send: redaction('$x:c.example'), rule: '11.3' },
  { name: 'redacting nothing', versions: ['1', '2'], setUp: joined(bob),
    send: { type: 'm.room.redaction', sender: bob, id: '$r' }, rule: '11.3' },
  { name: 'redactions pass the auth rules', versions: between(3, 12), setUp: joined(bob), send: redaction('$x:c.example') },
  { name: 'redactions need the level of their type', setUp: levels({ events: { 'm.room.redaction': 10 }, users: {} }, bob),
    send: redaction('$x:b.example'), rule: after(3) },
])
