/** Every migration, both ways, with data in the tables; the books as operators know and change them. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Database } from '#platform/db/database.ts'
import { openTestDatabase } from '../../test/kit/test-engine.ts'
import type { Migration } from './migration.ts'
import { migrations } from './migrations.ts'
import { assertUpgraded, estimatePending, rollbackSchema, SchemaError, schemaStatus, stepsAbove, upgradeSchema } from './upgrade.ts'

interface Column {
  readonly name: string
  readonly type: string
}

const books = new Set(['schema_version', 'schema_compat_version', 'applied_schema_deltas', 'background_updates'])
const newest = migrations.at(-1)?.version ?? 0
const silent = (): void => undefined

async function tablesOf(database: Database): Promise<string[]> {
  // An index of texts keeps its data in shadow tables, which are its own.
  const text = database.dialect === 'sqlite'
    ? "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type <> 'shadow' AND name NOT LIKE 'sqlite_%'"
    : "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"
  return (await database.rows<{ name: string }>(text, [])).map(({ name }) => name).filter((name) => !books.has(name)).sort()
}

async function columnsOf(database: Database, table: string): Promise<Column[]> {
  const text = database.dialect === 'sqlite'
    ? 'SELECT name, type FROM pragma_table_info($1) ORDER BY cid'
    : "SELECT column_name AS name, data_type AS type FROM information_schema.columns WHERE table_schema = 'public' AND table_name = $1 ORDER BY ordinal_position"
  return database.rows<Column>(text, [table])
}

/** Definitions of all tables and indexes, as the engine prints them. */
async function definitionsOf(database: Database): Promise<string[]> {
  if (database.dialect === 'sqlite') {
    const rows = await database.rows<{ sql: string }>('SELECT sql FROM sqlite_master WHERE sql IS NOT NULL', [])
    return rows.map(({ sql }) => sql).sort()
  }
  const indexes = await database.rows<{ text: string }>("SELECT indexdef AS text FROM pg_indexes WHERE schemaname = 'public'", [])
  const columns = await database.rows<{ text: string }>(
    `SELECT concat_ws(' ', table_name, column_name, data_type, is_nullable, column_default, collation_name) AS text
     FROM information_schema.columns WHERE table_schema = 'public'`, [])
  return [...indexes, ...columns].map(({ text }) => text).sort()
}

/** A value for a column, different in every row. */
function valueOf(type: string, row: number): unknown {
  if (/^(TEXT|text)$/.test(type)) return `value ${row}`
  if (/^(BLOB|bytea)$/.test(type)) return Buffer.from([row])
  if (type === 'tsvector') return `'value':${row}`
  if (type === 'boolean') return row % 2 === 0
  return row
}

/** Puts rows into every table that is still empty. */
async function fill(database: Database): Promise<void> {
  for (const table of await tablesOf(database)) {
    const [first] = await database.rows(`SELECT 1 FROM ${table} LIMIT 1`, [])
    if (first) continue
    const columns = await columnsOf(database, table)
    const into = `INSERT INTO ${table} (${columns.map(({ name }) => name).join(', ')}) VALUES (${columns.map((_, index) => `$${index + 1}`).join(', ')})`
    await database.transaction(async (tx) => {
      for (const row of [1, 2, 3]) await tx.rows(into, columns.map(({ type }) => valueOf(type, row)))
    })
  }
}

/** All rows of some tables, of the columns that they had at first. */
async function dump(database: Database, columns: ReadonlyMap<string, readonly Column[]>): Promise<string> {
  const parts: string[] = []
  for (const [table, list] of columns) {
    const names = list.map(({ name }) => name).join(', ')
    const rows = await database.rows<object>(`SELECT ${names} FROM ${table} ORDER BY 1`, [])
    parts.push(`${table}: ${JSON.stringify(rows.map((row) => Object.values(row)))}`)
  }
  return parts.join('\n')
}

async function shapeOf(database: Database): Promise<Map<string, readonly Column[]>> {
  const shape = new Map<string, readonly Column[]>()
  for (const table of await tablesOf(database)) shape.set(table, await columnsOf(database, table))
  return shape
}

for (const [index, step] of migrations.entries()) {
  test(`${step.name}: fill, up, use, down, up, with the data of before kept throughout`, async (t) => {
    const database = await openTestDatabase(t)
    const before = migrations.slice(0, index)
    const through = migrations.slice(0, index + 1)
    await upgradeSchema(database, before, silent)
    await fill(database)
    const oldShape = await shapeOf(database)
    const [oldDefinitions, oldRows] = [await definitionsOf(database), await dump(database, oldShape)]

    await upgradeSchema(database, through, silent)
    assert.equal(await dump(database, oldShape), oldRows)
    await fill(database)
    const definitions = await definitionsOf(database)

    await rollbackSchema(database, through, before.at(-1)?.version ?? 0, silent)
    assert.equal(await dump(database, oldShape), oldRows)
    if (index > 0) assert.deepEqual(await definitionsOf(database), oldDefinitions)
    else assert.deepEqual(await tablesOf(database), [])
    assert.equal((await schemaStatus(database, before)).version, before.at(-1)?.version ?? 0)
    await upgradeSchema(database, before, silent)

    await upgradeSchema(database, through, silent)
    assert.deepEqual(await definitionsOf(database), definitions)
    assert.equal(await dump(database, oldShape), oldRows)
  })

  test(`${step.name}: runs again over its own result after its mark was deleted by SQL`, async (t) => {
    const database = await openTestDatabase(t)
    await upgradeSchema(database, migrations, silent)
    await fill(database)
    const shape = await shapeOf(database)
    const [definitions, rows] = [await definitionsOf(database), await dump(database, shape)]
    await database.transaction((tx) => tx.rows('DELETE FROM applied_schema_deltas WHERE file = $1', [step.name]))
    const ran: string[] = []
    await upgradeSchema(database, migrations, ({ name }) => ran.push(name))
    assert.deepEqual(ran, [step.name])
    assert.deepEqual(await definitionsOf(database), definitions)
    assert.equal(await dump(database, shape), rows)
    const status = await schemaStatus(database, migrations)
    assert.equal(status.version, newest)
    assert.equal(status.compatVersion, Math.max(...migrations.map(({ compat }) => compat)))
  })
}

test('names and numbers of the migrations agree, and no compatibility is promised beyond itself', () => {
  for (const [index, { version, name, compat }] of migrations.entries()) {
    assert.ok(index === 0 || version > (migrations[index - 1]?.version ?? 0))
    assert.equal(name.slice(0, 5), `${String(version).padStart(4, '0')}-`)
    assert.ok(compat >= 1 && compat <= version)
  }
})

test('a version that was lowered by SQL makes the steps above it run again', async (t) => {
  const database = await openTestDatabase(t)
  await upgradeSchema(database, migrations, silent)
  await database.transaction((tx) => tx.rows('UPDATE schema_version SET version = 2', []))
  const ran: number[] = []
  await upgradeSchema(database, migrations, ({ version }) => ran.push(version))
  assert.deepEqual(ran, migrations.map(({ version }) => version).filter((version) => version > 2))
  assert.equal((await schemaStatus(database, migrations)).version, newest)
})

test('an older program starts within the compatible version and is refused below it', async (t) => {
  const database = await openTestDatabase(t)
  await upgradeSchema(database, migrations, silent)
  const set = (version: number, compat: number): Promise<unknown> => database.transaction(async (tx) => {
    await tx.rows('UPDATE schema_version SET version = $1', [version])
    await tx.rows('UPDATE schema_compat_version SET compat_version = $1', [compat])
  })
  await set(newest + 5, newest)
  await upgradeSchema(database, migrations, () => assert.fail('nothing is pending'))
  assert.equal((await schemaStatus(database, migrations)).version, newest + 5)
  await assert.rejects(stepsAbove(database, migrations, 1), (error) => error instanceof SchemaError && /program that upgraded it/.test(error.message))
  await set(newest + 5, newest + 1)
  const refused = (error: unknown): boolean => error instanceof SchemaError && error.message.includes(`myelin db rollback --to ${newest}`)
  await assert.rejects(upgradeSchema(database, migrations, silent), refused)
  await assert.rejects(estimatePending(database, migrations), refused)
})

test('a worker waits for the main process', async (t) => {
  const database = await openTestDatabase(t)
  await assert.rejects(assertUpgraded(database, migrations), (error) => error instanceof SchemaError && /Start the main process first/.test(error.message))
  await upgradeSchema(database, migrations, silent)
  await assertUpgraded(database, migrations)
})

test('a look at what is pending writes nothing', async (t) => {
  const database = await openTestDatabase(t)
  assert.deepEqual((await estimatePending(database, migrations)).map(({ step }) => step.name), migrations.map(({ name }) => name))
  assert.deepEqual(await definitionsOf(database), [])
})

test('two processes that upgrade at once apply each step once', async (t) => {
  const database = await openTestDatabase(t)
  await Promise.all([upgradeSchema(database, migrations, silent), upgradeSchema(database, migrations, silent)])
  const marks = await database.rows('SELECT file FROM applied_schema_deltas', [])
  assert.equal(marks.length, migrations.length)
})

test('a step that fails leaves nothing of itself, and the next start goes on from there', async (t) => {
  const database = await openTestDatabase(t)
  const last = migrations.at(-1)
  assert.ok(last)
  const failing: Migration = { ...last, up: async (tx, dialect) => {
    await last.up(tx, dialect)
    throw new Error('the power went')
  } }
  await assert.rejects(upgradeSchema(database, [...migrations.slice(0, -1), failing], silent), /the power went/)
  const before = await schemaStatus(database, migrations)
  assert.deepEqual(before.pending, [last])
  await upgradeSchema(database, migrations, silent)
  assert.equal((await schemaStatus(database, migrations)).version, newest)
})
