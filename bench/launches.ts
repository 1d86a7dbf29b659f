/** How Synapse and Myelin are set up, each on SQLite and PostgreSQL, with the same limits and as good as no rate limits. */
import { execFileSync } from 'node:child_process'
import { appendFileSync, mkdirSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { installSynapse } from '../packages/server/test/kit/synapse-package.ts'
import type { Launch } from './server.ts'

const root = join(import.meta.dirname, '..')

/** A PostgreSQL server of the benchmark's own. */
export interface PostgresServer {
  readonly host: string
  readonly port: number
  /** Makes an empty database and gives its size later. */
  create(name: string): void
  sizeBytes(name: string): number
}

const generous = '{per_second: 1000000, burst_count: 1000000}'
const commonConfig = `
enable_registration: true
enable_registration_without_verification: true
allow_guest_access: true
bcrypt_rounds: 4
rc_message: ${generous}
rc_registration: ${generous}
rc_login: {address: ${generous}, account: ${generous}, failed_attempts: ${generous}}
rc_joins: {local: ${generous}, remote: ${generous}}
rc_joins_per_room: ${generous}
rc_invites: {per_room: ${generous}, per_user: ${generous}, per_issuer: ${generous}}
rc_room_creation: ${generous}
rc_search: ${generous}
presence: {enabled: false}
room_list_publication_rules: [{action: allow}]
`

function databaseConfig(postgres: PostgresServer | undefined, name: string, folder: string): string {
  if (!postgres) return `database: {name: sqlite3, args: {database: "${join(folder, 'homeserver.db')}"}}\n`
  return `database: {name: psycopg2, args: {user: postgres, dbname: ${name}, host: "${postgres.host}", port: ${postgres.port}, cp_min: 2, cp_max: 10}}\n`
}

function diskOf(postgres: PostgresServer | undefined, name: string, folder: string): () => number {
  if (postgres) return () => postgres.sizeBytes(name)
  return () => readdirSync(folder).filter((file) => file.startsWith('homeserver.db')).reduce((sum, file) => sum + statSync(join(folder, file)).size, 0)
}

/** Makes a fresh folder with a configuration for one server and says how to start it. */
export function launchOf(kind: 'synapse' | 'myelin', engine: 'sqlite' | 'postgres', folder: string, postgres: PostgresServer | undefined, port: number): Launch {
  mkdirSync(folder, { recursive: true })
  const config = join(folder, 'homeserver.yaml')
  const generate = ['--generate-config', '--server-name', 'bench.example', '--report-stats', 'no', '--config-path', config, '--data-directory', folder]
  const [command, start] = kind === 'synapse'
    ? [join(root, installSynapse()), ['-m', 'synapse.app.homeserver']] as const
    : [join(root, 'bin/myelin'), [] as string[]] as const
  execFileSync(command, [...start, ...generate], { cwd: folder, stdio: 'ignore' })
  const database = `${kind}_bench`
  postgres?.create(database)
  const listener = `listeners: [{port: ${port}, type: http, tls: false, bind_addresses: ["127.0.0.1"], resources: [{names: [client], compress: false}]}]\n`
  const over = join(folder, 'over.yaml')
  appendFileSync(over, commonConfig + listener + databaseConfig(postgres, database, folder))
  return {
    name: `${kind} on ${engine}`, command, args: [...start, '--config-path', config, '--config-path', over], folder, port, diskBytes: diskOf(postgres, database, folder),
  }
}
