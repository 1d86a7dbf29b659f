/** The commands that show and change the schema. */
import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { loadConfig } from '#app/config.ts'
import { migrations } from '#schema/migrations.ts'
import { writeHomeserverYaml } from '../../test/kit/homeserver-yaml.ts'
import { dbCommand } from './db.ts'
import { CommandError } from './output.ts'

const newest = migrations.at(-1)?.version ?? 0

async function commands(t: TestContext): Promise<{ folder: string; db: (...args: string[]) => Promise<string> }> {
  const folder = mkdtempSync(join(tmpdir(), 'myelin-db-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const config = await writeHomeserverYaml(t, folder)
  // Writes the signing key, which the commands themselves do not.
  loadConfig([config])
  const db = async (...args: string[]): Promise<string> => {
    const lines: string[] = []
    await dbCommand([...args, '-c', config], (line) => lines.push(line))
    return lines.join('\n')
  }
  return { folder, db }
}

test('upgrade, status and roll-back, each looked at before', async (t) => {
  const { db } = await commands(t)
  await db('upgrade')
  assert.match(await db('status'), new RegExp(`^Schema version ${newest};`))
  assert.match(await db('upgrade', '--run-background-updates'), /The background updates are finished\./)
  assert.match(await db('status'), /Nothing is pending\.$/)
  assert.match(await db('rollback', '--to', '1', '--dry-run'), /^would undo 00.*\nNothing was changed\.$/s)
  assert.match(await db('status'), /Nothing is pending\.$/)
  assert.match(await db('rollback', '--to', '0'), /undoing 0001-rooms\nThe schema is at version 0\.$/)
  const check = await db('upgrade', '--check')
  assert.match(check, /^0001-rooms: 0 rows, 0 kB of disk, less than a second\n {2}then in the background: events_room_ts, 0 rows\n/)
  assert.match(check, /Nothing was changed\.$/)
  assert.match(await db('status'), /^Schema version 0;.*pending: 0001-rooms/s)
  assert.match(await db('upgrade'), new RegExp(`applying 0001-rooms.*version ${newest}\\.$`, 's'))
  assert.match(await db('status'), /background update: events_room_ts: not started/)
})

test('a command without what it needs says so', async (t) => {
  const { folder, db } = await commands(t)
  await assert.rejects(db('rollback', '--to', 'x').then(() => db('rollback')), CommandError)
  if (process.env['MYELIN_TEST_DATABASE'] === 'postgres') return
  writeFileSync(join(folder, 'unrelated'), '')
  await assert.rejects(db('status'), (error) => error instanceof CommandError && /There is no database at/.test(error.message))
  assert.equal(existsSync(join(folder, 'homeserver.db')), false)
})
