/** Writes a new configuration with its side files; what is there already is left as it is. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { serverNameAdvice } from '#app/checks.ts'
import { isCode, reason } from '#platform/config/secret-file.ts'
import { writeSigningKey } from '#platform/config/signing-key.ts'
import { fileName, generatedConfig, generatedLogConfig, signingKeyPath, type GeneratedConfigOptions } from './generated-config.ts'
import { CommandError, type Terminal } from './output.ts'
import type { ServerFlags } from './server-flags.ts'

/**
 * `--generate-config` with its further flags.
 * @throws CommandError where a flag is missing or wrong, or a file cannot be written
 */
export function generateConfig(flags: ServerFlags, terminal: Terminal): void {
  const [configPath, ...others] = flags['config-path'] ?? ['homeserver.yaml']
  if (configPath === undefined || others.length > 0) throw new CommandError('Give one --config-path FILE for the new configuration.')
  const serverName = flags['server-name']
  if (serverName === undefined) throw new CommandError('Give the name of the server: --server-name example.org. It is part of all ids and cannot be changed later.')
  const advice = serverNameAdvice(serverName)
  if (advice !== undefined) throw new CommandError(`"${serverName}" is not a server name. ${advice}`)
  const report = flags['report-stats']
  if (report !== 'yes' && report !== 'no') throw new CommandError('Say whether statistics shall be reported: --report-stats=yes or --report-stats=no.')
  const file = resolve(configPath)
  const configDirectory = resolve(flags['config-directory'] ?? dirname(file))
  const written = writeConfiguration(file, {
    serverName,
    reportStats: report === 'yes',
    configDirectory,
    keysDirectory: resolve(flags['keys-directory'] ?? configDirectory),
    dataDirectory: resolve(flags['data-directory'] ?? '.'),
    ...(flags['database-path'] === undefined ? {} : { databasePath: resolve(flags['database-path']) }),
    openPrivatePorts: flags['open-private-ports'] ?? false,
    enableMetrics: flags['enable-metrics'] ?? false,
    enableRegistration: flags['enable-registration'] ?? false,
  })
  for (const path of written) terminal.print(`Written: ${path}`)
  if (written.includes(file)) {
    terminal.print(`A configuration for the server "${serverName}" is in ${file}. Review it, then start with: myelin -c ${file}`)
  } else {
    terminal.print(`The configuration ${file} exists already and was left as it is; missing side files were written.`)
  }
}

/**
 * Writes configuration, log configuration and signing key where they are missing.
 * @param logHandler where the log goes in a new log configuration
 * @returns the files that were written
 */
export function writeConfiguration(file: string, options: GeneratedConfigOptions, logHandler: 'buffer' | 'console' = 'buffer'): string[] {
  const { configDirectory, dataDirectory, keysDirectory, serverName } = options
  const logConfig = join(configDirectory, `${fileName(serverName)}.log.config`)
  try {
    for (const folder of [dirname(file), configDirectory, dataDirectory, keysDirectory]) mkdirSync(folder, { recursive: true })
    const written = [
      writeNew(file, () => generatedConfig(options), 0o600) ? file : '',
      writeNew(logConfig, () => generatedLogConfig(join(dataDirectory, 'homeserver.log'), logHandler), 0o644) ? logConfig : '',
      writeSigningKey(signingKeyPath(options)) ? signingKeyPath(options) : '',
    ]
    return written.filter((path) => path !== '')
  } catch (error) {
    throw new CommandError(`The configuration cannot be written: ${reason(error)}. Choose a folder that you may write to.`)
  }
}

/** Writes a file that is not there yet. @returns whether it was written */
export function writeNew(file: string, text: () => string, mode: number): boolean {
  if (existsSync(file)) return false
  try {
    writeFileSync(file, text(), { flag: 'wx', mode })
    return true
  } catch (error) {
    if (isCode(error, 'EEXIST')) return false
    throw error
  }
}
