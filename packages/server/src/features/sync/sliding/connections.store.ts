/** Queries of `sliding_sync_connections` and `sliding_sync_positions`. */
import { sql, type Selectable } from 'kysely'
import { BulkInsert } from '#platform/db/bulk-insert.ts'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import { anyOf } from '#platform/db/dialect.ts'
import { buildersFor, prepare, type Prepared } from '#platform/db/query.ts'
import type { SlidingSyncConnectionsTable, SlidingSyncPositionsTable, Tables } from '#schema/tables.gen.ts'

type ConnectionTables = Pick<Tables, 'sliding_sync_connections' | 'sliding_sync_positions'>

/** A row of `sliding_sync_connections`. */
export type ConnectionRow = Selectable<SlidingSyncConnectionsTable>
/** A row of `sliding_sync_positions`. */
export type PositionRow = Selectable<SlidingSyncPositionsTable>

type Device = { userId: UserId; deviceId: string }

export class ConnectionsStore {
  readonly #database: Database
  readonly #ofPosition: Prepared<{ positionNid: number }, ConnectionRow>
  readonly #positions: Prepared<{ connectionNid: number; upTo: number }, PositionRow>
  readonly #ofDevice: Prepared<Device, ConnectionRow>
  readonly #deleteConnections: Prepared<{ connectionNids: readonly number[] }, unknown>
  readonly #deletePositions: Prepared<{ connectionNids: readonly number[] }, unknown>
  readonly #keepPositions: Prepared<{ connectionNid: number; kept: readonly number[] }, unknown>
  readonly #setUsed: Prepared<{ connectionNid: number; ts: number }, unknown>
  readonly #ofDevices: Prepared<{ userId: UserId; deviceIds: readonly string[] }, { connection_nid: number }>
  readonly #idle: Prepared<{ before: number; limit: number }, { connection_nid: number }>
  readonly #insertConnection = new BulkInsert<ConnectionRow>('slidingSync.insertConnection', 'sliding_sync_connections', [
    ['connection_nid', 'BIGINT'], ['user_id', 'TEXT'], ['device_id', 'TEXT'], ['conn_id', 'TEXT'], ['created_ts', 'BIGINT'], ['last_used_ts', 'BIGINT'],
  ])
  readonly #insertPosition = new BulkInsert<PositionRow>('slidingSync.insertPosition', 'sliding_sync_positions', [
    ['position_nid', 'BIGINT'], ['connection_nid', 'BIGINT'], ['parent_nid', 'BIGINT'], ['state', 'TEXT'],
  ])

  constructor(database: Database) {
    this.#database = database
    const db = buildersFor<ConnectionTables>(database.dialect)
    const connections = db.selectFrom('sliding_sync_connections').selectAll('sliding_sync_connections')
    const anyConnection = (nids: readonly number[]) => anyOf(database.dialect, sql.ref('connection_nid'), nids)
    this.#ofPosition = prepare('slidingSync.ofPosition', ({ positionNid }) =>
      connections.innerJoin('sliding_sync_positions', 'sliding_sync_positions.connection_nid', 'sliding_sync_connections.connection_nid')
        .where('position_nid', '=', positionNid))
    this.#positions = prepare('slidingSync.positions', ({ connectionNid, upTo }) =>
      db.selectFrom('sliding_sync_positions').selectAll().where('connection_nid', '=', connectionNid).where('position_nid', '<=', upTo)
        .orderBy('position_nid'))
    this.#ofDevice = prepare('slidingSync.ofDevice', ({ userId, deviceId }) =>
      connections.where('user_id', '=', userId).where('device_id', '=', deviceId).orderBy('last_used_ts'))
    this.#deleteConnections = prepare('slidingSync.deleteConnections', ({ connectionNids }) =>
      db.deleteFrom('sliding_sync_connections').where(anyConnection(connectionNids)))
    this.#deletePositions = prepare('slidingSync.deletePositions', ({ connectionNids }) =>
      db.deleteFrom('sliding_sync_positions').where(anyConnection(connectionNids)))
    this.#keepPositions = prepare('slidingSync.keepPositions', ({ connectionNid, kept }) =>
      db.deleteFrom('sliding_sync_positions').where('connection_nid', '=', connectionNid)
        .where(sql<boolean>`NOT (${anyOf(database.dialect, sql.ref('position_nid'), kept)})`))
    this.#setUsed = prepare('slidingSync.setUsed', ({ connectionNid, ts }) =>
      db.updateTable('sliding_sync_connections').set({ last_used_ts: ts }).where('connection_nid', '=', connectionNid))
    this.#ofDevices = prepare('slidingSync.ofDevices', ({ userId, deviceIds }) =>
      db.selectFrom('sliding_sync_connections').select('connection_nid').where('user_id', '=', userId)
        .where(anyOf(database.dialect, sql.ref('device_id'), deviceIds)))
    this.#idle = prepare('slidingSync.idle', ({ before, limit }) =>
      db.selectFrom('sliding_sync_connections').select('connection_nid').where('last_used_ts', '<', before).orderBy('last_used_ts').limit(limit))
  }

  /** The highest numbers that were given out. */
  static async highest(database: Database): Promise<{ readonly connection: number; readonly position: number }> {
    const [row] = await database.rows<{ connection: number | null; position: number | null }>(
      'SELECT (SELECT max(connection_nid) FROM sliding_sync_connections) AS connection, (SELECT max(position_nid) FROM sliding_sync_positions) AS position', [])
    return { connection: row?.connection ?? 0, position: row?.position ?? 0 }
  }

  /** The connection of a position. */
  ofPosition(positionNid: number): Promise<ConnectionRow | undefined> {
    return this.#ofPosition.first(this.#database, { positionNid })
  }

  /** Positions of a connection up to one of them, in the order in which they were made. */
  positions(connectionNid: number, upTo: number): Promise<PositionRow[]> {
    return this.#positions.all(this.#database, { connectionNid, upTo })
  }

  /** Connections of a device, the one that was used longest ago first. */
  ofDevice(tx: Tx, userId: UserId, deviceId: string): Promise<ConnectionRow[]> {
    return this.#ofDevice.all(tx, { userId, deviceId })
  }

  async ofDevices(tx: Tx, userId: UserId, deviceIds: readonly string[]): Promise<number[]> {
    return (await this.#ofDevices.all(tx, { userId, deviceIds })).map((row) => row.connection_nid)
  }

  /** Connections that were not used since a time. */
  async idle(before: number, limit: number): Promise<number[]> {
    return (await this.#idle.all(this.#database, { before, limit })).map((row) => row.connection_nid)
  }

  async insertConnection(tx: Tx, row: ConnectionRow): Promise<void> {
    await this.#insertConnection.run(tx, [row])
  }

  async insertPosition(tx: Tx, row: PositionRow): Promise<void> {
    await this.#insertPosition.run(tx, [row])
  }

  /** Deletes all positions of a connection but some. */
  async keepPositions(tx: Tx, connectionNid: number, kept: readonly number[]): Promise<void> {
    await this.#keepPositions.run(tx, { connectionNid, kept })
  }

  async setUsed(tx: Tx, connectionNid: number, ts: number): Promise<void> {
    await this.#setUsed.run(tx, { connectionNid, ts })
  }

  async delete(tx: Tx, connectionNids: readonly number[]): Promise<void> {
    if (connectionNids.length === 0) return
    await this.#deletePositions.run(tx, { connectionNids })
    await this.#deleteConnections.run(tx, { connectionNids })
  }
}
