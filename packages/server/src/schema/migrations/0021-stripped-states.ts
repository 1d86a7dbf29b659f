/** What other servers tell of rooms to those whom they invite, and to those who knock. */
import { creates } from '../migration.ts'

export const strippedStates = creates({ version: 21, name: '0021-stripped-states', compat: 1 }, [
  `CREATE TABLE IF NOT EXISTS stripped_states (
    event_nid BIGINT NOT NULL PRIMARY KEY,
    state_json TEXT NOT NULL
  )`,
])
