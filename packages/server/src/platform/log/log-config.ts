/**
 * The file that `log_config` names: Python's logging dictionary, in the parts that Synapse's operators use.
 *
 * Spec: none; Python's "Configuration dictionary schema" and Synapse's structured logging manual.
 */
import { resolve } from 'node:path'
import { ConfigError, ConfigFault, Findings, type Place } from '#platform/config/fault.ts'
import { readConfigText } from '#platform/config/files.ts'
import { any, boolean, checked, choice, either, integer, list, map, number, port, shaped, string } from '#platform/config/kind.ts'
import { object, option, options, readFields, section, type Parsed } from '#platform/config/option.ts'
import { findPlace } from '#platform/config/place.ts'
import { reason } from '#platform/config/secret-file.ts'
import { parseSettings, type Setting } from '#platform/config/setting.ts'
import { jsonFormatter, preciseFormat, textFormatter, type Formatter } from './format.ts'
import { BufferingHandler, WritingHandler, type Handler } from './handlers.ts'
import { levelNumber } from './record.ts'
import { remoteSink } from './remote-sink.ts'
import { consoleSink, fileSink, isRotationPeriod, nullSink, sizeRotation, timeRotation, type Sink } from './sinks.ts'

const level = shaped(
  checked(string, (name) => (levelNumber(name) === undefined ? 'Write DEBUG, INFO, WARNING, ERROR or CRITICAL.' : undefined)),
  (name) => levelNumber(name) ?? 0,
)

const formatterFields = options({
  format: option(string, { doc: 'Format of a line.' }),
  datefmt: option(string, { doc: 'Format of %(asctime)s.' }),
  style: option(choice('%'), { default: '%', doc: 'Style of the format.' }),
  validate: option(boolean, { doc: 'Accepted without effect.' }),
  class: option(string, { doc: 'Class of the formatter.' }),
  '()': option(string, { doc: 'Class of the formatter.' }),
})

const handlerFields = options({
  class: option(string, { doc: 'Class of the handler.' }),
  '()': option(string, { doc: 'Class of the handler.' }),
  formatter: option(string, { doc: 'Name of its formatter.' }),
  filters: option(list(string), { default: [], doc: 'Accepted without effect.' }),
  level: option(level, { default: 'NOTSET', doc: 'Lowest level.' }),
  stream: option(string, { doc: 'ext://sys.stdout or ext://sys.stderr.' }),
  filename: option(string, { doc: 'File to write.' }),
  mode: option(string, { doc: 'Accepted without effect.' }),
  encoding: option(string, { doc: 'Accepted without effect; always UTF-8.' }),
  errors: option(string, { doc: 'Accepted without effect.' }),
  delay: option(boolean, { doc: 'Accepted without effect.' }),
  when: option(checked(string, (when) => (isRotationPeriod(when) ? undefined : 'Write S, M, H, D, midnight, or W0 to W6.')), { default: 'H', doc: 'Period.' }),
  interval: option(integer, { default: 1, doc: 'Periods per file.' }),
  utc: option(boolean, { default: false, doc: 'Whether periods are those of UTC.' }),
  atTime: option(any, { doc: 'Accepted without effect.' }),
  backupCount: option(integer, { default: 0, doc: 'Old files to keep.' }),
  maxBytes: option(integer, { default: 0, doc: 'Size of a file.' }),
  target: option(string, { doc: 'Handler that gets what was kept back.' }),
  capacity: option(integer, { default: 10, doc: 'Records to keep back.' }),
  flushLevel: option(level, { default: 'ERROR', doc: 'Level that is not kept back.' }),
  flushOnClose: option(boolean, { doc: 'Accepted without effect.' }),
  period: option(number, { default: 5, doc: 'Seconds to keep back.' }),
  host: option(string, { doc: 'Host of a remote handler.' }),
  port: option(port, { doc: 'Port of a remote handler.' }),
  maximum_buffer: option(integer, { default: 1000, doc: 'Lines to keep while the remote is away.' }),
})

const loggerFields = options({
  level: option(level, { default: 'NOTSET', doc: 'Lowest level.' }),
  handlers: option(list(string), { default: [], doc: 'Names of its handlers.' }),
  filters: option(list(string), { default: [], doc: 'Accepted without effect.' }),
  propagate: option(either(boolean, integer), { default: true, doc: 'Whether records go on to the parent.' }),
})

const removedAdvice = 'Use handlers with the formatter "class: synapse.logging.TerseJsonFormatter"; see the structured logging guide.'

const fields = options({
  version: option(integer, { default: 1, doc: 'Always 1.' }),
  formatters: option(map(object(formatterFields)), { default: {}, doc: 'Formatters by name.' }),
  filters: option(any, { doc: 'Accepted without effect.' }),
  handlers: option(map(object(handlerFields)), { default: {}, doc: 'Handlers by name.' }),
  loggers: option(map(object(loggerFields)), { default: {}, doc: 'Loggers by name.' }),
  root: section(loggerFields, { doc: 'What all loggers inherit.' }),
  disable_existing_loggers: option(boolean, { doc: 'Accepted without effect.' }),
  incremental: option(boolean, { doc: 'Accepted without effect.' }),
  structured: option(
    checked(boolean, (on) => (on ? `"structured: true" was removed in Synapse 1.54. ${removedAdvice}` : undefined)),
    { doc: 'Removed.' },
  ),
  drains: option(
    checked(any, () => `"drains" were removed in Synapse 1.54. ${removedAdvice}`),
    { doc: 'Removed.' },
  ),
})

type HandlerSettings = Parsed<typeof handlerFields>

/** What a logger does itself; the rest comes from its parents. */
export interface LoggerRules {
  /** 0 for that of the parent. */
  readonly level: number
  readonly handlers: readonly Handler[]
  readonly propagate: boolean
}

/** Loggers and handlers, opened. */
export interface LogSetup {
  readonly loggers: ReadonlyMap<string, LoggerRules>
  readonly root: LoggerRules
  readonly handlers: readonly Handler[]
  readonly warnings: readonly string[]
}

/** Everything from INFO on to standard error, for where no file is configured. */
export function defaultLogSetup(): LogSetup {
  const handler = new WritingHandler(0, textFormatter(preciseFormat), consoleSink('stderr'))
  return { loggers: new Map(), root: { level: 20, handlers: [handler], propagate: false }, handlers: [handler], warnings: [] }
}

/**
 * Reads a file and opens what it names.
 * @param now ms since 1970
 * @throws ConfigError with every fault
 */
export function readLogConfig(file: string, now: number): LogSetup {
  const findings = new Findings()
  try {
    const settings = parseSettings(readConfigText(file), file, (twice) => findings.warn(twice, `${twice.path} is written twice.`))
    const read = readFields(fields, settings, undefined, findings)
    findings.assertNone()
    return new Builder(read, settings, file, findings, now).build()
  } catch (error) {
    throw error instanceof ConfigFault ? new ConfigError([error]) : error
  }
}

/** Opens handlers in the order in which they need each other. */
class Builder {
  readonly #read: Parsed<typeof fields>
  readonly #settings: ReadonlyMap<string, Setting>
  readonly #file: string
  readonly #findings: Findings
  readonly #now: number
  readonly #handlers = new Map<string, Handler>()
  readonly #opening = new Set<string>()

  constructor(read: Parsed<typeof fields>, settings: ReadonlyMap<string, Setting>, file: string, findings: Findings, now: number) {
    this.#read = read
    this.#settings = settings
    this.#file = file
    this.#findings = findings
    this.#now = now
  }

  build(): LogSetup {
    try {
      for (const name of this.#read.handlers.keys()) this.#findings.attempt<unknown>(() => this.#handler(name, ['handlers', name]), () => undefined)
      const loggers = new Map<string, LoggerRules>()
      for (const [name, rules] of this.#read.loggers) loggers.set(name, this.#logger(rules, ['loggers', name]))
      const root = this.#logger(this.#read.root, ['root'])
      this.#findings.assertNone()
      const handlers = [...this.#handlers.values()].reverse()
      return { loggers, root: { ...root, level: root.level || 30 }, handlers, warnings: this.#findings.warnings }
    } catch (error) {
      for (const handler of this.#handlers.values()) handler.close()
      throw error
    }
  }

  #place(steps: readonly (string | number)[]): Place {
    return findPlace(this.#settings, steps, this.#file)
  }

  #fault(steps: readonly (string | number)[], message: string, advice: string): ConfigFault {
    const { path, file, line } = this.#place(steps)
    return new ConfigFault(path, file, line, message, advice)
  }

  #logger(rules: Parsed<typeof loggerFields>, steps: readonly string[]): LoggerRules {
    const handlers = rules.handlers.flatMap((name, index) =>
      this.#findings.attempt<Handler[]>(() => [this.#handler(name, [...steps, 'handlers', index])], () => []),
    )
    return { level: rules.level, handlers, propagate: Boolean(rules.propagate) }
  }

  /** The handler of a name, opened once. @param from where it is named */
  #handler(name: string, from: readonly (string | number)[]): Handler {
    const open = this.#handlers.get(name)
    if (open) return open
    const settings = this.#read.handlers.get(name)
    if (!settings) throw this.#fault(from, `There is no handler "${name}".`, `Write one of ${[...this.#read.handlers.keys()].join(', ')}, or add it to handlers.`)
    if (this.#opening.has(name)) throw this.#fault(from, `The handler "${name}" leads back to itself.`, 'Give it another target.')
    this.#opening.add(name)
    const handler = this.#open(name, settings)
    this.#opening.delete(name)
    this.#handlers.set(name, handler)
    return handler
  }

  #open(name: string, settings: HandlerSettings): Handler {
    const kind = settings.class ?? settings['()'] ?? ''
    const memory = /(?:^|\.)(PeriodicallyFlushing)?MemoryHandler$/.exec(kind)
    if (memory) {
      const { level: lowest, capacity, flushLevel } = settings
      if (settings.target === null) throw this.#fault(['handlers', name], 'The handler has no target.', 'Name the handler that gets the records: "target: file".')
      const target = this.#handler(settings.target, ['handlers', name, 'target'])
      return new BufferingHandler({ level: lowest, capacity, flushLevel, periodMs: memory[1] ? settings.period * 1000 : 0 }, target)
    }
    const format = this.#formatter(settings.formatter, name)
    return new WritingHandler(settings.level, format, this.#sink(kind, name, settings))
  }

  #sink(kind: string, name: string, settings: HandlerSettings): Sink {
    switch (kind) {
      case 'logging.StreamHandler':
        return consoleSink(settings.stream?.endsWith('stdout') ? 'stdout' : 'stderr')
      case 'logging.FileHandler':
        return this.#fileSink(name, settings, (file) => fileSink(file))
      case 'logging.handlers.WatchedFileHandler':
        return this.#fileSink(name, settings, (file) => fileSink(file, undefined, true))
      case 'logging.handlers.RotatingFileHandler':
        return this.#fileSink(name, settings, (file) => fileSink(file, sizeRotation(settings.maxBytes, settings.backupCount)))
      case 'logging.handlers.TimedRotatingFileHandler':
        return this.#fileSink(name, settings, (file) =>
          fileSink(file, timeRotation(settings.when, settings.interval, settings.backupCount, settings.utc, this.#now, file)),
        )
      case 'synapse.logging.RemoteHandler':
        return remoteSink(settings.host ?? 'localhost', settings.port ?? 9000, settings.maximum_buffer)
      case 'logging.NullHandler':
        return nullSink
      default:
        throw this.#fault(
          ['handlers', name, 'class'],
          `The handler class "${kind}" is not known.`,
          'Write logging.StreamHandler, logging.FileHandler, logging.handlers.WatchedFileHandler, RotatingFileHandler or TimedRotatingFileHandler, ' +
            'synapse.logging.handlers.PeriodicallyFlushingMemoryHandler, synapse.logging.RemoteHandler or logging.NullHandler.',
        )
    }
  }

  #fileSink(name: string, { filename }: HandlerSettings, open: (file: string) => Sink): Sink {
    if (filename === null) throw this.#fault(['handlers', name], 'The handler has no file.', 'Write "filename: /path/to/homeserver.log".')
    try {
      return open(resolve(filename))
    } catch (error) {
      throw this.#fault(
        ['handlers', name, 'filename'],
        `The file ${filename} cannot be written: ${reason(error)}.`,
        'Correct the path, or give the user that runs the server the right to write there.',
      )
    }
  }

  #formatter(name: string | null, handler: string): Formatter {
    if (name === null) return textFormatter('%(message)s')
    const settings = this.#read.formatters.get(name)
    if (!settings) throw this.#fault(['handlers', handler, 'formatter'], `There is no formatter "${name}".`, 'Add it to formatters, or correct the name.')
    const kind = settings['()'] ?? settings.class ?? 'logging.Formatter'
    switch (kind) {
      case 'logging.Formatter':
      case 'synapse.logging.formatter.LogFormatter':
      case 'synapse.logging._terse_json.LogFormatter':
        return textFormatter(settings.format ?? '%(message)s', settings.datefmt ?? undefined)
      case 'synapse.logging.TerseJsonFormatter':
        return jsonFormatter(true)
      case 'synapse.logging.JsonFormatter':
        return jsonFormatter(false)
      default:
        throw this.#fault(
          ['formatters', name],
          `The formatter class "${kind}" is not known.`,
          'Write a format, or "class: synapse.logging.TerseJsonFormatter" or "class: synapse.logging.JsonFormatter".',
        )
    }
  }
}
