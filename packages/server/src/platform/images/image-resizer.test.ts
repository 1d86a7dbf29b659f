/** The image processes: bounded, killable, gone when idle. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { execFileSync } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import sharp from 'sharp'
import { ImageResizer, type ImageResizerLimits } from './image-resizer.ts'

async function resizerOf(t: TestContext, limits: Partial<ImageResizerLimits>) {
  const folder = mkdtempSync(join(tmpdir(), 'myelin-images-'))
  const source = join(folder, 'source')
  writeFileSync(source, await sharp({ create: { width: 400, height: 400, channels: 3, background: 'red' } }).png().toBuffer())
  const resizer = new ImageResizer(limits)
  t.after(async () => {
    await resizer[Symbol.asyncDispose]()
    rmSync(folder, { recursive: true })
  })
  let number = 0
  const job = (from = source) => ({ source: from, target: join(folder, String(number++)), width: 10, height: 10, method: 'crop', animated: false, maxPixels: 1e6 }) as const
  return { resizer, job, folder }
}

test('jobs are done by no more processes than allowed', async (t) => {
  const { resizer, job } = await resizerOf(t, { processes: 2 })
  const outcomes = await Promise.all(Array.from({ length: 6 }, () => resizer.resize(job())))
  assert.ok(outcomes.every((outcome) => outcome.kind === 'made'))
  assert.equal(resizer.processes, 2)
})

test('a job that hangs is killed, and the next one finds a new process', async (t) => {
  const { resizer, job, folder } = await resizerOf(t, { processes: 1, timeoutMs: 1500 })
  const pipe = join(folder, 'pipe')
  execFileSync('mkfifo', [pipe])
  const [hung, next] = await Promise.all([resizer.resize(job(pipe)), resizer.resize(job())])
  assert.deepEqual([hung.kind, next.kind], ['unreadable', 'made'])
})

test('a full queue refuses', async (t) => {
  const { resizer, job } = await resizerOf(t, { processes: 1, queue: 1 })
  const results = await Promise.allSettled([resizer.resize(job()), resizer.resize(job()), resizer.resize(job())])
  assert.deepEqual(results.map((result) => result.status), ['fulfilled', 'fulfilled', 'rejected'])
})

test('an idle process ends', async (t) => {
  const { resizer, job } = await resizerOf(t, { idleMs: 1 })
  await resizer.resize(job())
  while (resizer.processes > 0) await new Promise<void>((resolve) => setImmediate(resolve))
})
