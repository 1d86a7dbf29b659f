/**
 * Messages to devices stand in the order of their arrival, and devices have a number: a message to hundreds of devices then touches a few pages of
 * the database, not one for each device. `to_device_messages` is left as it was, unread, until no roll-back can need it; going down fills it again.
 */
import { ddl, tableExists, type Dialect } from '#platform/db/dialect.ts'
import type { Tx } from '#platform/db/database.ts'
import { migration, rows } from '../migration.ts'

async function define(tx: Tx, dialect: Dialect, statements: readonly string[]): Promise<void> {
  for (const statement of statements) await tx.rows(ddl(dialect, statement), [])
}

export const toDeviceInboxes = migration({
  version: 9,
  name: '0009-to-device-inboxes',
  compat: 9,
  estimate: rows('to_device_messages', { bytesPerRow: 1500, rowsPerSecond: 50_000 }),
  up: async (tx, dialect) => {
    // A second run must not bring back messages that were delivered since the first.
    const isCopied = await tableExists(tx, 'to_device_queue')
    await define(tx, dialect, [
      `CREATE TABLE IF NOT EXISTS to_device_inboxes (
        inbox_nid BIGINT NOT NULL PRIMARY KEY,
        user_id TEXT NOT NULL,
        device_id TEXT NOT NULL
      )`,
      'CREATE UNIQUE INDEX IF NOT EXISTS to_device_inboxes_device ON to_device_inboxes (user_id, device_id)',
      `CREATE TABLE IF NOT EXISTS to_device_queue (
        inbox_nid BIGINT NOT NULL,
        stream_id BIGINT NOT NULL,
        json TEXT NOT NULL,
        PRIMARY KEY (inbox_nid, stream_id)
      )`,
    ])
    if (isCopied || !(await tableExists(tx, 'to_device_messages'))) return
    await tx.rows(
      `INSERT INTO to_device_inboxes (inbox_nid, user_id, device_id)
       SELECT row_number() OVER (ORDER BY user_id, device_id) + (SELECT coalesce(max(inbox_nid), 0) FROM to_device_inboxes), user_id, device_id
       FROM (SELECT DISTINCT user_id, device_id FROM to_device_messages) AS devices WHERE TRUE
       ON CONFLICT (user_id, device_id) DO NOTHING`, [])
    await tx.rows(
      `INSERT INTO to_device_queue (inbox_nid, stream_id, json)
       SELECT inbox_nid, stream_id, json FROM to_device_messages JOIN to_device_inboxes USING (user_id, device_id) WHERE TRUE ORDER BY stream_id
       ON CONFLICT (inbox_nid, stream_id) DO NOTHING`, [])
  },
  down: async (tx) => {
    if ((await tableExists(tx, 'to_device_queue')) && (await tableExists(tx, 'to_device_messages'))) {
      await tx.rows('DELETE FROM to_device_messages', [])
      await tx.rows(
        `INSERT INTO to_device_messages (user_id, device_id, stream_id, json)
         SELECT user_id, device_id, stream_id, json FROM to_device_queue JOIN to_device_inboxes USING (inbox_nid)`, [])
    }
    await tx.rows('DROP TABLE IF EXISTS to_device_queue', [])
    await tx.rows('DROP TABLE IF EXISTS to_device_inboxes', [])
  },
})
