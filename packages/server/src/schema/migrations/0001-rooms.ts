/** Tables of the engine: interned strings, rooms, events, their state and the auth chain's cover index. */
import { eventsRoomTs } from '../background/0001-events-room-ts.ts'
import { creates } from '../migration.ts'

export const rooms = creates({ version: 1, name: '0001-rooms', compat: 1, background: [eventsRoomTs] }, [
  `CREATE TABLE IF NOT EXISTS interned_strings (
    string_nid BIGINT NOT NULL PRIMARY KEY,
    string TEXT NOT NULL
  )`,
  'CREATE UNIQUE INDEX IF NOT EXISTS interned_strings_string ON interned_strings (string)',
  `CREATE TABLE IF NOT EXISTS rooms (
    room_nid BIGINT NOT NULL PRIMARY KEY,
    room_id TEXT NOT NULL,
    room_version TEXT NOT NULL,
    creator_nid BIGINT,
    has_auth_chain_index BOOLEAN NOT NULL DEFAULT TRUE,
    created_ts BIGINT NOT NULL
  )`,
  'CREATE UNIQUE INDEX IF NOT EXISTS rooms_room_id ON rooms (room_id)',
  `CREATE TABLE IF NOT EXISTS events (
    event_nid BIGINT NOT NULL PRIMARY KEY,
    room_nid BIGINT NOT NULL,
    stream_ordering BIGINT,
    topological_ordering BIGINT NOT NULL,
    type_nid BIGINT NOT NULL,
    state_key_nid BIGINT,
    sender_nid BIGINT NOT NULL,
    origin_server_ts BIGINT NOT NULL,
    received_ts BIGINT NOT NULL,
    state_root BIGINT,
    rejected SMALLINT NOT NULL DEFAULT 0,
    soft_failed SMALLINT NOT NULL DEFAULT 0,
    redacted_by_nid BIGINT,
    event_id TEXT NOT NULL,
    json TEXT NOT NULL
  )`,
  'CREATE UNIQUE INDEX IF NOT EXISTS events_event_id ON events (event_id)',
  'CREATE INDEX IF NOT EXISTS events_order_room ON events (room_nid, topological_ordering, stream_ordering, event_nid) WHERE rejected = 0 AND soft_failed = 0',
  'CREATE INDEX IF NOT EXISTS events_room_stream ON events (room_nid, stream_ordering, event_nid) WHERE rejected = 0 AND soft_failed = 0',
  `CREATE TABLE IF NOT EXISTS forward_extremities (
    room_nid BIGINT NOT NULL,
    event_nid BIGINT NOT NULL,
    state_root BIGINT NOT NULL,
    PRIMARY KEY (room_nid, event_nid)
  ) WITHOUT ROWID`,
  `CREATE TABLE IF NOT EXISTS state_nodes (
    node_id BIGINT NOT NULL PRIMARY KEY,
    room_nid BIGINT NOT NULL,
    content BLOB NOT NULL
  )`,
  `CREATE TABLE IF NOT EXISTS current_state (
    room_nid BIGINT NOT NULL,
    type_nid BIGINT NOT NULL,
    state_key_nid BIGINT NOT NULL,
    event_nid BIGINT NOT NULL,
    PRIMARY KEY (room_nid, type_nid, state_key_nid)
  ) WITHOUT ROWID`,
  `CREATE TABLE IF NOT EXISTS memberships (
    user_nid BIGINT NOT NULL,
    room_nid BIGINT NOT NULL,
    membership TEXT NOT NULL,
    event_nid BIGINT NOT NULL,
    sender_nid BIGINT NOT NULL,
    stream_ordering BIGINT NOT NULL,
    is_local SMALLINT NOT NULL,
    forgotten SMALLINT NOT NULL DEFAULT 0,
    PRIMARY KEY (user_nid, room_nid)
  ) WITHOUT ROWID`,
  'CREATE INDEX IF NOT EXISTS memberships_room ON memberships (room_nid, membership)',
  `CREATE TABLE IF NOT EXISTS pending_redactions (
    redacts TEXT NOT NULL,
    room_nid BIGINT NOT NULL,
    redaction_nid BIGINT NOT NULL,
    PRIMARY KEY (redacts, redaction_nid)
  ) WITHOUT ROWID`,
  `CREATE TABLE IF NOT EXISTS event_auth_chains (
    event_nid BIGINT NOT NULL PRIMARY KEY,
    chain_id BIGINT NOT NULL,
    sequence_number BIGINT NOT NULL
  )`,
  'CREATE INDEX IF NOT EXISTS event_auth_chains_chain ON event_auth_chains (chain_id, sequence_number)',
  `CREATE TABLE IF NOT EXISTS event_auth_chain_links (
    origin_chain_id BIGINT NOT NULL,
    origin_sequence_number BIGINT NOT NULL,
    target_chain_id BIGINT NOT NULL,
    target_sequence_number BIGINT NOT NULL,
    PRIMARY KEY (origin_chain_id, origin_sequence_number, target_chain_id)
  ) WITHOUT ROWID`,
])
