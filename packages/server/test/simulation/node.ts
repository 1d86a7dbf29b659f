/** One server of a simulation: the real engine, queues and handshakes on a database of its own, without HTTP. It can die and come back. */
import { join } from 'node:path'
import { SigningKey } from '@myelin/protocol/crypto/ed25519.ts'
import { refuse } from '@myelin/protocol/errors.ts'
import type { EventId, RoomId, ServerName, UserId } from '@myelin/protocol/ids/ids.ts'
import type { JsonObject } from '@myelin/protocol/json/json.ts'
import { composeEngine, type Engine } from '#app/compose-engine.ts'
import { composeTransactions } from '#app/compose-transactions.ts'
import { RemoteMemberships } from '#features/remote-rooms/remote-memberships.ts'
import type { FederationRequest } from '#features/federation/federation.ts'
import { CacheBudget } from '#platform/cache/cache.ts'
import type { Clock } from '#platform/clock.ts'
import { SqliteDatabase } from '#platform/db/sqlite.ts'
import { StorageError } from '#platform/db/database.ts'
import type { Logger } from '#platform/log/logger.ts'
import { migrations } from '#schema/migrations.ts'
import { upgradeSchema } from '#schema/upgrade.ts'
import type { Proposal } from '#engine/room-writer.ts'
import type { Room } from '#engine/room.ts'
import type { StoredEvent } from '#engine/stored-event.ts'
import { CutDatabase } from '../crash/cut-database.ts'
import { federationOf, type Network } from './network.ts'

interface Life {
  readonly database: CutDatabase
  readonly engine: Engine
  readonly traffic: Awaited<ReturnType<typeof composeTransactions>>
  readonly memberships: RemoteMemberships
  readonly stack: AsyncDisposableStack
}

export class Node {
  readonly name: ServerName
  readonly user: UserId
  readonly key: SigningKey
  readonly #folder: string
  readonly #network: Network
  readonly #clock: Clock
  readonly #keys: ReadonlyMap<string, SigningKey>
  readonly #trouble: string[]
  #life: Life | undefined
  #randomIds = 0

  constructor(needs: { index: number; folder: string; network: Network; clock: Clock; keys: Map<string, SigningKey>; trouble: string[] }) {
    this.name = `s${needs.index}.example` as ServerName
    this.user = `@u${needs.index}:${this.name}` as UserId
    this.key = new SigningKey(`k${needs.index}`, new Uint8Array(32).fill(needs.index + 1))
    needs.keys.set(`${this.name} ${this.key.keyId}`, this.key)
    this.#folder = needs.folder
    this.#network = needs.network
    this.#clock = needs.clock
    this.#keys = needs.keys
    this.#trouble = needs.trouble
  }

  get life(): Life {
    if (!this.#life) throw new StorageError('The server is down.')
    return this.#life
  }

  /** Whether it has died at a write. */
  get hasDied(): boolean {
    return this.#life?.database.wasCut === true
  }

  async start(): Promise<void> {
    const inner = new SqliteDatabase(join(this.#folder, `${this.name}.db`), { durable: false })
    const database = new CutDatabase(inner, undefined)
    await upgradeSchema(database, migrations, () => undefined)
    const stack = new AsyncDisposableStack()
    stack.defer(() => inner.close())
    const logger = this.#logger()
    const signer = { serverName: this.name, key: this.key }
    const clock = this.#clock
    const keyRing = { publicKey: async (server: string, keyId: string) => this.#keys.get(`${server} ${keyId}`)?.publicKey }
    const engine = await composeEngine({
      database, caches: new CacheBudget(16 * 1024 * 1024), clock, signer, serverName: this.name, keyRing, logger: () => logger, redactionRetentionMs: null, stack,
      randomId: () => `${this.name}-${++this.#randomIds}`,
    })
    const federation = federationOf(this.#network, this.name, clock)
    const limits = { consume: () => undefined }
    const restrictedJoins = { joinContent: async () => ({}) }
    const traffic = await composeTransactions({
      database, clock, limits, logger: () => logger, engine, signer, serverName: this.name, federation, restrictedJoins, durable: [], stack,
    } as unknown as Parameters<typeof composeTransactions>[0])
    const memberships = new RemoteMemberships({
      ...engine, signer, clock, logger, federation, strippedStates: { keep: async () => undefined }, randomId: () => `${this.name}-${++this.#randomIds}`,
    })
    this.#life = { database, engine, traffic, memberships, stack }
    this.#network.connect(this.name, async (origin, request) => {
      federation.heardOf(origin)
      return this.#answer(origin, request)
    })
  }

  /** Dies, as by `kill -9`, and stays down. */
  async die(): Promise<void> {
    const life = this.#life
    this.#life = undefined
    this.#network.connect(this.name, undefined)
    if (!life) return
    life.database.arm('kill', 1, '')
    try {
      life.database.write()
    } catch {
      // This was the write that it dies at.
    }
    await life.stack.disposeAsync().catch(() => undefined)
  }

  async room(roomId: RoomId): Promise<Room | undefined> {
    return this.life.engine.rooms.get(roomId)
  }

  async propose(roomId: RoomId, proposal: Proposal): Promise<EventId> {
    const room = await this.life.engine.rooms.require(roomId)
    const [event] = await this.life.engine.writer.propose(room, [proposal])
    if (!event) throw refuse('M_UNKNOWN', 'Nothing was sent.')
    return event.event.eventId
  }

  async join(roomId: RoomId, via: readonly ServerName[]): Promise<void> {
    const room = await this.room(roomId)
    const isHere = room !== undefined && (await this.life.engine.roomServers.hasUs(room))
    if (!isHere) await this.life.memberships.join(this.user, roomId, via, { membership: 'join' })
  }

  isJoined(roomId: RoomId): Promise<boolean> {
    return this.hasJoined(roomId, this.user)
  }

  async state(roomId: RoomId): Promise<Record<string, EventId>> {
    const { engine } = this.life
    const room = await engine.rooms.require(roomId)
    const all = await engine.states.all(room, await engine.writer.currentRoot(room))
    return Object.fromEntries(all.map(({ event }) => [`${event.type} ${event.stateKey}`, event.eventId]).sort())
  }

  /** All events of the room that are not rejected, with history fetched as far as it goes. */
  async timeline(roomId: RoomId): Promise<Map<EventId, StoredEvent>> {
    const { engine } = this.life
    const room = await engine.rooms.require(roomId)
    for (let round = 0; round < 20; round++) {
      const events = await this.#placed(room)
      if (!(await engine.backfill.fill(room, events))) return new Map(events.map((event) => [event.event.eventId, event]))
    }
    throw new Error('History has no end')
  }

  /** Whether a user has joined, by what this server knows. */
  async hasJoined(roomId: RoomId, userId: UserId): Promise<boolean> {
    const room = await this.room(roomId)
    return room !== undefined && this.life.engine.memberships.isJoined(room, userId)
  }

  async settle(): Promise<void> {
    if (!this.#life || this.hasDied) return
    await this.#life.traffic.outbox.settled()
    await this.#life.traffic.transactions.settled()
  }

  async #placed(room: Room): Promise<StoredEvent[]> {
    const { engine, database } = this.life
    const rows = await database.rows<{ event_nid: number }>('SELECT event_nid FROM events WHERE room_nid = $1 AND state_root IS NOT NULL AND rejected = 0', [room.nid])
    return [...(await engine.events.byNids(rows.map((row) => row.event_nid))).values()]
  }

  async #answer(origin: ServerName, { path, body = {} }: FederationRequest): Promise<JsonObject> {
    const { traffic: { roomAnswers, handshakes, transactions } } = this.life
    const url = new URL(path, 'https://x')
    const [call = '', first = '', second = ''] = url.pathname.replace(/^\/_matrix\/federation\/v\d\//, '').split('/').map(decodeURIComponent)
    const pdus = (events: readonly StoredEvent[]): JsonObject[] => events.map(({ json }) => JSON.parse(json))
    const ids = (events: readonly StoredEvent[]): EventId[] => events.map(({ event }) => event.eventId)
    switch (call) {
      case 'send': return { pdus: (await transactions.accept(origin, first, body)).pdus }
      case 'make_join': {
        const { room, event } = await handshakes.template(origin, first, second as UserId, 'join', undefined)
        return { room_version: room.version.id, event }
      }
      case 'send_join': {
        const event = await handshakes.complete(origin, first, second, body, 'join')
        const state = await roomAnswers.state(event.room, event.event.eventId)
        return { event: JSON.parse(event.json), state: pdus(state), auth_chain: pdus(await roomAnswers.authChain(event.room, [...state, event])) }
      }
      case 'event': return { pdus: pdus([await roomAnswers.event(origin, first as EventId)]) }
    }
    const about = [url.searchParams.get('event_id'), ...url.searchParams.getAll('v'), ...(call === 'event_auth' ? [second] : []), ...(Array.isArray(body['latest_events']) ? body['latest_events'] : [])]
    const room = await roomAnswers.roomFor(origin, first, about.filter((id): id is EventId => typeof id === 'string'))
    switch (call) {
      case 'state': {
        const state = await roomAnswers.state(room, url.searchParams.get('event_id') as EventId)
        return { pdus: pdus(state), auth_chain: pdus(await roomAnswers.authChain(room, state)) }
      }
      case 'state_ids': {
        const state = await roomAnswers.state(room, url.searchParams.get('event_id') as EventId)
        return { pdu_ids: ids(state), auth_chain_ids: ids(await roomAnswers.authChain(room, state)) }
      }
      case 'event_auth': return { auth_chain: pdus(await roomAnswers.authChainOf(room, second as EventId)) }
      case 'backfill': return { pdus: pdus(await roomAnswers.backfill(origin, room, url.searchParams.getAll('v') as EventId[], 100)) }
      case 'get_missing_events': {
        const { earliest_events: earliest, latest_events: latest } = body
        return { events: pdus(await roomAnswers.missing(origin, room, { earliest: earliest as EventId[], latest: latest as EventId[], limit: 20, minDepth: 0 })) }
      }
      default: throw refuse('M_UNRECOGNIZED', `The simulation does not serve ${call}.`)
    }
  }

  /** What a server logs as an error is trouble, unless it says that its process has ended. */
  #logger(): Logger {
    const silent = (): void => undefined
    const error: Logger['error'] = (message, fields) => {
      const cause = fields?.['error']
      if (!(cause instanceof StorageError)) this.#trouble.push(`${this.name}: ${message} ${cause instanceof Error ? (cause.stack ?? '') : ''}`)
    }
    return { debug: silent, info: silent, warn: silent, error }
  }
}
