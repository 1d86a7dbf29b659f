/** Blobs are whole or absent, and stay in their folder. */
import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { test, type TestContext } from 'node:test'
import { BlobTooLarge, Blobs } from './blobs.ts'

function blobsOf(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'myelin-blobs-'))
  t.after(() => rmSync(folder, { recursive: true }))
  return { blobs: new Blobs(join(folder, 'store')), folder }
}

test('a blob has its name only when it is kept', async (t) => {
  const { blobs } = blobsOf(t)
  const staged = await blobs.write(Readable.from(['hello ', 'world']), 100)
  assert.equal(staged.sizeBytes, 11)
  assert.equal(staged.sha256, 'b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9')
  assert.equal(await blobs.read('a/b/c'), undefined)
  await staged.keep('a/b/c')
  const [whole, part] = [await blobs.read('a/b/c'), await blobs.read('a/b/c', { first: 6, last: 8 })]
  assert.ok(whole !== undefined && part !== undefined)
  assert.deepEqual([await text(whole), await text(part)], ['hello world', 'wor'])
  assert.equal((await blobs.head('a/b/c', 5))?.toString(), 'hello')
  await blobs.remove('a')
  assert.equal(await blobs.head('a/b/c', 5), undefined)
})

test('what is too large, breaks off or is discarded leaves no file', async (t) => {
  const { blobs, folder } = blobsOf(t)
  await assert.rejects(blobs.write(Readable.from(['12345', '6']), 5), BlobTooLarge)
  const broken = new Readable({ read: () => undefined })
  broken.push('x')
  broken.destroy(new Error('broken off'))
  await assert.rejects(blobs.write(broken, 5), /broken off/)
  await (await blobs.write(Readable.from(['x']), 5)).discard()
  assert.deepEqual(readdirSync(join(folder, 'store/.staging')), [])
})

test('what a dead process left half-written can be removed', async (t) => {
  const { blobs } = blobsOf(t)
  await blobs.removeStaged()
  const path = await blobs.stagingPath()
  writeFileSync(path, 'half')
  await blobs.removeStaged()
  assert.equal(existsSync(path), false)
})

test('names stay in the folder', (t) => {
  const { blobs } = blobsOf(t)
  for (const name of ['../x', 'a/../../x', '/etc/passwd', '.', '']) assert.throws(() => blobs.path(name), /leaves its folder/)
})
