/** The state of a room with several branches, noted with each event while there are any. */
import { columnExists, ddl } from '#platform/db/dialect.ts'
import { instant, migration } from '../migration.ts'

export const roomRoots = migration({
  version: 17, name: '0017-room-roots', compat: 1, estimate: instant,
  up: async (tx, dialect) => {
    if (!(await columnExists(tx, 'events', 'room_root'))) await tx.rows(ddl(dialect, 'ALTER TABLE events ADD COLUMN room_root BIGINT'), [])
  },
  down: async (tx) => {
    if (await columnExists(tx, 'events', 'room_root')) await tx.rows('ALTER TABLE events DROP COLUMN room_root', [])
  },
})
