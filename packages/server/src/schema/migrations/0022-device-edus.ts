/** What devices of other servers are to be told, until it is sent; and what was delivered of theirs. */
import { creates } from '../migration.ts'

export const deviceEdus = creates({ version: 22, name: '0022-device-edus', compat: 1 }, [
  `CREATE TABLE IF NOT EXISTS device_federation_outbox (
    message_nid BIGINT NOT NULL PRIMARY KEY,
    destination TEXT NOT NULL,
    content_json TEXT NOT NULL
  )`,
  'CREATE INDEX IF NOT EXISTS device_federation_outbox_destination ON device_federation_outbox (destination, message_nid)',
  `CREATE TABLE IF NOT EXISTS device_federation_inbox (
    origin TEXT NOT NULL,
    message_id TEXT NOT NULL,
    received_ts BIGINT NOT NULL,
    PRIMARY KEY (origin, message_id)
  ) WITHOUT ROWID`,
  'CREATE INDEX IF NOT EXISTS device_federation_inbox_ts ON device_federation_inbox (received_ts)',
  `CREATE TABLE IF NOT EXISTS device_lists_outbound_pokes (
    destination TEXT NOT NULL,
    user_id TEXT NOT NULL,
    stream_id BIGINT NOT NULL,
    PRIMARY KEY (destination, user_id)
  ) WITHOUT ROWID`,
])
