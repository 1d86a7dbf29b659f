/** The text of a new configuration and of a new log configuration. */
import { join } from 'node:path'
import { newSecret } from '#platform/config/secret-file.ts'

/** What a new configuration is made from. */
export interface GeneratedConfigOptions {
  readonly serverName: string
  readonly reportStats: boolean
  /** Folder of the log configuration. */
  readonly configDirectory: string
  /** Folder of the signing key. */
  readonly keysDirectory: string
  /** Folder of the database and of media. */
  readonly dataDirectory: string
  readonly databasePath?: string
  /** Listen at all addresses, not only at those of the machine itself. */
  readonly openPrivatePorts?: boolean
  readonly enableMetrics?: boolean
  readonly enableRegistration?: boolean
}

/** A `homeserver.yaml` with new secrets. Texts are quoted as JSON, which is YAML too. */
export function generatedConfig(from: GeneratedConfigOptions): string {
  const quote = JSON.stringify
  const bind = from.openPrivatePorts ? [] : ["    bind_addresses: ['::1', '127.0.0.1']"]
  const metrics = ['  - port: 19090', '    type: metrics', '    tls: false', "    bind_addresses: ['::1', '127.0.0.1']"]
  return [
    '# Configuration file for Myelin.',
    '#',
    '# This is a YAML file: indentation is important, all the elements of a list or',
    '# mapping must have the same. The options are those of Synapse; every one of them',
    '# is described in docs/reference.gen/options.md.',
    `server_name: ${quote(from.serverName)}`,
    `pid_file: ${quote(join(from.dataDirectory, 'homeserver.pid'))}`,
    'listeners:',
    '  - port: 8008',
    '    resources:',
    '    - compress: false',
    '      names:',
    '      - client',
    '      - federation',
    '    tls: false',
    '    type: http',
    '    x_forwarded: true',
    ...bind,
    ...(from.enableMetrics ? metrics : []),
    'database:',
    '  name: sqlite3',
    '  args:',
    `    database: ${quote(from.databasePath ?? join(from.dataDirectory, 'homeserver.db'))}`,
    `log_config: ${quote(join(from.configDirectory, `${fileName(from.serverName)}.log.config`))}`,
    `media_store_path: ${quote(join(from.dataDirectory, 'media_store'))}`,
    ...(from.enableMetrics ? ['enable_metrics: true'] : []),
    ...(from.enableRegistration ? ['enable_registration: true', 'enable_registration_without_verification: true'] : []),
    `registration_shared_secret: ${quote(newSecret())}`,
    `report_stats: ${from.reportStats}`,
    `macaroon_secret_key: ${quote(newSecret())}`,
    `form_secret: ${quote(newSecret())}`,
    `signing_key_path: ${quote(signingKeyPath(from))}`,
    'trusted_key_servers:',
    '  - server_name: "matrix.org"',
    '',
  ].join('\n')
}

/** Where the signing key of a new configuration is. */
export function signingKeyPath({ keysDirectory, serverName }: Pick<GeneratedConfigOptions, 'keysDirectory' | 'serverName'>): string {
  return join(keysDirectory, `${fileName(serverName)}.signing.key`)
}

/** A server name as part of a file's name; colons and brackets of addresses stay, as in Synapse. */
export function fileName(serverName: string): string {
  return serverName.replaceAll('/', '_')
}

/** A log configuration: lines to a file that rotates at midnight, or to the console. */
export function generatedLogConfig(logFile: string, handler: 'buffer' | 'console' = 'buffer'): string {
  return `# Log configuration for Myelin, in the form of Python's logging dictionaries.
# Send SIGHUP to the server after a change.
version: 1

formatters:
  precise:
    format: '%(asctime)s - %(name)s - %(lineno)d - %(levelname)s - %(request)s - %(message)s'

handlers:
  file:
    class: logging.handlers.TimedRotatingFileHandler
    formatter: precise
    filename: ${JSON.stringify(logFile)}
    when: midnight
    backupCount: 3  # Does not include the current log file.
    encoding: utf8

  # Keeps lines back and writes them together: a full buffer, the period (in
  # seconds), or a line of flushLevel and above writes them all.
  buffer:
    class: synapse.logging.handlers.PeriodicallyFlushingMemoryHandler
    target: file
    capacity: 10
    flushLevel: 30
    period: 5

  # Standard error; name it below in place of "buffer" to use it.
  console:
    class: logging.StreamHandler
    formatter: precise

loggers:
  synapse.storage.SQL:
    # DEBUG shows sensitive values such as access tokens.
    level: INFO

root:
  level: INFO
  handlers: [${handler}]

disable_existing_loggers: false
`
}
