/** Queries of `memberships`. */
import { sql } from 'kysely'
import { BulkInsert } from '#platform/db/bulk-insert.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import { buildersFor, prepare, type Prepared } from '#platform/db/query.ts'
import type { MembershipsTable, Tables } from '#schema/tables.gen.ts'
import type { Selectable } from 'kysely'

type MembershipTables = Pick<Tables, 'memberships' | 'interned_strings'>

export type MembershipRow = Selectable<MembershipsTable>

export class MembershipsStore {
  readonly #database: Database
  readonly #ofUser: Prepared<{ userNid: number }, MembershipRow>
  readonly #ofRoom: Prepared<{ roomNid: number }, MembershipRow & { user_id: string }>
  readonly #one: Prepared<{ userNid: number; roomNid: number }, MembershipRow>
  readonly #delete: Prepared<{ userNid: number; roomNid: number }, unknown>
  readonly #forget: Prepared<{ userNid: number; roomNid: number; forgotten: number }, unknown>
  readonly #set = new BulkInsert<MembershipRow>(
    'memberships.set', 'memberships',
    [['user_nid', 'BIGINT'], ['room_nid', 'BIGINT'], ['membership', 'TEXT'], ['event_nid', 'BIGINT'], ['sender_nid', 'BIGINT'],
      ['stream_ordering', 'BIGINT'], ['is_local', 'SMALLINT'], ['forgotten', 'SMALLINT']],
    `(user_nid, room_nid) DO UPDATE SET membership = excluded.membership, event_nid = excluded.event_nid, sender_nid = excluded.sender_nid,
      stream_ordering = excluded.stream_ordering, forgotten = 0`,
  )

  constructor(database: Database) {
    this.#database = database
    const db = buildersFor<MembershipTables>(database.dialect)
    const select = db.selectFrom('memberships').selectAll('memberships')
    this.#ofUser = prepare('memberships.ofUser', ({ userNid }) => select.where('user_nid', '=', userNid))
    this.#one = prepare('memberships.one', ({ userNid, roomNid }) => select.where('user_nid', '=', userNid).where('room_nid', '=', roomNid))
    this.#ofRoom = prepare('memberships.ofRoom', ({ roomNid }) =>
      select.innerJoin('interned_strings', 'interned_strings.string_nid', 'memberships.user_nid')
        .select(sql<string>`string`.as('user_id')).where('room_nid', '=', roomNid))
    this.#delete = prepare('memberships.delete', ({ userNid, roomNid }) => db.deleteFrom('memberships').where('user_nid', '=', userNid).where('room_nid', '=', roomNid))
    this.#forget = prepare('memberships.forget', ({ userNid, roomNid, forgotten }) =>
      db.updateTable('memberships').set({ forgotten }).where('user_nid', '=', userNid).where('room_nid', '=', roomNid))
  }

  ofUser(userNid: number): Promise<MembershipRow[]> {
    return this.#ofUser.all(this.#database, { userNid })
  }

  ofRoom(roomNid: number): Promise<(MembershipRow & { user_id: string })[]> {
    return this.#ofRoom.all(this.#database, { roomNid })
  }

  one(userNid: number, roomNid: number): Promise<MembershipRow | undefined> {
    return this.#one.first(this.#database, { userNid, roomNid })
  }

  async set(tx: Tx, rows: readonly MembershipRow[]): Promise<void> {
    await this.#set.run(tx, rows)
  }

  async delete(tx: Tx, userNid: number, roomNid: number): Promise<void> {
    await this.#delete.run(tx, { userNid, roomNid })
  }

  async setForgotten(tx: Tx, userNid: number, roomNid: number): Promise<void> {
    await this.#forget.run(tx, { userNid, roomNid, forgotten: 1 })
  }
}
