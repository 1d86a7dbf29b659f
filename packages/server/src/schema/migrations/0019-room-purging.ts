/** What is needed to delete whole rooms: since when they are forgotten, which are being deleted, and numbers that must not be given out again. */
import { columnExists, ddl } from '#platform/db/dialect.ts'
import { migration, rows } from '../migration.ts'

const tables: readonly string[] = [
  `CREATE TABLE IF NOT EXISTS room_purges (
    room_nid BIGINT NOT NULL PRIMARY KEY,
    begun_ts BIGINT NOT NULL
  )`,
  `CREATE TABLE IF NOT EXISTS last_numbers (
    name TEXT NOT NULL PRIMARY KEY,
    number BIGINT NOT NULL
  ) WITHOUT ROWID`,
]

const indexes: readonly (readonly [name: string, on: string])[] = [
  ['memberships_forgotten', 'memberships (room_nid) WHERE forgotten = 1'],
  ['notification_counts_room', 'notification_counts (room_nid)'],
  ['thread_subscriptions_room', 'thread_subscriptions (room_nid)'],
  ['delayed_events_room', 'delayed_events (room_nid)'],
  ['account_data_room', `account_data (scope) WHERE scope <> ''`],
]

export const roomPurging = migration({
  version: 19, name: '0019-room-purging', compat: 1,
  estimate: rows('account_data', { bytesPerRow: 60, rowsPerSecond: 300_000 }),
  up: async (tx, dialect) => {
    for (const table of tables) await tx.rows(ddl(dialect, table), [])
    if (!(await columnExists(tx, 'memberships', 'forgotten_ts'))) await tx.rows(ddl(dialect, 'ALTER TABLE memberships ADD COLUMN forgotten_ts BIGINT'), [])
    for (const [name, on] of indexes) await tx.rows(`CREATE INDEX IF NOT EXISTS ${name} ON ${on}`, [])
  },
  down: async (tx) => {
    for (const [name] of indexes) await tx.rows(`DROP INDEX IF EXISTS ${name}`, [])
    if (await columnExists(tx, 'memberships', 'forgotten_ts')) await tx.rows('ALTER TABLE memberships DROP COLUMN forgotten_ts', [])
    for (const table of ['last_numbers', 'room_purges']) await tx.rows(`DROP TABLE IF EXISTS ${table}`, [])
  },
})
