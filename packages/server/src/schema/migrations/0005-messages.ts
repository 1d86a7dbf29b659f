/** Transaction identifiers of sent events. */
import { creates } from '../migration.ts'

export const messages = creates({ version: 5, name: '0005-messages', compat: 1 }, [
  `CREATE TABLE IF NOT EXISTS event_txn_ids (
    user_id TEXT NOT NULL,
    device TEXT NOT NULL,
    txn_key TEXT NOT NULL,
    event_nid BIGINT NOT NULL,
    event_id TEXT NOT NULL,
    received_ts BIGINT NOT NULL,
    PRIMARY KEY (user_id, device, txn_key)
  ) WITHOUT ROWID`,
  'CREATE INDEX IF NOT EXISTS event_txn_ids_event ON event_txn_ids (event_nid)',
])
