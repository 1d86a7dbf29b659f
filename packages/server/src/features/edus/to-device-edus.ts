/**
 * Messages to devices between servers: stored until they are sent, and delivered once.
 *
 * Spec: server-server API, "Send-to-device messaging".
 */
import { randomBytes } from 'node:crypto'
import type { ServerName, UserId } from '@myelin/protocol/ids/ids.ts'
import { isUserId, serverOf } from '@myelin/protocol/ids/user-id.ts'
import { isObject, own, type JsonObject } from '@myelin/protocol/json/json.ts'
import type { Clock } from '#platform/clock.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import { readMessages, type DeviceMessages, type OutboundMessages, type ToDevice } from '#features/to-device/to-device.ts'
import type { Edu, EduSending } from './sending.ts'
import { ToDeviceEdusStore } from './to-device-edus.store.ts'

interface Needs {
  readonly database: Database
  readonly clock: Clock
  readonly toDevice: ToDevice
  readonly sending: Pick<EduSending, 'wake'>
}

/** Messages that come again later than this are taken for new ones. */
const rememberedMs = 7 * 24 * 3_600_000

export class ToDeviceEdus implements OutboundMessages {
  readonly #database: Database
  readonly #clock: Clock
  readonly #store: ToDeviceEdusStore
  #last: number
  #needs: Pick<Needs, 'toDevice' | 'sending'> | undefined

  private constructor(needs: Pick<Needs, 'database' | 'clock'>, last: number) {
    this.#database = needs.database
    this.#clock = needs.clock
    this.#store = new ToDeviceEdusStore(needs.database)
    this.#last = last
  }

  static async open(needs: Pick<Needs, 'database' | 'clock'>): Promise<ToDeviceEdus> {
    return new ToDeviceEdus(needs, await ToDeviceEdusStore.last(needs.database))
  }

  /** Connects it with what delivers and what sends; what waits is sent. */
  async use(needs: Pick<Needs, 'toDevice' | 'sending'>): Promise<void> {
    this.#needs = needs
    for (const destination of await this.#store.waiting()) needs.sending.wake(destination as ServerName)
  }

  async send(tx: Tx, sender: UserId, eventType: string, messages: DeviceMessages): Promise<void> {
    const byServer = new Map<ServerName, Record<UserId, JsonObject>>()
    for (const [userId, ofUser] of messages) {
      const server = serverOf(userId)
      const all = byServer.get(server) ?? {}
      all[userId] = Object.fromEntries(ofUser)
      byServer.set(server, all)
    }
    const rows = [...byServer].map(([destination, ofServer]) => ({
      message_nid: ++this.#last, destination,
      content_json: JSON.stringify({ sender, type: eventType, message_id: randomBytes(16).toString('base64url'), messages: ofServer }),
    }))
    await this.#store.insert(tx, rows)
    tx.afterCommit(() => {
      for (const { destination } of rows) this.#needs?.sending.wake(destination)
    })
  }

  /** What waits for a server, oldest first. */
  async next(destination: ServerName, limit: number): Promise<{ readonly edus: readonly Edu[]; readonly sent: (tx: Tx) => Promise<void> } | undefined> {
    const rows = await this.#store.next(destination, limit)
    const last = rows.at(-1)
    if (!last) return undefined
    return {
      edus: rows.map(({ content_json: content }) => ({ edu_type: 'm.direct_to_device', content: JSON.parse(content) })),
      sent: (tx) => this.#store.sent(tx, destination, last.message_nid),
    }
  }

  /** Delivers messages of a server's user; a repetition is passed over. @throws M_BAD_JSON */
  async receive(origin: ServerName, content: JsonObject): Promise<void> {
    const [sender, type, messageId, messages] = [own(content, 'sender'), own(content, 'type'), own(content, 'message_id'), own(content, 'messages')]
    if (!isUserId(sender) || serverOf(sender) !== origin || typeof type !== 'string' || typeof messageId !== 'string' || !isObject(messages)) return
    if (messageId.length > 255 || type.length > 255) return
    await this.#needs?.toDevice.deliver(sender, type, readMessages(messages), (tx) => this.#store.remember(tx, origin, messageId, this.#clock.now()))
  }

  /** Forgets messages that will not come again. */
  async expire(): Promise<void> {
    await this.#database.transaction((tx) => this.#store.forget(tx, this.#clock.now() - rememberedMs))
  }
}
