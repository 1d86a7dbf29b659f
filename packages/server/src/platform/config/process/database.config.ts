/** Options of database. */
import { boolean, choice, integer, list, map, mapping, string } from '#platform/config/kind.ts'
import { object, option, options, section } from '#platform/config/option.ts'

const databaseFields = options({
  name: option(choice('sqlite3', 'psycopg2'), { default: 'sqlite3', doc: 'SQLite or PostgreSQL.' }),
  txn_limit: option(integer, { default: 0, doc: 'Transactions after which a connection is opened anew; 0 for never.' }),
  allow_unsafe_locale: option(boolean, { default: false, doc: 'Start although the collation of the database is not C.' }),
  args: option(mapping, {
    default: {},
    doc: 'Arguments of the driver: database for SQLite; user, password, dbname, host, port, cp_min, cp_max for PostgreSQL.',
  }),
})

export const databaseOptions = options({
  database: section(databaseFields, { doc: 'Where data is stored.', effective: true }),
  databases: option(map(object({
    ...databaseFields,
    data_stores: option(list(string), { default: ['main', 'state'], doc: 'What Synapse stores in it: main, state.' }),
  })), { default: {}, doc: 'Databases by name. Everything is stored in the one that has main.', effective: true }),
  background_updates: section({
    background_update_duration_ms: option(integer, { default: 100, doc: 'Target batch time.' }),
    sleep_enabled: option(boolean, { default: true, doc: 'Sleep between batches.' }),
    sleep_duration_ms: option(integer, { default: 1000, doc: 'Pause between batches.' }),
    min_batch_size: option(integer, { default: 1, doc: 'Smallest batch.' }),
    default_batch_size: option(integer, { default: 100, doc: 'First batch.' }),
  }, { doc: 'Background update pacing.', effective: true }),
})
