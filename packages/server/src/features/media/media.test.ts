/** The content repository at its HTTP door. */
import assert from 'node:assert/strict'
import { request as httpRequest } from 'node:http'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestClient } from '#test/kit/test-client.ts'
import { filesBelow, mediaDoor, until } from '#test/kit/media-door.ts'
import { dispositionOf } from './media-reply.ts'

const upload = '/_matrix/media/v3/upload'
const authed = '/_matrix/client/v1/media'
const legacy = '/_matrix/media/v3'

async function uploaded(client: TestClient, body: string | Uint8Array, type?: string, fileName?: string): Promise<string> {
  const query = fileName === undefined ? '' : `?filename=${encodeURIComponent(fileName)}`
  const headers: Record<string, string> = type === undefined ? {} : { 'content-type': type }
  const reply = await client.post(upload + query, body, { headers }).ok()
  const match = /^mxc:\/\/test\.example\/([\w-]{24})$/.exec(String(reply['content_uri']))
  assert.ok(match?.[1], `a content URI, not ${String(reply['content_uri'])}`)
  return match[1]
}

test('an upload can be downloaded as it was, with the headers that keep browsers from running it', async (t) => {
  const { alice, bob, folder } = await mediaDoor(t)
  const id = await uploaded(alice, 'hello world', 'text/plain', 'greeting.txt')
  const reply = await bob.get(`${authed}/download/test.example/${id}`)
  assert.equal(reply.status, 200)
  assert.equal(reply.text, 'hello world')
  assert.equal(reply.headers.get('content-type'), 'text/plain')
  assert.equal(reply.headers.get('content-disposition'), 'inline; filename=greeting.txt')
  assert.match(reply.headers.get('content-security-policy') ?? '', /^sandbox; default-src 'none'; script-src 'none'/)
  assert.equal(reply.headers.get('cross-origin-resource-policy'), 'cross-origin')
  assert.equal(reply.headers.get('x-content-type-options'), 'nosniff')
  assert.match(reply.headers.get('cache-control') ?? '', /immutable/)
  assert.equal(reply.headers.get('content-length'), '11')
  assert.deepEqual(filesBelow(join(folder, 'media')), [join(folder, 'media/local_content', id.slice(0, 2), id.slice(2, 4), id.slice(4))])
})

test('every version prefix serves uploads and configuration', async (t) => {
  const { alice } = await mediaDoor(t)
  for (const version of ['v3', 'r0', 'v1']) {
    await alice.post(`/_matrix/media/${version}/upload`, 'x').ok()
    assert.deepEqual(await alice.get(`/_matrix/media/${version}/config`).ok(), { 'm.upload.size': 1_000_000 })
  }
  assert.deepEqual(await alice.get(`${authed}/config`).ok(), { 'm.upload.size': 1_000_000 })
})

test('who may call', async (t) => {
  const { alice, guest, anonymous, client } = await mediaDoor(t)
  const id = await uploaded(alice, 'x')
  const wrong = client('nobody')
  for (const [method, path] of [['POST', upload], ['POST', '/_matrix/media/v1/create'], ['PUT', `${upload}/test.example/${id}`], ['GET', `${authed}/config`], ['GET', `${legacy}/config`]] as const) {
    await anonymous.send(method, path).fails(401, 'M_MISSING_TOKEN')
    await wrong.send(method, path).fails(401, 'M_UNKNOWN_TOKEN')
    await guest.send(method, path).fails(403, 'M_GUEST_ACCESS_FORBIDDEN')
  }
  for (const path of [`download/test.example/${id}`, `download/test.example/${id}/name`, `thumbnail/test.example/${id}?width=1&height=1`]) {
    await anonymous.get(`${authed}/${path}`).fails(401, 'M_MISSING_TOKEN')
    await wrong.get(`${authed}/${path}`).fails(401, 'M_UNKNOWN_TOKEN')
  }
  assert.equal((await guest.get(`${authed}/download/test.example/${id}`)).status, 200)
})

test('empty content and content without a type', async (t) => {
  const { alice } = await mediaDoor(t)
  const id = await uploaded(alice, '')
  const reply = await alice.get(`${authed}/download/test.example/${id}`)
  assert.equal(reply.status, 200)
  assert.equal(reply.text, '')
  const bytes = await uploaded(alice, new Uint8Array([0, 255, 1]))
  const raw = await alice.get(`${authed}/download/test.example/${bytes}`)
  assert.equal(raw.headers.get('content-type'), 'application/octet-stream')
  assert.equal(raw.headers.get('content-disposition'), 'attachment')
  assert.equal(raw.headers.get('content-length'), '3')
})

test('too large content is refused by its announced size and while it streams, and leaves no file', async (t) => {
  const { alice, url, folder } = await mediaDoor(t, { max_upload_size: 1000 })
  await alice.post(upload, 'x'.repeat(1001)).fails(413, 'M_TOO_LARGE')
  const status = await new Promise<number | undefined>((resolve, reject) => {
    const sent = httpRequest(url + upload, { method: 'POST', headers: { authorization: 'Bearer alice', 'transfer-encoding': 'chunked' } }, (response) => {
      response.resume()
      resolve(response.statusCode)
    })
    sent.on('error', reject)
    for (let i = 0; i < 20; i++) sent.write('x'.repeat(100))
    sent.end()
  })
  assert.equal(status, 413)
  await alice.post(upload, 'x'.repeat(1000)).ok()
  assert.equal(filesBelow(join(folder, 'media')).length, 1)
})

test('an upload that breaks off leaves nothing', async (t) => {
  const { alice, url, folder, errors } = await mediaDoor(t)
  await uploaded(alice, 'whole')
  const staged = (): number => filesBelow(join(folder, 'media/.staging')).length
  const sent = httpRequest(url + upload, { method: 'POST', headers: { authorization: 'Bearer alice', 'content-length': '1000' } })
  sent.on('error', () => undefined)
  sent.write('a part')
  await until(() => staged() === 1)
  sent.destroy()
  await until(() => staged() === 0)
  assert.equal(filesBelow(join(folder, 'media')).length, 1)
  assert.deepEqual(errors, [])
})

test('file names', async (t) => {
  const { alice } = await mediaDoor(t)
  const cases: [string, string][] = [
    ['name;with;semicolons.png', "inline; filename*=utf-8''name%3Bwith%3Bsemicolons.png"],
    ['with space', "inline; filename*=utf-8''with%20space"],
    ['☕.png', "inline; filename*=utf-8''%E2%98%95.png"],
    ['a"b\r\nSet-Cookie: x', "inline; filename*=utf-8''a%22b%0D%0ASet-Cookie%3A%20x"],
    ['__proto__', 'inline; filename=__proto__'],
  ]
  for (const [name, expected] of cases) {
    const id = await uploaded(alice, 'x', 'image/png', name)
    assert.equal((await alice.get(`${authed}/download/test.example/${id}`)).headers.get('content-disposition'), expected)
    const named = await alice.get(`${authed}/download/test.example/${id}/other.png`)
    assert.equal(named.headers.get('content-disposition'), 'inline; filename=other.png')
  }
  await alice.post(`${upload}?filename=a%00b`, 'x').fails(400, 'M_INVALID_PARAM')
  await alice.post(`${upload}?filename=${'x'.repeat(1025)}`, 'x').fails(400, 'M_INVALID_PARAM')
})

test('case 115: types that a browser could run are attachments, whatever their spelling', async (t) => {
  const { alice } = await mediaDoor(t)
  for (const type of ['text/html', 'image/svg+xml', 'application/xml', 'application/pdf', 'text/html;x', 'TEXT/HTML', 'text/html ; charset=utf-8', 'text/xml', 'nonsense']) {
    const id = await uploaded(alice, '<script>alert(1)</script>', type)
    const reply = await alice.get(`${authed}/download/test.example/${id}`)
    assert.match(reply.headers.get('content-disposition') ?? '', /^attachment/, type)
    assert.match(reply.headers.get('content-security-policy') ?? '', /^sandbox/)
    assert.equal(reply.headers.get('x-content-type-options'), 'nosniff')
    await alice.get(`${authed}/thumbnail/test.example/${id}?width=10&height=10`).fails(400, 'M_UNKNOWN')
  }
  assert.equal(dispositionOf('Image/PNG; x=y', undefined), 'inline')
  assert.equal(dispositionOf('image/png,text/html', undefined), 'attachment')
})

test('parts of content and what the client has already', async (t) => {
  const { alice } = await mediaDoor(t)
  const id = await uploaded(alice, '0123456789')
  const get = (headers: Record<string, string>) => alice.get(`${authed}/download/test.example/${id}`, { headers })
  for (const [range, text, contentRange] of [['bytes=2-4', '234', 'bytes 2-4/10'], ['bytes=7-', '789', 'bytes 7-9/10'], ['bytes=-2', '89', 'bytes 8-9/10'], ['bytes=5-99', '56789', 'bytes 5-9/10']] as const) {
    const reply = await get({ range })
    assert.equal(reply.status, 206)
    assert.equal(reply.text, text)
    assert.equal(reply.headers.get('content-range'), contentRange)
  }
  const past = await get({ range: 'bytes=10-' })
  assert.equal(past.status, 416)
  assert.equal(past.headers.get('content-range'), 'bytes */10')
  for (const range of ['bytes=0-1,3-4', 'bytes=4-2', 'lines=1-2', 'bytes=-']) assert.equal((await get({ range })).status, 200)
  const etag = (await get({})).headers.get('etag') ?? ''
  assert.equal((await get({ 'if-none-match': etag })).status, 304)
  assert.equal((await get({ 'if-none-match': '"other"' })).status, 200)
  assert.equal((await get({ range: 'bytes=0-0', 'if-range': '"other"' })).status, 200)
  assert.equal((await get({ range: 'bytes=0-0', 'if-range': etag })).text, '0')
})

test('unknown media, media of other servers, and ids that would leave the folder', async (t) => {
  const { alice, anonymous } = await mediaDoor(t)
  for (const path of ['test.example/unknown', 'other.example/abc', 'other.example/abc?allow_remote=false', 'test.example/..%2F..%2Fmedia.db', '..%2F/abc', '__proto__/constructor', 'test.example/__proto__']) {
    await alice.get(`${authed}/download/${path}`).fails(404, 'M_NOT_FOUND')
    await anonymous.get(`${legacy}/download/${path}`).fails(404, 'M_NOT_FOUND')
    await alice.get(`${authed}/thumbnail/${path}${path.includes('?') ? '&' : '?'}width=32&height=32`).fails(404, 'M_NOT_FOUND')
  }
})

test('the endpoints without authentication know nothing that was uploaded after the freeze', async (t) => {
  const { alice, anonymous, again, client } = await mediaDoor(t, { enable_authenticated_media: false })
  const old = await uploaded(alice, 'old')
  assert.equal((await anonymous.get(`${legacy}/download/test.example/${old}`)).text, 'old')
  const frozen = await again({ enable_authenticated_media: true })
  const fresh = await uploaded(client('alice', frozen), 'new')
  for (const version of ['v3', 'r0', 'v1']) {
    assert.equal((await client(undefined, frozen).get(`/_matrix/media/${version}/download/test.example/${old}/name`)).text, 'old')
    await client(undefined, frozen).get(`/_matrix/media/${version}/download/test.example/${fresh}`).fails(404, 'M_NOT_FOUND')
    await client(undefined, frozen).get(`/_matrix/media/${version}/thumbnail/test.example/${fresh}?width=1&height=1`).fails(404, 'M_NOT_FOUND')
  }
  assert.equal((await client('alice', frozen).get(`${authed}/download/test.example/${fresh}`)).text, 'new')
})

test('case 92: quarantined media does not exist on any path', async (t) => {
  const { alice, anonymous, database, media } = await mediaDoor(t, { enable_authenticated_media: false })
  const id = await uploaded(alice, 'x', 'image/png')
  assert.equal(await media.exists(`mxc://test.example/${id}`), true)
  await database.transaction((tx) => tx.rows('UPDATE local_media_repository SET quarantined_by = $1 WHERE media_id = $2', ['@admin:test.example', id]))
  for (const base of [authed, legacy]) {
    const who = base === authed ? alice : anonymous
    await who.get(`${base}/download/test.example/${id}`).fails(404, 'M_NOT_FOUND')
    await who.get(`${base}/download/test.example/${id}/name`).fails(404, 'M_NOT_FOUND')
    await who.get(`${base}/thumbnail/test.example/${id}?width=1&height=1`).fails(404, 'M_NOT_FOUND')
  }
  assert.equal(await media.exists(`mxc://test.example/${id}`), false)
  assert.equal(await media.exists('not a uri'), false)
})

test('a server without content repository', async (t) => {
  const { alice } = await mediaDoor(t, { enable_media_repo: false })
  await alice.post(upload, 'x').fails(404, 'M_UNRECOGNIZED')
  await alice.post('/_matrix/media/v1/create').fails(404, 'M_UNRECOGNIZED')
  await alice.get(`${authed}/download/test.example/abc`).fails(404, 'M_UNRECOGNIZED')
})
