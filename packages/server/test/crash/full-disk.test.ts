/** A real server whose disk is full: clear refusals, a red health check, nothing that hangs, and recovery when there is space again. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { testEngine } from '../kit/homeserver-yaml.ts'
import { KilledServer } from './killed-server.ts'
import { Load, register, Unanswered } from './load.ts'

/** Limits the size of the files of a process: a write beyond fails as on a full disk. */
function limitFiles(pid: number, bytes: number | 'unlimited'): void {
  execFileSync('prlimit', ['--pid', String(pid), `--fsize=${bytes}:`])
}

async function healthBecomes(server: KilledServer, status: number): Promise<void> {
  const deadline = performance.now() + 20_000
  for (;;) {
    const answer = await fetch(`${server.url}/health`)
    if (answer.status === status) return
    assert.ok(performance.now() < deadline, `/health stayed ${answer.status}`)
    await pause(50)
  }
}

if (testEngine === 'sqlite') {
  test('a full disk refuses writes until there is space again', { timeout: 90_000 }, async () => {
    const server = await KilledServer.start('sqlite')
    try {
      const load = await Load.open(() => server.url)
      const carol = await register(() => server.url, 'carol')
      await load.kinds['message']?.('before')
      const at = `/_matrix/client/v3/user/${encodeURIComponent(carol.userId)}/account_data/org.example.full`
      limitFiles(server.pid, 64)
      await assert.rejects(carol.send('PUT', at, { value: 'x'.repeat(20_000) }), (error) => error instanceof Unanswered && /answered 503/.test(error.message))
      await healthBecomes(server, 503)
      await load.journal.check()
      assert.equal(await carol.has(at), false)
      limitFiles(server.pid, 'unlimited')
      await healthBecomes(server, 200)
      await carol.send('PUT', at, { value: 'x'.repeat(20_000) })
      await load.checkWhole()
      await server.kill()
      await server.run()
      await load.journal.check()
      assert.equal(await carol.has(at), true)
    } finally {
      await server.remove()
    }
  })
}
