/** A user who had their account erased: those who were there keep what they have read, to all others the messages look redacted, in every reader. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { writeHomeserverYaml } from '#test/kit/homeserver-yaml.ts'
import type { TestClient } from '#test/kit/test-client.ts'
import { startTestServer } from '#test/kit/test-server.ts'

const at = (room: string, path: string): string => `/rooms/${encodeURIComponent(room)}${path}`

/** Everything that a user can get of the room's events, as one text by reader. */
async function everything(client: TestClient, room: string, root: string): Promise<Map<string, string>> {
  const event = encodeURIComponent(root)
  const filter = encodeURIComponent(JSON.stringify({ room: { timeline: { limit: 100 } } }))
  const requests = {
    messages: client.get(at(room, '/messages?dir=b&limit=100')),
    event: client.get(at(room, `/event/${event}`)),
    context: client.get(at(room, `/context/${event}?limit=100`)),
    relations: client.get(`/_matrix/client/v1${at(room, `/relations/${event}?limit=100`)}`),
    threads: client.get(`/_matrix/client/v1${at(room, '/threads?limit=100')}`),
    initialSync: client.get(at(room, '/initialSync?limit=100')),
    sync: client.get(`/sync?timeout=0&filter=${filter}`),
    search: client.post('/search', { search_categories: { room_events: { search_term: 'secret', event_context: { before_limit: 5, after_limit: 5 } } } }),
  }
  const texts = new Map<string, string>()
  for (const [reader, sent] of Object.entries(requests)) {
    const reply = await sent
    assert.equal(reply.status, 200, `${reader}: ${reply.text}`)
    texts.set(reader, reply.text)
  }
  return texts
}

test('to who was not there, messages of an erased user look redacted in every reader', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'myelin-test-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const path = await writeHomeserverYaml(t, folder)
  const server = await startTestServer(t, folder, path)
  const { alice, bob, room } = await server.withRoom()
  const send = async (client: TestClient, type: string, content: object): Promise<string> =>
    String((await client.put(at(room, `/send/${type}/${type}${JSON.stringify(content).length}`), content).ok())['event_id'])
  const root = await send(alice, 'm.room.message', { msgtype: 'm.text', body: 'secret root' })
  await send(alice, 'm.room.message', { msgtype: 'm.text', body: 'secret answer', 'm.relates_to': { rel_type: 'm.thread', event_id: root } })
  await send(alice, 'm.room.message', {
    msgtype: 'm.text', body: '* secret', 'm.new_content': { msgtype: 'm.text', body: 'secret edit' }, 'm.relates_to': { rel_type: 'm.replace', event_id: root },
  })
  await alice.put(at(room, '/state/m.room.topic'), { topic: 'secret topic' }).ok()
  await bob.put(at(room, '/state/m.room.name'), {}).fails(403, 'M_FORBIDDEN')
  const open = await send(bob, 'm.room.message', { msgtype: 'm.text', body: 'nothing to hide' })
  const [carol, dave] = [await server.register('carol'), await server.register('dave')]
  await carol.post(`/join/${encodeURIComponent(room)}`, {}).ok()
  for (const client of [bob, carol]) for (const [reader, text] of await everything(client, room, root)) assert.match(text, /secret/, reader)
  await alice.put(at(room, '/state/m.room.history_visibility'), { history_visibility: 'world_readable' }).ok()

  const auth = { type: 'm.login.password', identifier: { type: 'm.id.user', user: 'alice' }, password: 'password-of-alice' }
  await alice.post('/account/deactivate', { erase: true, auth }).ok()
  await server.services.accounts.settled()
  const check = async (at: (client: TestClient) => TestClient): Promise<void> => {
    for (const [reader, text] of await everything(at(bob), room, root)) assert.match(text, /secret/, `bob, ${reader}`)
    for (const [reader, text] of await everything(at(carol), room, root)) {
      // The topic is what the room is called now: no message of the past.
      assert.doesNotMatch(text.replaceAll('secret topic', '').replaceAll('"search_term":"secret"', '').replaceAll('"highlights":["secret"]', ''), /secret/, `carol, ${reader}`)
    }
    const found = await at(carol).get(`/_matrix/client/v3/rooms/${encodeURIComponent(room)}/event/${encodeURIComponent(root)}`).ok()
    assert.deepEqual(found['content'], {})
    const other = await at(carol).get(`/_matrix/client/v3/rooms/${encodeURIComponent(room)}/event/${encodeURIComponent(open)}`).ok()
    assert.deepEqual(found['sender'], alice.userId)
    assert.deepEqual(other['content'], { msgtype: 'm.text', body: 'nothing to hide' })
    const peeked = await at(dave).get(`/_matrix/client/v3/rooms/${encodeURIComponent(room)}/messages?dir=b&limit=100`)
    assert.doesNotMatch(peeked.text.replaceAll('secret topic', ''), /secret/)
  }
  await check((client) => client)
  const again = await startTestServer(t, folder, path)
  await check((client) => client.at(again.url))
})
