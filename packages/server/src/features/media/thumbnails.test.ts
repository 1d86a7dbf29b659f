/** Thumbnails at the HTTP door, of good pictures and of hostile ones. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { crc32, deflateSync } from 'node:zlib'
import sharp, { type Sharp } from 'sharp'
import type { TestClient } from '#test/kit/test-client.ts'
import { filesBelow, mediaDoor } from '#test/kit/media-door.ts'
import { bestSize } from './thumbnails.ts'

const upload = '/_matrix/media/v3/upload'

async function uploaded(client: TestClient, body: Uint8Array, type = 'image/png'): Promise<string> {
  return String((await client.post(upload, body, { headers: { 'content-type': type } }).ok())['content_uri']).slice('mxc://test.example/'.length)
}

function picture(width: number, height: number): Sharp {
  return sharp({ create: { width, height, channels: 3, background: { r: 200, g: 30, b: 30 } } })
}

async function animation(width: number, height: number, frames: number): Promise<Buffer> {
  const stills = await Promise.all(Array.from({ length: frames }, (_, i) =>
    sharp({ create: { width, height, channels: 3, background: { r: i * 40, g: 0, b: 0 } } }).png().toBuffer()))
  return sharp(stills, { join: { animated: true } }).gif({ delay: 100 }).toBuffer()
}

async function thumbnail(client: TestClient, url: string, id: string, query: string) {
  const response = await fetch(`${url}/_matrix/client/v1/media/thumbnail/test.example/${id}?${query}`, { headers: { authorization: `Bearer ${client.token}` } })
  assert.equal(response.status, 200)
  const metadata = await sharp(Buffer.from(await response.arrayBuffer()), { pages: -1 }).metadata()
  return { type: response.headers.get('content-type'), disposition: response.headers.get('content-disposition'), ...metadata }
}

test('thumbnails have a configured size and are never smaller than wanted', async (t) => {
  const { alice, url } = await mediaDoor(t)
  const id = await uploaded(alice, await picture(800, 600).png().toBuffer())
  const cases: [string, number, number][] = [
    ['width=32&height=32&method=crop', 32, 32],
    ['width=50&height=20&method=crop', 96, 96],
    ['width=100&height=100', 320, 240],
    ['width=300&height=300&method=scale', 640, 480],
    ['width=5000&height=5000&method=scale', 640, 480],
  ]
  for (const [query, width, height] of cases) {
    const made = await thumbnail(alice, url, id, query)
    assert.deepEqual([made.width, made.height, made.type, made.disposition], [width, height, 'image/png', 'inline; filename=thumbnail.png'], query)
  }
})

test('every supported format by its first bytes, whatever the declared type says', async (t) => {
  const { alice, url } = await mediaDoor(t)
  const source = picture(500, 500)
  for (const [bytes, type] of [[await source.jpeg().toBuffer(), 'image/jpeg'], [await source.webp().toBuffer(), 'image/png'], [await source.gif().toBuffer(), 'image/png']] as const) {
    const id = await uploaded(alice, bytes, 'application/octet-stream')
    const made = await thumbnail(alice, url, id, 'width=96&height=96&method=crop')
    assert.deepEqual([made.type, made.width], [type, 96])
  }
})

test('a small picture is served as it is, and never grows', async (t) => {
  const { alice, url } = await mediaDoor(t)
  const id = await uploaded(alice, await picture(10, 20).png().toBuffer())
  const made = await thumbnail(alice, url, id, 'width=96&height=96&method=crop')
  assert.deepEqual([made.width, made.height, made.type, made.disposition], [10, 20, 'image/png', 'inline; filename=thumbnail.png'])
})

test('a photograph is turned as its camera was', async (t) => {
  const { alice, url } = await mediaDoor(t)
  const id = await uploaded(alice, await picture(800, 400).withMetadata({ orientation: 6 }).jpeg().toBuffer(), 'image/jpeg')
  const made = await thumbnail(alice, url, id, 'width=320&height=240&method=scale')
  assert.deepEqual([made.width, made.height], [320, 640])
})

test('animations move only when asked to', async (t) => {
  const { alice, url } = await mediaDoor(t)
  for (const size of [200, 40]) {
    const id = await uploaded(alice, await animation(size, size, 4), 'image/gif')
    const moving = await thumbnail(alice, url, id, 'width=96&height=96&method=crop&animated=true')
    assert.equal(moving.pages, 4)
    assert.ok(moving.type === 'image/webp' || moving.type === 'image/gif')
    for (const query of ['', '&animated=false']) {
      const still = await thumbnail(alice, url, id, `width=96&height=96&method=crop${query}`)
      assert.equal(still.pages ?? 1, 1)
      assert.equal(still.type, 'image/png')
    }
  }
  const photo = await uploaded(alice, await picture(200, 200).jpeg().toBuffer(), 'image/jpeg')
  assert.equal((await thumbnail(alice, url, photo, 'width=96&height=96&method=crop&animated=true')).type, 'image/jpeg')
})

test('with dynamic_thumbnails the wanted size is made, up to a number of sizes', async (t) => {
  const { alice, url, database } = await mediaDoor(t, { dynamic_thumbnails: true })
  const id = await uploaded(alice, await picture(400, 200).png().toBuffer())
  const made = await thumbnail(alice, url, id, 'width=70&height=70&method=crop')
  assert.deepEqual([made.width, made.height], [70, 70])
  const scaled = await thumbnail(alice, url, id, 'width=70&height=70&method=scale')
  assert.deepEqual([scaled.width, scaled.height], [140, 70])
  for (let width = 1; width <= 60; width++) await thumbnail(alice, url, id, `width=${width}&height=1&method=crop`)
  const [row] = await database.rows<{ count: number }>('SELECT count(*) AS count FROM local_media_repository_thumbnails', [])
  assert.ok((row?.count ?? 0) <= 54)
})

test('parameters', async (t) => {
  const { alice } = await mediaDoor(t)
  const id = await uploaded(alice, await picture(10, 10).png().toBuffer())
  const path = `/_matrix/client/v1/media/thumbnail/test.example/${id}`
  await alice.get(path).fails(400, 'M_MISSING_PARAM')
  await alice.get(`${path}?width=10`).fails(400, 'M_MISSING_PARAM')
  for (const query of ['width=-1&height=1', 'width=1.5&height=1', 'width=0&height=1', 'width=x&height=1', 'width=1&height=1&method=stretch', 'width=1&height=1&animated=maybe']) {
    await alice.get(`${path}?${query}`).fails(400, 'M_INVALID_PARAM')
  }
})

test('case 116: hostile pictures', async (t) => {
  const { alice, errors, resizer } = await mediaDoor(t)
  const good = await picture(300, 300).png().toBuffer()
  const refused: [string, Buffer, number, string][] = [
    ['a bomb', bomb(50_000, 50_000), 413, 'M_TOO_LARGE'],
    ['a truncated file', good.subarray(0, good.length - 60), 400, 'M_UNKNOWN'],
    ['only the first bytes', good.subarray(0, 8), 400, 'M_UNKNOWN'],
    ['TIFF', await picture(50, 50).tiff().toBuffer(), 400, 'M_UNKNOWN'],
    ['AVIF', await picture(50, 50).avif().toBuffer(), 400, 'M_UNKNOWN'],
    ['SVG', Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="50" height="50"/>'), 400, 'M_UNKNOWN'],
    ['PSD', Buffer.from('8BPS\0\x01'), 400, 'M_UNKNOWN'],
    ['ICO', Buffer.from([0, 0, 1, 0, 1, 0]), 400, 'M_UNKNOWN'],
    ['a WebP whose chunks lie', Buffer.from('RIFF\xff\xff\xff\x7fWEBPVP8L\xff\xff\xff\x7f/', 'latin1'), 400, 'M_UNKNOWN'],
    ['nothing', Buffer.alloc(0), 400, 'M_UNKNOWN'],
  ]
  for (const [what, bytes, status, errcode] of refused) {
    const id = await uploaded(alice, bytes)
    await t.test(what, async () => {
      await alice.get(`/_matrix/client/v1/media/thumbnail/test.example/${id}?width=32&height=32&method=crop`).fails(status, errcode)
    })
  }
  assert.deepEqual(errors, [])
  assert.ok(resizer.processes <= 2)
})

test('many requests for one thumbnail make it once', async (t) => {
  const { alice, url, folder } = await mediaDoor(t)
  const id = await uploaded(alice, await picture(900, 900).png().toBuffer())
  const made = await Promise.all(Array.from({ length: 10 }, () => thumbnail(alice, url, id, 'width=96&height=96&method=crop')))
  assert.ok(made.every((each) => each.width === 96))
  assert.equal(filesBelow(join(folder, 'media/local_thumbnails')).length, 1)
  assert.deepEqual(filesBelow(join(folder, 'media/.staging')), [])
})

test('the choice of a size', () => {
  const sizes = [{ width: 32, height: 32, method: 'crop' }, { width: 96, height: 96, method: 'crop' }, { width: 320, height: 240, method: 'scale' }] as const
  assert.deepEqual(bestSize(sizes, { width: 40, height: 40, method: 'crop' }), sizes[1])
  assert.deepEqual(bestSize(sizes, { width: 10, height: 10, method: 'scale' }), sizes[2])
  assert.deepEqual(bestSize(sizes, { width: 200, height: 200, method: 'crop' }), sizes[2])
  assert.deepEqual(bestSize(sizes, { width: 999, height: 999, method: 'crop' }), sizes[1])
  assert.equal(bestSize([], { width: 1, height: 1, method: 'crop' }), undefined)
})

/** A PNG of few bytes that says it has many pixels. */
function bomb(width: number, height: number): Buffer {
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(height, 4)
  header.set([1, 0, 0, 0, 0], 8)
  const pixels = deflateSync(Buffer.alloc(100_000))
  return Buffer.concat([Buffer.from('89504e470d0a1a0a', 'hex'), chunk('IHDR', header), chunk('IDAT', pixels), chunk('IEND', Buffer.alloc(0))])
}

function chunk(name: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(name, 'latin1'), data])
  const framed = Buffer.alloc(body.length + 8)
  framed.writeUInt32BE(data.length, 0)
  framed.set(body, 4)
  framed.writeUInt32BE(crc32(body), body.length + 4)
  return framed
}
