/** Databases that would lose or corrupt text are refused, with the command that mends them. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { assertSuitable, faultOf, UnsuitableDatabaseError, type Facts } from './requirements.ts'
import { SqliteDatabase } from './sqlite.ts'

const good: Facts = { version: 17, encoding: 'UTF8', collation: 'C', ctype: 'C', provider: 'c', database: 'synapse', owner: 'synapse_user' }
const strict = { allowUnsafeLocale: false }
const lax = { allowUnsafeLocale: true }

test('a database with bytewise collation passes', () => {
  assert.equal(faultOf(good, strict), undefined)
  assert.equal(faultOf({ ...good, version: 13 }, strict), undefined)
  assert.equal(faultOf({ ...good, collation: 'C.UTF-8', ctype: 'C.UTF-8' }, strict), undefined)
})

test('an old server is refused', () => {
  assert.match(faultOf({ ...good, version: 12 }, lax) ?? '', /PostgreSQL 12 is too old: version 13 .*pg_upgradecluster 12 main/)
})

test('another encoding is refused, whatever is allowed', () => {
  const fault = faultOf({ ...good, encoding: 'LATIN1' }, lax) ?? ''
  assert.match(fault, /LATIN1, it must be UTF8/)
  assert.match(fault, /createdb --encoding=UTF8 --locale=C --template=template0 --owner=synapse_user synapse_c && pg_dump synapse \| psql synapse_c/)
})

test('another collation is refused unless it is allowed', () => {
  for (const wrong of [{ ...good, collation: 'en_US.UTF-8' }, { ...good, ctype: 'de_DE.UTF-8' }, { ...good, provider: 'i' }]) {
    assert.match(faultOf(wrong, strict) ?? '', /both must be C.*createdb .*allow_unsafe_locale: true/)
    assert.equal(faultOf(wrong, lax), undefined)
  }
})

test('an SQLite file in UTF-16 is refused', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'myelin-encoding-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const made = new DatabaseSync(join(folder, 'utf16.db'))
  made.exec("PRAGMA encoding = 'UTF-16le'; CREATE TABLE a (b)")
  made.close()
  const wrong = new SqliteDatabase(join(folder, 'utf16.db'))
  await assert.rejects(assertSuitable(wrong, lax), UnsuitableDatabaseError)
  await wrong.close()
  const right = new SqliteDatabase(join(folder, 'utf8.db'))
  await assertSuitable(right, strict)
  await right.close()
})
