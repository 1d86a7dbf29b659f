import assert from 'node:assert/strict'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { ConfigError } from '#platform/config/fault.ts'
import { loadConfig, type LoadFlags } from './config.ts'
import { serverNameAdvice } from './checks.ts'

const minimal = 'server_name: example.org\nlisteners: [{port: 8008}]\ndatabase: {args: {database: ":memory:"}}\n'

function folder(): string {
  return mkdtempSync(join(tmpdir(), 'myelin-'))
}

function write(text: string, directory = folder()): string {
  const file = join(directory, 'homeserver.yaml')
  writeFileSync(file, text)
  return file
}

function faults(text: string, flags?: LoadFlags): string[] {
  try {
    loadConfig([write(text)], flags)
  } catch (error) {
    if (error instanceof ConfigError) return error.faults.map((fault) => `${fault.line} ${fault.path}`)
    throw error
  }
  return []
}

test('the configuration that Synapse generates loads unchanged', () => {
  const directory = folder()
  const text = readFileSync(new URL('../../test/fixtures/synapse/homeserver.yaml', import.meta.url), 'utf8')
  const { config, warnings, notEffective } = loadConfig([write(text.replaceAll('/data', directory), directory)])
  assert.equal(config.server_name, 'matrix.example.org')
  assert.deepEqual(config.listeners[0]?.bind_addresses, ['::1', '127.0.0.1'])
  assert.deepEqual(config.listeners[0]?.resources, [{ names: ['client', 'federation'], compress: false }])
  assert.equal(config.macaroon_secret_key, 'Vn8&2j^~kq:PZYgD5w0m#CdzN@r4XbQh.u7T_sLfJ1y*eKxRaW')
  assert.equal(config.database.args['database'], join(directory, 'homeserver.db'))
  assert.ok(existsSync(join(directory, 'matrix.example.org.signing.key')))
  assert.deepEqual(warnings, [])
  assert.deepEqual(notEffective.filter((name) => name !== 'trusted_key_servers'), [])
})

test('values are typed: booleans, rate limits, milliseconds', () => {
  const { config } = loadConfig([write(minimal)])
  const open: boolean = config.enable_registration
  const pace: { perSecond: number; burstCount: number } = config.rc_message
  const life: number = config.refreshable_access_token_lifetime
  assert.equal(open, false)
  assert.deepEqual(pace, { perSecond: 0.2, burstCount: 10 })
  assert.equal(life, 300_000)
  assert.equal(config.default_room_version, '12')
  assert.equal(config.ui_auth.session_timeout, 0)
  assert.equal(config.redaction_retention_period, 604_800_000)
})

test('later files replace whole top-level options; folders stand for their *.yaml, sorted', () => {
  const directory = folder()
  const first = write(`${minimal}rc_joins: {local: {per_second: 9}}\nmax_upload_size: 1M\n`)
  mkdirSync(join(directory, 'conf.d'))
  writeFileSync(join(directory, 'conf.d', 'b.yaml'), 'max_upload_size: 3M\nrc_joins: {remote: {per_second: 8}}\n')
  writeFileSync(join(directory, 'conf.d', 'a.yaml'), 'max_upload_size: 2M\n')
  writeFileSync(join(directory, 'conf.d', 'notes.txt'), 'not yaml: [')
  const { config, files } = loadConfig([first, join(directory, 'conf.d')])
  assert.equal(config.max_upload_size, 3 * 1024 ** 2)
  assert.equal(config.rc_joins.remote.perSecond, 8)
  assert.equal(config.rc_joins.local.perSecond, 0.1)
  assert.equal(files.length, 3)
})

test('what does not fit together stops the start, with the place', () => {
  assert.deepEqual(faults('listeners: []\ndatabase: {args: {database: x}}\n'), ['0 server_name'])
  assert.deepEqual(faults(`${minimal}enable_registration: true\n`), ['4 enable_registration'])
  assert.deepEqual(faults(`${minimal}enable_registration: true\nenable_registration_without_verification: true\n`), [])
  assert.deepEqual(faults(minimal, { enableRegistration: true }), ['0 enable_registration'])
  assert.deepEqual(faults('server_name: a\nlisteners: [{port: 1}]\ndatabase:\n  name: mysql\n  args: {database: x}\n'), ['4 database.name'])
  assert.deepEqual(faults('server_name: a\nlisteners: [{port: 1}]\ndatabase:\n  name: psycopg2\n'), ['3 database.args'])
  assert.deepEqual(faults(`${minimal}url_preview_enabled: true\n`), ['4 url_preview_enabled'])
  assert.deepEqual(faults(`${minimal}default_room_version: "99"\n`), ['4 default_room_version'])
  assert.deepEqual(faults(`${minimal}account_threepid_delegates:\n  email: https://x\n`), ['5 account_threepid_delegates.email'])
  assert.deepEqual(faults(`${minimal}experimental_features:\n  msc3861: {enabled: true}\n`), ['5 experimental_features.msc3861'])
  assert.deepEqual(faults('server_name: a\ndatabase: {args: {database: x}}\nlisteners:\n  - type: http\n  - port: 1\n    tls: true\n'), [
    '4 listeners.<item 0>',
    '6 listeners.<item 1>.tls',
  ])
})

test('of databases by name, the one with main is used', () => {
  const server = 'server_name: example.org\nlisteners: [{port: 8008}]\n'
  const one = loadConfig([write(`${server}databases: {master: {name: sqlite3, args: {database: one.db}}}\n`)])
  assert.deepEqual([{ ...one.config.database.args }, one.warnings, one.notEffective], [{ database: 'one.db' }, [], []])
  const two = 'databases:\n  a: {name: psycopg2, args: {dbname: a}, data_stores: [state]}\n  b: {name: psycopg2, args: {dbname: b}, data_stores: [main]}\n'
  const several = loadConfig([write(server + two)])
  assert.deepEqual([several.config.database.name, several.config.database.args['dbname']], ['psycopg2', 'b'])
  assert.equal(several.warnings.length, 1)
  assert.deepEqual(faults(minimal + two), ['4 databases'])
  assert.deepEqual(faults(server + two.replace('[main]', '[state]')), ['3 databases', '0 database.args'])
  assert.deepEqual(faults(server + two.replace('[state]', '[main]')), ['3 databases', '0 database.args'])
})

test('former names still work', () => {
  const { config, warnings } = loadConfig([write(`${minimal}use_presence: false\ncaches: {expiry_time: 5m}\nroom_invite_state_types: [m.room.name]\n`)])
  assert.equal(config.presence.enabled, false)
  assert.equal(config.caches.cache_entry_ttl, 300_000)
  assert.deepEqual(config.room_invite_state_types, ['m.room.name'])
  assert.equal(warnings.length, 3)
  assert.ok(warnings.every((line) => line.includes('deprecated') && line.includes('will be removed')))
})

test('without macaroon_secret_key a secret follows from the signing key', () => {
  const file = write(minimal)
  const first = loadConfig([file])
  assert.match(first.config.macaroon_secret_key, /^[\w-]{43}$/)
  assert.equal(loadConfig([file]).config.macaroon_secret_key, first.config.macaroon_secret_key)
  assert.equal(first.signingKeys[0]?.seed.length, 32)
})

test('a missing signing key is only written where that is wanted, and a broken one is named', () => {
  assert.deepEqual(faults(minimal, { generateMissing: false }), ['0 signing_key_path'])
  const directory = folder()
  writeFileSync(join(directory, 'example.org.signing.key'), 'ed25519 a_1 short\n')
  assert.throws(() => loadConfig([write(minimal, directory)]), /is not of the right form/)
})

test('server names', () => {
  for (const name of ['example.org', 'localhost', '127.0.0.1:8448', '[::1]:8448', 'a-b.example.org:1']) assert.equal(serverNameAdvice(name), undefined, name)
  for (const name of ['Example.org', 'https://example.org', 'example.org/', 'example.org:99999', 'a b', '.org', '']) assert.ok(serverNameAdvice(name), name)
})

test('a file that is missing is named', () => {
  assert.throws(() => loadConfig(['/nowhere/homeserver.yaml']), /\/nowhere\/homeserver.yaml cannot be read: it does not exist/)
})
