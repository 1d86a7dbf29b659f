/** Queries of `memberships`. */
import { sql } from 'kysely'
import { BulkInsert } from '#platform/db/bulk-insert.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import { PagedDelete } from '#platform/db/paged-delete.ts'
import { buildersFor, prepare, type Prepared } from '#platform/db/query.ts'
import type { MembershipsTable, Tables } from '#schema/tables.gen.ts'
import type { Selectable } from 'kysely'

type MembershipTables = Pick<Tables, 'memberships' | 'interned_strings'>

export type MembershipRow = Omit<Selectable<MembershipsTable>, 'forgotten_ts'>

export class MembershipsStore {
  readonly #database: Database
  readonly #ofUser: Prepared<{ userNid: number }, MembershipRow>
  readonly #ofRoom: Prepared<{ roomNid: number }, MembershipRow & { user_id: string }>
  readonly #one: Prepared<{ userNid: number; roomNid: number }, MembershipRow>
  readonly #delete: Prepared<{ userNid: number; roomNid: number }, unknown>
  readonly #forget: Prepared<{ userNid: number; roomNid: number; forgotten: number; ts: number }, unknown>
  readonly #noteForgotten: Prepared<{ ts: number }, unknown>
  readonly #forgotten: Prepared<{ before: number; after: number; limit: number }, { room_nid: number }>
  readonly #isRemembered: Prepared<{ roomNid: number; before: number }, { user_nid: number }>
  readonly #deleteRoom = new PagedDelete('memberships.deleteRoom', 'memberships', 'room_nid', ['user_nid'], 'user_nid')
  readonly #set = new BulkInsert<MembershipRow>(
    'memberships.set', 'memberships',
    [['user_nid', 'BIGINT'], ['room_nid', 'BIGINT'], ['membership', 'TEXT'], ['event_nid', 'BIGINT'], ['sender_nid', 'BIGINT'],
      ['stream_ordering', 'BIGINT'], ['is_local', 'SMALLINT'], ['forgotten', 'SMALLINT']],
    `(user_nid, room_nid) DO UPDATE SET membership = excluded.membership, event_nid = excluded.event_nid, sender_nid = excluded.sender_nid,
      stream_ordering = excluded.stream_ordering, forgotten = 0, forgotten_ts = NULL`,
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
    this.#forget = prepare('memberships.forget', ({ userNid, roomNid, forgotten, ts }) =>
      db.updateTable('memberships').set({ forgotten, forgotten_ts: ts }).where('user_nid', '=', userNid).where('room_nid', '=', roomNid))
    const remembered = (before: number) => sql<boolean>`remembering.is_local = 1 AND (remembering.forgotten = 0 OR remembering.forgotten_ts > ${before})`
    this.#noteForgotten = prepare('memberships.noteForgotten', ({ ts }) =>
      db.updateTable('memberships').set({ forgotten_ts: ts }).where(sql<boolean>`forgotten = 1`).where('forgotten_ts', 'is', null))
    this.#forgotten = prepare('memberships.forgotten', ({ before, after, limit }) =>
      db.selectFrom('memberships').select('room_nid').distinct().where(sql<boolean>`forgotten = 1`).where('room_nid', '>', after)
        .where(({ not, exists, selectFrom }) => not(exists(
          selectFrom('memberships as remembering').select('remembering.user_nid').whereRef('remembering.room_nid', '=', 'memberships.room_nid').where(remembered(before)))))
        .orderBy('room_nid').limit(limit))
    this.#isRemembered = prepare('memberships.isRemembered', ({ roomNid, before }) =>
      db.selectFrom('memberships as remembering').select('user_nid').where('room_nid', '=', roomNid).where(remembered(before)).limit(1))
  }

  /** Notes a time for rooms that were forgotten before times were kept. */
  async noteForgotten(tx: Tx, ts: number): Promise<void> {
    await this.#noteForgotten.run(tx, { ts })
  }

  /** Rooms that every local user who ever was in them has forgotten, the last of them by a time; a page in the order of their numbers. */
  async forgotten(before: number, after: number, limit: number): Promise<number[]> {
    return (await this.#forgotten.all(this.#database.scans, { before, after, limit })).map((row) => row.room_nid)
  }

  /** Whether some local user has not forgotten a room by a time. */
  async isRemembered(roomNid: number, before: number): Promise<boolean> {
    return (await this.#isRemembered.first(this.#database, { roomNid, before })) !== undefined
  }

  /** Deletes memberships of a room. @returns whose, at most `limit` */
  async deleteRoom(tx: Tx, roomNid: number, limit: number): Promise<number[]> {
    return (await this.#deleteRoom.run<{ user_nid: number }>(tx, roomNid, limit)).map((row) => row.user_nid)
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

  async setForgotten(tx: Tx, userNid: number, roomNid: number, ts: number): Promise<void> {
    await this.#forget.run(tx, { userNid, roomNid, forgotten: 1, ts })
  }
}
