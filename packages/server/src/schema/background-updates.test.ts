/** Background updates: resumable, ordered, paced, and open to rows that an operator inserts. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { SystemClock } from '#platform/clock.ts'
import type { Database } from '#platform/db/database.ts'
import type { Logger } from '#platform/log/logger.ts'
import { openTestDatabase } from '../../test/kit/test-engine.ts'
import { secondsLeft, waitingUpdates } from './background-progress.ts'
import { indexUpdate, type BackgroundUpdate, type BatchUpdate } from './background-update.ts'
import { BackgroundUpdates, type BackgroundOptions } from './background-updates.ts'
import { countRows } from './migration.ts'
import { backgroundUpdates, migrations } from './migrations.ts'
import { rollbackSchema, upgradeSchema } from './upgrade.ts'

const options: BackgroundOptions = {
  background_update_duration_ms: 100, sleep_enabled: false, sleep_duration_ms: 1000, min_batch_size: 1, default_batch_size: 10,
}
const itemCount = 95

/** Adds one to every item; a second time would show. */
const addOne: BatchUpdate = {
  kind: 'batches',
  name: 'add_one',
  total: (runner) => countRows(runner, 'items'),
  batch: async (tx, cursor, size) => {
    const after = typeof cursor['after'] === 'number' ? cursor['after'] : 0
    const rows = await tx.rows<{ id: number }>('SELECT id FROM items WHERE id > $1 ORDER BY id LIMIT 10', [after])
    assert.ok(size >= 1)
    for (const { id } of rows) await tx.rows('UPDATE items SET amount = amount + 1 WHERE id = $1', [id])
    const last = rows.at(-1)
    return { items: rows.length, cursor: last && { after: last.id } }
  },
  undo: async (tx) => {
    await tx.rows('UPDATE items SET amount = 0', [])
  },
}
const indexAmounts = indexUpdate({ name: 'items_amount', index: 'items_amount', on: 'ON items (amount)', dependsOn: 'add_one', total: (runner) => countRows(runner, 'items') })

class Lines implements Logger {
  readonly lines: string[] = []
  debug = (): void => undefined
  info = (message: string): void => void this.lines.push(message)
  warn = (message: string): void => void this.lines.push(`warning: ${message}`)
  error = (message: string): void => void this.lines.push(`error: ${message}`)
}

async function prepared(t: TestContext): Promise<Database> {
  const database = await openTestDatabase(t)
  await upgradeSchema(database, migrations, () => undefined)
  await database.transaction(async (tx) => {
    await tx.rows('DELETE FROM background_updates', [])
    await tx.rows('CREATE TABLE items (id INTEGER PRIMARY KEY, amount INTEGER NOT NULL)', [])
    for (let id = 1; id <= itemCount; id += 1) await tx.rows('INSERT INTO items (id, amount) VALUES ($1, 0)', [id])
  })
  return database
}

function runner(database: Database, updates: readonly BackgroundUpdate[] = [addOne, indexAmounts]): { updates: BackgroundUpdates; log: Lines } {
  const log = new Lines()
  return { log, updates: new BackgroundUpdates({ database, clock: new SystemClock(), logger: log, updates, options }) }
}

function insertRow(database: Database, name: string, progress = '{}', dependsOn: string | null = null): Promise<unknown> {
  return database.transaction((tx) =>
    tx.rows('INSERT INTO background_updates (update_name, progress_json, depends_on) VALUES ($1, $2, $3)', [name, progress, dependsOn]))
}

async function amounts(database: Database): Promise<number[]> {
  const rows = await database.rows<{ amount: number }>('SELECT DISTINCT amount FROM items ORDER BY amount', [])
  return rows.map(({ amount }) => amount)
}

async function hasIndex(database: Database, index: string): Promise<boolean> {
  const text = database.dialect === 'sqlite'
    ? "SELECT 1 FROM sqlite_master WHERE type = 'index' AND name = $1"
    : 'SELECT 1 FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid WHERE relname = $1 AND indisvalid'
  return (await database.rows(text, [index])).length > 0
}

test('rows that an operator inserted run in the order of their dependencies', async (t) => {
  const database = await prepared(t)
  await insertRow(database, 'items_amount', '{}', 'add_one')
  await insertRow(database, 'add_one')
  const { updates, log } = runner(database)
  await updates.drain()
  assert.deepEqual(await amounts(database), [1])
  assert.equal(await hasIndex(database, 'items_amount'), true)
  assert.deepEqual(await updates.waiting(), [])
  const starts = log.lines.filter((line) => line.startsWith('Starting'))
  assert.equal(starts.at(0), "Starting update batch on background update 'add_one'")
  assert.equal(starts.at(-1), "Starting update batch on background update 'items_amount'")
  assert.match(
    log.lines.find((line) => line.startsWith('Running')) ?? '',
    /^Running background update 'add_one'\. Processed 10 items in \d+ms\. \(total_rate=[\d.]+\/ms, current_rate=[\d.]+\/ms, total_updated=10, batch_size=10\)$/,
  )
})

test('a process that ends in the middle repeats nothing and loses nothing', async (t) => {
  const database = await prepared(t)
  await insertRow(database, 'add_one')
  for (let failAt = 1; (await waitingUpdates(database)).length > 0; failAt += 1) {
    assert.ok(failAt < 50)
    let batches = 0
    // The work of the batch is done and its transaction does not come to its end.
    const cut: BatchUpdate = { ...addOne, batch: async (tx, cursor, size) => {
      const batch = await addOne.batch(tx, cursor, size)
      batches += 1
      if (batches === 3) throw new Error('cut off')
      return batch
    } }
    await runner(database, [cut]).updates.drain()
  }
  assert.deepEqual(await amounts(database), [1])
})

test('progress and time left can be read while it runs', async (t) => {
  const database = await prepared(t)
  await insertRow(database, 'add_one')
  let batches = 0
  const cut: BatchUpdate = { ...addOne, batch: async (tx, cursor, size) => {
    batches += 1
    if (batches === 4) throw new Error('cut off')
    return addOne.batch(tx, cursor, size)
  } }
  await runner(database, [cut]).updates.drain()
  const [waiting] = await waitingUpdates(database)
  assert.ok(waiting?.progress)
  assert.equal(waiting.progress.done, 30)
  assert.equal(waiting.progress.total, itemCount)
  assert.equal(secondsLeft({ ...waiting.progress, durationMs: 3000 }, 2), 13)
})

test('an unknown update, a broken progress and a failing update are reported once, and others go on', async (t) => {
  const database = await prepared(t)
  const failing: BatchUpdate = { ...addOne, name: 'failing', batch: async () => {
    throw new Error('no')
  } }
  await insertRow(database, 'a_stranger')
  await insertRow(database, 'a_broken', 'not json')
  await insertRow(database, 'failing')
  await insertRow(database, 'add_one')
  const { updates, log } = runner(database, [addOne, failing, { ...addOne, name: 'a_broken' }])
  await updates.drain()
  assert.deepEqual(await amounts(database), [1])
  assert.deepEqual((await updates.waiting()).map(({ name }) => name), ['a_broken', 'a_stranger', 'failing'])
  assert.equal(log.lines.filter((line) => /^warning: .*'a_stranger' is unknown/.test(line)).length, 1)
  assert.equal(log.lines.filter((line) => /^warning: .*'a_broken' .*set it to \{\}/.test(line)).length, 1)
  assert.equal(log.lines.filter((line) => /^error: .*'failing' failed/.test(line)).length, 1)
})

test('queued updates run in the background of a started server, and stop with it', async (t) => {
  const database = await prepared(t)
  const done = Promise.withResolvers<void>()
  const last: BatchUpdate = { ...addOne, name: 'last', dependsOn: 'add_one', batch: async (tx) => {
    tx.afterCommit(() => done.resolve())
    return { items: 0, cursor: undefined }
  } }
  const { updates } = runner(database, [addOne, last])
  updates.start()
  assert.equal(await updates.queue([{ name: 'add_one' }, { name: 'last', dependsOn: 'add_one' }]), true)
  await done.promise
  await updates.stop()
  assert.deepEqual(await amounts(database), [1])
  assert.equal(updates.current, undefined)
})

test('what waits already is not queued a second time, and a pause holds', async (t) => {
  const database = await prepared(t)
  const { updates } = runner(database)
  updates.enabled = false
  updates.start()
  assert.equal(await updates.queue([{ name: 'add_one' }]), true)
  assert.equal(await updates.queue([{ name: 'items_amount' }, { name: 'add_one' }]), false)
  assert.deepEqual((await updates.waiting()).map(({ name }) => name), ['add_one'])
  assert.deepEqual(await amounts(database), [0])
  await updates.stop()
})

test('an index whose build was cut off is built anew', async (t) => {
  const database = await prepared(t)
  if (database.dialect === 'postgres') {
    // A unique index over equal values fails half-way and stays behind, invalid, as a killed build does.
    await assert.rejects(database.rows('CREATE UNIQUE INDEX CONCURRENTLY items_amount ON items (amount)', []))
    assert.equal(await hasIndex(database, 'items_amount'), false)
  }
  await insertRow(database, 'items_amount')
  await runner(database).updates.drain()
  assert.equal(await hasIndex(database, 'items_amount'), true)
})

test('the background updates of the migrations run on a fresh database, and a roll-back undoes them', async (t) => {
  const database = await openTestDatabase(t)
  await upgradeSchema(database, migrations, () => undefined)
  assert.deepEqual((await waitingUpdates(database)).map(({ name }) => name).sort(), backgroundUpdates.map(({ name }) => name).sort())
  await runner(database, backgroundUpdates).updates.drain()
  assert.deepEqual(await waitingUpdates(database), [])
  for (const update of backgroundUpdates) if (update.kind === 'index') assert.equal(await hasIndex(database, update.index), true)
  await rollbackSchema(database, migrations, 0, () => undefined)
  for (const update of backgroundUpdates) if (update.kind === 'index') assert.equal(await hasIndex(database, update.index), false)
})
