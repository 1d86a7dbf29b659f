/** Opens the database that the configuration names. */
import { resolve } from 'node:path'
import type { Database } from '#platform/db/database.ts'
import { PostgresDatabase } from '#platform/db/postgres.ts'
import { SqliteDatabase } from '#platform/db/sqlite.ts'
import type { Config } from './config.ts'

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : typeof value === 'number' ? String(value) : undefined
}

function count(value: unknown): number | undefined {
  return typeof value === 'number' ? value : typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : undefined
}

/** The database of `database.name` and `database.args`, in the words of Synapse's drivers. */
export function openDatabase(config: Pick<Config, 'database'>, options: { readonly durable?: boolean } = {}): Database {
  const { name, args } = config.database
  const given = new Map<string, unknown>(Object.entries(args))
  if (name === 'sqlite3') return new SqliteDatabase(resolve(text(given.get('database')) ?? 'homeserver.db'), options)
  const poolSize = count(given.get('cp_max'))
  const optional = {
    host: text(given.get('host')),
    port: count(given.get('port')),
    user: text(given.get('user')),
    password: text(given.get('password')),
    database: text(given.get('dbname')) ?? text(given.get('database')),
  }
  return new PostgresDatabase({ ...optional, ...(poolSize === undefined ? {} : { poolSize }) })
}
