/** The PostgreSQL engine when connections and commits are lost. Runs where the tests use PostgreSQL. */
import assert from 'node:assert/strict'
import { createServer, connect, type AddressInfo, type Socket } from 'node:net'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { freshDatabase, type PostgresAddress } from '../../../test/kit/postgres.ts'
import { StorageError } from './database.ts'
import { PostgresDatabase } from './postgres.ts'
import { assertSuitable, UnsuitableDatabaseError } from './requirements.ts'

type OnCommit = 'forward' | 'lose the commit' | 'lose the answer'

/** A line to PostgreSQL that can be cut at a COMMIT. */
class Line {
  onCommit: OnCommit = 'forward'
  port = 0
  readonly #sockets = new Set<Socket>()
  readonly #server = createServer((client) => this.#join(client))
  readonly #target: PostgresAddress

  constructor(target: PostgresAddress) {
    this.#target = target
  }

  async open(t: TestContext): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(this.port, '127.0.0.1', resolve))
    this.port = (this.#server.address() as AddressInfo).port
    t.after(() => this.close())
  }

  /** Ends every connection and takes no new ones. */
  close(): void {
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
  }

  #join(client: Socket): void {
    const { host, port } = this.#target
    const server = host.startsWith('/') ? connect(join(host, `.s.PGSQL.${port}`)) : connect(port, host)
    for (const socket of [client, server]) {
      this.#sockets.add(socket)
      socket.on('error', () => socket.destroy())
    }
    let cut = false
    client.on('close', () => cut || server.destroy())
    server.on('close', () => client.destroy())
    server.on('data', (data) => cut ? client.destroy() : client.write(data))
    client.on('data', (data) => {
      const commits = data.includes('COMMIT\0') && this.onCommit !== 'forward'
      if (commits && this.onCommit === 'lose the commit') server.destroy()
      else server.write(data)
      cut ||= commits
    })
  }
}

async function lineTo(t: TestContext, outcomeLimitMs?: number): Promise<{ line: Line; database: PostgresDatabase; direct: PostgresDatabase }> {
  const address = await freshDatabase(t, { migrated: false })
  const line = new Line(address)
  await line.open(t)
  const direct = new PostgresDatabase(address)
  const database = new PostgresDatabase({ ...address, host: '127.0.0.1', port: line.port, ...(outcomeLimitMs === undefined ? {} : { outcomeLimitMs }) })
  t.after(() => Promise.all([direct.close(), database.close()]))
  await direct.rows('CREATE TABLE items (name TEXT PRIMARY KEY)', [])
  return { line, database, direct }
}

function insert(database: PostgresDatabase, name: string, effects: string[] = []): Promise<unknown> {
  return database.transaction(async (tx) => {
    tx.afterCommit(() => effects.push('committed'))
    tx.onRollback(() => effects.push('undone'))
    await tx.rows('INSERT INTO items (name) VALUES ($1)', [name])
  })
}

async function names(database: PostgresDatabase): Promise<string[]> {
  return (await database.rows<{ name: string }>('SELECT name FROM items ORDER BY name', [])).map(({ name }) => name)
}

const onPostgres = process.env['MYELIN_TEST_DATABASE'] === 'postgres'

if (onPostgres) {
  test('a commit whose answer is lost is found out to be committed', async (t) => {
    const { line, database, direct } = await lineTo(t)
    await insert(database, 'first')
    line.onCommit = 'lose the answer'
    const effects: string[] = []
    await insert(database, 'second', effects)
    assert.deepEqual(effects, ['committed'])
    assert.deepEqual(await names(direct), ['first', 'second'])
  })

  test('a commit that never arrived is found out to be undone', async (t) => {
    const { line, database, direct } = await lineTo(t)
    line.onCommit = 'lose the commit'
    const effects: string[] = []
    await assert.rejects(insert(database, 'lost', effects), StorageError)
    assert.deepEqual(effects, ['undone'])
    assert.deepEqual(await names(direct), [])
    assert.equal(database.healthy, false)
    line.onCommit = 'forward'
    await insert(database, 'again')
    assert.equal(database.healthy, true)
  })

  test('without a server, requests fail with advice; when it is back, the health recovers by itself', async (t) => {
    const { line, database } = await lineTo(t)
    await insert(database, 'first')
    line.close()
    await assert.rejects(insert(database, 'second'), StorageError)
    await assert.rejects(database.rows('SELECT 1', []), (error) => error instanceof StorageError && /cannot be reached/.test(error.message))
    assert.equal(database.healthy, false)
    await line.open(t)
    const deadline = performance.now() + 15_000
    while (!database.healthy) {
      assert.ok(performance.now() < deadline, 'the health did not recover')
      await new Promise((resolve) => setImmediate(resolve))
    }
    await insert(database, 'second')
  })

  test('a backend that is ended in the middle of a transaction undoes it and ends nothing else', async (t) => {
    const { database, direct } = await lineTo(t)
    const effects: string[] = []
    const ended = database.transaction(async (tx) => {
      tx.onRollback(() => effects.push('undone'))
      const [row] = await tx.rows<{ pid: number }>('SELECT pg_backend_pid() AS pid', [])
      await direct.rows('SELECT pg_terminate_backend($1)', [row?.pid])
      await tx.rows('INSERT INTO items (name) VALUES ($1)', ['lost'])
    })
    await assert.rejects(ended, StorageError)
    assert.deepEqual(effects, ['undone'])
    await insert(database, 'kept')
    assert.deepEqual(await names(direct), ['kept'])
  })

  test('a transaction in which a failed statement was ignored is not acknowledged', async (t) => {
    const { database, direct } = await lineTo(t)
    const ignored = database.transaction(async (tx) => {
      await tx.rows('INSERT INTO items (name) VALUES ($1)', ['first'])
      await tx.rows('SELECT nothing FROM nowhere', []).catch(() => undefined)
    })
    await assert.rejects(ignored, StorageError)
    assert.deepEqual(await names(direct), [])
  })

  test('wrong encodings and collations of a real server are refused', async (t) => {
    const { direct } = await lineTo(t)
    await assertSuitable(direct, { allowUnsafeLocale: false })
    const name = `myelin_ascii_${process.pid}`
    const address = await freshDatabase(t, { migrated: false })
    await direct.rows(`CREATE DATABASE ${name} TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'`, [])
    const wrong = new PostgresDatabase({ ...address, database: name })
    await assert.rejects(assertSuitable(wrong, { allowUnsafeLocale: true }), UnsuitableDatabaseError)
    await wrong.close()
    await direct.rows(`DROP DATABASE ${name}`, [])
  })
}
