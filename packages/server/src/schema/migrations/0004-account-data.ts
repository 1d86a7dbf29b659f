/** Tables of what users keep for themselves and tell each other: account data, filters, pushers, counts, receipts, presence, reports. */
import { creates } from '../migration.ts'

export const accountData = creates({ version: 4, name: '0004-account-data', compat: 4 }, [
  `CREATE TABLE IF NOT EXISTS account_data (
    user_id TEXT NOT NULL,
    scope TEXT NOT NULL,
    account_data_type TEXT NOT NULL,
    stream_id BIGINT NOT NULL,
    content TEXT NOT NULL,
    PRIMARY KEY (user_id, scope, account_data_type)
  )`,
  'CREATE INDEX IF NOT EXISTS account_data_user_stream ON account_data (user_id, stream_id)',
  'CREATE INDEX IF NOT EXISTS account_data_stream ON account_data (stream_id)',
  `CREATE TABLE IF NOT EXISTS ignored_users (
    ignorer_user_id TEXT NOT NULL,
    ignored_user_id TEXT NOT NULL,
    PRIMARY KEY (ignorer_user_id, ignored_user_id)
  ) WITHOUT ROWID`,
  'CREATE INDEX IF NOT EXISTS ignored_users_ignored ON ignored_users (ignored_user_id)',
  `CREATE TABLE IF NOT EXISTS user_filters (
    user_id TEXT NOT NULL,
    filter_nid BIGINT NOT NULL,
    filter_hash TEXT NOT NULL,
    filter_json TEXT NOT NULL,
    PRIMARY KEY (user_id, filter_nid)
  )`,
  'CREATE UNIQUE INDEX IF NOT EXISTS user_filters_hash ON user_filters (user_id, filter_hash)',
  `CREATE TABLE IF NOT EXISTS pushers (
    app_id TEXT NOT NULL,
    pushkey TEXT NOT NULL,
    user_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    app_display_name TEXT NOT NULL,
    device_display_name TEXT NOT NULL,
    profile_tag TEXT NOT NULL,
    lang TEXT NOT NULL,
    data TEXT NOT NULL,
    device_id TEXT,
    access_token_id BIGINT,
    created_ts BIGINT NOT NULL,
    PRIMARY KEY (app_id, pushkey, user_id)
  )`,
  'CREATE INDEX IF NOT EXISTS pushers_user ON pushers (user_id)',
  `CREATE TABLE IF NOT EXISTS notification_counts (
    user_id TEXT NOT NULL,
    room_nid BIGINT NOT NULL,
    thread_id TEXT NOT NULL,
    up_to_stream BIGINT NOT NULL,
    read_up_to BIGINT NOT NULL,
    notify_count BIGINT NOT NULL,
    highlight_count BIGINT NOT NULL,
    PRIMARY KEY (user_id, room_nid, thread_id)
  ) WITHOUT ROWID`,
  `CREATE TABLE IF NOT EXISTS receipts (
    user_id TEXT NOT NULL,
    room_nid BIGINT NOT NULL,
    receipt_type TEXT NOT NULL,
    thread_id TEXT NOT NULL,
    event_id TEXT NOT NULL,
    event_stream BIGINT NOT NULL,
    receipt_ts BIGINT NOT NULL,
    stream_id BIGINT NOT NULL,
    PRIMARY KEY (user_id, room_nid, receipt_type, thread_id)
  )`,
  'CREATE INDEX IF NOT EXISTS receipts_room_stream ON receipts (room_nid, stream_id)',
  'CREATE INDEX IF NOT EXISTS receipts_stream ON receipts (stream_id)',
  `CREATE TABLE IF NOT EXISTS presence (
    user_id TEXT NOT NULL PRIMARY KEY,
    stream_id BIGINT NOT NULL,
    state TEXT NOT NULL,
    status_msg TEXT,
    last_active_ts BIGINT NOT NULL,
    currently_active SMALLINT NOT NULL
  )`,
  'CREATE INDEX IF NOT EXISTS presence_stream ON presence (stream_id)',
  `CREATE INDEX IF NOT EXISTS presence_seen ON presence (user_id) WHERE state <> 'offline'`,
  `CREATE TABLE IF NOT EXISTS event_reports (
    report_nid BIGINT NOT NULL PRIMARY KEY,
    received_ts BIGINT NOT NULL,
    room_id TEXT NOT NULL,
    event_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    reason TEXT,
    score BIGINT
  )`,
  `CREATE TABLE IF NOT EXISTS room_reports (
    report_nid BIGINT NOT NULL PRIMARY KEY,
    received_ts BIGINT NOT NULL,
    room_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    reason TEXT NOT NULL
  )`,
  `CREATE TABLE IF NOT EXISTS user_reports (
    report_nid BIGINT NOT NULL PRIMARY KEY,
    received_ts BIGINT NOT NULL,
    target_user_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    reason TEXT NOT NULL
  )`,
])
