/** Tables of identity: accounts, devices, tokens, interactive authentication, registration tokens, profiles. */
import { creates } from '../migration.ts'

export const accounts = creates({ version: 2, name: '0002-accounts', compat: 1 }, [
  `CREATE TABLE IF NOT EXISTS users (
    user_id TEXT NOT NULL PRIMARY KEY,
    folded_id TEXT NOT NULL,
    password_hash TEXT,
    created_ts BIGINT NOT NULL,
    is_guest SMALLINT NOT NULL DEFAULT 0,
    is_admin SMALLINT NOT NULL DEFAULT 0,
    is_deactivated SMALLINT NOT NULL DEFAULT 0,
    is_erased SMALLINT NOT NULL DEFAULT 0,
    is_locked SMALLINT NOT NULL DEFAULT 0,
    is_suspended SMALLINT NOT NULL DEFAULT 0,
    is_shadow_banned SMALLINT NOT NULL DEFAULT 0,
    is_approved SMALLINT NOT NULL DEFAULT 1,
    is_leaving SMALLINT NOT NULL DEFAULT 0,
    user_type TEXT,
    appservice_id TEXT
  ) WITHOUT ROWID`,
  'CREATE INDEX IF NOT EXISTS users_folded_id ON users (folded_id)',
  'CREATE INDEX IF NOT EXISTS users_leaving ON users (user_id) WHERE is_leaving = 1',
  'CREATE INDEX IF NOT EXISTS users_created ON users (created_ts)',
  `CREATE TABLE IF NOT EXISTS user_threepids (
    medium TEXT NOT NULL,
    address TEXT NOT NULL,
    user_id TEXT NOT NULL,
    validated_ts BIGINT NOT NULL,
    added_ts BIGINT NOT NULL,
    PRIMARY KEY (medium, address)
  ) WITHOUT ROWID`,
  'CREATE INDEX IF NOT EXISTS user_threepids_user ON user_threepids (user_id)',
  `CREATE TABLE IF NOT EXISTS devices (
    user_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    display_name TEXT,
    created_ts BIGINT NOT NULL,
    last_seen_ts BIGINT,
    last_seen_ip TEXT,
    last_seen_user_agent TEXT,
    PRIMARY KEY (user_id, device_id)
  ) WITHOUT ROWID`,
  'CREATE INDEX IF NOT EXISTS devices_last_seen ON devices (last_seen_ts)',
  `CREATE TABLE IF NOT EXISTS user_ips (
    user_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    ip TEXT NOT NULL,
    user_agent TEXT NOT NULL,
    last_seen_ts BIGINT NOT NULL,
    PRIMARY KEY (user_id, device_id, ip, user_agent)
  ) WITHOUT ROWID`,
  'CREATE INDEX IF NOT EXISTS user_ips_last_seen ON user_ips (last_seen_ts)',
  `CREATE TABLE IF NOT EXISTS access_tokens (
    token_hash TEXT NOT NULL PRIMARY KEY,
    token_id BIGINT NOT NULL,
    user_id TEXT NOT NULL,
    device_id TEXT,
    created_ts BIGINT NOT NULL,
    valid_until_ts BIGINT,
    family_id TEXT,
    sequence BIGINT NOT NULL DEFAULT 0,
    used SMALLINT NOT NULL DEFAULT 0,
    puppeted_by TEXT
  ) WITHOUT ROWID`,
  'CREATE INDEX IF NOT EXISTS access_tokens_user ON access_tokens (user_id, device_id)',
  'CREATE INDEX IF NOT EXISTS access_tokens_family ON access_tokens (family_id) WHERE family_id IS NOT NULL',
  'CREATE INDEX IF NOT EXISTS access_tokens_puppeted_by ON access_tokens (puppeted_by) WHERE puppeted_by IS NOT NULL',
  `CREATE TABLE IF NOT EXISTS refresh_tokens (
    token_hash TEXT NOT NULL PRIMARY KEY,
    family_id TEXT NOT NULL,
    sequence BIGINT NOT NULL,
    user_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    replaced SMALLINT NOT NULL DEFAULT 0,
    expiry_ts BIGINT,
    session_expiry_ts BIGINT
  ) WITHOUT ROWID`,
  'CREATE INDEX IF NOT EXISTS refresh_tokens_family ON refresh_tokens (family_id, sequence)',
  'CREATE INDEX IF NOT EXISTS refresh_tokens_user ON refresh_tokens (user_id, device_id)',
  `CREATE TABLE IF NOT EXISTS login_tokens (
    token_hash TEXT NOT NULL PRIMARY KEY,
    user_id TEXT NOT NULL,
    expiry_ts BIGINT NOT NULL
  ) WITHOUT ROWID`,
  'CREATE INDEX IF NOT EXISTS login_tokens_user ON login_tokens (user_id)',
  'CREATE INDEX IF NOT EXISTS login_tokens_expiry ON login_tokens (expiry_ts)',
  `CREATE TABLE IF NOT EXISTS openid_tokens (
    token_hash TEXT NOT NULL PRIMARY KEY,
    user_id TEXT NOT NULL,
    expiry_ts BIGINT NOT NULL
  ) WITHOUT ROWID`,
  'CREATE INDEX IF NOT EXISTS openid_tokens_user ON openid_tokens (user_id)',
  'CREATE INDEX IF NOT EXISTS openid_tokens_expiry ON openid_tokens (expiry_ts)',
  `CREATE TABLE IF NOT EXISTS ui_auth_sessions (
    session_id TEXT NOT NULL PRIMARY KEY,
    owner TEXT NOT NULL,
    device_id TEXT,
    operation TEXT NOT NULL,
    description TEXT NOT NULL,
    method TEXT NOT NULL,
    path TEXT NOT NULL,
    sealed_body TEXT NOT NULL,
    stages TEXT NOT NULL,
    created_ts BIGINT NOT NULL
  ) WITHOUT ROWID`,
  'CREATE INDEX IF NOT EXISTS ui_auth_sessions_owner ON ui_auth_sessions (owner, created_ts)',
  'CREATE INDEX IF NOT EXISTS ui_auth_sessions_created ON ui_auth_sessions (created_ts)',
  `CREATE TABLE IF NOT EXISTS ui_auth_sessions_credentials (
    session_id TEXT NOT NULL,
    stage_type TEXT NOT NULL,
    result TEXT NOT NULL,
    PRIMARY KEY (session_id, stage_type)
  ) WITHOUT ROWID`,
  `CREATE TABLE IF NOT EXISTS registration_tokens (
    token TEXT NOT NULL PRIMARY KEY,
    uses_allowed BIGINT,
    pending BIGINT NOT NULL DEFAULT 0,
    completed BIGINT NOT NULL DEFAULT 0,
    expiry_ts BIGINT
  ) WITHOUT ROWID`,
  `CREATE TABLE IF NOT EXISTS profiles (
    user_id TEXT NOT NULL PRIMARY KEY,
    displayname TEXT,
    avatar_url TEXT
  ) WITHOUT ROWID`,
  `CREATE TABLE IF NOT EXISTS profile_fields (
    user_id TEXT NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (user_id, name)
  ) WITHOUT ROWID`,
])
