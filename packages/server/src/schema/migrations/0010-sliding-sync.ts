/** What clients of sliding sync have been told: their connections, and each position that they may come back with. */
import { creates } from '../migration.ts'

export const slidingSync = creates({ version: 10, name: '0010-sliding-sync', compat: 1 }, [
  `CREATE TABLE IF NOT EXISTS sliding_sync_connections (
    connection_nid BIGINT NOT NULL PRIMARY KEY,
    user_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    conn_id TEXT NOT NULL,
    created_ts BIGINT NOT NULL,
    last_used_ts BIGINT NOT NULL
  )`,
  'CREATE UNIQUE INDEX IF NOT EXISTS sliding_sync_connections_device ON sliding_sync_connections (user_id, device_id, conn_id)',
  'CREATE INDEX IF NOT EXISTS sliding_sync_connections_used ON sliding_sync_connections (last_used_ts)',
  `CREATE TABLE IF NOT EXISTS sliding_sync_positions (
    position_nid BIGINT NOT NULL PRIMARY KEY,
    connection_nid BIGINT NOT NULL,
    parent_nid BIGINT,
    state TEXT NOT NULL
  )`,
  'CREATE INDEX IF NOT EXISTS sliding_sync_positions_connection ON sliding_sync_positions (connection_nid, position_nid)',
  'CREATE INDEX IF NOT EXISTS receipts_event ON receipts (event_id)',
])
