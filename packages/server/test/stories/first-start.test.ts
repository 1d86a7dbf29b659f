/** The first screen of the README: from nothing to a logged-in client, and the same again after a restart. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { promisify } from 'node:util'
import { Program, repository } from '../kit/server-process.ts'
import { TestClient } from '../kit/test-client.ts'

const execute = promisify(execFile)

/** The README's port may be taken on the machine that runs the tests, so a free one is written into the first configuration. */
function useFreePort(config: string): void {
  const text = readFileSync(config, 'utf8')
  assert.match(text, /port: 8008/)
  writeFileSync(config, text.replace('port: 8008', 'port: 0'))
}

async function firstRun(t: TestContext, folder: string): Promise<{ program: Program; client: TestClient; port: string; durationMs: number }> {
  const begin = performance.now()
  const program = new Program(t, 'bin/start', ['--first-run-directory', folder])
  const ready = await program.line(/^Ready at .*http:\/\/127\.0\.0\.1:(\d+)/)
  // Where tests run side by side, the program waits for the processor; what it used of it is then the better measure.
  const durationMs = Math.min(performance.now() - begin, program.processorMs())
  const port = ready[1] ?? ''
  return { program, client: new TestClient({ url: `http://127.0.0.1:${port}` }), port, durationMs }
}

function logIn(client: TestClient): Promise<Readonly<Record<string, unknown>>> {
  const identifier = { type: 'm.id.user', user: 'admin' }
  return client.post('/login', { type: 'm.login.password', identifier, password: 'a long password' }).ok()
}

test('one command starts a server that keeps what it is given', async (t) => {
  const parent = mkdtempSync(join(tmpdir(), 'myelin-first-'))
  t.after(() => rmSync(parent, { recursive: true, force: true }))
  const folder = join(parent, 'data')
  const config = join(folder, 'homeserver.yaml')
  await execute(join(repository, 'bin/myelin'), ['--first-run-directory', folder, '--generate-missing-configs'])
  useFreePort(config)
  assert.equal(statSync(config).mode & 0o777, 0o600)

  const first = await firstRun(t, folder)
  assert.ok(first.durationMs < 2000, `It served after ${Math.round(first.durationMs)} ms`)
  const { versions } = await first.client.get('/_matrix/client/versions').ok()
  assert.ok(Array.isArray(versions) && versions.includes('v1.11'))

  const command = ['register-user', '-c', config, '-u', 'admin', '-p', 'a long password', '-a', `http://127.0.0.1:${first.port}`]
  const { stdout } = await execute(join(repository, 'bin/myelin'), command)
  assert.match(stdout, /Success!/)

  const session = await logIn(first.client)
  assert.equal(session['user_id'], '@admin:localhost')
  const admin = first.client.withToken(String(session['access_token']))
  const room = String((await admin.post('/createRoom', { name: 'Home' }).ok())['room_id'])
  const event = String((await admin.put(`/rooms/${encodeURIComponent(room)}/send/m.room.message/1`, { msgtype: 'm.text', body: 'First!' }).ok())['event_id'])
  const key = readFileSync(join(folder, 'localhost.signing.key'), 'utf8')

  const end = await first.program.stop()
  assert.equal(end.status, 0)
  assert.ok(end.durationMs < 5000, `It stopped after ${Math.round(end.durationMs)} ms`)

  const second = await firstRun(t, folder)
  assert.ok(second.durationMs < 2000, `It served again after ${Math.round(second.durationMs)} ms`)
  const again = second.client.withToken(admin.token)
  assert.equal((await again.get('/account/whoami').ok())['user_id'], '@admin:localhost')
  const kept = await again.get(`/rooms/${encodeURIComponent(room)}/event/${encodeURIComponent(event)}`).ok()
  assert.deepEqual(kept['content'], { msgtype: 'm.text', body: 'First!' })
  assert.equal((await logIn(second.client))['user_id'], '@admin:localhost')
  assert.equal(readFileSync(join(folder, 'localhost.signing.key'), 'utf8'), key)
  assert.ok(existsSync(join(folder, 'homeserver.db')))
  assert.equal((await second.program.stop()).status, 0)
})

test('the first configuration is for this machine and for the port of the README', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'myelin-first-'))
  try {
    await execute(join(repository, 'bin/myelin'), ['--first-run-directory', folder, '--generate-missing-configs'])
    const text = readFileSync(join(folder, 'homeserver.yaml'), 'utf8')
    assert.match(text, /server_name: "?localhost"?/)
    assert.match(text, /port: 8008/)
    assert.match(text, /'?127\.0\.0\.1'?/)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})
