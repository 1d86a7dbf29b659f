/** Queries of `presence`. */
import { sql, type Selectable } from 'kysely'
import type { Database, Tx } from '#platform/db/database.ts'
import { anyOf } from '#platform/db/dialect.ts'
import { BulkInsert } from '#platform/db/bulk-insert.ts'
import { buildersFor, prepare, type Prepared } from '#platform/db/query.ts'
import type { PresenceTable, Tables } from '#schema/tables.gen.ts'

/** A row of `presence`. */
export type PresenceRow = Selectable<PresenceTable>

export class PresenceStore {
  readonly #database: Database
  readonly #byUsers: Prepared<{ userIds: readonly string[] }, PresenceRow>
  readonly #seen: Prepared<Record<never, never>, PresenceRow>
  readonly #changes: Prepared<{ after: number; upTo: number }, PresenceRow>
  readonly #set = new BulkInsert<PresenceRow>(
    'presence.set', 'presence',
    [['user_id', 'TEXT'], ['stream_id', 'BIGINT'], ['state', 'TEXT'], ['status_msg', 'TEXT'], ['last_active_ts', 'BIGINT'],
      ['currently_active', 'SMALLINT']],
    `(user_id) DO UPDATE SET stream_id = excluded.stream_id, state = excluded.state, status_msg = excluded.status_msg,
      last_active_ts = excluded.last_active_ts, currently_active = excluded.currently_active`,
  )

  constructor(database: Database) {
    this.#database = database
    const db = buildersFor<Pick<Tables, 'presence'>>(database.dialect)
    const presence = db.selectFrom('presence').selectAll()
    this.#byUsers = prepare('presence.byUsers', ({ userIds }) => presence.where(anyOf(database.dialect, sql.ref('user_id'), userIds)))
    this.#seen = prepare('presence.seen', () => presence.where('state', '<>', sql.lit('offline')))
    this.#changes = prepare('presence.changes', ({ after, upTo }) =>
      presence.where('stream_id', '>', after).where('stream_id', '<=', upTo).orderBy('stream_id'))
  }

  byUsers(userIds: readonly string[]): Promise<PresenceRow[]> {
    return this.#byUsers.all(this.#database, { userIds })
  }

  /** Everybody who is not offline. */
  seen(): Promise<PresenceRow[]> {
    return this.#seen.all(this.#database, {})
  }

  changes(after: number, upTo: number): Promise<PresenceRow[]> {
    return this.#changes.all(this.#database, { after, upTo })
  }

  async set(tx: Tx, rows: readonly PresenceRow[]): Promise<void> {
    await this.#set.run(tx, rows)
  }
}
