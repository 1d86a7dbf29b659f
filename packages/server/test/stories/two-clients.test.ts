/**
 * Alice and Bob at real clients, matrix-js-sdk with its Rust cryptography, against the started program: what two people do in their
 * first hour, over a restart of the server and up to logging out. The steps follow each other; a later one needs the earlier ones.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EventType, Method, ReceiptType, RelationType, RoomEvent, RoomMemberEvent, SyncState, ThreadEvent } from 'matrix-js-sdk'
import type { MatrixEvent } from 'matrix-js-sdk'
import { MsgType } from 'matrix-js-sdk/lib/@types/event.js'
import type { VerificationRequest } from 'matrix-js-sdk/lib/crypto-api/index.js'
import sharp from 'sharp'
import { until, within } from '../kit/deadline.ts'
import { decryptAttachment, encryptAttachment } from '../kit/attachment.ts'
import { crypto, byPassword, loginSdkUser, readMessage, received, registerSdkUser, roomOf, seen, type SdkUser } from '../kit/sdk-client.ts'
import { incomingRequest, verifyBySas } from '../kit/sdk-verification.ts'
import { ServerProcess } from '../kit/server-process.ts'

/** Everything of receipts that a client was told, as `type user event thread`. */
function receiptLog(user: SdkUser): string[] {
  const log: string[] = []
  user.client.on(RoomEvent.Receipt, (event: MatrixEvent) => {
    for (const [eventId, types] of Object.entries<Record<string, Record<string, { thread_id?: string }>>>(event.getContent())) {
      for (const [type, users] of Object.entries(types)) {
        for (const [userId, { thread_id: thread = '' }] of Object.entries(users)) log.push(`${type} ${userId} ${eventId} ${thread}`)
      }
    }
  })
  return log
}

/** Sends a text message and gives the id of the event. */
async function say(user: SdkUser, roomId: string, body: string, threadId: string | null = null): Promise<string> {
  return (await user.client.sendMessage(roomId, threadId, { msgtype: MsgType.Text, body })).event_id
}

/** Downloads from the media repository as clients do, with the access token. */
async function download(user: SdkUser, mxc: string, size?: number): Promise<Buffer> {
  const url = user.client.mxcUrlToHttp(mxc, size, size, size === undefined ? undefined : 'scale', false, true, true)
  assert.ok(url)
  const reply = await fetch(url, { headers: { authorization: `Bearer ${user.client.getAccessToken()}` } })
  assert.equal(reply.status, 200, `${url} answered ${reply.status}`)
  return Buffer.from(await reply.arrayBuffer())
}

test('two people, three devices, one server', async (t) => {
  const server = await ServerProcess.start(t)
  const step = async (name: string, work: () => Promise<void>): Promise<void> => {
    let done = false
    await t.test(name, async () => {
      await work()
      done = true
    })
    assert.ok(done, `The later steps need this one: ${name}. The server logged: ${server.errors.join('\n')}`)
  }
  const alice = await registerSdkUser(t, server.url, 'alice')
  const bob = await registerSdkUser(t, server.url, 'bob')
  const aliceReceipts = receiptLog(alice)
  const bobReceipts = receiptLog(bob)
  let room = ''
  let first = ''
  let second = ''
  let root = ''

  await step('both set up cross-signing; Alice also secret storage and key backup', async () => {
    for (const user of [alice, bob]) await crypto(user).bootstrapCrossSigning({ authUploadDeviceSigningKeys: byPassword(user) })
    assert.equal(await crypto(alice).userHasCrossSigningKeys(), true)
    const key = await crypto(alice).createRecoveryKeyFromPassphrase()
    alice.recoveryKey = key.privateKey
    await crypto(alice).bootstrapSecretStorage({ createSecretStorageKey: () => Promise.resolve(key), setupNewSecretStorage: true, setupNewKeyBackup: true })
    assert.equal(await crypto(alice).isSecretStorageReady(), true)
    assert.equal(await crypto(alice).isCrossSigningReady(), true)
    assert.equal(await crypto(alice).getActiveSessionBackupVersion(), (await crypto(alice).getKeyBackupInfo())?.version)
  })

  await step('an encrypted room: Alice invites, Bob joins', async () => {
    const created = await alice.client.createRoom({
      name: 'Tea', invite: [bob.userId], initial_state: [{ type: EventType.RoomEncryption, state_key: '', content: { algorithm: 'm.megolm.v1.aes-sha2' } }],
    })
    room = created.room_id
    await seen(bob, 'the invitation', () => bob.client.getRoom(room)?.getMyMembership() === 'invite')
    assert.equal(roomOf(bob, room).name, 'Tea')
    await bob.client.joinRoom(room)
    await seen(bob, 'being joined', () => bob.client.getRoom(room)?.getMyMembership() === 'join')
    await seen(alice, 'Bob in the room', () => alice.client.getRoom(room)?.getMember(bob.userId)?.membership === 'join')
    assert.equal(await crypto(bob).isEncryptionEnabledInRoom(room), true)
  })

  await step('encrypted messages in both directions', async () => {
    first = await say(alice, room, 'Hello Bob')
    assert.equal(await readMessage(bob, room, first), 'Hello Bob')
    second = await say(bob, room, 'Hello Alice')
    assert.equal(await readMessage(alice, room, second), 'Hello Alice')
    assert.equal((await received(alice, room, second)).getWireType(), 'm.room.encrypted')
  })

  await step('a thread', async () => {
    root = await say(alice, room, 'Which tea?')
    await received(bob, room, root)
    const answer = await say(bob, room, 'Earl Grey', root)
    assert.equal(await readMessage(alice, room, answer), 'Earl Grey')
    const thread = await seen(alice, 'the thread', () => roomOf(alice, room).getThread(root) ?? undefined)
    await until(thread, [ThreadEvent.Update, ThreadEvent.NewReply], 'the reply in the thread', () => thread.length === 1)
    const fromServer = await alice.client.relations(room, root, RelationType.Thread, null)
    assert.deepEqual(fromServer.events.map((event) => event.getId()), [answer])
  })

  await step('a reaction, an edit and a redaction', async () => {
    const reaction = await bob.client.sendEvent(room, EventType.Reaction, {
      'm.relates_to': { rel_type: RelationType.Annotation, event_id: first, key: '👋' },
    })
    await received(alice, room, reaction.event_id)
    await seen(alice, 'the reaction', () => {
      const relations = roomOf(alice, room).getUnfilteredTimelineSet().relations.getChildEventsForEvent(first, RelationType.Annotation, EventType.Reaction)
      return relations?.getSortedAnnotationsByKey()?.some(([key, events]) => key === '👋' && events.size === 1)
    })
    const edit = await bob.client.sendMessage(room, {
      'msgtype': MsgType.Text, 'body': '* Hello, dear Alice', 'm.new_content': { msgtype: MsgType.Text, body: 'Hello, dear Alice' },
      'm.relates_to': { rel_type: RelationType.Replace, event_id: second },
    })
    await received(alice, room, edit.event_id)
    await seen(alice, 'the edited text', () => roomOf(alice, room).findEventById(second)?.getContent()['body'] === 'Hello, dear Alice')
    const mistake = await say(bob, room, 'Wrong window')
    await received(alice, room, mistake)
    await bob.client.redactEvent(room, mistake, undefined, { reason: 'wrong window' })
    const redacted = await seen(alice, 'the redaction', () => {
      const event = roomOf(alice, room).findEventById(mistake)
      return event?.isRedacted() === true ? event : undefined
    })
    assert.equal(redacted.getContent()['body'], undefined)
    assert.equal((await bob.client.fetchRoomEvent(room, mistake)).content?.['ciphertext'], undefined)
  })

  await step('read receipts: public, private, in a thread', async () => {
    const newest = await say(alice, room, 'Read this')
    const event = await received(bob, room, newest)
    await bob.client.sendReadReceipt(await received(bob, room, second), ReceiptType.Read)
    await seen(alice, 'the public receipt', () => aliceReceipts.includes(`m.read ${bob.userId} ${second} main`))
    await bob.client.sendReadReceipt(event, ReceiptType.ReadPrivate)
    const inThread = await say(alice, room, 'Good choice', root)
    const reply = await received(bob, room, inThread)
    await seen(bob, 'the thread', () => reply.getThread()?.id === root)
    await bob.client.sendReadReceipt(reply, ReceiptType.Read)
    // It was sent after the private one, so that one would have been seen by now.
    await seen(alice, 'the receipt in the thread', () => aliceReceipts.includes(`m.read ${bob.userId} ${inThread} ${root}`))
    assert.deepEqual(aliceReceipts.filter((line) => line.startsWith('m.read.private')), [])
    await seen(bob, 'his own private receipt', () => bobReceipts.includes(`m.read.private ${bob.userId} ${newest} main`))
    await bob.client.sendReadReceipt(event, ReceiptType.Read, true)
    await seen(alice, 'the unthreaded receipt', () => aliceReceipts.includes(`m.read ${bob.userId} ${newest} `))
  })

  await step('typing and presence', async () => {
    await bob.client.sendTyping(room, true, 30_000)
    const isTyping = (): boolean => roomOf(alice, room).getMember(bob.userId)?.typing === true
    await until(alice.client, [RoomMemberEvent.Typing], 'Bob typing', isTyping)
    await bob.client.sendTyping(room, false, 30_000)
    await until(alice.client, [RoomMemberEvent.Typing], 'Bob not typing', () => !isTyping())
    await bob.client.setPresence({ presence: 'unavailable', status_msg: 'out for tea' })
    await seen(alice, "Bob's presence", () => alice.client.getUser(bob.userId)?.presenceStatusMsg === 'out for tea')
  })

  await step('an encrypted attachment', async () => {
    const secret = Buffer.from('the recipe of the scones')
    const { ciphertext, info } = await encryptAttachment(secret)
    const { content_uri: url } = await alice.client.uploadContent(new Blob([ciphertext]), { type: 'application/octet-stream', includeFilename: false })
    const sent = await alice.client.sendMessage(room, { msgtype: MsgType.File, body: 'recipe.txt', file: { ...info, url }, info: { size: secret.length } })
    const { file } = (await received(bob, room, sent.event_id)).getContent()
    assert.equal(file.url, url)
    assert.deepEqual(await decryptAttachment(await download(bob, file.url), file), secret)
  })

  await step('plain media and a thumbnail', async () => {
    const image = await sharp({ create: { width: 900, height: 600, channels: 3, background: 'teal' } }).png().toBuffer()
    const { content_uri: url } = await alice.client.uploadContent(new Blob([new Uint8Array(image)], { type: 'image/png' }), { type: 'image/png', name: 'cup.png' })
    assert.deepEqual(await download(bob, url), image)
    const { width = 0, height = 0 } = await sharp(await download(bob, url, 320)).metadata()
    // Not smaller than asked for, of the same shape, and smaller than the image.
    assert.ok(height >= 320 && width < 900 && Math.abs(width / height - 1.5) < 0.02, `The thumbnail is ${width}×${height}`)
  })

  await step('the clients go on over a restart of the server', async () => {
    await server.program.stop()
    for (const user of [alice, bob]) {
      await seen(user, 'the loss of the connection', () => user.client.getSyncState() === SyncState.Reconnecting || user.client.getSyncState() === SyncState.Error)
    }
    await server.run()
    for (const user of [alice, bob]) {
      user.client.retryImmediately()
      await seen(user, 'the connection', () => user.client.getSyncState() === SyncState.Syncing)
    }
    assert.equal(await readMessage(bob, room, await say(alice, room, 'Still there?')), 'Still there?')
    assert.equal(await readMessage(alice, room, await say(bob, room, 'Still here')), 'Still here')
  })

  const phone = await loginSdkUser(t, server.url, 'alice')

  await step('a second device of Alice reads the history from the backup with the recovery key', async () => {
    const sessions = (await crypto(alice).exportRoomKeys()).length
    await seen(alice, 'the backup of all keys', async () => {
      const { count } = await alice.client.http.authedRequest<{ count: number }>(Method.Get, '/room_keys/version')
      return count >= sessions
    })
    phone.recoveryKey = alice.recoveryKey
    await crypto(phone).loadSessionBackupPrivateKeyFromSecretStorage()
    const restored = await crypto(phone).restoreKeyBackup()
    assert.ok(restored.total >= sessions && sessions >= 2 && restored.imported === restored.total, JSON.stringify(restored))
    await phone.client.scrollback(roomOf(phone, room), 100)
    assert.equal(await readMessage(phone, room, first), 'Hello Bob')
    assert.equal(await readMessage(phone, room, second), 'Hello, dear Alice')
  })

  await step('Alice verifies her second device by comparing emoji', async () => {
    const known = await seen(alice, 'the second device', async () => (await crypto(alice).getDeviceVerificationStatus(alice.userId, phone.deviceId)) ?? undefined)
    assert.equal(known.crossSigningVerified, false)
    const atAlice = incomingRequest(alice)
    await verifyBySas(phone, await crypto(phone).requestOwnUserVerification(), alice, await atAlice)
    await seen(phone, 'the secrets of cross-signing', () => crypto(phone).isCrossSigningReady())
    await seen(bob, 'the signed device', async () => (await crypto(bob).getDeviceVerificationStatus(alice.userId, phone.deviceId))?.signedByOwner)
  })

  await step('Bob verifies Alice in the room', async () => {
    const atAlice = incomingRequest(alice)
    const request: VerificationRequest = await crypto(bob).requestVerificationDM(alice.userId, room)
    await verifyBySas(bob, request, alice, await atAlice)
    for (const [user, other] of [[bob, alice], [alice, bob]] as const) {
      await seen(user, `${other.userId} as verified`, async () => (await crypto(user).getUserVerificationStatus(other.userId)).isCrossSigningVerified())
    }
  })

  await step('a message reaches both devices', async () => {
    const message = await say(bob, room, 'To all your devices')
    for (const device of [alice, phone]) assert.equal(await readMessage(device, room, message), 'To all your devices')
  })

  await step('logging out ends a session, and the others learn of it', async () => {
    const token = phone.client.getAccessToken()
    await within('the log-out', phone.client.logout(true))
    const reply = await fetch(`${server.url}/_matrix/client/v3/account/whoami`, { headers: { authorization: `Bearer ${token}` } })
    assert.equal(reply.status, 401)
    await reply.body?.cancel()
    await seen(bob, 'the end of the device', async () => (await crypto(bob).getUserDeviceInfo([alice.userId])).get(alice.userId)?.size === 1)
    const devices = await alice.client.getDevices()
    assert.deepEqual(devices.devices.map((device) => device.device_id), [alice.deviceId])
  })

  assert.deepEqual(server.errors, [])
})
