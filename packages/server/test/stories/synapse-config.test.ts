/** What Synapse's own generate-config wrote starts the server; mistakes in it stop it with advice; a stop is graceful. */
import assert from 'node:assert/strict'
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { Program, ServerProcess } from '../kit/server-process.ts'
import { TestClient } from '../kit/test-client.ts'

const fixtures = join(import.meta.dirname, '../fixtures/synapse')
const signingKey = 'ed25519 a_RXGa 1lZkXQKMnfXZyAlWrnKcVeRvFRSDtAcxiWCUdzTr3qY\n'

/** The files as they come out of Synapse's container, with the folder /data moved and a free port. */
function synapseFolder(t: TestContext, change: (yaml: string) => string = (yaml) => yaml): { folder: string; config: string } {
  const folder = mkdtempSync(join(tmpdir(), 'myelin-synapse-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  cpSync(join(fixtures, 'log.config'), join(folder, 'matrix.example.org.log.config'))
  cpSync(join(fixtures, 'homeserver.yaml'), join(folder, 'homeserver.yaml'))
  for (const name of readdirSync(folder)) {
    const text = readFileSync(join(folder, name), 'utf8').replaceAll('/data/', `${folder}/`).replace('port: 8008', 'port: 0')
    writeFileSync(join(folder, name), name === 'homeserver.yaml' ? change(text) : text)
  }
  writeFileSync(join(folder, 'matrix.example.org.signing.key'), signingKey)
  return { folder, config: join(folder, 'homeserver.yaml') }
}

test('configuration, log configuration and signing key of Synapse start the server', async (t) => {
  const { folder, config } = synapseFolder(t)
  // The log goes to a file only, as its configuration says; the flag makes the program tell where it listens.
  const program = new Program(t, 'bin/myelin', ['-c', config, '--first-run-directory', folder])
  const [, port] = await program.line(/^Ready at .*http:\/\/127\.0\.0\.1:(\d+)/)
  const client = new TestClient({ url: `http://127.0.0.1:${port}` })
  assert.ok(Array.isArray((await client.get('/_matrix/client/versions').ok())['versions']))
  // Registration is off by default.
  await client.post('/register', { username: 'a', password: 'words words', auth: { type: 'm.login.dummy' } }).fails(403, 'M_FORBIDDEN')
  assert.equal((await program.stop()).status, 0)
  assert.equal(readFileSync(join(folder, 'matrix.example.org.signing.key'), 'utf8'), signingKey)
  assert.match(readFileSync(join(folder, 'homeserver.log'), 'utf8'), /synapse\.app\.homeserver - \d+ - INFO - .*matrix\.example\.org/)
  assert.ok(existsSync(join(folder, 'homeserver.db')))
})

test('a wrong option stops the start with file, line and advice', async (t) => {
  const rows: [string, RegExp][] = [
    ['max_upload_size: "lots"', /Write a size such as/],
    ['enable_registration: maybe', /Write true or false/],
    ['presence: {enabled: [1]}', /presence\.enabled/],
  ]
  for (const [line, advice] of rows) {
    const { config } = synapseFolder(t, (yaml) => `${yaml.trimEnd()}\n${line}\n`)
    const number = readFileSync(config, 'utf8').split('\n').indexOf(line) + 1
    const program = new Program(t, 'bin/myelin', ['-c', config])
    assert.equal(await program.status(), 1, line)
    assert.ok(program.output.includes(`In ${config}, line ${number}.`), program.output)
    assert.match(program.output, advice)
    assert.doesNotMatch(program.output, /\n\s+at /)
  }
})

test('an option that nobody knows is named in the log with its place and the nearest name', async (t) => {
  const server = await ServerProcess.start(t, { config: 'report_statz: false\n' })
  const number = readFileSync(server.configPath, 'utf8').split('\n').indexOf('report_statz: false') + 1
  const [line] = await server.program.line(/WARNING.*report_statz.*/)
  assert.match(line, /Did you mean report_stats\?/)
  assert.ok(line.includes(`${server.configPath}, line ${number}`), line)
})

test('a stop is graceful: an open long poll is answered, within five seconds', async (t) => {
  const server = await ServerProcess.start(t)
  const account = await server.anonymous().post('/register', { username: 'poller', password: 'words words', auth: { type: 'm.login.dummy' } }).ok()
  const client = server.anonymous().withToken(String(account['access_token']))
  const sync = (since: string, timeoutMs: number): Promise<Readonly<Record<string, unknown>>> =>
    client.get(`/sync?set_presence=offline&timeout=${timeoutMs}${since === '' ? '' : `&since=${encodeURIComponent(since)}`}`).ok()
  // What the registration itself brought is old news as soon as the token stays the same.
  let since = ''
  for (let next = 'start'; next !== since;) {
    since = next === 'start' ? '' : next
    next = String((await sync(since, 0))['next_batch'])
  }
  let answered = false
  const poll = sync(since, 60_000).then((reply) => {
    answered = true
    return reply
  })
  // Sent on another connection after the poll, and answered while that waits.
  await client.get('/account/whoami').ok()
  assert.equal(answered, false)
  const { status, durationMs } = await server.program.stop()
  assert.equal(status, 0)
  assert.ok(durationMs < 5000, `It stopped after ${Math.round(durationMs)} ms`)
  assert.equal(typeof (await poll)['next_batch'], 'string')
  assert.deepEqual(server.errors, [])
})
