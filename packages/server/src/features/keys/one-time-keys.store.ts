/** Queries of `one_time_keys` and `one_time_key_algorithms`, which also holds the fallback keys. */
import { sql } from 'kysely'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import { BulkInsert } from '#platform/db/bulk-insert.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import { anyOf, pairs, pairsText } from '#platform/db/dialect.ts'
import { buildersFor, prepare, type Prepared, type Runner } from '#platform/db/query.ts'
import type { OneTimeKeysTable, Tables } from '#schema/tables.gen.ts'

type OneTimeKeyTables = Pick<Tables, 'one_time_keys' | 'one_time_key_algorithms'>

/** A one-time key that nobody has claimed. */
export type OneTimeKeyRow = OneTimeKeysTable

/** What a device offers of one algorithm. */
export interface AlgorithmRow {
  readonly user_id: UserId
  readonly device_id: string
  readonly algorithm: string
  readonly slot: number
  readonly fallback_key_id: string | null
  readonly fallback_json: string | null
  readonly fallback_used: number
}

/** As `AlgorithmRow`, with how many one-time keys there are and the number of the newest. */
export interface StockRow extends AlgorithmRow {
  readonly count: number
  readonly last_nid: number | null
}

/** As `AlgorithmRow`, with the one-time key that comes next. */
export interface OfferRow extends AlgorithmRow {
  readonly next_nid: number | null
}

/** Numbers of a slot: a device that lives for centuries does not use them up. */
export const slotSize = 2 ** 24

interface DeviceParams {
  readonly userId: UserId
  readonly deviceId: string
}

/** Keys of the slot of `offer`: one range of the table's own order. */
const ofSlot = sql<boolean>`key.key_nid >= offer.slot * ${sql.lit(slotSize)} AND key.key_nid < (offer.slot + 1) * ${sql.lit(slotSize)}`

export class OneTimeKeysStore {
  readonly #stock: Prepared<DeviceParams, StockRow>
  readonly #byKeyIds: Prepared<DeviceParams & { keyIds: readonly string[] }, { algorithm: string; key_id: string; json: string }>
  readonly #offers: Prepared<{ devices: string }, OfferRow>
  readonly #take: Prepared<{ nids: readonly number[] }, OneTimeKeyRow>
  readonly #useFallback: Prepared<DeviceParams & { algorithm: string; used: number }, unknown>
  readonly #deleteKeys: Prepared<{ userId: UserId; deviceIds: readonly string[] }, unknown>
  readonly #deleteAlgorithms: Prepared<{ userId: UserId; deviceIds: readonly string[] }, unknown>
  readonly #insert = new BulkInsert<OneTimeKeyRow>(
    'oneTimeKeys.insert', 'one_time_keys', [['key_nid', 'BIGINT'], ['key_id', 'TEXT'], ['json', 'TEXT']],
  )
  readonly #putAlgorithms = new BulkInsert<AlgorithmRow>(
    'oneTimeKeys.putAlgorithms', 'one_time_key_algorithms',
    [['user_id', 'TEXT'], ['device_id', 'TEXT'], ['algorithm', 'TEXT'], ['slot', 'BIGINT'], ['fallback_key_id', 'TEXT'], ['fallback_json', 'TEXT'],
      ['fallback_used', 'SMALLINT']],
    `(user_id, device_id, algorithm) DO UPDATE SET fallback_key_id = excluded.fallback_key_id, fallback_json = excluded.fallback_json,
      fallback_used = excluded.fallback_used`,
  )

  constructor(database: Database) {
    const db = buildersFor<OneTimeKeyTables>(database.dialect)
    const anyDevice = (ids: readonly string[]) => anyOf(database.dialect, sql.ref('offer.device_id'), ids)
    const offers = db.selectFrom('one_time_key_algorithms as offer')
    const keysOf = (userId: UserId) => offers.innerJoin('one_time_keys as key', (join) => join.on(ofSlot)).where('offer.user_id', '=', userId)
    this.#stock = prepare('oneTimeKeys.stock', ({ userId, deviceId }) =>
      offers.selectAll('offer').select((eb) => [
        eb.selectFrom('one_time_keys as key').select((inner) => inner.fn.countAll<number>().as('count')).where(ofSlot).$asScalar().$notNull().as('count'),
        eb.selectFrom('one_time_keys as key').select((inner) => inner.fn.max('key.key_nid').as('nid')).where(ofSlot).as('last_nid'),
      ]).where('offer.user_id', '=', userId).where('offer.device_id', '=', deviceId))
    this.#byKeyIds = prepare('oneTimeKeys.byKeyIds', ({ userId, deviceId, keyIds }) =>
      keysOf(userId).select(['offer.algorithm', 'key.key_id', 'key.json']).where('offer.device_id', '=', deviceId)
        .where(anyOf(database.dialect, sql.ref('key.key_id'), keyIds)))
    this.#offers = prepare('oneTimeKeys.offers', ({ devices }) =>
      db.selectFrom(pairs(database.dialect, devices).as('wanted'))
        .innerJoin('one_time_key_algorithms as offer', (join) => join.onRef('offer.user_id', '=', 'wanted.first').onRef('offer.device_id', '=', 'wanted.second'))
        .selectAll('offer')
        .select((eb) => eb.selectFrom('one_time_keys as key').select((inner) => inner.fn.min('key.key_nid').as('nid')).where(ofSlot).as('next_nid')))
    this.#take = prepare('oneTimeKeys.take', ({ nids }) =>
      db.deleteFrom('one_time_keys').where(anyOf(database.dialect, sql.ref('key_nid'), nids)).returningAll())
    this.#useFallback = prepare('oneTimeKeys.useFallback', ({ userId, deviceId, algorithm, used }) =>
      db.updateTable('one_time_key_algorithms').set({ fallback_used: used })
        .where('user_id', '=', userId).where('device_id', '=', deviceId).where('algorithm', '=', algorithm))
    this.#deleteKeys = prepare('oneTimeKeys.deleteKeys', ({ userId, deviceIds }) =>
      db.deleteFrom('one_time_keys').where('key_nid', 'in', keysOf(userId).select('key.key_nid').where(anyDevice(deviceIds))))
    this.#deleteAlgorithms = prepare('oneTimeKeys.deleteAlgorithms', ({ userId, deviceIds }) =>
      db.deleteFrom('one_time_key_algorithms').where('user_id', '=', userId).where(anyOf(database.dialect, sql.ref('device_id'), deviceIds)))
  }

  static async lastSlot(database: Database): Promise<number> {
    const [row] = await database.rows<{ last: number | null }>('SELECT max(slot) AS last FROM one_time_key_algorithms', [])
    return row?.last ?? 0
  }

  /** What a device has of each algorithm. */
  stock(runner: Runner, userId: UserId, deviceId: string): Promise<StockRow[]> {
    return this.#stock.all(runner, { userId, deviceId })
  }

  byKeyIds(runner: Runner, userId: UserId, deviceId: string, keyIds: readonly string[]): Promise<{ algorithm: string; key_id: string; json: string }[]> {
    return this.#byKeyIds.all(runner, { userId, deviceId, keyIds })
  }

  /** What devices offer, each in every algorithm that it has. */
  offers(runner: Runner, devices: readonly DeviceParams[]): Promise<OfferRow[]> {
    return this.#offers.all(runner, { devices: pairsText(devices.map(({ userId, deviceId }) => [userId, deviceId])) })
  }

  /** Deletes keys and gives those that this transaction has deleted: never one that another has taken. */
  take(tx: Tx, nids: readonly number[]): Promise<OneTimeKeyRow[]> {
    return this.#take.all(tx, { nids })
  }

  async insert(tx: Tx, rows: readonly OneTimeKeyRow[]): Promise<void> {
    await this.#insert.run(tx, rows)
  }

  /** Makes algorithms of a device known, and sets their fallback keys; a known one keeps its slot. */
  async putAlgorithms(tx: Tx, rows: readonly AlgorithmRow[]): Promise<void> {
    await this.#putAlgorithms.run(tx, rows)
  }

  async useFallback(tx: Tx, row: AlgorithmRow): Promise<void> {
    await this.#useFallback.run(tx, { userId: row.user_id, deviceId: row.device_id, algorithm: row.algorithm, used: 1 })
  }

  async deleteDevices(tx: Tx, userId: UserId, deviceIds: readonly string[]): Promise<void> {
    await this.#deleteKeys.run(tx, { userId, deviceIds })
    await this.#deleteAlgorithms.run(tx, { userId, deviceIds })
  }
}
