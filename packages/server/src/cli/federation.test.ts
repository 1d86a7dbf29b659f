/** `myelin federation check`: what an operator reads of servers that work and of those that do not. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { federatingServer } from '#test/kit/federating-server.ts'
import { FakeRemote, type FakeAnswer } from '#test/kit/fake-remote.ts'
import { run } from './main.ts'

async function checks(t: TestContext, config = '') {
  const server = await federatingServer(t, { config: `federation: {max_short_retries: 0}\n${config}` })
  const check = async (target: string, ...args: string[]): Promise<{ status: number; text: string }> => {
    const lines: string[] = []
    const terminal = { print: (line: string) => void lines.push(line), complain: (line: string) => void lines.push(line), ask: async () => '' }
    const status = await run(['federation', 'check', target, '-c', join(server.folder, 'homeserver.yaml'), ...args], terminal)
    return { status, text: lines.join('\n') }
  }
  const fails = async (target: string, reason: RegExp): Promise<void> => {
    const { status, text } = await check(target)
    assert.equal(status, 1, text)
    assert.match(text.split('\n').find((line) => line.startsWith('FAIL')) ?? text, reason)
  }
  return { server, check, fails }
}

const version: FakeAnswer = { server: { name: 'Fake', version: '1.2' } }

test('two servers that can talk, and a server that looks at itself', async (t) => {
  const [{ server, check }, there] = [await checks(t), await federatingServer(t)]
  const { status, text } = await check(there.serverName)
  assert.equal(status, 0, text)
  assert.match(text, new RegExp(`^ok {4}The name itself says where the server is: https://${there.serverName} as ${there.serverName}\\.\nok {4}https://${there.serverName} answers with a certificate that is valid for localhost\\. It is Myelin .*\nok {4}The clocks of both servers agree\\.\nok {4}Its keys are ed25519:\\w+, valid until .*\\.\nok {4}It accepts a signed request of this server\\.$`))
  assert.equal((await check(server.serverName)).status, 0)
})

test('each failure is explained', async (t) => {
  const [{ fails }, remote] = [await checks(t), await FakeRemote.start(t)]
  const name = remote.serverName
  const query = (answer: FakeAnswer): void => remote.on('GET', '/_matrix/federation/v1/query/directory', () => answer)
  await fails(name, /answers, but not as a homeserver does \(status 404\)/)
  remote.on('GET', '/_matrix/federation/v1/version', () => [200, '<html>'])
  await fails(name, /not as a homeserver does \(status 200\)/)
  remote.on('GET', '/_matrix/federation/v1/version', () => version)
  query([401, { errcode: 'M_UNAUTHORIZED', error: 'no keys' }])
  await fails(name, /does not accept the signature of this server: .*: no keys\. It must be able to reach https:\/\/localhost/)
  query([403, { errcode: 'M_FORBIDDEN', error: 'Federation denied' }])
  await fails(name, /refuses to talk to this server: .*Federation denied/)
  query([500, 'x'])
  await fails(name, /A signed request failed: .* 500/)
  const keys = (answer: () => FakeAnswer): void => remote.on('GET', '/_matrix/key/v2/server', answer)
  keys(() => remote.keyDocument({ valid_until_ts: 1000 }))
  await fails(name, /valid until 1970-01-01T00:00:01\.000Z, which is over/)
  keys(() => ({ ...remote.keyDocument(), more: 1 }))
  await fails(name, /cannot be used: its signature with .* is wrong/)
  keys(() => [503, 'x'])
  await fails(name, /keys cannot be fetched: .* 503/)
  remote.on('GET', '/_matrix/federation/v1/version', () => [200, { server: { name: 'Fake' } }, { date: new Date(Date.now() - 3_600_000).toUTCString() }])
  await fails(name, /Its clock is 36\d\d seconds behind this one's/)
  await fails('localhost:1', /Nothing accepts connections there/)
})

test('certificates, addresses and servers that the configuration refuses', async (t) => {
  const remote = await FakeRemote.start(t)
  remote.on('GET', '/_matrix/federation/v1/version', () => version)
  await (await checks(t, 'federation_custom_ca_list: []\n')).fails(remote.serverName, /certificate must be valid for localhost/)
  await (await checks(t, 'ip_range_blacklist: ["127.0.0.0/8", "::1"]\n')).fails(remote.serverName, /ip_range_whitelist/)
  await (await checks(t, 'federation_domain_whitelist: [a.example]\n')).fails(remote.serverName, /not in federation_domain_whitelist/)
})

test('words that make no command', async (t) => {
  const { server, check } = await checks(t)
  assert.deepEqual(await check('not a name'), { status: 1, text: '"not a name" is no server name. Write it as it stands in user ids, such as matrix.org.' })
  assert.equal((await check('a.example', 'b.example')).status, 2)
  assert.match((await check('a.example', '--help')).text, /^Usage: myelin federation check SERVER/)
  writeFileSync(join(server.folder, 'homeserver.yaml'), 'nonsense: 1\n')
  assert.equal((await check('a.example')).status, 1)
})
