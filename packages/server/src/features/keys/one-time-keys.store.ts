/** Queries of `one_time_keys` and `one_time_key_algorithms`, which also holds the fallback keys. */
import { sql } from 'kysely'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import { BulkInsert } from '#platform/db/bulk-insert.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import { anyOf } from '#platform/db/dialect.ts'
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
  readonly fallback_key_id: string | null
  readonly fallback_json: string | null
  readonly fallback_used: number
}

/** As `AlgorithmRow`, with the one-time key that comes next. */
export interface OfferRow extends AlgorithmRow {
  readonly next_nid: number | null
}

interface DeviceParams {
  readonly userId: UserId
  readonly deviceId: string
}

export class OneTimeKeysStore {
  readonly #database: Database
  readonly #counts: Prepared<DeviceParams, { algorithm: string; count: number }>
  readonly #algorithms: Prepared<DeviceParams, AlgorithmRow>
  readonly #byKeyIds: Prepared<DeviceParams & { keyIds: readonly string[] }, { algorithm: string; key_id: string; json: string }>
  readonly #offers: Prepared<{ userIds: readonly string[]; deviceIds: readonly string[] }, OfferRow>
  readonly #take: Prepared<{ nids: readonly number[] }, OneTimeKeyRow>
  readonly #useFallback: Prepared<DeviceParams & { algorithm: string; used: number }, unknown>
  readonly #deleteKeys: Prepared<{ userId: UserId; deviceIds: readonly string[] }, unknown>
  readonly #deleteAlgorithms: Prepared<{ userId: UserId; deviceIds: readonly string[] }, unknown>
  readonly #insert = new BulkInsert<OneTimeKeyRow>(
    'oneTimeKeys.insert', 'one_time_keys',
    [['key_nid', 'BIGINT'], ['user_id', 'TEXT'], ['device_id', 'TEXT'], ['algorithm', 'TEXT'], ['key_id', 'TEXT'], ['json', 'TEXT']],
    '(user_id, device_id, algorithm, key_id) DO NOTHING',
  )
  readonly #addAlgorithms = new BulkInsert<{ user_id: UserId; device_id: string; algorithm: string }>(
    'oneTimeKeys.addAlgorithms', 'one_time_key_algorithms',
    [['user_id', 'TEXT'], ['device_id', 'TEXT'], ['algorithm', 'TEXT']],
    '(user_id, device_id, algorithm) DO NOTHING',
  )
  readonly #setFallbacks = new BulkInsert<AlgorithmRow>(
    'oneTimeKeys.setFallbacks', 'one_time_key_algorithms',
    [['user_id', 'TEXT'], ['device_id', 'TEXT'], ['algorithm', 'TEXT'], ['fallback_key_id', 'TEXT'], ['fallback_json', 'TEXT'], ['fallback_used', 'SMALLINT']],
    `(user_id, device_id, algorithm) DO UPDATE SET fallback_key_id = excluded.fallback_key_id, fallback_json = excluded.fallback_json,
      fallback_used = excluded.fallback_used`,
  )

  constructor(database: Database) {
    this.#database = database
    const db = buildersFor<OneTimeKeyTables>(database.dialect)
    const ofDevice = ({ userId, deviceId }: DeviceParams) => db.selectFrom('one_time_keys').where('user_id', '=', userId).where('device_id', '=', deviceId)
    const anyDevice = (ids: readonly string[]) => anyOf(database.dialect, sql.ref('device_id'), ids)
    this.#counts = prepare('oneTimeKeys.counts', (device) =>
      ofDevice(device).select((eb) => ['algorithm', eb.fn.countAll<number>().as('count')]).groupBy('algorithm'))
    this.#algorithms = prepare('oneTimeKeys.algorithms', ({ userId, deviceId }) =>
      db.selectFrom('one_time_key_algorithms').selectAll().where('user_id', '=', userId).where('device_id', '=', deviceId))
    this.#byKeyIds = prepare('oneTimeKeys.byKeyIds', ({ userId, deviceId, keyIds }) =>
      ofDevice({ userId, deviceId }).select(['algorithm', 'key_id', 'json']).where(anyOf(database.dialect, sql.ref('key_id'), keyIds)))
    this.#offers = prepare('oneTimeKeys.offers', ({ userIds, deviceIds }) =>
      db.selectFrom('one_time_key_algorithms as offer').selectAll('offer')
        .select((eb) => eb.selectFrom('one_time_keys as key').select((inner) => inner.fn.min('key.key_nid').as('nid'))
          .whereRef('key.user_id', '=', 'offer.user_id').whereRef('key.device_id', '=', 'offer.device_id')
          .whereRef('key.algorithm', '=', 'offer.algorithm').as('next_nid'))
        .where(anyOf(database.dialect, sql.ref('offer.user_id'), userIds)).where(anyOf(database.dialect, sql.ref('offer.device_id'), deviceIds)))
    this.#take = prepare('oneTimeKeys.take', ({ nids }) =>
      db.deleteFrom('one_time_keys').where(anyOf(database.dialect, sql.ref('key_nid'), nids)).returningAll())
    this.#useFallback = prepare('oneTimeKeys.useFallback', ({ userId, deviceId, algorithm, used }) =>
      db.updateTable('one_time_key_algorithms').set({ fallback_used: used })
        .where('user_id', '=', userId).where('device_id', '=', deviceId).where('algorithm', '=', algorithm))
    this.#deleteKeys = prepare('oneTimeKeys.deleteKeys', ({ userId, deviceIds }) =>
      db.deleteFrom('one_time_keys').where('user_id', '=', userId).where(anyDevice(deviceIds)))
    this.#deleteAlgorithms = prepare('oneTimeKeys.deleteAlgorithms', ({ userId, deviceIds }) =>
      db.deleteFrom('one_time_key_algorithms').where('user_id', '=', userId).where(anyDevice(deviceIds)))
  }

  static async lastNid(database: Database): Promise<number> {
    const [row] = await database.rows<{ last: number | null }>('SELECT max(key_nid) AS last FROM one_time_keys', [])
    return row?.last ?? 0
  }

  counts(runner: Runner, userId: UserId, deviceId: string): Promise<{ algorithm: string; count: number }[]> {
    return this.#counts.all(runner, { userId, deviceId })
  }

  algorithms(runner: Runner, userId: UserId, deviceId: string): Promise<AlgorithmRow[]> {
    return this.#algorithms.all(runner, { userId, deviceId })
  }

  byKeyIds(runner: Runner, userId: UserId, deviceId: string, keyIds: readonly string[]): Promise<{ algorithm: string; key_id: string; json: string }[]> {
    return this.#byKeyIds.all(runner, { userId, deviceId, keyIds })
  }

  /** What any of these devices of any of these users offers; the caller picks the pairs that it meant. */
  offers(runner: Runner, userIds: readonly string[], deviceIds: readonly string[]): Promise<OfferRow[]> {
    return this.#offers.all(runner, { userIds, deviceIds })
  }

  /** Deletes keys and gives those that this transaction has deleted: never one that another has taken. */
  take(tx: Tx, nids: readonly number[]): Promise<OneTimeKeyRow[]> {
    return this.#take.all(tx, { nids })
  }

  async insert(tx: Tx, rows: readonly OneTimeKeyRow[]): Promise<void> {
    await this.#insert.run(tx, rows)
  }

  async addAlgorithms(tx: Tx, rows: readonly { user_id: UserId; device_id: string; algorithm: string }[]): Promise<void> {
    await this.#addAlgorithms.run(tx, rows)
  }

  async setFallbacks(tx: Tx, rows: readonly AlgorithmRow[]): Promise<void> {
    await this.#setFallbacks.run(tx, rows)
  }

  async useFallback(tx: Tx, row: AlgorithmRow): Promise<void> {
    await this.#useFallback.run(tx, { userId: row.user_id, deviceId: row.device_id, algorithm: row.algorithm, used: 1 })
  }

  async deleteDevices(tx: Tx, userId: UserId, deviceIds: readonly string[]): Promise<void> {
    await this.#deleteKeys.run(tx, { userId, deviceIds })
    await this.#deleteAlgorithms.run(tx, { userId, deviceIds })
  }

  get database(): Database {
    return this.#database
  }
}
