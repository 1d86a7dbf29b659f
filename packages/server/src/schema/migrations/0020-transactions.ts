/** Transactions with other servers: what came in and is not worked on yet, and how far each server has been told. */
import { creates } from '../migration.ts'

export const transactions = creates({ version: 20, name: '0020-transactions', compat: 1 }, [
  `CREATE TABLE IF NOT EXISTS received_transactions (
    origin TEXT NOT NULL,
    transaction_id TEXT NOT NULL,
    ts BIGINT NOT NULL,
    response_json TEXT NOT NULL,
    PRIMARY KEY (origin, transaction_id)
  ) WITHOUT ROWID`,
  'CREATE INDEX IF NOT EXISTS received_transactions_ts ON received_transactions (ts)',
  `CREATE TABLE IF NOT EXISTS federation_inbound_events_staging (
    staging_nid BIGINT NOT NULL PRIMARY KEY,
    room_nid BIGINT NOT NULL,
    origin TEXT NOT NULL,
    received_ts BIGINT NOT NULL,
    event_json TEXT NOT NULL
  )`,
  'CREATE INDEX IF NOT EXISTS federation_inbound_events_staging_room ON federation_inbound_events_staging (room_nid, staging_nid)',
  `CREATE TABLE IF NOT EXISTS destination_rooms (
    destination TEXT NOT NULL,
    room_nid BIGINT NOT NULL,
    stream_ordering BIGINT NOT NULL,
    PRIMARY KEY (destination, room_nid)
  ) WITHOUT ROWID`,
  `CREATE TABLE IF NOT EXISTS destination_positions (
    destination TEXT NOT NULL PRIMARY KEY,
    last_successful_stream_ordering BIGINT NOT NULL
  ) WITHOUT ROWID`,
])
