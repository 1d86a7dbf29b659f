/** Reservations of content URIs and content that comes later. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestClient } from '#test/kit/test-client.ts'
import { mediaDoor, until } from '#test/kit/media-door.ts'

const create = '/_matrix/media/v1/create'
const download = '/_matrix/client/v1/media/download/test.example'
const upload = '/_matrix/media/v3/upload/test.example'

async function reserved(client: TestClient): Promise<string> {
  return String((await client.post(create).ok())['content_uri']).slice('mxc://test.example/'.length)
}

test('content can come after its URI', async (t) => {
  const { alice, bob, clock, media } = await mediaDoor(t)
  const reply = await alice.post(create).ok()
  assert.equal(reply['unused_expires_at'], clock.now() + 86_400_000)
  const uri = String(reply['content_uri'])
  const id = uri.slice('mxc://test.example/'.length)
  assert.equal(await media.exists(uri), false)
  await bob.get(`${download}/${id}?timeout_ms=0`).fails(504, 'M_NOT_YET_UPLOADED')
  assert.deepEqual(await alice.put(`${upload}/${id}?filename=later.txt`, 'later', { headers: { 'content-type': 'text/plain' } }).ok(), {})
  const content = await bob.get(`${download}/${id}`)
  assert.equal(content.text, 'later')
  assert.equal(content.headers.get('content-disposition'), 'inline; filename=later.txt')
  assert.equal(await media.exists(uri), true)
})

test('a download waits for the content', async (t) => {
  const { alice, bob, clock } = await mediaDoor(t)
  const id = await reserved(alice)
  const waits = bob.get(`${download}/${id}`).then((reply) => reply.text)
  await until(() => clock.pending > 0)
  await alice.put(`${upload}/${id}`, 'now').ok()
  assert.equal(await waits, 'now')
  assert.equal(clock.pending, 0)
})

test('a download waits no longer than it says, nor than a minute', async (t) => {
  const { alice, bob, clock } = await mediaDoor(t)
  const id = await reserved(alice)
  for (const [query, waitMs] of [['?timeout_ms=5000', 5000], ['', 20_000], ['?timeout_ms=999999999', 60_000]] as const) {
    const waits = bob.get(`${download}/${id}${query}`).fails(504, 'M_NOT_YET_UPLOADED')
    await until(() => clock.pending > 0)
    clock.advance(waitMs - 1)
    assert.equal(clock.pending, 1)
    clock.advance(1)
    await waits
  }
  await bob.get(`${download}/${id}?timeout_ms=-5`).fails(504, 'M_NOT_YET_UPLOADED')
  await bob.get(`${download}/${id}?timeout_ms=x`).fails(400, 'M_INVALID_PARAM')
})

test('case 119: a reservation is its owner’s, for one upload, for a day', async (t) => {
  const { alice, bob, clock } = await mediaDoor(t)
  const id = await reserved(alice)
  await bob.put(`${upload}/${id}`, 'stolen').fails(403, 'M_FORBIDDEN')
  await alice.put(`${upload}/never-reserved`, 'x').fails(404, 'M_NOT_FOUND')
  await alice.put(`/_matrix/media/v3/upload/other.example/${id}`, 'x').fails(404, 'M_NOT_FOUND')
  await alice.put(`${upload}/..%2F${id}`, 'x').fails(404, 'M_NOT_FOUND')
  await alice.put(`${upload}/${id}`, 'x'.repeat(1_000_001)).fails(413, 'M_TOO_LARGE')
  await alice.put(`${upload}/${id}?filename=%00`, 'x').fails(400, 'M_INVALID_PARAM')
  await alice.put(`${upload}/${id}`, 'mine').ok()
  await alice.put(`${upload}/${id}`, 'again').fails(409, 'M_CANNOT_OVERWRITE_MEDIA')
  assert.equal((await alice.get(`${download}/${id}`)).text, 'mine')
  const late = await reserved(alice)
  clock.advance(86_400_001)
  await alice.put(`${upload}/${late}`, 'late').fails(404, 'M_NOT_FOUND')
  await alice.get(`${download}/${late}`).fails(404, 'M_NOT_FOUND')
})

test('of concurrent uploads to one URI exactly one succeeds, and its content is served', async (t) => {
  const { alice } = await mediaDoor(t)
  const id = await reserved(alice)
  const bodies = ['a', 'b', 'c', 'd'].map((letter) => letter.repeat(50_000))
  const replies = await Promise.all(bodies.map((body) => alice.put(`${upload}/${id}`, body)))
  const winners = replies.flatMap((reply, i) => (reply.status === 200 ? [bodies[i]] : []))
  assert.equal(winners.length, 1)
  assert.equal((await alice.get(`${download}/${id}`)).text, winners[0])
})

test('case 119: reservations are bounded per user and by rate, and expired ones are removed', async (t) => {
  const { alice, bob, clock, database } = await mediaDoor(t)
  const replies = await Promise.all(Array.from({ length: 20 }, () => alice.post(create)))
  assert.equal(replies.filter((reply) => reply.status === 200).length, 5)
  await alice.post(create).fails(429, 'M_LIMIT_EXCEEDED')
  await reserved(bob)
  clock.advance(86_400_001)
  await reserved(alice)
  const rows = await database.rows<{ user_id: string }>('SELECT user_id FROM local_media_repository WHERE user_id = $1', ['@alice:test.example'])
  assert.equal(rows.length, 1)
})

test('case 119: creation is limited by rate', async (t) => {
  const { alice } = await mediaDoor(t, { rate: { perSecond: 1, burstCount: 2 }, max_pending_media_uploads: 100 })
  await reserved(alice)
  await reserved(alice)
  const body = await alice.post(create).fails(429, 'M_LIMIT_EXCEEDED')
  assert.equal(typeof body['retry_after_ms'], 'number')
})
