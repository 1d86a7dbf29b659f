/** A backup that is larger than a page of a download comes back whole, by room and at once. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { JsonObject } from '@myelin/protocol/json/json.ts'
import { testServer } from '#test/kit/test-server.ts'

/** Names that JSON, sorting and patterns treat each in its own way. */
const rooms = ['!a:test.example', '!"quoted"\\:test.example', '!%_:test.example', '!ü𝄞:test.example']

function sessionsOf(room: number, count: number): JsonObject {
  return Object.fromEntries(Array.from({ length: count }, (_, index) => [`"s${room}"\\${index}é`, {
    first_message_index: index, forwarded_count: room, is_verified: index % 2 === 0, session_data: { ciphertext: `${room}-${index}-é"` },
  }]))
}

test('keys of many rooms are downloaded page by page, and are those that were uploaded', async (t) => {
  const server = await testServer(t)
  const alice = await server.register('alice')
  const version = String((await alice.post('/room_keys/version', { algorithm: 'm.megolm_backup.v1.curve25519-aes-sha2', auth_data: {} }).ok())['version'])
  assert.deepEqual(await alice.get(`/room_keys/keys?version=${version}`).ok(), { rooms: {} })
  assert.deepEqual(await alice.get(`/room_keys/keys/${encodeURIComponent('!a:test.example')}?version=${version}`).ok(), { sessions: {} })
  const uploaded: JsonObject = Object.fromEntries(rooms.map((room, index) => [room, { sessions: sessionsOf(index, [1, 499, 700, 500][index] ?? 0) }]))
  assert.equal((await alice.put(`/room_keys/keys?version=${version}`, { rooms: uploaded }).ok())['count'], 1700)
  assert.deepEqual((await alice.get(`/room_keys/keys?version=${version}`).ok())['rooms'], uploaded)
  for (const room of rooms) {
    assert.deepEqual(await alice.get(`/room_keys/keys/${encodeURIComponent(room)}?version=${version}`).ok(), uploaded[room])
  }
  assert.equal((await alice.put(`/room_keys/keys?version=${version}`, { rooms: uploaded }).ok())['etag'], '1')
})
