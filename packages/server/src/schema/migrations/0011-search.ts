/** The full-text index of messages, and the index that finds events by their place in the stream. */
import { tableExists, type Dialect } from '#platform/db/dialect.ts'
import { migration, rows } from '../migration.ts'

/** The engines have nothing in common here; platform/db/text-index.ts reads and writes both. */
const index: Readonly<Record<Dialect, readonly string[]>> = {
  postgres: [
    'CREATE TABLE IF NOT EXISTS event_search (id BIGINT NOT NULL PRIMARY KEY, scope BIGINT NOT NULL, length INTEGER NOT NULL, document TSVECTOR NOT NULL)',
    'CREATE INDEX IF NOT EXISTS event_search_document ON event_search USING GIN (document)',
    'CREATE INDEX IF NOT EXISTS event_search_scope ON event_search (scope, id)',
  ],
  sqlite: [
    "CREATE VIRTUAL TABLE IF NOT EXISTS event_search USING fts5 (facets, words, length UNINDEXED, tokenize = 'ascii')",
    // Deleted words leave the index at once and do not wait in it for a merge.
    "INSERT INTO event_search (event_search, rank) VALUES ('secure-delete', 1)",
  ],
}

export const search = migration({
  version: 11,
  name: '0011-search',
  compat: 1,
  estimate: rows('events', { bytesPerRow: 20, rowsPerSecond: 500_000 }),
  up: async (tx, dialect) => {
    await tx.rows('CREATE INDEX IF NOT EXISTS events_stream_ordering ON events (stream_ordering) WHERE stream_ordering IS NOT NULL', [])
    // An empty index is filled from the first event on.
    if (!(await tableExists(tx, 'event_search'))) await tx.rows("DELETE FROM consumer_positions WHERE name = 'search'", [])
    for (const statement of index[dialect]) await tx.rows(statement, [])
  },
  down: async (tx) => {
    await tx.rows('DROP TABLE IF EXISTS event_search', [])
    await tx.rows("DELETE FROM consumer_positions WHERE name = 'search'", [])
    await tx.rows('DROP INDEX IF EXISTS events_stream_ordering', [])
  },
})
