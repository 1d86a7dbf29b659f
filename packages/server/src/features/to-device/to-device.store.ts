/** Queries of `to_device_messages`, `to_device_transactions` and `to_device_reservation`. */
import { sql } from 'kysely'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import { BulkInsert } from '#platform/db/bulk-insert.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import { anyOf } from '#platform/db/dialect.ts'
import { buildersFor, prepare, type Prepared } from '#platform/db/query.ts'
import type { Tables, ToDeviceMessagesTable } from '#schema/tables.gen.ts'

type ToDeviceTables = Pick<Tables, 'to_device_messages' | 'to_device_transactions' | 'to_device_reservation'>

/** A message that waits for a device. */
export type MessageRow = ToDeviceMessagesTable

/** What makes a request of a client the same as an earlier one. */
export interface TransactionKey {
  readonly userId: UserId
  /** '' where the client has no device. */
  readonly deviceId: string
  readonly eventType: string
  readonly txnId: string
}

interface DeviceParams {
  readonly userId: UserId
  readonly deviceId: string
}

export class ToDeviceStore {
  readonly #database: Database
  readonly #page: Prepared<DeviceParams & { after: number; upTo: number; limit: number }, { stream_id: number; json: string }>
  readonly #first: Prepared<DeviceParams & { upTo: number }, { stream_id: number }>
  readonly #acknowledge: Prepared<DeviceParams & { upTo: number }, unknown>
  readonly #isKnown: Prepared<TransactionKey, { txn_id: string }>
  readonly #remember: Prepared<TransactionKey & { ts: number }, { txn_id: string }>
  readonly #expire: Prepared<{ ts: number }, unknown>
  readonly #reserve: Prepared<{ only: number; upTo: number }, unknown>
  readonly #deleteMessages: Prepared<{ userId: UserId; deviceIds: readonly string[] }, unknown>
  readonly #deleteTransactions: Prepared<{ userId: UserId; deviceIds: readonly string[] }, unknown>
  readonly #insert = new BulkInsert<MessageRow>(
    'toDevice.insert', 'to_device_messages', [['user_id', 'TEXT'], ['device_id', 'TEXT'], ['stream_id', 'BIGINT'], ['json', 'TEXT']],
  )

  constructor(database: Database) {
    this.#database = database
    const db = buildersFor<ToDeviceTables>(database.dialect)
    const anyDevice = (ids: readonly string[]) => anyOf(database.dialect, sql.ref('device_id'), ids)
    this.#page = prepare('toDevice.page', ({ userId, deviceId, after, upTo, limit }) =>
      db.selectFrom('to_device_messages').select(['stream_id', 'json']).where('user_id', '=', userId).where('device_id', '=', deviceId)
        .where('stream_id', '>', after).where('stream_id', '<=', upTo).orderBy('stream_id').limit(limit))
    this.#first = prepare('toDevice.first', ({ userId, deviceId, upTo }) =>
      db.selectFrom('to_device_messages').select('stream_id').where('user_id', '=', userId).where('device_id', '=', deviceId)
        .where('stream_id', '<=', upTo).limit(1))
    this.#acknowledge = prepare('toDevice.acknowledge', ({ userId, deviceId, upTo }) =>
      db.deleteFrom('to_device_messages').where('user_id', '=', userId).where('device_id', '=', deviceId).where('stream_id', '<=', upTo))
    this.#isKnown = prepare('toDevice.isKnown', ({ userId, deviceId, eventType, txnId }) =>
      db.selectFrom('to_device_transactions').select('txn_id').where('user_id', '=', userId).where('device_id', '=', deviceId)
        .where('event_type', '=', eventType).where('txn_id', '=', txnId))
    this.#remember = prepare('toDevice.remember', ({ userId, deviceId, eventType, txnId, ts }) =>
      db.insertInto('to_device_transactions')
        .values({ user_id: userId, device_id: deviceId, event_type: eventType, txn_id: txnId, received_ts: ts })
        .onConflict((conflict) => conflict.columns(['user_id', 'device_id', 'event_type', 'txn_id']).doNothing()).returning('txn_id'))
    this.#expire = prepare('toDevice.expire', ({ ts }) => db.deleteFrom('to_device_transactions').where('received_ts', '<', ts))
    this.#reserve = prepare('toDevice.reserve', ({ only, upTo }) =>
      db.insertInto('to_device_reservation').values({ only_row: only, reserved_up_to: upTo })
        .onConflict((conflict) => conflict.column('only_row').doUpdateSet((eb) => ({ reserved_up_to: eb.ref('excluded.reserved_up_to') }))
          .whereRef('excluded.reserved_up_to', '>', 'to_device_reservation.reserved_up_to')))
    this.#deleteMessages = prepare('toDevice.deleteMessages', ({ userId, deviceIds }) =>
      db.deleteFrom('to_device_messages').where('user_id', '=', userId).where(anyDevice(deviceIds)))
    this.#deleteTransactions = prepare('toDevice.deleteTransactions', ({ userId, deviceIds }) =>
      db.deleteFrom('to_device_transactions').where('user_id', '=', userId).where(anyDevice(deviceIds)))
  }

  /** A position that no message lies above, now or ever before: delivered messages are deleted, so those that are left do not tell. */
  static async reserved(database: Database): Promise<number> {
    const [row] = await database.rows<{ last: number | null }>('SELECT max(reserved_up_to) AS last FROM to_device_reservation', [])
    return row?.last ?? 0
  }

  /** Messages of a device after a position, oldest first. */
  page(userId: UserId, deviceId: string, after: number, upTo: number, limit: number): Promise<{ stream_id: number; json: string }[]> {
    return this.#page.all(this.#database, { userId, deviceId, after, upTo, limit })
  }

  async hasUpTo(userId: UserId, deviceId: string, upTo: number): Promise<boolean> {
    return (await this.#first.first(this.#database, { userId, deviceId, upTo })) !== undefined
  }

  async acknowledge(tx: Tx, userId: UserId, deviceId: string, upTo: number): Promise<void> {
    await this.#acknowledge.run(tx, { userId, deviceId, upTo })
  }

  async isKnown(key: TransactionKey): Promise<boolean> {
    return (await this.#isKnown.first(this.#database, key)) !== undefined
  }

  /** Whether the transaction is new. */
  async remember(tx: Tx, key: TransactionKey, ts: number): Promise<boolean> {
    return (await this.#remember.first(tx, { ...key, ts })) !== undefined
  }

  async expire(tx: Tx, beforeTs: number): Promise<void> {
    await this.#expire.run(tx, { ts: beforeTs })
  }

  async reserve(tx: Tx, upTo: number): Promise<void> {
    await this.#reserve.run(tx, { only: 1, upTo })
  }

  async insert(tx: Tx, rows: readonly MessageRow[]): Promise<void> {
    await this.#insert.run(tx, rows)
  }

  async deleteDevices(tx: Tx, userId: UserId, deviceIds: readonly string[]): Promise<void> {
    await this.#deleteMessages.run(tx, { userId, deviceIds })
    await this.#deleteTransactions.run(tx, { userId, deviceIds })
  }
}
