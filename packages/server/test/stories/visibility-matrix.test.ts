/**
 * Every endpoint that reads, as it is declared, asked by every kind of user under every history visibility: nowhere does a word turn up that the user
 * must not read. An endpoint that is added later is asked as well.
 *
 * Spec: client-server API, "Room History Visibility".
 */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { endpoints } from '#app/routes.ts'
import { pathsOf, type Endpoint } from '#platform/http/endpoint.ts'
import { filledPath } from '../kit/endpoint-paths.ts'
import { TestClient } from '../kit/test-client.ts'
import { testServer } from '../kit/test-server.ts'

const everybody = ['joined', 'left', 'banned', 'invited', 'knocked', 'neverJoined'] as const
type Who = (typeof everybody)[number]

/** What is said while which of the users are there: before all of them, with those who were invited and joined, after the former members have gone. */
const moments = ['early', 'middle', 'late'] as const
type Moment = (typeof moments)[number]

const readable: Readonly<Record<string, Readonly<Record<Who, readonly Moment[]>>>> = {
  world_readable: {
    joined: moments, left: moments, banned: moments, invited: moments, knocked: moments, neverJoined: moments,
  },
  shared: { joined: moments, left: ['early', 'middle'], banned: ['early', 'middle'], invited: [], knocked: [], neverJoined: [] },
  invited: { joined: ['middle', 'late'], left: ['middle'], banned: ['middle'], invited: ['middle', 'late'], knocked: [], neverJoined: [] },
  joined: { joined: ['middle', 'late'], left: ['middle'], banned: ['middle'], invited: [], knocked: [], neverJoined: [] },
}

/** Words that stand in messages, their threads, edits, reactions, and in state, of one moment each. */
const wordsOf = (moment: Moment): readonly string[] => ['message', 'thread', 'edit', 'reaction', 'state'].map((kind) => `${kind}word${moment}`)

interface Scene {
  readonly url: string
  readonly room: string
  readonly events: readonly string[]
  readonly users: Readonly<Record<Who, TestClient>>
}

async function scene(t: TestContext, visibility: string): Promise<Scene> {
  const server = await testServer(t)
  const alice = await server.register('alice')
  const users = Object.fromEntries(await Promise.all(everybody.map(async (who) => [who, await server.register(who.toLowerCase())] as const))) as Scene['users']
  const initial = [
    { type: 'm.room.history_visibility', state_key: '', content: { history_visibility: visibility } },
    { type: 'm.room.join_rules', state_key: '', content: { join_rule: 'knock' } },
  ]
  const room = String((await alice.post('/createRoom', { initial_state: initial }).ok())['room_id'])
  const path = `/rooms/${encodeURIComponent(room)}`
  const events: string[] = []
  const put = async (kind: string, type: string, content: object): Promise<string> => {
    const id = String((await alice.put(`${path}/send/${type}/${kind}`, content).ok())['event_id'])
    events.push(id)
    return id
  }
  const say = async (moment: Moment): Promise<void> => {
    const text = (kind: string): object => ({ msgtype: 'm.text', body: `${kind}word${moment}` })
    const parent = await put(`message-${moment}`, 'm.room.message', text('message'))
    await put(`thread-${moment}`, 'm.room.message', { ...text('thread'), 'm.relates_to': { rel_type: 'm.thread', event_id: parent } })
    await put(`edit-${moment}`, 'm.room.message', { ...text('edit'), 'm.new_content': text('edit'), 'm.relates_to': { rel_type: 'm.replace', event_id: parent } })
    await put(`reaction-${moment}`, 'm.reaction', { 'm.relates_to': { rel_type: 'm.annotation', event_id: parent, key: `reactionword${moment}` } })
    // Each moment's state is replaced at once: as current state everybody in the room may read it.
    for (const value of [`stateword${moment}`, 'replaced']) events.push(String((await alice.put(`${path}/state/org.example.state/${moment}`, { value }).ok())['event_id']))
  }
  await say('early')
  for (const who of ['joined', 'left', 'banned', 'invited'] as const) await alice.post(`${path}/invite`, { user_id: users[who].userId }).ok()
  for (const who of ['joined', 'left', 'banned'] as const) await users[who].post(`${path}/join`, {}).ok()
  await say('middle')
  await users.left.post(`${path}/leave`, {}).ok()
  await alice.post(`${path}/ban`, { user_id: users.banned.userId }).ok()
  await users.knocked.post(`/knock/${encodeURIComponent(room)}`, {}).ok()
  await say('late')
  return { url: server.url, room, events, users }
}

/** What an endpoint needs in its query to tell as much as it can. */
const queries: Readonly<Record<string, readonly string[]>> = {
  getRoomMessages: ['?dir=b&limit=1000', '?dir=f&limit=1000'], getEventContext: ['?limit=1000'], timestampToEvent: ['?dir=b&ts=9999999999999', '?dir=f&ts=0'],
  sync: ['?timeout=0&full_state=true', `?timeout=0&filter=${encodeURIComponent('{"room":{"include_leave":true,"timeline":{"limit":1000}}}')}`],
  initialSync: ['?limit=1000', '?limit=1000&archived=true'], roomInitialSync: ['?limit=1000'], getEvents: ['?timeout=0'], getNotifications: ['?limit=1000'],
}

/** The paths of an endpoint that reads, filled in with the scene's room and each of its events. */
function urlsOf(endpoint: Endpoint, { room, events }: Scene, userId: string): string[] {
  const [path] = pathsOf(endpoint)
  if (path === undefined) return []
  const fill = (eventId: string): string => filledPath(path, {
    roomId: room, roomIdOrAlias: room, eventId, userId, eventType: 'org.example.state', stateKey: 'early', relType: 'm.thread', type: 'm.tag', serverName: 'test.example',
  }, 'm.room.message')
  const filled = path.includes(':eventId') ? events.map(fill) : [fill('$none')]
  return filled.flatMap((url) => (queries[endpoint.id] ?? ['']).map((query) => url + query))
}

/** Requests with a body that read as well. */
const readingPosts: readonly (readonly [path: string, body: object])[] = [
  ...moments.map((moment) => ['/search', {
    search_categories: { room_events: { search_term: `messageword${moment} or editword${moment}`, event_context: { before_limit: 50, after_limit: 50, include_profile: true }, include_state: true } },
  }] as const),
  ['/_matrix/client/unstable/org.matrix.simplified_msc3575/sync?timeout=0', {
    lists: { all: { ranges: [[0, 99]], timeline_limit: 50, required_state: [['*', '*']] } },
    extensions: Object.fromEntries(['account_data', 'receipts', 'typing', 'to_device', 'e2ee'].map((name) => [name, { enabled: true }])),
  }],
]

for (const [visibility, table] of Object.entries(readable)) {
  test(`nothing is told of a room whose history is ${visibility} but what may be read`, async (t) => {
    const place = await scene(t, visibility)
    const subscribed = ['/_matrix/client/unstable/org.matrix.simplified_msc3575/sync?timeout=0', {
      room_subscriptions: { [place.room]: { timeline_limit: 50, required_state: [['*', '*']] } },
    }] as const
    const reading = endpoints.filter((endpoint) => endpoint.method === 'GET' && endpoint.base === 'client' && endpoint.auth !== 'none')
    for (const who of everybody) {
      await t.test(who, async () => {
        const { userId, token } = place.users[who]
        // Without the contract check: here only the words count.
        const client = new TestClient({ url: place.url, userId, token })
        const allowed = new Set(table[who].flatMap(wordsOf))
        const hidden = moments.flatMap(wordsOf).filter((word) => !allowed.has(word))
        const told = new Set<string>()
        const look = (what: string, { status, text }: { readonly status: number; readonly text: string }): void => {
          assert.ok(status < 500, `${what} answered ${status}`)
          // A search tells what was looked for.
          const shown = text.replaceAll(/"highlights":\[[^\]]*\]/g, '')
          for (const word of hidden) assert.ok(!shown.includes(word), `${who} reads ${word} at ${what}`)
          for (const word of allowed) if (shown.includes(word)) told.add(word)
        }
        for (const endpoint of reading) for (const url of urlsOf(endpoint, place, client.userId)) look(`GET ${url}`, await client.get(url))
        for (const [path, body] of [...readingPosts, subscribed]) look(`POST ${path}`, await client.post(path, body))
        assert.deepEqual([...told].sort(), [...allowed].sort(), 'what may be read is told somewhere')
      })
    }
  })
}
