/** Queries of `state_nodes` and `current_state`. */
import { sql } from 'kysely'
import { BulkInsert } from '#platform/db/bulk-insert.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import { PagedDelete } from '#platform/db/paged-delete.ts'
import { anyOf } from '#platform/db/dialect.ts'
import { buildersFor, prepare, type Prepared } from '#platform/db/query.ts'
import type { CurrentStateTable, StateNodesTable, Tables } from '#schema/tables.gen.ts'

type StateTables = Pick<Tables, 'state_nodes' | 'current_state' | 'events'>

/** A current state event of a room. */
export interface CurrentOfRoom {
  readonly room_nid: number
  readonly type_nid: number
  readonly json: string
  readonly redacted_by_nid: number | null
}

export class StateStore {
  readonly #database: Database
  readonly #nodes: Prepared<{ ids: readonly number[] }, StateNodesTable>
  readonly #insertNodes = new BulkInsert<StateNodesTable>(
    'state.insertNodes', 'state_nodes', [['node_id', 'BIGINT'], ['room_nid', 'BIGINT'], ['content', 'BLOB']], '(node_id) DO NOTHING',
  )
  readonly #setCurrent = new BulkInsert<CurrentStateTable>(
    'state.setCurrent', 'current_state',
    [['room_nid', 'BIGINT'], ['type_nid', 'BIGINT'], ['state_key_nid', 'BIGINT'], ['event_nid', 'BIGINT']],
    '(room_nid, type_nid, state_key_nid) DO UPDATE SET event_nid = excluded.event_nid',
  )
  readonly #unsetCurrent: Prepared<{ roomNid: number; typeNid: number; stateKeyNid: number }, unknown>
  readonly #deleteCurrent = new PagedDelete('state.deleteCurrent', 'current_state', 'room_nid', ['type_nid', 'state_key_nid'])
  readonly #deleteNodes: Prepared<{ ids: readonly number[] }, { content: Uint8Array }>
  readonly #currentByType: Prepared<{ roomNid: number; typeNid: number }, { state_key_nid: number; event_nid: number }>

  readonly #currentOfRooms: Prepared<{ roomNids: readonly number[]; typeNids: readonly number[]; stateKeyNid: number }, CurrentOfRoom>

  constructor(database: Database) {
    this.#database = database
    const db = buildersFor<StateTables>(database.dialect)
    this.#nodes = prepare('state.nodes', ({ ids }) => db.selectFrom('state_nodes').selectAll().where(anyOf(database.dialect, sql.ref('node_id'), ids)))
    this.#deleteNodes = prepare('state.deleteNodes', ({ ids }) => db.deleteFrom('state_nodes').where(anyOf(database.dialect, sql.ref('node_id'), ids)).returning('content'))
    this.#unsetCurrent = prepare('state.unsetCurrent', ({ roomNid, typeNid, stateKeyNid }) =>
      db.deleteFrom('current_state').where('room_nid', '=', roomNid).where('type_nid', '=', typeNid).where('state_key_nid', '=', stateKeyNid))
    this.#currentByType = prepare('state.currentByType', ({ roomNid, typeNid }) =>
      db.selectFrom('current_state').select(['state_key_nid', 'event_nid']).where('room_nid', '=', roomNid).where('type_nid', '=', typeNid))
    this.#currentOfRooms = prepare('state.currentOfRooms', ({ roomNids, typeNids, stateKeyNid }) =>
      db.selectFrom('current_state').innerJoin('events', 'events.event_nid', 'current_state.event_nid')
        .select(['current_state.room_nid', 'current_state.type_nid', 'events.json', 'events.redacted_by_nid'])
        .where(anyOf(database.dialect, sql.ref('current_state.room_nid'), roomNids))
        .where(anyOf(database.dialect, sql.ref('current_state.type_nid'), typeNids)).where('current_state.state_key_nid', '=', stateKeyNid))
  }

  nodes(ids: readonly number[]): Promise<StateNodesTable[]> {
    return this.#nodes.all(this.#database, { ids })
  }

  /** Current state events of one type. */
  currentByType(roomNid: number, typeNid: number): Promise<{ state_key_nid: number; event_nid: number }[]> {
    return this.#currentByType.all(this.#database, { roomNid, typeNid })
  }

  /** Current state events of some types with one state key, of many rooms. */
  currentOfRooms(roomNids: readonly number[], typeNids: readonly number[], stateKeyNid: number): Promise<CurrentOfRoom[]> {
    return this.#currentOfRooms.all(this.#database, { roomNids, typeNids, stateKeyNid })
  }

  async insertNodes(tx: Tx, rows: readonly StateNodesTable[]): Promise<void> {
    await this.#insertNodes.run(tx, rows)
  }

  /** Deletes nodes. @returns the contents of those that there were */
  async deleteNodes(tx: Tx, ids: readonly number[]): Promise<Uint8Array[]> {
    return (await this.#deleteNodes.all(tx, { ids })).map((row) => row.content)
  }

  /** Deletes current state of a room. @returns how many places, at most `limit` */
  async deleteCurrent(tx: Tx, roomNid: number, limit: number): Promise<number> {
    return (await this.#deleteCurrent.run(tx, roomNid, limit)).length
  }

  async setCurrent(tx: Tx, rows: readonly CurrentStateTable[]): Promise<void> {
    await this.#setCurrent.run(tx, rows)
  }

  async unsetCurrent(tx: Tx, roomNid: number, typeNid: number, stateKeyNid: number): Promise<void> {
    await this.#unsetCurrent.run(tx, { roomNid, typeNid, stateKeyNid })
  }
}
