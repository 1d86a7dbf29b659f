import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, readdirSync, renameSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { ConfigError } from '#platform/config/fault.ts'
import { runWithLogContext } from './context.ts'
import { createLogging, type Logging } from './logging.ts'

const noon = new Date(2026, 0, 31, 12, 0, 0, 123).getTime()

/** A log configuration in a folder of its own; `FOLDER` in the text stands for it. */
function configured(t: TestContext, text: string): { logging: Logging; folder: string; file: string; time: { now: number } } {
  const folder = mkdtempSync(join(tmpdir(), 'myelin-'))
  const file = join(folder, 'log.config')
  writeFileSync(file, text.replaceAll('FOLDER', folder))
  const time = { now: noon }
  const logging = createLogging({ log_config: file }, () => time.now)
  t.after(() => logging.close())
  return { logging, folder, file, time }
}

function faultsOf(text: string): string[] {
  const file = join(mkdtempSync(join(tmpdir(), 'myelin-')), 'log.config')
  writeFileSync(file, text)
  try {
    createLogging({ log_config: file }).close()
  } catch (error) {
    if (error instanceof ConfigError) return error.faults.map((fault) => `${fault.line} ${fault.path}: ${fault.message} ${fault.advice}`)
    throw error
  }
  return []
}

const precise = "formatters: {precise: {format: '%(asctime)s - %(name)s - %(lineno)d - %(levelname)s - %(request)s - %(message)s'}}\n"
const plainFile = 'handlers: {file: {class: logging.FileHandler, formatter: precise, filename: FOLDER/out.log}}\nroot: {level: INFO, handlers: [file]}\n'

test('the log configuration that Synapse generates is understood', (t) => {
  const text = readFileSync(new URL('../../../test/fixtures/synapse/log.config', import.meta.url), 'utf8')
  const { logging, folder } = configured(t, text.replaceAll('/data', 'FOLDER'))
  const logger = logging.logger('synapse.access.http.8008')
  logger.info('kept back')
  assert.equal(readFileSync(join(folder, 'homeserver.log'), 'utf8'), '')
  logger.warn('urgent')
  logger.debug('too low')
  assert.equal(
    readFileSync(join(folder, 'homeserver.log'), 'utf8'),
    '2026-01-31 12:00:00,123 - synapse.access.http.8008 - 0 - INFO - sentinel - kept back\n' +
      '2026-01-31 12:00:00,123 - synapse.access.http.8008 - 0 - WARNING - sentinel - urgent\n',
  )
  logger.info('at the end')
  logging.close()
  assert.match(readFileSync(join(folder, 'homeserver.log'), 'utf8'), /at the end\n$/)
})

test('lines carry the request that they belong to, also after waiting', async (t) => {
  const { logging, folder } = configured(t, precise + plainFile)
  const logger = logging.logger('a')
  await runWithLogContext({ request: 'GET-12' }, async () => {
    await Promise.resolve()
    logger.info('inside')
  })
  logger.info('given', { request: 'PUT-3' })
  logger.info('outside')
  const requests = readFileSync(join(folder, 'out.log'), 'utf8').trim().split('\n').map((line) => line.split(' - ')[4])
  assert.deepEqual(requests, ['GET-12', 'PUT-3', 'sentinel'])
})

test('levels and handlers follow the tree of names', (t) => {
  const { logging, folder } = configured(
    t,
    `formatters: {short: {format: '%(levelname)-8s %(name)s %(message)s'}}
handlers:
  all: {class: logging.FileHandler, formatter: short, filename: FOLDER/all.log}
  sql: {class: logging.FileHandler, formatter: short, filename: FOLDER/sql.log, level: WARNING}
loggers:
  synapse.storage: {level: DEBUG}
  synapse.storage.SQL: {handlers: [sql], propagate: false}
  synapse.http: {level: ERROR}
root: {level: INFO, handlers: [all]}
`,
  )
  logging.logger('synapse.storage.events').debug('one')
  logging.logger('synapse.storagex').debug('not this')
  logging.logger('synapse.http.server').warn('nor this')
  logging.logger('synapse.storage.SQL').info('below the handler')
  logging.logger('synapse.storage.SQL').error('two')
  assert.equal(readFileSync(join(folder, 'all.log'), 'utf8'), 'DEBUG    synapse.storage.events one\n')
  assert.equal(readFileSync(join(folder, 'sql.log'), 'utf8'), 'ERROR    synapse.storage.SQL two\n')
})

test('JSON lines have the keys of Synapse, with and without the time', (t) => {
  const { logging, folder } = configured(
    t,
    `formatters:
  terse: {class: synapse.logging.TerseJsonFormatter}
  json: {(): synapse.logging.JsonFormatter}
handlers:
  terse: {class: logging.FileHandler, formatter: terse, filename: FOLDER/terse.log}
  json: {class: logging.FileHandler, formatter: json, filename: FOLDER/json.log}
root: {level: INFO, handlers: [terse, json]}
`,
  )
  runWithLogContext({ request: 'GET-1', requester: '@a:b' }, () => logging.logger('synapse.x').info('hello', { room: '!r', access_token: 'abc', log: 'shadow' }))
  const terse: unknown = JSON.parse(readFileSync(join(folder, 'terse.log'), 'utf8'))
  const expected = { log: 'hello', namespace: 'synapse.x', level: 'INFO', request: 'GET-1', requester: '@a:b', room: '!r', access_token: '<redacted>' }
  assert.deepEqual(terse, { ...expected, time: Math.round(noon / 10) / 100 })
  assert.deepEqual(JSON.parse(readFileSync(join(folder, 'json.log'), 'utf8')), expected)
})

test('fields and errors follow the message, secrets do not', (t) => {
  const { logging, folder } = configured(t, `formatters: {precise: {format: '%(message)s'}}\n${plainFile}`)
  const logger = logging.logger('a')
  logger.info('GET /sync?access_token=s3cret&since=1', { headers: { Authorization: 'Bearer s3cret' }, body: { password: 's3cret', user: 'a' } })
  logger.error('failed', { error: new Error('at ?access_token=s3cret', { cause: new Error('Bearer s3cret') }) })
  const text = readFileSync(join(folder, 'out.log'), 'utf8')
  assert.match(text, /access_token=<redacted>&since=1 \{"headers":\{"Authorization":"<redacted>"\},"body":\{"password":"<redacted>","user":"a"\}\}/)
  assert.match(text, /failed\nError: .*\n\s+at /)
  assert.doesNotMatch(text, /s3cret/)
})

test('files rotate at midnight and keep the newest', (t) => {
  const { logging, folder, time } = configured(
    t,
    `formatters: {short: {format: '%(message)s'}}
handlers: {file: {class: logging.handlers.TimedRotatingFileHandler, formatter: short, filename: FOLDER/out.log, when: midnight, backupCount: 2}}
root: {level: INFO, handlers: [file]}
`,
  )
  for (let day = 0; day < 5; day += 1) {
    logging.logger('a').info(`day ${day}`)
    time.now += 86_400_000
  }
  assert.deepEqual(readdirSync(folder).sort(), ['log.config', 'out.log', 'out.log.2026-02-02', 'out.log.2026-02-03'])
  assert.equal(readFileSync(join(folder, 'out.log.2026-02-03'), 'utf8'), 'day 3\n')
  assert.equal(readFileSync(join(folder, 'out.log'), 'utf8'), 'day 4\n')
})

test('files rotate by size', (t) => {
  const { logging, folder } = configured(
    t,
    `formatters: {short: {format: '%(message)s'}}
handlers: {file: {class: logging.handlers.RotatingFileHandler, formatter: short, filename: FOLDER/out.log, maxBytes: 10, backupCount: 2}}
root: {level: INFO, handlers: [file]}
`,
  )
  for (const line of ['aaaaaaa', 'bbbbbbb', 'ccccccc', 'ddddddd']) logging.logger('a').info(line)
  const read = (name: string): string => readFileSync(join(folder, name), 'utf8')
  assert.deepEqual([read('out.log'), read('out.log.1'), read('out.log.2')], ['ddddddd\n', 'ccccccc\n', 'bbbbbbb\n'])
})

test('reload takes the new configuration and opens files anew; with faults the old one stays', (t) => {
  const { logging, folder, file } = configured(t, `formatters: {precise: {format: '%(message)s'}}\n${plainFile}`)
  const logger = logging.logger('a')
  logger.info('one')
  renameSync(join(folder, 'out.log'), join(folder, 'moved.log'))
  logging.reload()
  logger.info('two')
  assert.equal(readFileSync(join(folder, 'moved.log'), 'utf8'), 'one\n')
  assert.equal(readFileSync(join(folder, 'out.log'), 'utf8'), 'two\n')
  writeFileSync(file, 'root: {handlers: [nowhere]}\n')
  logging.reload()
  logger.info('three')
  assert.match(readFileSync(join(folder, 'out.log'), 'utf8'), /not reloaded[^]*no handler "nowhere"[^]*three\n$/)
})

test('faults of the log configuration name the line', () => {
  const found = (text: string): string => faultsOf(text).join('\n')
  assert.match(found('version: 1\nstructured: true\n'), /^2 structured: .*TerseJsonFormatter/)
  assert.match(found('drains:\n  console: {type: console}\n'), /^1 drains: .*removed/)
  assert.match(found('handlers:\n  a:\n    class: logging.Nope\n'), /^3 handlers.a.class: The handler class "logging.Nope" is not known/)
  assert.match(found('handlers:\n  a: {class: logging.FileHandler}\n'), /^2 handlers.a: The handler has no file/)
  assert.match(found('handlers:\n  a: {class: logging.StreamHandler, formatter: x}\n'), /^2 handlers.a.formatter: There is no formatter "x"/)
  assert.match(found('root:\n  level: LOUD\n'), /^2 root.level: .*DEBUG, INFO/)
  assert.match(found('handlers:\n  a: {class: logging.handlers.MemoryHandler, target: a}\n'), /leads back to itself/)
  assert.match(found('formatters:\n  f: {class: my.Formatter}\nhandlers:\n  a: {class: logging.StreamHandler, formatter: f}\n'), /^2 formatters.f: .*not known/)
  assert.match(found('handlers:\n  a: {class: logging.FileHandler, filename: /nowhere/at/all/x.log}\n'), /cannot be written/)
})

test('lines go to a collector over TCP', async (t) => {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  const address = server.address()
  assert.ok(typeof address === 'object' && address)
  const connection = once(server, 'connection')
  const { logging } = configured(
    t,
    `formatters: {terse: {class: synapse.logging.TerseJsonFormatter}}
handlers: {remote: {class: synapse.logging.RemoteHandler, formatter: terse, host: 127.0.0.1, port: ${address.port}}}
root: {level: INFO, handlers: [remote]}
`,
  )
  logging.logger('a').info('over there')
  const [socket] = await connection
  const [data] = await once(socket, 'data')
  assert.match(String(data), /"log":"over there"/)
  socket.destroy()
})
