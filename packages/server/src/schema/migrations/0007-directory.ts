/** Tables of what is found and related: room aliases, published rooms, relations of events, threads, open rooms, the user directory. */
import { creates } from '../migration.ts'

export const directory = creates({ version: 7, name: '0007-directory', compat: 1 }, [
  `CREATE TABLE IF NOT EXISTS room_aliases (
    alias TEXT NOT NULL PRIMARY KEY,
    room_nid BIGINT NOT NULL,
    creator TEXT NOT NULL,
    created_ts BIGINT NOT NULL
  ) WITHOUT ROWID`,
  'CREATE INDEX IF NOT EXISTS room_aliases_room ON room_aliases (room_nid)',
  'CREATE INDEX IF NOT EXISTS room_aliases_creator ON room_aliases (creator)',
  `CREATE TABLE IF NOT EXISTS room_publications (
    room_nid BIGINT NOT NULL,
    network_id TEXT NOT NULL,
    published_ts BIGINT NOT NULL,
    PRIMARY KEY (room_nid, network_id)
  ) WITHOUT ROWID`,
  'CREATE INDEX IF NOT EXISTS room_publications_network ON room_publications (network_id)',
  `CREATE TABLE IF NOT EXISTS event_relations (
    event_nid BIGINT NOT NULL PRIMARY KEY,
    room_nid BIGINT NOT NULL,
    relates_to TEXT NOT NULL,
    relation_type TEXT NOT NULL,
    aggregation_key TEXT
  )`,
  'CREATE INDEX IF NOT EXISTS event_relations_parent ON event_relations (room_nid, relates_to)',
  `CREATE TABLE IF NOT EXISTS threads (
    room_nid BIGINT NOT NULL,
    root_id TEXT NOT NULL,
    topological_ordering BIGINT NOT NULL,
    stream_ordering BIGINT NOT NULL,
    PRIMARY KEY (room_nid, root_id)
  ) WITHOUT ROWID`,
  'CREATE INDEX IF NOT EXISTS threads_latest ON threads (room_nid, topological_ordering, stream_ordering)',
  `CREATE TABLE IF NOT EXISTS open_rooms (
    room_nid BIGINT NOT NULL PRIMARY KEY,
    is_public SMALLINT NOT NULL DEFAULT 0,
    is_world_readable SMALLINT NOT NULL DEFAULT 0
  )`,
  `CREATE TABLE IF NOT EXISTS user_directory (
    user_id TEXT NOT NULL PRIMARY KEY,
    display_name TEXT,
    avatar_url TEXT
  ) WITHOUT ROWID`,
  `CREATE TABLE IF NOT EXISTS user_directory_words (
    word TEXT NOT NULL,
    user_id TEXT NOT NULL,
    PRIMARY KEY (word, user_id)
  ) WITHOUT ROWID`,
  'CREATE INDEX IF NOT EXISTS user_directory_words_user ON user_directory_words (user_id)',
])
