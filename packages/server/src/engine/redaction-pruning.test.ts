/** What redactions hide is gone from the tables after the period. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TestClock } from '../../test/kit/test-clock.ts'
import type { TestClient } from '../../test/kit/test-client.ts'
import { testServer, type TestServer } from '../../test/kit/test-server.ts'

const hourMs = 3_600_000
const at = (room: string): string => `/rooms/${encodeURIComponent(room)}`

/** A room with a message that was redacted. */
async function redactedMessage(server: TestServer, version: string): Promise<{ alice: TestClient; room: string; eventId: string }> {
  const alice = await server.register(`alice${version}`)
  const room = String((await alice.post('/createRoom', { room_version: version }).ok())['room_id'])
  const eventId = String((await alice.put(`${at(room)}/send/m.room.message/1`, { msgtype: 'm.text', body: 'something secret' }).ok())['event_id'])
  await alice.put(`${at(room)}/redact/${encodeURIComponent(eventId)}/1`, {}).ok()
  return { alice, room, eventId }
}

async function stored(server: TestServer, eventId: string): Promise<string> {
  const [row] = await server.services.database.rows<{ json: string }>('SELECT json FROM events WHERE event_id = $1', [eventId])
  assert.ok(row)
  return row.json
}

for (const version of ['1', '6', '12']) {
  test(`content goes after the period and the event stays readable, room version ${version}`, async (t) => {
    const clock = new TestClock()
    const server = await testServer(t, { clock, config: 'redaction_retention_period: 1h\n' })
    const { alice, room, eventId } = await redactedMessage(server, version)
    const shown = await alice.get(`${at(room)}/event/${encodeURIComponent(eventId)}`).ok()
    clock.advance(hourMs - 60_000)
    await server.services.pruning.prune()
    assert.match(await stored(server, eventId), /something secret/)
    clock.advance(60_000)
    await server.services.pruning.prune()
    const json = await stored(server, eventId)
    assert.doesNotMatch(json, /something secret/)
    assert.equal(JSON.parse(json).signatures['test.example'] !== undefined, true)
    const after = await alice.get(`${at(room)}/event/${encodeURIComponent(eventId)}`).ok()
    assert.deepEqual([after['content'], after['event_id'], after['sender']], [{}, shown['event_id'], shown['sender']])
    assert.deepEqual(await server.services.database.rows('SELECT * FROM unpruned_redactions', []), [])
    assert.deepEqual(server.errors, [])
  })
}

test('without a period nothing is pruned', async (t) => {
  for (const period of ['1h', 'null']) {
    const clock = new TestClock()
    const server = await testServer(t, { clock, config: `redaction_retention_period: ${period}\n` })
    const { eventId } = await redactedMessage(server, '11')
    clock.advance(2 * hourMs)
    // The turn that began early in these hours, and the one that finds the event due.
    await server.services.pruning.prune()
    await server.services.pruning.prune()
    assert.equal((await stored(server, eventId)).includes('something secret'), period === 'null')
  }
})
