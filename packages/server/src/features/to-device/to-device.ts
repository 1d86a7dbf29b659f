/**
 * Messages to devices: kept until the device has them, delivered in the order of arrival.
 *
 * Spec: client-server API, "Send-to-Device messaging"; server-server API, "Send-to-device messaging".
 */
import { refuse } from '@myelin/protocol/errors.ts'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import { isUserId } from '@myelin/protocol/ids/user-id.ts'
import { isObject, type JsonObject } from '@myelin/protocol/json/json.ts'
import type { CacheBudget } from '#platform/cache/cache.ts'
import type { Clock } from '#platform/clock.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import { Stream } from '#platform/streams/stream.ts'
import { Inboxes, type InboxDevice } from './inboxes.ts'
import { ToDeviceStore, type TransactionKey } from './to-device.store.ts'

/** A device has got a message. */
export interface ToDeviceRow {
  readonly userId: UserId
  readonly deviceId: string
}

/** Contents by device id, by user id; the device id `*` means all devices of the user. */
export type DeviceMessages = ReadonlyMap<UserId, ReadonlyMap<string, JsonObject>>

/** Which devices a local user has. */
export interface DevicesOfUsers {
  ofMany(userIds: readonly UserId[]): Promise<ReadonlyMap<UserId, ReadonlyMap<string, unknown>>>
}

/** Where messages to users of other servers go. */
export interface OutboundMessages {
  /** Queues messages within the transaction of the request. */
  send(tx: Tx, sender: UserId, eventType: string, messages: DeviceMessages): Promise<void>
}

/** A message on its way into the inbox of a device. */
interface Message extends InboxDevice {
  readonly json: string
}

interface Needs {
  readonly database: Database
  readonly caches: CacheBudget
  readonly clock: Clock
  readonly devices: DevicesOfUsers
  readonly isLocal: (userId: string) => boolean
  readonly outbound: OutboundMessages
}

/** A page of messages, each as the JSON text of an event. */
export interface MessagePage {
  readonly messages: readonly string[]
  /** Where the next page begins: pass it as `after`, or to `acknowledge` once the client has the page. */
  readonly last: number
}

/** Recommended by the specification. */
const pageSize = 100
/** Positions that are reserved at a time, so that not every message writes the reservation. */
const reservation = 1000
const transactionLifetimeMs = 24 * 3_600_000
const longestEventType = 255

export class ToDevice {
  /** Advances with each request; its rows say which devices have something to fetch. */
  readonly stream: Stream<ToDeviceRow>
  readonly #needs: Needs
  readonly #store: ToDeviceStore
  readonly #inboxes: Inboxes
  #reserved: number

  private constructor(needs: Needs, store: ToDeviceStore, inboxes: Inboxes, reserved: number) {
    this.stream = new Stream<ToDeviceRow>({ name: 'to_device', position: reserved })
    this.#needs = needs
    this.#store = store
    this.#inboxes = inboxes
    this.#reserved = reserved
  }

  static async open(needs: Needs): Promise<ToDevice> {
    const store = new ToDeviceStore(needs.database)
    const inboxes = await Inboxes.open(needs.database, needs.caches, store)
    return new ToDevice(needs, store, inboxes, await ToDeviceStore.reserved(needs.database))
  }

  /**
   * Sends a message to devices, once: a repeated transaction id of the same device and type does nothing. Unknown devices are passed over.
   * @throws M_INVALID_PARAM for an event type that is too long
   */
  async send(
    sender: { readonly userId: UserId; readonly deviceId: string | undefined }, eventType: string, txnId: string, messages: DeviceMessages,
  ): Promise<void> {
    if (Buffer.byteLength(eventType) > longestEventType) throw refuse('M_INVALID_PARAM', `The event type is longer than ${longestEventType} bytes.`)
    const key: TransactionKey = { userId: sender.userId, deviceId: sender.deviceId ?? '', eventType, txnId }
    if (await this.#store.isKnown(key)) return
    const [local, remote] = this.#split(messages)
    const rows = await this.#rows(sender.userId, eventType, local)
    await this.#needs.database.transaction(async (tx) => {
      if (!(await this.#store.remember(tx, key, this.#needs.clock.now()))) return
      await this.#insert(tx, rows)
      if (remote.size > 0) await this.#needs.outbound.send(tx, sender.userId, eventType, remote)
    })
  }

  /**
   * Delivers messages that another server has sent, or this server itself. Users of other servers are passed over.
   * @param isFirst asked within the transaction; nothing is delivered where it says no
   */
  async deliver(sender: UserId, eventType: string, messages: DeviceMessages, isFirst: (tx: Tx) => Promise<boolean> = async () => true): Promise<void> {
    const rows = await this.#rows(sender, eventType, this.#split(messages)[0])
    if (rows.length === 0) return
    await this.#needs.database.transaction(async (tx) => {
      if (await isFirst(tx)) await this.#insert(tx, rows)
    })
  }

  /**
   * Messages of a device, oldest first.
   * @param after position of the last token; 0 for all
   * @param upTo position that the new token shall not pass
   */
  async list(userId: UserId, deviceId: string, after: number, upTo: number, limit = pageSize): Promise<MessagePage> {
    if (after >= upTo || this.#hasNothingNew(userId, deviceId, after)) return { messages: [], last: Math.max(after, upTo) }
    const inbox = await this.#inboxes.find(userId, deviceId)
    if (inbox === undefined) return { messages: [], last: upTo }
    const rows = await this.#store.page(inbox, after, upTo, limit)
    return { messages: rows.map((row) => row.json), last: rows.length < limit ? upTo : (rows.at(-1)?.stream_id ?? upTo) }
  }

  /** Deletes what a device has received: all up to the position in the token that it came back with. */
  async acknowledge(userId: UserId, deviceId: string, upTo: number): Promise<void> {
    const inbox = upTo > 0 ? await this.#inboxes.find(userId, deviceId) : undefined
    if (inbox === undefined || !(await this.#store.hasUpTo(inbox, upTo))) return
    await this.#needs.database.transaction((tx) => this.#store.acknowledge(tx, inbox, upTo))
  }

  /** Deletes the messages and transaction ids of devices, within the transaction that deletes the devices. */
  async devicesDeleted(tx: Tx, userId: UserId, deviceIds: readonly string[]): Promise<void> {
    await this.#store.deleteDevices(tx, userId, deviceIds)
    this.#inboxes.deleted(tx, userId, deviceIds)
  }

  /** Forgets transaction ids that are older than a day; called now and then. */
  async expire(): Promise<void> {
    await this.#needs.database.transaction((tx) => this.#store.expire(tx, this.#needs.clock.now() - transactionLifetimeMs))
  }

  /** Whether memory tells that a device has got no message since a position. */
  #hasNothingNew(userId: UserId, deviceId: string, after: number): boolean {
    const recent = this.stream.since(after)
    return recent !== undefined && !recent.some(({ row }) => row.deviceId === deviceId && row.userId === userId)
  }

  #split(messages: DeviceMessages): [Map<UserId, ReadonlyMap<string, JsonObject>>, Map<UserId, ReadonlyMap<string, JsonObject>>] {
    const local = new Map<UserId, ReadonlyMap<string, JsonObject>>()
    const remote = new Map<UserId, ReadonlyMap<string, JsonObject>>()
    for (const [userId, ofUser] of messages) (this.#needs.isLocal(userId) ? local : remote).set(userId, ofUser)
    return [local, remote]
  }

  /** One row for each known device that is meant; a message to the device itself goes before one to `*`. */
  async #rows(sender: UserId, eventType: string, messages: DeviceMessages): Promise<Message[]> {
    const devices = await this.#needs.devices.ofMany([...messages.keys()])
    const tail = `,"sender":${JSON.stringify(sender)},"type":${JSON.stringify(eventType)}}`
    const rows: Message[] = []
    for (const [userId, ofUser] of messages) {
      const all = ofUser.get('*')
      const allText = all && `{"content":${JSON.stringify(all)}${tail}`
      for (const deviceId of devices.get(userId)?.keys() ?? []) {
        const content = deviceId === '*' ? undefined : ofUser.get(deviceId)
        const json = content ? `{"content":${JSON.stringify(content)}${tail}` : allText
        if (json !== undefined) rows.push({ user_id: userId, device_id: deviceId, json })
      }
    }
    return rows
  }

  async #insert(tx: Tx, rows: readonly Message[]): Promise<void> {
    if (rows.length === 0) return
    const streamId = this.stream.allocate(tx, (id) => rows.map((row) => ({ id, row: { userId: row.user_id, deviceId: row.device_id } })))
    if (streamId > this.#reserved) {
      const upTo = streamId + reservation
      await this.#store.reserve(tx, upTo)
      tx.afterCommit(() => {
        this.#reserved = Math.max(this.#reserved, upTo)
      })
    }
    const inboxes = await this.#inboxes.within(tx, rows)
    await this.#store.insert(tx, rows.map(({ json }, index) => ({ inbox_nid: inboxes[index] ?? 0, stream_id: streamId, json })))
  }
}

/**
 * Reads `messages` of a request. What is no user id has no devices and is passed over.
 * @throws M_BAD_JSON
 */
export function readMessages(value: JsonObject): Map<UserId, ReadonlyMap<string, JsonObject>> {
  const messages = new Map<UserId, ReadonlyMap<string, JsonObject>>()
  for (const [userId, ofUser] of Object.entries(value)) {
    if (!isObject(ofUser)) throw refuse('M_BAD_JSON', `"messages" must hold an object of contents by device id for ${userId}.`)
    const contents = new Map<string, JsonObject>()
    for (const [deviceId, content] of Object.entries(ofUser)) {
      if (!isObject(content)) throw refuse('M_BAD_JSON', `The message for the device ${deviceId} of ${userId} must be an object.`)
      contents.set(deviceId, content)
    }
    if (isUserId(userId)) messages.set(userId, contents)
  }
  return messages
}
