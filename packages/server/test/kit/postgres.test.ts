/** The kit's databases: migrated, and separate from each other. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PostgresDatabase } from '#platform/db/postgres.ts'
import { migrations } from '#schema/migrations.ts'
import { freshDatabase } from './postgres.ts'

if (process.env['MYELIN_TEST_DATABASE'] === 'postgres') {
  test('each test has its own migrated database', async (t) => {
    const [first, second] = [await freshDatabase(t), await freshDatabase(t)]
    assert.notEqual(first.database, second.database)
    const database = new PostgresDatabase(first)
    const rows = await database.rows<{ file: string }>('SELECT file FROM applied_schema_deltas', [])
    assert.deepEqual(rows.map((row) => row.file).sort(), migrations.map((step) => step.name).sort())
    await database.close()
  })
}
