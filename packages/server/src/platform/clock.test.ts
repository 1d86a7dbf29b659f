/** The machine's clock and the test clock keep the same promises. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TestClock } from '#test/kit/test-clock.ts'
import { SystemClock } from './clock.ts'

test('the test clock runs what is due, in order, at its time', async () => {
  const clock = new TestClock(1000)
  const calls: string[] = []
  const note = (name: string) => () => void calls.push(`${name}@${clock.now()}`)
  clock.after(20, note('b'))
  clock.after(10, note('a'))
  const cancelled = clock.after(15, note('x'))
  const interval = clock.every(8, note('e'))
  cancelled.cancel()
  const slept = clock.sleep(5)
  clock.advance(20)
  await slept
  interval.cancel()
  clock.advance(100)
  assert.deepEqual(calls, ['e@1008', 'a@1010', 'e@1016', 'b@1020'])
  assert.equal(clock.pending, 0)
})

test('the test clock can let a loop of sleeps run on', async () => {
  const clock = new TestClock()
  const startedAt = clock.now()
  const turns: number[] = []
  const loop = async (): Promise<void> => {
    while (turns.length < 3) {
      await clock.sleep(10)
      turns.push(clock.now() - startedAt)
    }
  }
  const done = loop()
  await clock.advanceSlowly(35)
  await done
  assert.deepEqual([turns, clock.now() - startedAt], [[10, 20, 30], 35])
})

test('sleep ends early with the reason of its signal', async () => {
  for (const clock of [new TestClock(), new SystemClock()]) {
    const controller = new AbortController()
    const slept = clock.sleep(60_000, controller.signal)
    controller.abort(new Error('enough'))
    await assert.rejects(slept, /enough/)
    await assert.rejects(clock.sleep(1, AbortSignal.abort(new Error('before'))), /before/)
  }
})

test('the machine\'s clock calls later', async () => {
  const clock = new SystemClock()
  const startedAt = clock.now()
  const keepAlive = setInterval(() => undefined, 1000)
  await new Promise<void>((resolve) => clock.after(5, resolve))
  await clock.sleep(1)
  clearInterval(keepAlive)
  assert.ok(clock.now() - startedAt >= 4)
})
