/**
 * Tells the other servers of a room what its local users send.
 *
 * Spec: server-server API, "Transactions".
 */
import type { ServerName } from '@myelin/protocol/ids/ids.ts'
import { serverOf } from '@myelin/protocol/ids/user-id.ts'
import { isObject, type JsonObject } from '@myelin/protocol/json/json.ts'
import { parseJson } from '@myelin/protocol/json/parse.ts'
import { EventsConsumer, type EventsWork } from '#engine/events-consumer.ts'
import type { Events } from '#engine/events.ts'
import type { RoomPurgeParticipant } from '#engine/room-purging.ts'
import type { RoomServers } from '#engine/room-servers.ts'
import type { Room } from '#engine/room.ts'
import type { EventsRow, StoredEvent } from '#engine/stored-event.ts'
import type { Clock } from '#platform/clock.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import type { Logger } from '#platform/log/logger.ts'
import type { Stream } from '#platform/streams/stream.ts'
import type { Federation } from '#features/federation/federation.ts'
import { DestinationQueue, type DurableEdus, type OutgoingEdu, type OutgoingPdu } from './destination-queue.ts'
import { OutboxStore } from './outbox.store.ts'

interface Needs {
  readonly database: Database
  readonly clock: Clock
  readonly logger: Logger
  readonly events: Events
  readonly eventsStream: Stream<EventsRow>
  readonly roomServers: RoomServers
  readonly federation: Federation
  readonly serverName: ServerName
  readonly durable: readonly DurableEdus[]
}

export class Outbox implements RoomPurgeParticipant {
  readonly #needs: Needs
  readonly #store: OutboxStore
  readonly #queues = new Map<ServerName, DestinationQueue>()
  #consumer: EventsConsumer | undefined
  #transactionCount = 0

  private constructor(needs: Needs) {
    this.#needs = needs
    this.#store = new OutboxStore(needs.database)
  }

  /** Opens the outbox; servers that were not told of everything before the last stop are told now. */
  static async open(needs: Needs): Promise<Outbox> {
    const outbox = new Outbox(needs)
    const work: EventsWork = { process: (events) => outbox.#process(events) }
    outbox.#consumer = await EventsConsumer.open({ ...needs, name: 'federation_sender', begin: 'next', stream: needs.eventsStream, work })
    needs.federation.onAnswered((server) => outbox.#queues.get(server)?.wake())
    for (const destination of await outbox.#store.behind()) outbox.#queue(destination as ServerName, true).wake()
    return outbox
  }

  /**
   * Sends an EDU to servers.
   * @param key one that still waits under the same key is replaced
   */
  sendEdu(servers: Iterable<ServerName>, edu: OutgoingEdu, key?: string): void {
    for (const server of servers) if (this.#mayTell(server)) this.#queue(server).pushEdu(edu, key)
  }

  /** Sends to a server what is stored for it. */
  wake(server: ServerName): void {
    if (this.#mayTell(server)) this.#queue(server).wake()
  }

  roomPurged(tx: Tx, room: Room, limit: number): Promise<boolean> {
    return this.#store.deleteRoom(tx, room.nid, limit)
  }

  /** Resolves once everything that has happened is sent, or its servers are being left alone. */
  async settled(): Promise<void> {
    await this.#consumer?.caughtUp()
    await Promise.all([...this.#queues.values()].map((queue) => queue.settled()))
  }

  async stop(): Promise<void> {
    await this.#consumer?.stop()
    await Promise.all([...this.#queues.values()].map((queue) => queue.stop()))
  }

  /** Tells the other servers of a room of an event that one of them has given us, as part of the commit that stores it. */
  async forward(tx: Tx, event: StoredEvent, except: ServerName): Promise<void> {
    const place = event.streamOrdering
    if (place === undefined) return
    const destinations = (await this.#destinations(event)).filter((server) => server !== except)
    await this.#store.put(tx, destinations.map((destination) => ({ destination, room_nid: event.room.nid, stream_ordering: place })))
    tx.afterCommit(() => {
      for (const destination of destinations) this.#queue(destination).push(outgoing(event, place))
    })
  }

  async #process(events: readonly StoredEvent[]): Promise<((tx: Tx) => Promise<void>) | undefined> {
    const rows = new Map<string, { destination: string; room_nid: number; stream_ordering: number }>()
    const told: [ServerName, OutgoingPdu][] = []
    for (const event of events) {
      const place = event.streamOrdering
      if (place === undefined || event.rejected || event.softFailed || event.stateRoot === undefined || serverOf(event.event.sender) !== this.#needs.serverName) continue
      for (const destination of await this.#destinations(event)) {
        rows.set(`${destination} ${event.room.nid}`, { destination, room_nid: event.room.nid, stream_ordering: place })
        told.push([destination, outgoing(event, place)])
      }
    }
    if (rows.size === 0) return undefined
    return async (tx) => {
      await this.#store.put(tx, [...rows.values()])
      tx.afterCommit(() => {
        for (const [destination, pdu] of told) this.#queue(destination).push(pdu)
      })
    }
  }

  /** The servers in the room, and that of a user whom the event removes. */
  async #destinations({ room, event }: StoredEvent): Promise<ServerName[]> {
    const servers = new Set(await this.#needs.roomServers.others(room))
    const isRemoval = event.type === 'm.room.member' && event.stateKey !== undefined && event.content['membership'] !== 'invite'
    if (isRemoval && event.stateKey?.includes(':')) servers.add(serverOf(event.stateKey))
    return [...servers].filter((server) => this.#mayTell(server))
  }

  #mayTell(server: ServerName): boolean {
    return server !== this.#needs.serverName && this.#needs.federation.allows(server)
  }

  #queue(destination: ServerName, isBehind = false): DestinationQueue {
    const known = this.#queues.get(destination)
    if (known) return known
    const { clock, logger, federation, durable } = this.#needs
    const queue = new DestinationQueue({
      destination, clock, logger, federation, durable,
      transactionId: () => `${clock.now()}-${++this.#transactionCount}`,
      behind: (limit) => this.#behind(destination, limit),
      sent: (place, extra) => this.#sent(destination, place, extra),
    }, isBehind)
    this.#queues.set(destination, queue)
    return queue
  }

  async #behind(destination: ServerName, limit: number): Promise<OutgoingPdu[]> {
    const rooms = await this.#store.after(destination, await this.#store.position(destination), limit)
    const events = await this.#needs.events.byPlaces(rooms.map((row) => row.stream_ordering))
    return rooms.flatMap(({ stream_ordering: place }) => {
      const event = events.get(place)
      return event ? [outgoing(event, place)] : []
    })
  }

  async #sent(destination: ServerName, place: number | undefined, extra: readonly ((tx: Tx) => Promise<void>)[]): Promise<void> {
    if (place === undefined && extra.length === 0) return
    await this.#needs.database.transaction(async (tx) => {
      if (place !== undefined) await this.#store.sent(tx, destination, place)
      for (const write of extra) await write(tx)
    })
  }
}

function outgoing(event: StoredEvent, place: number): OutgoingPdu {
  const parsed = parseJson(event.json)
  const pdu: JsonObject = 'value' in parsed && isObject(parsed.value) ? parsed.value : {}
  return { place, pdu }
}
