/** The thread for long reads: beside the event loop, fresh, bounded, and gone when nobody needs it. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { MatrixError } from '@myelin/protocol/errors.ts'
import { StorageError } from './database.ts'
import { SqliteDatabase } from './sqlite.ts'
import { SqliteScanner } from './sqlite-scanner.ts'

async function open(t: TestContext): Promise<{ database: SqliteDatabase; path: string }> {
  const folder = mkdtempSync(join(tmpdir(), 'myelin-scans-'))
  const path = join(folder, 'test.db')
  const database = new SqliteDatabase(path, { durable: false })
  t.after(async () => {
    await database.close()
    rmSync(folder, { recursive: true, force: true })
  })
  await database.transaction((tx) => tx.rows('CREATE TABLE numbers (n INTEGER NOT NULL, name TEXT) STRICT', []))
  return { database, path }
}

/** Counts for a good while. */
const slow = 'WITH RECURSIVE count (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM count WHERE n < $1) SELECT max(n) AS n FROM count'

test('scans see what is committed, and give rows and values as other reads do', async (t) => {
  const { database } = await open(t)
  assert.equal(database.scans.isRunning, false)
  await database.transaction(async (tx) => {
    await tx.rows('INSERT INTO numbers (n, name) VALUES ($1, $2), (2, NULL)', [1, 'one'])
  })
  const text = 'SELECT n, name FROM numbers WHERE n IN (SELECT value FROM json_each($1)) ORDER BY n'
  const rows = await database.scans.rows<{ n: number; name: string | null }>(text, [[1, 2, 3]])
  assert.deepEqual(rows.map(({ n, name }) => [n, name]), [[1, 'one'], [2, null]])
  await database.transaction((tx) => tx.rows('DELETE FROM numbers', []))
  assert.deepEqual(await database.scans.rows(text, [[1, 2, 3]]), [])
})

test('the event loop goes on during a scan', async (t) => {
  const { database } = await open(t)
  let turns = 0
  const done = new AbortController()
  const scan = database.scans.rows<{ n: number }>(slow, [2_000_000]).finally(() => done.abort())
  while (!done.signal.aborted) {
    await database.rows('SELECT 1', [])
    await new Promise((resolve) => setImmediate(resolve))
    turns += 1
  }
  assert.equal((await scan)[0]?.n, 2_000_000)
  assert.ok(turns > 100, `${turns} turns`)
})

test('scans cannot write, wrong ones fail alone, NUL is refused', async (t) => {
  const { database } = await open(t)
  await assert.rejects(database.scans.rows('INSERT INTO numbers (n) VALUES (1)', []), (error) => error instanceof StorageError && /read-only/.test(error.message))
  await assert.rejects(database.scans.rows('SELECT nonsense', []), /no such column/)
  await assert.rejects(database.scans.rows('SELECT $1', ['a\0b']), (error) => error instanceof MatrixError && error.errcode === 'M_INVALID_PARAM')
  assert.equal((await database.scans.rows<{ one: number }>('SELECT 1 AS one', []))[0]?.one, 1)
})

test('too many waiting scans are refused; closing fails the others; an idle thread ends', async (t) => {
  const { database, path } = await open(t)
  const scanner = new SqliteScanner(path, { queue: 2, idleMs: 1 })
  const waiting = [scanner.rows(slow, [100_000]), scanner.rows(slow, [100_000])]
  await assert.rejects(scanner.rows('SELECT 1', []), (error) => error instanceof MatrixError && error.errcode === 'M_LIMIT_EXCEEDED')
  await Promise.all(waiting)
  while (scanner.isRunning) await new Promise((resolve) => setImmediate(resolve))
  assert.equal((await scanner.rows<{ one: number }>('SELECT 1 AS one', []))[0]?.one, 1)
  const last = scanner.rows(slow, [100_000])
  const closed = scanner.close()
  await assert.rejects(last, StorageError)
  await closed
  await assert.rejects(scanner.rows('SELECT 1', []), StorageError)
  assert.equal(database.scans.isRunning, false)
})
