/** What waits to be written about devices that were seen. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import type { Sighting } from '#features/devices/devices.ts'
import { TestClock } from '#test/kit/test-clock.ts'
import { LastSeen } from './last-seen.ts'

test('a flush waits for what an earlier one still writes', async () => {
  const written: string[] = []
  const release = Promise.withResolvers<void>()
  const devices = {
    async recordSeen(rows: readonly Sighting[]): Promise<void> {
      await release.promise
      written.push(...rows.map((row) => row.device_id))
    },
  }
  const lastSeen = new LastSeen({ devices, clock: new TestClock(), logger: { error: assert.fail } })
  lastSeen.note('@alice:test.example' as UserId, 'ONE', '127.0.0.1', 'agent', { ip: '', userAgent: '', ts: 0 })
  const first = lastSeen.flush()
  const second = lastSeen.flush().then(() => [...written])
  release.resolve()
  assert.deepEqual(await second, ['ONE'])
  await first
})
