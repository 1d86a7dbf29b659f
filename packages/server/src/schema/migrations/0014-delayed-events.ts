/** Events that are to be sent later, and for a while what became of them. */
import { creates } from '../migration.ts'

export const delayedEvents = creates({ version: 14, name: '0014-delayed-events', compat: 1 }, [
  `CREATE TABLE IF NOT EXISTS delayed_events (
    delay_id TEXT NOT NULL PRIMARY KEY,
    user_id TEXT NOT NULL,
    device_id TEXT,
    txn_key TEXT,
    room_nid BIGINT NOT NULL,
    event_type TEXT NOT NULL,
    state_key TEXT,
    content TEXT NOT NULL,
    delay_ms BIGINT NOT NULL,
    running_since BIGINT NOT NULL,
    send_ts BIGINT,
    finalised_ts BIGINT,
    event_id TEXT,
    error TEXT
  )`,
  'CREATE INDEX IF NOT EXISTS delayed_events_due ON delayed_events (send_ts)',
  'CREATE INDEX IF NOT EXISTS delayed_events_user ON delayed_events (user_id, send_ts)',
  'CREATE INDEX IF NOT EXISTS delayed_events_finalised ON delayed_events (finalised_ts)',
  'CREATE UNIQUE INDEX IF NOT EXISTS delayed_events_transaction ON delayed_events (txn_key)',
])
