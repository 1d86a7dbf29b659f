/** Where the readers of the events stream stand, and the redacted events whose content is still kept. */
import { creates } from '../migration.ts'

export const consumers = creates({ version: 8, name: '0008-consumers', compat: 1 }, [
  `CREATE TABLE IF NOT EXISTS consumer_positions (
    name TEXT NOT NULL PRIMARY KEY,
    position BIGINT NOT NULL
  )`,
  `CREATE TABLE IF NOT EXISTS unpruned_redactions (
    event_nid BIGINT NOT NULL PRIMARY KEY,
    redacted_ts BIGINT NOT NULL
  )`,
  'CREATE INDEX IF NOT EXISTS unpruned_redactions_ts ON unpruned_redactions (redacted_ts)',
])
