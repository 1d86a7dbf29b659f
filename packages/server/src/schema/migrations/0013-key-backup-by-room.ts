/** Keys of a backup lie by room, as a download tells them: the primary key begins with what is read in order. */
import { ddl, tableExists, type Dialect } from '#platform/db/dialect.ts'
import type { Tx } from '#platform/db/database.ts'
import { migration, rows } from '../migration.ts'

const columns = 'user_id, version, room_id, session_id, first_message_index, forwarded_count, is_verified, session_data'

const tableOf = (order: string) =>
  `CREATE TABLE key_backup_sessions (
    user_id TEXT NOT NULL,
    version BIGINT NOT NULL,
    room_id TEXT NOT NULL,
    session_id TEXT NOT NULL,
    first_message_index BIGINT NOT NULL,
    forwarded_count BIGINT NOT NULL,
    is_verified SMALLINT NOT NULL,
    session_data TEXT NOT NULL,
    PRIMARY KEY (${order})
  )`

/** Writes the table anew with another order of the primary key. */
async function reorder(tx: Tx, dialect: Dialect, order: string): Promise<void> {
  if (!(await tableExists(tx, 'key_backup_sessions'))) return
  for (const statement of [
    'ALTER TABLE key_backup_sessions RENAME TO key_backup_sessions_former',
    tableOf(order),
    `INSERT INTO key_backup_sessions (${columns}) SELECT ${columns} FROM key_backup_sessions_former ORDER BY ${order}`,
    'DROP TABLE key_backup_sessions_former',
    // PostgreSQL made another name while the former table had the usual one.
    ...(dialect === 'postgres' ? ['ALTER INDEX key_backup_sessions_pkey1 RENAME TO key_backup_sessions_pkey'] : []),
  ]) await tx.rows(ddl(dialect, statement), [])
}

export const keyBackupByRoom = migration({
  version: 13,
  name: '0013-key-backup-by-room',
  compat: 1,
  estimate: rows('key_backup_sessions', { bytesPerRow: 800, rowsPerSecond: 50_000 }),
  up: (tx, dialect) => reorder(tx, dialect, 'user_id, version, room_id, session_id'),
  down: (tx, dialect) => reorder(tx, dialect, 'user_id, version, session_id, room_id'),
})
