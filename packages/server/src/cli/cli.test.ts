import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, readdirSync, statSync, symlinkSync, writeFileSync, watch } from 'node:fs'
import { createServer } from 'node:http'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { compare } from 'bcryptjs'
import { loadConfig } from '#app/config.ts'
import { parseSigningKeys } from '#platform/config/signing-key.ts'
import { within } from '#test/kit/deadline.ts'
import { run } from './main.ts'
import type { Terminal } from './output.ts'
import { registrationMac } from './register-user.ts'

function folder(): string {
  return mkdtempSync(join(tmpdir(), 'myelin-'))
}

async function command(args: readonly string[], answers: readonly string[] = []): Promise<{ status: number; out: string; errors: string }> {
  const out: string[] = []
  const errors: string[] = []
  const left = [...answers]
  const terminal: Terminal = {
    print: (line) => void out.push(line),
    complain: (line) => void errors.push(line),
    ask: async () => left.shift() ?? '',
  }
  return { status: await run(args, terminal), out: out.join('\n'), errors: errors.join('\n') }
}

const generate = (directory: string): string[] => [
  '--generate-config', '-H', 'example.org', '--report-stats=no', '-c', join(directory, 'homeserver.yaml'), '--data-directory', directory,
]

test('a generated configuration loads, and a second run leaves it as it is', async () => {
  const directory = folder()
  const first = await command(generate(directory))
  assert.equal(first.status, 0)
  assert.deepEqual(readdirSync(directory).sort(), ['example.org.log.config', 'example.org.signing.key', 'homeserver.yaml'])
  for (const name of readdirSync(directory)) assert.ok(first.out.includes(join(directory, name)))
  const file = join(directory, 'homeserver.yaml')
  assert.equal(statSync(file).mode & 0o777, 0o600)
  const text = readFileSync(file, 'utf8')
  const { config, warnings } = loadConfig([file], { generateMissing: false })
  assert.deepEqual(warnings, [])
  assert.equal(config.server_name, 'example.org')
  assert.deepEqual(config.listeners.map(({ port, bind_addresses }) => [port, bind_addresses]), [[8008, ['::1', '127.0.0.1']]])
  assert.equal(config.media_store_path, join(directory, 'media_store'))
  assert.match(config.registration_shared_secret ?? '', /^\w{40,}$/)
  assert.notEqual(config.registration_shared_secret, config.macaroon_secret_key)
  const second = await command(generate(directory))
  assert.equal(second.status, 0)
  assert.match(second.out, /exists already/)
  assert.equal(readFileSync(file, 'utf8'), text)
})

test('flags of the generated configuration', async () => {
  const directory = folder()
  const flags = ['--open-private-ports', '--enable-metrics', '--enable-registration', '--keys-directory', join(directory, 'keys'), '-d', join(directory, 'x.db')]
  await command([...generate(directory), ...flags])
  const { config } = loadConfig([join(directory, 'homeserver.yaml')])
  assert.equal(config.listeners[0]?.bind_addresses, null)
  assert.deepEqual([config.listeners[1]?.type, config.listeners[1]?.port], ['metrics', 19090])
  assert.equal(config.enable_metrics, true)
  assert.equal(config.enable_registration, true)
  assert.equal(config.database.args['database'], join(directory, 'x.db'))
  assert.equal(config.signing_key_path, join(directory, 'keys', 'example.org.signing.key'))
})

test('what is missing or wrong is said without a stack, with status 1', async () => {
  const rows: [string[], RegExp][] = [
    [['--generate-config', '--report-stats=no'], /--server-name example.org/],
    [['--generate-config', '-H', 'a.b'], /--report-stats=yes or --report-stats=no/],
    [['--generate-config', '-H', 'A.b', '--report-stats=no'], /lower case: a\.b/],
    [['-c', '/nowhere.yaml'], /^Error in configuration:\n {2}The configuration \/nowhere.yaml cannot be read/],
    [['strat'], /no command "strat"/],
    [['--confg-path', 'x'], /Unknown option '--confg-path'/],
    [['register-user', '-u', 'a'], /-c homeserver.yaml/],
  ]
  for (const [args, expected] of rows) {
    const { status, errors } = await command(args)
    assert.equal(status, 1, args.join(' '))
    assert.match(errors, expected)
    assert.doesNotMatch(errors, /\n\s+at /)
  }
})

test('missing side files are written on their own', async () => {
  const directory = folder()
  await command(generate(directory))
  const log = join(directory, 'example.org.log.config')
  const before = readFileSync(log, 'utf8')
  execFileSync('rm', [log, join(directory, 'example.org.signing.key')])
  const { status, out } = await command(['-c', join(directory, 'homeserver.yaml'), '--generate-missing-configs'])
  assert.equal(status, 0)
  assert.match(out, /log\.config/)
  assert.equal(readFileSync(log, 'utf8'), before)
  assert.equal(readdirSync(directory).length, 3)
})

test('hash-password takes the pepper and the rounds of the configuration', async () => {
  const file = join(folder(), 'homeserver.yaml')
  writeFileSync(file, 'server_name: [ignored]\nbcrypt_rounds: 4\npassword_config: {pepper: salty}\n')
  const given = await command(['hash-password', '-c', file, '-p', 'pa\u0301ss'])
  assert.match(given.out, /^\$2b\$04\$/)
  assert.ok(await compare('p\u00e1sssalty', given.out))
  const asked = await command(['hash-password', '-c', file], ['words', 'words'])
  assert.ok(await compare('wordssalty', asked.out))
  assert.match((await command(['hash-password', '-p', ''])).errors, /empty/)
  assert.match((await command(['hash-password', '-p', 'a'.repeat(73)])).errors, /too long/)
})

test('generate-signing-key prints a key, or writes it once', async () => {
  assert.equal(parseSigningKeys((await command(['generate-signing-key'])).out)?.[0]?.seed.length, 32)
  const file = join(folder(), 'key')
  assert.equal((await command(['generate-signing-key', '-o', file])).status, 0)
  assert.match((await command(['generate-signing-key', '-o', file])).errors, /exists already/)
})

/** A server that registers like the admin API, and knows one name already. */
async function registrationServer(t: TestContext): Promise<{ url: string; seen: Record<string, unknown>[] }> {
  const seen: Record<string, unknown>[] = []
  const server = createServer(async (request, response) => {
    assert.equal(request.url, '/_synapse/admin/v1/register')
    let text = ''
    for await (const chunk of request) text += String(chunk)
    if (request.method === 'GET') return void response.end('{"nonce":"n"}')
    const body: Record<string, unknown> = JSON.parse(text)
    seen.push(body)
    const taken = body['username'] === 'taken'
    response.statusCode = taken ? 400 : 200
    return void response.end(taken ? '{"errcode":"M_USER_IN_USE","error":"User ID already taken."}' : '{"user_id":"@a:b"}')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  const address = server.address()
  assert.ok(typeof address === 'object' && address)
  return { url: `http://127.0.0.1:${address.port}`, seen }
}

test('register-user signs its request with the registration secret', async (t) => {
  const { url, seen } = await registrationServer(t)
  const done = await command(['register-user', '-k', 'shh', '-u', 'alice', '-p', 'words', '-a', '-t', 'bot', url])
  assert.deepEqual([done.status, done.out], [0, 'Sending registration request...\nSuccess!'])
  const mac = registrationMac('shh', 'n', { user: 'alice', password: 'words', admin: true, userType: 'bot' })
  assert.deepEqual(seen[0], { nonce: 'n', username: 'alice', password: 'words', mac, admin: true, user_type: 'bot' })
  const port = new URL(url).port
  const file = join(folder(), 'homeserver.yaml')
  writeFileSync(file, `registration_shared_secret: shh\nlisteners:\n  - {port: ${port}, bind_addresses: [127.0.0.1], resources: [{names: [client]}]}\n`)
  const asked = await command(['register-user', '-c', file], ['bob', 'words', 'no'])
  assert.equal(asked.status, 0)
  assert.deepEqual([seen[1]?.['username'], seen[1]?.['admin']], ['bob', false])
  const taken = ['register-user', '-k', 'shh', '-u', 'taken', '-p', 'words', '--no-admin', url]
  assert.match((await command(taken)).errors, /M_USER_IN_USE: User ID already taken/)
  assert.equal((await command([...taken, '--exists-ok'])).status, 0)
})

test('the mac is that of the admin API', () => {
  const mac = registrationMac('shared_secret', 'thisisanonce', { user: 'pepper_roni', password: 'pizza', admin: true, userType: undefined })
  assert.equal(mac, '48715842ad67d5dc9a9ee938a3bda4fcfae8d7c7')
  assert.notEqual(mac, registrationMac('shared_secret', 'thisisanonce', { user: 'pepper_roni', password: 'pizza', admin: false, userType: undefined }))
})

test('bin/myelin runs from any folder and through links', () => {
  const directory = folder()
  const link = join(directory, 'linked')
  symlinkSync(fileURLToPath(new URL('../../../../bin/myelin', import.meta.url)), link)
  assert.match(execFileSync(link, ['--version'], { cwd: directory, encoding: 'utf8' }), /^Myelin\/\d+\.\d+\.\d+\n$/)
})

test('a server in the background writes its process id, answers, and ends on SIGTERM', async (t) => {
  const directory = folder()
  const file = join(directory, 'homeserver.yaml')
  const pidFile = join(directory, 'server.pid')
  const socket = join(directory, 'http.sock')
  writeFileSync(file, [
    'server_name: example.org', `pid_file: ${pidFile}`, `log_config: ${directory}/log.config`, `media_store_path: ${directory}/media`,
    `database: {args: {database: ${directory}/homeserver.db}}`, `listeners: [{path: ${socket}, resources: [{names: [client]}]}]`, '',
  ].join('\n'))
  const program = fileURLToPath(new URL('../../../../bin/myelin', import.meta.url))
  assert.equal(execFileSync(program, ['-D', '--print-pidfile', '-c', file], { encoding: 'utf8' }), `${pidFile}\n`)
  const pid = Number(readFileSync(pidFile, 'utf8'))
  t.after(() => {
    if (existsSync(pidFile)) process.kill(pid, 'SIGKILL')
  })
  const answer = execFileSync('curl', ['-s', '--unix-socket', socket, 'http://localhost/nowhere'], { encoding: 'utf8' })
  assert.match(answer, /M_UNRECOGNIZED/)
  assert.throws(() => execFileSync(program, ['-D', '-c', file], { stdio: 'pipe' }), /runs already, as process/)
  const gone = new Promise<void>((resolve) => {
    const watcher = watch(directory, () => {
      if (existsSync(pidFile)) return
      watcher.close()
      resolve()
    })
  })
  process.kill(pid, 'SIGTERM')
  await within('the end of the server in the background', gone, 60)
  assert.equal(existsSync(pidFile), false)
})
