/** Alice at a real client with sliding sync, matrix-js-sdk with its Rust cryptography, against the started program, over a restart of the server. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EventType, NotificationCountType, ReceiptType } from 'matrix-js-sdk'
import { MsgType } from 'matrix-js-sdk/lib/@types/event.js'
import { loginSdkUser, readMessage, received, registerSdkUser, roomOf, seen, type SdkUser } from '../kit/sdk-client.ts'
import { ServerProcess } from '../kit/server-process.ts'

async function say(user: SdkUser, roomId: string, body: string): Promise<string> {
  return (await user.client.sendMessage(roomId, null, { msgtype: MsgType.Text, body })).event_id
}

function textsIn(user: SdkUser, roomId: string): unknown[] {
  return roomOf(user, roomId).getLiveTimeline().getEvents().filter((event) => event.getType() === 'm.room.message').map((event) => event.getContent()['body'])
}

test('a client with sliding sync follows its rooms', async (t) => {
  const server = await ServerProcess.start(t)
  const bob = await registerSdkUser(t, server.url, 'bob')
  await registerSdkUser(t, server.url, 'alice')
  const required = [['m.room.name', ''], ['m.room.encryption', ''], ['m.room.create', ''], ['m.room.member', '$ME'], ['m.room.member', '$LAZY']]
  const alice = await loginSdkUser(t, server.url, 'alice', {
    lists: new Map([['top', { ranges: [[0, 1]], timeline_limit: 1, required_state: required }]]), subscription: { timeline_limit: 20, required_state: [['*', '*']] },
  })
  const sliding = alice.slidingSync
  assert.ok(sliding)
  const { room_id: tea } = await bob.client.createRoom({ name: 'Tea', invite: [alice.userId] })
  await seen(alice, 'the invite', () => alice.client.getRoom(tea)?.getMyMembership() === 'invite')
  assert.equal(roomOf(alice, tea).name, 'Tea')
  await alice.client.joinRoom(tea)
  await seen(alice, 'the join', () => alice.client.getRoom(tea)?.getMyMembership() === 'join')
  const hello = await say(bob, tea, 'hello alice')
  assert.equal(await readMessage(alice, tea, hello), 'hello alice')
  await seen(alice, 'an unread message', () => roomOf(alice, tea).getUnreadNotificationCount(NotificationCountType.Total) === 1)
  const event = await received(alice, tea, hello)
  await alice.client.sendReadReceipt(event, ReceiptType.Read)
  await seen(bob, 'that alice has read it', () => roomOf(bob, tea).getEventReadUpTo(alice.userId) === hello)
  await seen(alice, 'nothing unread', () => roomOf(alice, tea).getUnreadNotificationCount(NotificationCountType.Total) === 0)

  const { room_id: vault } = await bob.client.createRoom({
    invite: [alice.userId], initial_state: [{ type: EventType.RoomEncryption, state_key: '', content: { algorithm: 'm.megolm.v1.aes-sha2' } }],
  })
  await seen(alice, 'the second invite', () => alice.client.getRoom(vault)?.getMyMembership() === 'invite')
  await alice.client.joinRoom(vault)
  await seen(alice, 'the encrypted room', () => alice.client.getRoom(vault)?.hasEncryptionStateEvent() === true)
  await seen(bob, 'that alice is there', () => bob.client.getRoom(vault)?.getMember(alice.userId)?.membership === 'join')
  assert.equal(await readMessage(alice, vault, await say(bob, vault, 'a secret')), 'a secret')
  await seen(bob, 'the room of bob', () => bob.client.getRoom(vault)?.hasEncryptionStateEvent() === true)
  assert.equal(await readMessage(bob, vault, await say(alice, vault, 'another')), 'another')

  const rooms: string[] = []
  for (let index = 0; index < 3; index += 1) rooms.push((await alice.client.createRoom({ name: `Mine ${index}` })).room_id)
  for (const room of rooms) await seen(alice, 'the own room', () => alice.client.getRoom(room) !== null)
  for (const body of ['one', 'two', 'three']) await say(bob, tea, body)
  await seen(alice, 'the last of three', () => textsIn(alice, tea).includes('three'))
  sliding.setListRanges('top', [[0, 99]])
  await seen(alice, 'how many rooms there are', () => sliding.getListData('top')?.joinedCount === 5)
  sliding.modifyRoomSubscriptions(new Set([tea]))

  await server.restart()
  const after = await say(bob, tea, 'after the restart')
  assert.equal(await readMessage(alice, tea, after), 'after the restart')
  assert.equal(await readMessage(alice, vault, await say(bob, vault, 'still secret')), 'still secret')
  await bob.client.kick(tea, alice.userId)
  await seen(alice, 'that she was removed', () => roomOf(alice, tea).getMember(alice.userId)?.membership === 'leave')
  assert.deepEqual(server.errors, [])
})
