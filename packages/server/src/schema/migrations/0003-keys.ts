/** Tables of end-to-end encryption: device keys, one-time keys, cross-signing, key backups, to-device messages. */
import { creates } from '../migration.ts'

export const keys = creates({ version: 3, name: '0003-keys', compat: 1 }, [
  `CREATE TABLE IF NOT EXISTS device_keys (
    user_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    json TEXT NOT NULL,
    PRIMARY KEY (user_id, device_id)
  )`,
  // Keys of one device and algorithm share a slot: key_nid is slot * 2^24 plus a number in the order of upload.
  `CREATE TABLE IF NOT EXISTS one_time_keys (
    key_nid BIGINT NOT NULL PRIMARY KEY,
    key_id TEXT NOT NULL,
    json TEXT NOT NULL
  )`,
  `CREATE TABLE IF NOT EXISTS one_time_key_algorithms (
    user_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    algorithm TEXT NOT NULL,
    slot BIGINT NOT NULL,
    fallback_key_id TEXT,
    fallback_json TEXT,
    fallback_used SMALLINT NOT NULL DEFAULT 0,
    PRIMARY KEY (user_id, device_id, algorithm)
  )`,
  'CREATE UNIQUE INDEX IF NOT EXISTS one_time_key_algorithms_slot ON one_time_key_algorithms (slot)',
  `CREATE TABLE IF NOT EXISTS cross_signing_keys (
    user_id TEXT NOT NULL,
    key_type TEXT NOT NULL,
    public_key TEXT NOT NULL,
    json TEXT NOT NULL,
    replaceable_until_ts BIGINT,
    PRIMARY KEY (user_id, key_type)
  )`,
  `CREATE TABLE IF NOT EXISTS user_signatures (
    signer_user_id TEXT NOT NULL,
    target_user_id TEXT NOT NULL,
    target_key TEXT NOT NULL,
    signing_key_id TEXT NOT NULL,
    signature TEXT NOT NULL,
    PRIMARY KEY (signer_user_id, target_user_id)
  ) WITHOUT ROWID`,
  'CREATE INDEX IF NOT EXISTS user_signatures_target ON user_signatures (target_user_id)',
  `CREATE TABLE IF NOT EXISTS device_list_changes (
    user_id TEXT NOT NULL,
    only_for TEXT NOT NULL,
    stream_id BIGINT NOT NULL,
    PRIMARY KEY (user_id, only_for)
  ) WITHOUT ROWID`,
  'CREATE INDEX IF NOT EXISTS device_list_changes_stream ON device_list_changes (stream_id)',
  `CREATE TABLE IF NOT EXISTS dehydrated_devices (
    user_id TEXT NOT NULL PRIMARY KEY,
    device_id TEXT NOT NULL,
    device_data TEXT NOT NULL
  )`,
  `CREATE TABLE IF NOT EXISTS key_backup_versions (
    user_id TEXT NOT NULL,
    version BIGINT NOT NULL,
    algorithm TEXT NOT NULL,
    auth_data TEXT NOT NULL,
    etag BIGINT NOT NULL DEFAULT 0,
    key_count BIGINT NOT NULL DEFAULT 0,
    deleted SMALLINT NOT NULL DEFAULT 0,
    PRIMARY KEY (user_id, version)
  )`,
  `CREATE TABLE IF NOT EXISTS key_backup_sessions (
    user_id TEXT NOT NULL,
    version BIGINT NOT NULL,
    room_id TEXT NOT NULL,
    session_id TEXT NOT NULL,
    first_message_index BIGINT NOT NULL,
    forwarded_count BIGINT NOT NULL,
    is_verified SMALLINT NOT NULL,
    session_data TEXT NOT NULL,
    PRIMARY KEY (user_id, version, session_id, room_id)
  )`,
  `CREATE TABLE IF NOT EXISTS to_device_messages (
    user_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    stream_id BIGINT NOT NULL,
    json TEXT NOT NULL,
    PRIMARY KEY (user_id, device_id, stream_id)
  )`,
  `CREATE TABLE IF NOT EXISTS to_device_transactions (
    user_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    event_type TEXT NOT NULL,
    txn_id TEXT NOT NULL,
    received_ts BIGINT NOT NULL,
    PRIMARY KEY (user_id, device_id, event_type, txn_id)
  ) WITHOUT ROWID`,
  'CREATE INDEX IF NOT EXISTS to_device_transactions_ts ON to_device_transactions (received_ts)',
  // Delivered messages are deleted, so what is left does not tell which positions were used; no message is above the reservation.
  `CREATE TABLE IF NOT EXISTS to_device_reservation (
    only_row SMALLINT NOT NULL PRIMARY KEY,
    reserved_up_to BIGINT NOT NULL
  )`,
])
