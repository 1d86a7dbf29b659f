/**
 * People at clients of a second library, matrix-bot-sdk, against the started program: what the first library's stories do not show is that no client's
 * reading of the specification is built into the server.
 */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { AutojoinRoomsMixin, AutojoinUpgradedRoomsMixin, MatrixError, PowerLevelAction } from 'matrix-bot-sdk'
import sharp from 'sharp'
import { isObject, type JsonObject, type JsonValue } from '@myelin/protocol/json/json.ts'
import { guestBot, loginBot, registerBot, type BotUser } from '../kit/bot-client.ts'
import { ServerProcess } from '../kit/server-process.ts'

/** A refusal as the library reports it. */
async function refused(status: number, errcode: string, request: Promise<unknown>): Promise<void> {
  await assert.rejects(request, (error) => {
    assert.ok(error instanceof MatrixError, String(error))
    assert.equal(`${error.statusCode} ${error.errcode}`, `${status} ${errcode}`)
    return true
  })
}

/** Path of a room. */
function at(roomId: string): string {
  return `/rooms/${encodeURIComponent(roomId)}`
}

/** A list of objects in a reply, such as its `chunk`. */
function objects(value: JsonValue | undefined): JsonObject[] {
  assert.ok(Array.isArray(value), JSON.stringify(value))
  return value.filter(isObject)
}

function contentOf(event: JsonObject): JsonObject {
  const content = event['content']
  assert.ok(isObject(content), JSON.stringify(event))
  return content
}

/** A public room of one user with others in it. */
async function publicRoom(owner: BotUser, ...others: readonly BotUser[]): Promise<string> {
  const room = await owner.client.createRoom({ preset: 'public_chat' })
  for (const other of others) await other.client.joinRoom(room)
  return room
}

/** The server with Alice and Bob; nothing may have failed in it at the end. */
async function twoBots(t: TestContext): Promise<{ server: ServerProcess; alice: BotUser; bob: BotUser }> {
  // The library makes spaces whose creator stands among the users of their power levels, which room version 12 refuses.
  const config = "default_room_version: '11'\nroom_list_publication_rules: [{action: allow}]\n"
  const server = await ServerProcess.start(t, { config })
  return { server, alice: await registerBot(t, server.url, 'alice'), bob: await registerBot(t, server.url, 'bob') }
}

test('clients of the second library', async (t) => {
  const { server, alice, bob } = await twoBots(t)

  await t.test('messages: an invitation, replies, reactions, edits, receipts and what was before and after', async () => {
    const carol = await registerBot(t, server.url, 'carol')
    AutojoinRoomsMixin.setupOnClient(carol.client)
    const room = await alice.client.createRoom({ name: 'Tea', invite: [carol.userId], preset: 'trusted_private_chat' })
    await carol.told('room.join', room)
    const hello = await alice.client.sendText(room, 'Hello Carol')
    const heard = await carol.received(room, hello)
    assert.deepEqual(contentOf(heard), { msgtype: 'm.text', body: 'Hello Carol' })
    const reply = await carol.client.replyHtmlText(room, heard, '<b>Hello</b> Alice')
    const answered = contentOf(await alice.received(room, reply))
    assert.match(String(answered['formatted_body']), /^<mx-reply>.*<b>Hello<\/b> Alice$/s)
    const reaction = await carol.client.unstableApis.addReactionToEvent(room, hello, '👋')
    await alice.received(room, reaction)
    const { chunk } = await alice.request('GET', `/_matrix/client/v1${at(room)}/relations/${encodeURIComponent(hello)}/m.annotation/m.reaction`)
    assert.deepEqual(objects(chunk).map((event) => event['event_id']), [reaction])
    const edit = await alice.client.sendEvent(room, 'm.room.message', {
      'msgtype': 'm.text', 'body': '* Hello, dear Carol', 'm.new_content': { msgtype: 'm.text', body: 'Hello, dear Carol' },
      'm.relates_to': { rel_type: 'm.replace', event_id: hello },
    })
    await carol.received(room, edit)
    const { unsigned } = await carol.request('GET', `${at(room)}/event/${encodeURIComponent(hello)}`)
    assert.ok(JSON.stringify(unsigned).includes('Hello, dear Carol'))
    await carol.client.sendReadReceipt(room, edit)
    await carol.client.setTyping(room, true, 10_000)
    const around = await carol.client.getEventContext(room, reply, 4)
    assert.deepEqual([around.before[0]?.eventId, around.event.eventId, around.after[0]?.eventId], [hello, reply, reaction])
    assert.deepEqual((await carol.client.getJoinedRoomMembers(room)).sort(), [alice.userId, carol.userId])
    const { chunk: page } = await carol.request('GET', `${at(room)}/messages`, undefined, { dir: 'b', limit: 4 })
    assert.deepEqual(objects(page).map((event) => event['event_id']), [edit, reaction, reply, hello])
  })

  await t.test('media: upload, download, thumbnail; old links without a token lead nowhere', async () => {
    const image = await sharp({ create: { width: 400, height: 300, channels: 3, background: 'teal' } }).png().toBuffer()
    const mxc = await alice.client.uploadContent(image, 'image/png', 'cup.png')
    const path = `/_matrix/client/v1/media/download/${mxc.replace('mxc://', '')}`
    const bytes: unknown = await bob.client.doRequest('GET', path, null, null, 30_000, false, undefined, true)
    assert.ok(bytes instanceof Buffer && bytes.equals(image))
    const small: unknown = await bob.client.doRequest('GET', path.replace('download', 'thumbnail'), { width: 64, height: 64, method: 'crop' }, null, 30_000, false, undefined, true)
    assert.ok(small instanceof Buffer)
    const { width, height } = await sharp(small).metadata()
    // The nearest size at which the server keeps thumbnails.
    assert.deepEqual([width, height], [96, 96])
    const old = await fetch(bob.client.mxcToHttp(mxc))
    assert.equal(old.status, 404)
    await old.body?.cancel()
  })

  await t.test('spaces: children, their hierarchy, a child that is taken out', async () => {
    const town = await alice.client.createSpace({ name: 'Town', isPublic: true, invites: [bob.userId] })
    const street = await town.createChildSpace({ name: 'Street', isPublic: true, suggested: true })
    const house = await alice.client.createRoom({ name: 'House', preset: 'public_chat' })
    const cellar = await alice.client.createRoom({ name: 'Cellar', preset: 'private_chat' })
    await street.addChildRoom(house, { order: 'a' })
    await street.addChildRoom(cellar, { order: 'b' })
    assert.deepEqual(Object.keys(await street.getChildEntities()).sort(), [house, cellar].sort())
    const names = async (who: BotUser): Promise<unknown[]> =>
      objects((await who.request('GET', `/_matrix/client/v1${at(town.roomId)}/hierarchy`))['rooms']).map((room) => room['name'])
    assert.deepEqual(await names(alice), ['Town', 'Street', 'House', 'Cellar'])
    await bob.client.joinRoom(town.roomId)
    assert.deepEqual(await names(bob), ['Town', 'Street', 'House'])
    await street.removeChildRoom(house)
    assert.deepEqual(await names(bob), ['Town', 'Street'])
  })

  await t.test('threads: the list, the replies, who took part', async () => {
    const room = await publicRoom(alice, bob)
    const root = await alice.client.sendText(room, 'Which tea?')
    const inThread = (body: string): JsonObject => ({ 'msgtype': 'm.text', body, 'm.relates_to': { rel_type: 'm.thread', event_id: root } })
    const first = await bob.client.sendMessage(room, inThread('Earl Grey'))
    const second = await bob.client.sendMessage(room, inThread('with milk'))
    const { chunk } = await alice.request('GET', `/_matrix/client/v1${at(room)}/threads`)
    const [thread] = objects(chunk)
    assert.ok(thread)
    assert.equal(thread['event_id'], root)
    const summary = JSON.stringify(thread['unsigned'])
    assert.ok(summary.includes('"count":2') && summary.includes('with milk') && summary.includes('"current_user_participated":true'), summary)
    const { chunk: replies } = await alice.request('GET', `/_matrix/client/v1${at(room)}/relations/${encodeURIComponent(root)}/m.thread`, undefined, { dir: 'f' })
    assert.deepEqual(objects(replies).map((event) => event['event_id']), [first, second])
    await alice.request('POST', `${at(room)}/receipt/m.read/${encodeURIComponent(second)}`, { thread_id: root })
    assert.deepEqual(objects((await alice.request('GET', `/_matrix/client/v1${at(room)}/threads`, undefined, { include: 'participated' }))['chunk']).length, 1)
    assert.deepEqual(objects((await bob.request('GET', `/_matrix/client/v1${at(room)}/threads`, undefined, { include: 'participated' }))['chunk']).length, 1)
  })

  await t.test('polls: a question, answers, its end', async () => {
    const room = await publicRoom(alice, bob)
    const answers = [{ 'm.id': 'green', 'm.text': [{ body: 'Green' }] }, { 'm.id': 'black', 'm.text': [{ body: 'Black' }] }]
    const poll = await alice.client.sendEvent(room, 'm.poll.start', {
      'm.text': [{ body: 'Which tea? 1. Green 2. Black' }],
      'm.poll': { kind: 'm.disclosed', max_selections: 1, question: { 'm.text': [{ body: 'Which tea?' }] }, answers },
    })
    const refers = { 'm.relates_to': { rel_type: 'm.reference', event_id: poll } }
    await bob.received(room, poll)
    const vote = await bob.client.sendEvent(room, 'm.poll.response', { ...refers, 'm.selections': ['green'] })
    const changed = await bob.client.sendEvent(room, 'm.poll.response', { ...refers, 'm.selections': ['black'] })
    const end = await alice.client.sendEvent(room, 'm.poll.end', { ...refers, 'm.text': [{ body: 'Black it is' }] })
    await bob.received(room, end)
    const path = `/_matrix/client/v1${at(room)}/relations/${encodeURIComponent(poll)}/m.reference`
    assert.deepEqual(objects((await bob.request('GET', path))['chunk']).map((event) => event['event_id']), [end, changed, vote])
    assert.deepEqual(objects((await bob.request('GET', `${path}/m.poll.response`))['chunk']).map((event) => event['event_id']), [changed, vote])
  })

  await t.test('knocking: one is let in, one is turned away', async () => {
    const room = await alice.client.createRoom({ preset: 'private_chat', initial_state: [{ type: 'm.room.join_rules', state_key: '', content: { join_rule: 'knock' } }] })
    await refused(403, 'M_FORBIDDEN', bob.client.joinRoom(room))
    await bob.request('POST', `/knock/${encodeURIComponent(room)}`, { reason: 'I bring scones' })
    const knock = await alice.told('room.event', room, (event) => event['type'] === 'm.room.member' && event['state_key'] === bob.userId)
    assert.deepEqual([contentOf(knock)['membership'], contentOf(knock)['reason']], ['knock', 'I bring scones'])
    const { chunk } = await alice.request('GET', `${at(room)}/members`, undefined, { membership: 'knock' })
    assert.deepEqual(objects(chunk).map((member) => member['state_key']), [bob.userId])
    await alice.client.inviteUser(bob.userId, room)
    await bob.told('room.invite', room)
    assert.equal(await bob.client.joinRoom(room), room)
    await bob.client.leaveRoom(room)
    await bob.request('POST', `/knock/${encodeURIComponent(room)}`, {})
    await alice.client.kickUser(bob.userId, room, 'not again')
    await refused(403, 'M_FORBIDDEN', bob.client.joinRoom(room))
  })

  await t.test('restricted rooms: members of a space may join, others may not', async () => {
    const club = await alice.client.createSpace({ name: 'Club', isPublic: true })
    const rule = { join_rule: 'restricted', allow: [{ type: 'm.room_membership', room_id: club.roomId }] }
    const room = await alice.client.createRoom({ name: 'Lounge', preset: 'private_chat', initial_state: [{ type: 'm.room.join_rules', state_key: '', content: rule }] })
    await refused(403, 'M_FORBIDDEN', bob.client.joinRoom(room))
    await bob.client.joinRoom(club.roomId)
    assert.equal(await bob.client.joinRoom(room), room)
    assert.ok((await bob.client.getJoinedRooms()).includes(room))
  })

  await t.test('an upgrade: the bots follow into the new room', async () => {
    const dora = await registerBot(t, server.url, 'dora')
    AutojoinUpgradedRoomsMixin.setupOnClient(dora.client)
    const room = await alice.client.createRoom({ preset: 'public_chat', room_version: '9', name: 'Old house' })
    await dora.client.joinRoom(room)
    const { replacement_room: replacement } = await alice.request('POST', `${at(room)}/upgrade`, { new_version: '11' })
    assert.ok(typeof replacement === 'string')
    const archived = await dora.told('room.archived', room)
    assert.equal(contentOf(archived)['replacement_room'], replacement)
    await dora.told('room.join', replacement)
    const upgraded = await alice.told('room.upgraded', replacement)
    assert.ok(JSON.stringify(upgraded['content']).includes(room))
    assert.deepEqual(await dora.request('GET', `${at(replacement)}/state/m.room.name`), { name: 'Old house' })
    await refused(403, 'M_FORBIDDEN', dora.client.sendText(room, 'Is anybody here?'))
  })

  await t.test('search: what was said, by whom, in which room', async () => {
    const room = await publicRoom(alice, bob)
    const about = await alice.client.sendText(room, 'The marmalade is in the cupboard')
    const also = await bob.client.sendText(room, 'What marmalade?')
    await alice.client.sendText(room, 'Never mind')
    const search = async (filter: object): Promise<unknown[]> => {
      const reply = await bob.request('POST', '/search', { search_categories: { room_events: { search_term: 'marmalade', order_by: 'recent', filter } } })
      const categories = reply['search_categories']
      const found = isObject(categories) ? categories['room_events'] : undefined
      return objects(isObject(found) ? found['results'] : undefined).map(({ result }) => (isObject(result) ? result['event_id'] : undefined))
    }
    assert.deepEqual(await search({ rooms: [room] }), [also, about])
    assert.deepEqual(await search({ rooms: [room], senders: [alice.userId] }), [about])
    const { results } = await alice.request('POST', '/user_directory/search', { search_term: 'bob' })
    assert.deepEqual(objects(results).map((user) => user['user_id']), [bob.userId])
  })

  await t.test('moderation: power levels, removing, banning, redacting', async () => {
    const room = await publicRoom(alice, bob)
    assert.equal(await bob.client.userHasPowerLevelForAction(bob.userId, room, PowerLevelAction.Ban), false)
    await refused(403, 'M_FORBIDDEN', bob.client.banUser(alice.userId, room))
    const rude = await bob.client.sendText(room, 'Your tea is cold')
    await alice.client.redactEvent(room, rude, 'manners')
    await bob.told('room.event', room, (event) => event['type'] === 'm.room.redaction')
    assert.deepEqual((await bob.request('GET', `${at(room)}/event/${encodeURIComponent(rude)}`))['content'], {})
    await alice.client.kickUser(bob.userId, room, 'cool down')
    const removal = await bob.told('room.leave', room)
    assert.equal(contentOf(removal)['reason'], 'cool down')
    await bob.client.joinRoom(room)
    await alice.client.banUser(bob.userId, room, 'again')
    await refused(403, 'M_FORBIDDEN', bob.client.joinRoom(room))
    await alice.client.unbanUser(bob.userId, room)
    await bob.client.joinRoom(room)
    await alice.client.setUserPowerLevel(bob.userId, room, 50)
    assert.equal(await bob.client.userHasPowerLevelForAction(bob.userId, room, PowerLevelAction.Ban), true)
    assert.deepEqual(await bob.client.calculatePowerLevelChangeBoundsOn(bob.userId, room), { canModify: false, maximumPossibleLevel: 0 })
    await refused(403, 'M_FORBIDDEN', bob.client.kickUser(alice.userId, room))
    await refused(403, 'M_FORBIDDEN', bob.client.setUserPowerLevel(bob.userId, room, 100))
    await bob.request('POST', `${at(room)}/report`, { reason: 'cold tea' })
  })

  await t.test('guests read and write where they may, and nowhere else', async () => {
    const guest = await guestBot(t, server.url)
    const access = [{ type: 'm.room.guest_access', state_key: '', content: { guest_access: 'can_join' } }]
    const room = await alice.client.createRoom({ preset: 'public_chat', initial_state: access })
    await guest.client.joinRoom(room)
    await guest.client.start()
    const said = await guest.client.sendText(room, 'Just looking')
    assert.equal((await alice.received(room, said))['sender'], guest.userId)
    await guest.received(room, await alice.client.sendText(room, 'Welcome'))
    await refused(403, 'M_GUEST_ACCESS_FORBIDDEN', guest.client.createRoom())
    const closed = await alice.client.createRoom({ preset: 'public_chat', initial_state: [{ type: 'm.room.guest_access', state_key: '', content: { guest_access: 'forbidden' } }] })
    await refused(403, 'M_GUEST_ACCESS_FORBIDDEN', guest.client.joinRoom(closed))
    await alice.client.sendStateEvent(room, 'm.room.guest_access', '', { guest_access: 'forbidden' })
    await alice.told('room.event', room, (event) => event['state_key'] === guest.userId && contentOf(event)['membership'] === 'leave')
  })

  await t.test('a filter keeps out of sync what it does not ask for', async () => {
    const room = await publicRoom(alice, bob)
    const other = await publicRoom(alice, bob)
    const picky = await loginBot(t, server.url, 'bob', {
      room: { rooms: [room], timeline: { types: ['m.room.message'], not_senders: [bob.userId] }, state: { types: [] }, ephemeral: { types: [] } }, presence: { types: [] },
    })
    await bob.client.sendText(room, 'from himself')
    await alice.client.sendStateEvent(room, 'm.room.topic', '', { topic: 'Tea' })
    await alice.client.sendText(other, 'elsewhere')
    await picky.received(room, await alice.client.sendText(room, 'for him'))
    assert.deepEqual(picky.typesIn(room), ['m.room.message'])
    assert.deepEqual(picky.typesIn(other), [])
    picky.client.stop()
  })

  await t.test('account data, profiles, presence, direct chats, aliases and the directory', async () => {
    await alice.client.setAccountData('org.example.colour', { colour: 'teal' })
    await alice.told('account_data', '', (event) => event['type'] === 'org.example.colour')
    assert.deepEqual(await alice.client.getAccountData('org.example.colour'), { colour: 'teal' })
    await refused(404, 'M_NOT_FOUND', alice.client.getAccountData('org.example.none'))
    const room = await publicRoom(alice, bob)
    await alice.client.setRoomAccountData('org.example.mark', room, { at: 1 })
    await alice.told('room.account_data', room, (event) => event['type'] === 'org.example.mark')
    await bob.client.setDisplayName('Bob of the tea')
    const renamed = await alice.told('room.event', room, (event) => event['state_key'] === bob.userId && contentOf(event)['displayname'] === 'Bob of the tea')
    assert.equal(contentOf(renamed)['membership'], 'join')
    assert.deepEqual(await alice.client.getUserProfile(bob.userId), { displayname: 'Bob of the tea' })
    await bob.client.setPresenceStatus('unavailable', 'out for tea')
    assert.equal((await alice.client.getPresenceStatusFor(bob.userId)).statusMessage, 'out for tea')
    const direct = await alice.client.dms.getOrCreateDm(bob.userId)
    await bob.told('room.invite', direct)
    assert.equal(alice.client.dms.isDm(direct), true)
    await alice.client.createRoomAlias('#tea:test.example', room)
    assert.equal(await bob.client.resolveRoom('#tea:test.example'), room)
    await alice.client.setDirectoryVisibility(room, 'public')
    assert.equal(await bob.client.getDirectoryVisibility(room), 'public')
    await alice.client.deleteRoomAlias('#tea:test.example')
    await refused(404, 'M_NOT_FOUND', bob.client.lookupRoomAlias('#tea:test.example'))
    await bob.client.leaveRoom(room)
    await bob.told('room.leave', room)
    await bob.client.forgetRoom(room)
    assert.ok(!(await bob.client.getJoinedRooms()).includes(room))
  })

  assert.deepEqual(server.errors, [])
})
