/** Rooms under attack: power, redactions, access lists, invites, aliases, transactions, and what must stay between two people. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestClient } from '../kit/test-client.ts'
import { at, besieged, roomOf } from '../kit/security.ts'
import { send, setState, syncOk } from '../kit/syncing.ts'

const versions = ['1', '3', '6', '9', '10', '11', '12']

/** Puts state and gives the status. */
async function statusOf(client: TestClient, room: string, type: string, content: object, stateKey = ''): Promise<number> {
  return (await client.put(`${at(room)}/state/${type}/${encodeURIComponent(stateKey)}`, content)).status
}

test('case 44: access lists of servers, however broken or heavy, harm nobody', async (t) => {
  const { server, unharmed } = await besieged(t)
  const alice = await server.register('alice')
  const room = await roomOf(alice)
  const heavy = Array.from({ length: 1_000 }, (_, index) => `${'*a'.repeat(15)}${index}?*`)
  const lists: object[] = [
    { allow: 'not a list', deny: 5 }, { allow: [null, 5, {}], deny: [[]] }, { allow: ['*'], deny: heavy }, { allow: heavy, deny: [] },
    { allow: ['TEST.EXAMPLE'], allow_ip_literals: 'no' }, {}, { __proto__x: ['*'], constructor: [], allow: ['*:8448', '1.2.3.4', '[::1]'] },
  ]
  for (const acl of lists) {
    await setState(alice, room, 'm.room.server_acl', acl)
    const began = performance.now()
    await send(alice, room, 'still here')
    assert.ok(performance.now() - began < 500)
  }
  assert.equal(await statusOf(alice, room, 'm.room.server_acl', { deny: Array.from({ length: 10_000 }, () => '*.evil.example') }), 413)
  await unharmed()
})

test('case 46: without power levels only the creator sets state', async (t) => {
  const { server, unharmed } = await besieged(t)
  const { alice, bob, room } = await server.withRoom()
  // A client cannot take the event away; emptied, it falls back to the defaults as they are without users.
  await setState(alice, room, 'm.room.power_levels', {})
  await bob.put(`${at(room)}/state/m.room.topic/`, { topic: 'x' }).fails(403, 'M_FORBIDDEN')
  await bob.put(`${at(room)}/state/m.room.power_levels/`, { users: { [bob.userId]: 100 } }).fails(403, 'M_FORBIDDEN')
  await unharmed()
})

test('case 49: creators of version 12 stand in no power levels, and additional ones are user ids', async (t) => {
  const { server, unharmed } = await besieged(t)
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  const room = await roomOf(alice, { room_version: '12', creation_content: { additional_creators: [bob.userId] } })
  for (const creator of [alice.userId, bob.userId]) {
    for (const level of [0, 100, -1]) assert.ok([400, 403].includes(await statusOf(alice, room, 'm.room.power_levels', { users: { [creator]: level } })))
  }
  for (const additional of [['bob'], ['@bob'], [5], [null], 'x', { '@bob:test.example': true }, [`@${'a'.repeat(255)}:test.example`], ['__proto__']]) {
    const reply = await alice.post('/createRoom', { room_version: '12', creation_content: { additional_creators: additional } })
    assert.equal(reply.status, 400, JSON.stringify(additional))
  }
  const reply = await alice.post('/createRoom', { room_version: '12', power_level_content_override: { users: { [alice.userId]: 100 } } })
  assert.ok([200, 400].includes(reply.status))
  await unharmed()
})

for (const version of versions) {
  test(`cases 50, 52: power and redactions in version ${version}`, async (t) => {
    const { server, unharmed } = await besieged(t)
    const [alice, bob, carol, dan] = await Promise.all(['alice', 'bob', 'carol', 'dan'].map((name) => server.register(name))) as [TestClient, TestClient, TestClient, TestClient]
    const room = await roomOf(alice, { room_version: version, preset: 'public_chat' })
    for (const client of [bob, carol, dan]) await client.post(`/join/${encodeURIComponent(room)}`, {}).ok()
    const creator: Record<string, number> = version === '12' ? {} : { [alice.userId]: 100 }
    const users = { ...creator, [bob.userId]: 50, [carol.userId]: 50 }
    const levels = { users, events: { 'm.room.power_levels': 50, 'org.high': 90 }, ban: 50, kick: 50, redact: 50 }
    await setState(alice, room, 'm.room.power_levels', levels)
    const refused: object[] = [
      { ...levels, users: { ...users, [bob.userId]: 51 } },
      { ...levels, users: { ...users, [dan.userId]: 51 } },
      { ...levels, users: { ...creator, [bob.userId]: 50 } },
      { ...levels, users: { ...users, [carol.userId]: 0 } },
      ...(version === '12' ? [] : [{ ...levels, users: { ...users, [alice.userId]: 0 } }, { ...levels, users: { [bob.userId]: 50, [carol.userId]: 50 } }]),
      { ...levels, events: { ...levels.events, 'org.high': 0 } },
      { ...levels, events: { ...levels.events, 'org.other': 51 } },
      { ...levels, ban: 100 }, { ...levels, users_default: 51 },
    ]
    for (const content of refused) assert.equal(await statusOf(bob, room, 'm.room.power_levels', content), 403, JSON.stringify(content))
    for (const verb of ['kick', 'ban']) {
      await bob.post(`${at(room)}/${verb}`, { user_id: carol.userId }).fails(403, 'M_FORBIDDEN')
      await bob.post(`${at(room)}/${verb}`, { user_id: alice.userId }).fails(403, 'M_FORBIDDEN')
      await dan.post(`${at(room)}/${verb}`, { user_id: bob.userId }).fails(403, 'M_FORBIDDEN')
    }
    const redact = (client: TestClient, eventId: string, txn: string) => client.put(`${at(room)}/redact/${encodeURIComponent(eventId)}/${txn}`, {})
    const state = JSON.parse((await alice.get(`${at(room)}/state`)).text) as { type: string; event_id: string }[]
    for (const type of ['m.room.create', 'm.room.power_levels', 'm.room.join_rules']) {
      const eventId = state.find((event) => event.type === type)?.event_id ?? ''
      await redact(dan, eventId, type).fails(403, 'M_FORBIDDEN')
      const reply = await redact(alice, eventId, type)
      assert.ok([200, 403].includes(reply.status), `${type}: ${reply.text}`)
    }
    await alice.get(`${at(room)}/state/m.room.create/`).ok()
    assert.equal(await statusOf(dan, room, 'm.room.power_levels', { users: { [dan.userId]: 100 } }), 403)
    const message = await send(dan, room, 'to be redacted')
    const first = String((await redact(alice, message, 'a').ok())['event_id'])
    const second = String((await redact(alice, first, 'b').ok())['event_id'])
    await redact(alice, second, 'c').ok()
    await redact(alice, second, 'd').ok()
    await redact(alice, '$unknown:test.example', 'e').fails(400, 'M_INVALID_PARAM')
    const sent = await alice.put(`${at(room)}/send/m.room.redaction/f`, { redacts: '$elsewhere:test.example' })
    assert.equal(sent.status, 400)
    assert.deepEqual((await alice.get(`${at(room)}/event/${encodeURIComponent(message)}`).ok())['content'], {})
    await send(dan, room, 'the room lives')
    await syncOk(dan)
    await unharmed()
  })
}

test('case 53: a client cannot redeem third-party invites that nobody issued, nor make memberships of others', async (t) => {
  const { server, unharmed } = await besieged(t)
  const { alice, bob, room } = await server.withRoom({ preset: 'private_chat', invite: ['@bob:test.example'] })
  const carol = await server.register('carol')
  const signed = { mxid: carol.userId, token: 'abc', signatures: { 'id.example': { 'ed25519:0': 'AAAA' } } }
  for (const invite of [{ display_name: 'x', signed }, { signed: { ...signed, mxid: bob.userId } }, { signed: null }, null, 5, {}]) {
    const status = await statusOf(alice, room, 'm.room.member', { membership: 'invite', third_party_invite: invite }, carol.userId)
    assert.ok([400, 403].includes(status), `${JSON.stringify(invite)}: ${status}`)
  }
  for (const membership of ['join', 'knock', 'wave', null, 5]) assert.ok([400, 403].includes(await statusOf(alice, room, 'm.room.member', { membership }, carol.userId)))
  for (const key of ['', 'carol', '@carol', `${carol.userId}x y`, '__proto__']) assert.ok([400, 403].includes(await statusOf(alice, room, 'm.room.member', { membership: 'join' }, key)), key)
  assert.equal((await syncOk(carol)).rooms?.invite?.[room], undefined)
  await unharmed()
})

test('case 79: transaction ids, edits of others and ignored users stay out of what others read', async (t) => {
  const { server, unharmed } = await besieged(t)
  const { alice, bob, room } = await server.withRoom()
  const other = await server.login('alice')
  const sent = await alice.put(`${at(room)}/send/m.room.message/private-transaction`, { msgtype: 'm.text', body: 'original' }).ok()
  const eventId = encodeURIComponent(String(sent['event_id']))
  const edit = { msgtype: 'm.text', body: '* forged', 'm.new_content': { msgtype: 'm.text', body: 'forged' }, 'm.relates_to': { rel_type: 'm.replace', event_id: sent['event_id'] } }
  await bob.put(`${at(room)}/send/m.room.message/forge`, edit).ok()
  const v1 = `/_matrix/client/v1${at(room)}`
  const readings = [`${at(room)}/event/${eventId}`, `${at(room)}/context/${eventId}`, `${at(room)}/messages?dir=b`, '/sync', `${at(room)}/initialSync`, `${v1}/relations/${eventId}`]
  for (const reading of readings) {
    for (const reader of [bob, other]) assert.ok(!(await reader.get(reading)).text.includes('private-transaction'), reading)
    assert.ok(!(await alice.get(reading)).text.includes('"m.replace":{'), `${reading} bundles a forged edit`)
  }
  assert.ok((await alice.get(`${at(room)}/event/${eventId}`)).text.includes('private-transaction'))
  await alice.put(`/user/${encodeURIComponent(alice.userId)}/account_data/m.ignored_user_list`, { ignored_users: { [bob.userId]: {} } }).ok()
  const answer = { msgtype: 'm.text', body: 'ignored answer', 'm.relates_to': { rel_type: 'm.thread', event_id: sent['event_id'] } }
  await bob.put(`${at(room)}/send/m.room.message/answer`, answer).ok()
  for (const reading of readings) assert.ok(!(await alice.get(reading)).text.includes('ignored answer'), reading)
  await unharmed()
})

test('case 83: what is shown with an invite is the server\'s, and bounded when the room is made', async (t) => {
  const { server, unharmed } = await besieged(t)
  const [alice, bob] = [await server.register('alice'), await server.register('bob')]
  for (const huge of [{ name: 'x'.repeat(70_000) }, { topic: '🦀'.repeat(20_000) }, { initial_state: [{ type: 'm.room.avatar', content: { url: 'x'.repeat(70_000) } }] }]) {
    const reply = await alice.post('/createRoom', { invite: [bob.userId], ...huge })
    assert.ok([400, 413].includes(reply.status), reply.text)
  }
  const odd = [null, 5, 'text', { events: [] }, [{ type: 5 }], [[]]]
  for (const [index, value] of odd.entries()) {
    const room = await roomOf(alice, { name: `odd ${index}` })
    await alice.put(`${at(room)}/state/m.room.member/${encodeURIComponent(bob.userId)}`, {
      membership: 'invite', invite_room_state: value, unsigned: { invite_room_state: value }, displayname: value, avatar_url: value, is_direct: value,
    })
    await alice.post(`${at(room)}/invite`, { user_id: bob.userId, invite_room_state: value })
  }
  const invites = (await syncOk(bob)).rooms?.invite ?? {}
  assert.ok(Object.keys(invites).length > 0)
  for (const { invite_state: state } of Object.values(invites)) {
    for (const event of state.events) assert.equal(typeof event.type, 'string')
    assert.ok(state.events.some((event) => event.type === 'm.room.create' || event.type === 'm.room.name'))
  }
  await unharmed()
})

test('case 85: an alias is deleted by its maker or by power, is never re-pointed, and gives no authority', async (t) => {
  const { server, unharmed } = await besieged(t)
  const { alice, bob, room } = await server.withRoom()
  const own = await roomOf(bob, { preset: 'public_chat' })
  const alias = (name: string) => `/directory/room/${encodeURIComponent(`#${name}:test.example`)}`
  await alice.put(alias('admins'), { room_id: room }).ok()
  await bob.delete(alias('admins')).fails(403, 'M_FORBIDDEN')
  await bob.put(alias('admins'), { room_id: own }).fails(409, 'M_UNKNOWN')
  assert.equal((await bob.get(alias('admins')).ok())['room_id'], room)
  // A canonical alias of a room must point to that room.
  await bob.put(`${at(own)}/state/m.room.canonical_alias/`, { alias: '#admins:test.example' }).fails(400, 'M_BAD_ALIAS')
  await bob.put(alias('bobs'), { room_id: room }).ok()
  await alice.delete(alias('bobs')).ok()
  await bob.put(alias('own'), { room_id: own }).ok()
  await alice.delete(alias('own')).fails(403, 'M_FORBIDDEN')
  const stranger = await server.register('stranger')
  await stranger.put(alias('foreign'), { room_id: room }).fails(403, 'M_FORBIDDEN')
  await unharmed()
})

test('case 88: a transaction belongs to one device and one room, and its id is bounded', async (t) => {
  const { server, unharmed } = await besieged(t)
  const { alice, bob, room } = await server.withRoom()
  const [second, elsewhere] = [await server.login('alice'), await roomOf(alice)]
  const post = async (client: TestClient, where: string, txn: string) =>
    String((await client.put(`${at(where)}/send/m.room.message/${txn}`, { msgtype: 'm.text', body: 'x' }).ok())['event_id'])
  const ids = [await post(alice, room, 'a%2Fb'), await post(second, room, 'a%2Fb'), await post(bob, room, 'a%2Fb'), await post(alice, elsewhere, 'a%2Fb'), await post(alice, room, 'a')]
  assert.equal(new Set(ids).size, ids.length)
  assert.equal(await post(alice, room, 'a%2Fb'), ids[0])
  for (const size of [256, 2_000, 8_000]) {
    for (const call of [
      alice.put(`${at(room)}/send/m.room.message/${'t'.repeat(size)}`, { msgtype: 'm.text', body: 'x' }),
      alice.put(`${at(room)}/redact/${encodeURIComponent(ids[0] ?? '')}/${'t'.repeat(size)}`, {}),
    ]) await call.fails(400, 'M_INVALID_PARAM')
    const reply = await alice.put(`/sendToDevice/x/${'t'.repeat(size)}`, { messages: { [bob.userId]: { '*': {} } } })
    assert.ok(reply.status < 500)
  }
  // Longer than all headers may be together: the HTTP server answers itself, or closes the connection.
  const endless = await alice.put(`${at(room)}/send/m.room.message/${'t'.repeat(65_536)}`, {}).then((reply) => reply.status, () => 431)
  assert.ok([400, 414, 431].includes(endless), String(endless))
  await unharmed()
})

test('case 89: a redacted event is gone wherever it was shown', async (t) => {
  const { server, unharmed } = await besieged(t, { config: 'room_list_publication_rules: [{action: allow}]\n' })
  const { alice, bob, room } = await server.withRoom({ visibility: 'public' })
  const v1 = `/_matrix/client/v1${at(room)}`
  const root = await send(bob, room, 'the root')
  const secret = await send(bob, room, 'sensitive words for alice', { 'm.relates_to': { rel_type: 'm.thread', event_id: root } })
  const edit = await send(bob, room, '* sensitive edit', {
    'm.new_content': { msgtype: 'm.text', body: 'sensitive edit' }, 'm.relates_to': { rel_type: 'm.replace', event_id: secret },
  })
  const topic = await setState(alice, room, 'm.room.topic', { topic: 'sensitive topic' })
  const before = await syncOk(alice)
  assert.ok(JSON.stringify(before).includes('sensitive'))
  for (const [index, [client, target]] of ([[bob, secret], [bob, edit], [alice, topic]] as const).entries()) {
    await client.put(`${at(room)}/redact/${encodeURIComponent(target)}/${index}`, {}).ok()
  }
  const readings = [
    ...[root, secret, edit, topic].flatMap((id) => [`${at(room)}/event/${encodeURIComponent(id)}`, `${at(room)}/context/${encodeURIComponent(id)}`, `${v1}/relations/${encodeURIComponent(id)}`]),
    `${at(room)}/messages?dir=b&limit=50`, `${at(room)}/messages?dir=f&limit=50`, '/sync', `/sync?since=${before.next_batch}`, '/initialSync', `${at(room)}/initialSync`, `${at(room)}/state`,
    `${v1}/threads`, '/notifications', '/publicRooms', `/_matrix/client/v1/room_summary/${encodeURIComponent(room)}`, `${v1}/hierarchy`, `/events/${encodeURIComponent(secret)}`,
  ]
  for (const reading of readings) for (const reader of [alice, bob]) assert.ok(!(await reader.get(reading)).text.includes('sensitive'), reading)
  assert.deepEqual(await alice.get(`${at(room)}/state/m.room.topic/`).ok(), {})
  for (const order_by of ['rank', 'recent']) {
    const found = await alice.post('/search', { search_categories: { room_events: { search_term: 'sensitive', order_by, event_context: {}, include_state: true } } })
    assert.ok(!found.text.replace('"highlights":["sensitive"]', '').includes('sensitive'))
  }
  const { database, searchIndexing } = server.services
  await searchIndexing.caughtUp()
  const index = database.dialect === 'postgres' ? 'SELECT document::text AS words FROM event_search' : 'SELECT words FROM event_search'
  assert.ok(!JSON.stringify(await database.rows(index, [])).includes('sensit'))
  await unharmed()
})
