/** Events that are delivered reliably for a while, and how long a delayed event is to be one of them. */
import { columnExists, ddl } from '#platform/db/dialect.ts'
import { instant, migration } from '../migration.ts'

const tables: readonly string[] = [
  `CREATE TABLE IF NOT EXISTS sticky_events (
    event_nid BIGINT NOT NULL PRIMARY KEY,
    room_nid BIGINT NOT NULL,
    stream_ordering BIGINT NOT NULL,
    expires_ts BIGINT NOT NULL
  )`,
  'CREATE INDEX IF NOT EXISTS sticky_events_expires ON sticky_events (expires_ts)',
]

export const stickyEvents = migration({
  version: 23, name: '0023-sticky-events', compat: 1, estimate: instant,
  up: async (tx, dialect) => {
    for (const statement of tables) await tx.rows(ddl(dialect, statement), [])
    if (!(await columnExists(tx, 'delayed_events', 'sticky_ms'))) await tx.rows(ddl(dialect, 'ALTER TABLE delayed_events ADD COLUMN sticky_ms BIGINT'), [])
  },
  down: async (tx) => {
    await tx.rows('DROP TABLE IF EXISTS sticky_events', [])
    if (await columnExists(tx, 'delayed_events', 'sticky_ms')) await tx.rows('ALTER TABLE delayed_events DROP COLUMN sticky_ms', [])
  },
})
