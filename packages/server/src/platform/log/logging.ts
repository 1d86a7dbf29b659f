/**
 * The log of the process: named loggers whose levels and handlers follow from the configured tree.
 *
 * Spec: none; Python's logging, as Synapse's operators configure it.
 */
import { logContext } from './context.ts'
import { ConfigError } from '#platform/config/fault.ts'
import { defaultLogSetup, readLogConfig, type LogSetup } from './log-config.ts'
import type { Handler } from './handlers.ts'
import type { LogFields, Logger } from './logger.ts'
import { levels, type LevelName, type LogRecord } from './record.ts'
import { redactText } from './redact.ts'

/** What of the configuration concerns the log. */
export interface LogOptions {
  /** File with the log configuration; null for standard error from INFO on. A worker passes its `worker_log_config`. */
  readonly log_config: string | null
}

/** The log. */
export interface Logging {
  /** The logger of a name such as `synapse.http.server`; the same one for the same name. */
  logger(name: string): Logger
  /** Reads the configuration again and opens all files anew, as on SIGHUP. With faults in it, the old one stays and the faults are logged. */
  reload(): void
  /** Writes what is kept back, and closes everything. */
  close(): void
}

/**
 * Sets up the log.
 * @throws ConfigError where the log configuration has faults
 */
export function createLogging(options: LogOptions, now: () => number = Date.now): Logging {
  const read = (): LogSetup => (options.log_config === null ? defaultLogSetup() : readLogConfig(options.log_config, now()))
  let setup = read()
  let closed = false
  const loggers = new Map<string, NamedLogger>()
  const logger = (name: string): NamedLogger => {
    const known = loggers.get(name)
    if (known) return known
    const made = new NamedLogger(name, now)
    made.configure(setup)
    loggers.set(name, made)
    return made
  }
  const warn = (): void => {
    for (const line of setup.warnings) logger('synapse.config.logger').warn(line)
  }
  const flush = (): void => {
    for (const handler of setup.handlers) handler.flush()
  }
  process.on('exit', flush)
  warn()
  return {
    logger,
    reload: () => {
      try {
        const before = setup
        setup = read()
        for (const each of loggers.values()) each.configure(setup)
        for (const handler of before.handlers) handler.close()
        warn()
      } catch (error) {
        if (!(error instanceof ConfigError)) throw error
        logger('synapse.config.logger').error(`The log configuration was not reloaded. ${error.message}`)
      }
    },
    close: () => {
      if (closed) return
      closed = true
      process.off('exit', flush)
      for (const handler of setup.handlers) handler.close()
    },
  }
}

/** A logger whose place in the tree is worked out once for each configuration. */
class NamedLogger implements Logger {
  readonly #name: string
  readonly #now: () => number
  #level = 0
  #handlers: readonly Handler[] = []

  constructor(name: string, now: () => number) {
    this.#name = name
    this.#now = now
  }

  /** Takes level and handlers from the nearest configured ancestors. */
  configure({ loggers, root }: LogSetup): void {
    const handlers: Handler[] = []
    let level = 0
    let propagate = true
    for (let name = this.#name; name !== ''; name = name.slice(0, Math.max(0, name.lastIndexOf('.')))) {
      const rules = loggers.get(name)
      if (!rules) continue
      level ||= rules.level
      if (!propagate) continue
      handlers.push(...rules.handlers)
      propagate = rules.propagate
    }
    this.#level = level || root.level
    this.#handlers = propagate ? [...handlers, ...root.handlers] : handlers
  }

  debug(message: string, fields?: LogFields): void {
    this.#log('DEBUG', message, fields)
  }

  info(message: string, fields?: LogFields): void {
    this.#log('INFO', message, fields)
  }

  warn(message: string, fields?: LogFields): void {
    this.#log('WARNING', message, fields)
  }

  error(message: string, fields?: LogFields): void {
    this.#log('ERROR', message, fields)
  }

  #log(level: LevelName, message: string, fields: LogFields | undefined): void {
    if (levels[level] < this.#level || this.#handlers.length === 0) return
    const context = logContext()
    const named = fields?.['request']
    const requester = fields?.['requester'] ?? context?.requester
    const record: LogRecord = {
      time: this.#now(),
      name: this.#name,
      level,
      message: redactText(message),
      request: typeof named === 'string' ? named : (context?.request ?? ''),
      requester: typeof requester === 'string' ? requester : undefined,
      fields,
    }
    for (const handler of this.#handlers) handler.handle([record])
  }
}
