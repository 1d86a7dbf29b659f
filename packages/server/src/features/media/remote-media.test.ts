/** Content of other servers: honest ones, older ones and hostile ones. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { test, type TestContext } from 'node:test'
import sharp from 'sharp'
import { FakeRemote, type FakeAnswer } from '#test/kit/fake-remote.ts'
import { federatingServer } from '#test/kit/federating-server.ts'
import { filesBelow, until } from '#test/kit/media-door.ts'
import type { TestClient } from '#test/kit/test-client.ts'
import { TestClock } from '#test/kit/test-clock.ts'
import type { TestServer, TestServerOptions } from '#test/kit/test-server.ts'
import { fileNameOf } from './file-name.ts'
import { multipartReply } from './multipart-reply.ts'

const download = '/_matrix/client/v1/media/download'
const legacy = '/_matrix/media/v3/download'
const remotePath = '/_matrix/federation/v1/media/download/abc'

async function scene(t: TestContext, options: Omit<TestServerOptions, 'door'> = {}) {
  const [server, remote] = [await federatingServer(t, options), await FakeRemote.start(t)]
  const alice = await server.register('alice')
  return { server, remote, alice, path: `${download}/${remote.serverName}/abc`, serve: (answer: () => FakeAnswer) => remote.on('GET', remotePath, answer) }
}

interface Sent {
  readonly content?: string | Buffer
  readonly type?: string
  readonly disposition?: string
  readonly location?: string
}

/** An answer as the specification describes it. */
function parts({ content = 'hello', type = 'text/plain', disposition = 'inline; filename=greeting.txt', location }: Sent = {}): FakeAnswer {
  const headers = location === undefined ? `Content-Type: ${type}\r\nContent-Disposition: ${disposition}` : `Location: ${location}`
  const before = `--limit\r\nContent-Type: application/json\r\n\r\n{}\r\n--limit\r\n${headers}\r\n\r\n`
  return [200, Buffer.concat([Buffer.from(before), Buffer.from(location === undefined ? content : ''), Buffer.from('\r\n--limit--\r\n')]), { 'content-type': 'multipart/mixed; boundary=limit' }]
}

const multipart = (body: string, type = 'multipart/mixed; boundary=limit'): FakeAnswer => [200, body, { 'content-type': type }]
function stored({ folder }: TestServer): string[] {
  const media = join(folder, 'media')
  return existsSync(media) ? filesBelow(media) : []
}

async function picture(width: number, height: number): Promise<Buffer> {
  return sharp({ create: { width, height, channels: 3, background: '#369' } }).png().toBuffer()
}

test('content of another server is fetched once and kept', async (t) => {
  const { server, remote, alice, path, serve } = await scene(t)
  serve(() => parts())
  const replies = await Promise.all(Array.from({ length: 10 }, () => alice.get(path)))
  for (const reply of replies) {
    assert.equal(`${reply.status} ${reply.text}`, '200 hello')
    assert.equal(reply.headers.get('content-type'), 'text/plain')
    assert.equal(reply.headers.get('content-disposition'), 'inline; filename=greeting.txt')
  }
  assert.equal((await alice.get(path, { headers: { range: 'bytes=1-2' } })).text, 'el')
  assert.equal(remote.count(remotePath), 1)
  assert.match(remote.received.find((each) => each.path === remotePath)?.authorization ?? '', /^X-Matrix /)
  assert.equal(stored(server).length, 1)
  await alice.get(`${path}?allow_remote=false`).fails(404, 'M_NOT_FOUND')
})

test('a refusal of the other server is that of all who wait', async (t) => {
  const { alice, path, serve } = await scene(t)
  serve(() => [429, { errcode: 'M_LIMIT_EXCEEDED', error: 'x' }])
  await Promise.all(Array.from({ length: 5 }, () => alice.get(path).fails(429, 'M_LIMIT_EXCEEDED')))
})

test('content whose file was deleted is fetched again', async (t) => {
  const { server, remote, alice, path, serve } = await scene(t)
  serve(() => parts())
  assert.equal((await alice.get(path)).text, 'hello')
  rmSync(join(server.folder, 'media/remote_content'), { recursive: true })
  await alice.get(path).fails(404, 'M_NOT_FOUND')
  assert.equal((await alice.get(path)).text, 'hello')
  assert.equal(remote.count(remotePath), 2)
})

test('between two servers, also content that comes later and thumbnails', async (t) => {
  const [here, there] = [await federatingServer(t), await federatingServer(t)]
  const [alice, bob] = [await here.register('alice'), await there.register('bob')]
  const upload = async (body: Buffer, type: string): Promise<string> =>
    String((await bob.post('/_matrix/media/v3/upload?filename=%E2%98%95.png', body, { headers: { 'content-type': type } }).ok())['content_uri']).slice(6)
  const id = await upload(await picture(800, 600), 'image/png')
  const got = await alice.get(`${download}/${id}`)
  assert.equal(got.headers.get('content-disposition'), "inline; filename*=utf-8''%E2%98%95.png")
  const thumbnail = await alice.get(`/_matrix/client/v1/media/thumbnail/${id}?width=96&height=96&method=crop`)
  assert.equal(`${thumbnail.status} ${thumbnail.headers.get('content-type')}`, '200 image/png')
  const small = await federatingServer(t, { config: 'max_image_pixels: 1000\n' })
  await (await small.register('carol')).get(`/_matrix/client/v1/media/thumbnail/${id}?width=96&height=96`).fails(502, 'M_TOO_LARGE')
  const direct = await alice.get(`/_matrix/client/v1/media/thumbnail/${await upload(await picture(500, 500), 'image/png')}?width=32&height=32&method=crop`)
  assert.equal(direct.status, 200)
  const reserved = String((await bob.post('/_matrix/media/v1/create', {}).ok())['content_uri']).slice(6)
  await alice.get(`${download}/${reserved}?timeout_ms=0`).fails(504, 'M_NOT_YET_UPLOADED')
  const waiting = alice.get(`${download}/${reserved}?timeout_ms=60000`)
  await bob.put(`/_matrix/media/v3/upload/${reserved}`, 'late').ok()
  assert.equal((await waiting).text, 'late')
  await alice.get(`${download}/${there.serverName}/none`).fails(404, 'M_NOT_FOUND')
})

test('what other servers are answered', async (t) => {
  const { server, remote, alice } = await scene(t, { config: 'max_image_pixels: 2000\n' })
  const uri = String((await alice.post('/_matrix/media/v3/upload?filename=a.txt', 'hello', { headers: { 'content-type': 'text/plain' } }).ok())['content_uri'])
  const id = uri.slice(uri.lastIndexOf('/') + 1)
  const base = '/_matrix/federation/v1/media'
  const reply = await remote.send(server, 'GET', `${base}/download/${id}?timeout_ms=5`)
  const boundary = /^multipart\/mixed; boundary=(\w+)$/.exec(reply.headers.get('content-type') ?? '')?.[1] ?? ''
  assert.equal(reply.text, `--${boundary}\r\nContent-Type: application/json\r\n\r\n{}\r\n--${boundary}\r\nContent-Type: text/plain\r\nContent-Disposition: inline; filename=a.txt\r\n\r\nhello\r\n--${boundary}--\r\n`)
  assert.equal(reply.headers.get('content-length'), String(reply.text.length))
  await server.anonymous().get(`${base}/download/${id}`).fails(401, 'M_UNAUTHORIZED')
  await remote.send(server, 'GET', `${base}/download/none`).fails(404, 'M_NOT_FOUND')
  await remote.send(server, 'GET', `${base}/download/${id}?timeout_ms=x`).fails(400, 'M_INVALID_PARAM')
  await remote.send(server, 'GET', `${base}/thumbnail/${id}`).fails(400, 'M_MISSING_PARAM')
  await remote.send(server, 'GET', `${base}/thumbnail/${id}?width=1&height=0`).fails(400, 'M_INVALID_PARAM')
  await remote.send(server, 'GET', `${base}/thumbnail/${id}?width=10&height=10`).fails(400, 'M_UNKNOWN')
  await remote.send(server, 'GET', `${base}/thumbnail/none?width=10&height=10`).fails(404, 'M_NOT_FOUND')
  const reserved = String((await alice.post('/_matrix/media/v1/create', {}).ok())['content_uri']).split('/').at(-1)
  await remote.send(server, 'GET', `${base}/download/${reserved}?timeout_ms=0`).fails(504, 'M_NOT_YET_UPLOADED')
  await remote.send(server, 'GET', `${base}/thumbnail/${reserved}?width=1&height=1&timeout_ms=0`).fails(504, 'M_NOT_YET_UPLOADED')
  const png = String((await alice.post('/_matrix/media/v3/upload', await picture(50, 40)).ok())['content_uri']).split('/').at(-1)
  const thumbnail = await remote.send(server, 'GET', `${base}/thumbnail/${png}?width=32&height=32&method=crop`)
  const large = String((await alice.post('/_matrix/media/v3/upload', await picture(50, 41)).ok())['content_uri']).split('/').at(-1)
  await remote.send(server, 'GET', `${base}/thumbnail/${large}?width=32&height=32`).fails(413, 'M_TOO_LARGE')
  assert.match(thumbnail.text, /\r\nContent-Type: image\/png\r\nContent-Disposition: inline; filename=thumbnail.png\r\n\r\n/)
  await server.services.database.transaction((tx) => tx.rows('UPDATE local_media_repository SET quarantined_by = $1', ['@admin:x']))
  for (const path of [`download/${id}`, `thumbnail/${png}?width=32&height=32`]) await remote.send(server, 'GET', `${base}/${path}`).fails(404, 'M_NOT_FOUND')
})

test('a server that knows only the older endpoint', async (t) => {
  const { remote, alice, path } = await scene(t)
  remote.on('GET', `${legacy}/${encodeURIComponent(remote.serverName)}/abc`, () => [200, 'old', { 'content-type': 'text/plain', 'content-disposition': 'attachment; filename="a b.txt"' }])
  const reply = await alice.get(path)
  assert.equal(`${reply.status} ${reply.text}`, '200 old')
  assert.equal(reply.headers.get('content-disposition'), "inline; filename*=utf-8''a%20b.txt")
  const asked = remote.received.find((each) => each.path.startsWith(legacy))
  assert.equal(`${asked?.query.get('allow_remote')} ${asked?.authorization}`, 'false ')
})

test('content that lies elsewhere', async (t) => {
  const elsewhere = createServer((request, response) => {
    if (request.url === '/gone') response.writeHead(404).end()
    else if (request.url === '/on') response.writeHead(302, { location: 'http://10.1.2.3/' }).end()
    else response.writeHead(200, { 'content-type': 'image/png', 'content-disposition': 'inline; filename=cat.png' }).end('cat')
  })
  await new Promise<void>((resolve) => elsewhere.listen(0, '127.0.0.1', resolve))
  t.after(() => elsewhere.close())
  const { port } = elsewhere.address() as AddressInfo
  const { server, alice, path, serve } = await scene(t, { config: 'ip_range_blacklist: ["10.0.0.0/8"]\n' })
  const bad = [`http://127.0.0.1:${port}/gone`, `http://127.0.0.1:${port}/on`, 'http://10.1.2.3/', 'file:///etc/passwd', '/relative', 'http://127.0.0.1:1/', '']
  for (const location of bad) {
    serve(() => parts({ location }))
    await alice.get(path).fails(502, 'M_CONNECTION_FAILED')
  }
  assert.deepEqual(stored(server), [])
  serve(() => parts({ location: `http://127.0.0.1:${port}/cat` }))
  const reply = await alice.get(path)
  assert.equal(`${reply.text} ${reply.headers.get('content-type')} ${reply.headers.get('content-disposition')}`, 'cat image/png inline; filename=cat.png')
})

test('case 118: answers that are no content leave nothing behind', async (t) => {
  const { server, alice, path, serve, remote } = await scene(t, { config: 'max_upload_size: 100k\n' })
  const endless = async function* (start: string): AsyncGenerator<Buffer> {
    yield Buffer.from(start)
    for (;;) yield Buffer.alloc(50_000, 'x')
  }
  const json = '--limit\r\nContent-Type: application/json\r\n\r\n{}\r\n'
  const content = '--limit\r\nContent-Type: text/plain\r\n\r\n'
  const cases: [string, FakeAnswer | (() => FakeAnswer), number, string][] = [
    ['another boundary', multipart(`${json}${content}x\r\n--limit--`, 'multipart/mixed; boundary=other'), 502, 'M_CONNECTION_FAILED'],
    ['no boundary', multipart(`${json}${content}x\r\n--limit--`, 'multipart/mixed'), 502, 'M_CONNECTION_FAILED'],
    ['another type', [200, 'x', { 'content-type': 'text/html' }], 502, 'M_CONNECTION_FAILED'],
    ['no parts', multipart('--limit--'), 502, 'M_CONNECTION_FAILED'],
    ['one part', multipart(`${json}--limit--`), 502, 'M_CONNECTION_FAILED'],
    ['three parts', multipart(`${json}${content}x\r\n${content}y\r\n--limit--`), 502, 'M_CONNECTION_FAILED'],
    ['metadata that is no JSON', multipart(`${content}x\r\n${content}y\r\n--limit--`), 502, 'M_CONNECTION_FAILED'],
    ['metadata without end', () => [200, Readable.from(endless('--limit\r\n\r\n{')), { 'content-type': 'multipart/mixed; boundary=limit' }], 502, 'M_CONNECTION_FAILED'],
    ['content that breaks off', multipart(`${json}${content}half of`), 502, 'M_CONNECTION_FAILED'],
    ['headers without end', () => [200, Readable.from(endless('--limit\r\nA: ')), { 'content-type': 'multipart/mixed; boundary=limit' }], 502, 'M_CONNECTION_FAILED'],
    ['content without end', () => [200, Readable.from(endless(json + content)), { 'content-type': 'multipart/mixed; boundary=limit' }], 502, 'M_TOO_LARGE'],
    ['content that is too large', parts({ content: 'x'.repeat(102_401) }), 502, 'M_TOO_LARGE'],
    ['content that says that it is too large', [200, 'x'.repeat(400_000), { 'content-type': 'multipart/mixed; boundary=limit', 'content-length': '400000' }], 502, 'M_TOO_LARGE'],
    ['refusals', [502, { errcode: 'M_TOO_LARGE', error: 'x' }], 502, 'M_TOO_LARGE'],
    ['', [504, { errcode: 'M_NOT_YET_UPLOADED', error: 'x' }], 504, 'M_NOT_YET_UPLOADED'],
    ['', [404, { errcode: 'M_NOT_FOUND', error: 'x' }], 404, 'M_NOT_FOUND'],
    ['', [404, 'no such page'], 404, 'M_NOT_FOUND'],
    ['', [403, { errcode: 'M_FORBIDDEN', error: 'x' }], 404, 'M_NOT_FOUND'],
    ['', [429, { errcode: 'M_LIMIT_EXCEEDED', error: 'x', retry_after_ms: 10 }], 429, 'M_LIMIT_EXCEEDED'],
    ['a server that is broken', [500, 'x'], 502, 'M_CONNECTION_FAILED'],
  ]
  for (const [what, answer, status, errcode] of cases) {
    await t.test(what, async () => {
      serve(() => (typeof answer === 'function' ? answer() : answer))
      await alice.get(path).fails(status, errcode)
      assert.deepEqual(stored(server), [])
    })
  }
  assert.equal(remote.count(remotePath), cases.length, 'none but the last made the server be left alone')
  serve(() => parts())
  await alice.get(path).fails(502, 'M_CONNECTION_FAILED')
  assert.deepEqual(server.errors, [])
})

test('every endpoint that serves content says what is wrong', async (t) => {
  const { remote, alice, serve } = await scene(t, { config: 'enable_authenticated_media: false\n' })
  const paths = (serverName: string): string[] => ['/_matrix/client/v1/media', '/_matrix/media/v3'].flatMap((base) =>
    [`${base}/download/${serverName}/abc`, `${base}/download/${serverName}/abc/name`, `${base}/thumbnail/${serverName}/abc?width=32&height=32`])
  const cases: [FakeAnswer, number, string][] = [
    [[502, { errcode: 'M_TOO_LARGE', error: 'x' }], 502, 'M_TOO_LARGE'], [[504, { errcode: 'M_NOT_YET_UPLOADED', error: 'x' }], 504, 'M_NOT_YET_UPLOADED'],
    [[429, { errcode: 'M_LIMIT_EXCEEDED', error: 'x' }], 429, 'M_LIMIT_EXCEEDED'], [[200, 'x'], 502, 'M_CONNECTION_FAILED'],
  ]
  for (const [answer, status, errcode] of cases) {
    serve(() => answer)
    for (const path of paths(remote.serverName)) await alice.get(path).fails(status, errcode)
  }
  const closed = await federatingServer(t, { config: 'enable_authenticated_media: false\nfederation_domain_whitelist: []\n' })
  const bob = await closed.register('bob')
  for (const path of paths(remote.serverName)) await bob.get(path).fails(403, 'M_FORBIDDEN')
})

test('each address may have so many bytes fetched', async (t) => {
  const clock = new TestClock(Date.now())
  const { server, remote, alice } = await scene(t, { clock, config: 'remote_media_download_burst_count: 10k\nremote_media_download_per_second: 1k\n' })
  const get = (id: string, client: TestClient = alice) => client.get(`${download}/${remote.serverName}/${id}`)
  for (const id of ['a', 'b', 'c']) remote.on('GET', `/_matrix/federation/v1/media/download/${id}`, () => parts({ content: 'x'.repeat(6000) }))
  assert.equal((await get('a')).status, 200)
  const refusal = await get('b').fails(429, 'M_LIMIT_EXCEEDED')
  assert.ok(Number(refusal['retry_after_ms']) > 0)
  assert.equal((await get('a')).status, 200, 'what is here costs nothing')
  clock.advance(6000)
  assert.equal((await get('b')).status, 200)
  assert.equal(stored(server).length, 2)
})

test('who is refused by a limit does not fail others that wait for the same content', async (t) => {
  const clock = new TestClock(Date.now())
  const { server, remote } = await scene(t, { clock, config: 'remote_media_download_burst_count: 10k\nremote_media_download_per_second: 1\n' })
  remote.on('GET', '/_matrix/federation/v1/media/download/first', () => parts({ content: 'x'.repeat(6000) }))
  let answer = (): void => undefined
  let asked = 0
  remote.on('GET', remotePath, async () => {
    if (asked++ === 0) await new Promise<void>((resolve) => { answer = resolve })
    return parts({ content: 'x'.repeat(6000) })
  })
  const request = (mediaId: string, ip: string) => server.services.media.content({
    serverName: remote.serverName, mediaId, allowRemote: true, timeoutMs: 0, authenticated: true, ip, signal: new AbortController().signal,
  })
  await request('first', '192.0.2.1')
  const poor = request('abc', '192.0.2.1')
  await until(() => asked === 1)
  const rich = request('abc', '192.0.2.2')
  answer()
  await assert.rejects(poor, /Too many requests/)
  assert.equal((await rich).sizeBytes, 6000)
})

test('one address has so many downloads at once, and leaves room for others', async (t) => {
  const { server, remote } = await scene(t)
  let release = (): void => undefined
  const held = new Promise<void>((resolve) => { release = resolve })
  const ids = Array.from({ length: 51 }, (_, index) => `m${index}`)
  for (const id of ids) {
    remote.on('GET', `/_matrix/federation/v1/media/download/${id}`, async () => {
      await held
      return parts()
    })
  }
  const request = (mediaId: string, ip: string) => server.services.media.content({
    serverName: remote.serverName, mediaId, allowRemote: true, timeoutMs: 0, authenticated: true, ip, signal: new AbortController().signal,
  })
  const results = ids.map((id) => request(id, '192.0.2.1').then(() => 'served', () => 'refused'))
  assert.equal(await Promise.race(results), 'refused')
  const other = request('m50', '192.0.2.2')
  release()
  assert.equal((await other).sizeBytes, 5)
  assert.equal((await Promise.all(results)).filter((result) => result === 'served').length, 50)
  assert.equal((await request('m50', '192.0.2.1')).sizeBytes, 5)
})

test('a part that nobody reads leaves no file open', async () => {
  const content = Readable.from(['x'])
  const { body } = await multipartReply({ type: 'text/plain', sizeBytes: 1, fileName: undefined, digest: 'x', read: async () => content })
  assert.ok(body instanceof Readable)
  body.destroy()
  await once(content, 'close')
})

test('servers whose media is refused, and servers that this one does not talk to', async (t) => {
  const remote = await FakeRemote.start(t)
  remote.on('GET', remotePath, () => parts())
  const refusing = await (await federatingServer(t, { config: `prevent_media_downloads_from: ["${remote.serverName}"]\n` })).register('alice')
  await refusing.get(`${download}/${remote.serverName}/abc`).fails(404, 'M_NOT_FOUND')
  const alone = await (await federatingServer(t, { config: 'federation_domain_whitelist: [other.example]\n' })).register('alice')
  await alone.get(`${download}/${remote.serverName}/abc`).fails(403, 'M_FORBIDDEN')
  assert.equal(remote.received.length, 0)
})

test('without authentication, only what was fetched before the freeze is served', async (t) => {
  const { server, remote, alice, path, serve } = await scene(t)
  serve(() => parts())
  await server.anonymous().get(`${legacy}/${remote.serverName}/abc`).fails(404, 'M_NOT_FOUND')
  assert.equal(remote.count(remotePath), 0)
  assert.equal((await alice.get(path)).status, 200)
  await server.anonymous().get(`${legacy}/${remote.serverName}/abc`).fails(404, 'M_NOT_FOUND')
  await server.services.database.transaction((tx) => tx.rows('UPDATE remote_media_cache SET authenticated = 0', []))
  assert.equal((await server.anonymous().get(`${legacy}/${remote.serverName}/abc`)).text, 'hello')
  await server.services.database.transaction((tx) => tx.rows('UPDATE remote_media_cache SET quarantined_by = $1', ['@admin:x']))
  for (const each of [path, `/_matrix/client/v1/media/thumbnail/${remote.serverName}/abc?width=1&height=1`]) await alice.get(each).fails(404, 'M_NOT_FOUND')
})

test('content that nobody reads is deleted, here and of other servers', async (t) => {
  const clock = new TestClock(Date.now())
  const dayMs = 86_400_000
  const { server, remote, alice, serve, path } = await scene(t, { clock, config: 'media_retention: {local_media_lifetime: 10d, remote_media_lifetime: 5d}\n' })
  const png = await picture(300, 300)
  serve(() => parts({ content: png, type: 'image/png' }))
  const upload = async (): Promise<string> => String((await alice.post('/_matrix/media/v3/upload', png).ok())['content_uri']).slice(6)
  const [read, unread, quarantined, safe] = [await upload(), await upload(), await upload(), await upload()]
  const set = (column: string, uri: string) => server.services.database.transaction((tx) =>
    tx.rows(`UPDATE local_media_repository SET ${column} WHERE media_id = $1`, [uri.split('/')[1]]))
  await set("quarantined_by = '@admin:x'", quarantined)
  await set('safe_from_quarantine = 1', safe)
  const thumbnail = (of: string) => alice.get(`/_matrix/client/v1/media/thumbnail/${of}?width=32&height=32&method=crop`)
  assert.equal((await thumbnail(`${remote.serverName}/abc`)).status, 200)
  assert.equal((await thumbnail(unread)).status, 200)
  assert.equal(stored(server).length, 7)
  const pass = async (days: number): Promise<void> => {
    clock.advance(days * dayMs)
    await server.services.mediaRetention.settled()
  }
  await pass(4)
  assert.equal((await alice.get(path)).status, 200)
  await pass(4)
  assert.equal((await alice.get(`${download}/${read}`)).status, 200)
  assert.equal(remote.count(remotePath), 1)
  await pass(3)
  assert.equal(stored(server).length, 3)
  await alice.get(`${download}/${unread}`).fails(404, 'M_NOT_FOUND')
  assert.equal((await alice.get(`${download}/${read}`)).status, 200)
  assert.equal((await alice.get(`${download}/${safe}`)).status, 200)
  assert.equal((await alice.get(path)).status, 200)
  assert.equal(remote.count(remotePath), 2)
})

test('file names in headers', () => {
  const cases: [string | undefined, string | undefined][] = [
    [undefined, undefined], ['inline', undefined], ['inline; filename=a.txt', 'a.txt'], ['attachment;filename="a \\"b\\".txt"; x=y', 'a "b".txt'],
    ["attachment; filename=plain; filename*=UTF-8''%e2%98%95", '☕'], ["attachment; filename*=utf-8''%", undefined], ['inline; filename=""', undefined],
    [`inline; filename=${'x'.repeat(1025)}`, undefined], ["inline; filename*=utf-8''a%00b", undefined], ['inline; filename=a b ; x=y', 'a b'],
  ]
  for (const [header, name] of cases) assert.equal(fileNameOf(header), name, header ?? 'none')
})
