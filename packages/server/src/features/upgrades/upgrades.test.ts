import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestClient } from '#test/kit/test-client.ts'
import { testServer } from '#test/kit/test-server.ts'

const at = (room: string): string => `/rooms/${encodeURIComponent(room)}`

async function state(client: TestClient, room: string, type: string, key = ''): Promise<Readonly<Record<string, unknown>>> {
  return client.get(`${at(room)}/state/${type}/${encodeURIComponent(key)}`).ok()
}

const pairs: readonly (readonly [string, string])[] = [['1', '12'], ['9', '10'], ['10', '12'], ['11', '11'], ['12', '12'], ['12', '11'], ['10', '6']]

for (const [from, to] of pairs) {
  test(`from room version ${from} to ${to}`, async (t) => {
    const server = await testServer(t, { config: 'room_list_publication_rules: [{action: allow}]\n' })
    const { alice, bob, room } = await server.withRoom({
      room_version: from, name: 'Old', topic: 'kept', room_alias_name: 'moved', visibility: 'public', creation_content: { type: 'm.space', 'm.federate': false },
      initial_state: [
        { type: 'm.room.server_acl', content: { allow: ['*'] } }, { type: 'org.example.own', content: { a: 1 } },
        { type: 'm.space.child', state_key: '!child:test.example', content: { via: ['test.example'] } },
      ],
    })
    const villain = await server.register('villain')
    await alice.post(`${at(room)}/ban`, { user_id: villain.userId, reason: 'spam' }).ok()
    const replacement = String((await alice.post(`${at(room)}/upgrade`, { new_version: to, additional_creators: [bob.userId] }).ok())['replacement_room'])
    const create = await state(alice, replacement, 'm.room.create')
    assert.equal(create['room_version'], to)
    assert.equal(create['type'], 'm.space')
    assert.equal(create['m.federate'], false)
    assert.deepEqual(create['additional_creators'], to === '12' ? [bob.userId] : undefined)
    const predecessor = create['predecessor'] as { room_id: string; event_id?: string }
    assert.deepEqual([predecessor.room_id, typeof predecessor.event_id], [room, to === '12' ? 'undefined' : 'string'])
    assert.equal((await state(alice, replacement, 'm.room.name'))['name'], 'Old')
    assert.equal((await state(alice, replacement, 'm.room.topic'))['topic'], 'kept')
    assert.deepEqual((await state(alice, replacement, 'm.room.server_acl'))['allow'], ['*'])
    assert.deepEqual((await state(alice, replacement, 'm.space.child', '!child:test.example'))['via'], ['test.example'])
    assert.equal((await state(alice, replacement, 'm.room.canonical_alias'))['alias'], '#moved:test.example')
    assert.deepEqual(await state(alice, replacement, 'm.room.member', villain.userId), { membership: 'ban', reason: 'spam' })
    await alice.get(`${at(replacement)}/state/org.example.own/`).fails(404, 'M_NOT_FOUND')
    const users = (await state(alice, replacement, 'm.room.power_levels'))['users'] as Record<string, number>
    assert.equal(users[alice.userId], to === '12' ? undefined : 100)
    assert.equal((await state(alice, room, 'm.room.tombstone'))['replacement_room'], replacement)
    assert.deepEqual(await state(alice, room, 'm.room.canonical_alias'), {})
    const levels = await state(alice, room, 'm.room.power_levels')
    assert.deepEqual([levels['events_default'], levels['invite']], [50, 50])
    await bob.put(`${at(room)}/send/m.room.message/1`, { body: 'x' }).fails(403, 'M_FORBIDDEN')
    assert.equal((await bob.get(`/directory/room/${encodeURIComponent('#moved:test.example')}`).ok())['room_id'], replacement)
    assert.equal((await bob.get(`/directory/list/room/${encodeURIComponent(room)}`).ok())['visibility'], 'private')
    assert.equal((await bob.get(`/directory/list/room/${encodeURIComponent(replacement)}`).ok())['visibility'], 'public')
    assert.deepEqual(server.errors, [])
  })
}

test('who may upgrade, and to what', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom({ room_version: '11' })
  const stranger = await server.register('stranger')
  await bob.post(`${at(room)}/upgrade`, { new_version: '12' }).fails(403, 'M_FORBIDDEN')
  await stranger.post(`${at(room)}/upgrade`, { new_version: '12' }).fails(403, 'M_FORBIDDEN')
  await alice.post(`${at(room)}/upgrade`, { new_version: 'nope' }).fails(400, 'M_UNSUPPORTED_ROOM_VERSION')
  await alice.post(`${at(room)}/upgrade`, {}).fails(400, 'M_MISSING_PARAM')
  await alice.post(`${at(room)}/upgrade`, { new_version: '12', additional_creators: ['bob'] }).fails(400, 'M_INVALID_PARAM')
  await alice.post(`${at('!unknown:test.example')}/upgrade`, { new_version: '12' }).fails(404, 'M_NOT_FOUND')
  await server.anonymous().post(`${at(room)}/upgrade`, { new_version: '12' }).fails(401, 'M_MISSING_TOKEN')
})

test('somebody with less power than the creator upgrades', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom({ room_version: '10', name: 'x' })
  const levels = await state(alice, room, 'm.room.power_levels')
  const events = { ...(levels['events'] as object), 'm.room.tombstone': 50, 'm.room.name': 90 }
  const users = { [alice.userId]: 100, [bob.userId]: 60 }
  await alice.put(`${at(room)}/state/m.room.power_levels/`, { ...levels, events, users }).ok()
  const replacement = String((await bob.post(`${at(room)}/upgrade`, { new_version: '11' }).ok())['replacement_room'])
  assert.deepEqual((await state(bob, replacement, 'm.room.power_levels'))['users'], users)
  assert.equal((await state(bob, replacement, 'm.room.name'))['name'], 'x')
})

/** What a user has set for a room, as `setUpSettings` sets it. */
async function settingsOf(client: TestClient, room: string): Promise<unknown> {
  const path = `/user/${client.userId}`
  const tags = (await client.get(`${path}${at(room)}/tags`).ok())['tags']
  const own = await client.get(`${path}${at(room)}/account_data/org.example.own`)
  const direct = (await client.get(`${path}/account_data/m.direct`).ok())['@friend:test.example']
  const { global } = (await client.get('/pushrules/').ok()) as { global: Record<string, { rule_id: string; conditions?: unknown; actions: unknown }[]> }
  const named = ['room', 'override'].flatMap((kind) => (global[kind] ?? []).filter(({ rule_id: id }) => id.includes(room)).map((rule) => [kind, rule.rule_id, rule.actions, rule.conditions]))
  const read = await client.get(`${path}${at(room)}/account_data/m.fully_read`)
  return { tags, own: own.body, isDirect: (direct as string[]).includes(room), named, read: read.status }
}

async function setUpSettings(client: TestClient, room: string): Promise<void> {
  const path = `/user/${client.userId}`
  await client.put(`${path}${at(room)}/tags/u.work`, { order: 0.5 }).ok()
  await client.put(`${path}${at(room)}/account_data/org.example.own`, { a: 1 }).ok()
  await client.put(`${path}/account_data/m.direct`, { '@friend:test.example': [room], '@other:test.example': ['!other:test.example'] }).ok()
  await client.put(`/pushrules/global/room/${encodeURIComponent(room)}`, { actions: ['notify'] }).ok()
  await client.put(`/pushrules/global/override/${encodeURIComponent(room)}`, { actions: [], conditions: [{ kind: 'event_match', key: 'room_id', pattern: room }] }).ok()
  await client.put('/pushrules/global/override/mine', { actions: [], conditions: [{ kind: 'event_match', key: 'room_id', pattern: room }] }).ok()
  const sent = await client.put(`${at(room)}/send/m.room.message/${client.userId}`, { body: 'x' }).ok()
  await client.post(`${at(room)}/read_markers`, { 'm.fully_read': sent['event_id'] }).ok()
}

function carried(room: string): unknown {
  const conditions = [{ kind: 'event_match', key: 'room_id', pattern: room }]
  return {
    tags: { 'u.work': { order: 0.5 } }, own: { a: 1 }, isDirect: true, read: 404,
    named: [['room', room, ['notify'], undefined], ['override', `mine_${room}`, [], conditions], ['override', room, [], conditions]],
  }
}

test('what users have set for the room follows them into the new one, once', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom({ preset: 'public_chat' })
  const carol = await server.register('carol')
  for (const client of [alice, bob, carol]) {
    await client.post(`/join/${encodeURIComponent(room)}`, {}).ok()
    await setUpSettings(client, room)
  }
  const replacement = String((await alice.post(`${at(room)}/upgrade`, { new_version: '11' }).ok())['replacement_room'])
  assert.deepEqual(await settingsOf(alice, replacement), carried(replacement))
  await bob.post(`/join/${encodeURIComponent(replacement)}`, {}).ok()
  assert.deepEqual(await settingsOf(bob, replacement), carried(replacement))
  await carol.put(`${at(replacement)}/state/m.room.member/${carol.userId}`, { membership: 'join' }).ok()
  assert.deepEqual(await settingsOf(carol, replacement), carried(replacement))
  await bob.delete(`/user/${bob.userId}${at(replacement)}/tags/u.work`).ok()
  await bob.delete(`/pushrules/global/room/${encodeURIComponent(replacement)}`).ok()
  await bob.post(`${at(replacement)}/leave`, {}).ok()
  await bob.post(`/join/${encodeURIComponent(replacement)}`, {}).ok()
  const { tags, named } = (await settingsOf(bob, replacement)) as { tags: unknown; named: unknown[] }
  assert.deepEqual([tags, named.length], [{}, 2])
  assert.deepEqual(server.errors, [])
})

test('a room that only says that it replaces another gets nothing of it', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom()
  await setUpSettings(alice, room)
  for (const predecessor of [{ room_id: room }, { room_id: '!unknown:test.example' }, {}, 'x', null]) {
    const claim = String((await bob.post('/createRoom', { preset: 'public_chat', creation_content: { predecessor } }).ok())['room_id'])
    await alice.post(`/join/${encodeURIComponent(claim)}`, {}).ok()
    const { tags, isDirect, named } = (await settingsOf(alice, claim)) as { tags: unknown; isDirect: boolean; named: unknown[] }
    assert.deepEqual([tags, isDirect, named], [{}, false, []])
  }
})
