/** What is known of other servers: their keys, and whether they answer. */
import { creates } from '../migration.ts'

export const federation = creates({ version: 15, name: '0015-federation', compat: 1 }, [
  `CREATE TABLE IF NOT EXISTS server_signature_keys (
    server_name TEXT NOT NULL,
    key_id TEXT NOT NULL,
    verify_key TEXT NOT NULL,
    ts_valid_until_ms BIGINT NOT NULL,
    ts_added_ms BIGINT NOT NULL,
    from_server TEXT NOT NULL,
    PRIMARY KEY (server_name, key_id)
  )`,
  `CREATE TABLE IF NOT EXISTS server_keys_json (
    server_name TEXT NOT NULL PRIMARY KEY,
    from_server TEXT NOT NULL,
    ts_added_ms BIGINT NOT NULL,
    ts_valid_until_ms BIGINT NOT NULL,
    key_json TEXT NOT NULL
  )`,
  `CREATE TABLE IF NOT EXISTS destinations (
    destination TEXT NOT NULL PRIMARY KEY,
    failure_ts BIGINT,
    retry_last_ts BIGINT NOT NULL,
    retry_interval BIGINT NOT NULL
  )`,
])
