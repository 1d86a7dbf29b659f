/**
 * A community at clients of matrix-js-sdk, against the started program: spaces and who may join their rooms, knocking, polls, search, moderation, guests,
 * and the move into a room of a newer version.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EventType, GuestAccess, JoinRule, MatrixError, Method, Preset, RoomType, type RestrictedAllowType } from 'matrix-js-sdk'
import type { Poll } from 'matrix-js-sdk/lib/models/poll.js'
import { MsgType } from 'matrix-js-sdk/lib/@types/event.js'
import { PollEndEvent } from 'matrix-js-sdk/lib/extensible_events_v1/PollEndEvent.js'
import { PollResponseEvent } from 'matrix-js-sdk/lib/extensible_events_v1/PollResponseEvent.js'
import { PollStartEvent } from 'matrix-js-sdk/lib/extensible_events_v1/PollStartEvent.js'
import { M_POLL_KIND_DISCLOSED } from 'matrix-js-sdk/lib/@types/polls.js'
import { PollEvent } from 'matrix-js-sdk/lib/models/poll.js'
import { RoomHierarchy } from 'matrix-js-sdk/lib/room-hierarchy.js'
import { until } from '../kit/deadline.ts'
import { guestSdkUser, readMessage, received, registerSdkUser, roomOf, seen, type SdkUser } from '../kit/sdk-client.ts'
import { ServerProcess } from '../kit/server-process.ts'

async function refused(status: number, errcode: string, request: Promise<unknown>): Promise<void> {
  await assert.rejects(request, (error) => {
    assert.ok(error instanceof MatrixError, String(error))
    assert.equal(`${error.httpStatus} ${error.errcode}`, `${status} ${errcode}`)
    return true
  })
}

async function say(user: SdkUser, roomId: string, body: string): Promise<string> {
  return (await user.client.sendMessage(roomId, null, { msgtype: MsgType.Text, body })).event_id
}

/** Sends an extensible event in the form that its model gives it. */
async function post(user: SdkUser, roomId: string, event: PollStartEvent | PollResponseEvent | PollEndEvent): Promise<string> {
  const { type, content } = event.serialize()
  const path = `/rooms/${encodeURIComponent(roomId)}/send/${encodeURIComponent(type)}/${user.client.makeTxnId()}`
  return (await user.client.http.authedRequest<{ event_id: string }>(Method.Put, path, undefined, content)).event_id
}

async function joinPublic(owner: SdkUser, ...others: readonly SdkUser[]): Promise<string> {
  const { room_id: room } = await owner.client.createRoom({ preset: Preset.PublicChat })
  for (const other of others) {
    await other.client.joinRoom(room)
    await seen(other, 'the room', () => other.client.getRoom(room)?.getMyMembership() === 'join')
    await seen(owner, 'the other', () => owner.client.getRoom(room)?.getMember(other.userId)?.membership === 'join')
  }
  return room
}

test('a community at clients', async (t) => {
  const server = await ServerProcess.start(t)
  const alice = await registerSdkUser(t, server.url, 'alice')
  const bob = await registerSdkUser(t, server.url, 'bob')
  const { room_id: club } = await alice.client.createRoom({ name: 'Club', preset: Preset.PublicChat, creation_content: { type: RoomType.Space } })

  await t.test('a space with a room that its members may join', async () => {
    const allow = [{ type: 'm.room_membership' as RestrictedAllowType, room_id: club }]
    const { room_id: lounge } = await alice.client.createRoom({
      name: 'Lounge', preset: Preset.PrivateChat,
      initial_state: [{ type: EventType.RoomJoinRules, state_key: '', content: { join_rule: JoinRule.Restricted, allow } }],
    })
    await alice.client.sendStateEvent(club, EventType.SpaceChild, { via: ['test.example'], suggested: true }, lounge)
    await seen(alice, 'the space', () => alice.client.getRoom(club)?.isSpaceRoom() === true)
    await refused(403, 'M_FORBIDDEN', bob.client.joinRoom(lounge))
    await bob.client.joinRoom(club)
    const space = await seen(bob, 'the space', () => bob.client.getRoom(club) ?? undefined)
    const hierarchy = new RoomHierarchy(space)
    await hierarchy.load()
    assert.deepEqual(hierarchy.rooms?.map((room) => room.name), ['Club', 'Lounge'])
    assert.equal(hierarchy.isSuggested(club, lounge), true)
    await bob.client.joinRoom(lounge)
    await seen(bob, 'the room of the space', () => bob.client.getRoom(lounge)?.getMyMembership() === 'join')
    assert.equal(await readMessage(bob, lounge, await say(alice, lounge, 'Do sit down')), 'Do sit down')
  })

  await t.test('knocking: one is let in, a second knock is turned away', async () => {
    const { room_id: room } = await alice.client.createRoom({
      preset: Preset.PrivateChat, initial_state: [{ type: EventType.RoomJoinRules, state_key: '', content: { join_rule: JoinRule.Knock } }],
    })
    await bob.client.knockRoom(room, { reason: 'I bring scones' })
    await seen(bob, 'his knock', () => bob.client.getRoom(room)?.getMyMembership() === 'knock')
    const knock = await seen(alice, 'the knock', () => alice.client.getRoom(room)?.getMember(bob.userId)?.events.member)
    assert.equal(knock.getContent()['reason'], 'I bring scones')
    await alice.client.invite(room, bob.userId)
    await seen(bob, 'the invitation', () => bob.client.getRoom(room)?.getMyMembership() === 'invite')
    await bob.client.joinRoom(room)
    await seen(bob, 'being in', () => bob.client.getRoom(room)?.getMyMembership() === 'join')
    await bob.client.leave(room)
    await seen(bob, 'being out', () => bob.client.getRoom(room)?.getMyMembership() === 'leave')
    await bob.client.knockRoom(room)
    await seen(bob, 'his second knock', () => roomOf(bob, room).getMyMembership() === 'knock')
    await seen(alice, 'the second knock', () => roomOf(alice, room).getMember(bob.userId)?.membership === 'knock')
    await alice.client.kick(room, bob.userId, 'not again')
    await seen(bob, 'the answer', () => roomOf(bob, room).getMyMembership() === 'leave')
  })

  await t.test('a poll: votes, a changed vote, the end', async () => {
    const room = await joinPublic(alice, bob)
    const question = PollStartEvent.from('Which tea?', ['Green', 'Black'], M_POLL_KIND_DISCLOSED)
    const [green, black] = question.answers
    assert.ok(green && black)
    const start = await post(alice, room, question)
    await received(bob, room, start)
    const poll = await seen(bob, 'the poll', (): Poll | undefined => roomOf(bob, room).polls.get(start))
    await post(bob, room, PollResponseEvent.from([green.id], start))
    const changed = await post(bob, room, PollResponseEvent.from([black.id], start))
    await received(bob, room, changed)
    const answersOf = async (): Promise<unknown[]> => (await poll.getResponses()).getRelations().map((event) => event.getId())
    await until(poll, [PollEvent.Responses], 'both votes', async () => (await answersOf()).includes(changed))
    await post(alice, room, PollEndEvent.from(start, 'Black it is'))
    await until(poll, [PollEvent.End], 'the end of the poll', () => poll.isEnded)
  })

  await t.test('search finds what was said, with what was said around it', async () => {
    const room = await joinPublic(alice, bob)
    await say(alice, room, 'Is there any?')
    const about = await say(bob, room, 'The marmalade is in the cupboard')
    await say(alice, room, 'Thank you')
    const found = await alice.client.searchRoomEvents({ term: 'marmalade', filter: { rooms: [room] } })
    assert.deepEqual([found.count, found.highlights], [1, ['marmalade']])
    const [result] = found.results
    assert.ok(result)
    assert.equal(result.context.getEvent().getId(), about)
    assert.deepEqual(result.context.getTimeline().map((event) => event.getContent()['body']), ['Is there any?', 'The marmalade is in the cupboard', 'Thank you'])
  })

  await t.test('moderation: redacting, removing, banning, handing power over', async () => {
    const room = await joinPublic(alice, bob)
    const rude = await say(bob, room, 'Your tea is cold')
    await received(alice, room, rude)
    await refused(403, 'M_FORBIDDEN', bob.client.kick(room, alice.userId))
    await alice.client.redactEvent(room, rude, undefined, { reason: 'manners' })
    await seen(bob, 'the redaction', () => roomOf(bob, room).findEventById(rude)?.isRedacted())
    await alice.client.kick(room, bob.userId, 'cool down')
    await seen(bob, 'the removal', () => roomOf(bob, room).getMyMembership() === 'leave')
    await bob.client.joinRoom(room)
    await seen(bob, 'being back', () => roomOf(bob, room).getMyMembership() === 'join')
    await alice.client.ban(room, bob.userId, 'again')
    await seen(bob, 'the ban', () => roomOf(bob, room).getMyMembership() === 'ban')
    await refused(403, 'M_FORBIDDEN', bob.client.joinRoom(room))
    await alice.client.unban(room, bob.userId)
    await bob.client.joinRoom(room)
    await seen(alice, 'Bob', () => roomOf(alice, room).getMember(bob.userId)?.membership === 'join')
    await alice.client.setPowerLevel(room, bob.userId, 50)
    await seen(bob, 'his power', () => roomOf(bob, room).getMember(bob.userId)?.powerLevel === 50)
    assert.equal(roomOf(bob, room).currentState.hasSufficientPowerLevelFor('ban', 50), true)
    const own = await say(alice, room, 'Let us see')
    await received(bob, room, own)
    await bob.client.redactEvent(room, own)
    await seen(alice, "Bob's redaction", () => roomOf(alice, room).findEventById(own)?.isRedacted())
  })

  await t.test('a guest looks in and speaks where guests may', async () => {
    const guest = await guestSdkUser(t, server.url)
    const room = await joinPublic(alice, bob)
    await refused(403, 'M_GUEST_ACCESS_FORBIDDEN', guest.client.joinRoom(room))
    await alice.client.sendStateEvent(room, EventType.RoomGuestAccess, { guest_access: GuestAccess.CanJoin })
    await guest.client.joinRoom(room)
    await seen(guest, 'the room', () => guest.client.getRoom(room)?.getMyMembership() === 'join')
    assert.equal(await readMessage(alice, room, await say(guest, room, 'Just looking')), 'Just looking')
    assert.equal(await readMessage(guest, room, await say(bob, room, 'Welcome')), 'Welcome')
    await refused(403, 'M_GUEST_ACCESS_FORBIDDEN', guest.client.createRoom({}))
  })

  await t.test('the move into a room of a newer version', async () => {
    const { room_id: old } = await alice.client.createRoom({ preset: Preset.PublicChat, room_version: '9', name: 'Old house' })
    await bob.client.joinRoom(old)
    await seen(bob, 'the room', () => bob.client.getRoom(old)?.getVersion() === '9')
    await seen(alice, 'the room', () => alice.client.getRoom(old)?.getVersion() === '9')
    const { replacement_room: replacement } = await alice.client.upgradeRoom(old, '12')
    const tombstone = await seen(bob, 'the tombstone', () => roomOf(bob, old).currentState.getStateEvents(EventType.RoomTombstone, '') ?? undefined)
    assert.equal(tombstone.getContent()['replacement_room'], replacement)
    await bob.client.joinRoom(replacement)
    const room = await seen(bob, 'the new room', () => bob.client.getRoom(replacement) ?? undefined)
    await seen(bob, 'its name', () => room.name === 'Old house')
    assert.deepEqual([room.getVersion(), room.findPredecessor()?.roomId], ['12', old])
    await refused(403, 'M_FORBIDDEN', say(bob, old, 'Is anybody here?'))
    assert.equal(await readMessage(alice, replacement, await say(bob, replacement, 'Here we are')), 'Here we are')
  })

  assert.deepEqual(server.errors, [])
})
