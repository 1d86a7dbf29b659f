/**
 * What other servers send: answered once it is durably staged, then taken into its rooms one after the other, rooms beside each other.
 *
 * Spec: server-server API, "Transactions", "PDUs", "EDUs".
 */
import { MatrixError, refuse } from '@myelin/protocol/errors.ts'
import type { RoomEvent } from '@myelin/protocol/events/event.ts'
import { parsePdu, type ParsedPdu } from '@myelin/protocol/events/parse.ts'
import type { EventId, ServerName } from '@myelin/protocol/ids/ids.ts'
import { canonicalJson } from '@myelin/protocol/json/canonical.ts'
import { isObject, own, type JsonObject, type JsonValue } from '@myelin/protocol/json/json.ts'
import { parseJson } from '@myelin/protocol/json/parse.ts'
import type { Ancestry } from '#engine/ancestry.ts'
import type { Backfill } from '#engine/backfill.ts'
import type { PolicyChecks } from '#engine/policy-checks.ts'
import type { RoomWriter } from '#engine/room-writer.ts'
import { LackingEvents } from '#engine/room-receiver.ts'
import type { PduChecks } from '#engine/pdu-checks.ts'
import type { RoomPurgeParticipant } from '#engine/room-purging.ts'
import type { RoomServers } from '#engine/room-servers.ts'
import type { Room } from '#engine/room.ts'
import type { StoredEvent } from '#engine/stored-event.ts'
import type { Rooms } from '#engine/rooms.ts'
import type { Clock } from '#platform/clock.ts'
import { StorageError, type Database, type Tx } from '#platform/db/database.ts'
import { RemoteError } from '#platform/fetch/remote-error.ts'
import type { Logger } from '#platform/log/logger.ts'
import { FederationRefusal } from '#features/federation/federation.ts'
import { InboxStore, type StagedEvent } from './inbox.store.ts'

/** Takes in EDUs of one type. What it throws is logged; a `StorageError` fails the transaction, so that it comes again. */
export type EduHandler = (origin: ServerName, content: JsonObject) => Promise<void>

/** The reply to a transaction: for each event why it is not taken, if so. */
export interface TransactionReply {
  readonly pdus: Readonly<Record<EventId, { readonly error?: string }>>
}

/** Ends of invites and knocks of users of ours in rooms that this server is not in. */
export interface MembershipEnds {
  isOne(room: Room, event: RoomEvent): Promise<boolean>
  /** @param extra writes that are committed with the event */
  take(room: Room, pdu: ParsedPdu, extra: (tx: Tx) => Promise<void>): Promise<void>
}

interface Needs {
  readonly database: Database
  readonly clock: Clock
  readonly logger: Logger
  readonly rooms: Rooms
  readonly roomServers: RoomServers
  readonly checks: PduChecks
  readonly ancestry: Ancestry
  readonly backfill: Pick<Backfill, 'fill'>
  readonly policy: Pick<PolicyChecks, 'check'>
  readonly writer: Pick<RoomWriter, 'currentRoot'>
  readonly endedMemberships: MembershipEnds
}

const mostPdus = 50
const mostEdus = 100
/** A transaction that comes again after this long is taken for a new one. */
const rememberedMs = 24 * 3_600_000
const batchSize = 50
const retryMs = 5000
/** Pause before the ancestors of an event are asked for again; each further one is twice as long. */
const firstRetryMs = 10_000
/** Within about three hours. */
const mostAttempts = 10

export class Transactions implements RoomPurgeParticipant {
  readonly #needs: Needs
  readonly #store: InboxStore
  readonly #handlers = new Map<string, EduHandler>()
  readonly #accepting = new Map<string, Promise<TransactionReply>>()
  readonly #draining = new Map<number, Promise<void>>()
  readonly #filling = new Set<Promise<unknown>>()
  /** Rooms for which more was staged while they were being drained. */
  readonly #again = new Set<number>()
  /** Events whose ancestors could not be had, with when it is tried again. */
  readonly #deferred = new Map<number, { readonly attempts: number; readonly untilTs: number }>()
  #last: number
  #isStopped = false

  private constructor(needs: Needs, last: number) {
    this.#needs = needs
    this.#store = new InboxStore(needs.database)
    this.#last = last
  }

  static async open(needs: Needs): Promise<Transactions> {
    return new Transactions(needs, await InboxStore.last(needs.database))
  }

  /** Who takes in EDUs of a type. */
  onEdu(type: string, handler: EduHandler): void {
    this.#handlers.set(type, handler)
  }

  /** Goes on with what was staged before the server stopped. */
  async resume(): Promise<void> {
    for (const room of (await this.#needs.rooms.byNids(await this.#store.waiting())).values()) this.#drain(room)
  }

  /** Forgets transactions that are too old to come again. */
  async expire(): Promise<void> {
    await this.#needs.database.transaction((tx) => this.#store.forget(tx, this.#needs.clock.now() - rememberedMs))
  }

  /** Resolves once everything that is staged has been taken in. */
  async settled(): Promise<void> {
    while (this.#draining.size + this.#filling.size > 0) await Promise.all([...this.#draining.values(), ...this.#filling])
  }

  roomPurged(tx: Tx, room: Room, limit: number): Promise<boolean> {
    return this.#store.deleteRoom(tx, room.nid, limit)
  }

  /** Takes no more in, and waits for what is being taken in. */
  async stop(): Promise<void> {
    this.#isStopped = true
    await Promise.all([...this.#draining.values(), ...this.#filling])
  }

  /**
   * Accepts a transaction; a repetition, also a simultaneous one, gets the same answer and changes nothing.
   * @throws M_BAD_JSON, M_TOO_LARGE
   */
  async accept(origin: ServerName, txnId: string, body: JsonObject): Promise<TransactionReply> {
    const key = `${origin} ${txnId}`
    const running = this.#accepting.get(key)
    if (running) return running
    const accepting = this.#accept(origin, txnId, body).finally(() => this.#accepting.delete(key))
    this.#accepting.set(key, accepting)
    return accepting
  }

  async #accept(origin: ServerName, txnId: string, body: JsonObject): Promise<TransactionReply> {
    const pdus = listOf(body, 'pdus', mostPdus)
    const edus = listOf(body, 'edus', mostEdus)
    const before = await this.#store.response(origin, txnId)
    if (before !== undefined) return JSON.parse(before)
    for (const edu of edus) await this.#takeEdu(origin, edu)
    const { reply, staged, rooms } = await this.#sorted(origin, pdus)
    const now = this.#needs.clock.now()
    await this.#needs.database.transaction(async (tx) => {
      await this.#store.stage(tx, staged)
      await this.#store.record(tx, { origin, transaction_id: txnId, ts: now, response_json: JSON.stringify(reply) })
    })
    for (const room of rooms) this.#drain(room)
    return reply
  }

  /** Which events are staged, and why others are not. */
  async #sorted(origin: ServerName, pdus: readonly JsonValue[]): Promise<{ reply: TransactionReply; staged: StagedEvent[]; rooms: Set<Room> }> {
    const results: Record<EventId, { error?: string }> = {}
    const staged: StagedEvent[] = []
    const rooms = new Set<Room>()
    for (const pdu of pdus) {
      const roomId = isObject(pdu) ? own(pdu, 'room_id') : undefined
      const room = typeof roomId === 'string' ? await this.#needs.rooms.get(roomId) : undefined
      const parsed = room && parsePdu(room.version, pdu)
      if (!room || !parsed || !('event' in parsed)) {
        this.#needs.logger.info(`An event of ${origin} is dropped: ${parsed && 'reason' in parsed ? parsed.reason : 'its room is not known'}.`)
        continue
      }
      const error = await this.#refusal(origin, room, parsed.event)
      results[parsed.event.eventId] = error === undefined ? {} : { error }
      if (error !== undefined) continue
      rooms.add(room)
      staged.push({ staging_nid: ++this.#last, room_nid: room.nid, origin, received_ts: this.#needs.clock.now(), event_json: isObject(pdu) ? canonicalJson(pdu) : '' })
    }
    return { reply: { pdus: results }, staged, rooms }
  }

  async #refusal(origin: ServerName, room: Room, event: RoomEvent): Promise<string | undefined> {
    const { roomServers, endedMemberships } = this.#needs
    if (!(await roomServers.hasUs(room))) return (await endedMemberships.isOne(room, event)) ? undefined : 'This server is not in the room.'
    return (await roomServers.allows(room, origin)) ? undefined : `The access control list of the room does not let ${origin} take part.`
  }

  async #takeEdu(origin: ServerName, edu: JsonValue): Promise<void> {
    const [type, content] = isObject(edu) ? [own(edu, 'edu_type'), own(edu, 'content')] : []
    const handler = typeof type === 'string' ? this.#handlers.get(type) : undefined
    if (!handler || !isObject(content)) return
    try {
      await handler(origin, content)
    } catch (error) {
      if (error instanceof StorageError) throw error
      if (error instanceof MatrixError) this.#needs.logger.info(`An EDU of the type ${String(type)} of ${origin} is dropped: ${error.message}`)
      else this.#needs.logger.error(`An EDU of the type ${String(type)} of ${origin} could not be taken in.`, { error })
    }
  }

  #drain(room: Room): void {
    if (this.#isStopped) return
    if (this.#draining.has(room.nid)) {
      this.#again.add(room.nid)
      return
    }
    const draining = this.#takeAll(room).catch((error: unknown) => {
      this.#needs.logger.error(`Events of other servers for ${room.id} could not be taken in; it is tried again.`, { error })
      this.#needs.clock.after(retryMs, () => this.#drain(room))
    }).finally(() => {
      this.#draining.delete(room.nid)
      if (this.#again.delete(room.nid)) this.#drain(room)
    })
    this.#draining.set(room.nid, draining)
  }

  /** Takes in what waits for a room; events whose ancestors could not be had lately are passed over until they are due again. */
  async #takeAll(room: Room): Promise<void> {
    let dueTs = Number.POSITIVE_INFINITY
    for (let after = 0; ;) {
      const rows = await this.#store.nextOf(room.nid, after, batchSize)
      for (const row of rows) {
        if (this.#isStopped) return
        after = row.staging_nid
        if ((this.#deferred.get(row.staging_nid)?.untilTs ?? 0) <= this.#needs.clock.now()) await this.#take(room, row)
        dueTs = Math.min(dueTs, this.#deferred.get(row.staging_nid)?.untilTs ?? dueTs)
      }
      if (rows.length < batchSize) break
    }
    if (dueTs !== Number.POSITIVE_INFINITY) this.#needs.clock.after(Math.max(0, dueTs - this.#needs.clock.now()), () => this.#drain(room))
  }

  /** Leaves an event for later, because a server that has its ancestors may be reached then. @returns false where that was tried often enough */
  #defer(nid: number): boolean {
    const attempts = (this.#deferred.get(nid)?.attempts ?? 0) + 1
    if (attempts > mostAttempts) return false
    this.#deferred.set(nid, { attempts, untilTs: this.#needs.clock.now() + firstRetryMs * 2 ** (attempts - 1) })
    return true
  }

  /** Takes one event in; its row goes in the same commit. */
  async #take(room: Room, { staging_nid: nid, origin, event_json: text }: StagedEvent): Promise<void> {
    const { checks, logger, database } = this.#needs
    const server = origin as ServerName
    let isDeleted = false
    try {
      const json = parseJson(text)
      const pdu = 'value' in json ? await checks.check(room.version, json.value, server) : json
      const extra = async (tx: Tx): Promise<void> => {
        await this.#store.delete(tx, nid)
        tx.afterCommit(() => { isDeleted = true })
      }
      if ('event' in pdu) await this.#place(room, pdu, server, extra)
      else logger.info(`An event of ${origin} in ${room.id} is dropped: ${pdu.reason}.`)
    } catch (error) {
      if (error instanceof StorageError) throw error
      if (isForLater(error) && this.#defer(nid)) return
      logger.warn(`An event of ${origin} in ${room.id} is dropped: ${error instanceof Error ? error.message : String(error)}`, { error })
    }
    this.#deferred.delete(nid)
    if (!isDeleted) await database.transaction((tx) => this.#store.delete(tx, nid))
  }

  /** Fetches what came before an event that was understood by the state there alone, so that older branches find their continuation. */
  #fillBehind(room: Room, event: StoredEvent): void {
    const filling = this.#needs.backfill.fill(room, [event]).catch((error: unknown) => {
      if (!this.#isStopped) this.#needs.logger.warn(`What came before ${event.event.eventId} could not be fetched.`, { error })
    }).finally(() => this.#filling.delete(filling))
    this.#filling.add(filling)
  }

  async #place(room: Room, pdu: ParsedPdu, server: ServerName, extra: (tx: Tx) => Promise<void>): Promise<void> {
    const { ancestry, policy, writer, roomServers, endedMemberships } = this.#needs
    if (await roomServers.hasUs(room)) {
      const judged = await policy.check(room, await writer.currentRoot(room), pdu)
      const event = await ancestry.take(room, judged.pdu, server, { extra, isUnwanted: !judged.verdict.allowed })
      if (!event.rejected && !event.softFailed) this.#fillBehind(room, event)
    } else if (await endedMemberships.isOne(room, pdu.event)) await endedMemberships.take(room, pdu, extra)
  }
}

/** Whether an event could not be taken in only because another server did not help. */
function isForLater(error: unknown): boolean {
  return error instanceof LackingEvents || error instanceof RemoteError || error instanceof FederationRefusal
}

/** @throws M_BAD_JSON, M_TOO_LARGE */
function listOf(body: JsonObject, name: string, most: number): readonly JsonValue[] {
  const list = own(body, name) ?? []
  if (!Array.isArray(list)) throw refuse('M_BAD_JSON', `"${name}" must be a list.`)
  if (list.length > most) throw refuse('M_TOO_LARGE', `A transaction may have at most ${most} ${name}.`)
  return list
}
