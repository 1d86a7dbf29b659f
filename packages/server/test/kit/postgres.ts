/** Gives each test server its own PostgreSQL database, copied from a migrated template. */
import { execFileSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { closeSync, existsSync, globSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, watch, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import type { TestContext } from 'node:test'
import pg from 'pg'
import { PostgresDatabase } from '#platform/db/postgres.ts'
import { migrations } from '#schema/migrations.ts'
import { upgradeSchema } from '#schema/upgrade.ts'

/** How to reach one database of the tests' cluster. */
export interface PostgresAddress {
  readonly host: string
  readonly port: number
  readonly user: string
  readonly password?: string
  readonly database: string
}

const repository = join(import.meta.dirname, '../../../..')
const schemaFolder = join(import.meta.dirname, '../../src/schema')
/** Any number that nothing else locks by. */
const templateLock = 7_310_233

/** Databases whose test is over; they are dropped when the next one is asked for. */
const finished: string[] = []

/**
 * A fresh database with the program's schema.
 * @returns the lines of homeserver.yaml that name it
 */
export async function testDatabase(t: TestContext): Promise<string> {
  const { host, port, user, password, database } = await freshDatabase(t)
  const secret = password === undefined ? '' : `, password: ${JSON.stringify(password)}`
  const args = `user: ${JSON.stringify(user)}${secret}, dbname: ${database}, host: ${JSON.stringify(host)}, port: ${port}, cp_min: 1, cp_max: 5`
  return `database: {name: psycopg2, args: {${args}}}\n`
}

/**
 * A fresh database, for tests of the storage itself.
 * @param options.migrated false gives an empty one
 */
export async function freshDatabase(t: TestContext, options: { readonly migrated?: boolean } = {}): Promise<PostgresAddress> {
  const server = await serverAddress()
  const database = `myelin_test_${randomBytes(8).toString('hex')}`
  await withClient(server, async (client) => {
    for (const name of finished.splice(0)) await client.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`)
    const template = options.migrated === false ? 'template0' : await migratedTemplate(client, server)
    await client.query(`CREATE DATABASE ${database} TEMPLATE ${template}`)
  })
  t.after(() => {
    finished.push(database)
  })
  return { ...server, database }
}

async function withClient(address: PostgresAddress, work: (client: pg.Client) => Promise<void>): Promise<void> {
  const client = new pg.Client(address)
  await client.connect()
  try {
    await work(client)
  } finally {
    await client.end()
  }
}

/** Name of the template for the migrations as they are now; the first process that needs it makes it. */
async function migratedTemplate(client: pg.Client, server: PostgresAddress): Promise<string> {
  const hash = createHash('sha256')
  for (const file of [...globSync('**/*.ts', { cwd: schemaFolder })].sort()) hash.update(readFileSync(join(schemaFolder, file)))
  const template = `myelin_template_${hash.digest('hex').slice(0, 16)}`
  const isThere = async (): Promise<boolean> => {
    const found = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [template])
    return found.rowCount === 1
  }
  if (await isThere()) return template
  await client.query('SELECT pg_advisory_lock($1)', [templateLock])
  try {
    if (!(await isThere())) await makeTemplate(client, server, template)
  } finally {
    await client.query('SELECT pg_advisory_unlock($1)', [templateLock])
  }
  return template
}

/** The template gets its name when it is complete, so that a process which dies half-way leaves no wrong one. */
async function makeTemplate(client: pg.Client, server: PostgresAddress, template: string): Promise<void> {
  const unfinished = `myelin_unfinished_${randomBytes(8).toString('hex')}`
  await client.query(`CREATE DATABASE ${unfinished} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'`)
  const database = new PostgresDatabase({ ...server, database: unfinished })
  await upgradeSchema(database, migrations, () => undefined)
  await database.close()
  await client.query(`ALTER DATABASE ${unfinished} RENAME TO ${template}`)
}

let known: Promise<PostgresAddress> | undefined

/** The cluster of `MYELIN_TEST_POSTGRES`, or one of our own that all test processes of one run share. */
function serverAddress(): Promise<PostgresAddress> {
  known ??= findServer()
  return known
}

async function findServer(): Promise<PostgresAddress> {
  const given = process.env['MYELIN_TEST_POSTGRES']
  const url = new URL(given === undefined || given === '' ? await sharedCluster() : given)
  return {
    host: url.searchParams.get('host') ?? url.hostname,
    port: Number(url.port === '' ? 5432 : url.port),
    user: decodeURIComponent(url.username === '' ? 'postgres' : url.username),
    ...(url.password === '' ? {} : { password: decodeURIComponent(url.password) }),
    database: url.pathname.length > 1 ? url.pathname.slice(1) : 'postgres',
  }
}

/** URL of the cluster that belongs to the parent process (the test runner or the shell); who comes first starts it. */
async function sharedCluster(): Promise<string> {
  const folder = join(tmpdir(), `myelin-postgres-${process.ppid}`)
  const urlFile = `${folder}.url`
  if (claim(`${folder}.lock`)) {
    try {
      return startCluster(folder, urlFile)
    } catch (error) {
      rmSync(`${folder}.lock`)
      throw error
    }
  }
  await appearance(urlFile)
  return readFileSync(urlFile, 'utf8')
}

function startCluster(folder: string, urlFile: string): string {
  mkdirSync(folder)
  const command = [join(repository, 'bin/test-postgres'), folder, String(process.ppid)]
  const url = execFileSync('bash', command, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }).trim()
  writeFileSync(`${urlFile}.new`, url)
  renameSync(`${urlFile}.new`, urlFile)
  return url
}

/** Whether this process is the first to make the file. */
function claim(path: string): boolean {
  try {
    closeSync(openSync(path, 'wx'))
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false
    throw error
  }
}

function appearance(path: string): Promise<void> {
  return new Promise((resolve) => {
    const watcher = watch(dirname(path), (_event, name) => {
      if (name === basename(path)) check()
    })
    const check = (): void => {
      if (!existsSync(path)) return
      watcher.close()
      resolve()
    }
    check()
  })
}
