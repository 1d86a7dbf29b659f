/** Threads that users follow, and those that they no longer follow: a change of either is a place in their stream. */
import { creates } from '../migration.ts'

export const threadSubscriptions = creates({ version: 12, name: '0012-thread-subscriptions', compat: 1 }, [
  `CREATE TABLE IF NOT EXISTS thread_subscriptions (
    user_id TEXT NOT NULL,
    room_nid BIGINT NOT NULL,
    thread_id TEXT NOT NULL,
    stream_id BIGINT NOT NULL,
    subscribed SMALLINT NOT NULL,
    automatic SMALLINT NOT NULL,
    unsubscribed_at BIGINT,
    PRIMARY KEY (user_id, room_nid, thread_id)
  )`,
  'CREATE INDEX IF NOT EXISTS thread_subscriptions_user_stream ON thread_subscriptions (user_id, stream_id)',
  'CREATE INDEX IF NOT EXISTS thread_subscriptions_stream ON thread_subscriptions (stream_id)',
])
