/** Queries of `devices` and `user_ips`. */
import { sql, type Selectable } from 'kysely'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import { BulkInsert } from '#platform/db/bulk-insert.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import { anyOf } from '#platform/db/dialect.ts'
import { buildersFor, prepare, type Prepared } from '#platform/db/query.ts'
import type { DevicesTable, Tables, UserIpsTable } from '#schema/tables.gen.ts'

type DeviceTables = Pick<Tables, 'devices' | 'user_ips'>

/** A row of `devices`. */
export type DeviceRow = Selectable<DevicesTable>
/** A row of `user_ips`: a device was seen at an address. */
export type SightingRow = Selectable<UserIpsTable>

export class DevicesStore {
  readonly #database: Database
  readonly #ofUser: Prepared<{ userId: UserId }, DeviceRow>
  readonly #one: Prepared<{ userId: UserId; deviceId: string }, DeviceRow>
  readonly #create: Prepared<{ userId: UserId; deviceId: string; displayName: string | null; ts: number }, { device_id: string }>
  readonly #rename: Prepared<{ userId: UserId; deviceId: string; displayName: string | null }, { device_id: string }>
  readonly #delete: Prepared<{ userId: UserId; deviceIds: readonly string[] }, { device_id: string }>
  readonly #deleteSightings: Prepared<{ userId: UserId; deviceIds: readonly string[] }, unknown>
  readonly #sightings: Prepared<{ userId: UserId }, SightingRow>
  readonly #stale: Prepared<{ ts: number; limit: number }, { user_id: UserId; device_id: string }>
  readonly #surplus: Prepared<{ userId: UserId; kept: number }, { device_id: string }>
  readonly #pruneSightings: Prepared<{ ts: number }, unknown>
  readonly #seen = new BulkInsert<SightingRow>(
    'devices.seen', 'user_ips',
    [['user_id', 'TEXT'], ['device_id', 'TEXT'], ['ip', 'TEXT'], ['user_agent', 'TEXT'], ['last_seen_ts', 'BIGINT']],
    '(user_id, device_id, ip, user_agent) DO UPDATE SET last_seen_ts = excluded.last_seen_ts',
  )
  readonly #setSeen: Prepared<{ userId: UserId; deviceId: string; ts: number; ip: string; userAgent: string }, unknown>

  constructor(database: Database) {
    this.#database = database
    const db = buildersFor<DeviceTables>(database.dialect)
    const anyDevice = (ids: readonly string[]) => anyOf(database.dialect, sql.ref('device_id'), ids)
    const select = db.selectFrom('devices').selectAll()
    this.#ofUser = prepare('devices.ofUser', ({ userId }) => select.where('user_id', '=', userId).orderBy('device_id'))
    this.#one = prepare('devices.one', ({ userId, deviceId }) => select.where('user_id', '=', userId).where('device_id', '=', deviceId))
    this.#create = prepare('devices.create', ({ userId, deviceId, displayName, ts }) =>
      db.insertInto('devices').values({ user_id: userId, device_id: deviceId, display_name: displayName, created_ts: ts })
        .onConflict((conflict) => conflict.columns(['user_id', 'device_id']).doNothing()).returning('device_id'))
    this.#rename = prepare('devices.rename', ({ userId, deviceId, displayName }) =>
      db.updateTable('devices').set({ display_name: displayName }).where('user_id', '=', userId).where('device_id', '=', deviceId).returning('device_id'))
    this.#delete = prepare('devices.delete', ({ userId, deviceIds }) =>
      db.deleteFrom('devices').where('user_id', '=', userId).where(anyDevice(deviceIds)).returning('device_id'))
    this.#deleteSightings = prepare('devices.deleteSightings', ({ userId, deviceIds }) =>
      db.deleteFrom('user_ips').where('user_id', '=', userId).where(anyDevice(deviceIds)))
    this.#sightings = prepare('devices.sightings', ({ userId }) =>
      db.selectFrom('user_ips').selectAll().where('user_id', '=', userId).orderBy('last_seen_ts', 'desc').limit(1000))
    this.#stale = prepare('devices.stale', ({ ts, limit }) =>
      db.selectFrom('devices').select(['user_id', 'device_id']).where('last_seen_ts', '<', ts).orderBy('last_seen_ts').limit(limit))
    this.#surplus = prepare('devices.surplus', ({ userId, kept }) =>
      db.selectFrom('devices').select('device_id').where('user_id', '=', userId)
        .orderBy(sql`coalesce(last_seen_ts, created_ts)`, 'desc').orderBy('device_id').limit(100).offset(kept))
    this.#pruneSightings = prepare('devices.pruneSightings', ({ ts }) => db.deleteFrom('user_ips').where('last_seen_ts', '<', ts))
    this.#setSeen = prepare('devices.setSeen', ({ userId, deviceId, ts, ip, userAgent }) =>
      db.updateTable('devices').set({ last_seen_ts: ts, last_seen_ip: ip, last_seen_user_agent: userAgent })
        .where('user_id', '=', userId).where('device_id', '=', deviceId))
  }

  ofUser(runner: Database | Tx, userId: UserId): Promise<DeviceRow[]> {
    return this.#ofUser.all(runner, { userId })
  }

  one(userId: UserId, deviceId: string): Promise<DeviceRow | undefined> {
    return this.#one.first(this.#database, { userId, deviceId })
  }

  /** Whether the device is new. */
  async create(tx: Tx, userId: UserId, deviceId: string, displayName: string | null, ts: number): Promise<boolean> {
    return (await this.#create.first(tx, { userId, deviceId, displayName, ts })) !== undefined
  }

  /** Whether there is such a device. */
  async rename(tx: Tx, userId: UserId, deviceId: string, displayName: string | null): Promise<boolean> {
    return (await this.#rename.first(tx, { userId, deviceId, displayName })) !== undefined
  }

  /** The devices that were there. */
  async delete(tx: Tx, userId: UserId, deviceIds: readonly string[]): Promise<string[]> {
    const deleted = await this.#delete.all(tx, { userId, deviceIds })
    await this.#deleteSightings.run(tx, { userId, deviceIds })
    return deleted.map((row) => row.device_id)
  }

  /** Devices of a user beyond the `kept` ones that were used last. */
  async surplus(tx: Tx, userId: UserId, kept: number): Promise<string[]> {
    return (await this.#surplus.all(tx, { userId, kept })).map((row) => row.device_id)
  }

  sightings(userId: UserId): Promise<SightingRow[]> {
    return this.#sightings.all(this.#database, { userId })
  }

  stale(beforeTs: number, limit: number): Promise<{ user_id: UserId; device_id: string }[]> {
    return this.#stale.all(this.#database, { ts: beforeTs, limit })
  }

  async pruneSightings(tx: Tx, beforeTs: number): Promise<void> {
    await this.#pruneSightings.run(tx, { ts: beforeTs })
  }

  async seen(tx: Tx, rows: readonly SightingRow[]): Promise<void> {
    await this.#seen.run(tx, rows)
    for (const row of rows) {
      await this.#setSeen.run(tx, { userId: row.user_id, deviceId: row.device_id, ts: row.last_seen_ts, ip: row.ip, userAgent: row.user_agent })
    }
  }
}
