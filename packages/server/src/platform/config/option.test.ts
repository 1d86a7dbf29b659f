import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { ConfigFault, Findings, type ReadingRules } from './fault.ts'
import { any, boolean, bytes, choice, duration, either, integer, list, map, orNull, path, secret, string } from './kind.ts'
import { limit, object, option, options, readFields, section, type Fields, type Parsed } from './option.ts'
import { parseSettings } from './setting.ts'

function read<const F extends Fields>(fields: F, text: string, rules?: ReadingRules): { values: Parsed<F>; findings: Findings } {
  const findings = new Findings(rules)
  const values = readFields(fields, parseSettings(text, 'homeserver.yaml', (twice) => findings.warn(twice, `${twice.path} twice`)), undefined, findings)
  return { values, findings }
}

const sample = options({
  open: option(boolean, { default: false, doc: 'Whether it is open.', effective: true }),
  name: option(string, { doc: 'A name.', effective: true }),
  life: option(duration, { default: '1w', doc: 'A life.', effective: true }),
  size: option(bytes, { default: '50M', doc: 'A size.', effective: false }),
  kept: option(orNull(duration), { default: '7d', doc: 'Until when.', effective: true }),
  pace: limit(0.2, 10, { doc: 'A pace.', effective: true }),
  mode: option(choice(true, false, 'some'), { default: true, doc: 'A mode.', effective: true }),
  inner: section({ count: option(integer, { default: 3, doc: 'A count.' }), deep: option(list(string), { default: [], doc: 'Deep.' }) }, { doc: 'Inner.', effective: false }),
  items: option(list(object({ port: option(integer, { doc: 'Port.' }) })), { default: [], doc: 'Items.', effective: true }),
  names: option(map(integer), { default: {}, doc: 'Names.', effective: true }),
  both: option(either(string, list(string)), { doc: 'One or several.', effective: true }),
  old: option(boolean, { doc: 'Old.', effective: true, deprecated: { since: '1.25', instead: 'Use open' } }),
  gone: option(any, { doc: 'Gone.', effective: true, removed: { since: '1.73', instead: 'Remove it', stops: false } }),
  fatal: option(any, { doc: 'Fatal.', effective: true, removed: { since: '1.88', instead: 'Use inner', stops: true } }),
})

test('defaults stand in for what is not written, and for an empty value', () => {
  const { values, findings } = read(sample, 'open:\ninner:\n')
  assert.equal(values.open, false)
  assert.equal(values.name, null)
  assert.equal(values.life, 604_800_000)
  assert.equal(values.size, 52_428_800)
  assert.deepEqual(values.pace, { perSecond: 0.2, burstCount: 10 })
  assert.deepEqual(values.inner, { count: 3, deep: [] })
  assert.deepEqual(findings.faults, [])
})

test('values take the form that the program uses', () => {
  const { values, findings } = read(
    sample,
    'open: yes\nname: 0012\nlife: 30s\nkept: null\npace: {burst_count: 2}\nmode: some\nitems:\n  - port: 1\n  - {port: 2}\nnames: {constructor: 1, __proto__: 2}\nboth: [a, b]\n',
  )
  assert.deepEqual(findings.faults, [])
  assert.equal(values.open, true)
  assert.equal(values.name, '0012')
  assert.equal(values.life, 30_000)
  assert.equal(values.kept, null)
  assert.deepEqual(values.pace, { perSecond: 0.2, burstCount: 2 })
  assert.equal(values.mode, 'some')
  assert.deepEqual(values.items, [{ port: 1 }, { port: 2 }])
  assert.deepEqual([...values.names], [['constructor', 1], ['__proto__', 2]])
  assert.deepEqual(values.both, ['a', 'b'])
})

test('every fault names path, file, line and what would be right', () => {
  const { findings } = read(sample, 'open: "true"\nlife: soon\nitems:\n  - port: 1\n  - port: many\npace:\n  per_second: -1\nmode: other\nfatal: 1\ninner: []\n')
  const found = findings.faults.map((fault) => `${fault.line} ${fault.path}: ${fault.advice}`)
  assert.deepEqual(found, [
    '1 open: Write true or false, without quotes.',
    '2 life: Write a duration such as 30s, 5m, 12h, 7d, 1w or 1y, or a number of milliseconds.',
    '7 pace.per_second: Write a number that is not negative, without quotes.',
    '8 mode: Write true, false or "some".',
    '10 inner: Write a mapping, with one "key: value" per line.',
    '5 items.<item 1>.port: Write a whole number, without quotes.',
    '9 fatal: Use inner.',
  ])
  assert.equal(
    findings.faults[5]?.text,
    "Error in configuration at 'items.<item 1>.port':\n  Found a text, which does not fit here.\n  In homeserver.yaml, line 5.\n  Write a whole number, without quotes.",
  )
})

test('unknown options warn with the nearest name, deprecated ones with their replacement', () => {
  const { findings } = read(sample, 'opne: true\ninner:\n  cuont: 1\nold: true\ngone: 1\nconstructor: 1\nopen: true\nopen: false\n')
  assert.deepEqual(findings.warnings, [
    'open twice (homeserver.yaml, line 8)',
    'Unknown option inner.cuont is ignored. Did you mean inner.count? (homeserver.yaml, line 3)',
    'The option old is deprecated since Synapse 1.25 and will be removed in Myelin 2.0. Use open. (homeserver.yaml, line 4)',
    'The option gone is ignored: it was removed in Synapse 1.73. Remove it. (homeserver.yaml, line 5)',
    'Unknown option opne is ignored. Did you mean open? (homeserver.yaml, line 1)',
    'Unknown option constructor is ignored. (homeserver.yaml, line 6)',
  ])
})

test('options that wait for their feature are named once, sections as a whole', () => {
  const { findings } = read(sample, 'size: 1M\ninner:\n  count: 1\nopen: true\n')
  assert.deepEqual(findings.notEffective, ['inner', 'size'])
})

test('mistakes of YAML name the line', () => {
  assert.throws(
    () => parseSettings('a: 1\nb: [1\nc: 2\n', 'x.yaml'),
    (error) => error instanceof ConfigFault && error.file === 'x.yaml' && error.line >= 2,
  )
  assert.throws(() => parseSettings('- a\n', 'x.yaml'), /holds a list, not options/)
  assert.equal(parseSettings('# nothing\n', 'x.yaml').size, 0)
})

test('anchors and merge keys are resolved', () => {
  const { values } = read(sample, 'x-base: &base {count: 7}\ninner:\n  <<: *base\n  deep: [a]\n')
  assert.deepEqual(values.inner, { count: 7, deep: ['a'] })
})

const secrets = options({
  key: option(secret, { doc: 'A key.', effective: true }),
  key_path: option(path, { doc: 'Its file.', effective: true, createMissing: true }),
})

test('a secret is read from its file, which is created where that is wanted', () => {
  const folder = mkdtempSync(join(tmpdir(), 'myelin-'))
  const file = join(folder, 'secret')
  assert.match(read(secrets, `key_path: ${file}\n`).findings.faults[0]?.message ?? '', /does not exist/)
  const { values } = read(secrets, `key_path: ${file}\n`, { generateMissing: true })
  assert.equal(values.key, readFileSync(file, 'utf8').trim())
  assert.equal(statSync(file).mode & 0o777, 0o600)
  writeFileSync(file, ' words \n')
  assert.equal(read(secrets, `key_path: ${file}\n`).values.key, 'words')
  assert.match(read(secrets, `key: a\nkey_path: ${file}\n`).findings.faults[0]?.message ?? '', /Both key and key_path/)
})

test('secrets in the configuration are refused where --no-secrets-in-config is given', () => {
  const { findings } = read(secrets, 'key: abc\n', { noSecretsInConfig: true })
  assert.equal(findings.faults[0]?.path, 'key')
  assert.match(findings.faults[0]?.advice ?? '', /key_path/)
})
