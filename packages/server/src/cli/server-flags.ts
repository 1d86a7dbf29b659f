/** The flags of the server itself, under the names that `synapse_homeserver` gives them. */
import type { ParseArgsOptionsConfig } from 'node:util'

/** For `parseArgs` of node:util. */
export const serverFlags = {
  'config-path': { type: 'string', short: 'c', multiple: true },
  'no-secrets-in-config': { type: 'boolean' },
  'generate-config': { type: 'boolean' },
  'generate-missing-configs': { type: 'boolean' },
  'generate-keys': { type: 'boolean' },
  'generate-missing-and-run': { type: 'boolean' },
  'server-name': { type: 'string', short: 'H' },
  'report-stats': { type: 'string' },
  'config-directory': { type: 'string' },
  'data-directory': { type: 'string' },
  'keys-directory': { type: 'string' },
  'open-private-ports': { type: 'boolean' },
  'enable-metrics': { type: 'boolean' },
  'enable-registration': { type: 'boolean' },
  'database-path': { type: 'string', short: 'd' },
  'no-redirect-stdio': { type: 'boolean', short: 'n' },
  daemonize: { type: 'boolean', short: 'D' },
  'print-pidfile': { type: 'boolean' },
  manhole: { type: 'string' },
  'first-run-directory': { type: 'string' },
  help: { type: 'boolean', short: 'h' },
} as const satisfies ParseArgsOptionsConfig

/** What the command line said. */
export interface ServerFlags {
  readonly 'config-path'?: readonly string[]
  readonly 'no-secrets-in-config'?: boolean
  readonly 'generate-config'?: boolean
  readonly 'generate-missing-configs'?: boolean
  readonly 'generate-keys'?: boolean
  readonly 'server-name'?: string
  readonly 'report-stats'?: string
  readonly 'config-directory'?: string
  readonly 'data-directory'?: string
  readonly 'keys-directory'?: string
  readonly 'open-private-ports'?: boolean
  readonly 'enable-metrics'?: boolean
  readonly 'enable-registration'?: boolean
  readonly 'database-path'?: string
  readonly daemonize?: boolean
  readonly 'print-pidfile'?: boolean
  readonly manhole?: string
  readonly 'first-run-directory'?: string
}
