import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { EventId } from '../ids/ids.ts'
import type { JsonObject } from '../json/json.ts'
import { listRoomVersions } from '../rooms/versions.ts'
import { authTypesFor, checkAuthEvents } from './auth-events.ts'
import { alice, bob, carol, FixtureRoom } from './fixture-room.ts'
import { checkRedaction } from './redaction.ts'

const all = listRoomVersions()
const member = (userId: string): string => `m.room.member|${userId}`

for (const version of all) {
  const first = version.roomIdIsCreateHash ? ['m.room.power_levels|'] : ['m.room.create|', 'm.room.power_levels|']
  const select = (type: string, stateKey: string | undefined, content: JsonObject, sender = alice): string[] =>
    authTypesFor(version, { type, stateKey, sender, content }).map(([name, key]) => `${name}|${key}`)

  test(`v${version.id}: selection of auth events`, () => {
    const rows: readonly (readonly [string[], string[]])[] = [
      [select('m.room.create', '', {}), []],
      [select('m.room.message', undefined, {}), [...first, member(alice)]],
      [select('m.room.topic', '', {}), [...first, member(alice)]],
      [select('m.room.member', alice, { membership: 'join' }), [...first, member(alice), 'm.room.join_rules|']],
      [select('m.room.member', bob, { membership: 'invite' }), [...first, member(alice), member(bob), 'm.room.join_rules|']],
      [select('m.room.member', alice, { membership: 'knock' }), [...first, member(alice), 'm.room.join_rules|']],
      [select('m.room.member', bob, { membership: 'ban' }), [...first, member(alice), member(bob)]],
      [select('m.room.member', alice, { membership: 'leave' }), [...first, member(alice)]],
      [select('m.room.member', bob, { membership: 'invite', third_party_invite: { signed: { token: 't' } } }),
        [...first, member(alice), member(bob), 'm.room.join_rules|', 'm.room.third_party_invite|t']],
      [select('m.room.member', bob, { membership: 'invite', third_party_invite: { signed: { token: 5 } } }), [...first, member(alice), member(bob), 'm.room.join_rules|']],
      [select('m.room.member', alice, { membership: 'join', third_party_invite: { signed: { token: 't' } } }), [...first, member(alice), 'm.room.join_rules|']],
      [select('m.room.member', alice, { membership: 'join', join_authorised_via_users_server: bob }),
        [...first, member(alice), 'm.room.join_rules|', ...(Number(version.id) >= 8 ? [member(bob)] : [])]],
      [select('m.room.member', alice, { membership: 'join', join_authorised_via_users_server: alice }), [...first, member(alice), 'm.room.join_rules|']],
      [select('m.room.member', alice, { membership: 'leave', join_authorised_via_users_server: bob }), [...first, member(alice)]],
      [select('m.room.member', undefined, { membership: 'join' }), [...first, member(alice)]],
    ]
    for (const [actual, expected] of rows) assert.deepEqual(actual, expected)
  })

  test(`v${version.id}: checks of the listed auth events`, () => {
    const room = new FixtureRoom(version.id)
    const { main } = room
    main.powerLevels({})
    const joinRules = main.joinRule('public')
    const oldJoin = main.member(bob, 'join')
    const join = main.member(bob, 'join')
    const message = main.send({ type: 'm.room.message', sender: alice })
    const foreign = room.event({ type: 'm.room.member', stateKey: bob, sender: bob, roomId: '!other:a.example' })
    room.events.set(foreign.eventId, foreign)
    const rejected = new Set<EventId>()
    const good = main.draft({ type: 'm.room.message', sender: bob }).authEventIds
    const check = (authEventIds: readonly string[], sender = bob): string | undefined => {
      const verdict = checkAuthEvents(version, room.event({ type: 'm.room.message', sender, authEventIds }), (id) => {
        const event = room.lookup(id)
        return event === undefined ? undefined : { ...event, rejected: rejected.has(id) }
      })
      return verdict.allowed ? undefined : verdict.rule
    }
    const rule = version.roomIdIsCreateHash ? 3 : 2
    assert.equal(check(good), undefined)
    assert.equal(check(good.filter((id) => id !== join.eventId)), undefined, 'less than the selection is not wrong here')
    assert.equal(check([...good, join.eventId]), `${rule}.1`, 'the same event twice')
    assert.equal(check([...good, oldJoin.eventId]), `${rule}.1`, 'two events of one pair')
    assert.equal(check([...good, joinRules.eventId]), `${rule}.2`, 'superfluous state')
    assert.equal(check([...good, message.eventId]), `${rule}.2`, 'an event that is no state')
    assert.equal(check(good, carol), `${rule}.2`, 'the membership of another user')
    assert.equal(check([...good, '$unknown']), `${rule}.3`, 'an unknown event')
    const withForeign = [...good.filter((id) => id !== join.eventId), foreign.eventId]
    assert.equal(check(withForeign), `${rule}.5`, 'an event of another room')
    rejected.add(join.eventId)
    assert.equal(check(good), `${rule}.3`, 'a rejected event')
    rejected.clear()
    if (version.roomIdIsCreateHash) {
      assert.equal(check([room.create.eventId, ...good]), '3.2', 'the create event is implied')
      rejected.add(room.create.eventId)
      assert.equal(check(good), '2', 'a rejected create event')
      room.events.delete(room.create.eventId)
      assert.equal(check(good), '2', 'an unknown create event')
      room.events.set(room.create.eventId, { ...join, eventId: room.create.eventId })
      assert.equal(check(good), '2', 'a room id of another event')
    } else {
      assert.equal(check(good.filter((id) => id !== room.create.eventId)), '2.4', 'no create event')
      assert.equal(check([]), '2.4', 'no auth events')
    }
  })

  test(`v${version.id}: which redactions take effect`, () => {
    const room = new FixtureRoom(version.id)
    const { main } = room
    main.joinRule('public')
    for (const user of [bob, carol]) main.member(user, 'join')
    main.powerLevels({ users: { [carol]: 50 } })
    const target = main.send({ type: 'm.room.message', sender: bob })
    const allows = (sender: string, redacts: string = target.eventId, roomId?: string): boolean =>
      checkRedaction(version, main.draft({ type: 'm.room.redaction', sender, redacts, ...(roomId === undefined ? {} : { roomId }) }), target, main.authState).allowed
    assert.ok(allows(bob), 'the own event')
    assert.ok(allows('@other:b.example'), 'an event of the own server')
    assert.ok(allows(carol), 'by power')
    assert.equal(allows('@mallory:evil.example'), version.redactionAuthRule, 'of another server without power: the auth rule decided already in versions 1 and 2')
    assert.ok(!allows(carol, '$another'), 'of another event')
    assert.ok(!allows(carol, target.eventId, '!other:a.example'), 'of another room')
  })
}
