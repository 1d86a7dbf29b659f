/** The SQLite engine when the disk, another program or a statement fails: clear errors, nothing half done, recovery without help. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test, type TestContext } from 'node:test'
import { StorageError } from './database.ts'
import { SqliteDatabase } from './sqlite.ts'

async function openWithTable(t: TestContext): Promise<{ database: SqliteDatabase; path: string }> {
  const folder = mkdtempSync(join(tmpdir(), 'myelin-sqlite-'))
  const path = join(folder, 'test.db')
  const database = new SqliteDatabase(path, { durable: false })
  t.after(async () => {
    await database.close()
    rmSync(folder, { recursive: true, force: true })
  })
  await database.transaction((tx) => tx.rows('CREATE TABLE items (name TEXT NOT NULL PRIMARY KEY, body TEXT NOT NULL) STRICT', []))
  return { database, path }
}

function insert(database: SqliteDatabase, name: string, body = ''): Promise<unknown> {
  return database.transaction((tx) => tx.rows('INSERT INTO items (name, body) VALUES ($1, $2)', [name, body]))
}

async function names(database: SqliteDatabase): Promise<string[]> {
  return (await database.rows<{ name: string }>('SELECT name FROM items ORDER BY name', [])).map(({ name }) => name)
}

/** Waits for a state that comes by itself, turn by turn of the event loop. */
async function becomes(state: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000
  while (!state()) {
    assert.ok(performance.now() < deadline, 'it did not become so within ten seconds')
    await new Promise((resolve) => setImmediate(resolve))
  }
}

test('transactions that wait together are committed together, and undone alone', async (t) => {
  const { database } = await openWithTable(t)
  const effects: string[] = []
  const results = await Promise.allSettled(['a', 'b', 'a', 'c'].map((name, index) => database.transaction(async (tx) => {
    tx.afterCommit(() => effects.push(`committed ${index}`))
    tx.onRollback(() => effects.push(`undone ${index}`))
    await tx.rows('INSERT INTO items (name, body) VALUES ($1, $2)', [name, ''])
  })))
  assert.deepEqual(results.map(({ status }) => status), ['fulfilled', 'fulfilled', 'rejected', 'fulfilled'])
  assert.deepEqual(effects, ['undone 2', 'committed 0', 'committed 1', 'committed 3'])
  assert.deepEqual(await names(database), ['a', 'b', 'c'])
  assert.equal(database.healthy, true)
})

test('a full disk refuses with advice, turns the health red, and nothing is half done; with space it goes on', async (t) => {
  const { database } = await openWithTable(t)
  await insert(database, 'before')
  await database.transaction((tx) => tx.rows('PRAGMA max_page_count = 8', []))
  const [big, small] = await Promise.allSettled([insert(database, 'big', 'x'.repeat(100_000)), insert(database, 'small')])
  assert.ok(big?.status === 'rejected' && big.reason instanceof StorageError)
  assert.match(big.reason.message, /disk of the database is full; free space/)
  const kept = await names(database)
  assert.deepEqual(kept, small?.status === 'fulfilled' ? ['before', 'small'] : ['before'])
  await assert.rejects(insert(database, 'big', 'x'.repeat(100_000)), StorageError)
  assert.equal(database.healthy, false)
  await database.transaction((tx) => tx.rows('PRAGMA max_page_count = 4294967294', []))
  await insert(database, 'big', 'x'.repeat(100_000))
  assert.equal(database.healthy, true)
  assert.ok((await names(database)).includes('big'))
})

test('a database that is read-only refuses with advice and reads on', async (t) => {
  const { database } = await openWithTable(t)
  await database.transaction((tx) => tx.rows('PRAGMA query_only = 1', []))
  await assert.rejects(insert(database, 'a'), (error) => error instanceof StorageError && /read-only/.test(error.message))
  assert.equal(database.healthy, false)
  assert.deepEqual(await names(database), [])
})

test('another writer is waited for, without stopping the event loop', async (t) => {
  const { database, path } = await openWithTable(t)
  const other = new DatabaseSync(path)
  t.after(() => other.close())
  other.exec("BEGIN IMMEDIATE; INSERT INTO items (name, body) VALUES ('theirs', '')")
  let turns = 0
  const ours = insert(database, 'ours')
  const began = performance.now()
  while (performance.now() - began < 100 || turns <= 20) {
    assert.ok(performance.now() - began < 4000, `the event loop turned ${turns} times`)
    await new Promise((resolve) => setImmediate(resolve))
    turns += 1
  }
  assert.deepEqual(await names(database), [])
  other.exec('COMMIT')
  await ours
  assert.deepEqual(await names(database), ['ours', 'theirs'])
  assert.equal(database.healthy, true)
})

test('another writer that never ends is named in the error; the health recovers when it is gone', async (t) => {
  const { database, path } = await openWithTable(t)
  const other = new DatabaseSync(path)
  other.exec('BEGIN IMMEDIATE')
  await assert.rejects(insert(database, 'ours'), (error) => error instanceof StorageError && /Another program holds the database locked/.test(error.message))
  assert.equal(database.healthy, false)
  assert.deepEqual(await names(database), [])
  other.exec('ROLLBACK')
  other.close()
  await becomes(() => database.healthy)
  await insert(database, 'ours')
})

test('a place that cannot be opened says so', () => {
  const open = (): unknown => new SqliteDatabase('/nonexistent-folder/homeserver.db')
  assert.throws(open, (error) => error instanceof StorageError && /cannot be opened; look whether its folder exists/.test(error.message))
})

test('a mistake in a statement is no failure of the storage', async (t) => {
  const { database } = await openWithTable(t)
  await assert.rejects(database.rows('SELECT nothing FROM nowhere', []), (error) => !(error instanceof StorageError))
  await assert.rejects(database.transaction((tx) => tx.rows('SELECT nothing FROM nowhere', [])), (error) => !(error instanceof StorageError))
  assert.equal(database.healthy, true)
})
