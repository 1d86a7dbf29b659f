/** Queries of `event_reports`, `room_reports` and `user_reports`. */
import type { Insertable } from 'kysely'
import type { Database } from '#platform/db/database.ts'
import { buildersFor, prepare, type Prepared } from '#platform/db/query.ts'
import type { EventReportsTable, RoomReportsTable, Tables, UserReportsTable } from '#schema/tables.gen.ts'

type EventReport = Insertable<EventReportsTable>
type RoomReport = Insertable<RoomReportsTable>
type UserReport = Insertable<UserReportsTable>

export class ReportsStore {
  readonly #database: Database
  readonly #event: Prepared<EventReport, unknown>
  readonly #room: Prepared<RoomReport, unknown>
  readonly #user: Prepared<UserReport, unknown>

  constructor(database: Database) {
    this.#database = database
    const db = buildersFor<Pick<Tables, 'event_reports' | 'room_reports' | 'user_reports'>>(database.dialect)
    this.#event = prepare('reports.event', ({ report_nid, received_ts, room_id, event_id, user_id, reason, score }) =>
      db.insertInto('event_reports').values({ report_nid, received_ts, room_id, event_id, user_id, reason, score }))
    this.#room = prepare('reports.room', ({ report_nid, received_ts, room_id, user_id, reason }) =>
      db.insertInto('room_reports').values({ report_nid, received_ts, room_id, user_id, reason }))
    this.#user = prepare('reports.user', ({ report_nid, received_ts, target_user_id, user_id, reason }) =>
      db.insertInto('user_reports').values({ report_nid, received_ts, target_user_id, user_id, reason }))
  }

  /** Highest report number in all three tables. */
  static async last(database: Database): Promise<number> {
    const [row] = await database.rows<{ last: number | null }>(
      `SELECT max(nid) AS last FROM (SELECT max(report_nid) AS nid FROM event_reports UNION ALL SELECT max(report_nid) FROM room_reports
        UNION ALL SELECT max(report_nid) FROM user_reports) AS reports`, [])
    return row?.last ?? 0
  }

  insertEvent(report: EventReport): Promise<void> {
    return this.#database.transaction((tx) => this.#event.run(tx, report))
  }

  insertRoom(report: RoomReport): Promise<void> {
    return this.#database.transaction((tx) => this.#room.run(tx, report))
  }

  insertUser(report: UserReport): Promise<void> {
    return this.#database.transaction((tx) => this.#user.run(tx, report))
  }
}
