/** Who may read what of a room: every kind of member under every history visibility, at every reading endpoint. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import type { TestClient } from '../kit/test-client.ts'
import { testServer } from '../kit/test-server.ts'

interface Scene {
  readonly room: string
  /** A token of history from after everything. */
  readonly latest: string
  /** Sent before anybody but Alice was in the room. */
  readonly early: string
  /** Sent while the former and banned members were joined. */
  readonly middle: string
  /** Sent after they had gone. */
  readonly late: string
  readonly users: Readonly<Record<Who, TestClient>>
}

type Who = 'joined' | 'left' | 'banned' | 'invited' | 'knocked' | 'stranger'
const everybody: readonly Who[] = ['joined', 'left', 'banned', 'invited', 'knocked', 'stranger']

async function say(client: TestClient, room: string, body: string): Promise<string> {
  const reply = await client.put(`/rooms/${encodeURIComponent(room)}/send/m.room.message/${body}`, { msgtype: 'm.text', body }).ok()
  return String(reply['event_id'])
}

/** A room with a user of each kind; the rule is `knock`, so all but the creator are invited before they join. */
async function scene(t: TestContext, visibility: string): Promise<Scene> {
  const server = await testServer(t)
  const alice = await server.register('alice')
  const users = Object.fromEntries(await Promise.all(everybody.map(async (who) => [who, await server.register(who)] as const))) as Scene['users']
  const initial = [
    { type: 'm.room.history_visibility', state_key: '', content: { history_visibility: visibility } },
    { type: 'm.room.join_rules', state_key: '', content: { join_rule: 'knock' } },
  ]
  const room = String((await alice.post('/createRoom', { initial_state: initial }).ok())['room_id'])
  const path = `/rooms/${encodeURIComponent(room)}`
  const early = await say(alice, room, 'early')
  for (const who of ['joined', 'left', 'banned', 'invited'] as const) await alice.post(`${path}/invite`, { user_id: users[who].userId }).ok()
  for (const who of ['joined', 'left', 'banned'] as const) await users[who].post(`${path}/join`, {}).ok()
  const middle = await say(alice, room, 'middle')
  await users.left.post(`${path}/leave`, {}).ok()
  await alice.post(`${path}/ban`, { user_id: users.banned.userId }).ok()
  await users.knocked.post(`/knock/${encodeURIComponent(room)}`, {}).ok()
  const late = await say(alice, room, 'late')
  for (const [name, parent] of Object.entries({ early, middle, late })) {
    const relation = { rel_type: 'm.thread', event_id: parent }
    // All answers are written now, after the former members have gone.
    await alice.put(`${path}/send/m.room.message/thread-${name}`, { msgtype: 'm.text', body: `thread ${name}`, 'm.relates_to': relation }).ok()
  }
  const latest = String((await alice.get(`${path}/messages?dir=b&limit=1`).ok())['start'])
  return { room, latest, early, middle, late, users }
}

/** Which of the three messages each kind of user sees. */
const expected: Readonly<Record<string, Readonly<Record<Who, readonly string[]>>>> = {
  world_readable: {
    joined: ['early', 'middle', 'late'], left: ['early', 'middle', 'late'], banned: ['early', 'middle', 'late'],
    invited: ['early', 'middle', 'late'], knocked: ['early', 'middle', 'late'], stranger: ['early', 'middle', 'late'],
  },
  shared: { joined: ['early', 'middle', 'late'], left: ['early', 'middle'], banned: ['early', 'middle'], invited: [], knocked: [], stranger: [] },
  invited: { joined: ['middle', 'late'], left: ['middle'], banned: ['middle'], invited: [], knocked: [], stranger: [] },
  joined: { joined: ['middle', 'late'], left: ['middle'], banned: ['middle'], invited: [], knocked: [], stranger: [] },
}

/** Endpoints that a user who may not read the room at all is refused. */
const readings: readonly string[] = ['/messages?dir=b', '/state', '/state/m.room.create/', '/members', '/initialSync']

interface Readable {
  readonly visibility: string
  readonly room: string
  readonly latest: string
  readonly names: readonly string[]
  readonly mayRead: boolean
  readonly early: string
  readonly middle: string
  readonly late: string
}

/** Relations, threads, aliases, summaries, times and former member lists: each shows no more than the room itself does. */
async function furtherReadings(client: TestClient, who: Who, scene: Readable): Promise<void> {
  const { visibility, names, mayRead } = scene
  const id = encodeURIComponent(scene.room)
  const path = `/rooms/${id}`
  const v1 = `/_matrix/client/v1/rooms/${id}`
  const seesAll = names.includes('late')
  for (const name of ['early', 'middle', 'late'] as const) {
    const relations = client.get(`${v1}/relations/${encodeURIComponent(scene[name])}`)
    const mayAsk = names.includes(name) || (who === 'invited' && visibility === 'invited' && name !== 'early')
    if (!mayAsk) await relations.fails(404, 'M_NOT_FOUND')
    else assert.equal(((await relations.ok())['chunk'] as unknown[]).length, seesAll || who === 'invited' ? 1 : 0, `${who} sees ${name}'s relations`)
  }
  const times = client.get(`${v1}/timestamp_to_event?ts=99999999999999&dir=b`)
  const threads = client.get(`${v1}/threads`)
  const members = client.get(`${path}/members?at=${encodeURIComponent(scene.latest)}`)
  const summary = client.get(`/_matrix/client/v1/room_summary/${id}`)
  const hierarchy = client.get(`${v1}/hierarchy`)
  if (who === 'joined' || visibility === 'world_readable') await client.get(`${path}/aliases`).ok()
  else await client.get(`${path}/aliases`).fails(403, 'M_FORBIDDEN')
  // The join rule `knock` shows the summary to everybody but the banned.
  if (who === 'banned' && visibility !== 'world_readable') {
    await summary.fails(404, 'M_NOT_FOUND')
    await hierarchy.fails(403, 'M_FORBIDDEN')
  } else {
    await summary.ok()
    assert.equal(((await hierarchy.ok())['rooms'] as unknown[]).length, 1)
  }
  if (!mayRead) {
    await times.fails(403, 'M_FORBIDDEN')
    await threads.fails(403, 'M_FORBIDDEN')
    await members.fails(403, 'M_FORBIDDEN')
    return
  }
  const nearest = String((await times.ok())['event_id'])
  await client.get(`${path}/event/${encodeURIComponent(nearest)}`).ok()
  const roots = ((await threads.ok())['chunk'] as { event_id: string; unsigned: { 'm.relations'?: object } }[]).filter((event) => event.unsigned['m.relations'] !== undefined)
  if (!seesAll) assert.deepEqual(roots, [], 'no thread whose answers came later')
  else assert.deepEqual(roots.map((event) => event.event_id).sort(), names.map((name) => scene[name as 'early']).sort())
  const present = ((await members.ok())['chunk'] as { state_key: string; content: { membership: string } }[])
    .filter((event) => event.content.membership === 'knock').map((event) => event.state_key)
  assert.deepEqual(present, seesAll ? ['@knocked:test.example'] : [], `${who} sees only the members of their time`)
}

/** Search finds what the user can read in rooms that have to do with the user. */
async function searching(client: TestClient, who: Who, visibility: string, names: readonly string[]): Promise<void> {
  const body = { search_categories: { room_events: { search_term: 'early or middle or late', order_by: 'recent', filter: { limit: 100 } } } }
  const categories = (await client.post('/search', body).ok())['search_categories'] as { room_events: { results: { result: { content: { body: string } } }[] } }
  const found = categories.room_events.results.map(({ result }) => result.content.body).filter((text) => !text.startsWith('thread')).reverse()
  const readable = who === 'invited' && visibility === 'invited' ? ['middle', 'late'] : names
  assert.deepEqual(found, who === 'stranger' ? [] : readable, `${who} finds`)
}

for (const [visibility, table] of Object.entries(expected)) {
  test(`case 77: what is seen of a room whose history is ${visibility}`, async (t) => {
    const { room, users, latest, ...events } = await scene(t, visibility)
    const path = `/rooms/${encodeURIComponent(room)}`
    for (const who of everybody) {
      const client = users[who]
      const names = table[who] ?? []
      await t.test(who, async () => {
        for (const name of ['early', 'middle', 'late'] as const) {
          // An invited user sees single events from the invite on where the history is shown to the invited.
          const afterInvite = who === 'invited' && visibility === 'invited' && name !== 'early'
          const event = client.get(`${path}/event/${encodeURIComponent(events[name])}`)
          if (names.includes(name) || afterInvite) assert.equal((await event.ok())['event_id'], events[name])
          else await event.fails(404, 'M_NOT_FOUND')
        }
        await searching(client, who, visibility, names)
        const mayRead = names.length > 0
        await furtherReadings(client, who, { visibility, room, latest, names, mayRead, ...events })
        if (!mayRead) {
          for (const reading of readings) await client.get(path + reading).fails(403, 'M_FORBIDDEN')
          await client.get(`${path}/context/${encodeURIComponent(events.middle)}`).fails(403, 'M_FORBIDDEN')
          await client.get(`${path}/joined_members`).fails(403, 'M_FORBIDDEN')
          return
        }
        const page = await client.get(`${path}/messages?dir=f&limit=100`).ok()
        const bodies = (page['chunk'] as { type: string; content: { body?: string } }[]).filter((event) => event.type === 'm.room.message').map((event) => event.content.body)
        assert.deepEqual(bodies.filter((body) => !body?.startsWith('thread')), names)
        await client.get(`${path}/state`).ok()
        const joinedMembers = client.get(`${path}/joined_members`)
        if (who === 'joined') await joinedMembers.ok()
        else await joinedMembers.fails(403, 'M_FORBIDDEN')
      })
    }
  })
}

test('a former member reads the state as it was on leaving', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom({ name: 'before' })
  const path = `/rooms/${encodeURIComponent(room)}`
  await bob.post(`${path}/leave`, {}).ok()
  await alice.put(`${path}/state/m.room.name/`, { name: 'after' }).ok()
  assert.equal((await bob.get(`${path}/state/m.room.name/`).ok())['name'], 'before')
  await bob.post(`${path}/forget`, {}).ok()
  await bob.get(`${path}/state/m.room.name/`).fails(403, 'M_FORBIDDEN')
})

test('case 65: a page that holds nothing visible does not end the history', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom({ initial_state: [{ type: 'm.room.history_visibility', state_key: '', content: { history_visibility: 'joined' } }] })
  const path = `/rooms/${encodeURIComponent(room)}`
  const first = await say(bob, room, 'seen')
  await bob.post(`${path}/leave`, {}).ok()
  for (let index = 0; index < 150; index += 1) await say(alice, room, `hidden${index}`)
  await bob.post(`/join/${encodeURIComponent(room)}`, {}).ok()
  const found: string[] = []
  let from = ''
  for (let page = 0; page < 20 && !found.includes(first); page += 1) {
    const reply = await bob.get(`${path}/messages?dir=b&limit=5${from}`).ok()
    found.push(...(reply['chunk'] as { event_id: string }[]).map((event) => event.event_id))
    if (reply['end'] === undefined) break
    from = `&from=${encodeURIComponent(String(reply['end']))}`
  }
  assert.ok(found.includes(first))
})

test('an event of another room is not found through this one', async (t) => {
  const server = await testServer(t)
  const { alice, bob, room } = await server.withRoom()
  const secret = String((await alice.post('/createRoom', {}).ok())['room_id'])
  const hidden = await say(alice, secret, 'secret')
  const path = `/rooms/${encodeURIComponent(room)}`
  await bob.get(`${path}/event/${encodeURIComponent(hidden)}`).fails(404, 'M_NOT_FOUND')
  await bob.get(`${path}/context/${encodeURIComponent(hidden)}`).fails(404, 'M_NOT_FOUND')
  await alice.put(`${path}/redact/${encodeURIComponent(hidden)}/1`, {}).fails(400, 'M_INVALID_PARAM')
})
