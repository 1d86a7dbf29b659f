/** Queries of `to_device_queue`, `to_device_inboxes`, `to_device_transactions` and `to_device_reservation`. */
import { sql } from 'kysely'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import { BulkInsert } from '#platform/db/bulk-insert.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import { anyOf, pairs, pairsText } from '#platform/db/dialect.ts'
import { buildersFor, prepare, type Prepared } from '#platform/db/query.ts'
import type { Tables, ToDeviceInboxesTable, ToDeviceQueueTable } from '#schema/tables.gen.ts'

type ToDeviceTables = Pick<Tables, 'to_device_queue' | 'to_device_inboxes' | 'to_device_transactions' | 'to_device_reservation'>

/** A message that waits in the inbox of a device. */
export type QueueRow = ToDeviceQueueTable
/** The number of a device. */
export type InboxRow = ToDeviceInboxesTable

/** What makes a request of a client the same as an earlier one. */
export interface TransactionKey {
  readonly userId: UserId
  /** '' where the client has no device. */
  readonly deviceId: string
  readonly eventType: string
  readonly txnId: string
}

interface InboxParams {
  readonly inbox: number
}

export class ToDeviceStore {
  readonly #database: Database
  readonly #page: Prepared<InboxParams & { after: number; upTo: number; limit: number }, { stream_id: number; json: string }>
  readonly #first: Prepared<InboxParams & { upTo: number }, { stream_id: number }>
  readonly #acknowledge: Prepared<InboxParams & { upTo: number }, unknown>
  readonly #isKnown: Prepared<TransactionKey, { txn_id: string }>
  readonly #remember: Prepared<TransactionKey & { ts: number }, { txn_id: string }>
  readonly #expire: Prepared<{ ts: number }, unknown>
  readonly #reserve: Prepared<{ only: number; upTo: number }, unknown>
  readonly #deleteMessages: Prepared<{ userId: UserId; deviceIds: readonly string[] }, unknown>
  readonly #deleteTransactions: Prepared<{ userId: UserId; deviceIds: readonly string[] }, unknown>
  readonly #inboxes: Prepared<{ devices: string }, InboxRow>
  readonly #deleteInboxes: Prepared<{ userId: UserId; deviceIds: readonly string[] }, unknown>
  readonly #insert = new BulkInsert<QueueRow>('toDevice.insert', 'to_device_queue', [['inbox_nid', 'BIGINT'], ['stream_id', 'BIGINT'], ['json', 'TEXT']])
  readonly #addInboxes = new BulkInsert<InboxRow>(
    'toDevice.addInboxes', 'to_device_inboxes', [['inbox_nid', 'BIGINT'], ['user_id', 'TEXT'], ['device_id', 'TEXT']],
    '(user_id, device_id) DO NOTHING',
  )

  constructor(database: Database) {
    this.#database = database
    const db = buildersFor<ToDeviceTables>(database.dialect)
    const anyDevice = (ids: readonly string[]) => anyOf(database.dialect, sql.ref('device_id'), ids)
    const queue = db.selectFrom('to_device_queue')
    this.#page = prepare('toDevice.page', ({ inbox, after, upTo, limit }) =>
      queue.select(['stream_id', 'json']).where('inbox_nid', '=', inbox)
        .where('stream_id', '>', after).where('stream_id', '<=', upTo).orderBy('stream_id').limit(limit))
    this.#first = prepare('toDevice.first', ({ inbox, upTo }) =>
      queue.select('stream_id').where('inbox_nid', '=', inbox).where('stream_id', '<=', upTo).limit(1))
    this.#acknowledge = prepare('toDevice.acknowledge', ({ inbox, upTo }) =>
      db.deleteFrom('to_device_queue').where('inbox_nid', '=', inbox).where('stream_id', '<=', upTo))
    this.#inboxes = prepare('toDevice.inboxes', ({ devices }) =>
      db.selectFrom(pairs(database.dialect, devices).as('wanted'))
        .innerJoin('to_device_inboxes as inbox', (join) => join.onRef('inbox.user_id', '=', 'wanted.first').onRef('inbox.device_id', '=', 'wanted.second'))
        .selectAll('inbox'))
    const inboxesOf = (userId: UserId, deviceIds: readonly string[]) =>
      db.selectFrom('to_device_inboxes').select('inbox_nid').where('user_id', '=', userId).where(anyDevice(deviceIds))
    this.#deleteInboxes = prepare('toDevice.deleteInboxes', ({ userId, deviceIds }) =>
      db.deleteFrom('to_device_inboxes').where('user_id', '=', userId).where(anyDevice(deviceIds)))
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
      db.deleteFrom('to_device_queue').where('inbox_nid', 'in', inboxesOf(userId, deviceIds)))
    this.#deleteTransactions = prepare('toDevice.deleteTransactions', ({ userId, deviceIds }) =>
      db.deleteFrom('to_device_transactions').where('user_id', '=', userId).where(anyDevice(deviceIds)))
  }

  /** A position that no message lies above, now or ever before: delivered messages are deleted, so those that are left do not tell. */
  static async reserved(database: Database): Promise<number> {
    const [row] = await database.rows<{ last: number | null }>('SELECT max(reserved_up_to) AS last FROM to_device_reservation', [])
    return row?.last ?? 0
  }

  /** The highest number that an inbox has. */
  async lastInbox(database: Database): Promise<number> {
    const [row] = await database.rows<{ last: number | null }>('SELECT max(inbox_nid) AS last FROM to_device_inboxes', [])
    return row?.last ?? 0
  }

  /** The inboxes that devices have. */
  inboxes(devices: readonly { readonly user_id: UserId; readonly device_id: string }[], runner: Database | Tx = this.#database): Promise<InboxRow[]> {
    return this.#inboxes.all(runner, { devices: pairsText(devices.map((device) => [device.user_id, device.device_id])) })
  }

  /** Adds inboxes of devices that have none. */
  async addInboxes(tx: Tx, rows: readonly InboxRow[]): Promise<void> {
    await this.#addInboxes.run(tx, rows)
  }

  /** Messages of an inbox after a position, oldest first. */
  page(inbox: number, after: number, upTo: number, limit: number): Promise<{ stream_id: number; json: string }[]> {
    return this.#page.all(this.#database, { inbox, after, upTo, limit })
  }

  async hasUpTo(inbox: number, upTo: number): Promise<boolean> {
    return (await this.#first.first(this.#database, { inbox, upTo })) !== undefined
  }

  async acknowledge(tx: Tx, inbox: number, upTo: number): Promise<void> {
    await this.#acknowledge.run(tx, { inbox, upTo })
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

  async insert(tx: Tx, rows: readonly QueueRow[]): Promise<void> {
    await this.#insert.run(tx, rows)
  }

  async deleteDevices(tx: Tx, userId: UserId, deviceIds: readonly string[]): Promise<void> {
    await this.#deleteMessages.run(tx, { userId, deviceIds })
    await this.#deleteInboxes.run(tx, { userId, deviceIds })
    await this.#deleteTransactions.run(tx, { userId, deviceIds })
  }
}
