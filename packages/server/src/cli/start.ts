/** Starts the server: finds its configuration, writes missing side files, reports mistakes, and hands over. */
import { existsSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { loadConfig, type LoadedConfig } from '#app/config.ts'
import type { RunningServer } from '#app/start.ts'
import { serverVersion } from '#app/version.ts'
import { createLogging } from '#platform/log/logging.ts'
import type { Logger } from '#platform/log/logger.ts'
import { announceReady, detach, isDaemon, writePidFile } from './daemon.ts'
import { generatedLogConfig } from './generated-config.ts'
import { generateConfig, writeConfiguration, writeNew } from './generate-config.ts'
import { CommandError, type Terminal } from './output.ts'
import type { ServerFlags } from './server-flags.ts'

/**
 * The command `start`, and `synapse_homeserver`'s other modes that its flags choose.
 * @returns exit status
 * @throws ConfigError or CommandError, to be shown without a stack
 */
export async function start(flags: ServerFlags, terminal: Terminal): Promise<number> {
  if (flags['generate-config']) {
    generateConfig(flags, terminal)
    return 0
  }
  const configPaths = configPathsOf(flags, terminal)
  if (flags.manhole !== undefined) terminal.complain('The flag --manhole is accepted, but not yet effective.')
  const loaded = loadConfiguration(configPaths, flags)
  const written = writeMissingLogConfig(loaded)
  if (flags['generate-missing-configs'] || flags['generate-keys']) {
    for (const path of written) terminal.print(`Written: ${path}`)
    return 0
  }
  const { daemonize, pid_file: pidFile } = loaded.config
  if (daemonize && !isDaemon()) {
    if (pidFile === null) throw new CommandError('A server in the background needs a file for its process id: set pid_file in the configuration.')
    if (flags['print-pidfile'] || loaded.config.print_pidfile) terminal.print(pidFile)
    return detach((line) => terminal.complain(line))
  }
  const removePidFile = daemonize && pidFile !== null ? writePidFile(pidFile) : undefined
  try {
    await serve(loaded, flags, terminal)
  } finally {
    removePidFile?.()
  }
  return 0
}

/** Runs the server until a signal ends it. */
async function serve(loaded: LoadedConfig, flags: ServerFlags, terminal: Terminal): Promise<void> {
  const { config } = loaded
  const log_config = config.worker_app === null ? config.log_config : (config.worker_log_config ?? config.log_config)
  const logging = createLogging({ log_config })
  const logger = logging.logger('synapse.app.homeserver')
  try {
    logger.info(`Server ${config.server_name} version ${serverVersion}, configuration ${loaded.files.join(', ')}`)
    for (const warning of loaded.warnings) logger.warn(warning)
    if (loaded.notEffective.length > 0) logger.warn(`These options are accepted, but not yet effective: ${loaded.notEffective.join(', ')}`)
    // Loaded late: commands that do not serve need none of it.
    const { startServer } = await import('#app/start.ts')
    const server = await startServer(loaded, logging)
    logger.info(`Listening at ${placesOf(server)}`)
    if (flags['first-run-directory'] !== undefined) terminal.complain(`Ready at ${placesOf(server)}`)
    if (isDaemon()) announceReady()
    await untilStopped(() => server.reload(), logger)
    await server.close()
    logger.info('Stopped.')
  } catch (error) {
    logger.error(`The server cannot go on: ${error instanceof Error ? error.message : String(error)}`)
    throw error
  } finally {
    logging.close()
  }
}

/** Where a server listens, as a person reads it. */
function placesOf({ addresses }: RunningServer): string {
  return addresses.map(({ host, port }) => (port === 0 ? host : `http://${host.includes(':') ? `[${host}]` : host}:${port}`)).join(', ')
}

/** Resolves on SIGTERM or SIGINT; reloads on SIGHUP. A second signal ends the process at once. */
async function untilStopped(reload: () => Promise<void>, logger: Logger): Promise<void> {
  const hangup = (): void => {
    reload().then(
      () => logger.info('Reloaded after SIGHUP.'),
      (error: unknown) => logger.error('The reload after SIGHUP failed.', { error }),
    )
  }
  process.on('SIGHUP', hangup)
  const { promise, resolve: stop } = Promise.withResolvers<string>()
  process.once('SIGTERM', stop)
  process.once('SIGINT', stop)
  const signal = await promise
  process.off('SIGHUP', hangup)
  process.off('SIGTERM', stop)
  process.off('SIGINT', stop)
  logger.info(`Stopping after ${signal}.`)
}

/** Loads the configuration as the flags say. */
export function loadConfiguration(configPaths: readonly string[], flags: ServerFlags): LoadedConfig {
  return loadConfig(configPaths, {
    noSecretsInConfig: flags['no-secrets-in-config'] ?? false,
    enableRegistration: flags['enable-registration'] ?? false,
    daemonize: flags.daemonize ?? false,
    ...(flags['database-path'] === undefined ? {} : { databasePath: resolve(flags['database-path']) }),
    ...(flags['keys-directory'] === undefined ? {} : { keysDirectory: flags['keys-directory'] }),
  })
}

/** The paths of the configuration: those given, a first one of our own, or `homeserver.yaml` in this folder. */
export function configPathsOf(flags: ServerFlags, terminal: Terminal): readonly string[] {
  const given = flags['config-path']
  if (given && given.length > 0) return given
  const firstRun = flags['first-run-directory']
  if (firstRun !== undefined) return [firstRunConfig(resolve(firstRun), terminal)]
  if (existsSync('homeserver.yaml')) return ['homeserver.yaml']
  throw new CommandError(
    'Must supply a config file: --config-path homeserver.yaml.\n' +
      'A config file can be automatically generated with: myelin --generate-config -H SERVER_NAME --report-stats=no -c homeserver.yaml',
  )
}

/** The configuration in a data folder, written where it is missing: for this machine only, with SQLite. */
function firstRunConfig(folder: string, terminal: Terminal): string {
  const file = join(folder, 'homeserver.yaml')
  if (existsSync(file)) return file
  const options = { serverName: 'localhost', reportStats: false, configDirectory: folder, keysDirectory: folder, dataDirectory: folder }
  writeConfiguration(file, options, 'console')
  terminal.complain(`A first configuration was written: ${file}. The server is reached at http://localhost:8008 from this machine.`)
  terminal.complain(`Register a user with: bin/myelin register-user -c ${file}`)
  return file
}

/** A log configuration that is named but missing is written, as Synapse does. @returns the files that were written */
function writeMissingLogConfig({ config }: LoadedConfig): string[] {
  const file = config.log_config
  if (file === null) return []
  const text = (): string => generatedLogConfig(join(dirname(file), 'homeserver.log'))
  return writeNew(file, text, 0o644) ? [file] : []
}
