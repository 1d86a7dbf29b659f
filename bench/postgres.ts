/** A PostgreSQL server of the benchmark's own, with the durability of production. */
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { PostgresServer } from './launches.ts'

const port = 15_432

function asPostgres(command: string, args: readonly string[]): string {
  const isRoot = process.getuid?.() === 0
  const [program, rest] = isRoot ? ['runuser', ['-u', 'postgres', '--', command, ...args]] : [command, args]
  return execFileSync(program, [...rest], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
}

function binary(name: string): string {
  const found = execFileSync('bash', ['-c', `ls /usr/lib/postgresql/*/bin/${name} | sort -V | tail -1`], { encoding: 'utf8' }).trim()
  return found === '' ? name : found
}

/** Starts a cluster in a folder. */
export function startPostgres(folder: string): PostgresServer & { stop(): void } {
  mkdirSync(folder, { recursive: true })
  chmodSync(join(folder, '..'), 0o755)
  if (process.getuid?.() === 0) execFileSync('chown', ['postgres', folder])
  asPostgres(binary('initdb'), ['-D', folder, '-E', 'UTF8', '--locale=C', '-U', 'postgres', '-A', 'trust'])
  const options = `-p ${port} -k ${folder} -c listen_addresses=127.0.0.1 -c shared_buffers=256MB`
  asPostgres(binary('pg_ctl'), ['-D', folder, '-w', '-o', options, '-l', join(folder, 'log'), 'start'])
  const query = (database: string, text: string): string => asPostgres(binary('psql'), ['-h', folder, '-p', String(port), '-U', 'postgres', '-d', database, '-Atc', text])
  return {
    host: '127.0.0.1',
    port,
    create: (name) => void query('postgres', `CREATE DATABASE ${name} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'`),
    sizeBytes: (name) => Number(query('postgres', `SELECT pg_database_size('${name}')`)),
    stop: () => void asPostgres(binary('pg_ctl'), ['-D', folder, '-m', 'fast', 'stop']),
  }
}
